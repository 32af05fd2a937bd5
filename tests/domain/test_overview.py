"""Past prices and the shape of a week."""

from __future__ import annotations

import numpy as np
import pytest

from cryptowatcher.domain.candles import CandleColumns
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.overview import SPARK_POINTS, Glance, closes_at, glance, stretches

NOW = 1_800_000_000_000
MINUTE, HOUR, DAY, WEEK = MS["m"], MS["h"], MS["d"], MS["w"]
FIVE = 5 * MINUTE


def columns(*closes: tuple[int, float], interval: int) -> CandleColumns:
    """Candles by when they ended."""
    start = np.array([ended - interval for ended, _ in closes], np.int64)
    close = np.array([price for _, price in closes])
    return CandleColumns(start, close, close, close, close)


NONE = columns(interval=HOUR)


def looked(*, hour: CandleColumns = NONE, day: CandleColumns = NONE, week: CandleColumns = NONE) -> Glance:
    return glance(hour, day, week, now=NOW, price=10.0)


@pytest.mark.parametrize(
    ("ended", "known"), [(0, True), (-FIVE, True), (-3 * FIVE, True), (-3 * FIVE - 1, False), (1, False)]
)
def test_a_price_of_then_is_the_last_close_before_and_not_long_before(ended: int, known: bool) -> None:
    found = looked(hour=columns((NOW - HOUR + ended, 7.0), interval=FIVE))
    assert found.hour_ago == (7.0 if known else None)


def test_yesterday_is_told_by_hours_where_nothing_finer_is_known() -> None:
    week = columns((NOW - DAY - HOUR, 4.0), interval=HOUR)
    assert looked(week=week).day_ago == 4.0
    assert looked(week=week, day=columns((NOW - DAY, 5.0), interval=FIVE)).day_ago == 5.0


def test_nothing_known_is_nothing_said() -> None:
    found = looked()
    assert (found.hour_ago, found.day_ago, found.week_ago) == (None, None, None)
    assert found.spark == [None] * (SPARK_POINTS - 1) + [50]


def test_a_week_is_drawn_from_its_lowest_to_its_highest_and_ends_now() -> None:
    week = columns((NOW - WEEK, 2.0), (NOW - 8 * HOUR, 6.0), interval=HOUR)
    spark = looked(week=week).spark
    assert len(spark) == SPARK_POINTS
    assert (spark[0], spark[-3], spark[-2], spark[-1]) == (0, 50, None, 100)


def test_what_is_read_is_enough_for_what_is_asked() -> None:
    hour, day, week = stretches(NOW)
    for stretch, ago, slack in ((hour, HOUR, 3 * FIVE), (day, DAY, 3 * FIVE), (week, WEEK, 3 * HOUR)):
        assert stretch.start <= NOW - ago - slack - stretch.interval
        assert stretch.end > NOW - ago - stretch.interval


def test_closes_at_many_times_are_those_of_one_time_each() -> None:
    random = np.random.default_rng(1)
    ends = np.unique(random.integers(0, 300, 60)) * MINUTE
    candles = columns(*((int(end), float(end)) for end in ends), interval=MINUTE)
    times = np.arange(0, 300) * MINUTE + 17
    found = closes_at(candles, times, MINUTE, 3 * MINUTE)
    for time, close in zip(times.tolist(), found.tolist(), strict=True):
        before = [end for end in ends.tolist() if time - 3 * MINUTE <= end <= time]
        assert close == before[-1] if before else np.isnan(close)
