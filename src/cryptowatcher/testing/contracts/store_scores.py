"""What is kept of signals' worth."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.alerts import Advice, Alert, AlertKind
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.signals import Signal, signal_of
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.ports.scores import Scored
from cryptowatcher.testing.contracts.store_case import HOUR, StoreCase, sample_alert, sample_candle

MINUTE = 60_000


def advised(number: int, advice: Advice = "buy", *, gap_ms: int = 0, rule: str = "r1") -> Alert:
    kind: AlertKind = "gap" if gap_ms else "edge"
    return msgspec.structs.replace(sample_alert(number, rule=rule), advice=advice, gap_ms=gap_ms, kind=kind)


def worth(alert: Alert, horizon: int = HOUR, later: float = 51_000.0) -> Signal:
    return signal_of(alert, later, horizon=horizon, now=5)


class ScoreContract(StoreCase):
    """What is kept of signals' worth."""

    def test_signals_without_a_score_are_found_in_their_order(self) -> None:
        alerts = [advised(number, ("buy", "info", "sell")[number % 3]) for number in range(9)]
        signals = [alert for alert in alerts if alert.advice != "info"]
        upto = alerts[-1].event_time + HOUR

        def job(tx: Tx) -> None:
            assert tx.unscored(HOUR, after="", upto=upto, limit=9) == []
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts))
            assert tx.unscored(HOUR, after="", upto=upto, limit=99) == signals
            assert tx.unscored(HOUR, after="", upto=upto - 1, limit=99) == signals[:-1]
            assert tx.unscored(HOUR, after="", upto=upto, limit=2) == signals[:2]
            assert tx.unscored(HOUR, after=signals[1].id, upto=upto, limit=2) == signals[2:4]
            assert tx.unscored(2 * HOUR, after="", upto=upto, limit=99) == []
            tx.save_signals([worth(signals[0]), worth(signals[2], 2 * HOUR)])
            assert tx.unscored(HOUR, after="", upto=upto, limit=99) == signals[1:]

        self.in_store(job)

    def test_a_signal_found_after_a_gap_is_due_a_horizon_after_it_was_known(self) -> None:
        alert = advised(1, gap_ms=10 * HOUR)

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[alert]))
            due = alert.event_time + 11 * HOUR
            assert tx.unscored(HOUR, after="", upto=due - 1, limit=9) == []
            assert tx.unscored(HOUR, after="", upto=due, limit=9) == [alert]

        self.in_store(job)

    def test_notices_are_no_signals(self) -> None:
        notice = msgspec.structs.replace(advised(1), kind="expired")

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[notice]))
            assert tx.unscored(HOUR, after="", upto=notice.event_time + HOUR, limit=9) == []

        self.in_store(job)

    def test_a_score_is_written_once(self) -> None:
        first, second = (worth(advised(1), later=later) for later in (51_000.0, 99_000.0))
        week = worth(advised(1), 168 * HOUR)

        def job(tx: Tx) -> None:
            tx.save_signals([])
            tx.save_signals([first])
            tx.save_signals([second, week])
            assert tx.signals("r1", 1) == [first, week]

        self.in_store(job)

    def test_the_scores_of_one_version_of_a_rule_are_read(self) -> None:
        rows = [worth(advised(number, rule=rule)) for rule in ("r1", "r2") for number in range(3)]
        changed = [msgspec.structs.replace(row, version=2) for row in rows]

        def job(tx: Tx) -> None:
            tx.save_signals(rows + changed)
            assert tx.signals("r1", 1) == sorted(rows[:3], key=lambda row: row.alert)
            assert tx.signals("r2", 2) == sorted(changed[3:], key=lambda row: row.alert)
            assert tx.signals("r3", 1) == []

        self.in_store(job)

    def test_how_much_is_known_of_each_rule_as_it_stands(self) -> None:
        def job(tx: Tx) -> None:
            specs = [RuleSpec(name=name, pairs=("bitcoin/usd",), when="price > 1") for name in ("one", "two")]
            first, second = (tx.save_rule("local", spec, head=1, now=1) for spec in specs)
            rows = [msgspec.structs.replace(worth(advised(n)), rule=first.id, scored_at=n) for n in range(3)]
            old = msgspec.structs.replace(worth(advised(4)), rule=second.id, version=second.version + 1)
            tx.save_signals([*rows, old])
            assert tx.scored("local") == {first.id: Scored(rows=3, newest=2)}
            assert tx.scored("someone else") == {}
            tx.remove_rule("local", "one", head=2, now=2)
            assert tx.scored("local") == {}

        self.in_store(job)

    def test_scores_go_with_their_alert(self) -> None:
        alerts = [advised(number, gap_ms=number) for number in range(4)]
        rows = [worth(alert, horizon) for alert in alerts for horizon in (HOUR, 24 * HOUR)]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts))
            tx.save_signals(rows)
            tx.trim_alerts(alerts[2].event_time)
            assert tx.signals("r1", 1) == rows[4:]

        self.in_store(job)

    def test_closes_are_columns_of_the_candles_of_a_stretch(self) -> None:
        stored = [
            sample_candle(pair, interval, start * interval, close=float(start))
            for pair in ("a/usd", "b/usd")
            for interval in (MINUTE, HOUR)
            for start in range(5)
        ]

        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), candles=stored))
            ends, closes = tx.closes("a/usd", MINUTE, MINUTE, 4 * MINUTE)
            assert (ends.tolist(), closes.tolist()) == ([2 * MINUTE, 3 * MINUTE, 4 * MINUTE], [1.0, 2.0, 3.0])
            ends, closes = tx.closes("c/usd", MINUTE, 0, 9 * MINUTE)
            assert (len(ends), len(closes), ends.dtype.kind, closes.dtype.kind) == (0, 0, "i", "f")

        self.in_store(job)
