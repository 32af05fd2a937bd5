"""What tidy forgets, a slice at a time."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.deliveries import DeliveryState
from cryptowatcher.domain.rules.model import Rule, RuleSpec, TakeUp
from cryptowatcher.ports import Cursor, Slice, Step, Tx
from cryptowatcher.testing.contracts.store_case import (
    HOUR,
    StoreCase,
    sample_alert,
    sample_candle,
    sample_delivery,
)

MINUTE = 60_000


def saved(tx: Tx, name: str, pairs: tuple[str, ...] = ("all",), cooldown: str = "0s") -> Rule:
    """A rule of that name as it is from now on."""
    spec = RuleSpec(name=name, pairs=pairs, when="price > 1", cooldown=cooldown)
    return tx.save_rule("local", spec, head=0, now=1)


def trimmed(tx: Tx, before: int) -> int:
    """How many changes went."""
    return tx.trim_changes(before).gone


def numbers(tx: Tx) -> list[int]:
    """Of the changes that are there."""
    return [change.number for change in tx.rule_changes(0)]


class TidyContract(StoreCase):
    """What tidy forgets, a slice at a time."""

    # --- candles

    def test_old_candles_of_an_interval_are_trimmed(self) -> None:
        stored = [sample_candle(pair, interval, start * interval) for pair in ("a/usd", "b/usd")
                  for interval in (MINUTE, HOUR) for start in range(5)]  # fmt: skip

        def job(tx: Tx) -> None:
            assert tx.trim_candles(MINUTE, 99) == Slice(gone=0, upto="", more=False)
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), candles=stored))
            assert tx.trim_candles(MINUTE, 3 * MINUTE) == Slice(gone=6, upto="b/usd", more=False)
            assert tx.trim_candles(MINUTE, 3 * MINUTE).gone == 0
            for pair in ("a/usd", "b/usd"):
                left = tx.candles(pair, MINUTE, start=0, end=HOUR, limit=9)
                assert [candle.start // MINUTE for candle in left] == [3, 4]
                assert len(tx.candles(pair, HOUR, start=0, end=9 * HOUR, limit=9)) == 5

        self.in_store(job)

    def test_slices_of_candles_are_bounded_and_come_to_an_end(self) -> None:
        pairs = [f"p{number:03}/usd" for number in range(70)]
        stored = [sample_candle(pair, MINUTE, start * MINUTE) for pair in pairs for start in range(3)]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), candles=stored))
            gone, done = [], Slice(gone=0, upto="", more=True)
            while done.more:
                done = tx.trim_candles(MINUTE, 2 * MINUTE, after=done.upto, limit=7)
                gone.append(done.gone)
            assert max(gone) <= 7
            assert sum(gone) == 140
            assert [len(tx.candles(pair, MINUTE, start=0, end=HOUR, limit=9)) for pair in pairs] == [1] * 70

        self.in_store(job)

    # --- changes of rules

    def test_what_a_rule_was_before_what_it_long_is_goes(self) -> None:
        def job(tx: Tx) -> None:
            edited, kept, listed = (saved(tx, name) for name in ("edited", "kept", "listed"))
            tx.save_watchlist("local", "mine", ["a/usd"], head=0, now=1)
            on_a_list = saved(tx, "listed", pairs=("list(mine)",))  # 4
            assert (on_a_list.id, edited.version) == (listed.id, 1)
            saved(tx, "edited", cooldown="1h")  # 5
            tx.save_watchlist("local", "mine", ["b/usd"], head=0, now=1)  # 6
            tx.remove_rule("local", edited.id, head=0, now=1)  # 7
            saved(tx, "edited")  # 8
            taken = [TakeUp(number, number * 10) for number in range(1, 9)]
            self.commit(tx, Step(cursor=Cursor("j1", 90, 90), take_ups=taken))
            assert tx.trim_changes(40) == Slice(gone=0, upto="", more=False)
            left = {before: (trimmed(tx, before), numbers(tx)) for before in (50, 51, 71, 99)}
            assert left == {
                50: (1, [1, 2, 4, 5, 6, 7, 8]),  # of `listed` the first
                51: (1, [2, 4, 5, 6, 7, 8]),
                71: (2, [2, 6, 7, 8]),
                99: (1, [2, 6, 8]),
            }
            assert [change.rule_id for change in tx.rule_changes(0)] == [kept.id, listed.id, edited.id]
            assert [taken.number for taken in tx.take_ups()] == [2, 6, 8]
            assert tx.last_take_up() == 8

        self.in_store(job)

    def test_a_change_that_was_not_taken_up_yet_makes_nothing_go(self) -> None:
        def job(tx: Tx) -> None:
            saved(tx, "one")
            self.commit(tx, Step(cursor=Cursor("j1", 50, 50), take_ups=[TakeUp(1, 10)]))
            saved(tx, "one", cooldown="1h")
            assert trimmed(tx, 99) == 0
            self.commit(tx, Step(cursor=Cursor("j1", 60, 60), take_ups=[TakeUp(2, 50)]))
            assert trimmed(tx, 99) == 1
            assert numbers(tx) == [2]

        self.in_store(job)

    def test_slices_of_changes_are_bounded_and_come_to_an_end(self) -> None:
        def job(tx: Tx) -> None:
            for number in range(20):
                saved(tx, "one", cooldown=f"{number + 1}m")
            self.commit(
                tx, Step(cursor=Cursor("j1", 50, 50), take_ups=[TakeUp(number, 5) for number in range(1, 21)])
            )
            gone, done = [], Slice(gone=0, upto="", more=True)
            while done.more:
                done = tx.trim_changes(6, limit=7)
                gone.append(done.gone)
            assert gone == [6, 7, 6]
            assert numbers(tx) == [20]

        self.in_store(job)

    def test_in_another_journal_changes_of_the_one_before_go_as_well(self) -> None:
        def job(tx: Tx) -> None:
            saved(tx, "one")
            self.commit(tx, Step(cursor=Cursor("j1", 50, 50), take_ups=[TakeUp(1, 10)]))
            assert trimmed(tx, 40) == 0
            saved(tx, "one", cooldown="1h")
            saved(tx, "one", cooldown="2h")
            self.commit(tx, Step(cursor=Cursor("j2", 4, 52), take_ups=[TakeUp(3, 4)]))
            assert trimmed(tx, 4) == 0
            assert trimmed(tx, 5) == 2  # in this journal nobody ever took the second up
            assert numbers(tx) == [3]

        self.in_store(job)

    # --- alerts

    def test_alerts_before_a_time_go_with_their_deliveries(self) -> None:
        alerts = [sample_alert(number) for number in range(6)]

        def job(tx: Tx) -> None:
            self.queue(tx, 6)
            self.settle_as(tx, "sent")
            before = alerts[4].event_time
            assert tx.trim_alerts(before) == Slice(gone=4, upto=alerts[3].id, more=False)
            assert tx.trim_alerts(before) == Slice(gone=0, upto="", more=False)
            assert tx.alerts("local", limit=9) == [alerts[5], alerts[4]]
            assert [row.alert for row in tx.deliveries("local", limit=9)] == [alerts[5].id, alerts[4].id]
            assert tx.trim_alerts(-5).gone == 0

        self.in_store(job)

    def test_an_alert_stays_while_one_of_its_deliveries_is_on_its_way(self) -> None:
        alerts = [sample_alert(number) for number in range(3)]
        deliveries = [sample_delivery(alert, name) for alert in alerts for name in ("mail", "ops")]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=deliveries))
            everything = alerts[-1].event_time + 1
            assert tx.trim_alerts(everything).gone == 0
            self.settle_some(tx, "mail", "sent")
            assert tx.trim_alerts(everything).gone == 0
            self.settle_some(tx, "ops", "given_up")
            assert tx.trim_alerts(everything).gone == 3
            assert (tx.alert_count(), tx.deliveries("local", limit=9)) == (0, [])

        self.in_store(job)

    def test_alerts_without_deliveries_go_too(self) -> None:
        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[sample_alert(1)]))
            assert tx.trim_alerts(sample_alert(2).event_time).gone == 1

        self.in_store(job)

    def test_the_alerts_of_one_owner_go_and_those_between_them_stay(self) -> None:
        alerts = [sample_alert(number, owner=("local", "system")[number % 2]) for number in range(20)]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts))
            gone, done = [], Slice(gone=0, upto="", more=True)
            while done.more:
                done = tx.trim_alerts(alerts[15].event_time, after=done.upto, limit=4, owner="system")
                gone.append(done.gone)
            assert max(gone) <= 4
            assert sum(gone) == 7
            assert tx.alerts("local", limit=99) == alerts[::2][::-1]
            assert tx.alerts("system", limit=99) == [alerts[19], alerts[17], alerts[15]]

        self.in_store(job)

    def settle_some(self, tx: Tx, channel: str, state: DeliveryState) -> None:
        """Everything that waits for this channel."""
        for delivery, _ in tx.claim(now=100, holder="h", lease=10, limit=99, only=(channel,)):
            tx.settle([msgspec.structs.replace(delivery, state=state, finished_at=105)])
