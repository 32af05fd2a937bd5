"""The schema's history, applied from inside the program.

Each file in `versions` is one step, and steps only add: the release before must run on the newer schema
(expand now, contract a release later). Alembic costs half a second and 47 MB, so it is imported only when
there is something to do.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

HEAD = "0001"
"""The newest step. Names are numbers of four digits and sort in their order."""

_VERSION = sa.table("alembic_version", sa.column("version_num"))


def version(db: sa.Connection) -> str:
    """The step that the database stands at, "" when it is empty."""
    if not sa.inspect(db).has_table("alembic_version"):
        return ""
    return str(db.execute(sa.select(_VERSION.c.version_num)).scalar_one_or_none() or "")


def is_current(db: sa.Connection) -> bool:
    """Also when a newer release has been here: its schema serves this one too."""
    return version(db) >= HEAD


def migrate(db: sa.Connection) -> None:
    """All steps that are missing, inside the transaction that stands open on the connection."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def steps(revision: object, _context: object) -> object:
        return script._upgrade_revs(HEAD, revision)

    with EnvironmentContext(config, script, fn=steps) as environment:  # type: ignore[arg-type]
        environment.configure(connection=db)
        environment.run_migrations()
