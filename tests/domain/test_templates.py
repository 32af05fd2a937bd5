"""An owner's own words: values where names stand in braces, and nothing else ever happens."""

from __future__ import annotations

import ast
import inspect
import re
from datetime import UTC
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cryptowatcher.domain import templates
from cryptowatcher.domain.alerts import Alert, Part
from cryptowatcher.domain.templates import (
    BODY_MOST,
    PLACEHOLDERS,
    TITLE_MOST,
    Subject,
    fill_body,
    fill_title,
    parse_template,
)
from cryptowatcher.domain.texts import alert_text
from cryptowatcher.errors import ConfigError
from tests.domain.test_texts import DROP, OBSERVED

PAGE = Path(__file__).parents[2] / "docs" / "messages.md"
ATTACKS = (
    "{{7*7}}",
    "${7*7}",
    "${{7*7}}",
    "#{7*7}",
    "*{7*7}",
    "@(7*7)",
    "<%= 7*7 %>",
    "<% import os %>",
    "{%import os%}{{os.popen('id').read()}}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{x}}{% endfor %}",
    "{{config}}",
    "{{self.__init__.__globals__}}",
    "{{''.__class__.__mro__[1].__subclasses__()}}",
    "{{request|attr('application')}}",
    "{{cycler.__init__.__globals__.os.popen('id').read()}}",
    "{0.__class__}",
    "{0}",
    "{}",
    "{!r}",
    "{price!r}",
    "{price.__class__}",
    "{price.__class__.__mro__}",
    "{alert.__init__.__globals__}",
    "{alert[owner]}",
    "{price[0]}",
    "{price:{pair}}",
    "{price:>1000000000}",
    "{price:.1000000f}",
    "{price:99}",
    "{price:0}",
    "{pair:3}",
    "{price-1}",
    "{price + 1}",
    "{__import__('os').system('id')}",
    "{lambda: 1}",
    "{(lambda:1)()}",
    "{f'{7*7}'}",
    "{price=}",
    "{ price }",
    "{PRICE}",
    "{рrice}",  # a Cyrillic letter
    "{price\x00}",
    "{price\n}",
    "%(price)s %s %n %x",
    "%{7*7}",
    "$price $(id) `id`",
    "#set($x=7*7)$x",
    "[[${7*7}]]",
    "<#assign x=7*7>${x}",
    "{php}echo 7*7;{/php}",
    "{{=7*7}}",
    "{{#with 's'}}{{/with}}",
    "{{constructor.constructor('return 1')()}}",
    "{", "}", "{{{", "}}}", "{price", "price}", "{price}}", "{{price}", "{{{price}}", "}{",
)  # fmt: skip
PIECES = (
    *("{", "}", "{{", "}}", "${", "{%", "%}", "<%=", "%>", ":", ".", "!r", "[0]", "()", "__class__", "7*7", "\n"),
    *("price", "pair", "rule", "link", "text", "late", "{price}", "{rule}", "{price:3}", "{change:2}", "{why}"),
    *("0", "9", "é", "🚀", "\u202e", "\x1b", "\ud800", "%s", "$price", " "),
)


def subject(alert: Alert = DROP, *, link: str = "https://watch.example.org", after: int = 1_000) -> Subject:
    now = OBSERVED + after
    text = alert_text(alert, now=now, link=link)
    return Subject(alert=alert, text=text, now=now, late_after=15 * 60_000, zone=UTC, link=link)


def said(template: str, about: Subject | None = None) -> str:
    parsed = parse_template(template, most=BODY_MOST)
    assert parsed is not None
    return fill_body(parsed, about or subject())


