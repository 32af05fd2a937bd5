"""Arithmetic over features, column by column: what it comes to, and that unknown stays unknown."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.numbers import Values, evaluate, is_fraction, never_negative, series_of
from cryptowatcher.domain.rules.tree import Call, Comparison, Expression
from cryptowatcher.domain.ticks import Floats
from cryptowatcher.errors import ConfigError
from tests.domain.lines import BEGIN, instants, line

NAN = math.nan
PRICE = Call("price")
COLUMNS = {
    "price": np.array([1.0, NAN, -2.0, 0.0, 3e300]),
    "rank": np.array([2.0, 1.0, 4.0, 0.0, 1e300]),
}


def read(text: str) -> Expression:
    """The left side of a comparison."""
    condition = parse(f"{text} crosses above rank")
    assert isinstance(condition, Comparison)
    return condition.left


def values_of(call: Call) -> Floats:
    return COLUMNS[call.name]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("price", [1, NAN, -2, 0, 3e300]),
        ("-price", [-1, NAN, 2, 0, -3e300]),
        ("price + rank", [3, NAN, 2, 0, 4e300]),
        ("price - rank", [-1, NAN, -6, 0, 2e300]),
        ("price * rank", [2, NAN, -8, 0, NAN]),  # too large to be known
        ("price / rank", [0.5, NAN, -0.5, NAN, 3]),
        ("rank / price", [2, NAN, -2, NAN, 1e300 / 3e300]),
        ("2 * price - 1", [1, NAN, -5, -1, 6e300]),
        ("1 - price", [0, NAN, 3, 1, -3e300]),
        ("abs(price)", [1, NAN, 2, 0, 3e300]),
        ("abs(price - rank)", [1, NAN, 6, 0, 2e300]),
        ("min(price, rank, 1)", [1, NAN, -2, 0, 1]),
        ("max(price, 1, rank)", [2, NAN, 4, 1, 3e300]),
        ("min(rank, -price)", [-1, NAN, 2, 0, -3e300]),
    ],
)
def test_a_column_is_computed_element_by_element(text: str, wanted: list[float]) -> None:
    np.testing.assert_array_equal(evaluate(read(text), values_of), np.array(wanted))


def test_each_number_is_of_the_pairs_that_are_asked_for() -> None:
    memory = Memory()
    lines = [line([BEGIN], [price], valid_for=60_000, pair=f"p{price}/usd") for price in (5.0, 7.0, 9.0)]
    for instant in instants(lines):
        cols = memory.universe.columns(instant.pairs)
        memory.widen()
        memory.add(cols, instant, at=instant.received_at)
    values = Values(memory, cols[[2, 0]])
    twice = read("2 * price + 1")
    assert values.of(twice).tolist() == [19.0, 11.0]
    assert values.of(PRICE).tolist() == [9.0, 5.0]
    # Once: what was computed is given again.
    assert values.of(twice) is values.of(twice)
    assert values.of(PRICE) is values.of(PRICE)


def test_a_feature_along_a_line_is_its_series_and_what_no_line_tells_is_refused() -> None:
    prices = line([BEGIN, BEGIN + 60_000], [5.0, 7.0], valid_for=60_000)
    assert series_of(PRICE, prices).tolist() == [5.0, 7.0]
    with pytest.raises(ConfigError) as caught:
        series_of(Call("age"), prices)
    assert (caught.value.message, caught.value.where, caught.value.hint) == (
        "recorded prices do not tell `age`",
        "when",
        "such a rule is judged by a running watcher only",
    )


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("price", True),
        ("change(1h)", False),
        ("abs(change(1h))", True),
        ("-price", False),
        ("min(price, rank)", True),
        ("min(price, 0)", True),
        ("min(price, -1)", False),
        ("max(price, change(1h))", False),
        ("price + rank", True),
        ("price * 2", True),
        ("price * -2", False),
        ("price / change(1h)", False),
        ("change(1h) / price", False),
        ("price / rank", True),
        ("price - rank", False),
    ],
)
def test_what_is_never_below_0_is_told_by_its_parts(text: str, never: bool) -> None:
    assert never_negative(read(text)) is never


@pytest.mark.parametrize(
    ("text", "fraction"),
    [
        ("price", False),
        ("change(1h)", True),
        ("-change(1h)", True),
        ("-price", False),
        ("abs(change(1h))", True),
        ("max(change(1h), 2)", True),
        ("max(price, 2)", False),
        ("change(1h) + 1", True),
        ("1 - change(1h)", True),
        ("price + 1", False),
        ("2 * change(1h)", True),
        ("change(1h) * 2", True),
        ("change(1h) * change(1d)", False),
        ("price * 2", False),
        ("change(1h) / 2", True),
        ("price / 2", False),
        ("2 / change(1h)", False),
        ("change(1h) / change(1d)", False),
    ],
)
def test_what_people_write_in_percent_is_told_by_its_parts(text: str, fraction: bool) -> None:
    assert is_fraction(read(text)) is fraction
