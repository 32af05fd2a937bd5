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
