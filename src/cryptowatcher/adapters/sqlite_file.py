"""One SQLite file as journal and store use it: version floor, pragmas, transactions, checkpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Generic, TypeVar

import apsw
import structlog

from cryptowatcher.adapters.runner import UnknownOutcome, end_process
from cryptowatcher.errors import ConfigError, Unavailable

C = TypeVar("C")

FLOOR = (3, 51, 3)
"""Older ones can corrupt a WAL database when two connections checkpoint and write at once."""

BUSY_MS = 5_000
_PAGE = 4096
_LARGEST_WAL = 64 * 1024 * 1024
_CHECKPOINT_EVERY = 1.5

log = structlog.get_logger()


def require_sqlite(version: str = apsw.sqlite_lib_version()) -> None:
    """ConfigError when the SQLite that apsw brings is too old to be trusted."""
    if tuple(int(part) for part in version.split(".")) < FLOOR:
        floor = ".".join(map(str, FLOOR))
        hint = "install a newer apsw: pip install --upgrade apsw"
        raise ConfigError(f"SQLite {version} can corrupt the files; at least {floor} is needed", hint=hint)


def connect(
    path: Path, *, readonly: bool = False, checkpoints: bool = False, busy_ms: int = BUSY_MS
) -> apsw.Connection:
    """A connection with durable commits. `checkpoints` says whether it checkpoints by itself.

    ConfigError when the file is damaged, foreign or cannot be opened; Unavailable when it is to be read
    and is not there yet.
    """
    require_sqlite()
    if readonly and not path.exists():
        raise Unavailable(f"{path} is not there yet", reason="not_ready")
    with explained(path):
        db = apsw.Connection(str(path))
        db.set_busy_timeout(busy_ms)
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        db.pragma("foreign_keys", True)
        db.wal_autocheckpoint(1000 if checkpoints else 0)
        if readonly:
            db.pragma("query_only", True)
    return db


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """apsw's errors about the file itself, in words for its owner."""
    hint = "restore it from a backup, or move it away to begin a new one"
    try:
        yield
    except apsw.NotADBError as error:
        raise ConfigError(f"{path} is not a database of cryptowatcher", hint=hint) from error
    except apsw.CorruptError as error:
        raise ConfigError(f"{path} is damaged: {error}", hint=hint) from error
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError) as error:
        check = "check that the folder exists and may be written to"
        raise ConfigError(f"{path} cannot be opened: {error}", hint=check) from error
    except apsw.BusyError as error:
        raise Unavailable(f"{path} is busy", reason="busy") from error
    except (apsw.FullError, apsw.IOError) as error:
        check = "check the disk: is it full, or failing?"
        raise ConfigError(f"{path} cannot be read or written: {error}", hint=check) from error


class SqliteSession(Generic[C]):
    """Transactions on one connection; `handle` is what jobs get, `close` closes what lies over it."""

    def __init__(
        self,
        db: apsw.Connection,
        handle: C,
        *,
        readonly: bool = False,
        close: Callable[[], None] | None = None,
    ) -> None:
        self._db = db
        self._handle = handle
        self._close = close or db.close
        self._begin = "BEGIN" if readonly else "BEGIN IMMEDIATE"

    def begin(self) -> C:
        self._db.execute(self._begin)
        return self._handle

    def mark(self) -> None:
        self._db.execute("SAVEPOINT job")

    def release(self) -> None:
        self._db.execute("RELEASE job")

    def undo(self) -> None:
        self._db.execute("ROLLBACK TO job")
        self._db.execute("RELEASE job")

    def commit(self) -> None:
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        self._close()

    @property
    def alive(self) -> bool:
        return self._db.in_transaction

    def translate(self, error: BaseException, *, committing: bool) -> BaseException:
        cause = _sqlite_error(error)
        path = self._db.filename
        if isinstance(cause, apsw.FullError):
            return Unavailable(f"{path}: the disk is full", reason="disk_full")
        if isinstance(cause, apsw.BusyError):
            return Unavailable(f"{path}: another process holds it", reason="busy")
        if isinstance(cause, (apsw.CorruptError, apsw.NotADBError)):
            hint = "stop, and restore it from a backup"
            return ConfigError(f"{path} is damaged: {cause}", hint=hint)
        if isinstance(cause, apsw.IOError) or (committing and not isinstance(cause, apsw.ConstraintError)):
            return UnknownOutcome(f"{path}: {error!r}")
        return error


def _sqlite_error(error: BaseException | None) -> apsw.Error | None:
    """The error of SQLite below: what wraps it names it as its cause."""
    while error is not None and not isinstance(error, apsw.Error):
        error = error.__cause__
    return error


class _Checkpointer:
    """Copies the WAL back into the file, so that commits never pay for it.

    Passive checkpoints let the WAL be overwritten from its start, which syncs in half the time of one that grows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stop = Event()
        self._ok = True
        self.thread = Thread(target=self._main, name=f"checkpoint {path.name}", daemon=True)

    def stop(self) -> None:
        self._stop.set()

    def _main(self) -> None:
        db = connect(self._path)
        # Never wait for a reader: a checkpoint that truncates holds up every writer while it waits.
        db.set_busy_timeout(0)
        # A connection that has read nothing yet checkpoints nothing, and does not say so.
        db.execute("SELECT count(*) FROM sqlite_master").fetchall()
        try:
            while not self._stop.wait(_CHECKPOINT_EVERY):
                self._note(_checkpoint(db))
            _truncate(db)
        except apsw.IOError as error:
            end_process(error)
        finally:
            db.close()

    def _note(self, ok: bool) -> None:
        if ok != self._ok:
            log.info("checkpoints work again" if ok else "checkpoints do not get through", path=str(self._path))
        self._ok = ok


def _checkpoint(db: apsw.Connection) -> bool:
    """Whether it could be done, as far as readers let it."""
    try:
        frames, _ = db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.IOError:
        raise
    except apsw.Error:  # busy, locked, full …: the next one may get through, and nothing is lost meanwhile
        return False
    if frames * _PAGE > _LARGEST_WAL:
        _truncate(db)
    return frames >= 0


def _truncate(db: apsw.Connection) -> None:
    """Make the WAL empty, unless someone still reads from it."""
    with suppress(apsw.BusyError, apsw.LockedError, apsw.FullError):
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


@asynccontextmanager
async def checkpointed(path: Path) -> AsyncIterator[None]:
    """Checkpoints go on in a thread of their own while the context lasts, and once fully at its end."""
    checkpointer = _Checkpointer(path)
    checkpointer.thread.start()
    try:
        yield
    finally:
        checkpointer.stop()
        await asyncio.to_thread(checkpointer.thread.join)
