"""The store on a real PostgreSQL: the contract, two at once, and a lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cryptowatcher.adapters.stores import migrations
from cryptowatcher.adapters.stores.postgres import open_postgres_store
from cryptowatcher.adapters.stores.tables import metadata
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.ports import Cursor, Fenced, Step, Store, Tx
from cryptowatcher.testing.contracts.store import StoreContract
from cryptowatcher.testing.contracts.store_case import sample_alert, sample_delivery


class TestPostgresStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _database(self, new_postgres: Callable[[], str]) -> None:
        self.url = new_postgres()

    def opening(self) -> AbstractAsyncContextManager[Store]:
        return open_postgres_store(self.url)


def test_two_that_start_at_once_make_one_schema(empty_postgres: Callable[[], str]) -> None:
    async def use(url: str) -> None:
        async with open_postgres_store(url) as store:
            await store.run(lambda tx: tx.save_budget("x", b"1"))

    async def main(url: str) -> None:
        await asyncio.gather(*(use(url) for _ in range(3)))

    url = empty_postgres()
    asyncio.run(main(url))
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_all_steps_make_the_tables_too(new_postgres: Callable[[], str]) -> None:
    url = sa.make_url(new_postgres()).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as db:
        migrations.take_steps(db)
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_two_processes_cut_no_bundle(new_postgres: Callable[[], str]) -> None:
    async def work(store: Store, holder: str, found: dict[str, list[Delivery]]) -> None:
        def claim(tx: Tx) -> list[tuple[Delivery, Alert]]:
            tx.form_bundles("ops", now=100, least=5, late=0)
            return tx.claim(now=100, holder=holder, lease=60_000, limit=7)

        while ((await store.run(lambda tx: tx.next_due(only=("ops",)))) or 0) <= 100:  # then all are leased
            for delivery, _ in await store.run(claim):
                found.setdefault(f"{holder} {delivery.bundle}", []).append(delivery)

    async def main(url: str) -> None:
        async with open_postgres_store(url) as one, open_postgres_store(url) as two:
            alerts = [sample_alert(number) for number in range(400)]
            deliveries = [
                msgspec.structs.replace(sample_delivery(alert), created_at=number // 20, due_at=number // 20)
                for number, alert in enumerate(alerts)
            ]
            step = Step(cursor=Cursor("j", 1, 1), alerts=alerts, deliveries=deliveries)
            await one.run(lambda tx: tx.commit_step(step, epoch=tx.new_epoch("watch"), before=None))
            found: dict[str, list[Delivery]] = {}
            await asyncio.gather(work(one, "one", found), work(two, "two", found))
            assert [len(each) for each in found.values()] == [20] * 20
            assert len({each.id for together in found.values() for each in together}) == 400
            assert len({name.split()[1] for name in found}) == 20

    asyncio.run(main(new_postgres()))


def test_two_processes_never_claim_the_same_delivery(new_postgres: Callable[[], str]) -> None:
    async def main(url: str) -> None:
        async with open_postgres_store(url) as one, open_postgres_store(url) as two:
            alerts = [sample_alert(number) for number in range(200)]
            step = Step(cursor=Cursor("j", 1, 1), alerts=alerts, deliveries=[sample_delivery(a) for a in alerts])
            await one.run(lambda tx: tx.commit_step(step, epoch=tx.new_epoch("watch"), before=None))

            async def claim_all(store: Store, holder: str) -> list[str]:
                mine: list[str] = []
                while got := await store.run(lambda tx: tx.claim(now=100, holder=holder, lease=9, limit=7)):
                    mine += [delivery.id for delivery, _ in got]
                return mine

            first, second = await asyncio.gather(claim_all(one, "one"), claim_all(two, "two"))
            assert sorted(first + second) == [sample_delivery(alert).id for alert in alerts]

    asyncio.run(main(new_postgres()))


def test_of_two_processes_at_one_cursor_one_is_fenced(new_postgres: Callable[[], str]) -> None:
    async def main(url: str) -> None:
        async with open_postgres_store(url) as one, open_postgres_store(url) as two:
            epoch = await one.run(lambda tx: tx.new_epoch("watch"))
            before: Cursor | None = None
            for seq in range(1, 20):
                step = Step(cursor=Cursor("j", seq, seq), alerts=[sample_alert(seq)])
                moves = [
                    store.run(lambda tx, s=step, b=before: tx.commit_step(s, epoch=epoch, before=b))  # type: ignore[misc]
                    for store in (one, two)
                ]
                results = await asyncio.gather(*moves, return_exceptions=True)
                assert sorted(type(result).__name__ for result in results) == ["Fenced", "NoneType"]
                before = step.cursor
            with pytest.raises(Fenced):
                await two.run(lambda tx: tx.commit_step(step, epoch=epoch - 1, before=before))

    asyncio.run(main(new_postgres()))


def test_a_lost_connection_is_unavailable_and_then_made_anew(
    new_postgres: Callable[[], str], postgres_server: str
) -> None:
    async def main(url: str) -> None:
        async with open_postgres_store(url) as store:
            await store.run(lambda tx: tx.save_budget("x", b"1"))
            admin = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
            with admin.connect() as db:
                name = sa.make_url(url).database
                ended = sa.text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"
                )
                assert db.execute(ended, {"name": name}).scalars().all() == [True]
            with pytest.raises(Unavailable) as caught:
                await store.run(lambda tx: tx.budget("x"))
            assert caught.value.reason == "store_unreachable"
            assert await store.run(lambda tx: tx.budget("x")) == b"1"

    asyncio.run(main(new_postgres()))


def test_a_server_that_is_not_there_is_unavailable(tmp_path: object) -> None:
    async def main() -> None:
        async with open_postgres_store(f"postgresql://postgres@/x?host={tmp_path}"):
            pass

    with pytest.raises(Unavailable) as caught:
        asyncio.run(main())
    assert caught.value.reason == "store_unreachable"


@pytest.mark.parametrize(
    "url", ["nonsense with secret", "mysql://me:secret@host/db", "postgresql://me:secret@host:x/db"]
)
def test_a_bad_address_is_a_persons_matter_and_is_not_repeated(url: str) -> None:
    async def main() -> None:
        async with open_postgres_store(url):
            pass

    with pytest.raises(ConfigError) as caught:
        asyncio.run(main())
    assert "secret" not in str(caught.value)
