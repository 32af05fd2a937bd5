"""Everything about a rule that can be wrong by itself, before anybody judges it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.change import SINCE_ALERT
from cryptowatcher.domain.hours import parse_expires, parse_hours
from cryptowatcher.domain.intervals import MS, parse_duration, show_duration
from cryptowatcher.domain.pairs import ALL, check_pair
from cryptowatcher.domain.rules.language import Language, language
from cryptowatcher.domain.rules.mistakes import ConditionError
from cryptowatcher.domain.rules.model import MOST_REMINDERS, RuleSpec
from cryptowatcher.domain.rules.tree import Condition, calls, comparisons, show
from cryptowatcher.domain.rules.watchlists import parse_list
from cryptowatcher.errors import ConfigError

MOST_OF_TOP = 1_000
SHORTEST_REMIND = MS["m"]
LONGEST_REMIND = 7 * MS["d"]
"""Milliseconds. An alert whose reminders are not over is kept however old it is."""

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")
_TOP = re.compile(r"top\(\s*([0-9]{1,6})\s*\)")
_LONGEST_PERCENT = 40
_UNREADABLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, line and paragraph ends


def check_spec(spec: RuleSpec, reader: Language | None = None, *, stands: bool = False) -> Condition:
    """The condition of a rule that has nothing wrong with it. ConfigError with `where` = the field.

    stands: it is not being saved but stands somewhere already, so what is doubtful in it is no error
    """
    _check_name(spec.name)
    _check_pairs(spec.pairs)
    reads = reader or language()
    condition = reads.parse(spec.when) if stands else reads.check(spec.when)
    parse_duration(spec.cooldown, where="cooldown")
    parse_percent(spec.rearm, where="rearm")
    parse_expires(spec.expires)
    parse_hours(spec.active)
    _check_reminders(spec)
    _check_hold(condition, parse_duration(spec.for_, where="for"), reader)
    if spec.fire_if_already_true:
        _check_already(condition, reader)
    if spec.resolved:
        _check_resolved(spec, condition, reader)
    return condition


def doubt_about(spec: RuleSpec) -> str:
    """Why a rule that stands already would not be saved like that: its condition can never turn true, or is hardly
    meant. "" for nothing."""
    try:
        language().check(spec.when)
    except ConditionError as error:
        return f"{error.reason}; {error.hint}" if error.hint else error.reason
    return ""


def parse_percent(text: str, *, where: str) -> float:
    """`0.1%` → 0.001, from 0 to below 100 %."""
    match = _PERCENT.fullmatch(text[: _LONGEST_PERCENT + 1].strip())
    if match is None or float(match[1]) >= 100:
        hint = "write 0%, 0.1%, 2%, …"
        raise ConfigError(f"{text[:_LONGEST_PERCENT]!r} is not a percentage", where=where, hint=hint)
    return float(match[1]) / 100


def parse_top(text: str, *, where: str = "pairs") -> int | None:
    """`top(100)` → 100: the pairs with the largest market caps. None for what is not written so."""
    match = _TOP.fullmatch(text)
    if match is None:
        return None
    if not 1 <= int(match[1]) <= MOST_OF_TOP:
        raise ConfigError(f"{text} is not from top(1) to top({MOST_OF_TOP})", where=where)
    return int(match[1])


def is_pair(text: str, *, where: str = "pairs") -> bool:
    """Whether what stands among a rule's pairs is one, if badly written: not `all`, `top(n)`, `list(name)`."""
    return text != ALL and parse_top(text, where=where) is None and parse_list(text, where=where) is None


def check_channels(spec: RuleSpec, known: Sequence[str]) -> None:
    """That there are the channels which it names. ConfigError with `where` = the place."""
    for field, names in (("channels", spec.channels), ("escalate", spec.escalate)):
        for number, name in enumerate(names):
            if name not in known:
                raise no_such_channel(name, known, where=f"{field}[{number}]")


def no_such_channel(name: str, known: Sequence[str], *, where: str) -> ConfigError:
    """What is said of a channel that is not among those that somebody may use."""
    close = difflib.get_close_matches(name, known, n=1)
    there = f"there are: {', '.join(known)}" if known else "there are no channels yet"
    hint = f"did you mean {close[0]!r}?" if close else there
    return ConfigError(f"there is no channel {name!r}", where=where, hint=hint)


def _check_reminders(spec: RuleSpec) -> None:
    if spec.remind:
        after = parse_duration(spec.remind, where="remind")
        if not SHORTEST_REMIND <= after <= LONGEST_REMIND:
            least, most = show_duration(SHORTEST_REMIND), show_duration(LONGEST_REMIND)
            raise ConfigError(f"{spec.remind} is not from {least} to {most}", where="remind", hint='"10m"')
    elif spec.escalate:
        hint = 'say how long to wait for that: remind = "10m"'
        raise ConfigError("there are no reminders that could go to others", where="escalate", hint=hint)
    if len(spec.escalate) > MOST_REMINDERS:
        raise ConfigError(f"there are {MOST_REMINDERS} reminders at most", where="escalate")


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > 200:
        raise ConfigError("a rule needs a name of 1 to 200 characters", where="name")
    if name != name.strip() or any(unicodedata.category(char) in _UNREADABLE for char in name):
        raise ConfigError("a rule's name is one line, without blanks at its ends", where="name")


def _check_pairs(pairs: tuple[str, ...]) -> None:
    if not pairs:
        hint = 'write pairs = ["bitcoin/usd"], or ["all"], or ["top(100)"]'
        raise ConfigError("a rule needs at least one pair", where="pairs", hint=hint)
    for number, pair in enumerate(pairs):
        where = f"pairs[{number}]"
        if is_pair(pair, where=where):
            check_pair(pair, where=where)
        elif len(pairs) > 1:
            raise ConfigError(f'"{pair}" stands alone', where="pairs")
    if len(set(pairs)) < len(pairs):
        raise ConfigError("a pair is named twice", where="pairs")


def _check_hold(condition: Condition, hold: int, reader: Language | None) -> None:
    """Time that passes without an observation is not observed time."""
    functions = reader.functions if reader else catalogue()
    ages = [call for call in calls(condition) if functions[call.name].unit == "time"]
    if hold and ages:
        name = show(ages[0], functions)
        hint = f"leave `for` out, and let the time that `{name}` is compared with be longer"
        raise ConfigError(f"`for` counts observed time, and `{name}` grows while nothing is observed", where="for",
                          hint=hint)  # fmt: skip


def _check_already(condition: Condition, reader: Language | None) -> None:
    for comparison in comparisons(condition):
        if comparison.op.startswith("crosses"):
            feature = show(comparison.left, reader.functions if reader else None)
            hint = f"write {feature} {'>=' if comparison.rises else '<='} …"
            raise ConfigError(f"`{comparison.op}` is never already true", where="fire_if_already_true", hint=hint)


def _check_resolved(spec: RuleSpec, condition: Condition, reader: Language | None) -> None:
    """Only what goes on after it was told can be over."""
    if spec.repeat == "once":
        hint = 'leave `resolved` out, or write repeat = "every"'
        raise ConfigError("a rule that tells once is done then", where="resolved", hint=hint)
    since = next((call for call in calls(condition) if call.name == SINCE_ALERT), None)
    if since is not None:
        name = show(since, reader.functions if reader else catalogue())
        hint = f"leave `resolved` out, or write change_since{name.removeprefix(SINCE_ALERT)}"
        raise ConfigError(f"`{name}` counts anew from each alert, so none of them is ever over", where="resolved",
                          hint=hint)  # fmt: skip
