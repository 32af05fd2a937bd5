"""Everything about a rule that can be wrong by itself, before anybody judges it."""

from __future__ import annotations

import re
import unicodedata

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.hours import parse_expires, parse_hours
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.pairs import ALL, check_pair
from cryptowatcher.domain.rules.language import Language, language
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.tree import Condition, calls, comparisons, show
from cryptowatcher.domain.rules.watchlists import parse_list
from cryptowatcher.errors import ConfigError

MOST_OF_TOP = 1_000

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")
_TOP = re.compile(r"top\(\s*([0-9]{1,6})\s*\)")
_LONGEST_PERCENT = 40
_UNREADABLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, line and paragraph ends


def check_spec(spec: RuleSpec, reader: Language | None = None) -> Condition:
    """The condition of a rule that has nothing wrong with it. ConfigError with `where` = the field."""
    _check_name(spec.name)
    _check_pairs(spec.pairs)
    condition = (reader or language()).check(spec.when)
    parse_duration(spec.cooldown, where="cooldown")
    parse_percent(spec.rearm, where="rearm")
    parse_expires(spec.expires)
    parse_hours(spec.active)
    _check_hold(condition, parse_duration(spec.for_, where="for"), reader)
    if spec.fire_if_already_true:
        _check_already(condition, reader)
    return condition


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
