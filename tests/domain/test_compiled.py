"""A rule made ready: what its comparisons mean to the last bit, and what is known of a whole condition."""

from __future__ import annotations

import contextlib
import itertools
import math
from decimal import Decimal
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.domain.rules.compiled import CompiledRule, compile_rule, read
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.domain.rules.truth import Truth, judge
from cryptowatcher.errors import ConfigError
from tests.domain.trees import conditions

OPERATORS = ("<", "<=", ">", ">=", "crosses above", "crosses below")
NAN = math.nan


def a_spec(**fields: object) -> RuleSpec:
    return msgspec.convert({"name": "mine", "pairs": ["a/usd"], "when": "price > 1", **fields}, RuleSpec)


def compiled(when: str, rearm: str = "0.1%") -> CompiledRule:
    return compile_rule(Rule(id="r", owner="me", version=1, spec=a_spec(when=when, rearm=rearm)))


def truth_of(rule: CompiledRule, *values: float, before: tuple[float, ...] | None = None) -> Truth:
    """What is known when its numbers have these values."""
    now = [np.array([value]) for value in values]
    last = [np.array([value]) for value in before or values]
    return judge(rule.shape, now, last, rule.fire, rule.rearm)


def holds(when: str, value: float) -> bool:
    return bool(truth_of(compiled(when), value).fired[0])


def is_back(when: str, rearm: str, value: float) -> bool:
    return bool(truth_of(compiled(when, rearm), value).back[0])


@pytest.mark.parametrize("text", ["9" * 10**6, "1s" * 10**6, "1" * 39 + "s1"])
def test_a_duration_of_absurd_length_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_duration(text)
    assert "not a duration" in caught.value.message


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.text(max_size=4),
            "pairs": st.lists(st.one_of(st.just("all"), st.just("a/usd"), st.text(max_size=6)), max_size=3),
            "when": st.one_of(st.just("price > 1"), st.text(max_size=9)),
            "for": st.one_of(st.just("5m"), st.text(max_size=4)),
            "rearm": st.one_of(st.just("1%"), st.text(max_size=4)),
            "cooldown": st.text(max_size=4),
        },
    )
)
def test_a_rule_that_passes_its_check_can_be_made_ready(fields: dict[str, object]) -> None:
    spec, passed = a_spec(**fields), False
    with contextlib.suppress(ConfigError):
        check_spec(spec)
        passed = True
    if passed:
        compile_rule(Rule(id="r", owner="me", version=1, spec=spec))


@pytest.mark.parametrize(
    ("op", "below", "at", "above"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
        ("crosses above", False, True, True),
        ("crosses below", True, True, False),
    ],
)
@pytest.mark.parametrize("constant", ["1e-12", "0.1", "70000", "123456789.123"])
def test_a_price_is_compared_to_the_last_bit(op: str, below: bool, at: bool, above: bool, constant: str) -> None:
    c = float(constant)
    values = (math.nextafter(c, 0.0), c, math.nextafter(c, math.inf))
    assert [holds(f"price {op} {constant}", value) for value in values] == [below, at, above]


def exact_moves() -> list[tuple[float, float]]:
    """Price pairs as a source writes them (decimal, any scale), of which the second is exactly 5 % lower."""
    random = Random(5)
    found = []
    for _ in range(5_000):
        before = Decimal(random.randint(1, 10 ** random.randint(1, 7)) * 20).scaleb(-random.randint(0, 12))
        found.append((float(before), float(before - before / 20)))
    return found


def test_a_move_of_exactly_five_percent_is_five_percent_however_the_prices_are_rounded() -> None:
    moves = [(after - before) / before for before, after in exact_moves()]
    assert any(move > -0.05 for move in moves), "rounding does get in the way"
    assert any(move < -0.05 for move in moves), "on both sides"
    for move in moves:
        assert holds("change(5m) <= -5%", move)
        assert holds("change(5m) crosses below -5%", move)
        assert not holds("change(5m) < -5%", move)
        assert not holds("change(5m) > -5%", move)
        assert holds("change(5m) >= -5%", move)
        assert holds("change(5m) >= 5%", -move)
        assert not holds("change(5m) > 5%", -move)


