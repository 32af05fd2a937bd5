"""Transactions, the fence, and the effects of a step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import attrgetter

import msgspec
import pytest

from cryptowatcher.domain.alerts import Part
from cryptowatcher.domain.copies import Copies
from cryptowatcher.domain.rules.model import Firing, Lifecycle, TakeUp
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing.contracts.store_case import (
    START,
    StoreCase,
    sample_alert,
    sample_candle,
    sample_delivery,
    sample_price,
)


class StepContract(StoreCase):
    """Transactions, the fence, and the effects of a step."""

    # --- transactions

    def test_what_was_committed_stands_after_opening_again(self) -> None:
        self.in_store(lambda tx: tx.save_budget("coingecko", b"\x00\xff"))
        assert self.in_store(lambda tx: tx.budget("coingecko")) == [b"\x00\xff"]

    def test_a_transaction_that_raises_leaves_nothing_and_raises_the_same(self) -> None:
        def fail(tx: Tx) -> None:
            tx.save_budget("coingecko", b"x")
            raise LookupError("no")

        async def main() -> None:
            async with self.opening() as store:
                with pytest.raises(LookupError, match="no"):
                    await store.run(fail)
                assert await store.run(lambda tx: tx.budget("coingecko")) is None

        asyncio.run(main())

    def test_a_transaction_that_raises_does_not_touch_those_beside_it(self) -> None:
        def save(name: str) -> Callable[[Tx], None]:
            def job(tx: Tx) -> None:
                tx.save_budget(name, b"x")
                if name == "b":
                    raise LookupError(name)

            return job

        async def main() -> None:
            async with self.opening() as store:
                jobs = [store.run(save(name)) for name in "abcd"]
                results = await asyncio.gather(*jobs, return_exceptions=True)
                assert [type(result) for result in results] == [type(None), LookupError, type(None), type(None)]
                saved = await store.run(lambda tx: [tx.budget(name) for name in "abcd"])
                assert saved == [b"x", None, b"x", b"x"]

        asyncio.run(main())

    def test_transactions_are_serialised(self) -> None:
        def count(tx: Tx) -> None:
            tx.save_budget("n", str(int(tx.budget("n") or b"0") + 1).encode())

        async def main() -> None:
            async with self.opening() as store:
                await asyncio.gather(*(store.run(count) for _ in range(50)))
                assert await store.run(lambda tx: tx.budget("n")) == b"50"

        asyncio.run(main())

    def test_two_that_open_at_once_make_one_schema(self) -> None:
        async def use() -> None:
            async with self.opening() as store:
                await store.run(lambda tx: tx.save_budget("x", b"1"))

        async def main() -> None:
            await asyncio.gather(*(use() for _ in range(3)))

        asyncio.run(main())

    # --- the fence

    def test_epochs_grow_for_each_role_by_itself(self) -> None:
        epochs = self.in_store(
            lambda tx: tx.new_epoch("watch"), lambda tx: tx.new_epoch("collect"), lambda tx: tx.new_epoch("watch")
        )
        assert epochs[0] < epochs[2]
        assert epochs[0] == epochs[1]

    def test_a_step_moves_the_cursor(self) -> None:
        def step(tx: Tx) -> tuple[Cursor | None, Cursor | None]:
            before = tx.cursor()
            self.begin(tx)
            return before, tx.cursor()

        assert self.in_store(step) == [(None, START)]

    def test_an_older_epoch_is_fenced_and_writes_nothing(self) -> None:
        def outdated(tx: Tx) -> None:
            epoch = tx.new_epoch("watch")
            tx.new_epoch("watch")
            tx.commit_step(Step(cursor=START, alerts=[sample_alert(1)]), epoch=epoch, before=None)

        self.is_fenced(outdated)

    def test_an_epoch_that_was_never_taken_is_fenced(self) -> None:
        self.is_fenced(lambda tx: tx.commit_step(Step(cursor=START), epoch=0, before=None))

    def test_the_epoch_of_another_role_is_not_ours(self) -> None:
        self.is_fenced(lambda tx: tx.commit_step(Step(cursor=START), epoch=tx.new_epoch("collect"), before=None))

    @pytest.mark.parametrize("before", [None, Cursor("j1", 2, 1000), Cursor("j2", 1, 1000), Cursor("j1", 1, 1001)])
    def test_a_cursor_that_someone_moved_is_fenced_and_writes_nothing(self, before: Cursor | None) -> None:
        def begin_then_step(tx: Tx) -> None:
            epoch = self.begin(tx)
            tx.commit_step(Step(cursor=Cursor("j1", 3, 3), alerts=[sample_alert(1)]), epoch=epoch, before=before)

        self.is_fenced(begin_then_step)

    # --- the effects of a step

    def test_all_effects_of_a_step_are_read_back(self) -> None:
        alerts = [sample_alert(number) for number in range(5)]
        step = Step(
            cursor=Cursor("j1", 2, 2000),
            alerts=alerts,
            deliveries=[sample_delivery(alert) for alert in alerts],
            lifecycle=[Lifecycle(rule="r1", version=1, pair="bitcoin/usd", state="inside", since=5)],
            firings=[
                Firing(
                    rule="r1",
                    pair="bitcoin/usd",
                    last_fired_at=5,
                    fired=1,
                    suppressed=2,
                    busy_until=7,
                    price=0.1,
                    version=3,
                )
            ],
            candles=[sample_candle("bitcoin/usd", 60_000, 0)],
            prices=[sample_price("bitcoin/usd", None)],
            take_ups=[TakeUp(1, 2)],
        )
        self.in_store(lambda tx: self.commit(tx, step))

        def read(tx: Tx) -> None:
            assert tx.cursor() == step.cursor
            assert tx.alerts("local", limit=10) == alerts[::-1]
            assert tx.deliveries("local", limit=10) == [sample_delivery(alert) for alert in alerts[::-1]]
            assert tx.lifecycle() == tx.lifecycle("r1") == step.lifecycle
            assert tx.firings() == tx.firings("r1") == step.firings
            assert (tx.lifecycle("r2"), tx.firings("r2")) == ([], [])
            assert tx.candles("bitcoin/usd", 60_000, start=0, end=1, limit=1) == step.candles
            assert tx.prices() == step.prices
            assert tx.take_ups() == step.take_ups
            assert tx.alert_count() == 5

        self.in_store(read)

    def test_what_many_rules_did_alike_is_read_back_as_if_it_was_written_one_by_one(self) -> None:
        one, other = sample_alert(1), msgspec.structs.replace(sample_alert(2), pair="a/usd", previous=None)
        numbers = range(150)
        alerts = [
            Copies(
                first, {"id": [f"{first.id}-{n:03}" for n in numbers[::-1]], "constant": [n / 7 for n in numbers]}
            )
            for first in (one, other)
        ]
        composite = [(Part("price >= 1", n / 3, 1.0), Part("rank <= 3", None, 3.0)) for n in numbers]
        alerts.append(Copies(one, {"id": [f"z{n}" for n in numbers], "parts": composite}))
        deliveries = [
            Copies(
                sample_delivery(each.first),
                {"id": [f"{id_}~ops" for id_ in each.own["id"]], "alert": each.own["id"]},
            )
            for each in alerts
        ]
        rules = [f"r{n}" for n in numbers]
        stand = Lifecycle(rule="r0", version=1, pair="a/usd", state="inside", since=5)
        fired = Firing(rule="r0", pair="a/usd", last_fired_at=5, fired=1, suppressed=0, price=0.1)
        stood, remembered = Copies(stand, {"rule": rules, "version": [*numbers]}), Copies(fired, {"rule": rules})
        already = Step(
            cursor=Cursor("j1", 2, 2),
            alerts=[msgspec.structs.replace(one, id=f"{one.id}-007", rule_name="kept")],
            firings=[msgspec.structs.replace(fired, rule="r7", fired=9)],
        )
        step = Step(cursor=Cursor("j1", 3, 3), together=[*alerts, stood, remembered, *deliveries])

        def job(tx: Tx) -> None:
            self.commit(tx, already)
            self.commit(tx, step)
            kept = [each for copies in alerts for each in copies if each.id != f"{one.id}-007"] + [*already.alerts]
            assert tx.alerts("local", limit=999) == sorted(kept, key=attrgetter("id"), reverse=True)
            queued = sorted((each for copies in deliveries for each in copies), key=attrgetter("id"), reverse=True)
            assert tx.deliveries("local", limit=999) == queued
            assert tx.lifecycle() == sorted(stood, key=attrgetter("rule"))
            assert tx.firings() == sorted(remembered, key=attrgetter("rule"))

        self.in_store(job)

    def test_of_many_that_are_alike_one_may_be_left(self) -> None:
        alert = sample_alert(1)
        queued = Copies(sample_delivery(alert), {"id": [f"{alert.id}~ops"], "alert": [alert.id]})
        step = Step(cursor=Cursor("j1", 2, 2), together=[Copies(alert, {"id": [alert.id]}), queued])

        def job(tx: Tx) -> None:
            self.commit(tx, step)
            assert tx.alerts("local", limit=9) == [alert]
            assert tx.deliveries("local", limit=9) == [*queued]

        self.in_store(job)

    def test_alerts_and_deliveries_that_are_there_stay_as_they_are(self) -> None:
        alert = sample_alert(1)
        first = Step(cursor=Cursor("j1", 2, 2), alerts=[alert], deliveries=[sample_delivery(alert)])
        changed = msgspec.structs.replace(alert, rule_name="renamed")
        again = Step(
            cursor=Cursor("j1", 3, 3),
            alerts=[changed],
            deliveries=[sample_delivery(alert, due_at=999), sample_delivery(alert, "mail")],
        )

        def job(tx: Tx) -> None:
            self.commit(tx, first)
            self.settle_as(tx, "sent")
            self.commit(tx, again)
            assert tx.alerts("local", limit=9) == [alert]
            states = {delivery.channel: delivery.state for delivery in tx.deliveries("local", limit=9)}
            assert states == {"ops": "sent", "mail": "queued"}

        self.in_store(job)

    def test_lifecycle_firings_prices_and_candles_are_replaced(self) -> None:
        def job(tx: Tx) -> None:
            for n, state in enumerate(("pending", "inside"), 1):
                step = Step(
                    cursor=Cursor("j1", n + 1, n),
                    lifecycle=[Lifecycle(rule="r", version=n, pair="p/usd", state=state, since=n)],  # type: ignore[arg-type]
                    firings=[Firing(rule="r", pair="p/usd", last_fired_at=n, fired=n, suppressed=n)],
                    candles=[sample_candle("p/usd", 60_000, 0, close=n)],
                    prices=[sample_price("p/usd", None, price=n)],
                )
                self.commit(tx, step)
            assert [(row.version, row.state) for row in tx.lifecycle()] == [(2, "inside")]
            assert [row.fired for row in tx.firings()] == [2]
            assert [row.close for row in tx.candles("p/usd", 60_000, start=0, end=1, limit=9)] == [2]
            assert [row.price for row in tx.prices()] == [2]

        self.in_store(job)

    def test_pairs_at_rest_have_no_lifecycle(self) -> None:
        rows = [
            Lifecycle(rule=r, version=1, pair=p, state="inside", since=1) for r in "ab" for p in ("x/usd", "y/usd")
        ]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), lifecycle=rows))
            at_rest = [("b", "x/usd"), ("a", "y/usd"), ("no", "such/usd")]
            self.commit(tx, Step(cursor=Cursor("j1", 3, 3), at_rest=at_rest))
            assert tx.lifecycle() == [rows[0], rows[3]]

        self.in_store(job)

    def test_floats_come_back_bit_for_bit(self) -> None:
        values = [5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1 / 3, 1e-12, 0.0, float("inf")]
        candles = [sample_candle("p/usd", 1, n, close=value) for n, value in enumerate(values)]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), candles=candles))
            stored = [candle.close for candle in tx.candles("p/usd", 1, start=0, end=99, limit=99)]
            assert [value.hex() for value in stored] == [value.hex() for value in values]

        self.in_store(job)
