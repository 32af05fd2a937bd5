"""What people write to the watcher, and how it is meant."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain import chat
from cryptowatcher.domain.alerts import alert_id
from cryptowatcher.domain.chat import asked_rule, button, named, parse_end, read, read_press
from cryptowatcher.domain.chat_words import say_error, say_rules
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.errors import ConfigError

NOW = round(datetime(2026, 3, 28, 21, 30, tzinfo=UTC).timestamp() * 1000)


def rule(name: str, pair: str = "bitcoin/usd") -> Rule:
    return Rule(id=f"id {name}", owner="me", version=1, spec=RuleSpec(name=name, pairs=(pair,), when="price > 1"))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/start", chat.Start("")),
        ("/start ABC-123", chat.Start("ABC-123")),
        ("/start two words", chat.Start("")),
        ("/list", chat.ListRules()),
        ("  /LIST@my_bot ", chat.ListRules()),
        ("/remove btc falls", chat.Change("remove", "btc falls")),
        ("/pause x", chat.Change("pause", "x")),
        ("/resume x", chat.Change("resume", "x")),
        ("/wake x", chat.Change("wake", "x")),
        ("/snooze btc falls 1h", chat.Snooze("btc falls", "1h")),
        ("/snooze btc falls  tomorrow", chat.Snooze("btc falls", "tomorrow")),
        ("/mute 2h", chat.Mute("2h")),
        ("/unmute", chat.Mute("")),
        ("/why btc falls ethereum", chat.Ask("btc falls ethereum")),
        ("/ack", chat.Acknowledge()),
        ("/test", chat.Test()),
        ("/help", chat.Help()),
    ],
)
def test_commands_are_read(text: str, command: chat.Command) -> None:
    assert read(text) == command


@pytest.mark.parametrize(
    ("sentence", "name", "pairs", "when"),
    [
        ("bitcoin price > 70000", "bitcoin price > 70000", ("bitcoin/usd",), "price > 70000"),
        ("all: change(5m) <= -5%", "all: change(5m) <= -5%", ("all",), "change(5m) <= -5%"),
        ("ALL change(5m) <= -5%", "ALL change(5m) <= -5%", ("all",), "change(5m) <= -5%"),
        ("top(100): price > 1", "top(100): price > 1", ("top(100)",), "price > 1"),
        ('"btc falls" bitcoin change(1h) < -3%', "btc falls", ("bitcoin/usd",), "change(1h) < -3%"),
        ("“a” bitcoin, ethereum/eur: price > 1", "a", ("bitcoin/usd", "ethereum/eur"), "price > 1"),
        ("bitcoin\n  price\n > 1", "bitcoin price > 1", ("bitcoin/usd",), "price > 1"),
    ],
)
def test_a_sentence_is_a_rule(sentence: str, name: str, pairs: tuple[str, ...], when: str) -> None:
    assert read(f"/add {sentence}") == chat.Add(RuleSpec(name=name, pairs=pairs, when=when))


def test_a_mistake_in_a_condition_is_shown_under_its_column() -> None:
    with pytest.raises(ConfigError) as caught:
        read("/add bitcoin price > 1 and prce < 3")
    lines = say_error(caught.value).splitlines()
    assert lines[1].index("prce") == lines[2].index("^")
    assert lines[1].startswith("    ")
    assert "price" in lines[-1]


@pytest.mark.parametrize(
    "text",
    ["", "hello", "/", "/lst", "/add", "/add bitcoin", "/add bitcoin:", "/add b@d/: price > 1",
     "/add , : price > 1", "/remove", "/snooze", "/snooze name", "/mute", "/why", '/add "name"'],
)  # fmt: skip
def test_what_is_not_understood_says_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert len(say_error(caught.value)) > 10


def test_a_word_that_is_nearly_a_command_is_offered() -> None:
    with pytest.raises(ConfigError) as caught:
        read("/snoze x 1h")
    assert "/snooze" in say_error(caught.value)


@given(st.text(max_size=1_500))
def test_whatever_is_written_is_a_command_or_an_error(text: str) -> None:
    for said in (text, f"/add {text}", f"/snooze {text}", f"/why {text}"):
        with suppress(ConfigError):
            read(said)
    read_press(text)


@pytest.mark.parametrize("action", ["why", "hour", "day", "ack"])
def test_a_button_fits_and_is_read_back(action: chat.Action) -> None:
    alert = alert_id(rule="r" * 300, version=99, pair="p" * 300, kind="edge", event_time=NOW)
    data = button(action, alert)
    assert len(data.encode()) <= 64
    assert read_press(data) == chat.Press(action, alert)
    assert read_press(f"{data} ") is read_press("del:1") is read_press("") is None


def test_a_rule_is_meant_by_its_name_or_by_how_only_its_name_begins() -> None:
    rules = [rule("btc"), rule("btc falls"), rule("Ether"), rule("eth")]
    assert named(rules, "btc") == rules[0]
    assert named(rules, "BTC F") == rules[1]
    assert named(rules, "ETHER") == rules[2]
    with pytest.raises(ConfigError, match="btc, btc falls"):
        named(rules, "b")
    with pytest.raises(ConfigError) as caught:
        named(rules, "btc fals")
    assert "btc falls" in caught.value.hint


def test_a_question_may_name_a_pair() -> None:
    rules = [rule("btc falls", "all"), rule("moves")]
    assert asked_rule(rules, "btc falls") == (rules[0], None)
    assert asked_rule(rules, "btc falls ethereum") == (rules[0], "ethereum/usd")
    assert asked_rule(rules, "moves ethereum/eur") == (rules[1], "ethereum/eur")
    for wrong in ("nothing", "nothing bitcoin", "moves b@/d/"):
        with pytest.raises(ConfigError):
            asked_rule(rules, wrong)


@pytest.mark.parametrize(
    ("text", "zone", "end"),
    [
        ("1h", "UTC", datetime(2026, 3, 28, 22, 30, tzinfo=UTC)),
        ("tomorrow", "UTC", datetime(2026, 3, 29, 8, tzinfo=UTC)),
        ("Tomorrow", "Europe/Berlin", datetime(2026, 3, 29, 6, tzinfo=UTC)),  # clocks go forward that night
        ("tomorrow", "Asia/Tokyo", datetime(2026, 3, 29, 23, tzinfo=UTC)),  # there it is the 29th already
        ("2026-04-01T12:00Z", "UTC", datetime(2026, 4, 1, 12, tzinfo=UTC)),
    ],
)
def test_until_when(text: str, zone: str, end: datetime) -> None:
    assert parse_end(text, now=NOW, zone=ZoneInfo(zone)) == end.timestamp() * 1000


@pytest.mark.parametrize("text", ["", "soon", "0s", "-1h", "2020-01-01"])
def test_a_time_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_end(text, now=NOW, zone=ZoneInfo("UTC"))


def test_a_list_says_what_each_rule_is_doing_and_has_an_end() -> None:
    spec = RuleSpec(
        name="over", pairs=("a/usd", "b/usd", "c/usd", "d/usd"), when="price > 1", expires="2026-01-01"
    )
    rules = [
        rule("plain"),
        msgspec.structs.replace(rule("idle"), spec=msgspec.structs.replace(rule("idle").spec, paused=True)),
        rule("silent"),
        msgspec.structs.replace(rule("over"), spec=spec),
    ]
    said = say_rules(
        rules, {"id silent": NOW + 60_000, "id plain": NOW - 1}, now=NOW, zone=ZoneInfo("Europe/Berlin")
    )
    assert "• plain\n" in said
    assert "idle (paused)" in said
    assert "silent (snoozed until 2026-03-28 22:31:00 CET)" in said
    assert "over (over)" in said
    assert "a/usd, b/usd, c/usd…" in said
    assert "… and 60 more." in say_rules([rule(str(n)) for n in range(100)], {}, now=NOW, zone=ZoneInfo("UTC"))
    assert "/add" in say_rules([], {}, now=NOW, zone=ZoneInfo("UTC"))
