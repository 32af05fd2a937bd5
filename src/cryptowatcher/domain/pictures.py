"""What a picture of an alert shows: the pair's price up to that moment, as lines and words on a sheet.

Which stretch fits depends on how far back the rule looked. Everything is worked out here, in points from the upper
left corner of the sheet; whoever draws only draws. The same alert and candles give the same picture.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Advice, Alert
from cryptowatcher.domain.candles import CandleColumns
from cryptowatcher.domain.intervals import MS, parse_duration
from cryptowatcher.domain.texts import is_about_price, observed_at, plain, show_price, show_time

WIDTH: Final = 800
HEIGHT: Final = 400

ENOUGH: Final = 12
"""Candles: with fewer the next finer ones are looked at."""
FEWEST: Final = 2
"""Candles: fewer show nothing that the words do not say."""

_TOP, _BOTTOM, _RIGHT = 56, HEIGHT - 38, WIDTH - 28
_LABEL: Final = 7.5
"""Points that a character of a label takes."""
_LONGEST_NAME: Final = 24
_ROOM: Final = 0.08
"""Of the height, above and below the prices."""
_FLAT: Final = 1e-9
"""Prices that differ by less than that, relative to themselves, are one price."""
_FAR: Final = 2.0
"""A threshold further off than so many times what the price moved is left out: the line would show nothing."""
_BROKEN: Final = 3
"""Usual distances without a candle after which nothing was seen in between."""

_HOUR, _DAY = MS["h"], MS["d"]
_VIEWS: Final = (
    # the rule looks back at most, the picture shows, with candles of
    (15 * MS["m"], 3 * _HOUR, (MS["m"],)),
    (2 * _HOUR, _DAY, (5 * MS["m"], MS["m"])),
    (_DAY, 7 * _DAY, (_HOUR, 5 * MS["m"])),
    (math.inf, 90 * _DAY, (_DAY, _HOUR)),
)
_TIMES: Final = (
    *(minutes * MS["m"] for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 7, 14, 28)),
)
"""Distances between labels of the time."""
_SPAN = re.compile(r"(?<![\w.])(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+(?!\w)")

Point = tuple[float, float]
Label = tuple[float, str]
"""Where it belongs on its axis, and what it says."""


class View(msgspec.Struct, frozen=True):
    """start, end: epoch ms; intervals: of the candles (ms) that fit, then finer ones"""

    start: int
    end: int
    intervals: tuple[int, ...]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """title, moment: above the plot, at its left and its right end
    frame:  left, top, right and bottom of the plot
    lines:  the price at the end of each candle, a line for each stretch without a gap; perhaps of one point
    bands:  the outlines of the highest and lowest prices of the same stretches
    mark:   the alert
    limits: prices that the rule compares with
    """

    title: str
    moment: str
    advice: Advice
    frame: tuple[float, float, float, float]
    lines: tuple[tuple[Point, ...], ...]
    bands: tuple[tuple[Point, ...], ...]
    mark: Point
    limits: tuple[Label, ...]
    prices: tuple[Label, ...]
    times: tuple[Label, ...]


def view(alert: Alert) -> View:
    """Which candles show how it came to that."""
    spans = [parse_duration(span) for span in _SPAN.findall(alert.condition[:1_000])]
    back = max(spans, default=2 * _HOUR)
    shown, intervals = next((shown, intervals) for most, shown, intervals in _VIEWS if back <= most)
    end = observed_at(alert)
    return View(end - shown, end, intervals)


def picture(alert: Alert, candles: CandleColumns, interval: int, *, zone: tzinfo = UTC) -> Picture | None:
    """Of candles that ended before the alert, oldest first; None where there are too few.

    zone: of the clocks that its owner looks at
    """
    if len(candles) < FEWEST:
        return None
    at = observed_at(alert)
    limits = _limits(alert, candles)
    seen = [float(candles.low.min()), float(candles.high.max()), alert.price]
    low, high = _span(seen + limits)
    prices = _price_labels(low, high)
    left = 24 + _LABEL * max(len(text) for _, text in prices)
    first = int(candles.start[0]) + interval
    across = _RIGHT - left
    # A little room behind the alert, so that its mark does not stand on the edge.
    per_ms = 0.97 * across / max(at - first, 1)

    def x(ms: float) -> float:
        return left + (ms - first) * per_ms

    def y(price: float) -> float:
        return _BOTTOM - (price - low) / (high - low) * (_BOTTOM - _TOP)

    ends = candles.start + interval
    stretches = _stretches(ends, interval)
    mark = (x(at), y(alert.price))
    lines = [[(x(ends[i]), y(candles.close[i])) for i in range(*each)] for each in stretches]
    if at - int(ends[-1]) <= _BROKEN * _usual(ends, interval):
        lines[-1].append(mark)
    bands = [
        [(x(ends[i]), y(candles.high[i])) for i in range(*each)]
        + [(x(ends[i]), y(candles.low[i])) for i in reversed(range(*each))]
        for each in stretches
    ]
    currency = alert.pair.rpartition("/")[2]
    return Picture(
        title=plain(f"{_cut(alert.pair)}  {show_price(alert.price)} {_cut(currency)}"),
        moment=show_time(at, zone),
        advice=alert.advice,
        frame=(left, _TOP, _RIGHT, _BOTTOM),
        lines=tuple(map(tuple, lines)),
        bands=tuple(tuple(band) for band in bands if len(band) > 2),
        mark=mark,
        limits=tuple((y(limit), show_price(limit)) for limit in limits),
        prices=tuple((y(price), text) for price, text in prices),
        times=tuple((x(ms), text) for ms, text in _time_labels(first, at, zone)),
    )


def _cut(name: str) -> str:
    """So that the title ends before the moment begins."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."


