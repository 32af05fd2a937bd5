"""Conditions: what people write is read as they meant it, or refused with the place where it went wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.rules.language import DEEPEST, LONGEST, MOST_COMPARISONS, Language, parse
from cryptowatcher.domain.rules.mistakes import ConditionError
from cryptowatcher.domain.rules.tree import (
    And,
    Apply,
    Arithmetic,
    Call,
    Comparison,
    Condition,
    Negative,
    Not,
    Number,
    Or,
    calls,
    comparisons,
    show,
)
from tests.domain.functions import FUNCTIONS, HOUR, READER
from tests.domain.trees import conditions

PRICE = Call("price", ("",))
ISSUE = (
    "price crosses above 70000",
    "change(5m) <= -5%",
    "abs(change(1h)) > 3 * volatility(1d)",
    "rsi(14, 1h) < 30 and price > sma(200, 1d)",
    "ema(12, 1h) crosses above ema(26, 1h)",
    "price >= high(30d)",
    "drawdown(24h) > 10%",
    "volume(1h) > 3 * average(volume(1h), 7d)",
    "abs(price - 1) > 0.5%",
    "change_since(60000) >= 10%",
    "rank <= 10",
    "age > 5m",
)


def read(text: str) -> Condition:
    return READER.parse(text)


def attempt(text: str) -> Condition | ConditionError:
    """What came of it; anything but a ConditionError goes through."""
    try:
        return read(text)
    except ConditionError as error:
        return error


def refused(text: str, reader: Language = READER) -> ConditionError:
    """The error, after a look at its caret."""
    with pytest.raises(ConditionError) as caught:
        reader.parse(text)
    error = caught.value
    reason, shown, caret = error.message.split("\n")
    assert (error.where, error.text, error.reason) == ("when", text, reason)
    assert 1 <= error.column <= len(text) + 1
    assert caret.strip() == f"^ column {error.column}"
    under = shown[caret.index("^") : caret.index("^") + 1]
    assert under == text[error.column - 1 : error.column] or not under.isprintable() or under == " "
    return error


# --- reading ---------------------------------------------------------------------------------------


def over(left: object, right: object) -> Comparison:
    return Comparison(">", left, right)  # type: ignore[arg-type]  # a table of trees


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("price >= 70000", Comparison(">=", PRICE, Number(70_000))),
        ("  PRICE>=70_000.50  ", Comparison(">=", PRICE, Number(70_000.5))),
        ("price <= .5", Comparison("<=", PRICE, Number(0.5))),
        ("price > +5.", over(PRICE, Number(5))),
        ("price < 1e-12", Comparison("<", PRICE, Number(1e-12))),
        ("price > -0", over(PRICE, Number(0.0))),
        ("price() > 5", over(PRICE, Number(5))),
        ("price\nCrosses\t Below 3", Comparison("crosses below", PRICE, Number(3))),
        ("70000 <= price", Comparison(">=", PRICE, Number(70_000))),
        ("5 < price", over(PRICE, Number(5))),
        ("5 > price", Comparison("<", PRICE, Number(5))),
        ("5 >= price", Comparison("<=", PRICE, Number(5))),
        ("5 crosses above price", Comparison("crosses below", PRICE, Number(5))),
        ("5 crosses below price", Comparison("crosses above", PRICE, Number(5))),
        ("2 * 3 < price", over(PRICE, Arithmetic("*", Number(2), Number(3)))),
        ("+price > --5", over(PRICE, Number(5))),
        ("price > -(2 + 3)", over(PRICE, Negative(Arithmetic("+", Number(2), Number(3))))),
        ("change(5m) > 1_0.2_5 %", over(Call("change", (300_000,)), Number(0.1025, percent=True))),
        ("bollinger(2_0, 1_0) > 5", over(Call("bollinger", (20, 10.0, HOUR)), Number(5))),
        ("change(5m) <= -5%", Comparison("<=", Call("change", (300_000,)), Number(-0.05, percent=True))),
        ("change( 1h30m ) > 7 %", over(Call("change", (5_400_000,)), Number(0.07, percent=True))),
        ("change(5m) > 0.1%", over(Call("change", (300_000,)), Number(0.001, percent=True))),
        ("change(5m) > 0", over(Call("change", (300_000,)), Number(0))),
        ("age > 1m30s", over(Call("age"), Number(90_000, duration=True))),
        ("rsi > 70", over(Call("rsi", (14, HOUR)), Number(70))),
        ("rsi(7) > 70", over(Call("rsi", (7, HOUR)), Number(70))),
        ("rsi(7, 1d) > 70", over(Call("rsi", (7, 24 * HOUR)), Number(70))),
        ("bollinger(20) > 5", over(Call("bollinger", (20, 2.0, HOUR)), Number(5))),
        ("bollinger(20, 2.5) > 5", over(Call("bollinger", (20, 2.5, HOUR)), Number(5))),
        ("price(bitcoin/usd) > 5", over(Call("price", ("bitcoin/usd",)), Number(5))),
        ("ratio( 1inch/usd ) > 5", over(Call("ratio", ("1inch/usd",)), Number(5))),
        (
            "volume > average(volume(1h), 7d)",
            over(Call("volume", (24 * HOUR,)), Call("average", (Call("volume", (HOUR,)), 168 * HOUR))),
        ),
        ("price - 1 - 2 > 0", over(Arithmetic("-", Arithmetic("-", PRICE, Number(1)), Number(2)), Number(0))),
        ("price - (1 - 2) > 0", over(Arithmetic("-", PRICE, Arithmetic("-", Number(1), Number(2))), Number(0))),
        ("1 + 2 * price > 0", over(Arithmetic("+", Number(1), Arithmetic("*", Number(2), PRICE)), Number(0))),
        ("-price * 2 > 0", over(Arithmetic("*", Negative(PRICE), Number(2)), Number(0))),
        ("price/price(a/usd) > 0", over(Arithmetic("/", PRICE, Call("price", ("a/usd",))), Number(0))),
        ("price - -5 > 0", over(Arithmetic("-", PRICE, Number(-5)), Number(0))),
        ("(price) > (5)", over(PRICE, Number(5))),
        ("Abs(price - 1) > 2", over(Apply("abs", (Arithmetic("-", PRICE, Number(1)),)), Number(2))),
        ("max(price, 1, 2) > 2", over(Apply("max", (PRICE, Number(1), Number(2))), Number(2))),
        ("price > 105% * high(1d)", over(PRICE, Arithmetic("*", Number(1.05, True), Call("high", (24 * HOUR,))))),
    ],
)
def test_a_comparison_is_read_as_written(text: str, tree: Comparison) -> None:
    assert read(text) == tree


A, B, C = (Comparison(">", PRICE, Number(each)) for each in (1, 2, 3))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("price > 1 and price > 2 or price > 3", Or((And((A, B)), C))),
        ("price > 1 AND (price > 2 Or price > 3)", And((A, Or((B, C))))),
        ("price > 1 and price > 2 and price > 3", And((A, B, C))),
        ("price > 1 and (price > 2 and price > 3)", And((A, B, C))),
        ("(price > 1 or price > 2) or price > 3", Or((A, B, C))),
        ("not price > 1 and price > 2", And((Not(A), B))),
        ("not (price > 1 and price > 2)", Not(And((A, B)))),
        ("not not price > 1", Not(Not(A))),
        ("((price + 1) > 1) and price > 2", And((over(Arithmetic("+", PRICE, Number(1)), Number(1)), B))),
    ],
)
def test_and_or_and_not_bind_as_everywhere(text: str, tree: Condition) -> None:
    assert read(text) == tree


@pytest.mark.parametrize("text", ISSUE)
def test_the_examples_of_the_language_are_read_and_printed(text: str) -> None:
    tree = read(text)
    assert read(show(tree, FUNCTIONS)) == tree


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_the_example_of_every_feature_is_read_and_printed(name: str) -> None:
    function = catalogue()[name]
    constant = {"fraction": "5%", "time": "5m"}.get(function.unit, "5")
    tree = parse(f"{function.example} > {constant}")
    assert next(calls(tree)).name == name
    assert parse(str(tree)) == tree


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  price>=70_000.50 ", "price >= 70000.5"),
        ("change(60s) < -5.0 %", "change(1m) < -5%"),
        ("price > 1e-12", "price > 1e-12"),
        ("price > 1e20", "price > 1e20"),
        ("price > 0.000012", "price > 0.000012"),
        ("rsi(14, 1h) > 70", "rsi > 70"),
        ("rsi(14, 1d) > 70", "rsi(14, 1d) > 70"),
        ("age > 90s", "age > 1m30s"),
        ("age + -90s > 5m", "age + -1m30s > 5m"),
        ("bollinger(20, 2, 1h) > 1 AND (price > 2)", "bollinger(20) > 1 and price > 2"),
        ("(price > 1 and price > 2) or price > 3", "price > 1 and price > 2 or price > 3"),
        ("price > 1 and (price > 2 or price > 3)", "price > 1 and (price > 2 or price > 3)"),
        ("not price > 1", "not (price > 1)"),
        ("-(price) > -(-price)", "-price > -(-price)"),
        ("(price * 2) / (3 * price) > 1", "price * 2 / (3 * price) > 1"),
        ("MIN(price,2)>1", "min(price, 2) > 1"),
    ],
)
def test_a_tree_is_printed_in_one_way(text: str, shown: str) -> None:
    assert show(read(text), FUNCTIONS) == shown


@pytest.mark.parametrize(
    "text",
    [
        "price > 0.0000001",
        "price > 1e-8",
        "macd > -1e-9",
        "macd > -0.5",
        "price > 9999999999999998",
        "price > 1e16",
        "price > 1.2e16",
        "price > 100",
        "change(5m) > 100%",
        "change(5m) > 1e-10%",
        "age > 0s",
        "bollinger(20, 2.5) > 1",
        "bollinger(20, 2, 1d) > 1",
        "average(rsi(7), 7d) > 5",
        "volume(1h) > 5",
        "price(bitcoin/usd) > 5",
        "price > 1 - (2 - 3)",
        "price > 1 - 2 - 3",
        "price > 1 / (2 * 3)",
        "price > 1 / 2 * 3",
        "price > (1 + 2) * 3",
        "price > 1 + 2 * 3",
        "macd > -(1 + 2)",
        "price > -price * 2",
        "macd > -abs(price)",
        "price > max(1, 2, price + 3)",
        "(price > 1 or price > 2) and price > 3",
        "not (not (price > 1))",
        "not (price > 1) and not (price > 2 or price > 3)",
        "price crosses above 1 or price crosses below 2",
    ],
)
def test_what_is_written_that_way_already_is_printed_as_it_stands(text: str) -> None:
    assert show(read(text), FUNCTIONS) == text


MEANT_OTHERWISE = ("is compared with", "cannot be compared", "cannot be added", "characters")


@given(conditions(FUNCTIONS))
def test_the_text_of_a_tree_is_read_back_as_that_tree(tree: Condition) -> None:
    text = show(tree, FUNCTIONS)
    again = attempt(text)
    if isinstance(again, ConditionError):
        assert any(words in again.reason for words in MEANT_OTHERWISE)
        return
    assert again == tree
    assert show(again, FUNCTIONS) == text


UNITLESS = {name: function for name, function in FUNCTIONS.items() if function.unit == "number"}


@given(conditions({name: UNITLESS[name] for name in ("rank", "ratio", "rsi", "macd")}, constants=False))
def test_a_tree_of_plain_numbers_is_never_refused(tree: Condition) -> None:
    text = show(tree, FUNCTIONS)
    if len(text) <= LONGEST:
        assert read(text) == tree


@given(conditions(FUNCTIONS))
def test_a_tree_travels_as_bytes(tree: Condition) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tree), type=Condition) == tree


@pytest.mark.parametrize(
    ("text", "column", "why", "hint"),
    [
        ("price < -5 and price > 1", 1, "this is never so: `price` is always at least 0", "write price > 5"),
        ("price > 1 and rank < -1", 15, "this is never so: `rank` is always at least 0", "write rank > 1"),
        ("rank < -1 and rank < -2", 1, "this is never so: `rank` is always at least 0", "write rank > 1"),
        ("not (rank < -1)", 6, "this is never so: `rank` is always at least 0", "write rank > 1"),
        (
            "price > 5 or rank < -1 or rank < -2",
            14,
            "this is never so: `rank` is always at least 0",
            "write rank > 1",
        ),
        ("price > 5 and price < 3", 1, "these are never so together: price > 5 and price < 3", ""),
        ("price > 5 or price <= 5", 1, "one of these is always so: price > 5 or price <= 5", ""),
        (
            "price > 5 and (price > 7 and price < 6)",
            16,
            "these are never so together: price > 7 and price < 6",
            "",
        ),
    ],
)
def test_what_can_never_turn_true_is_read_and_not_kept(text: str, column: int, why: str, hint: str) -> None:
    assert read(text)
    with pytest.raises(ConditionError) as caught:
        READER.check(text)
    assert (caught.value.column, caught.value.reason, caught.value.hint) == (column, why, hint)


def test_an_error_says_in_which_field_it_is() -> None:
    for reading in (READER.parse, READER.check, parse):
        for wanted, error in (("when", refused_in(reading, {})), ("here", refused_in(reading, {"where": "here"}))):
            assert error.where == wanted


def refused_in(reading: Callable[..., Condition], where: dict[str, str]) -> ConditionError:
    with pytest.raises(ConditionError) as caught:
        reading("price", **where)
    return caught.value


# --- limits ----------------------------------------------------------------------------------------


def test_a_condition_of_absurd_length_is_refused_without_being_read() -> None:
    for text in ("price > 1" + " " * 10**6, "a" * 10**6, "(" * (LONGEST + 1)):
        assert refused(text).reason == "a condition has at most 500 characters"
    assert read("price > 1".ljust(LONGEST)) == A


def test_a_condition_that_is_short_only_as_typed_is_refused() -> None:
    text = " or ".join(["price>1e15"] * MOST_COMPARISONS)
    assert len(text) <= LONGEST
    assert len(show(read(" or ".join(["price>1e15"] * 18)), FUNCTIONS)) == LONGEST
    assert refused(text).reason == "written out, a condition has at most 500 characters"


def test_there_is_an_end_to_comparisons_and_to_levels() -> None:
    most = " or ".join(["rank>1"] * MOST_COMPARISONS)
    assert len(list(comparisons(read(most)))) == MOST_COMPARISONS
    error = refused(f"{most} or rank>1")
    assert (error.reason, error.column) == ("a condition has at most 32 comparisons", len(f"{most} or r"))
    deep = "not " * (DEEPEST - 2) + "price > 1"
    assert read(deep)
    for deeper in (
        f"not {deep}",
        "-" * 450 + "rank > 1",
        "1+" * 200 + "rank > 1",
        "abs(" * 90 + "rank" + ")" * 90,
    ):
        assert refused(deeper).reason == "this is nested more than 20 levels deep"


def test_numbers_are_no_comparisons() -> None:
    many = ",".join(["rank"] * (MOST_COMPARISONS + 1))
    assert read(f"max({many}) > 1 and max({many}) > 2")


def test_brackets_around_brackets_are_no_levels() -> None:
    assert read("(" * 200 + "price > 1" + ")" * 200) == A


WORDS = "price change rsi average abs max ( ) , 5m 1h < <= > >= = crosses above below - + * / 5 % 1e e9 . _ 70000"
WORDS += " and or not & | k is bitcoin/usd ² ٣"
pieces = st.sampled_from(
    [*WORDS.split(), " ", "\n", "\x00", "\ud800", "9" * 400, "( " * 99, "not " * 60, "1+" * 99]
)


@given(st.one_of(st.text(max_size=60), st.lists(pieces, max_size=12).map("".join)))
@example("price > " + "9" * 480)
@example("price > 1e-99999999999999999999999%")
@example("price > 1e99999999999999999999999%")
@example("change(" + "9" * 400 + "d) > 1%")
@example("average(" * 60)
@example("price > " + "1,000" * 90)
@example("is " * 160)
@example("price > 5.5.5k")
def test_whatever_is_typed_is_read_or_refused_in_one_way(text: str) -> None:
    tree = attempt(text)
    if isinstance(tree, ConditionError):
        refused(text)
    else:
        assert read(show(tree, FUNCTIONS)) == tree


def test_no_condition_is_read_before_there_is_one() -> None:
    code = "import sys, cryptowatcher.domain.rules.words; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
