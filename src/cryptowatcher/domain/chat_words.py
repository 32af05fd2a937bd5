"""What the watcher answers in a chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from cryptowatcher.domain.chat import COMMANDS
from cryptowatcher.domain.hours import expired
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.domain.texts import plain, show_time
from cryptowatcher.errors import ConfigError

STRANGER: Final = "This bot answers only in chats that are linked to it."
LINKED: Final = "This chat is linked: alerts come here, and you can write to me. /help lists what I understand."
TEST: Final = "This chat is heard, and this is what an answer looks like. Nothing has happened."
_MOST: Final = 40
"""Rules in one list."""
_LONGEST_WHEN: Final = 80


def say_help() -> str:
    return "\n".join(f"/{name}: {what}" for name, what in COMMANDS.items())


def say_rules(rules: Sequence[Rule], snoozes: Mapping[str, int], *, now: int, zone: ZoneInfo) -> str:
    """`snoozes`: rule (id) → until when."""
    if not rules:
        return "There are no rules. For example: /add bitcoin change(5m) <= -5%"
    lines = [_line(rule, snoozes.get(rule.id, 0), now, zone) for rule in rules[:_MOST]]
    more = len(rules) - _MOST
    return "\n".join([*lines, *([f"… and {more:,} more."] if more > 0 else [])])


def say_added(spec: RuleSpec) -> str:
    return f"{plain(spec.name)}: it is watched from now on."


def say_silent(names: str, until: int, zone: ZoneInfo) -> str:
    return f"{plain(names)}: nothing is sent until {show_time(until, zone)}."


def say_seen(count: int) -> str:
    if count == 0:
        return "Nothing new to acknowledge."
    return "Acknowledged." if count == 1 else f"Acknowledged: {count:,} alerts."


def say_error(error: ConfigError) -> str:
    """What is wrong, its place below it, and what to write."""
    said = error.message[:1].upper() + error.message[1:]
    hint = f"\n{error.hint[:1].upper()}{error.hint[1:]}" if error.hint else ""
    return f"{said}{hint}"


def _line(rule: Rule, snoozed: int, now: int, zone: ZoneInfo) -> str:
    spec = rule.spec
    when = spec.when if len(spec.when) <= _LONGEST_WHEN else f"{spec.when[:_LONGEST_WHEN]}…"
    state = ""
    if expired(spec, now):
        state = " (over)"
    elif spec.paused:
        state = " (paused)"
    elif snoozed > now:
        state = f" (snoozed until {show_time(snoozed, zone)})"
    on = ", ".join(spec.pairs[:3]) + ("…" if len(spec.pairs) > 3 else "")
    return f"• {plain(spec.name)}{state}\n  {plain(on)}: {plain(when)}"
