"""What stands in the files of a journal and a store, asked of the files themselves.

Nothing is made or migrated, so files of older and newer releases can be looked at too, beside whoever writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from cryptowatcher.adapters.sqlite_file import explained, look_into
from cryptowatcher.adapters.stores.sqlite import SqliteStoreConfig
from cryptowatcher.config import Config
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Cursor

T = TypeVar("T")

JOURNAL = "journal.db"
STORE = "store.db"
"""What the two are called in a backup, whatever they are called in the data folder."""

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite appends to a file's name for those that belong to it."""


class JournalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """schema:  of the file
    trimmed:   the last record that was forgotten, 0 for none
    head:      the newest record; head_at, oldest_at: times of the newest and the oldest that stands (epoch ms),
               0 when none does
    """

    id: str
    schema: int
    trimmed: int
    head: int
    head_at: int
    oldest_at: int


class StoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """schema:   of the file, "" when it has none yet
    cursor:     how far watch has come, None when it never began
    checkpoint: the position of the newest one that a start would load, 0 for none; checkpoint_at: its journal time
    unsent:     deliveries that were neither sent nor given up
    """

    schema: str
    cursor: Cursor | None
    checkpoint: int
    checkpoint_at: int
    unsent: int


def journal_file(config: Config) -> Path:
    return config.data_dir / JOURNAL


def store_file(config: Config) -> Path | None:
    """None where the store is no file."""
    settings = config.store
    return config.data_dir / settings.file if isinstance(settings, SqliteStoreConfig) else None


def secrets_named(value: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(setting, `file` or `variable`, name) of each secret that a configuration names and does not contain."""
    if isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from secrets_named(item, f"{path}[{number}]")
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            found, where = getattr(value, field), f"{path}.{field}".lstrip(".")
            kind = field.rpartition("_")[2]
            if kind in ("file", "variable") and kind != field:
                if found:
                    yield where, kind, found
            else:
                yield from secrets_named(found, where)


def size_of(path: Path) -> int:
    """Bytes, with what is written and not yet in the file itself; 0 when there is none."""
    return sum(each.stat().st_size for each in (path, Path(f"{path}-wal")) if each.exists())


def journal_facts(path: Path, *, still: bool = False) -> JournalFacts:
    """ConfigError when it is no journal or cannot be read. `still`: nobody else uses the file."""
    return _asked(path, _journal_facts, "a journal", still=still)


def store_facts(path: Path, *, still: bool = False) -> StoreFacts:
    """ConfigError when it is no store or cannot be read. `still`: nobody else uses the file."""
    return _asked(path, _store_facts, "a store", still=still)


def missing_records(path: Path, *, still: bool = False) -> int:
    """How many records are not there that should stand between what was trimmed and the head."""
    return _asked(path, _missing_records, "a journal", still=still)


def _asked(path: Path, ask: Callable[[apsw.Connection], T], what: str, *, still: bool) -> T:
    with closing(look_into(path, still=still)) as db, explained(path), _as(what, path):
        db.execute("BEGIN")  # one snapshot for all questions
        return ask(db)


@contextmanager
def _as(what: str, path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.SQLError, TypeError) as error:
        # No such table, or not the row that always stands in it.
        raise ConfigError(f"{path} is not {what} of cryptowatcher", hint="name another file") from error


def _journal_facts(db: apsw.Connection) -> JournalFacts:
    identity, trimmed, trimmed_at = db.execute("SELECT id, trimmed, trimmed_at FROM journal").get
    newest = db.execute("SELECT seq, at FROM records ORDER BY seq DESC LIMIT 1").get
    head, head_at = newest or (trimmed, trimmed_at)
    oldest_at = db.execute("SELECT at FROM records ORDER BY seq LIMIT 1").get or 0
    schema = int(db.pragma("user_version"))
    return JournalFacts(
        id=identity, schema=schema, trimmed=trimmed, head=head, head_at=head_at, oldest_at=oldest_at
    )


def _missing_records(db: apsw.Connection) -> int:
    facts = _journal_facts(db)
    return facts.head - facts.trimmed - int(db.execute("SELECT count(*) FROM records").get)


def _store_facts(db: apsw.Connection) -> StoreFacts:
    row = db.execute("SELECT journal, seq, at FROM cursors WHERE role = 'watch'").get
    cursor = Cursor(*row) if row else None
    checkpoint = None
    if cursor is not None:
        checkpoint = db.execute(
            "SELECT seq, at FROM checkpoints WHERE journal = ? AND schema = ? AND seq <= ?"
            " ORDER BY seq DESC LIMIT 1",
            (cursor.journal, CHECKPOINT_SCHEMA, cursor.seq),
        ).get
    seq, at = checkpoint or (0, 0)
    unsent = db.execute("SELECT count(*) FROM deliveries WHERE state IN ('queued', 'retrying', 'leased')").get
    return StoreFacts(
        schema=str(db.execute("SELECT version_num FROM alembic_version").get or ""),
        cursor=cursor,
        checkpoint=seq,
        checkpoint_at=at,
        unsent=unsent,
    )
