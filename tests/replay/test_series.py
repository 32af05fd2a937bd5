"""The series form, which replay uses, against the watcher that steps instant by instant: the same to the bit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.records import Ticks
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.rules.series import run_series
from cryptowatcher.domain.ticks import TickBatch, one_instant
from cryptowatcher.domain.watcher import Watcher
from cryptowatcher.replay import read_candles, records, rules_of
from tests.domain.journals import BEGIN, MINUTE, Journey, Rows, batch_of, examples, journey, journeys
from tests.domain.test_engine import ways_of

CANDLES = Path(__file__).parents[3] / "shared/data/candles"
CRASH = 1_722_816_000_000  # 2024-08-05
AFTER_A_GAP = 1_722_470_400_000  # 2024-08-01: nothing was recorded for the 25 days before
recorded_data = pytest.mark.skipif(not CANDLES.exists(), reason="no recorded data")


def stepped(rules: list[Rule], batch: TickBatch) -> list[Alert]:
    """The alerts of the watcher, which sees one instant after the other."""
    watcher = Watcher(candles=False)
    for number, rule in enumerate(rules, start=1):
        change = RuleChange(number=number, rule_id=rule.id, owner=rule.owner, head=0, saved_at=0, rule=rule)
        watcher.take_up(change, 0)
    for record in records(batch):
        watcher.step(record)
    return [*watcher.effects().alerts]


def agree(rules: list[Rule], batch: TickBatch) -> list[Alert]:
    """Both forms, compared byte for byte."""
    alerts = run_series(rules, batch)
    assert msgspec.json.encode(alerts) == msgspec.json.encode(stepped(rules, batch))
    return alerts


# --- rules -----------------------------------------------------------------------------------------


def joined(made: Journey) -> tuple[list[Rule], TickBatch]:
    """The ticks of a random journal as one batch, and the rules that were there from its beginning."""
    batches = [record.body.batch for record in made.records if isinstance(record.body, Ticks)]
    instants = [rows_of(instant) for batch in batches for instant in batch.instants()]
    valid_for = min((batch.valid_for for batch in batches), default=MINUTE)
    rules = [change.rule for change in made.changes if change.head == 0 and change.rule is not None]
    return rules, batch_of(instants, received_at=BEGIN, valid_for=valid_for)


def rows_of(instant: TickBatch) -> Rows:
    return [*zip(instant.names(), instant.price.tolist(), instant.observed_at.tolist(), strict=True)]


def made(seed: int) -> Journey:
    return journey(Random(seed), records=60, rules=12, most_instants=3, ages=False, ranks=False)


def has_ticks(made: Journey) -> bool:
    return any(isinstance(record.body, Ticks) for record in made.records)


@examples(60)
@given(journeys(records=60, ages=False, ranks=False).filter(has_ticks))
def test_a_pair_at_a_time_gives_the_alerts_of_an_instant_at_a_time(made: Journey) -> None:
    agree(*joined(made))


@examples(10)
@given(journeys(rules=60, records=20, ages=False, ranks=False).filter(has_ticks))
def test_many_rules_are_told_apart(made: Journey) -> None:
    agree(*joined(made))


def test_the_random_batches_make_rules_fire_in_every_way() -> None:
    """Guards the tests above: agreement about nothing would prove nothing."""
    found: Counter[str] = Counter()
    for seed in range(30):
        rules, batch = joined(made(seed))
        specs = {rule.id: rule.spec for rule in rules}
        for alert in agree(rules, batch):
            spec = specs[alert.rule]
            found.update(ways_of(alert))
            found["held"] += spec.for_ != "0s"
            found["cooled down"] += spec.cooldown != "0s"
            found["once"] += spec.repeat == "once"
            found["of all pairs"] += spec.pairs == ("all",)
            found["of named pairs"] += spec.pairs != ("all",)
    kinds = [f"{kind} {number}" for kind in ("edge", "gap", "already") for number in ("one", "several")]
    parts = ("crosses", "high", "ratio", "after some were held back", "with a part unknown")
    ways = (*kinds, *parts, "held", "cooled down", "once", "of all pairs", "of named pairs")
    assert all(found[way] >= 5 for way in ways), found


def test_alerts_of_one_instant_come_by_rule_and_then_by_pair() -> None:
    specs = [RuleSpec(name=name, pairs=("all",), when="price > 1", fire_if_already_true=True) for name in "xyz"]
    rules = rules_of(specs)
    alerts = agree(rules, one_instant({"b/usd": 2.0, "a/usd": 2.0, "c/usd": 0.5}, observed_at=BEGIN))
    expected = [(rule, pair) for rule in sorted(rule.id for rule in rules) for pair in ("a/usd", "b/usd")]
    assert [(alert.rule, alert.pair) for alert in alerts] == expected


def test_a_cooldown_runs_by_the_time_of_the_observation_not_by_that_of_the_record() -> None:
    """The second pair of each instant was observed long before the first, whose time is that of the record."""
    price = {0: 1.0, 1: 3.0, 2: 1.0, 3: 3.0, 4: 1.0, 5: 3.0}
    instants: list[Rows] = [
        [("a/usd", 1.0, BEGIN + n * MINUTE), ("b/usd", price[n], BEGIN - 90_000_000 + n * 1_000)] for n in price
    ]
    batch = batch_of(instants, received_at=BEGIN, valid_for=5 * MINUTE)
    rules = rules_of([RuleSpec(name="x", pairs=("b/usd",), when="price > 2", cooldown="3m")])
    assert [alert.seq for alert in agree(rules, batch)] == [2]


def test_the_time_of_the_records_is_that_of_their_first_observations_and_does_not_go_back() -> None:
    early, late = BEGIN - MINUTE, BEGIN + MINUTE
    instants: list[Rows] = [
        [("a/usd", 1.0, BEGIN), ("b/usd", 1.0, late)],
        [("b/usd", 1.0, early), ("a/usd", 1.0, late)],
        [("a/usd", 1.0, late)],
    ]
    batch = batch_of(instants, received_at=BEGIN, valid_for=MINUTE)
    assert [(record.seq, record.at) for record in records(batch)] == [(1, BEGIN), (2, BEGIN), (3, late)]


def test_nothing_comes_of_no_rules_of_paused_ones_and_of_pairs_that_are_not_there() -> None:
    batch = one_instant({"a/usd": 2.0}, observed_at=BEGIN)
    paused = RuleSpec(name="p", pairs=("all",), when="price > 1", fire_if_already_true=True, paused=True)
    absent = RuleSpec(name="q", pairs=("z/usd",), when="price > 1", fire_if_already_true=True)
    assert agree([], batch) == []
    assert agree(rules_of([paused, absent]), batch) == []


def test_progress_is_told_in_ticks_up_to_the_last() -> None:
    told: list[tuple[int, int]] = []
    rules, batch = joined(made(1))
    run_series(rules, batch, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (len(batch), len(batch))
    assert len(told) == len(batch.pairs)


# --- recorded data ---------------------------------------------------------------------------------

WHEN = (
    *("price > {up}", "price crosses below {down}", "change(5m) <= -0.5%", "change(15m) >= 1%"),
    *("change(1h) <= -2%", "change(4h) >= 3%", "change(24h) < -5%", "change(7d) > 10%"),
    *("price >= high(1h) and change(15m) > 0.5%", "change(5m) < -0.3% or drawdown(1h) > 1.5%"),
    *("price crosses above 1.01 * low(1h) and not change(1h) < 0%", "abs(change(5m)) > 0.5 * range(1h)"),
)


OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"for_": "15m", "rearm": "1%"},
    {"cooldown": "6h", "rearm": "0%"},
    {"repeat": "once", "for_": "1h"},
    {"fire_if_already_true": True, "rearm": "20%"},
    {"pairs": ("btc/usdt",), "cooldown": "10m"},
)


def mixed(batch: TickBatch) -> list[Rule]:
    """Each condition with each kind of life-cycle; prices around the middle of all."""
    middle = float(np.median(batch.price))
    specs = [
        msgspec.structs.replace(
            RuleSpec(name=f"{when} {number}", pairs=("all",), when=when.format(up=middle * 1.01, down=middle)),
            **option,
        )
        for when in WHEN
        for number, option in enumerate(OPTIONS)
        if not ("fire_if_already_true" in option and "crosses" in when)
    ]
    return rules_of(specs)


def part(batch: TickBatch, first: int, instants: int) -> TickBatch:
    """Some instants of a long batch."""
    starts = np.append(batch.starts, len(batch))[first : first + instants + 1]
    rows = slice(int(starts[0]), int(starts[-1]))
    return msgspec.structs.replace(batch.rows(rows), starts=starts[:-1] - starts[0])


@recorded_data
@pytest.mark.parametrize("year", ["2024-01_2024-09", "2025-09-25_10-25_MIT"])
def test_bitcoin_as_it_was_recorded_gives_the_same_both_ways(year: str) -> None:
    batch = read_candles([CANDLES / f"binance_BTCUSDT_5m_{year}.parquet"], pair="btc/usdt")
    alerts = agree(mixed(batch), part(batch, len(batch) // 2, 2_500))
    assert len({alert.rule for alert in alerts}) > 15


@recorded_data
@pytest.mark.parametrize(
    ("day", "kinds"), [(CRASH, {"edge", "already"}), (AFTER_A_GAP, {"edge", "gap", "already"})]
)
def test_the_panel_of_133_coins_gives_the_same_both_ways(day: int, kinds: set[str]) -> None:
    batch = read_candles([CANDLES / "panel_binance_5m_2024_events_MIT.parquet"])
    first = int(np.searchsorted(batch.observed_at[batch.starts], day))
    alerts = agree(mixed(batch), part(batch, first - 75, 200))
    assert {alert.kind for alert in alerts} == kinds
    assert len(alerts) > 500
