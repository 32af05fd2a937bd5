"""What is wrong with a rule by itself is said, and in which field."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.rules.check import (
    check_channels,
    check_spec,
    is_pair,
    parse_percent,
    parse_top,
)
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError
from tests.domain.functions import READER


def a_spec(**fields: object) -> RuleSpec:
    return msgspec.convert({"name": "mine", "pairs": ["a/usd"], "when": "price > 1", **fields}, RuleSpec)


LENGTH = "a rule needs a name of 1 to 200 characters"
ONE_LINE = "a rule's name is one line, without blanks at its ends"
TWICE = "a pair is named twice"
ASSET = "write asset/currency with a CoinGecko id, for example bitcoin/usd"
DURATION = "write a number and a unit: 30s, 5m, 1h30m, 24h, 7d"
GROWS = "`for` counts observed time, and `age` grows while nothing is observed"
LONGER = "leave `for` out, and let the time that `age` is compared with be longer"
PERCENT = "write 0%, 0.1%, 2%, …"
ALREADY = "fire_if_already_true"


@pytest.mark.parametrize(
    ("fields", "where", "message", "hint"),
    [
        ({"name": "  "}, "name", LENGTH, ""),
        ({"name": "x" * 201}, "name", LENGTH, ""),
        ({"name": " edge"}, "name", ONE_LINE, ""),
        ({"name": "edge\u00a0"}, "name", ONE_LINE, ""),
        ({"name": "two\nlines"}, "name", ONE_LINE, ""),
        ({"name": "two\u2028lines"}, "name", ONE_LINE, ""),
        ({"name": "two\u2029lines"}, "name", ONE_LINE, ""),
        ({"name": "bell\a"}, "name", ONE_LINE, ""),
        ({"name": "escape\x1b[31m"}, "name", ONE_LINE, ""),
        ({"name": "half \ud800"}, "name", ONE_LINE, ""),
        (
            {"pairs": []},
            "pairs",
            "a rule needs at least one pair",
            'write pairs = ["bitcoin/usd"], or ["all"], or ["top(100)"]',
        ),
        ({"pairs": ["all", "a/usd"]}, "pairs", '"all" stands alone', ""),
        ({"pairs": ["a/usd", "top(10)"]}, "pairs", '"top(10)" stands alone', ""),
        ({"pairs": ["top(10)", "top(20)"]}, "pairs", '"top(10)" stands alone', ""),
        ({"pairs": ["a/usd", "list(x)"]}, "pairs", '"list(x)" stands alone', ""),
        ({"pairs": ["a/usd", "a/usd"]}, "pairs", TWICE, ""),
        ({"pairs": ["a/usd", "b/usd", "a/usd"]}, "pairs", TWICE, ""),
        ({"pairs": ["a/usd", "bitcoin"]}, "pairs[1]", "'bitcoin' is not a pair", ASSET),
        ({"pairs": ["a /usd"]}, "pairs[0]", "'a /usd' is not a pair", ASSET),
        ({"pairs": ["top(0)"]}, "pairs[0]", "top(0) is not from top(1) to top(1000)", ""),
        ({"pairs": ["a/usd", "top(1001)"]}, "pairs[1]", "top(1001) is not from top(1) to top(1000)", ""),
        ({"pairs": ["top(ten)"]}, "pairs[0]", "'top(ten)' is not a pair", ASSET),
        ({"for": "5"}, "for", "'5' is not a duration", DURATION),
        ({"for": "5m", "when": "age > 10m"}, "for", GROWS, LONGER),
        ({"for": "5m", "when": "price > 5 and 2 * age > 10m"}, "for", GROWS, LONGER),
        ({"cooldown": "soon"}, "cooldown", "'soon' is not a duration", DURATION),
        ({"rearm": "0.1"}, "rearm", "'0.1' is not a percentage", PERCENT),
        ({"rearm": "100%"}, "rearm", "'100%' is not a percentage", PERCENT),
        ({"rearm": "-1%"}, "rearm", "'-1%' is not a percentage", PERCENT),
        ({"rearm": "9" * 41}, "rearm", f"{'9' * 40!r} is not a percentage", PERCENT),
        (
            {"expires": "tomorrow"},
            "expires",
            "'tomorrow' is not a time",
            "write a date, 2027-01-31, or a UTC time, 2027-01-31T12:00Z",
        ),
        (
            {"active": "at night"},
            "active",
            "'at night' is not active hours",
            "write mon-fri 08:00-22:00 Europe/Berlin, several with ; between",
        ),
        ({"remind": "often"}, "remind", "'often' is not a duration", DURATION),
        ({"remind": "59s"}, "remind", "59s is not from 1m to 7d", '"10m"'),
        ({"remind": "7d1s"}, "remind", "7d1s is not from 1m to 7d", '"10m"'),
        (
            {"escalate": ("phone",)},
            "escalate",
            "there are no reminders that could go to others",
            'say how long to wait for that: remind = "10m"',
        ),
        ({"remind": "1m", "escalate": ("phone",) * 11}, "escalate", "there are 10 reminders at most", ""),
        (
            {"resolved": True, "repeat": "once"},
            "resolved",
            "a rule that tells once is done then",
            'leave `resolved` out, or write repeat = "every"',
        ),
        (
            {"when": "price crosses above 5", ALREADY: True},
            ALREADY,
            "`crosses above` is never already true",
            "write price >= …",
        ),
        (
            {"when": "price > 1 or rsi(14, 1h) crosses below 5", ALREADY: True},
            ALREADY,
            "`crosses below` is never already true",
            "write rsi <= …",
        ),
    ],
)
def test_a_rule_that_is_wrong_says_in_which_field_and_what_to_write(
    fields: dict[str, object], where: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_spec(a_spec(**fields), READER)
    assert (caught.value.where, caught.value.message, caught.value.hint) == (where, message, hint)


def test_a_condition_that_is_wrong_is_the_fields_when() -> None:
    with pytest.raises(ConfigError) as caught:
        check_spec(a_spec(when="price"), READER)
    assert caught.value.where == "when"


def test_a_rule_is_read_with_the_features_there_are() -> None:
    assert check_spec(a_spec(when="zscore(1h) > 3")) == parse("zscore(1h) > 3")
    with pytest.raises(ConfigError) as caught:
        check_spec(a_spec(when="age > 10m", **{"for": "5m"}))
    assert (caught.value.where, caught.value.message) == ("for", GROWS)
    with pytest.raises(ConfigError) as caught:
        check_spec(a_spec(when="rsi(14, 1h) crosses above 5", fire_if_already_true=True))
    assert caught.value.hint == "write rsi(14, 1h) >= …"
    with pytest.raises(ConfigError) as caught:
        check_spec(a_spec(when="change_since_alert(5) > 1%", resolved=True))
    assert (
        caught.value.message == "`change_since_alert(5)` counts anew from each alert, so none of them is ever over"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x"},
        {"name": "x" * 200},
        {"name": "two words, and ü"},
        {"pairs": ["all"]},
        {"pairs": ["top(1)"]},
        {"pairs": ["top(100)"]},
        {"pairs": ["list(mine)"]},
        {"pairs": ["a/usd", "b/usd"]},
        {"pairs": ["top(1000)"]},
        {"for": "5m", "when": "price crosses above 5"},
        {"for": "0s", "when": "age > 10m"},
        {"for": "5m", "when": "price > 5 and rank < 3"},
        {"rearm": "0.1%", "cooldown": "5m"},
        {"when": "price > 5", "fire_if_already_true": True},
        {"expires": "2027-01-31", "active": "mon-fri 08:00-22:00"},
        {"remind": "1m", "escalate": ("phone",) * 10},
        {"remind": "7d"},
        {"resolved": True},
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
    ("text", "value"),
    [("0%", 0.0), (" 0.1 % ", 0.001), ("5%", 0.05), ("1%".rjust(40), 0.01), ("99.9%", 0.999), ("00%", 0.0)],
)
def test_a_percentage_is_read_as_a_share(text: str, value: float) -> None:
    assert parse_percent(text, where="rearm") == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("text", ["", "1", "%", "1e1%", "-1%", "+1%", "100%", ".5%", "٣%", "9" * 10**6 + "%"])
def test_what_is_not_a_percentage_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_percent(text, where="rearm")
    assert (caught.value.where, caught.value.hint) == ("rearm", PERCENT)
    assert caught.value.message == f"{text[:40]!r} is not a percentage"


@pytest.mark.parametrize(("text", "top"), [("top(1)", 1), ("top( 250 )", 250), ("all", None), ("top", None)])
def test_the_largest_pairs_are_named_by_their_number(text: str, top: int | None) -> None:
    assert parse_top(text) == top


def test_too_many_of_the_largest_pairs_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_top("top(1001)")
    assert (caught.value.where, caught.value.message) == ("pairs", "top(1001) is not from top(1) to top(1000)")


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("a/usd", True),
        ("bitcoin", True),
        ("top(ten)", True),
        ("all", False),
        ("top(3)", False),
        ("list(x)", False),
    ],
)
def test_whatever_does_not_name_several_pairs_is_one(text: str, yes: bool) -> None:
    assert is_pair(text) is yes


@pytest.mark.parametrize("text", ["top(0)", "top(1001)", "list(!)"])
def test_what_names_several_pairs_wrongly_is_refused(text: str) -> None:
    for wanted in ("pairs", "here"):
        with pytest.raises(ConfigError) as caught:
            is_pair(text) if wanted == "pairs" else is_pair(text, where=wanted)
        assert caught.value.where == wanted


@pytest.mark.parametrize(
    ("fields", "known", "where", "hint"),
    [
        ({"channels": ["mail", "fone"]}, ["phone", "mail"], "channels[1]", "did you mean 'phone'?"),
        ({"escalate": ["fone"]}, ["phone", "mail"], "escalate[0]", "did you mean 'phone'?"),
        ({"channels": ["zzz"]}, ["phone", "mail"], "channels[0]", "there are: phone, mail"),
        ({"channels": ["fone"]}, [], "channels[0]", "there are no channels yet"),
    ],
)
def test_a_channel_that_is_not_there_is_named_with_its_place(
    fields: dict[str, object], known: list[str], where: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_channels(a_spec(**fields), known)
    assert (caught.value.where, caught.value.hint) == (where, hint)
    assert caught.value.message in ("there is no channel 'fone'", "there is no channel 'zzz'")


def test_channels_that_are_there_are_right() -> None:
    check_channels(a_spec(channels=["mail"], escalate=["phone", "mail"]), ["phone", "mail"])
