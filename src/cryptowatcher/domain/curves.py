"""Numbers of the language along candles: what a chart draws over the price or below it.

They are computed by the features' own series forms, as a preview is: over the closes of candles. Where a number
is not known there is NaN, never a guess.
"""

from __future__ import annotations

import re

import msgspec
import numpy as np

from cryptowatcher.domain.features import Function, catalogue
from cryptowatcher.domain.features.anchored import LONGEST_BLOCK
from cryptowatcher.domain.features.change import SINCE_ALERT
from cryptowatcher.domain.hindsight import looks_back, too_coarse
from cryptowatcher.domain.intervals import INTERVALS
from cryptowatcher.domain.rules.language import language
from cryptowatcher.domain.rules.mistakes import ConditionError
from cryptowatcher.domain.rules.series import OnePair
from cryptowatcher.domain.rules.tree import Call, Comparison, Expression, Number, calls, show
from cryptowatcher.domain.rules.units import Kind, kind_of
from cryptowatcher.domain.ticks import Floats, Ints

_ABOVE_NOTHING = " > 0"
_OF_CONDITIONS = re.compile(r"[<>]|\b(?:crosses|and|or|not)\b", re.IGNORECASE)
_LETTERS = re.compile(r"[a-z]", re.IGNORECASE)
_HINT = "write a function of prices or a sum of some: rsi(14, 1h), price - sma(20, 1h)"
_FOREIGN = f"change_since would do, for `{SINCE_ALERT}` begins at a rule's own alerts"


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A number that is drawn.

    text:     as the program writes it
    unit:     of its values, "" where arithmetic makes it anybody's guess
    interval: how long the candles are over whose closes it is computed, ms
    before:   how much of the past it needs to be exact, ms
    unknown:  why it cannot be computed; empty where it can
    """

    text: str
    number: Expression
    unit: Kind
    interval: int
    before: int
    unknown: str = ""


def read_curve(text: str, interval: int, *, where: str) -> Curve:
    """An expression for a chart of candles of `interval` ms. ConfigError, with the place, for what is none."""
    number = _number(text, where)
    asked = Comparison(">", number, Number(0.0))
    functions = [catalogue()[call.name] for call in calls(number)]
    fine = [each for each in INTERVALS.values() if not too_coarse(asked, each)]
    bars = all(map(_by_bars, functions))
    # What counts closed bars alone is the same from bars as they are; the rest follows the candles shown.
    taken = max((each for each in fine if bars or each <= interval), default=min(INTERVALS.values()))
    return Curve(
        text=show(number),
        number=number,
        unit=kind_of(number, catalogue()),
        interval=taken,
        before=looks_back(asked) + (2 * LONGEST_BLOCK * taken if any(map(_by_bars, functions)) else 0),
        unknown=_why_never(number) or ("" if fine else too_coarse(asked, taken)),
    )


def curve_along(curve: Curve, seen: OnePair, ends: Ints, interval: int) -> Floats:
    """Its value at each of the ends of candles of `interval` ms, as of the last observation inside the candle; of
    what is computed from longer candles, as of the last of those. NaN: not known.

    seen: the pair's closes, of candles of `curve.interval`
    """
    unknown = np.full(len(ends), np.nan)
    if curve.unknown or seen.line is None or not len(seen.line):
        return unknown
    values = seen.number(curve.number)
    at = np.searchsorted(seen.line.time, ends, side="right") - 1
    there = (at >= 0) & (ends - seen.line.time[np.maximum(at, 0)] < max(interval, curve.interval))
    return np.where(there, values[np.maximum(at, 0)], unknown)


def _number(text: str, where: str) -> Expression:
    """The language reads conditions: what is above nothing is one, and its left side is the number."""
    condition = _OF_CONDITIONS.search(text)
    if condition is not None:
        raise ConditionError(
            text, condition.start() + 1, "a number is drawn, not a condition", where=where, hint=_HINT
        )
    if not _LETTERS.search(text) and text.strip():
        reason = "this is always the same number"
        raise ConditionError(text, 1, reason, where=where, hint=_HINT)
    try:
        read = language().parse(text + _ABOVE_NOTHING, where=where)
    except ConditionError as error:
        column = min(error.column, len(text.rstrip()) + 1)
        ended = error.column > column or column > len(text)
        reason = "something is missing here" if ended else error.reason
        raise ConditionError(text, column, reason, where=where, hint=_HINT) from None
    assert isinstance(read, Comparison), "nothing in it makes a condition of several parts"
    return read.left


def _by_bars(function: Function) -> bool:
    kinds = {parameter.kind for parameter in function.parameters}
    return "interval" in kinds and "window" not in kinds


def _why_never(number: Expression) -> str:
    for call in calls(number):
        if call.name == SINCE_ALERT:
            return _FOREIGN
        if catalogue()[call.name].series is None:
            return f"{_shown(call)} cannot be told from the prices of one pair"
    return ""


def _shown(call: Call) -> str:
    return f"`{show(call)}`"