def by_hand(text: str, about: Subject) -> str | None:
    """The same, a character at a time; None where it is no template."""
    done, at = "", 0
    while at < len(text):
        if text[at : at + 2] in ("{{", "}}"):
            done, at = done + text[at], at + 2
        elif text[at] == "{":
            end = at + 1
            while end < len(text) and text[end] not in "{}":
                end += 1
            name, colon, digits = text[at + 1 : end].partition(":")
            known = name in PLACEHOLDERS and end < len(text) and text[end] == "}"
            if not known or (colon and not (PLACEHOLDERS[name].number and re.fullmatch("0?[1-9]|1[0-2]", digits))):
                return None
            done += PLACEHOLDERS[name].show(about, int(digits) if colon else None)
            at = end + 1
        elif text[at] == "}":
            return None
        else:
            done, at = done + text[at], at + 1
    return done


def check_random(seed: int, count: int) -> None:
    """Whatever is written: it is an error, or it says what the slow reader says."""
    chance, about = Random(seed), subject(msgspec.structs.replace(DROP, rule_name="{price} {{7*7}} ${x}"))
    accepted = 0
    for _ in range(count):
        text = "".join(chance.choices(PIECES, k=chance.randrange(1, 9)))
        wanted = by_hand(text, about)
        try:
            parsed = parse_template(text, most=BODY_MOST)
        except ConfigError:
            assert wanted is None, text
            continue
        assert parsed is not None
        assert wanted is not None, text
        lines = "".join(char if char.isprintable() or char == "\n" else " " for char in wanted).split("\n")
        assert fill_body(parsed, about) == "\n".join(line.rstrip() for line in lines).strip(), text
        assert fill_title(parsed, about).isprintable()
        accepted += 1
    assert count // 20 < accepted < count  # both ways were tried


def test_values_stand_where_their_names_stood() -> None:
    assert said("{coin} is at {price}, {change}") == "bitcoin is at 50,123.5, -5.23%"
    assert said("{advice}: {pair} ({rule}) {value} < {limit}, before {before}") == (
        "buy: bitcoin/usd (btc drops) -5.23% < -5%, before -4.1%"
    )
    assert said("{currency} {source} {id} {suppressed}") == "usd coingecko 00112233 0"
    assert said("{why}") == "change(5m) <= -5%: now -5.23%, before -4.1%."
    assert said("{condition}\n{time}\n{sent}") == (
        "change(5m) <= -5%\n2024-08-05 06:15:00 UTC\n2024-08-05 06:15:01 UTC"
    )
    assert said("{link}") == f"https://watch.example.org/alerts/{DROP.id}"
    assert said("{title} / {text}") == "{0.title} / {0.body}".format(subject().text)


def test_numbers_take_significant_digits() -> None:
    assert said("{price:2} {price:7} {price:12}") == "50,123 50,123.46 50,123.456"
    assert said("{change:2} {value:4} {before:1} {limit:1}") == "-5.2% -5.234% -4% -5%"


def test_two_braces_are_one() -> None:
    assert said("{{price}} {{{price:2}}} {{}}") == "{price} {50,123} {}"


def test_what_is_not_known_says_so() -> None:
    parts = (Part("rsi(14, 1h) < 30", 25.0, 30.0), Part("abs(change(1h)) > 3%", 0.0412, 0.03))
    composite = msgspec.structs.replace(DROP, parts=parts, condition=" and ".join(part.text for part in parts))
    assert said("{value} {before} {limit} {change}", subject(composite)) == "unknown unknown unknown 4.12%"
    rsi = msgspec.structs.replace(DROP, condition="rsi(14, 1h) < 30", value=25.0, previous=None)
    assert said("{value} {before} {change}", subject(rsi)) == "25 unknown unknown"


def test_the_move_of_a_rule_on_the_price_is_since_the_observation_before() -> None:
    price = msgspec.structs.replace(DROP, condition="price >= 110", value=110.0, previous=100.0)
    assert said("{change}", subject(price)) == "+10%"
    assert said("{change}", subject(msgspec.structs.replace(price, previous=0.0))) == "unknown"