def test_a_move_that_is_really_smaller_is_not_five_percent() -> None:
    for before, after in exact_moves():
        move = (after * (1 + 1e-9) - before) / before
        assert not holds("change(5m) <= -5%", move)
        assert holds("change(5m) > -5%", move)


@pytest.mark.parametrize(
    ("when", "back", "not_back"),
    [
        ("price >= 100", math.nextafter(99.0, 0.0), 99.0),
        ("price crosses above 100", math.nextafter(99.0, 0.0), 99.0),
        ("price > 100", 99.0, math.nextafter(99.0, 100.0)),
        ("price <= 100", math.nextafter(101.0, 102.0), 101.0),
        ("price crosses below 100", math.nextafter(101.0, 102.0), 101.0),
        ("price < 100", 101.0, math.nextafter(101.0, 100.0)),
        ("change(5m) <= -5%", -0.0494, -0.0495),
        ("change(5m) >= 5%", 0.0494, 0.0495),
    ],
)
def test_a_rule_rearms_where_the_same_comparison_a_band_further_back_is_false(
    when: str, back: float, not_back: float
) -> None:
    assert is_back(when, "1%", back)
    assert not is_back(when, "1%", not_back)


@given(st.floats(1e-12, 1e12), st.sampled_from(OPERATORS), st.floats(-1, 1))
def test_without_a_band_what_is_not_true_is_back(constant: float, op: str, away: float) -> None:
    when = f"price {op} {constant!r}"
    for value in (
        constant,
        constant * (1 + away),
        math.nextafter(constant, 0),
        math.nextafter(constant, math.inf),
    ):
        assert holds(when, value) != is_back(when, "0%", value)


@given(st.floats(1e-12, 1e12), st.sampled_from(OPERATORS), st.floats(0, 3), st.sampled_from(("0%", "0.1%", "50%")))
def test_what_is_true_is_never_back(constant: float, op: str, factor: float, band: str) -> None:
    when, value = f"price {op} {constant!r}", constant * factor
    assert not (holds(when, value) and is_back(when, band, value))


# --- numbers that rules share -------------------------------------------------------------------------


def the_number(when: str) -> tuple[str, float]:
    (look,) = compiled(when).shape.looks
    return str(look.number), compiled(when).constants[0]


@pytest.mark.parametrize(
    ("when", "number", "constant"),
    [
        ("price > 70000", "price", 70000),
        ("70000 < price", "price", 70000),
        ("price - 60000 > 0", "price", 60000),
        ("price - 60000 + 500 > 1000", "price", 60500),
        ("price > high(30d)", "price / high(30d)", 1),
        ("price >= 0.9 * high(30d)", "price / high(30d)", 0.9),
        ("price >= high(30d) * 0.9", "price / high(30d)", 0.9),
        ("high(1d) > low(1d) + 5", "high(1d) / (low(1d) + 5)", 1),
        ("change(1h) > change(1d)", "change(1h) - change(1d)", 0),
        ("price > -1 * high(1d)", "price - -1 * high(1d)", 0),
        ("abs(price - 1) > 0.5%", "abs(price - 1)", 0.005),
    ],
)
def test_what_is_compared_is_a_number_and_a_constant(when: str, number: str, constant: float) -> None:
    if when == "price > high(30d)":  # never true, and so refused; the sides are what is asked for here
        when = "price < high(30d)"
    assert the_number(when) == (number, constant)


@given(st.floats(1e-300, 1e300), st.sampled_from((-1, 0, 1)))
def test_two_sides_are_compared_as_floats_are(right: float, apart: int) -> None:
    left = math.nextafter(right, apart * math.inf) if apart else right
    for op, true in {">=": left >= right, ">": left > right, "<=": left <= right, "<": left < right}.items():
        assert holds(f"low(1d) {op} high(1d)", left / right) == true


