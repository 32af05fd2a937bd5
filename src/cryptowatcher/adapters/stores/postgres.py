"""The store on PostgreSQL, through psycopg 3 (extra `postgres`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.runner import CommitMeter, Inline, Threaded, UnknownOutcome, Way
from cryptowatcher.adapters.stores.migrations import is_current, migrate
from cryptowatcher.adapters.stores.transaction import SqlStore, Transaction
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.ports import Deps

_MIGRATION_LOCK = 0x63727970746F
_LOCK_WAIT = "5s"


class PostgresStoreConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="postgres"
):
    """A PostgreSQL database, named in exactly one of three ways.

    url: `postgresql://user:password@host/database`
    url_file, url_variable: the file or environment variable in which such a URL stands
    """

    url: str | None = None
    url_file: str | None = None
    url_variable: str | None = None

    def open(
        self, deps: Deps, *, readonly: bool = False, meter: CommitMeter | None = None
    ) -> AbstractAsyncContextManager[SqlStore]:
        url = self.url or deps.secret(file=self.url_file, variable=self.url_variable, where="store.url")
        if not url:
            raise ConfigError("no database is named", where="store", hint="set url, url_file or url_variable")
        return open_postgres_store(url, readonly=readonly, meter=meter)


SETTINGS = PostgresStoreConfig


@asynccontextmanager
async def open_postgres_store(
    url: str, *, inline: Inline | None = None, readonly: bool = False, meter: CommitMeter | None = None
) -> AsyncIterator[SqlStore]:
    """The store in that database, made or brought up to date when need be.

    ConfigError for a bad URL or a missing psycopg; Unavailable when the server does not answer. `meter` is told
    what the thread does.
    """
    engine = _engine(url)
    way: Way = inline or Threaded("store postgres", meter=meter)
    try:
        async with way.open(lambda: _open_session(engine, readonly=readonly)) as runner:
            yield SqlStore(runner)
    finally:
        engine.dispose()


class PostgresSession:
    """Transactions on one connection, which is made anew when it was lost."""

    def __init__(self, db: sa.Connection, *, readonly: bool) -> None:
        self._db = db
        self._readonly = readonly

    def begin(self) -> Transaction:
        self._db.begin()
        if self._readonly:
            self._db.exec_driver_sql("SET TRANSACTION READ ONLY")
        return Transaction(self._db)

    def mark(self) -> None:
        self._db.exec_driver_sql("SAVEPOINT job")

    def release(self) -> None:
        self._db.exec_driver_sql("RELEASE SAVEPOINT job")

    def undo(self) -> None:
        self._db.exec_driver_sql("ROLLBACK TO SAVEPOINT job")
        self._db.exec_driver_sql("RELEASE SAVEPOINT job")

    def commit(self) -> None:
        self._db.commit()

    def rollback(self) -> None:
        self._db.rollback()

    def close(self) -> None:
        self._db.close()

    @property
    def alive(self) -> bool:
        return not self._lost()

    def translate(self, error: BaseException, *, committing: bool) -> BaseException:
        if not isinstance(error, sa.exc.DBAPIError):
            return error
        if self._lost() or error.connection_invalidated:
            if committing:
                return UnknownOutcome(f"the connection was lost during a commit: {error.orig}")
            return Unavailable(f"PostgreSQL does not answer: {error.orig}", reason="store_unreachable")
        return _told(error) or error

    def _lost(self) -> bool:
        raw: Any = None if self._db.invalidated or self._db.closed else self._db.connection.dbapi_connection
        return raw is None or bool(raw.closed)


def _open_session(engine: sa.Engine, *, readonly: bool) -> PostgresSession:
    try:
        db = engine.connect()
    except sa.exc.OperationalError as error:
        raise Unavailable(f"PostgreSQL does not answer: {error.orig}", reason="store_unreachable") from error
    try:
        _bring_up_to_date(db, readonly=readonly)
    except BaseException:
        db.close()
        raise
    return PostgresSession(db, readonly=readonly)


def _bring_up_to_date(db: sa.Connection, *, readonly: bool) -> None:
    with db.begin():
        if is_current(db):
            return
    if readonly:
        raise Unavailable("the database is not up to date yet", reason="not_ready")
    with db.begin():
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        if not is_current(db):  # another process may have been faster
            migrate(db)


def _engine(url: str) -> sa.Engine:
    try:
        import psycopg  # noqa: F401  (an extra: heavy, and not everyone's)
    except ImportError as error:
        hint = "pip install 'cryptowatcher[postgres]'"
        raise ConfigError("PostgreSQL needs the extra `postgres`", where="store", hint=hint) from error
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # never repeat the URL: it holds a password
        hint = "write postgresql://user:password@host/database"
        raise ConfigError("this is not the address of a database", where="store.url", hint=hint) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError(f"{parsed.get_backend_name()!r} is not PostgreSQL", where="store.url")
    engine = sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        paramstyle="format",  # rows go in as tuples
        pool_size=1,
        max_overflow=0,
        connect_args={"connect_timeout": 10, "application_name": "cryptowatcher"},
    )
    sa.event.listen(engine, "connect", _set_up)
    return engine


def _set_up(raw: Any, _record: object) -> None:
    """A promise rests on commits that are durable, whatever the server's default is."""
    with raw.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
        cursor.execute(f"SET lock_timeout = '{_LOCK_WAIT}'")
    raw.commit()


def _told(error: sa.exc.DBAPIError) -> Unavailable | None:
    """What the server says and may be over soon; the transaction is undone."""
    code = str(getattr(error.orig, "sqlstate", None) or "")
    if code in ("55P03", "40001", "40P01"):
        return Unavailable(f"another process holds the rows: {error.orig}", reason="busy")
    if code == "53100":
        return Unavailable("the disk of PostgreSQL is full", reason="disk_full")
    if code[:2] in ("53", "57"):  # out of resources, or shutting down
        return Unavailable(f"PostgreSQL cannot answer now: {error.orig}", reason="store_unreachable")
    return None
