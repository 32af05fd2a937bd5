"""One SQLite file as journal and store use it: version floor, pragmas, transactions, checkpoints."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Generic, TypeVar
from urllib.parse import quote

import apsw
import structlog

from cryptowatcher.adapters.runner import UnknownOutcome
from cryptowatcher.errors import ConfigError, Unavailable

C = TypeVar("C")

FLOOR = (3, 51, 3)
"""Older ones can corrupt a WAL database when two connections checkpoint and write at once."""

BUSY_MS = 5_000
_BUSY_STEP_MS = 5
_PAGE = 4096
_LARGEST_WAL = 64 * 1024 * 1024
_CHECKPOINT_EVERY = 1.5
_SAID_AFTER = 40  # rounds, a minute: two processes that checkpoint one file are in each other's way now and then
_COPY_PAGES = 1024
_WRITING = (apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_TRUNCATE)

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
        if not readonly:
            _keep_private(path)
        db = apsw.Connection(str(path))
        _write_ahead(db, busy_ms)
        db.set_busy_timeout(busy_ms)
        db.pragma("synchronous", "full")
        db.pragma("foreign_keys", True)
        db.wal_autocheckpoint(1000 if checkpoints else 0)
        if readonly:
            db.pragma("query_only", True)
    return db


def _keep_private(path: Path) -> None:
    """What people's passwords are proved by lies here. A new file is its owner's alone, and SQLite makes those
    beside it like it; of one that is there others' rights are taken away, and a group keeps what it was given.

    A file that is there is never opened for this: closing it again would drop the locks that SQLite holds on it.
    """
    with suppress(OSError):  # it is there, or SQLite says what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(OSError):  # another user's, who has to know
            mode = each.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o007:
                each.chmod(stat.S_IMODE(mode) & 0o770)


def _write_ahead(db: apsw.Connection, busy_ms: int) -> None:
    """Turn the write-ahead log on. This statement reads before it writes, and there SQLite waits for nobody: of
    two that open a new file together, one is refused at once and has to ask again."""
    for left in range(busy_ms // _BUSY_STEP_MS, -1, -1):
        try:
            db.pragma("journal_mode", "wal")
            return
        except apsw.BusyError:
            if not left:
                raise
        time.sleep(_BUSY_STEP_MS / 1000)


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
        if _is_read_only(path.parent):
            raise Unavailable(f"{path}: the disk is read-only now", reason="disk_error") from error
        check = "check that the folder exists and may be written to"
        raise ConfigError(f"{path} cannot be opened: {error}", hint=check) from error
    except apsw.BusyError as error:
        raise Unavailable(f"{path} is busy", reason="busy") from error
    except apsw.FullError as error:
        raise Unavailable(f"{path}: the disk is full", reason="disk_full") from error
    except apsw.IOError as error:
        raise Unavailable(f"{path}: the disk fails: {_words(error)}", reason="disk_error") from error


def _is_read_only(folder: Path) -> bool:
    """Whether the whole file system is, as some become when their disk fails: it may be well again."""
    with suppress(OSError):
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    return False


def look_into(path: Path, *, still: bool = False) -> apsw.Connection:
    """A connection that only reads, beside whoever writes. It makes no file and changes none, whatever they are.

    still: nobody else uses the file, and there is nothing beside it that belongs to it (a copy)

    ConfigError when it is no database or cannot be opened.
    """
    require_sqlite()
    with explained(path):
        if still:
            name = f"file:{quote(str(path.absolute()))}?immutable=1"
            db = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        else:
            # Not read-only: that would leave -wal and -shm files behind where nobody else has the file open.
            db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            db.set_busy_timeout(BUSY_MS)
            db.pragma("query_only", True)
            if Path(f"{path}-wal").exists():  # what a dead process left stays as it is
                db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            db.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except BaseException:
            db.close()
            raise
    return db


def copy_file(path: Path, target: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> None:
    """A copy of the database as it is when this begins, while others write to it; on the disk when it returns.

    One read transaction is held over all steps, so that commits of others never make it begin again. Each few
    megabytes are synced at once: a large sync at the end would hold up everybody's commits.

    progress: told how many bytes of how many are copied
    """
    source = look_into(path)
    try:
        with explained(path), _written(target):
            copy = apsw.Connection(str(target))
            try:
                copy.pragma("synchronous", "off")  # we sync it ourselves
                _copy_pages(source, copy, target, progress)
            finally:
                copy.close()
    finally:
        source.close()


@contextmanager
def _written(target: Path) -> Iterator[None]:
    """Errors that can only be those of the file that is written to, beside one that is read."""
    try:
        yield
    except (apsw.FullError, apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError, apsw.IOError) as error:
        if isinstance(error, apsw.IOError) and _extended(error) not in _WRITING:
            raise
        hint = "is there room, and may this user write there?"
        raise ConfigError(f"{target} cannot be written: {_words(error)}", hint=hint) from error


def _copy_pages(
    source: apsw.Connection, copy: apsw.Connection, target: Path, progress: Callable[[int, int], None]
) -> None:
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_master").fetchall()
    # Closed after SQLite is done with the file: closing any descriptor of it drops this process's locks on it.
    file = os.open(target, os.O_RDWR)
    try:
        with copy.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(_COPY_PAGES)
                os.fsync(file)
                progress((backup.page_count - backup.remaining) * _PAGE, backup.page_count * _PAGE)
        source.execute("COMMIT")
        copy.close()
        os.fsync(file)
    finally:
        os.close(file)


def faults(db: apsw.Connection, *, thorough: bool = False) -> list[str]:
    """What SQLite finds wrong with a file, at most three sentences; empty when it is sound.

    thorough: also compare indexes with tables, which reads everything twice
    """
    try:
        rows = db.execute(f"PRAGMA {'integrity_check' if thorough else 'quick_check'}(3)").fetchall()
    except (apsw.CorruptError, apsw.NotADBError, apsw.IOError) as error:
        return [str(error)]
    return [str(row[0]) for row in rows if row[0] != "ok"]


def fold_wal(path: Path) -> bool:
    """Make the file whole without the ones beside it. False when another process has it open.

    Raises what `look_into` does; a damaged file stays as it is.
    """
    db = look_into(path)
    with explained(path):
        try:
            db.set_busy_timeout(500)
            db.pragma("query_only", False)
            return bool(db.pragma("journal_mode", "delete") == "delete")
        except (apsw.BusyError, apsw.LockedError):
            return False
        finally:
            db.close()


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
        if isinstance(cause, apsw.FullError) or self._may_not_grow(cause):
            return Unavailable(f"{path}: the disk is full", reason="disk_full")
        if isinstance(cause, apsw.BusyError):
            return Unavailable(f"{path}: another process holds it", reason="busy")
        if isinstance(cause, (apsw.CorruptError, apsw.NotADBError)):
            hint = "stop, and restore it from a backup"
            return ConfigError(f"{path} is damaged: {cause}", hint=hint)
        if committing and not isinstance(cause, apsw.ConstraintError):
            return UnknownOutcome(f"{path}: {_words(cause) if cause else repr(error)}")
        if isinstance(cause, apsw.IOError):  # nothing was committed, and what was begun is rolled back
            return Unavailable(f"{path}: the disk fails: {_words(cause)}", reason="disk_error")
        return error

    def _may_not_grow(self, cause: apsw.Error | None) -> bool:
        """A quota or a limit on the size of files is a full disk too, though SQLite tells only ENOSPC apart: the
        write that failed was not the commit's last, so the commit surely did not happen."""
        return _extended(cause) == apsw.SQLITE_IOERR_WRITE and self._db.system_errno in (errno.EFBIG, errno.EDQUOT)


