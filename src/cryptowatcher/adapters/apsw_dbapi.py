"""PEP 249 over apsw, as much as SQLAlchemy's SQLite dialect asks for: `create_engine("sqlite://", module=this)`.

apsw brings a SQLite of its own, new enough to be trusted with a WAL database; Python's own is often too old.
apsw never begins a transaction by itself, so neither does this: whoever drives it says BEGIN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"
sqlite_version = apsw.sqlite_lib_version()
sqlite_version_info = tuple(int(part) for part in sqlite_version.split("."))
Binary = bytes


class Warning(Exception):  # noqa: A001  (PEP 249 names it so)
    """Never raised; PEP 249 wants the name."""


class Error(Exception):
    """The apsw error is the `__cause__`."""


class InterfaceError(Error):
    pass


class DatabaseError(Error):
    pass


class DataError(DatabaseError):
    pass


class OperationalError(DatabaseError):
    pass


class IntegrityError(DatabaseError):
    pass


class InternalError(DatabaseError):
    pass


class ProgrammingError(DatabaseError):
    pass


class NotSupportedError(DatabaseError):
    pass


ERRORS: dict[type[Exception], type[Error]] = {
    apsw.ConstraintError: IntegrityError,
    apsw.MismatchError: IntegrityError,
    apsw.RangeError: DataError,
    apsw.TooBigError: DataError,
    apsw.FormatError: DataError,
    apsw.CorruptError: DatabaseError,
    apsw.NotADBError: DatabaseError,
    apsw.InternalError: InternalError,
    apsw.NotFoundError: InternalError,
    apsw.EmptyError: InternalError,
    apsw.AbortError: OperationalError,
    apsw.AuthError: OperationalError,
    apsw.BusyError: OperationalError,
    apsw.CantOpenError: OperationalError,
    apsw.ExecTraceAbort: OperationalError,
    apsw.FullError: OperationalError,
    apsw.InterruptError: OperationalError,
    apsw.IOError: OperationalError,
    apsw.LockedError: OperationalError,
    apsw.NoMemError: OperationalError,
    apsw.PermissionsError: OperationalError,
    apsw.ProtocolError: OperationalError,
    apsw.ReadOnlyError: OperationalError,
    apsw.SchemaChangeError: OperationalError,
    apsw.SQLError: OperationalError,
    apsw.BindingsError: ProgrammingError,
    apsw.ConnectionClosedError: ProgrammingError,
    apsw.ConnectionNotClosedError: ProgrammingError,
    apsw.CursorClosedError: ProgrammingError,
    apsw.ExecutionCompleteError: ProgrammingError,
    apsw.ForkingViolationError: ProgrammingError,
    apsw.IncompleteExecutionError: ProgrammingError,
    apsw.InvalidContextError: ProgrammingError,
    apsw.MisuseError: ProgrammingError,
    apsw.ThreadingViolationError: ProgrammingError,
    apsw.VFSFileClosedError: ProgrammingError,
    apsw.ExtensionLoadingError: NotSupportedError,
    apsw.NoFTS5Error: NotSupportedError,
    apsw.NoLFSError: NotSupportedError,
    apsw.VFSNotImplementedError: NotSupportedError,
}
"""Every error of apsw, by what PEP 249 calls it. `apsw.Error` itself is a DatabaseError."""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise ERRORS.get(type(error), DatabaseError)(str(error)) from error
    except TypeError as error:  # a value that SQLite has no type for
        raise ProgrammingError(str(error)) from error


def connect(database: str, **_options: Any) -> Connection:
    """A file, or `:memory:`. What only the standard library's module knows is ignored."""
    with _translated():
        return Connection(apsw.Connection(database))


class Connection:
    """One connection; `raw` is apsw's."""

    isolation_level: str | None = ""

    def __init__(self, raw: apsw.Connection) -> None:
        self.raw = raw

    def cursor(self) -> Cursor:
        with _translated():
            return Cursor(self.raw)

    def commit(self) -> None:
        """Nothing outside a transaction."""
        self._end("COMMIT")

    def rollback(self) -> None:
        """Nothing outside a transaction."""
        self._end("ROLLBACK")

    def close(self) -> None:
        with _translated():
            self.raw.close()

    def create_function(
        self, name: str, arguments: int, function: Callable[..., Any], *, deterministic: bool = False
    ) -> None:
        with _translated():
            self.raw.create_scalar_function(name, function, arguments, deterministic=deterministic)

    def _end(self, how: str) -> None:
        with _translated():
            if self.raw.in_transaction:
                self.raw.execute(how)


class Cursor:
    """Runs statements and hands out their rows as tuples."""

    arraysize = 1

    def __init__(self, raw: apsw.Connection) -> None:
        self._raw = raw
        self._cursor = raw.cursor()
        self.description: tuple[tuple[Any, ...], ...] | None = None
        self.rowcount = -1

    @property
    def connection(self) -> Connection:
        return Connection(self._raw)

    @property
    def lastrowid(self) -> int:
        return self._raw.last_insert_rowid()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        with _translated():
            before = self._raw.total_changes()
            # apsw forgets the columns once a statement without rows has ended: ask before it runs.
            self._cursor.exec_trace = self._describe
            self._cursor.execute(sql, parameters)
            changed = self._raw.total_changes() != before
        self.rowcount = self._raw.changes() if changed else (-1 if self.description else 0)
        return self

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> Cursor:
        with _translated():
            before = self._raw.total_changes()
            self._cursor.exec_trace = None
            self._cursor.executemany(sql, parameters)
            self.rowcount = self._raw.total_changes() - before
        self.description = None
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        with _translated():
            row: tuple[Any, ...] | None = self._cursor.fetchone()
            return row

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        rows = []
        for _ in range(self.arraysize if size is None else size):
            row = self.fetchone()
            if row is None:
                break
            rows.append(row)
        return rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        with _translated():
            rows: list[tuple[Any, ...]] = self._cursor.fetchall()
            return rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while (row := self.fetchone()) is not None:
            yield row

    def close(self) -> None:
        with _translated():
            self._cursor.close(True)

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """SQLite needs no sizes."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """SQLite needs no sizes."""

    def _describe(self, cursor: apsw.Cursor, _sql: str, _bindings: Any) -> bool:
        columns = cursor.get_description()
        self.description = tuple((name, kind, None, None, None, None, None) for name, kind in columns) or None
        return True
