"""What is said of wrong conditions, word for word: mistakes.txt shows it as a person sees it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.mistakes import EXAMPLES, ConditionError, did_you_mean
from tests.domain.functions import READER


def cases() -> list[tuple[str, int, str, str]]:
    """(condition, column, message, hint) of each block of the file but the first, which says what it is."""
    names = ", ".join(sorted([*READER.functions, "abs", "min", "max"]))
    text = (Path(__file__).parent / "mistakes.txt").read_text()
    lines = text.replace("EXAMPLES", EXAMPLES).replace("NAMES", names).splitlines()
    _, *blocks = [[*block] for blank, block in groupby(lines, lambda line: line == "") if not blank]
    return [_case(*block) for block in blocks]


def _case(condition: str, caret: str, arrow: str = "") -> tuple[str, int, str, str]:
    column = caret.index("^")
    return condition, column + 1, caret[column + 2 :], arrow[column + 2 :]


@pytest.mark.parametrize(("text", "column", "message", "hint"), cases())
def test_every_mistake_is_explained_word_for_word(text: str, column: int, message: str, hint: str) -> None:
    with pytest.raises(ConditionError) as caught:
        READER.parse(text)
    error = caught.value
    assert (error.column, error.reason, error.hint, error.where) == (column, message, hint, "when")
    assert error.text == text
    assert error.message == f"{message}\n    {text}\n    {' ' * (column - 1)}^ column {column}"


def test_a_mistake_says_in_which_field_it_is() -> None:
    with pytest.raises(ConditionError) as caught:
        READER.parse("price", where="rules[3].when")
    assert caught.value.where == "rules[3].when"


@pytest.mark.parametrize(("text", "message"), [("", "a condition is missing"), ("  ", "a condition is missing")])
def test_nothing_is_no_condition(text: str, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        READER.parse(text)
    assert (caught.value.column, caught.value.reason, caught.value.hint) == (1, message, EXAMPLES)


def test_what_does_not_show_is_not_shown() -> None:
    with pytest.raises(ConditionError) as caught:
        READER.parse("price >\t\u200b5")
    assert caught.value.reason == "a number or a feature is expected here"
    assert caught.value.message.split("\n")[1] == "    price >  5"


LONG = " and ".join(["price > 1"] * 30)  # 415 characters


@pytest.mark.parametrize(
    ("text", "before", "first", "after"),
    [
        (f"prise > 1 and {LONG}", "", 0, "…"),
        (f"{LONG} and prise > 1 and {LONG[:65]}", "…", 420 - 48, "…"),
        (f"{LONG} and prise > 1", "…", 429 - 96, ""),
        (f"prise > 1{' ' * 76} and rank<5", "", 0, ""),  # 96 characters
        (f"prise > 1{' ' * 77} and rank<5", "", 0, "…"),
    ],
)
def test_of_a_long_condition_the_96_characters_around_the_mistake_are_shown(
    text: str, before: str, first: int, after: str
) -> None:
    with pytest.raises(ConditionError) as caught:
        READER.parse(text)
    place = text.index("prise")
    assert caught.value.message.split("\n")[1:] == [
        f"    {before}{text[first : first + 96]}{after}",
        f"    {' ' * (len(before) + place - first)}^ column {place + 1}",
    ]


def test_the_nearest_name_is_meant_or_all_are_named() -> None:
    assert did_you_mean("pric", ["volume", "price"]) == "did you mean `price`?"
    assert did_you_mean("zzz", ["volume", "price"]) == "there are: price, volume"


ALONE = (
    "`change_since_alert` is compared with a percentage, and stands alone or in abs()",
    "write change_since_alert(60000) >= 10%, or abs(change_since_alert(60000)) >= 10% for both ways",
)
NO_CROSSING = ("abs() of it has no crossing: it turns true as it crosses", "write >= or <=")


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("change_since_alert(100) - 1% > 5%", 1, ALONE),
        ("5% < 2 * change_since_alert(100)", 6, ALONE),
        ("change_since_alert(100) > change(1h)", 1, ALONE),
        ("change(1h) > change_since_alert(100)", 14, ALONE),
        ("price > 5 and -change_since_alert(100) > 5%", 15, ALONE),
        ("max(change_since_alert(100), change(1h)) > 5%", 1, ALONE),
        ("abs(2 * change_since_alert(100)) > 5%", 1, ALONE),
        ("abs(change_since_alert(100)) > abs(change(1h))", 1, ALONE),
        ("abs(change_since_alert(100)) crosses above 5%", 1, NO_CROSSING),
        ("5% crosses below abs(change_since_alert(100))", 18, NO_CROSSING),
    ],
)
def test_the_change_since_the_last_alert_stands_alone(text: str, column: int, said: tuple[str, str]) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert (caught.value.column, (caught.value.reason, caught.value.hint)) == (column, said)


@pytest.mark.parametrize(
    "text",
    [
        "change_since_alert(100) >= 5%",
        "change_since_alert(100) crosses above 5%",
        "-5% >= change_since_alert(100)",
        "abs(change_since_alert(100)) >= 5% * 2",
        "change_since_alert(100) >= 5% and 2 * change(1h) > 5%",
    ],
)
def test_the_change_since_the_last_alert_is_compared_with_a_percentage(text: str) -> None:
    assert "change_since_alert(100)" in str(parse(text))