def _sqlite_error(error: BaseException | None) -> apsw.Error | None:
    """The error of SQLite below: what wraps it names it as its cause."""
    while error is not None and not isinstance(error, apsw.Error):
        error = error.__cause__
    return error


def _words(error: apsw.Error) -> str:
    """Of all that went wrong with reading or writing, what."""
    name = apsw.mapping_extended_result_codes.get(_extended(error), type(error).__name__)
    return f"{name} {error}".strip()


def _extended(error: apsw.Error | None) -> int:
    """SQLite's extended result code; 0 where there is none."""
    return int(getattr(error, "extendedresult", 0))


class _Checkpointer:
    """Copies the WAL back into the file, so that commits never pay for it.

    Passive checkpoints let the WAL be overwritten from its start, which syncs in half the time of one that grows.
    One that fails is tried again: what it did not finish still stands in the WAL.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stop = Event()
        self._failed = 0  # rounds in a row
        self.thread = Thread(target=self._main, name=f"checkpoint {path.name}", daemon=True)

    def stop(self) -> None:
        self._stop.set()

    def _main(self) -> None:
        db: apsw.Connection | None = None
        while not self._stop.wait(_CHECKPOINT_EVERY):
            db = db or self._connect()
            self._note(db is not None and _checkpoint(db))
        if db is not None:
            _truncate(db)
            db.close()

    def _connect(self) -> apsw.Connection | None:
        """None when the disk has no room for it now, or fails."""
        try:
            db = connect(self._path)
        except (ConfigError, Unavailable):
            return None
        # Never wait for a reader: a checkpoint that truncates holds up every writer while it waits.
        db.set_busy_timeout(0)
        return db

    def _note(self, ok: bool) -> None:
        before, self._failed = self._failed, 0 if ok else self._failed + 1
        if self._failed == _SAID_AFTER:
            log.warning("checkpoints do not get through", path=str(self._path))
        elif ok and before >= _SAID_AFTER:
            log.info("checkpoints work again", path=str(self._path))


def _checkpoint(db: apsw.Connection) -> bool:
    """Whether it could be done, as far as readers let it."""
    try:
        # A connection that has read nothing yet checkpoints nothing, and does not say so.
        db.execute("SELECT count(*) FROM sqlite_master").fetchall()
        frames, _ = db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.Error:  # busy, full, failing …: the next one may get through, and nothing is lost meanwhile
        return False
    if frames * _PAGE > _LARGEST_WAL:
        _truncate(db)
    return frames >= 0


def _truncate(db: apsw.Connection) -> None:
    """Make the WAL empty, unless someone still reads from it."""
    with suppress(apsw.Error):
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
