"""The parts of a condition's tree: what they say of themselves."""

from __future__ import annotations

import pytest

from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.tree import (
    And,
    Apply,
    Arithmetic,
    Call,
    Comparison,
    Negative,
    Node,
    Not,
    Number,
    Or,
    calls,
    comparisons,
)
from tests.domain.functions import READER

PRICE = Call("price")
OVER, UNDER = Comparison(">", PRICE, Number(1)), Comparison("<", PRICE, Number(2))


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Number(70_000), "70000"),
        (Number(-0.05, percent=True), "-5%"),
        (Number(90_000, duration=True), "1m30s"),
        (Number(-90_000, duration=True), "-1m30s"),
        (Number(0, duration=True), "0s"),
        (Number(0.0), "0"),
        (Call("rsi", (14, 3_600_000)), "rsi(14, 1h)"),
        (Apply("max", (PRICE, Number(2))), "max(price, 2)"),
        (Negative(PRICE), "-price"),
        (Arithmetic("-", PRICE, Number(2)), "price - 2"),
        (OVER, "price > 1"),
        (Not(OVER), "not (price > 1)"),
        (And((OVER, UNDER)), "price > 1 and price < 2"),
        (Or((OVER, UNDER)), "price > 1 or price < 2"),
    ],
)
def test_every_part_of_a_tree_has_its_text(node: Node, text: str) -> None:
    assert str(node) == text


def test_a_tree_without_a_catalogue_is_printed_with_the_features_there_are() -> None:
    tree = parse("rsi(14, 1h) < 30 and not (2 * price > -high(1d) or abs(change(1h)) > 5%)")
    assert str(tree) == "rsi(14, 1h) < 30 and not (2 * price > -high(1d) or abs(change(1h)) > 5%)"
    assert [str(each) for each in calls(tree)] == ["rsi(14, 1h)", "price", "high(1d)", "change(1h)"]
    assert [str(each.left) for each in comparisons(tree)] == ["rsi(14, 1h)", "2 * price", "abs(change(1h))"]
    assert [each.rises for each in comparisons(tree)] == [False, True, True]


@pytest.mark.parametrize(
    ("op", "rises"),
    [(">", True), (">=", True), ("crosses above", True), ("<", False), ("<=", False), ("crosses below", False)],
)
def test_a_comparison_rises_where_its_left_side_makes_it_true_by_going_up(op: str, rises: bool) -> None:
    (comparison,) = comparisons(READER.parse(f"price {op} 5"))
    assert comparison.rises is rises


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("average(rsi(7), 7d) > price", ["average", "rsi", "price"]),
        ("-(rank * macd) > max(price, 2, -volume)", ["rank", "macd", "price", "volume"]),
        ("price > 1 and (rank < 2 or not (age > 5m))", ["price", "rank", "age"]),
    ],
)
def test_features_are_found_from_left_to_right(text: str, names: list[str]) -> None:
    assert [each.name for each in calls(READER.parse(text))] == names
