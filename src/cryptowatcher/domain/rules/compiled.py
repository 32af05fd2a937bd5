"""A rule made ready for the engine: every comparison becomes `x >= t` on a shared feature.

A rule that rises is true where x >= fire; a rule that falls is true where x < fire. It re-arms where the same
comparison with the constant a band further back does not hold (the same constant when the band is 0).
"""

from __future__ import annotations

import math

import msgspec

from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.language import Condition, Feature, parse, parse_percent
from cryptowatcher.domain.rules.model import Rule

# (price - reference) / reference misses exactly 5 % for many decimal prices by the last bit of a float.
SLACK = 1e-12


class CompiledRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with everything parsed. Durations in ms. `text`: the condition as alerts show it."""

    rule: Rule
    condition: Condition
    text: str
    feature: Feature
    rises: bool
    fire: float
    rearm: float
    hold: int
    cooldown: int
    everywhere: bool

    def is_true(self, value: float) -> bool:
        """Whether a known value satisfies the condition."""
        return (value >= self.fire) == self.rises

    def is_back(self, value: float) -> bool:
        """Whether a known value is far enough on the other side to re-arm."""
        return (value >= self.rearm) != self.rises


def compile_rule(rule: Rule) -> CompiledRule:
    """Parse everything. The spec has passed check_spec."""
    condition = parse(rule.spec.when)
    band = abs(condition.constant) * parse_percent(rule.spec.rearm, where="rearm")
    return CompiledRule(
        rule=rule,
        condition=condition,
        text=str(condition),
        feature=condition.feature,
        rises=condition.rises,
        fire=_side(condition, condition.constant),
        rearm=_side(condition, condition.constant - band if condition.rises else condition.constant + band),
        hold=parse_duration(rule.spec.for_, where="for"),
        cooldown=parse_duration(rule.spec.cooldown, where="cooldown"),
        everywhere=rule.spec.pairs == (ALL,),
    )


def _side(condition: Condition, constant: float) -> float:
    """The t of `x >= t` at which the comparison with this constant changes sides.

    A change that misses the constant by no more than the slack is equal to it: `<=` holds, `<` does not.
    """
    slack = SLACK if condition.feature.name == "change" else 0.0
    match condition.op:
        case ">":
            return math.nextafter(constant + slack, math.inf)
        case "<":
            return constant - slack
        case ">=" | "crosses above":
            return constant - slack
        case _:  # "<=", "crosses below": true where x < the next float above
            return math.nextafter(constant + slack, math.inf)
