"""What a summary is made of, and that it is told once."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.alerts import Alert, NoticeKind, alert_id, first_id_at
from cryptowatcher.domain.deliveries import Delivery, DeliveryKind
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.summary import Ended, GivenUp, Mark, Tally
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing.contracts.store_case import (
    HOUR,
    StoreCase,
    sample_alert,
    sample_candle,
    sample_delivery,
    sample_price,
)

ALL = ("", "~")
LATE = 900_000
FIVE = 5 * 60_000


def at(alert: Alert, moment: int, **said: object) -> Alert:
    return msgspec.structs.replace(alert, at=moment, **said)


def notice(kind: NoticeKind, moment: int, owner: str = "local") -> Alert:
    """A notice with its event then, told a second later."""
    id_ = alert_id(rule=owner, version=0, pair="", kind=kind, event_time=moment)
    return at(sample_alert(0, owner=owner), moment + 1000, id=id_, kind=kind, event_time=moment)


class SummaryContract(StoreCase):
    """What a summary is made of."""

    def test_a_mark_is_each_owners_own_and_the_newest(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.summary_mark("local") is None
            tx.mark_summary("local", Mark("daily", 5))
            tx.mark_summary("other", Mark("daily", 9))
            tx.mark_summary("local", Mark("weekly", 4))
            assert tx.summary_mark("local") == Mark("weekly", 4)

        self.in_store(job)

    def test_a_summary_is_told_once_whatever_became_of_it(self) -> None:
        told = notice("summary", 1_000)

        def deliveries(tx: Tx) -> list[Delivery]:
            return tx.deliveries("local", limit=9)

        def job(tx: Tx) -> None:
            tx.tell_summary(told, [sample_delivery(told, "ops")])
            tx.tell_summary(at(told, 7), [sample_delivery(told, "mail"), sample_delivery(told, "ops", due_at=7)])
            assert deliveries(tx) == [sample_delivery(told, "ops")]
            assert tx.alerts_named([told.id, "no"]) == {told.id: told}
            assert tx.alerts("local", limit=9) == []
            assert [row for row, _ in tx.claim(now=100, holder="h", lease=1, limit=9)] != []

        self.in_store(job)

    def test_alerts_of_a_stretch_are_counted_by_rule(self) -> None:
        advices = ("buy", "sell", "info", "buy")
        alerts = [
            at(sample_alert(number), 100 + number, advice=advice, late=number == 2)
            for number, advice in enumerate(advices)
        ]
        others = [
            at(sample_alert(10), 99),
            at(sample_alert(11), 104),
            at(sample_alert(12, owner="other"), 101),
            at(sample_alert(13, rule="r2"), 103, advice="info", late=False),
            notice("blind", 102),
        ]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[*alerts, *others]))
            found = {each.rule: each for each in tx.tally("local", ids=ALL, begin=100, end=104)}
            assert found == {
                "r1": Tally(rule="r1", alerts=4, buys=2, sells=1, late=1, last=alerts[3].id),
                "r2": Tally(rule="r2", alerts=1, buys=0, sells=0, late=0, last=others[3].id),
            }
            cut = first_id_at(alerts[2].event_time)
            parts = [tx.tally("local", ids=ids, begin=100, end=104) for ids in (("", cut), (cut, "~"))]
            assert [sum(each.alerts for each in part) for part in parts] == [2, 3]
            assert tx.tally("nobody", ids=ALL, begin=0, end=2**50) == []

        self.in_store(job)

    def test_what_became_of_deliveries_in_a_stretch_is_counted(self) -> None:
        alerts = [sample_alert(number) for number in range(9)]

        def ended(number: int, finished: int, kind: DeliveryKind = "alert", held: int = 0) -> Delivery:
            sent = sample_delivery(alerts[number])
            return msgspec.structs.replace(
                sent, state="sent", created_at=0, finished_at=finished, kind=kind, held_until=held
            )

        rows = [
            ended(0, LATE - 1),
            ended(1, LATE),
            ended(2, LATE + 1, "reminder"),
            ended(3, LATE + 1, held=2),
            ended(4, 2 * LATE),
            msgspec.structs.replace(ended(5, LATE), owner="other"),
            msgspec.structs.replace(ended(6, LATE), state="cancelled"),
        ]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=rows))
            said = tx.ended("local", ids=ALL, begin=LATE - 1, end=2 * LATE, late_after=LATE)
            assert said == Ended(sent=4, late=2, reminders=1)
            assert tx.ended("local", ids=("", ""), begin=0, end=9 * LATE, late_after=LATE) == Ended()

        self.in_store(job)

    def test_what_was_given_up_is_told_by_channel_with_the_newest_reason(self) -> None:
        alerts = [sample_alert(number) for number in range(5)]

        def job(tx: Tx) -> None:
            rows = [
                msgspec.structs.replace(
                    sample_delivery(alert, channel),
                    state="given_up",
                    finished_at=finished,
                    last_error=f"at {finished}",
                    owner=owner,
                )
                for alert, channel, finished, owner in zip(
                    alerts,
                    ("ops", "mail", "ops", "ops", "ops"),
                    (12, 11, 10, 9, 11),
                    ("local", "local", "local", "local", "other"),
                    strict=True,
                )
            ]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=rows))
            assert tx.given_up("local", 10, 13) == [
                GivenUp(channel="mail", count=1, why="at 11"),
                GivenUp(channel="ops", count=2, why="at 12"),
            ]
            assert tx.given_up("local", 13, 99) == []

        self.in_store(job)

    def test_notices_of_what_is_not_seen_are_found_by_event_and_time(self) -> None:
        notices = [notice("blind", 5_000), notice("back", 6_000), notice("blind", 7_000)]
        others = [notice("blind", 6_500, "other"), notice("expired", 6_600), sample_alert(1)]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[*notices, *others]))
            assert tx.sightings("local", -5, 10_000) == notices
            assert tx.sightings("local", 5_001, 10_000) == notices[1:]
            assert tx.sightings("local", 0, 8_000) == notices[:2]

        self.in_store(job)

    def test_the_pairs_that_rules_look_at_are_known_and_whether_it_is_the_market(self) -> None:
        def save(tx: Tx, name: str, *pairs: str, paused: bool = False) -> None:
            spec = RuleSpec(name=name, pairs=pairs, when="price > 1", paused=paused)
            tx.save_rule("local", spec, head=0, now=0)

        def job(tx: Tx) -> None:
            assert tx.looked_at("local", 9) == ([], False)
            tx.save_watchlist("local", "mine", ["c/usd", "b/usd"], head=0, now=0)
            save(tx, "named", "b/usd", "a/usd")
            save(tx, "listed", "list(mine)")
            save(tx, "paused", "p/usd", paused=True)
            assert tx.looked_at("local", 9) == (["a/usd", "b/usd", "c/usd"], False)
            assert tx.looked_at("other", 9) == ([], False)
            save(tx, "wide", "top(5)")
            assert tx.looked_at("local", 9)[1]
            assert len(tx.looked_at("local", 0)[0]) == 0

        self.in_store(job)

    def test_the_largest_and_their_closes_at_a_time(self) -> None:
        prices = [sample_price(f"p{n}/usd", cap) for n, cap in enumerate((5.0, None, 9.0, 7.0))]
        candles = [
            sample_candle("p0/usd", FIVE, HOUR - FIVE, 1.0),
            sample_candle("p0/usd", FIVE, HOUR - 2 * FIVE, 2.0),
            sample_candle("p0/usd", FIVE, HOUR, 3.0),
            sample_candle("p0/usd", FIVE // 5, HOUR - FIVE // 5, 4.0),
            sample_candle("p1/usd", FIVE, HOUR - 3 * FIVE, 5.0),
            sample_candle("p2/usd", FIVE, HOUR - 4 * FIVE, 6.0),
        ]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), prices=prices, candles=candles))
            assert [price.pair for price in tx.largest(2)] == ["p2/usd", "p3/usd"]
            assert [price.pair for price in tx.largest(9)] == ["p2/usd", "p3/usd", "p0/usd"]
            pairs = [price.pair for price in prices]
            assert tx.closes_by(pairs, HOUR, interval=FIVE, within=2 * FIVE) == {"p0/usd": 1.0, "p1/usd": 5.0}
            assert tx.closes_by(["p1/usd"], HOUR, interval=FIVE, within=FIVE) == {}
            assert tx.closes_by([], HOUR, interval=FIVE, within=FIVE) == {}

        self.in_store(job)
