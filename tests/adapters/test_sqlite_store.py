"""The store on SQLite: the contract, and what is particular to files."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import apsw
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.pool import StaticPool

from cryptowatcher.adapters import apsw_dbapi
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores import migrations
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.adapters.stores.tables import metadata
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.ports import Store
from cryptowatcher.testing.contracts.store import StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "store.db"

    def opening(self) -> AbstractAsyncContextManager[Store]:
        return open_sqlite_store(self.path)


class TestSqliteStoreInline(TestSqliteStore):
    def opening(self) -> AbstractAsyncContextManager[Store]:
        return open_sqlite_store(self.path, inline=Inline())


def _use(path: Path, *, readonly: bool = False) -> None:
    async def main() -> None:
        async with open_sqlite_store(path, readonly=readonly) as store:
            await store.run(lambda tx: tx.prices())

    asyncio.run(main())


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is not a database, and it is long enough to be one" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        _use(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _use(path)
    content = bytearray(path.read_bytes())
    content[100:4096] = bytes(3996)  # the first page after its header: the list of tables
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged"):
        _use(path)


def test_a_reader_waits_until_there_is_a_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with pytest.raises(Unavailable) as caught:
        _use(path, readonly=True)
    assert caught.value.reason == "not_ready"
    _use(path)
    _use(path, readonly=True)


def test_nobody_else_on_the_machine_can_read_it_also_if_they_could_before(tmp_path: Path) -> None:
    """Hashes of passwords lie in it. A group keeps what it was given."""
    file = tmp_path / "store.db"

    def look() -> set[int]:
        return {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.glob("store.db*")}

    async def modes() -> set[int]:
        async with open_sqlite_store(file):
            return look()

    before = os.umask(0o022)
    try:
        assert asyncio.run(modes()) == {0o600}
        file.chmod(0o644)
        assert asyncio.run(modes()) == {0o640}
    finally:
        os.umask(before)


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _use(path)

    async def main() -> None:
        async with open_sqlite_store(path, readonly=True) as store:
            with pytest.raises(sa.exc.OperationalError, match="readonly"):
                await store.run(lambda tx: tx.save_budget("x", b""))

    asyncio.run(main())


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _use(path)
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE; DELETE FROM prices")
    _use(path, readonly=True)
    writer.close()


def test_another_process_that_holds_the_file_makes_it_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def main() -> None:
        async with open_sqlite_store(path, inline=Inline(), busy_ms=0) as store:
            other = apsw.Connection(str(path))
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable) as caught:
                await store.run(lambda tx: tx.save_budget("x", b""))
            assert caught.value.reason == "busy"
            other.close()
            await store.run(lambda tx: tx.save_budget("x", b""))

    asyncio.run(main())


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _use(path)
    engine = sa.create_engine(f"sqlite:///{path}", module=apsw_dbapi, poolclass=StaticPool)
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []
        assert migrations.version(db) == migrations.HEAD
        with_rowid = db.exec_driver_sql(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT wr "
            "AND name IN ('alerts', 'deliveries')"
        )
        assert with_rowid.all() == []
    engine.dispose()


def test_the_newest_schema_made_at_once_is_what_all_steps_come_to(tmp_path: Path) -> None:
    made = []
    for make in (migrations.create, migrations.take_steps):
        engine = sa.create_engine(
            f"sqlite:///{tmp_path / make.__name__}.db", module=apsw_dbapi, poolclass=StaticPool
        )
        with engine.connect() as db:
            make(db)
            tables = db.exec_driver_sql("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").all()
            seeds = db.exec_driver_sql("SELECT * FROM counters, alembic_version").all()
            assert compare_metadata(MigrationContext.configure(db), metadata) == []
        engine.dispose()
        made.append(([(kind, name, " ".join((sql or "").split())) for kind, name, sql in tables], seeds))
    assert made[0] == made[1]


def test_the_newest_migration_is_the_one_that_is_looked_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


def test_what_a_rule_does_not_use_is_not_written_so_that_the_release_before_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    plain = RuleSpec(name="drops", pairs=("all",), when="price > 1")

    async def save() -> None:
        async with open_sqlite_store(path) as store:
            await store.run(lambda tx: tx.save_rule("local", plain, head=0, now=0))

    asyncio.run(save())
    db = apsw.Connection(str(path))
    ((spec, change),) = db.execute("SELECT rules.spec, rule_changes.rule FROM rules, rule_changes")
    newer = ("expires", "active", "urgent", "remind", "escalate", "resolved")
    assert [name for name in newer if f'"{name}"' in f"{spec}{change}"] == []


def test_a_newer_schema_serves_this_release(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _use(path)
    db = apsw.Connection(str(path))
    db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    _use(path)