def test_rules_that_differ_in_a_constant_have_one_shape() -> None:
    assert compiled("price > 1 and change(1h) > 2%").shape == compiled("price > 5 and change(1h) > 7%").shape
    assert compiled("price > 1").shape == compiled("price >= 2").shape
    assert compiled("price > 1").shape != compiled("price < 1").shape


@given(conditions(catalogue()))
def test_reading_quickly_is_reading(tree: object) -> None:
    text = str(tree)
    try:
        slow = parse(text)
    except ConfigError:
        return
    assert read(text) == slow
    assert str(read(text)) == str(slow)


# --- what is known of a whole condition ----------------------------------------------------------------

SAID = {True: 2.0, False: 0.0, None: NAN}
"""The value of a number that makes `… > 1` true, false or unknown."""


def kleene(text: str, a: bool | None, b: bool | None, c: bool | None) -> bool | None:
    """Python's own logic over every way in which the unknown could turn out."""
    ways = itertools.product(*((x,) if x is not None else (True, False) for x in (a, b, c)))
    found = {bool(eval(text, {}, dict(zip("abc", way, strict=True)))) for way in ways}
    return found.pop() if len(found) == 1 else None


@pytest.mark.parametrize(
    "text",
    ["a and b", "a or b", "not a", "a and (b or c)", "a or b and c", "not (a and b)", "not (a or not b) and c"],
)
def test_what_is_unknown_stays_so_unless_the_rest_decides(text: str) -> None:
    number = {"a": "price", "b": "high(1h)", "c": "low(1h)"}
    when = " ".join(text.replace("(", "( ").replace(")", " )").split())
    for name, feature in number.items():
        when = " ".join(f"{feature} > 1" if word == name else word for word in when.split())
    when = when.replace("( ", "(").replace(" )", ")")
    rule = compiled(when)
    order = [str(look.number) for look in rule.shape.looks]
    for a, b, c in itertools.product((True, False, None), repeat=3):
        said = {"price": SAID[a], "high(1h)": SAID[b], "low(1h)": SAID[c]}
        truth = truth_of(rule, *(said[name] for name in order))
        known = kleene(text, a, b, c)
        assert (bool(truth.holds[0]), bool(truth.fails[0])) == (known is True, known is False), (text, a, b, c)


def test_a_crossing_beside_others_is_true_only_as_it_happens() -> None:
    rule = compiled("price crosses above 100 and change(1h) > 0%")
    assert truth_of(rule, 101.0, 0.1, before=(99.0, 0.1)).fired[0]
    for before in (101.0, 100.0, NAN):
        truth = truth_of(rule, 101.0, 0.1, before=(before, 0.1))
        assert (truth.fired[0], truth.holds[0]) == (False, True)
    assert truth_of(rule, 99.0, 0.1, before=(101.0, 0.1)).fails[0]


def test_a_crossing_alone_is_a_comparison() -> None:
    assert not any(look.pulse for look in compiled("price crosses above 5").shape.looks)


def test_a_composite_rearms_when_it_would_fail_even_with_every_constant_a_band_further_back() -> None:
    rule = compiled("price > 100 or change(1h) > 10%", rearm="1%")
    assert not truth_of(rule, 99.5, 0.0).back[0]
    assert not truth_of(rule, 90.0, 0.0995).back[0]
    assert truth_of(rule, 98.9, 0.0).back[0]
    assert not truth_of(rule, 98.9, NAN).back[0]


@given(
    conditions(catalogue()), st.lists(st.sampled_from((NAN, -1.0, 0.0, 0.5, 1.0, 3.0)), min_size=40, max_size=40)
)
def test_no_condition_is_known_both_ways_and_none_that_is_back_holds(tree: object, values: list[float]) -> None:
    try:
        rule = compiled(str(tree))
    except ConfigError:
        return
    now = values[: len(rule.shape.looks)]
    truth = truth_of(rule, *now, before=tuple(values[-len(now) :]))
    assert not (truth.holds & truth.fails)[0]
    assert not (truth.holds & truth.back)[0]
    assert not (truth.fired & ~truth.holds)[0], "a crossing that happens is on its side"
