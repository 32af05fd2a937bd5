"""What is known of sources, and what people ask."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.status import BlindPair, SourceStatus
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing.contracts.store_case import (
    HOUR,
    StoreCase,
    sample_alert,
    sample_candle,
    sample_delivery,
    sample_price,
)


class ReadContract(StoreCase):
    """What is known of sources, and what people ask."""

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
            tx.save_budget("a", b"kept")
            tx.forget_sources(["b"])
            assert tx.source_statuses() == [blind]
            assert tx.budget("a") == b"kept"

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
            self.commit(
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
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), candles=stored))
            found = tx.candles("a/usd", HOUR, start=2 * HOUR, end=8 * HOUR, limit=4)
            assert [candle.start // HOUR for candle in found] == [4, 5, 6, 7]
            assert {(candle.pair, candle.interval) for candle in found} == {("a/usd", HOUR)}
            assert len(tx.candles("a/usd", HOUR, start=2 * HOUR, end=8 * HOUR, limit=99)) == 6
            assert tx.candles("a/usd", 300_000, start=0, end=99 * HOUR, limit=9) == []

        self.in_store(job)

    def test_candles_are_read_as_columns_too(self) -> None:
        said = msgspec.structs.replace(sample_candle("a/usd", 60_000, 120_000, 2.5), volume_24h=7.0)
        stored = [
            *(sample_candle(pair, interval, start * interval) for pair in ("a/usd", "b/usd")
              for interval in (60_000, HOUR) for start in (1, 3, 4)),
            said,
        ]  # fmt: skip

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), candles=stored))
            found = tx.candle_columns("a/usd", 60_000, start=60_000, end=240_000)
            assert (len(found), found.start.tolist()) == (3, [60_000, 120_000, 180_000])
            assert (found.high.tolist(), found.low.tolist()) == ([3.0] * 3, [0.5] * 3)
            assert (found.close.tolist(), str(found.volume_24h.tolist())) == ([2.0, 2.5, 2.0], "[nan, 7.0, nan]")
            nothing = tx.candle_columns("c/usd", 60_000, start=0, end=9 * HOUR)
            assert (len(nothing), nothing.start.dtype.kind, nothing.close.dtype.kind) == (0, "i", "f")
            starts, observed = tx.watched("a/usd", 60_000, start=60_000, end=240_000)
            assert sorted(zip(starts.tolist(), observed.tolist(), strict=True)) == [
                (60_000, 60_000), (120_000, 60_000), (180_000, 60_000)
            ]  # fmt: skip
            assert [len(column) for column in tx.watched("c/usd", 60_000, start=0, end=9 * HOUR)] == [0, 0]
            assert tx.oldest_candle("a/usd", 60_000, start=0) == 60_000
            assert tx.oldest_candle("a/usd", 60_000, start=180_001) == 240_000
            assert tx.oldest_candle("a/usd", HOUR, start=9 * HOUR) is None

        self.in_store(job)

    def test_alerts_come_newest_first_page_by_page(self) -> None:
        def job(tx: Tx) -> None:
            alerts = [sample_alert(n, rule=f"r{n % 2}", pair=f"p{n % 3}/usd") for n in range(12)]
            others = [sample_alert(n, owner="someone else", rule="r9") for n in range(3)]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts + others))
            newest = sorted(alerts, key=lambda alert: alert.id, reverse=True)
            first = tx.alerts("local", limit=5)
            assert first == newest[:5]
            assert tx.alerts("local", limit=5, before=first[-1].id) == newest[5:10]
            assert tx.alerts("local", limit=99, rule="r1") == [a for a in newest if a.rule == "r1"]
            assert tx.alerts("local", limit=99, pair="p2/usd") == [a for a in newest if a.pair == "p2/usd"]
            assert tx.alerts("local", limit=99, since=newest[3].id) == newest[:4]
            assert tx.alerts("local", limit=99, since=newest[3].id, before=newest[1].id) == newest[2:4]
            assert len(tx.alerts("someone else", limit=99)) == 3
            assert tx.alert_count() == 15

        self.in_store(job)

    def test_alerts_are_picked_by_advice_kind_and_whether_they_were_acknowledged(self) -> None:
        def job(tx: Tx) -> None:
            advice: tuple[Advice, ...] = ("buy", "sell", "info")
            alerts = [msgspec.structs.replace(sample_alert(n), advice=advice[n % 3]) for n in range(6)]
            blind = msgspec.structs.replace(sample_alert(9), kind="blind")
            theirs = sample_alert(8, owner="someone else")
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[*alerts, blind, theirs]))
            assert tx.alerts("local", limit=99, advice=("buy", "sell")) == [alerts[n] for n in (4, 3, 1, 0)]
            assert tx.alerts("local", limit=99, advice=["info"]) == [alerts[5], alerts[2]]
            assert tx.alerts("local", limit=99, advice=()) == []
            assert tx.alerts("local", limit=99, kinds=["blind"]) == [blind]
            assert tx.alerts("local", limit=2, kinds=("edge", "blind")) == [blind, alerts[5]]
            assert tx.alerts("local", limit=99, kinds=["gap"]) == []
            tx.acknowledge("local", [alerts[1].id, alerts[4].id], 7)
            tx.acknowledge("someone else", [theirs.id], 7)
            assert tx.alerts("local", limit=99, acknowledged=True) == [alerts[4], alerts[1]]
            assert tx.alerts("local", limit=99, acknowledged=False) == [alerts[n] for n in (5, 3, 2, 0)]
            assert tx.alerts("someone else", limit=99, acknowledged=True) == [theirs]

        self.in_store(job)

    def test_deliveries_come_newest_first_page_by_page(self) -> None:
        def job(tx: Tx) -> None:
            alerts = [sample_alert(n) for n in range(4)]
            deliveries = [sample_delivery(alert, name) for alert in alerts for name in ("a", "☂")]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=deliveries))
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
