"""The schema's history, applied from inside the program.

Each file in `versions` is one step, and steps only add: the release before must run on the newer schema
(expand now, contract a release later). Alembic costs half a second and 47 MB, so it is imported only when
there is something to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cryptowatcher.adapters.stores.tables import CHANGES, counters, metadata

HEAD = "0012"
"""The newest step. Names are numbers of four digits and sort in their order."""

FOLDER = Path(__file__).parent
"""Where the steps stand, in `versions`."""

# As Alembic makes it.
_VERSIONS = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def version(db: sa.Connection) -> str:
    """The step that the database stands at, "" when it is empty."""
    if not sa.inspect(db).has_table("alembic_version"):
        return ""
    return str(db.execute(sa.select(_VERSIONS.c.version_num)).scalar_one_or_none() or "")


def is_current(db: sa.Connection) -> bool:
    """Also when a newer release has been here: its schema serves this one too."""
    return version(db) >= HEAD


def migrate(db: sa.Connection) -> None:
    """Make the tables or take the steps that are missing, in the transaction that stands open."""
    if version(db):
        take_steps(db)
    else:
        create(db)


def create(db: sa.Connection) -> None:
    """The newest schema at once, in an empty database: what all steps come to, without Alembic. A first start
    is what a new user waits for."""
    metadata.create_all(db)
    db.execute(sa.insert(counters).values(name=CHANGES, value=0))
    db.execute(sa.schema.CreateTable(_VERSIONS))
    db.execute(sa.insert(_VERSIONS).values(version_num=HEAD))


def take_steps(db: sa.Connection) -> None:
    """All steps that are missing, by Alembic."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def steps(revision: Any, _context: object) -> Any:
        return script._upgrade_revs(HEAD, revision)

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=db)
        environment.run_migrations()
    if version(db) != HEAD:  # a step that ended its transaction, for example
        raise RuntimeError(f"the store stands at {version(db)!r} and not at {HEAD}")
