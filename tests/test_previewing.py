"""Trying a rule on what is stored: which candles are read, and that it is what a watcher would have said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.hindsight import History
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import RuleChange, RuleSpec
from cryptowatcher.domain.watcher import Watcher
from cryptowatcher.ports import Store, Tx
from cryptowatcher.previewing import SLICE, Trial, stored_history, try_rule
from cryptowatcher.replay import records, rules_of
from tests.web.world import NOW, candle, world

M, H, D = MS["m"], MS["h"], MS["d"]
END = NOW - NOW % D
BTC = "bitcoin/usd"


def line(prices: Sequence[float], interval: int = M, *, end: int = END, **changes: Any) -> list[Candle]:
    """Candles of these closes, the last of which ends there."""
    start = end - len(prices) * interval
    return [
        candle(start + number * interval, interval, ohlc=(close, close * 1.001, close * 0.999, close), **changes)
        for number, close in enumerate(prices)
    ]


def wandering(n: int, seed: int = 1) -> list[float]:
    return [float(price) for price in np.exp(np.cumsum(np.random.default_rng(seed).standard_t(3, n) * 0.002))]


def read(
    tmp_path: Path,
    stored: Sequence[Candle],
    when: str = "price > 1",
    *,
    since: int = D,
    store: Callable[[Store], Store] = lambda store: store,
    progress: Callable[[int, int], None] | None = None,
) -> History:
    async def scenario() -> History:
        async with world(tmp_path) as here:
            await here.watched(candles=stored)
            return await stored_history(
                store(here.store), parse(when), BTC, since=since, now=END, progress=progress
            )

    return asyncio.run(scenario())


def spec(when: str, **changes: Any) -> RuleSpec:
    return RuleSpec(**({"name": "tried", "pairs": (BTC,), "when": when} | changes))


def tried(history: History, when: str, **changes: Any) -> Trial:
    return try_rule(spec(when, **changes), history, BTC)


def test_a_candle_is_its_close_at_its_end_and_its_extremes_are_kept(tmp_path: Path) -> None:
    history = read(tmp_path, line([1.0, 2.0, 3.0], volume_24h=7.0))
    assert history.candles == M
    assert history.batch.observed_at.tolist() == [END - 2 * M, END - M, END]
    assert (history.batch.price.tolist(), history.batch.volume.tolist()) == ([1, 2, 3], [7, 7, 7])
    assert history.extremes is not None
    assert history.extremes.high.tolist() == pytest.approx([1.001, 2.002, 3.003])


def test_the_finest_candles_that_reach_back_far_enough_are_read(tmp_path: Path) -> None:
    """Minutes are forgotten some day; what is coarser stays."""
    stored = [*line([1.0] * 600), *line([1.0] * 240, 5 * M), *line([1.0] * 48, H)]
    assert read(tmp_path, stored, since=10 * H).candles == M
    assert read(tmp_path, stored, since=20 * H).candles == 5 * M
    assert read(tmp_path, stored, since=2 * D).candles == H


def test_a_stretch_that_is_short_of_a_little_is_still_told_by_minutes(tmp_path: Path) -> None:
    stored = [*line([1.0] * 580), *line([1.0] * 120, 5 * M)]
    assert read(tmp_path, stored, since=10 * H).candles == M


def test_a_long_candle_reaches_no_further_back_than_what_was_observed_in_it(tmp_path: Path) -> None:
    """A watcher that has just begun has one candle of 5 minutes, which began before it did."""
    stored = [*line([1.0] * 7), *line([1.0], 5 * M)]
    history = read(tmp_path, stored)
    assert (history.candles, len(history.batch)) == (M, 7)


def test_candles_that_are_too_coarse_for_the_condition_are_not_taken(tmp_path: Path) -> None:
    stored = [*line([1.0] * 600), *line([1.0] * 240, 5 * M)]
    history = read(tmp_path, stored, "rsi(14, 1m) < 30", since=20 * H)
    assert (history.candles, len(history.batch)) == (M, 600)


def test_so_much_more_is_read_as_the_condition_looks_back_on(tmp_path: Path) -> None:
    stored = line([1.0] * 600)
    assert len(read(tmp_path, stored, "price > 1", since=2 * H).batch) == 120
    assert len(read(tmp_path, stored, "change(3h) > 1%", since=2 * H).batch) == 300


def test_other_pairs_that_the_condition_looks_at_are_read_too(tmp_path: Path) -> None:
    btc, eth = line([10.0, 30.0, 10.0]), line([2.0, 2.0, 2.0], pair="ethereum/usd")
    history = read(tmp_path, [*btc, *eth], "ratio(ethereum/usd) > 12")
    assert history.batch.pairs == (BTC, "ethereum/usd")
    assert len(history.batch.starts) == 3, "what ends at one time is one instant"
    (fired,) = tried(history, "ratio(ethereum/usd) > 12").preview.firings
    assert (fired.time, fired.value) == (END - M, 15.0)


def test_what_is_not_stored_is_unknown(tmp_path: Path) -> None:
    history = read(tmp_path, line([1.0], pair="other/usd"))
    found = tried(history, "price > 1").preview
    assert found.unknown == f"there are no prices of {BTC}"
    assert tried(read(tmp_path, line([1.0] * 9)), "ratio(other/usd) > 1").preview.unknown


def test_a_long_stretch_is_read_in_slices_and_progress_is_told(tmp_path: Path) -> None:
    """Others who ask the same store come in between."""
    largest: list[int] = []

    class Counting:
        def __init__(self, store: Store) -> None:
            self._store = store

        async def run(self, fn: Callable[[Tx], Any]) -> Any:
            found = await self._store.run(fn)
            largest.append(len(found))
            return found

    told: list[tuple[int, int]] = []
    history = read(
        tmp_path, line([1.0] * (SLICE + 5)), since=30 * D, store=Counting, progress=lambda *done: told.append(done)
    )
    assert len(history.batch) == SLICE + 5
    assert max(largest) == SLICE
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("when", "more"),
    [
        ("(change(5m) <= -1% or drawdown(4h) > 3%) and rsi(14, 5m) < 45", {"for_": "2m", "cooldown": "1h"}),
        ("price crosses above sma(20, 5m)", {}),
        ("price < 0.95 or zscore(1h) < -2", {"rearm": "1%"}),
    ],
)
def test_a_preview_says_what_a_watcher_says_that_steps_the_same_closes(
    tmp_path: Path, when: str, more: dict[str, Any]
) -> None:
    prices = wandering(2_000)
    stored = [each for number, each in enumerate(line(prices)) if number % 400 > 20]
    history = msgspec.structs.replace(read(tmp_path, stored, when, since=2 * D), extremes=None)
    (rule,) = rules_of([spec(when, **more)])
    watcher = Watcher(candles=False)
    watcher.take_up(RuleChange(number=1, rule_id=rule.id, owner=rule.owner, head=0, saved_at=0, rule=rule), 0)
    for record in records(history.batch):
        watcher.step(record)
    alerts = watcher.effects().alerts
    assert len(alerts) > 5
    found = tried(history, when, **more).preview
    assert [(each.time, each.price, each.value) for each in found.firings] == [
        (alert.event_time + alert.gap_ms * (alert.kind == "gap"), alert.price, alert.value) for alert in alerts
    ]


def test_what_was_never_known_is_unknown_and_not_silent(tmp_path: Path) -> None:
    history = read(tmp_path, line(wandering(600)))
    found = tried(history, "market_cap > 5").preview
    assert (found.unknown, found.a_week, found.firings) == ("market_cap was never known here", None, ())
    never_armed = tried(history, "market_cap > 5 or price > sma(20, 1m)").preview
    assert never_armed.unknown == "market_cap was never known here"
    half = tried(history, "price > sma(20, 1m) or (price < 0.000001 and market_cap > 5)").preview
    assert (half.unknown, len(half.firings) > 0) == ("", True)
    assert "market_cap was known at 0% of the observations only" in half.warnings


def test_of_parts_of_which_one_is_enough_the_first_that_is_known_counts(tmp_path: Path) -> None:
    history = read(tmp_path, line(wandering(600)))
    assert tried(history, "change(1h) > 1% or change(5h) > 1%").preview.warm_up == H
    assert tried(history, "change(1h) > 1% and change(5h) > 1%").preview.warm_up == 5 * H
    assert tried(history, "not (change(1h) > 1% or change(5h) > 1%)").preview.warm_up == 5 * H


def test_a_rule_that_has_ended_can_be_tried(tmp_path: Path) -> None:
    history = read(tmp_path, line([1.0, 3.0, 1.0]))
    assert len(tried(history, "price > 2", expires="2001-01-01").preview.firings) == 1
