"""A constant for a wished number of alerts a week: a budget of noise instead of a number out of the air."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec
import numpy as np

from cryptowatcher.domain.hindsight import Hindsight, History
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.tree import Comparison, Number
from cryptowatcher.domain.ticks import Ints

MOST_TRIED = 60
"""Constants that are tried at most."""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A constant for a wished number of alerts a week.

    when:   the condition with that constant, None where none gives it; `reason` then says why
    a_week: what that constant would have given
    """

    when: str | None = None
    constant: float | None = None
    a_week: float | None = None
    reason: str = ""


def suggest_threshold(
    rule: Rule,
    history: History,
    pair: str,
    alerts_a_week: float,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Suggestion:
    """The constant with which the rule would have fired about so often: `for`, cooldown and re-arm band count too.

    Tried are values that were really there, from the rarest on; the nearest number found is what is answered.
    `progress` is told how many were tried, of how many at most.
    """
    past = Hindsight(rule, history, pair)
    found = past.threshold()
    reason = past.unknown or _no_number(rule, alerts_a_week, past.weeks)
    if found is None or reason:
        return Suggestion(reason=reason or "only one comparison with a number has a constant to suggest")
    comparison, number = found
    values = past.number(comparison.left)
    ranked, there = np.unique(values[np.isfinite(values)], return_counts=True)
    if comparison.rises:
        ranked, there = ranked[::-1], there[::-1]
    if not len(ranked):
        return Suggestion(reason=f"{comparison.left} was never known")

    tried = itertools.count(1)

    def given(constant: float) -> int:
        if progress is not None:
            progress(min(next(tried), MOST_TRIED), MOST_TRIED)
        return len(past.alerts(_with_constant(comparison, number, constant)))

    wished = alerts_a_week * past.weeks
    place, count = _nearest(lambda place: given(ranked.item(place)), np.cumsum(there), wished)
    if count < wished / 2:
        return Suggestion(
            reason=f"no constant was found that gives so many: the most is {count / past.weeks:.3g} a week"
        )
    constant, count = _rounded(ranked.item(place), count, given)
    when = _with_constant(comparison, number, constant)
    return Suggestion(when=when, constant=constant, a_week=count / past.weeks)


def _no_number(rule: Rule, alerts_a_week: float, weeks: float) -> str:
    """Why no number of alerts a week can be wished for; empty when it can."""
    if rule.spec.repeat == "once":
        return "it fires once: that is no number a week"
    if alerts_a_week * weeks < 1:
        return f"{weeks:.3g} weeks of data do not show what happens {alerts_a_week:.3g} times a week"
    return ""


def _nearest(given: Callable[[int], int], beyond: Ints, wished: float) -> tuple[int, int]:
    """The place whose number of alerts is nearest to the wished one, the rarer of two, and that number.

    beyond: for each place, how many values lie at it or beyond. It gives no more alerts than that: so the search
            goes inwards from where they are hardly enough in steps that double, until a place gives enough, and
            then halves the last step.
    """
    tried: dict[int, int] = {}
    places = len(beyond)

    def enough(place: int) -> bool:
        tried[place] = given(place)
        return tried[place] >= wished

    low, high = -1, places
    for place in _inwards(max(0, int(np.searchsorted(beyond, wished, side="right")) - 1), places):
        if enough(place):
            high = place
            break
        low = place
    while high - low > 1 and high < places and len(tried) < MOST_TRIED:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return min(tried.items(), key=lambda each: (abs(each[1] - wished), each[0]))


def _inwards(first: int, places: int) -> list[int]:
    """Steps that double, and no more than a sixteenth of all."""
    doubling = {min((first + 1) << step, places) - 1 for step in range(places.bit_length())}
    even = {places * part // 16 for part in range(16)}
    return sorted(place for place in doubling | even if place >= min(first, places - 1))


def _rounded(constant: float, count: int, given: Callable[[float], int]) -> tuple[float, int]:
    """The shortest number that gives as many, and how many it gives."""
    for digits in (2, 3, 4, 6):
        short = float(f"{constant:.{digits}g}")
        if given(short) == count:
            return short, count
    return constant, count


def _with_constant(comparison: Comparison, number: Number, constant: float) -> str:
    return str(msgspec.structs.replace(comparison, right=msgspec.structs.replace(number, value=constant)))
