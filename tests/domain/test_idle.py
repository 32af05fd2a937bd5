"""Conditions that can never turn true are refused where a rule is saved, and read where one is stored."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.bounds import Bounds
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.domain.rules.compiled import compile_rule
from cryptowatcher.domain.rules.idle import bounds_of, verdict_on
from cryptowatcher.domain.rules.language import language
from cryptowatcher.domain.rules.mistakes import ConditionError
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.domain.rules.tree import (
    Apply,
    Arithmetic,
    Call,
    Comparison,
    Expression,
    Negative,
    Number,
    calls,
)
from cryptowatcher.domain.rules.units import constant
from tests.domain.trees import conditions

NEVER = [
    ("price - price > 0", 1, "`price - price` is 0", ""),
    ("price * 0 > 1", 1, "`price * 0` is 0", ""),
    ("price / price > 1", 1, "`price / price` is 1", ""),
    ("rsi(14, 1h) > 100", 1, "`rsi(14, 1h)` is always at least 0 and at most 100", ""),
    ("price > 5 and rsi(14, 1h) < 0", 15, "`rsi(14, 1h)` is always at least 0 and at most 100", ""),
    ("stochastic_k(14, 1h) < 0", 1, "at least 0 and at most 100", ""),
    ("drawdown(1h) < 0", 1, "`drawdown(1h)` is always at least 0% and below 100%", ""),
    ("drawdown(1h) <= -5%", 1, "at least 0% and below 100%", "write drawdown(1h) >= 5%"),
    ("drawdown(1h) >= 100%", 1, "at least 0% and below 100%", ""),
    ("range(1h) < -3%", 1, "at least 0%", "write range(1h) > 3%"),
    ("change(1h) <= -100%", 1, "`change(1h)` is always above -100%", ""),
    ("change_since_alert(5) < -100%", 1, "always above -100%", ""),
    ("-price > 3", 1, "`-price` is always below 0", ""),
    ("price <= 0", 1, "`price` is always above 0", ""),
    ("rank < 1", 1, "`rank` is always at least 1", ""),
    ("age < 0m", 1, "`age` is always at least 0s", ""),
    ("100 < rsi(14, 1h)", 1, "`rsi(14, 1h)` is always", ""),
    ("min(rsi(14, 1h), 50) > 60", 1, "at least 0 and at most 50", ""),
    ("max(rsi(14, 1h), 50) < 50", 1, "at least 50 and at most 100", ""),
    ("price > high(30d)", 1, "`price` is never above `high(30d)`", "write price >= high(30d)"),
    ("price > 1.05 * high(30d)", 1, "`price` is never above `high(30d)`", ""),
    ("price < low(1d)", 1, "`price` is never below `low(1d)`", "write price <= low(1d)"),
    ("high(1h) < price", 1, "`high(1h)` is never below `price`", ""),
    ("price > price", 1, "both sides are the same", ""),
]
ALWAYS = [
    ("volume >= 0", 1, "`volume` is always at least 0", ""),
    ("not (drawdown(1h) >= 0%)", 6, "at least 0% and below 100%", ""),
    ("abs(change(1h)) > -3%", 1, "at least 0%", ""),
    ("price + 1 > 1", 1, "`price + 1` is always above 1", ""),
    ("price >= price", 1, "both sides are the same", ""),
    ("low(1d) <= high(1d)", 1, "`low(1d)` is never above `high(1d)`", ""),
    ("price > 0.5 * low(1d)", 1, "`price` is never below `low(1d)`", ""),
    ("change_since(100) > -200%", 1, "always above -100%", ""),
]
MAY_TURN = (
    *("price > 5", "rsi(14, 1h) >= 100", "rsi(14, 1h) <= 0", "change(1h) <= -99%", "drawdown(1h) > 0"),
    *("volume > 0", "price >= high(30d)", "price crosses above high(30d)", "price <= low(1d)", "price < high(1d)"),
    *("high(1h) > high(1d)", "low(1h) < high(1d)", "price > 0.99 * high(1d)", "rank <= 10", "age > 5m"),
    *("2 * price > sma(20, 1h)", "abs(price - 1) > 0.5%", "bollinger_lower(20, 2, 1h) < 0", "zscore(24h) < -3"),
    *("price > 5 and price < 7", "price < 5 or price > 7", "price >= 5 and price <= 5", "price > 5 and rank < 3"),
    *("price crosses above 5 or price < 5", "change(1h) > 3 * volatility(1d)", "macd(12, 26, 9, 1h) < 0"),
    *("price - high(1d) >= 0", "price / high(1d) >= 1", "price > 5 and (price < 3 or rank < 5)"),
)  # fmt: skip


def spec(when: str) -> RuleSpec:
    return RuleSpec(name="n", pairs=("a/usd",), when=when)


@pytest.mark.parametrize(
    ("when", "column", "why", "hint", "so"),
    [(*row, "never") for row in NEVER] + [(*row, "always") for row in ALWAYS],
)
def test_what_is_never_so_or_always_is_refused_with_its_place(
    when: str, column: int, why: str, hint: str, so: str
) -> None:
    with pytest.raises(ConditionError) as error:
        check_spec(spec(when))
    assert error.value.where == "when"
    assert (error.value.column, error.value.hint) == (column, hint)
    assert error.value.reason.startswith(f"this is {so} so: ")
    assert why in error.value.reason


def test_a_crossing_that_cannot_happen_is_refused() -> None:
    for when in ("price crosses above 0", "rsi(14, 1h) crosses below -1", "price crosses above 1.05 * high(1d)"):
        with pytest.raises(ConditionError, match="this never happens"):
            check_spec(spec(when))


@pytest.mark.parametrize(
    ("when", "column", "why"),
    [
        ("price > 5 and price < 3", 1, "these are never so together: price > 5 and price < 3"),
        ("price > 5 and price <= 5", 1, "never so together"),
        ("price > 5 and not price > 3", 1, "never so together: price > 5 and price <= 3"),
        ("rank < 9 and (price > 5 and price < 3)", 15, "never so together: price > 5 and price < 3"),
        ("rank < 9 or (price > 5 and price < 3)", 14, "never so together: price > 5 and price < 3"),
        ("price crosses above 5 and price < 3", 1, "never so together"),
        ("price > 3 or price < 5", 1, "one of these is always so: price > 3 or price < 5"),
        ("price >= 3 or price < 3", 1, "one of these is always so"),
        ("change(1h) > -3% or not change(1h) > 3%", 1, "one of these is always so"),
    ],
)
def test_comparisons_that_contradict_each_other_are_refused(when: str, column: int, why: str) -> None:
    with pytest.raises(ConditionError) as error:
        check_spec(spec(when))
    assert error.value.column == column
    assert why in error.value.reason


@pytest.mark.parametrize("when", MAY_TURN)
def test_what_may_turn_true_is_not_refused(when: str) -> None:
    check_spec(spec(when))


@pytest.mark.parametrize("when", [NEVER[0][0], ALWAYS[0][0], "price > 5 and price < 3", "price crosses above 0"])
def test_what_is_stored_already_is_read_all_the_same(when: str) -> None:
    assert compile_rule(Rule(id="r", owner="o", version=1, spec=spec(when))).text == when
    language().parse(when)


# --- never more than is true -----------------------------------------------------------------------


def value_of(node: Expression, values: Callable[[Call], float]) -> float:
    """An expression by the values of its features; NaN where it is none."""
    match node:
        case Number():
            return node.value
        case Call():
            return values(node)
        case Negative():
            return -value_of(node.of, values)
        case Apply():
            of = [value_of(arg, values) for arg in node.args]
            if any(map(math.isnan, of)):
                return math.nan
            return abs(of[0]) if node.name == "abs" else (min if node.name == "min" else max)(of)
        case Arithmetic():
            left, right = value_of(node.left, values), value_of(node.right, values)
            if node.op == "/":
                return left / right if right else math.nan
            return {"+": left + right, "-": left - right, "*": left * right}[node.op]


def holds(comparison: Comparison, values: Callable[[Call], float]) -> bool | None:
    left, right = value_of(comparison.left, values), value_of(comparison.right, values)
    if not math.isfinite(left) or not math.isfinite(right):
        return None
    match comparison.op:
        case ">=" | "crosses above":
            return left >= right
        case "<=" | "crosses below":
            return left <= right
        case ">":
            return left > right
        case _:
            return left < right


def some_value(lies: Bounds, share: float) -> float:
    """A value between these bounds; near the ends too."""
    low, high = max(lies.low, -1000.0), min(lies.high, 1000.0)
    value = low + (high - low) * share
    if (value <= lies.low and lies.above) or (value >= lies.high and lies.below):
        return low + (high - low) / 2
    return value


_SHARES = st.sampled_from((0.0, 1.0)) | st.floats(0.0, 1.0)


@given(conditions(catalogue(), constants=False), st.data())
def test_what_is_said_to_be_never_so_is_so_for_no_values_that_are_known(tree: object, data: st.DataObject) -> None:
    if not isinstance(tree, Comparison):
        return
    verdict = verdict_on(tree, catalogue())
    known: dict[Call, float] = {}
    for call in calls(tree):
        known.setdefault(call, some_value(catalogue()[call.name].bounds, data.draw(_SHARES)))
    lies, value = bounds_of(tree.left, catalogue()), value_of(tree.left, known.__getitem__)
    ordered = {call.name for call in known} & {"high", "low"}
    if math.isfinite(value) and not ordered:
        away = 1e-9 * max(1.0, abs(value))
        assert lies.low - away <= value <= lies.high + away
    true = holds(tree, known.__getitem__)
    if verdict is None or true is None or ordered or _is_near(tree, known):
        return
    if tree.op.startswith("crosses"):
        return
    assert true == (verdict == "always")


def _is_near(comparison: Comparison, known: dict[Call, float]) -> bool:
    """Whether rounding decides."""
    left, right = (value_of(side, known.__getitem__) for side in (comparison.left, comparison.right))
    return abs(left - right) <= 1e-9 * max(1.0, abs(left), abs(right))


def test_a_constant_side_has_one_value() -> None:
    assert constant(Number(3.0)) == 3.0
    assert bounds_of(Number(3.0), catalogue()) == Bounds(3.0, 3.0)
