"""The truth of a crossing at the very value that it crosses, which prices seldom hit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cryptowatcher.domain.rules.compiled import compile_rule
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.truth import judge
from cryptowatcher.replay import rules_of


@pytest.mark.parametrize(("way", "beyond"), [("above", math.inf), ("below", -math.inf)])
def test_a_crossing_counts_from_the_last_value_on_the_other_side(way: str, beyond: float) -> None:
    # By itself a crossing is an edge like any other; among others it is the moment that counts.
    when = f"price crosses {way} 100 and change(5m) > 5%"
    (rule,) = rules_of([RuleSpec(name="x", pairs=("all",), when=when)])
    compiled = compile_rule(rule)
    at = compiled.fire[0]
    # Known to be above is `at` or more, known to be below is less than that.
    first_above, last_below = at, math.nextafter(at, -math.inf)
    before, after = (last_below, first_above) if way == "above" else (first_above, last_below)
    last = np.array([before, after, math.nan])
    now = np.array([after, math.nextafter(after, beyond), after])
    moved = np.ones(3)
    truth = judge(compiled.shape, [now, moved], [last, None], compiled.fire, compiled.rearm)
    assert truth.fired.tolist() == [True, False, False]
    assert truth.holds.tolist() == [True, True, True]


@pytest.mark.parametrize(("when", "side"), [("price >= 100", math.inf), ("price < 100", -math.inf)])
def test_a_comparison_changes_at_its_constants_and_not_beside_them(when: str, side: float) -> None:
    (rule,) = rules_of([RuleSpec(name="x", pairs=("all",), when=when, rearm="1%")])
    compiled = compile_rule(rule)
    holds, over = first_on_side(compiled.fire[0], side), first_on_side(compiled.rearm[0], side)
    now = np.array([holds, math.nextafter(holds, -side), over, math.nextafter(over, -side), math.nan])
    truth = judge(compiled.shape, [now], [None], compiled.fire, compiled.rearm)
    assert truth.fired.tolist() == truth.holds.tolist() == [True, False, False, False, False]
    assert truth.fails.tolist() == [False, True, True, True, False]
    assert truth.back.tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("joined", "over"), [("and", [True, True, True, False]), ("or", [True, False, False, False])]
)
def test_of_two_comparisons_it_is_over_when_the_whole_is(joined: str, over: list[bool]) -> None:
    (rule,) = rules_of([RuleSpec(name="x", pairs=("all",), when=f"price >= 100 {joined} volume >= 10")])
    compiled = compile_rule(rule)
    now = [np.array([50.0, 50.0, 200.0, 200.0]), np.array([5.0, 20.0, 5.0, 20.0])]
    truth = judge(compiled.shape, now, [None, None], compiled.fire, compiled.rearm)
    assert truth.back.tolist() == truth.fails.tolist() == over


def first_on_side(constant: float, side: float) -> float:
    """Of a constant that is compared by `>=`, the last number on this side of it before the other begins."""
    return constant if side > 0 else math.nextafter(constant, -math.inf)
