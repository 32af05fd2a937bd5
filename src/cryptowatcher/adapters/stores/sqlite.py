"""The store on a SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import apsw
import msgspec
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from cryptowatcher.adapters import apsw_dbapi
from cryptowatcher.adapters.runner import CommitMeter, Inline, Threaded, Way
from cryptowatcher.adapters.sqlite_file import BUSY_MS, SqliteSession, checkpointed, connect, explained
from cryptowatcher.adapters.stores.migrations import is_current, migrate
from cryptowatcher.adapters.stores.transaction import SqlStore, Transaction
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Deps


class SqliteStoreConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="sqlite"
):
    """file: in the data folder, unless it is an absolute path"""

    file: str = "store.db"

    def open(
        self, deps: Deps, *, readonly: bool = False, meter: CommitMeter | None = None
    ) -> AbstractAsyncContextManager[SqlStore]:
        return open_sqlite_store(deps.data_dir / self.file, readonly=readonly, meter=meter)


SETTINGS = SqliteStoreConfig


@asynccontextmanager
async def open_sqlite_store(
    path: Path,
    *,
    inline: Inline | None = None,
    readonly: bool = False,
    busy_ms: int = BUSY_MS,
    meter: CommitMeter | None = None,
) -> AsyncIterator[SqlStore]:
    """The store in that file, made or brought up to date when need be.

    inline:   run on the loop, without threads (simulation)
    busy_ms:  how long to wait for another process that writes
    readonly: transactions read a snapshot and never wait for a writer; Unavailable while there is no such file
    meter:    is told what the thread does
    """
    path = Path(path)
    way: Way = inline or Threaded(f"store {path.name}", meter=meter)
    async with AsyncExitStack() as stack:
        runner = await stack.enter_async_context(
            way.open(lambda: _session(path, readonly=readonly, checkpoints=inline is not None, busy_ms=busy_ms))
        )
        if inline is None and not readonly:
            await stack.enter_async_context(checkpointed(path))
        yield SqlStore(runner)


def _session(path: Path, *, readonly: bool, checkpoints: bool, busy_ms: int) -> SqliteSession[Transaction]:
    raw = connect(path, readonly=readonly, checkpoints=checkpoints, busy_ms=busy_ms)
    engine = sa.create_engine(
        "sqlite://", module=apsw_dbapi, creator=lambda: apsw_dbapi.Connection(raw), poolclass=StaticPool
    )

    def close() -> None:
        db.close()
        engine.dispose()

    with explained(path):
        try:
            db = engine.connect()
            _bring_up_to_date(raw, db, path, readonly=readonly)
        except sa.exc.DBAPIError as error:
            raw.close()
            raise (error.orig and error.orig.__cause__) or error from error
        except BaseException:
            raw.close()
            raise
    return SqliteSession(raw, Transaction(db), readonly=readonly, close=close)


def _bring_up_to_date(raw: apsw.Connection, db: sa.Connection, path: Path, *, readonly: bool) -> None:
    if is_current(db):
        return
    if readonly:
        raise Unavailable(f"{path} is not up to date yet", reason="not_ready")
    raw.execute("BEGIN IMMEDIATE")
    if not is_current(db):  # another process may have been faster
        migrate(db)
    raw.execute("COMMIT")
