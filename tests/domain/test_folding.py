"""Candles against a fold that looks at all observations of a pair and an interval at once."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.folding import CandleFold
from cryptowatcher.domain.intervals import INTERVALS
from cryptowatcher.domain.ticks import one_instant
from tests.domain.journals import BEGIN, MINUTE, examples

NAMES = ["a/usd", "b/usd", "c/usd"]
HOUR, DAY = 60 * MINUTE, 1_440 * MINUTE
Observation = tuple[int, float, float | None, int]
"""Time, price, volume, valid for."""


class Told:
    """A fold, and beside it a plain list of all that it was told."""

    def __init__(self) -> None:
        self.fold = CandleFold()
        self.seen: dict[str, list[Observation]] = {name: [] for name in NAMES}
        self.closed: list[Candle] = []

    def tell(self, rows: list[tuple[str, int, float]], *, valid_for: int = 5 * MINUTE) -> list[Candle]:
        """One instant; the candles that it closed."""
        volumes = [price * 10 if price < 2 else float("nan") for _, _, price in rows]
        batch = one_instant(
            {pair: price for pair, _, price in rows},
            observed_at=[time for _, time, _ in rows],
            volume=volumes,
            valid_for=valid_for,
        )
        closed = self.fold.fold(np.array([NAMES.index(pair) for pair, _, _ in rows]), batch, NAMES)
        self.closed += closed
        for (pair, time, price), volume in zip(rows, volumes, strict=True):
            self.seen[pair].append((time, price, None if volume != volume else volume, valid_for))
        return closed


def plain_candles(pair: str, seen: list[Observation], interval: int) -> list[Candle]:
    """All candles of a pair but the newest, which is not over yet."""
    starts = sorted({time // interval * interval for time, *_ in seen})
    return [_plain_candle(pair, seen, interval, start) for start in starts[:-1]]


def _plain_candle(pair: str, seen: list[Observation], interval: int, start: int) -> Candle:
    inside = [row for row in seen if start <= row[0] < start + interval]
    prices = [price for _, price, _, _ in inside]
    observed = 0
    for (time, _, _, valid_for), (later, *_) in pairwise(seen):
        if later - time <= valid_for:
            observed += max(0, min(later, start + interval) - max(time, start))
    return Candle(
        pair=pair,
        interval=interval,
        start=start,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume_24h=inside[-1][2],
        ticks=len(inside),
        observed_ms=observed,
    )


@examples(40)
@given(st.integers(0, 2**48))
def test_candles_of_every_interval_are_what_a_look_at_all_observations_gives(seed: int) -> None:
    random = Random(seed)
    told = Told()
    times = dict.fromkeys(NAMES, BEGIN + random.randrange(DAY))
    for _ in range(random.randint(2, 120)):
        steps = random.choice(((1, 900), (MINUTE, MINUTE), (MINUTE, 7 * MINUTE), (HOUR, 9 * HOUR), (DAY, 3 * DAY)))
        rows = []
        for pair in random.sample(NAMES, random.randint(1, 3)):
            times[pair] += random.randint(*steps)
            if random.random() < 0.3:
                times[pair] += -times[pair] % random.choice((MINUTE, 5 * MINUTE, HOUR, DAY))  # on the edge
            rows.append((pair, times[pair], random.choice((1.0, 1.5, 2.0, random.random() + 1e-9, 1e8))))
        told.tell(rows, valid_for=random.choice((1_000, 5 * MINUTE, 5 * MINUTE, 2 * HOUR, 2 * DAY)))
    expected = [
        candle
        for pair in NAMES
        for interval in INTERVALS.values()
        for candle in plain_candles(pair, told.seen[pair], interval)
    ]
    found = sorted(told.closed, key=lambda candle: (candle.pair, candle.interval, candle.start))
    assert found == expected
    assert all(0 <= candle.observed_ms <= candle.interval for candle in found)


def closing(told: Told, pair: str, time: int, price: float = 1.0) -> dict[int, Candle]:
    """The candles that one more observation closes, by interval."""
    return {candle.interval: candle for candle in told.tell([(pair, time, price)])}


def test_a_candle_is_over_when_its_pair_is_seen_in_a_later_interval_and_not_before() -> None:
    told = Told()
    assert not closing(told, "a/usd", BEGIN)
    assert not closing(told, "a/usd", BEGIN + MINUTE - 1)
    assert not closing(told, "b/usd", BEGIN + 9 * MINUTE), "another pair's clock is not this pair's"
    assert set(closing(told, "a/usd", BEGIN + MINUTE)) == {MINUTE}
    assert set(closing(told, "a/usd", BEGIN + 5 * MINUTE)) == {MINUTE, 5 * MINUTE}
    assert set(closing(told, "a/usd", BEGIN + DAY)) == set(INTERVALS.values())


def test_intervals_without_observations_have_no_candle() -> None:
    told = Told()
    closing(told, "a/usd", BEGIN)
    closed = told.tell([("a/usd", BEGIN + 10 * MINUTE, 2.0)])
    assert [(candle.interval, candle.start) for candle in closed] == [(MINUTE, BEGIN), (5 * MINUTE, BEGIN)]


def test_time_counts_as_observed_up_to_the_end_if_the_next_observation_came_in_time() -> None:
    told = Told()
    closing(told, "a/usd", BEGIN + 10_000)
    closing(told, "a/usd", BEGIN + 50_000)
    closed = closing(told, "a/usd", BEGIN + 70_000)
    assert closed[MINUTE].observed_ms == 50_000  # from 0:10 to 1:00
    closed = closing(told, "a/usd", BEGIN + 120_000)
    assert closed[MINUTE].observed_ms == 60_000  # 1:00 to 2:00 whole, though first seen at 1:10


def test_time_does_not_count_as_observed_when_the_next_observation_came_too_late() -> None:
    told = Told()
    closing(told, "a/usd", BEGIN + 10_000)
    closing(told, "a/usd", BEGIN + 20_000)
    closed = closing(told, "a/usd", BEGIN + 20_000 + 5 * MINUTE + 1)
    assert closed[MINUTE].observed_ms == 10_000
    assert closed[5 * MINUTE].observed_ms == 10_000, "what lies in the gap was not observed"


@pytest.mark.parametrize(("away", "observed"), [(5 * MINUTE, 5 * MINUTE), (5 * MINUTE + 1, 0)])
def test_an_observation_counts_to_the_millisecond_it_is_valid_for(away: int, observed: int) -> None:
    told = Told()
    closing(told, "a/usd", BEGIN)
    assert closing(told, "a/usd", BEGIN + away)[5 * MINUTE].observed_ms == observed


def test_an_observation_at_the_edge_opens_the_new_candle() -> None:
    told = Told()
    told.tell([("a/usd", BEGIN, 1.0)])
    told.tell([("a/usd", BEGIN + MINUTE, 7.0)])
    closed = {candle.start: candle for candle in told.tell([("a/usd", BEGIN + 2 * MINUTE, 3.0)])}
    assert (closed[BEGIN + MINUTE].open, closed[BEGIN + MINUTE].high) == (7.0, 7.0)
    assert told.closed[0].high == 1.0


def test_a_volume_that_the_source_did_not_say_at_last_is_unknown() -> None:
    told = Told()
    told.tell([("a/usd", BEGIN, 1.0)])
    told.tell([("a/usd", BEGIN + 1, 5.0)])  # without a volume
    assert closing(told, "a/usd", BEGIN + MINUTE)[MINUTE].volume_24h is None
    assert closing(told, "a/usd", BEGIN + 2 * MINUTE)[MINUTE].volume_24h == 10.0


def test_candles_that_are_forming_survive_a_checkpoint() -> None:
    told = Told()
    told.tell([("a/usd", BEGIN, 1.0), ("c/usd", BEGIN + 3, 4.0)])
    told.tell([("a/usd", BEGIN + 5_000, 9.0)])
    again = CandleFold()
    again.restore(told.fold.state())
    told.fold = again
    told.tell([("a/usd", BEGIN + 6_000, 0.5)])
    candle = closing(told, "a/usd", BEGIN + MINUTE)[MINUTE]
    assert (candle.open, candle.high, candle.low, candle.close, candle.ticks) == (1.0, 9.0, 0.5, 0.5, 3)
    assert candle.observed_ms == MINUTE