def _limits(alert: Alert, candles: CandleColumns) -> list[float]:
    """What prices are compared with, where that is near enough to be seen beside them."""
    compared = [(part.text, part.constant) for part in alert.parts] or [(alert.condition, alert.constant)]
    low, high = min(float(candles.low.min()), alert.price), max(float(candles.high.max()), alert.price)
    near = _FAR * max(high - low, 0.01 * high)
    return sorted(
        {limit for text, limit in compared if is_about_price(text) and low - near <= limit <= high + near}
    )


def _span(prices: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest price on the sheet."""
    low, high = min(prices), max(prices)
    if high - low <= _FLAT * abs(high):
        return low - 0.005 * abs(low), high + 0.005 * abs(high)
    room = _ROOM * (high - low)
    return low - room, high + room


def _stretches(ends: np.typing.NDArray[np.int64], interval: int) -> list[tuple[int, int]]:
    """From which candle up to before which one nothing is missing."""
    cuts = np.flatnonzero(np.diff(ends) > _BROKEN * _usual(ends, interval)) + 1
    edges = [0, *cuts.tolist(), len(ends)]
    return list(pairwise(edges))


def _usual(ends: np.typing.NDArray[np.int64], interval: int) -> float:
    """Between two candles, ms: a pair that is observed each ten minutes has no candle for most."""
    return max(interval, float(np.median(np.diff(ends))))


def _price_labels(low: float, high: float) -> list[tuple[float, str]]:
    """Some round prices, with as many digits as it takes to tell them apart."""
    step = _round_step((high - low) / 6)
    size = max(abs(low), abs(high))
    digits = math.floor(math.log10(size)) - math.floor(math.log10(step) + 1e-9)
    decimals = max(-math.floor(math.log10(step) + 1e-9), 0)
    written = f",.{decimals}f" if 1e-7 <= size < 1e12 else f".{max(digits, 0)}e"
    found = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [(number * step, format(number * step, written)) for number in found]


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, not less than that."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= least * (1 - 1e-9))


def _time_labels(first: int, last: int, zone: tzinfo) -> list[tuple[int, str]]:
    """Round moments on a clock of the zone: the time, and at midnight the day."""
    step = next((step for step in _TIMES if (last - first) / step <= 8), _TIMES[-1])
    offset = datetime.fromtimestamp(last / 1000, zone).utcoffset()
    ahead = round(offset.total_seconds() * 1000) if offset else 0
    begin = -(-(first + ahead) // step) * step - ahead
    return [(ms, _moment(ms, zone)) for ms in range(begin, last + 1, step)]


def _moment(ms: int, zone: tzinfo) -> str:
    shown = datetime.fromtimestamp(ms / 1000, zone)
    return f"{shown:%m-%d}" if (shown.hour, shown.minute) == (0, 0) else f"{shown:%H:%M}"