def test_lateness_and_the_link_are_nothing_where_there_is_none() -> None:
    assert said("a{late}b{link}c", subject(link="")) == "abc"
    assert said("{late}", subject(after=20 * 60_000)) == "Late: sent 20 minutes after it was observed."


def test_times_are_of_the_zone() -> None:
    here = msgspec.structs.replace(subject(), zone=ZoneInfo("Europe/Berlin"))
    assert said("{time}", here) == "2024-08-05 08:15:00 CEST"
    assert said("{sent}", here) == "2024-08-05 08:15:01 CEST"


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{prise}", "did you mean {price}?"),
        ("{symbol} is {price}", "did you mean {coin}?"),
        ("{Price}", "did you mean {price}?"),
        ("{ price }", "did you mean {price}?"),
        ("{7*7}", "there are pair, coin, currency, price"),
        ("a } b", "write }} for a brace"),
        ("a { b", "write {{ for a brace"),
        ("{price:13}", "1 to 12"),
        ("{pair:3}", "write {pair} without digits"),
    ],
)
def test_what_there_is_not_is_an_error_that_says_what_to_write(template: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_template(template, most=BODY_MOST, where="channels.ops.title")
    assert hint in caught.value.hint
    assert caught.value.where == "channels.ops.title"


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_other_engines_would_execute_is_text_or_an_error(attack: str) -> None:
    wanted = by_hand(attack, subject())
    if wanted is None:
        with pytest.raises(ConfigError) as caught:
            said(attack)
        shown = f"{caught.value.message}{caught.value.hint}"
    else:
        shown = said(attack)
        assert shown == wanted.strip()
    assert "49" not in shown
    assert "<class" not in shown


@pytest.mark.parametrize("attack", [*ATTACKS, "{price}", "{link}", "{{price}}", "{text}"])
def test_what_a_rule_is_named_never_becomes_a_placeholder(attack: str) -> None:
    named = subject(msgspec.structs.replace(DROP, rule_name=attack, source=attack, condition=attack))
    shown = " ".join(attack.split("\n")).replace("\x00", " ")
    assert said("<{rule}|{source}|{condition}>", named) == f"<{shown}|{shown}|{shown}>"


def test_random_templates_say_what_a_slow_reader_says() -> None:
    check_random(1, 2_000)


@pytest.mark.chaos
def test_a_hundred_thousand_random_templates_say_what_a_slow_reader_says() -> None:
    check_random(2, 100_000)


def test_the_code_has_nothing_that_evaluates() -> None:
    tree = ast.parse(inspect.getsource(templates))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & {"eval", "exec", "getattr", "vars", "format", "format_map", "substitute", "import_module"}


def test_a_template_is_not_longer_than_allowed_and_neither_is_what_comes_out() -> None:
    with pytest.raises(ConfigError, match="at most 2,000"):
        parse_template("x" * (BODY_MOST + 1), most=BODY_MOST)
    long = parse_template("{text}\n" * 285, most=BODY_MOST)
    short = parse_template("{text} " * 28, most=TITLE_MOST)
    assert long is not None
    assert short is not None
    assert len(fill_body(long, subject())) <= 4_000
    assert len(fill_title(short, subject())) <= 250
    assert fill_body(long, subject()).endswith("…")


def test_a_title_is_one_line_and_nothing_steers() -> None:
    steering = parse_template("a\n\x1b[2J{rule}\u202e{text}", most=TITLE_MOST)
    assert steering is not None
    assert fill_title(steering, subject(msgspec.structs.replace(DROP, rule_name="x\x07\ny"))).isprintable()


def test_the_page_lists_the_placeholders() -> None:
    """After a change: the table is what this test prints."""
    rows = [
        f"| `{{{name}}}` | {each.meaning} | {'yes' if each.number else ''} |"
        for name, each in PLACEHOLDERS.items()
    ]
    table = "\n".join(row.replace("  |", " |") for row in rows)
    assert table in PAGE.read_text(), table
