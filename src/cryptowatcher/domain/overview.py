"""The market at a glance: what each pair cost some time ago, and the shape of its week."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from cryptowatcher.domain.candles import CandleColumns
from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.ticks import Floats, Ints

HOUR_AGO: Final = MS["h"]
DAY_AGO: Final = MS["d"]
WEEK_AGO: Final = MS["w"]

FINE: Final = INTERVALS["5m"]
COARSE: Final = INTERVALS["1h"]
SPARK_STEP: Final = 4 * MS["h"]
SPARK_POINTS: Final = WEEK_AGO // SPARK_STEP + 1
SPARK_TOP: Final = 100

_FINE_SLACK: Final = 3 * FINE
_COARSE_SLACK: Final = 3 * COARSE


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """One pair. Prices are None where nothing near that time is known. `spark`: SPARK_POINTS heights from 0 (the
    lowest) to SPARK_TOP, SPARK_STEP apart, the last one now; None where nothing is known."""

    hour_ago: float | None
    day_ago: float | None
    week_ago: float | None
    spark: list[int | None]


class Stretch(msgspec.Struct, frozen=True):
    """Candles that `glance` wants: of an interval, with start <= candle.start < end."""

    interval: int
    start: int
    end: int


def stretches(now: int) -> tuple[Stretch, Stretch, Stretch]:
    """Around an hour ago, around a day ago, and the week."""
    return (
        Stretch(FINE, now - HOUR_AGO - _FINE_SLACK - FINE, now - HOUR_AGO),
        Stretch(FINE, now - DAY_AGO - _FINE_SLACK - FINE, now - DAY_AGO),
        Stretch(COARSE, now - WEEK_AGO - _COARSE_SLACK - COARSE, now),
    )


def glance(hour: CandleColumns, day: CandleColumns, week: CandleColumns, *, now: int, price: float) -> Glance:
    """From the candles of `stretches(now)` and the price now."""
    times = now - np.arange(SPARK_POINTS - 1, -1, -1, dtype=np.int64) * SPARK_STEP
    levels = closes_at(week, times, COARSE, _COARSE_SLACK)
    levels[-1] = price
    by_hours = closes_at(week, np.array([now - DAY_AGO, now - WEEK_AGO]), COARSE, _COARSE_SLACK)
    fine_day = _known(closes_at(day, np.array([now - DAY_AGO]), FINE, _FINE_SLACK)[0])
    return Glance(
        hour_ago=_known(closes_at(hour, np.array([now - HOUR_AGO]), FINE, _FINE_SLACK)[0]),
        day_ago=_known(by_hours[0]) if fine_day is None else fine_day,
        week_ago=_known(by_hours[1]),
        spark=_shape(levels),
    )


def closes_at(candles: CandleColumns, times: Ints, interval: int, slack: int) -> Floats:
    """The close of the last candle that had ended at each time, NaN where that was more than `slack` ms before."""
    if not len(candles):
        return np.full(len(times), np.nan)
    ends = candles.start + interval
    at = np.searchsorted(ends, times, side="right") - 1
    known = (at >= 0) & (times - ends[np.maximum(at, 0)] <= slack)
    found: Floats = np.where(known, candles.close[np.maximum(at, 0)], np.nan)
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _shape(levels: Floats) -> list[int | None]:
    """Heights are enough for a small picture, and a tenth of the bytes. A flat line lies in the middle."""
    low, high = np.nanmin(levels), np.nanmax(levels)
    span = high - low
    flat = levels - low + SPARK_TOP // 2
    heights = np.round((levels - low) / span * SPARK_TOP) if span > 0 else flat
    return [None if height != height else int(height) for height in heights.tolist()]
