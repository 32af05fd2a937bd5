"""Late alerts: what a watcher that was blind for a while says once it is told, beside one that was never blind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.records import Body, Fill, Record, Ticks
from cryptowatcher.domain.rules.lifecycle import Standing
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.ticks import TickBatch, one_instant
from cryptowatcher.domain.watcher import Effects, Watcher
from cryptowatcher.testing.recorded import RecordedMarket

M, H = MS["m"], MS["h"]
BEGIN = 1_722_816_000_000
EVERY = 5 * M
VALID_FOR = 2 * EVERY
PAIR = "a/usd"
MORE = int(os.environ.get("EXAMPLES", "1"))

WHEN = (
    "price >= 101", "price < 99", "price > 103", "price crosses above 102", "change(1h) >= 1%", "change(3h) < -1%",
    "change_since(98) >= 5%", "price - 100 > 2", "price > 100 and change(1h) > 0.5%", "price < 98 or price > 102",
)  # fmt: skip


def spec(number: int, when: str, **more: object) -> RuleSpec:
    given = {"name": f"rule {number}", "pairs": (PAIR,), "when": when, "rearm": "0%", **more}
    return msgspec.convert(given, RuleSpec)


class Run:
    """A watcher with rules that are there from the beginning."""

    def __init__(self, specs: Sequence[RuleSpec]) -> None:
        self.watcher = Watcher()
        self.seq = 0
        self.alerts: list[Alert] = []
        self.candles: list[Candle] = []
        self.effects: Effects | None = None
        for number, each in enumerate(specs, 1):
            self.change(number, each)

    def change(self, number: int, each: RuleSpec, *, version: int = 1) -> None:
        rule = Rule(id=f"r{number:012x}", owner="me", version=version, spec=each)
        change = RuleChange(
            number=number + 100 * version, rule_id=rule.id, owner="me", head=self.seq, saved_at=0, rule=rule
        )
        self.watcher.take_up(change, self.seq)

    def step(self, body: Body, at: int) -> None:
        self.seq += 1
        self.watcher.step(Record(seq=self.seq, at=at, writer="w", number=self.seq, body=body))
        self.effects = self.watcher.effects()
        self.alerts += self.effects.alerts
        self.candles += self.effects.candles

    def see(self, time: int, price: float) -> None:
        self.step(Ticks(one_instant({PAIR: price}, observed_at=time, valid_for=VALID_FOR)), time)

    def tell(self, points: Sequence[tuple[int, float]], *, at: int, interval: int = EVERY) -> None:
        self.step(Fill(history(points, 2 * interval), interval), at)

    @property
    def late(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.late]


def history(points: Sequence[tuple[int, float]], valid_for: int) -> TickBatch:
    unsaid = np.full(len(points), np.nan)
    return TickBatch(
        source="told",
        pairs=(PAIR,),
        pair=np.zeros(len(points), np.int64),
        price=np.array([price for _, price in points]),
        volume=unsaid,
        market_cap=unsaid,
        observed_at=np.array([time for time, _ in points], np.int64),
        starts=np.zeros(1, np.int64),
        received_at=7,
        valid_for=valid_for,
    )


def walk(random: Random, steps: int) -> list[tuple[int, float]]:
    price, points = 100.0, []
    for step in range(steps):
        price *= 1 + random.gauss(0, 0.004)
        points.append((BEGIN + step * EVERY, round(price, 2)))
    return points


@pytest.mark.parametrize("seed", range(8 * MORE))
def test_late_alerts_are_those_of_a_watcher_that_was_never_blind(seed: int) -> None:
    random = Random(seed)
    points = walk(random, 150)
    first = random.randint(40, 80)
    end = first + random.randint(4, 50)
    told = points[first + 1 : end]
    specs = [spec(number, when, **{"for": random.choice(("0s", "0s", "15m"))}) for number, when in enumerate(WHEN)]
    seeing, blind = Run(specs), Run(specs)
    for point in points[: first + 1]:
        seeing.see(*point)
        blind.see(*point)
    before = standings(blind, len(specs))
    for point in points[first + 1 : end + 1]:
        seeing.see(*point)
    blind.see(*points[end])
    behind = list(blind.alerts)
    for point in points[end + 1 : end + 10]:
        blind.see(*point)
    after = standings(blind, len(specs))
    blind.tell(told, at=points[end + 9][0])
    assert standings(blind, len(specs)) == after
    start = points[first][0]
    for number, each in enumerate(specs):
        rule = f"r{number + 1:012x}"
        expected = [
            alert for alert in seeing.alerts if alert.rule == rule and start < alert_time(alert) < points[end][0]
        ]
        found = [alert for alert in blind.late if alert.rule == rule]
        live = [alert for alert in behind if alert.rule == rule and alert.seq == first + 2]
        assert len(found) <= 1
        for alert in found:
            assert alert.id in (
                alert_id(rule=rule, version=1, pair=PAIR, kind="gap", event_time=start),
                alert_id(rule=rule, version=1, pair=PAIR, kind="edge", event_time=alert_time(alert)),
            )
            assert (alert_time(alert), alert.price, alert.value) in [
                (alert_time(other), other.price, other.value) for other in expected
            ]
        if before[number] is None and expected and not live:
            assert found, (each.when, expected[0])
            assert alert_time(found[0]) == alert_time(expected[0])
        if before[number] is None and live and each.for_ == "0s":
            assert live[0].id == alert_id(rule=rule, version=1, pair=PAIR, kind="gap", event_time=start)


def alert_time(alert: Alert) -> int:
    """When it is shown to have fired."""
    return alert.event_time + alert.gap_ms


def standings(run: Run, rules: int) -> list[Standing | None]:
    places = [run.watcher.engine.place(f"r{number + 1:012x}", PAIR) for number in range(rules)]
    return [place.standing for place in places if place is not None]


def blinded(*specs: RuleSpec, gap: int = 2 * H, after: float = 100.0) -> Run:
    """Seen for an hour, not seen for some time, and seen again."""
    run = Run(specs)
    for step in range(13):
        run.see(BEGIN + step * EVERY, 100.0)
    run.see(BEGIN + H + gap, after)
    return run


SPIKE = [(BEGIN + H + step * EVERY, 110.0 if step == 9 else 100.0) for step in range(1, 24)]
UP = "price > 105"


def test_a_spike_inside_a_gap_is_told_late_and_once() -> None:
    run = blinded(spec(1, UP))
    for _ in range(2):
        run.tell(SPIKE, at=BEGIN + 4 * H)
    (alert,) = run.late
    assert (alert.kind, alert.event_time, alert.gap_ms) == ("gap", BEGIN + H, 9 * EVERY)
    assert (alert.value, alert.previous, alert.price, alert.source, alert.received_at) == (
        110.0, 100.0, 110.0, "told", 7)  # fmt: skip
    assert (alert.at, alert.seq) == (BEGIN + 4 * H, 15)


def test_a_late_alert_leaves_the_rule_as_it_stands() -> None:
    run = blinded(spec(1, UP, cooldown="1d"))
    run.tell(SPIKE, at=BEGIN + 4 * H)
    assert run.effects is not None
    assert not run.effects.firings
    assert not run.effects.lifecycle
    run.see(BEGIN + 4 * H, 120.0)
    assert [alert.late for alert in run.alerts] == [True, False]


def test_what_was_told_behind_the_gap_is_not_told_again() -> None:
    run = blinded(spec(1, UP), after=110.0)
    run.tell(SPIKE, at=BEGIN + 4 * H)
    (alert,) = run.alerts
    assert not alert.late


def test_a_rule_that_counts_from_its_last_alert_says_nothing_late() -> None:
    run = blinded(spec(1, "change_since_alert(100) >= 5%"))
    run.tell(SPIKE, at=BEGIN + 4 * H)
    assert not run.alerts


def test_what_crosses_with_the_first_point_of_a_gap_is_held_against_what_was_before_it() -> None:
    run = blinded(spec(1, "price crosses above 105 and price < 200"))
    run.tell([(BEGIN + H + EVERY, 110.0), (BEGIN + H + 2 * EVERY, 100.0)], at=BEGIN + 4 * H)
    (alert,) = run.late
    assert alert.gap_ms == EVERY


def test_a_rule_that_came_to_its_end_in_a_gap_is_told_late_of_what_was_before() -> None:
    run = blinded(spec(1, UP, expires="2024-08-05T02:00Z"), after=110.0)
    run.tell(SPIKE, at=BEGIN + 4 * H)
    (alert,) = run.alerts
    assert (alert.late, alert.gap_ms) == (True, 9 * EVERY)


@pytest.mark.parametrize(("cooldown", "told"), [("100m", 1), ("101m", 0)])
def test_a_cooldown_ends_in_a_gap_as_it_ends_live(cooldown: str, told: int) -> None:
    run = Run([spec(1, UP, cooldown=cooldown)])
    for step in range(13):
        run.see(BEGIN + step * EVERY, 110.0 if step == 1 else 100.0)
    run.see(BEGIN + 3 * H, 100.0)
    run.tell(SPIKE, at=BEGIN + 4 * H)
    assert len(run.late) == told


def test_what_still_holds_behind_a_gap_is_told_late_under_the_id_that_it_would_have_there() -> None:
    run = blinded(spec(1, "change(1h) >= 5%"), gap=90 * 60_000, after=110.0)
    run.tell([(time, 110.0 if time >= SPIKE[8][0] else 100.0) for time, _ in SPIKE[:17]], at=BEGIN + 4 * H)
    (alert,) = run.late
    gap = alert_id(rule=alert.rule, version=1, pair=PAIR, kind="gap", event_time=BEGIN + H)
    assert (alert.gap_ms, alert.id) == (9 * EVERY, gap)


def test_nothing_longer_ago_than_a_day_is_told() -> None:
    run = blinded(spec(1, UP))
    run.tell(SPIKE, at=SPIKE[8][0] + 24 * H)
    assert not run.alerts
    run = blinded(spec(1, UP))
    run.tell(SPIKE, at=SPIKE[8][0] + 24 * H - 1)
    assert run.late


def test_a_rule_that_began_in_the_gap_or_later_has_nothing_to_say_of_it() -> None:
    run = Run([])
    for step in range(13):
        run.see(BEGIN + step * EVERY, 100.0)
    run.change(1, spec(1, UP))
    run.see(BEGIN + 3 * H, 100.0)
    run.change(2, spec(2, UP))
    run.see(BEGIN + 3 * H + EVERY, 100.0)
    run.tell(SPIKE, at=BEGIN + 4 * H)
    assert not run.alerts


@pytest.mark.parametrize(
    "more",
    [{"paused": True}, {"repeat": "once"}, {"expires": "2024-08-05T01:30Z"}, {"cooldown": "1d"}],
    ids=lambda more: next(iter(more)),
)
def test_a_rule_that_may_not_speak_says_nothing_late(more: dict[str, object]) -> None:
    """It fired before the gap; and what it is not allowed to do live it does not late."""
    run = Run([spec(1, UP, **more)])
    for step, price in enumerate((100.0, 110.0, 100.0, 100.0)):
        run.see(BEGIN + (step + 9) * EVERY, price)
    run.see(BEGIN + 3 * H, 100.0)
    run.tell(SPIKE, at=BEGIN + 4 * H)
    assert not run.late


def test_before_the_first_observation_nothing_fires() -> None:
    run = blinded(spec(1, UP))
    run.tell([(BEGIN - step * EVERY, 110.0) for step in range(1, 50)], at=BEGIN + 4 * H)
    assert not run.alerts


def test_history_becomes_candles_where_nothing_was_seen() -> None:
    run = blinded(gap=5 * H)
    run.tell([(BEGIN + H + step * EVERY, 100.0 + step) for step in range(1, 60)], at=BEGIN + 7 * H)
    told = [candle for candle in run.candles if candle.interval == H and candle.start >= BEGIN + 2 * H]
    assert [(candle.start, candle.open, candle.close, candle.ticks) for candle in told[:2]] == [
        (BEGIN + 2 * H, 113.0, 124.0, 12), (BEGIN + 3 * H, 125.0, 136.0, 12)]  # fmt: skip
    assert all(candle.observed_ms == H and candle.complete for candle in told)
    assert not [candle for candle in run.candles if candle.interval == M and candle.start > BEGIN + 2 * H]
    seen = {(candle.interval, candle.start) for candle in run.candles}
    assert len(seen) == len(run.candles)


CANDLES = Path(__file__).parents[3] / "shared/data/candles"
BEFORE = 1_722_816_000_000 - 4 * H  # the fifth of August 2024, the deepest day of that year


@pytest.mark.skipif(not CANDLES.exists(), reason="no recorded data")
@pytest.mark.parametrize("hours", [(6, 9), (5, 13), (10, 20)])
def test_a_recorded_crash_that_nobody_watched_is_told_late(hours: tuple[int, int]) -> None:
    """Prices of the fifth of August 2024, with hours cut out of them and told afterwards."""
    market = RecordedMarket(
        [CANDLES / "binance_BTCUSDT_5m_2024-01_2024-09.parquet"], start_ms=BEFORE, begin=BEFORE
    )
    times = np.arange(BEFORE, BEFORE + 24 * H, EVERY)
    points = list(zip(times.tolist(), market.chart(0, times).tolist(), strict=True))
    first, end = (hour * H // EVERY for hour in hours)
    lowest = min(price for _, price in points[first + 1 : end])
    levels = enumerate(np.linspace(lowest, 58_000, 6)[1:])
    specs = [
        *(spec(number, f"price < {round(level)}") for number, level in levels),
        spec(5, "change(1h) < -2%"), spec(6, "change(3h) < -5%"), spec(7, "price < 1"),
    ]  # fmt: skip
    seeing, blind = Run(specs), Run(specs)
    for place, point in enumerate(points):
        seeing.see(*point)
        if not first < place < end:
            blind.see(*point)
        if place == end + 2:
            blind.tell(points[first + 1 : end], at=point[0])
    start = points[first][0]
    expected: dict[str, int] = {}
    for alert in seeing.alerts:
        if start < alert_time(alert) < points[end][0]:
            expected.setdefault(alert.rule, alert_time(alert))
    behind = {alert.rule for alert in blind.alerts if alert.kind == "gap" and not alert.late}
    late = {alert.rule: alert_time(alert) for alert in blind.late}
    assert expected
    assert {rule: time for rule, time in expected.items() if rule not in behind} == {
        rule: time for rule, time in late.items() if rule not in behind
    }
    assert all(expected[rule] == time for rule, time in late.items())
    assert late.keys() | behind >= expected.keys()


def test_what_fires_behind_a_gap_is_not_lost_to_what_was_over_inside_it() -> None:
    """A fall, a recovery, and a fall that goes on to the gap's end are two alerts with two ids."""
    run = Run([spec(0, "change(1h) <= -5%")])
    for number in range(30):
        run.see(BEGIN + number * EVERY, 100.0)
    start = BEGIN + 29 * EVERY
    inside = [*[100.0] * 14, *[90.0] * 6, *[100.0] * 40, *[92.0] * 4]
    end = start + (len(inside) + 1) * EVERY
    run.see(end, 92.0)
    run.tell([(start + (number + 1) * EVERY, price) for number, price in enumerate(inside)], at=end)
    run.see(end + EVERY, 92.0)
    ids = [alert.id for alert in run.alerts]
    assert (len(run.late), len(ids), len(set(ids))) == (1, 2, 2)
