"""A pair's past drawn small: some hundred candles, and how near a rule came to firing in each of them."""

from __future__ import annotations

import msgspec
import numpy as np

from cryptowatcher.domain.hindsight import Hindsight, History, stretch
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.tree import Call, Comparison, Number
from cryptowatcher.domain.ticks import Floats, Ints

_M, _H, _D = MS["m"], MS["h"], MS["d"]
WIDTHS = (_M, 5 * _M, 15 * _M, 30 * _M, _H, 2 * _H, 4 * _H, 6 * _H, 12 * _H, _D, 2 * _D, 7 * _D)


class Outline(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """n candles of `width` ms, those in which nothing was observed left out.

    value:      what the rule compared, at its nearest to firing in each candle, NaN where that was not known; None
                where the condition is more than one comparison with a number, or compares the price itself
    comparison: the one that the condition consists of, where it is one with a number
    """

    width: int
    start: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    value: Floats | None
    comparison: tuple[Comparison, Number] | None


def outline(rule: Rule, history: History, pair: str, *, most: int) -> Outline | None:
    """At most about `most` candles. None where there is nothing to draw. The rule's spec has passed check_spec."""
    past = Hindsight(rule, history, pair)
    line = past.line
    if not history.candles or not len(line):
        return None
    width = next((each for each in WIDTHS if stretch(line) < each * most and each >= history.candles), WIDTHS[-1])
    begin = line.time - history.candles
    begin -= begin % width
    first = np.flatnonzero(np.diff(begin, prepend=begin[0] - 1))
    opened = np.concatenate([line.price[:1], line.price[:-1]])
    extremes = history.extremes
    high = extremes.high if extremes and len(extremes.high) == len(line) else line.price
    low = extremes.low if extremes and len(extremes.low) == len(line) else line.price
    opening, close = opened[first], line.price[np.append(first[1:], len(line)) - 1]
    found = past.threshold()
    return Outline(
        width=width,
        start=begin[first],
        open=opening,
        high=np.maximum(np.maximum.reduceat(high, first), opening),
        low=np.minimum(np.minimum.reduceat(low, first), opening),
        close=close,
        value=_nearest(past, found[0], first) if found else None,
        comparison=found,
    )


def _nearest(past: Hindsight, comparison: Comparison, first: Ints) -> Floats | None:
    if past.unknown or comparison.left == Call("price"):
        return None
    nearest = np.fmax if comparison.rises else np.fmin
    return np.asarray(nearest.reduceat(past.number(comparison.left), first), np.float64)
