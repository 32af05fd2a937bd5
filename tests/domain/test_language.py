"""Conditions: what people write is read as they meant it, or refused with the place where it went wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from random import Random
from typing import TypeVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.rules.compiled import compile_rule
from cryptowatcher.domain.rules.language import Condition, Feature, check_spec, parse, parse_percent
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.errors import ConfigError

OPERATORS = ("<", "<=", ">", ">=", "crosses above", "crosses below")
T = TypeVar("T")


def a_spec(**fields: object) -> RuleSpec:
    return msgspec.convert({"name": "mine", "pairs": ["a/usd"], "when": "price > 1", **fields}, RuleSpec)


def holds(when: str, value: float) -> bool:
    return compile_rule(Rule(id="r", owner="me", version=1, spec=a_spec(when=when))).is_true(value)


def is_back(when: str, rearm: str, value: float) -> bool:
    return compile_rule(Rule(id="r", owner="me", version=1, spec=a_spec(when=when, rearm=rearm))).is_back(value)


def attempt(read: Callable[[], T]) -> T | ConfigError:
    """What came of it; anything but a ConfigError goes through."""
    try:
        return read()
    except ConfigError as error:
        return error


def refused(text: str) -> tuple[str, int]:
    """The sentence, and the column the caret stands under (from 1)."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.where == "when"
    sentence, shown, caret = caught.value.message.split("\n")
    assert shown == f"    {text}"
    assert caret.endswith(f"^ column {caret.index('^') - 3}")
    return sentence, caret.index("^") - 3


# --- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "feature", "op", "constant"),
    [
        ("price >= 70000", Feature("price"), ">=", 70_000.0),
        ("  price>=70_000.50  ", Feature("price"), ">=", 70_000.5),
        ("price < 1e-12", Feature("price"), "<", 1e-12),
        ("price <= .5", Feature("price"), "<=", 0.5),
        ("price > +5.", Feature("price"), ">", 5.0),
        ("price crosses above 70000", Feature("price"), "crosses above", 70_000.0),
        ("price crosses   below\t3", Feature("price"), "crosses below", 3.0),
        ("change(5m) <= -5%", Feature("change", 300_000), "<=", -0.05),
        ("change( 1h30m ) > 7 %", Feature("change", 5_400_000), ">", 0.07),
        ("change (400d) < 0%", Feature("change", 400 * 86_400_000), "<", 0.0),
        ("change(24h)crosses above 1e1%", Feature("change", 86_400_000), "crosses above", 0.1),
    ],
)
def test_conditions_are_read_as_written(text: str, feature: Feature, op: str, constant: float) -> None:
    assert parse(text) == Condition(feature, op, constant)  # type: ignore[arg-type]  # a table of texts


prices = st.decimals("1e-14", "1e9", allow_nan=False).map(lambda number: f"price {{op}} {number:.15g}")
windows = st.one_of(st.integers(1, 7200), st.integers(2, 576).map(lambda n: n * 300)).map(lambda n: f"{n}s")
percents = st.decimals(-99, 900, places=4).map(str)
changes = st.tuples(windows, percents).map(lambda row: f"change({row[0]}) {{op}} {row[1]}%")


@given(st.one_of(prices, changes), st.sampled_from(OPERATORS))
def test_the_text_of_a_tree_is_read_back_as_that_tree(text: str, op: str) -> None:
    tree = attempt(lambda: parse(text.format(op=op)))
    if isinstance(tree, ConfigError):
        assert "multiple of" in tree.message, "a window off its grid"
        return
    assert parse(str(tree)) == tree
    assert str(parse(str(tree))) == str(tree)


