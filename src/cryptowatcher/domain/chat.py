"""What people say to the watcher in a chat: text or a button → a command, and how they mean times and names.

    /add bitcoin price > 70000                       one pair, then the condition
    /add all: change(5m) <= -5%                      pairs, a colon, the condition
    /add "btc falls" bitcoin change(1h) < -3%        with a name of one's own
    /snooze btc falls 1h      /snooze btc falls tomorrow

A ConfigError says what to write instead.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from cryptowatcher.domain.hours import parse_until
from cryptowatcher.domain.pairs import ALL, check_pair
from cryptowatcher.domain.rules.check import check_spec, is_pair
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.errors import ConfigError

MORNING: Final = time(8)
"""When tomorrow begins for whoever wants to be left alone until then."""
_LONGEST: Final = 1_000
"""Characters of what somebody says that are looked at."""
_NAMED = re.compile(r'["“”](?P<name>[^"“”]+)["“”]\s+(?P<rest>.+)', re.DOTALL)
_PRESSED = re.compile(r"(?P<action>why|hour|day|ack):(?P<alert>[0-9a-f]{11}-[0-9a-f]{20})")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")

Action = Literal["why", "hour", "day", "ack"]
"""What the buttons under an alert do: say why, snooze its rule for an hour or until tomorrow, acknowledge it."""


class Start(msgspec.Struct, frozen=True):
    """Link this chat. `code`: "" where none was given."""

    code: str


class ListRules(msgspec.Struct, frozen=True):
    """Say which rules there are."""


class Add(msgspec.Struct, frozen=True):
    """Add a rule, which has been checked."""

    spec: RuleSpec


class Change(msgspec.Struct, frozen=True):
    """Do something with the rule of that name. `name`: as people write it, see `named`."""

    verb: Literal["remove", "pause", "resume", "wake"]
    name: str


class Snooze(msgspec.Struct, frozen=True):
    """Silence one rule. `until`: see `parse_end`."""

    name: str
    until: str


class Mute(msgspec.Struct, frozen=True):
    """Silence all rules there are. `until`: "" lets them speak again."""

    until: str


class Ask(msgspec.Struct, frozen=True):
    """Why a rule has not fired. `words`: its name, and perhaps a pair."""

    words: str


class Acknowledge(msgspec.Struct, frozen=True):
    """Everything that came lately has been seen."""


class Test(msgspec.Struct, frozen=True):
    """Say that somebody is there."""


class Help(msgspec.Struct, frozen=True):
    """Say what can be said."""


class Press(msgspec.Struct, frozen=True):
    """A button under an alert (its id)."""

    action: Action
    alert: str


Command = Start | ListRules | Add | Change | Snooze | Mute | Ask | Acknowledge | Test | Help | Press


def read(text: str) -> Command:
    """What was written. ConfigError where it is not understood."""
    word, _, rest = text[:_LONGEST].strip().partition(" ")
    if "\n" in word:
        word, _, more = word.partition("\n")
        rest = f"{more} {rest}"
    rest = rest.strip()
    # In a group a command may name the bot it is for: /list@mybot.
    match word.partition("@")[0].lower():
        case "/start":
            return Start(rest if _CODE.fullmatch(rest) else "")
        case "/list":
            return ListRules()
        case "/add":
            return Add(read_rule(rest))
        case "/remove" | "/pause" | "/resume" | "/wake" as verb:
            return Change(verb[1:], _some(rest, f"{verb} NAME"))  # type: ignore[arg-type]  # one of the four
        case "/snooze":
            name, _, until = _some(rest, "/snooze NAME 1h").rpartition(" ")
            return Snooze(_some(name.strip(), "/snooze NAME 1h"), until)
        case "/mute":
            return Mute(_some(rest, "/mute 1h"))
        case "/unmute":
            return Mute("")
        case "/why":
            return Ask(_some(rest, "/why NAME"))
        case "/ack":
            return Acknowledge()
        case "/test":
            return Test()
        case "/help":
            return Help()
        case other:
            raise _unknown(other)


def read_press(data: str) -> Press | None:
    """What a button stands for; None where it is none of ours."""
    match = _PRESSED.fullmatch(data)
    return Press(match["action"], match["alert"]) if match else None  # type: ignore[arg-type]  # the pattern says so


def button(action: Action, alert: str) -> str:
    """What a button stands for, in at most 64 bytes."""
    return f"{action}:{alert}"


def read_rule(sentence: str) -> RuleSpec:
    """A rule as people say it, checked. A ConditionError shows the place in the condition."""
    usage = "/add bitcoin price > 70000"
    name, rest = "", _some(sentence, usage)
    match = _NAMED.fullmatch(rest)
    if match:
        name, rest = match["name"].strip(), match["rest"]
    pairs, colon, when = rest.partition(":")
    if not colon:
        pairs, _, when = rest.partition(" ")
    when = " ".join(_some(when.strip(), usage).split())
    asked = [part for part in re.split(r"[,\s]+(?![^()]*\))", pairs.strip()) if part]
    spec = RuleSpec(name=name or " ".join(rest.split())[:200].strip(), pairs=tuple(map(_pair, asked)), when=when)
    check_spec(spec)
    return spec


def parse_end(text: str, *, now: int, zone: ZoneInfo) -> int:
    """`1h`, `tomorrow` or `2027-01-31T12:00Z` → epoch ms. Tomorrow begins at 08:00 in that place."""
    if text.lower() != "tomorrow":
        return parse_until(text, now=now)
    day = datetime.fromtimestamp(now / 1000, zone).date() + timedelta(days=1)
    return round(datetime.combine(day, MORNING, zone).timestamp() * 1000)


def named(rules: Sequence[Rule], words: str) -> Rule:
    """The rule that is meant: by name, whatever its capitals, or by how the name of only one begins."""
    for rule in rules:
        if rule.spec.name == words:
            return rule
    low = words.lower()
    same = [rule for rule in rules if rule.spec.name.lower() == low]
    begin = same or [rule for rule in rules if rule.spec.name.lower().startswith(low)]
    if len(begin) == 1:
        return begin[0]
    if begin:
        raise ConfigError(f"several rules begin so: {', '.join(rule.spec.name for rule in begin[:5])}")
    close = difflib.get_close_matches(words, [rule.spec.name for rule in rules], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "/list says which there are"
    raise ConfigError(f"there is no rule {words[:200]!r}", hint=hint)


def asked_rule(rules: Sequence[Rule], words: str) -> tuple[Rule, str | None]:
    """`btc falls`, or `btc falls ethereum` → the rule and the pair."""
    name, _, last = words.rpartition(" ")
    try:
        return named(rules, words), None
    except ConfigError as not_all:
        try:
            return named(rules, name.strip() or words), check_pair(_whole(last), where="pair")
        except ConfigError:
            raise not_all from None


def code_digest(code: str) -> str:
    """How a code is kept: who reads the store cannot link a chat by it."""
    return hashlib.blake2b(code.encode(), digest_size=32).hexdigest()


def _pair(text: str) -> str:
    """As a rule names them: `all`, `top(100)` and `list(mine)` stay."""
    text = ALL if text.lower() == ALL else text
    return check_pair(_whole(text), where="pairs") if is_pair(text) else text


def _whole(pair: str) -> str:
    """`bitcoin` is `bitcoin/usd`."""
    return pair if "/" in pair else f"{pair}/usd"


def _some(text: str, usage: str) -> str:
    if not text:
        raise ConfigError("something is missing", hint=f"write {usage}")
    return text


COMMANDS: Final = {
    "list": "your rules",
    "add": "add a rule: /add bitcoin price > 70000, or /add all: change(5m) <= -5%",
    "remove": "remove a rule: /remove NAME",
    "pause": "judge a rule no more: /pause NAME",
    "resume": "judge it again: /resume NAME",
    "snooze": "silence a rule: /snooze NAME 1h, or tomorrow",
    "wake": "end its silence: /wake NAME",
    "mute": "silence all rules: /mute 1h",
    "unmute": "end that: /unmute",
    "why": "why a rule has not fired: /why NAME, or /why NAME ethereum",
    "ack": "you have seen what came in the last day",
    "test": "whether this chat is heard",
    "help": "this list",
}
"""Command → what it does."""


def _unknown(word: str) -> ConfigError:
    if not word.startswith("/"):
        return ConfigError("commands begin with a slash", hint="/help lists them")
    close = difflib.get_close_matches(word[1:], COMMANDS, n=1)
    hint = f"did you mean /{close[0]}?" if close else "/help lists them"
    return ConfigError(f"there is no command {word[:40]}", hint=hint)
