"""What is wrong with a rule by itself is said, and in which field."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.rules.check import check_spec, parse_percent, parse_top
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError
from tests.domain.functions import READER


def a_spec(**fields: object) -> RuleSpec:
    return msgspec.convert({"name": "mine", "pairs": ["a/usd"], "when": "price > 1", **fields}, RuleSpec)


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
        ({"pairs": ["a/usd", "top(10)"]}, "pairs"),
        ({"pairs": ["top(10)", "top(20)"]}, "pairs"),
        ({"pairs": ["a/usd", "a/usd"]}, "pairs"),
        ({"pairs": ["a/usd", "bitcoin"]}, "pairs[1]"),
        ({"pairs": ["a /usd"]}, "pairs[0]"),
        ({"pairs": ["top(0)"]}, "pairs[0]"),
        ({"pairs": ["top(1001)"]}, "pairs[0]"),
        ({"pairs": ["top(ten)"]}, "pairs[0]"),
        ({"when": "price"}, "when"),
        ({"for": "5"}, "for"),
        ({"for": "5m", "when": "age > 10m"}, "for"),
        ({"for": "5m", "when": "price > 5 and 2 * age > 10m"}, "for"),
        ({"cooldown": "soon"}, "cooldown"),
        ({"rearm": "0.1"}, "rearm"),
        ({"rearm": "100%"}, "rearm"),
        ({"rearm": "-1%"}, "rearm"),
        ({"expires": "tomorrow"}, "expires"),
        ({"active": "at night"}, "active"),
        ({"remind": "often"}, "remind"),
        ({"remind": "59s"}, "remind"),
        ({"remind": "7d1s"}, "remind"),
        ({"escalate": ("phone",)}, "escalate"),
        ({"remind": "1m", "escalate": ("phone",) * 11}, "escalate"),
        ({"when": "price crosses above 5", "fire_if_already_true": True}, "fire_if_already_true"),
        ({"when": "price > 1 or price crosses below 5", "fire_if_already_true": True}, "fire_if_already_true"),
    ],
)
def test_a_rule_that_is_wrong_says_in_which_field(fields: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_spec(a_spec(**fields), READER)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "fields",
    [
        {"pairs": ["all"]},
        {"pairs": ["top(100)"]},
        {"pairs": ["top(1000)"]},
        {"for": "5m", "when": "price crosses above 5"},
        {"for": "0s", "when": "age > 10m"},
        {"when": "price > 5", "fire_if_already_true": True},
        {"expires": "2027-01-31", "active": "mon-fri 08:00-22:00"},
        {"remind": "1m", "escalate": ("phone",) * 10},
        {"remind": "7d"},
    ],
)
def test_a_rule_that_is_right_is_its_condition(fields: dict[str, object]) -> None:
    spec = a_spec(**fields)
    assert check_spec(spec, READER) == READER.parse(spec.when)


def wrong_field(spec: RuleSpec) -> str:
    """The field that is wrong, or nothing."""
    try:
        check_spec(spec, READER)
    except ConfigError as error:
        return error.where.partition("[")[0]
    return ""


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.text(max_size=4),
            "pairs": st.lists(
                st.sampled_from(["all", "a/usd", "top(3)", "top("]) | st.text(max_size=6), max_size=3
            ),
            "when": st.just("price > 1") | st.text(max_size=9),
            "for": st.just("5m") | st.text(max_size=4),
            "rearm": st.just("1%") | st.text(max_size=4) | st.just("9" * 10_000),
            "cooldown": st.text(max_size=4),
            "expires": st.text(max_size=4),
            "active": st.text(max_size=4),
        },
    )
)
def test_whatever_a_rule_says_it_is_right_or_wrong_in_a_field(fields: dict[str, object]) -> None:
    assert wrong_field(a_spec(**fields)) in {"", *fields}


@pytest.mark.parametrize(
    ("text", "value"), [("0%", 0.0), (" 0.1 % ", 0.001), ("5%", 0.05), ("99.9%", 0.999), ("00%", 0.0)]
)
def test_a_percentage_is_read_as_a_share(text: str, value: float) -> None:
    assert parse_percent(text, where="rearm") == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("text", ["", "1", "%", "1e1%", "-1%", "+1%", "100%", ".5%", "٣%", "9" * 10**6 + "%"])
def test_what_is_not_a_percentage_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_percent(text, where="rearm")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("text", "top"), [("top(1)", 1), ("top( 250 )", 250), ("all", None), ("top", None)])
def test_the_largest_pairs_are_named_by_their_number(text: str, top: int | None) -> None:
    assert parse_top(text) == top
