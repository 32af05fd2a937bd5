"""What every store promises, one test a sentence. A test class joins by saying how to open one.

class TestPaperStore(StoreContract):
    def opening(self): return open_paper_store(self.folder)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.deliveries import Delivery, DeliveryState, after_success, delivery_id
from cryptowatcher.domain.rules.model import Firing, Lifecycle, RuleSpec, TakeUp, rule_id
from cryptowatcher.domain.status import BlindPair, Price, SourceStatus
from cryptowatcher.ports import Cursor, Fenced, Step, Store, Tx

T = TypeVar("T")

START = Cursor("j1", 1, 1000)
HOUR = 3_600_000


def sample_alert(number: int, *, rule: str = "r1", pair: str = "bitcoin/usd", owner: str = "local") -> Alert:
    """Another number is another event, a second later."""
    event_time = 1_722_838_500_000 + number * 1000
    return Alert(
        id=alert_id(rule=rule, version=1, pair=pair, kind="edge", event_time=event_time),
        owner=owner,
        rule=rule,
        rule_name="btc drops",
        version=1,
        pair=pair,
        kind="edge",
        event_time=event_time,
        at=event_time + 700,
        seq=12 + number,
        condition="change(5m) <= -5%",
        value=-0.1 - number / 3,
        constant=-0.05,
        previous=None if number % 2 else 0.1,
        price=50_123.456,
        source="coingecko",
        received_at=event_time + 500,
        gap_ms=0,
        advice="buy",
        channels=("ops", "mail ☂"),
        late=number % 3 == 0,
    )


def sample_delivery(alert: Alert, channel: str = "ops", *, due_at: int = 100) -> Delivery:
    return Delivery(
        id=delivery_id(alert.id, channel),
        alert=alert.id,
        owner=alert.owner,
        rule=alert.rule,
        channel=channel,
        created_at=50,
        due_at=due_at,
    )


def sample_price(pair: str, market_cap: float | None, price: float = 1.5) -> Price:
    return Price(
        pair=pair,
        price=price,
        volume_24h=None,
        market_cap=market_cap,
        observed_at=1,
        received_at=2,
        valid_until=3,
        source="coingecko",
        seq=4,
    )


def sample_candle(pair: str, interval: int, start: int, close: float = 2.0) -> Candle:
    return Candle(
        pair=pair,
        interval=interval,
        start=start,
        open=1.0,
        high=3.0,
        low=0.5,
        close=close,
        volume_24h=None,
        ticks=3,
        observed_ms=60_000,
        complete=False,
    )


class StoreContract:
    """Subclasses say how to open the store of one test; opening it again opens the same rows."""

    def opening(self) -> AbstractAsyncContextManager[Store]:
        raise NotImplementedError

    def in_store(self, *jobs: Callable[[Tx], Any]) -> list[Any]:
        """Each job in a transaction of its own."""

        async def main() -> list[Any]:
            async with self.opening() as store:
                return [await store.run(job) for job in jobs]

        return asyncio.run(main())

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
            self._begin(tx)
            return before, tx.cursor()

        assert self.in_store(step) == [(None, START)]

    def test_an_older_epoch_is_fenced_and_writes_nothing(self) -> None:
        def outdated(tx: Tx) -> None:
            epoch = tx.new_epoch("watch")
            tx.new_epoch("watch")
            tx.commit_step(Step(cursor=START, alerts=[sample_alert(1)]), epoch=epoch, before=None)

        self._is_fenced(outdated)

    def test_an_epoch_that_was_never_taken_is_fenced(self) -> None:
        self._is_fenced(lambda tx: tx.commit_step(Step(cursor=START), epoch=0, before=None))

    def test_the_epoch_of_another_role_is_not_ours(self) -> None:
        self._is_fenced(lambda tx: tx.commit_step(Step(cursor=START), epoch=tx.new_epoch("collect"), before=None))

    @pytest.mark.parametrize("before", [None, Cursor("j1", 2, 1000), Cursor("j2", 1, 1000), Cursor("j1", 1, 1001)])
    def test_a_cursor_that_someone_moved_is_fenced_and_writes_nothing(self, before: Cursor | None) -> None:
        def begin_then_step(tx: Tx) -> None:
            epoch = self._begin(tx)
            tx.commit_step(Step(cursor=Cursor("j1", 3, 3), alerts=[sample_alert(1)]), epoch=epoch, before=before)

        self._is_fenced(begin_then_step)

    # --- the effects of a step

    def test_all_effects_of_a_step_are_read_back(self) -> None:
        alerts = [sample_alert(number) for number in range(5)]
        step = Step(
            cursor=Cursor("j1", 2, 2000),
            alerts=alerts,
            deliveries=[sample_delivery(alert) for alert in alerts],
            lifecycle=[Lifecycle(rule="r1", version=1, pair="bitcoin/usd", state="inside", since=5)],
            firings=[Firing(rule="r1", pair="bitcoin/usd", last_fired_at=5, fired=1, suppressed=2)],
            candles=[sample_candle("bitcoin/usd", 60_000, 0)],
            prices=[sample_price("bitcoin/usd", None)],
            take_ups=[TakeUp(1, 2)],
        )
        self.in_store(lambda tx: self._commit(tx, step))

        def read(tx: Tx) -> None:
            assert tx.cursor() == step.cursor
            assert tx.alerts("local", limit=10) == alerts[::-1]
            assert tx.deliveries("local", limit=10) == [sample_delivery(alert) for alert in alerts[::-1]]
            assert tx.lifecycle() == tx.lifecycle("r1") == step.lifecycle
            assert tx.firings() == tx.firings("r1") == step.firings
            assert tx.lifecycle("r2") == tx.firings("r2") == []
            assert tx.candles("bitcoin/usd", 60_000, start=0, end=1, limit=1) == step.candles
            assert tx.prices() == step.prices
            assert tx.take_ups() == step.take_ups
            assert tx.alert_count() == 5

        self.in_store(read)

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
            self._commit(tx, first)
            self._settle_as(tx, "sent")
            self._commit(tx, again)
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
                self._commit(tx, step)
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
            self._commit(tx, Step(cursor=Cursor("j1", 2, 2), lifecycle=rows))
            at_rest = [("b", "x/usd"), ("a", "y/usd"), ("no", "such/usd")]
            self._commit(tx, Step(cursor=Cursor("j1", 3, 3), at_rest=at_rest))
            assert tx.lifecycle() == [rows[0], rows[3]]

        self.in_store(job)

    def test_floats_come_back_bit_for_bit(self) -> None:
        values = [5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1 / 3, 1e-12, 0.0, float("inf")]
        candles = [sample_candle("p/usd", 1, n, close=value) for n, value in enumerate(values)]

        def job(tx: Tx) -> None:
            self._commit(tx, Step(cursor=Cursor("j1", 2, 2), candles=candles))
            stored = [candle.close for candle in tx.candles("p/usd", 1, start=0, end=99, limit=99)]
            assert [value.hex() for value in stored] == [value.hex() for value in values]

        self.in_store(job)

    # --- the outbox

    def test_due_deliveries_are_claimed_in_order_and_only_once(self) -> None:
        def job(tx: Tx) -> None:
            due = {3: 100, 1: 100, 2: 90, 4: 101}
            alerts = {number: sample_alert(number) for number in due}
            deliveries = [sample_delivery(alerts[number], due_at=at) for number, at in due.items()]
            self._commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=list(alerts.values()), deliveries=deliveries))
            claimed = tx.claim(now=100, holder="h", lease=10, limit=2)
            assert [alert for _, alert in claimed] == [alerts[2], alerts[1]]
            assert {(d.state, d.holder, d.leased_until, d.attempts) for d, _ in claimed} == {
                ("leased", "h", 110, 0)
            }
            assert claimed[0][0] in tx.deliveries("local", limit=9)
            assert [alert for _, alert in tx.claim(now=100, holder="i", lease=10, limit=9)] == [alerts[3]]
            assert tx.claim(now=100, holder="j", lease=10, limit=9) == []

        self.in_store(job)

    def test_a_lease_that_has_run_out_is_claimed_again(self) -> None:
        def job(tx: Tx) -> None:
            self._queue(tx, 1)
            tx.claim(now=100, holder="dead", lease=10, limit=9)
            assert tx.claim(now=109, holder="h", lease=10, limit=9) == []
            (again,) = tx.claim(now=110, holder="h", lease=10, limit=9)
            assert (again[0].holder, again[0].leased_until) == ("h", 120)

        self.in_store(job)

    def test_claims_keep_to_the_channels_asked_for(self) -> None:
        def job(tx: Tx) -> None:
            alert = sample_alert(1)
            deliveries = [sample_delivery(alert, name) for name in ("a", "b", "c")]
            self._commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[alert], deliveries=deliveries))
            assert tx.next_due(only=["z"]) is None
            assert tx.next_due(skip=["a", "b", "c"]) is None
            assert tx.next_due(only=["a", "b"], skip=["a"]) == 100

            def channels(**which: Any) -> list[str]:
                return [d.channel for d, _ in tx.claim(now=100, holder="h", lease=9, limit=9, **which)]

            assert channels(only=["z"]) == []
            assert channels(only=["a", "b"], skip=["b"]) == ["a"]
            assert channels(skip=["c"]) == ["b"]
            assert channels() == ["c"]

        self.in_store(job)

    @pytest.mark.parametrize("how", ["paused", "removed"])
    def test_deliveries_of_a_stopped_rule_are_cancelled_instead(self, how: str) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            stopped = tx.save_rule("local", spec, head=0, now=0).id
            alerts = [sample_alert(1, rule=stopped), sample_alert(2, rule="other")]
            deliveries = [sample_delivery(alert) for alert in alerts]
            self._commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=deliveries))
            if how == "paused":
                tx.save_rule("local", msgspec.structs.replace(spec, paused=True), head=0, now=0)
            else:
                tx.remove_rule("local", "drops", head=0, now=0)
            assert [alert for _, alert in tx.claim(now=100, holder="h", lease=9, limit=1)] == alerts[1:]
            assert [(d.state, d.finished_at) for d in tx.deliveries("local", limit=9, alert=alerts[0].id)] == [
                ("cancelled", 100)
            ]

        self.in_store(job)

    def test_settling_replaces_what_is_still_leased_to_the_holder(self) -> None:
        def job(tx: Tx) -> None:
            self._queue(tx, 2)
            first, second = (delivery for delivery, _ in tx.claim(now=100, holder="h", lease=10, limit=9))
            sent = after_success(first, now=105, receipt="200 OK")
            tx.settle([sent])
            assert sent in tx.deliveries("local", limit=9)
            tx.claim(now=110, holder="other", lease=10, limit=9)
            tx.settle([after_success(second, now=111, receipt="too late")])
            (row,) = tx.deliveries("local", limit=9, alert=second.alert)
            assert (row.state, row.holder, row.receipt) == ("leased", "other", "")
            tx.settle([msgspec.structs.replace(sent, receipt="twice")])
            assert tx.deliveries("local", limit=9, alert=first.alert) == [sent]

        self.in_store(job)

    def test_what_other_sides_say_is_storable(self) -> None:
        def job(tx: Tx) -> None:
            self._queue(tx, 1)
            ((delivery, _),) = tx.claim(now=100, holder="h", lease=10, limit=9)
            tx.settle([after_success(delivery, now=105, receipt="nul \x00 half \ud800 ☂")])
            (stored,) = tx.deliveries("local", limit=9)
            assert stored.receipt.startswith("nul ")
            assert stored.receipt.endswith(" ☂")

        self.in_store(job)

    def test_next_due_is_when_the_earliest_unfinished_one_is_due(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.next_due() is None
            self._queue(tx, 2, due_at=(100, 200))
            assert tx.next_due() == 100
            ((delivery, _),) = tx.claim(now=150, holder="h", lease=70, limit=9)
            assert tx.next_due() == 200
            tx.claim(now=200, holder="h", lease=70, limit=9)
            assert tx.next_due() == 220
            tx.settle([after_success(delivery, now=205, receipt="")])
            assert tx.next_due() == 270

        self.in_store(job)

    def test_the_outbox_is_counted_by_state(self) -> None:
        def job(tx: Tx) -> None:
            self._queue(tx, 3)
            ((delivery, _),) = tx.claim(now=100, holder="h", lease=10, limit=1)
            tx.settle([after_success(delivery, now=105, receipt="")])
            counts = tx.outbox_counts()
            assert {state: n for state, n in counts.items() if n} == {"queued": 2, "sent": 1}

        self.in_store(job)

    # --- rules

    def test_a_saved_rule_is_found_by_id_and_by_name(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("bitcoin/usd",), when="price < 3", for_="5m", channels=("ops",))
            rule = tx.save_rule("local", spec, head=7, now=8, origin="config")
            assert (rule.id, rule.owner, rule.version, rule.spec, rule.origin) == (
                rule_id("local", "drops"), "local", 1, spec, "config")  # fmt: skip
            assert tx.rule("local", "drops") == tx.rule("local", rule.id) == rule
            assert tx.rule("someone else", "drops") is None
            assert tx.rule("someone else", rule.id) is None
            (change,) = tx.rule_changes(0)
            assert (change.number, change.rule_id, change.owner) == (1, rule.id, "local")
            assert (change.head, change.saved_at, change.rule) == (7, 8, rule)

        self.in_store(job)

    def test_rules_come_in_order_of_name_and_by_owner(self) -> None:
        def job(tx: Tx) -> None:
            for owner, name in (("a", "zeta"), ("a", "Beta"), ("b", "äther"), ("a", "alpha")):
                tx.save_rule(owner, RuleSpec(name=name, pairs=("all",), when="price > 1"), head=0, now=0)
            assert [rule.spec.name for rule in tx.rules()] == ["Beta", "alpha", "zeta", "äther"]
            assert [rule.spec.name for rule in tx.rules("a")] == ["Beta", "alpha", "zeta"]
            assert tx.rules("c") == []

        self.in_store(job)

    def test_the_same_spec_again_changes_nothing(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            assert tx.save_rule("a", spec, head=0, now=0) == tx.save_rule("a", spec, head=5, now=5)
            assert len(tx.rule_changes(0)) == 1
            tx.save_rule("a", spec, head=6, now=6, origin="config")
            assert [change.rule.origin for change in tx.rule_changes(0) if change.rule] == ["owner", "config"]

        self.in_store(job)

    def test_only_what_makes_a_new_condition_makes_a_new_version(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            versions = [
                tx.save_rule("a", changed, head=0, now=0).version
                for changed in (
                    spec,
                    msgspec.structs.replace(spec, cooldown="5m"),
                    msgspec.structs.replace(spec, when="price > 2"),
                )
            ]
            assert versions == [1, 1, 2]
            assert [change.number for change in tx.rule_changes(0)] == [1, 2, 3]
            assert [change.number for change in tx.rule_changes(2)] == [3]

        self.in_store(job)

    def test_a_removed_rule_is_gone_and_its_removal_is_a_change(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            rule = tx.save_rule("a", spec, head=0, now=0)
            assert not tx.remove_rule("b", "drops", head=1, now=1)
            assert tx.remove_rule("a", rule.id, head=2, now=3)
            assert not tx.remove_rule("a", "drops", head=4, now=4)
            assert tx.rules() == []
            assert tx.rule("a", "drops") is None
            gone = tx.rule_changes(1)
            assert [(change.number, change.rule_id, change.rule, change.head) for change in gone] == [
                (2, rule.id, None, 2)
            ]

        self.in_store(job)

    def test_a_rule_that_comes_again_is_a_new_version(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            first = tx.save_rule("a", spec, head=0, now=0)
            tx.remove_rule("a", "drops", head=0, now=0)
            assert tx.save_rule("a", spec, head=0, now=0).version > first.version

        self.in_store(job)

    # --- checkpoints

    def test_the_newest_checkpoint_at_or_before_a_position_is_found(self) -> None:
        def job(tx: Tx) -> None:
            for seq in (10, 20):
                tx.save_checkpoint(Cursor("j1", seq, seq * 10), 1, b"state %d" % seq)
            assert tx.checkpoint("j1", 1, 9) is None
            assert tx.checkpoint("j1", 1, 19) == (Cursor("j1", 10, 100), b"state 10")
            assert tx.checkpoint("j1", 1, 20) == (Cursor("j1", 20, 200), b"state 20")
            assert tx.checkpoint("j2", 1, 99) is None
            assert tx.checkpoint("j1", 2, 99) is None

        self.in_store(job)

    def test_the_newest_two_checkpoints_are_kept(self) -> None:
        def job(tx: Tx) -> None:
            for seq in (10, 20, 30):
                tx.save_checkpoint(Cursor("j1", seq, 0), 1, b"")
            tx.save_checkpoint(Cursor("j1", 30, 0), 1, b"again")
            assert tx.checkpoint("j1", 1, 19) is None
            assert tx.checkpoint("j1", 1, 29) == (Cursor("j1", 20, 0), b"")
            assert tx.checkpoint("j1", 1, 99) == (Cursor("j1", 30, 0), b"again")

        self.in_store(job)

    # --- sources

    def test_the_status_of_a_source_is_replaced(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.source_statuses() == []
            blind = SourceStatus(
                source="b",
                state="blind",
                reason="timeout",
                since=5,
                blind_pairs=(BlindPair("x/usd", "absent", 3),),
            )
            tx.save_source_status(SourceStatus(source="b", state="starting", since=1))
            tx.save_source_status(SourceStatus(source="a", state="ok", since=2))
            tx.save_source_status(blind)
            assert tx.source_statuses() == [SourceStatus(source="a", state="ok", since=2), blind]

        self.in_store(job)

    def test_the_budget_of_a_source_is_kept(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.budget("a") is None
            tx.save_budget("a", b"1")
            tx.save_budget("a", b"2")
            assert (tx.budget("a"), tx.budget("b")) == (b"2", None)

        self.in_store(job)

    # --- reads

    def test_prices_come_by_market_cap_then_name(self) -> None:
        caps = {"d/usd": None, "a/usd": 1.0, "c/usd": None, "b/usd": 5.0, "B/usd": 5.0}

        def job(tx: Tx) -> None:
            self._commit(
                tx, Step(cursor=Cursor("j1", 2, 2), prices=[sample_price(p, cap) for p, cap in caps.items()])
            )
            assert [price.pair for price in tx.prices()] == ["B/usd", "b/usd", "a/usd", "c/usd", "d/usd"]
            assert [price.pair for price in tx.prices(["d/usd", "no/usd", "a/usd"])] == ["a/usd", "d/usd"]
            assert tx.prices([]) == []
            many = [f"coin-{n}/usd" for n in range(70_000)]
            assert [price.pair for price in tx.prices([*many, "a/usd"])] == ["a/usd"]

        self.in_store(job)

    def test_candles_are_the_newest_of_a_stretch_oldest_first(self) -> None:
        stored = [sample_candle(pair, interval, start * interval) for pair in ("a/usd", "b/usd")
                  for interval in (60_000, HOUR) for start in range(10)]  # fmt: skip

        def job(tx: Tx) -> None:
            self._commit(tx, Step(cursor=Cursor("j1", 2, 2), candles=stored))
            found = tx.candles("a/usd", HOUR, start=2 * HOUR, end=8 * HOUR, limit=4)
            assert [candle.start // HOUR for candle in found] == [4, 5, 6, 7]
            assert {(candle.pair, candle.interval) for candle in found} == {("a/usd", HOUR)}
            assert len(tx.candles("a/usd", HOUR, start=2 * HOUR, end=8 * HOUR, limit=99)) == 6
            assert tx.candles("a/usd", 300_000, start=0, end=99 * HOUR, limit=9) == []

        self.in_store(job)

    def test_old_candles_of_an_interval_are_trimmed(self) -> None:
        stored = [sample_candle(pair, interval, start * interval) for pair in ("a/usd", "b/usd")
                  for interval in (60_000, HOUR) for start in range(5)]  # fmt: skip

        def job(tx: Tx) -> None:
            assert tx.trim_candles(60_000, 99) == 0
            self._commit(tx, Step(cursor=Cursor("j1", 2, 2), candles=stored))
            assert tx.trim_candles(60_000, 3 * 60_000) == 6
            assert tx.trim_candles(60_000, 3 * 60_000) == 0
            for pair in ("a/usd", "b/usd"):
                left = tx.candles(pair, 60_000, start=0, end=HOUR, limit=9)
                assert [candle.start // 60_000 for candle in left] == [3, 4]
                assert len(tx.candles(pair, HOUR, start=0, end=9 * HOUR, limit=9)) == 5

        self.in_store(job)

    def test_alerts_come_newest_first_page_by_page(self) -> None:
        def job(tx: Tx) -> None:
            alerts = [sample_alert(n, rule=f"r{n % 2}", pair=f"p{n % 3}/usd") for n in range(12)]
            others = [sample_alert(n, owner="someone else", rule="r9") for n in range(3)]
            self._commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts + others))
            newest = sorted(alerts, key=lambda alert: alert.id, reverse=True)
            first = tx.alerts("local", limit=5)
            assert first == newest[:5]
            assert tx.alerts("local", limit=5, before=first[-1].id) == newest[5:10]
            assert tx.alerts("local", limit=99, rule="r1") == [a for a in newest if a.rule == "r1"]
            assert tx.alerts("local", limit=99, pair="p2/usd") == [a for a in newest if a.pair == "p2/usd"]
            assert len(tx.alerts("someone else", limit=99)) == 3
            assert tx.alert_count() == 15

        self.in_store(job)

    def test_deliveries_come_newest_first_page_by_page(self) -> None:
        def job(tx: Tx) -> None:
            alerts = [sample_alert(n) for n in range(4)]
            deliveries = [sample_delivery(alert, name) for alert in alerts for name in ("a", "☂")]
            self._commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=deliveries))
            newest = sorted(deliveries, key=lambda each: each.id, reverse=True)
            first = tx.deliveries("local", limit=3)
            assert first == newest[:3]
            assert tx.deliveries("local", limit=99, before=first[-1].id) == newest[3:]
            assert tx.deliveries("local", limit=9, alert=alerts[1].id) == [
                each for each in newest if each.alert == alerts[1].id
            ]
            assert tx.deliveries("local", limit=9, state="sent") == []
            assert len(tx.deliveries("local", limit=9, state="queued")) == 8
            assert tx.deliveries("someone else", limit=9) == []

        self.in_store(job)

    # --- making rows

    def _begin(self, tx: Tx) -> int:
        """The first cursor; the epoch."""
        epoch = tx.new_epoch("watch")
        tx.commit_step(Step(cursor=START), epoch=epoch, before=None)
        return epoch

    def _commit(self, tx: Tx, step: Step) -> None:
        tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor())

    def _queue(self, tx: Tx, count: int, due_at: tuple[int, ...] = (100,)) -> None:
        alerts = [sample_alert(number) for number in range(count)]
        deliveries = [
            sample_delivery(alert, due_at=due_at[number % len(due_at)]) for number, alert in enumerate(alerts)
        ]
        self._commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=deliveries))

    def _settle_as(self, tx: Tx, state: DeliveryState) -> None:
        for delivery, _ in tx.claim(now=100, holder="h", lease=10, limit=99):
            tx.settle([msgspec.structs.replace(delivery, state=state, finished_at=105)])

    def _is_fenced(self, job: Callable[[Tx], None]) -> None:
        async def main() -> None:
            async with self.opening() as store:
                with pytest.raises(Fenced):
                    await store.run(job)
                assert await store.run(lambda tx: (tx.cursor(), tx.alert_count())) == (None, 0)

        asyncio.run(main())