# --- refusing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "begins with"),
        ("   ", 1, "begins with"),
        (">= 5", 1, "begins with"),
        ("5 < price", 1, "begins with"),
        ("prise > 5", 1, "no feature `prise`"),
        ("  volume > 5", 3, "no feature `volume`"),
        ("rsi(14) > 70", 1, "no feature `rsi`"),
        ("Price > 5", 1, "no feature `Price`"),
        ("price", 6, "expected <"),
        ("price = 5", 7, "expected <"),
        ("price == 5", 7, "expected <"),
        ("price crosses 5", 7, "expected <"),
        ("price is above 5", 7, "expected <"),
        ("price >", 8, "expected one number"),
        ("price > x", 9, "expected one number"),
        ("price > 70,000", 9, "expected one number"),
        ("price > nan", 9, "expected one number"),
        ("price > inf", 9, "expected one number"),
        ("price > 0x10", 9, "expected one number"),
        ("price > 1 and price < 3", 9, "expected one number"),
        ("price > 1e999", 9, "too large"),
        ("price > -1e999", 9, "too large"),
        ("price > 5%", 10, "not percent"),
        ("price(5m) > 5", 7, "has no window"),
        ("price() > 5", 7, "has no window"),
        ("change > 5%", 7, "needs a window"),
        ("change() > 5%", 7, "needs a window"),
        ("change(5m) > 5", 15, "compared with percent"),
        ("change(5) > 5%", 8, "not a duration"),
        ("change( five ) > 5%", 9, "not a duration"),
        ("change(0s) > 5%", 8, "longer than 0s"),
        ("change(401d) > 5%", 8, "at most"),
        ("change(1500ms) > 5%", 8, "multiple of 1s"),
        ("change(25h7m) > 5%", 8, "multiple of 5m"),
        ("change(" + "9" * 41 + "d) > 5%", 8, "not a duration"),
        ("change(" + "9" * 39 + "d) > 5%", 8, "at most"),
    ],
)
def test_an_error_shows_the_column_where_it_went_wrong(text: str, column: int, says: str) -> None:
    sentence, found = refused(text)
    assert says in sentence
    assert found == column


@pytest.mark.parametrize("text", ["change(" + " " * 10**6, "price > " + "9" * 10**6 + "x", "a" * 10**6])
def test_a_condition_of_absurd_length_is_refused_without_being_read(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert "at most 200 characters" in caught.value.message


@pytest.mark.parametrize("text", ["9" * 10**6, "1s" * 10**6, "1" * 39 + "s1"])
def test_a_duration_of_absurd_length_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_duration(text)
    assert "not a duration" in caught.value.message


def test_a_feature_that_is_misspelt_is_suggested() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("chnage(5m) > 5%")
    assert caught.value.hint == "did you mean `change`?"


pieces = st.sampled_from(
    ["price", "change", "(", ")", "5m", "1h", "<", "<=", ">", "=", "crosses", "above", "below", " ", "-", "5", "%",
     "1e", "e9", ".", "_", "70000", "and", "\n", "²", "٣", "\x00", "9" * 400]
)  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(pieces, max_size=9).map("".join)))
@example("price > " + "9" * 5_000)
@example("price > ٣")
@example("change(" + "9" * 400 + "d) > 1%")
def test_whatever_is_typed_is_read_or_refused_and_nothing_else(text: str) -> None:
    for read in (parse, parse_duration, partial(parse_percent, where="rearm")):
        attempt(partial(read, text))


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
    spec = a_spec(**fields)
    wrong = attempt(lambda: check_spec(spec))
    if isinstance(wrong, ConfigError):
        assert wrong.where.split("[")[0] in {"name", "pairs", "when", "for", "rearm", "cooldown"}
        return
    compile_rule(Rule(id="r", owner="me", version=1, spec=spec))


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": " edge"}, "name"),
        ({"name": "edge\u00a0"}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "bell\a"}, "name"),
        ({"name": "escape\x1b[31m"}, "name"),
        ({"name": "half \ud800"}, "name"),
        ({"pairs": []}, "pairs"),
        ({"pairs": ["all", "a/usd"]}, "pairs"),
        ({"pairs": ["a/usd", "a/usd"]}, "pairs"),
        ({"pairs": ["a/usd", "bitcoin"]}, "pairs[1]"),
        ({"pairs": ["a /usd"]}, "pairs[0]"),
        ({"when": "price"}, "when"),
        ({"for": "5"}, "for"),
        ({"cooldown": "soon"}, "cooldown"),
        ({"rearm": "0.1"}, "rearm"),
        ({"rearm": "100%"}, "rearm"),
        ({"rearm": "-1%"}, "rearm"),
        ({"when": "price crosses above 5", "fire_if_already_true": True}, "fire_if_already_true"),
    ],
)
def test_a_rule_that_is_wrong_says_in_which_field(fields: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_spec(a_spec(**fields))
    assert caught.value.where == where


# --- comparing -------------------------------------------------------------------------------------


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
