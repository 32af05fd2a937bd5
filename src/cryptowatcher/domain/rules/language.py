"""Conditions as people write them, and rules checked whole: text → tree, or an error that shows its place.

    price >= 70000 · price crosses above 70000 · change(5m) <= -5%

`price` is in the pair's currency. `change(w)` is the relative change against the price as it stood `w` before
the pair's newest observation; its constant is written in percent. All comparisons fire on the *edge*: when
the condition turns true between two observations.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from typing import Literal

import msgspec

from cryptowatcher.domain.features.history import check_window
from cryptowatcher.domain.intervals import parse_duration, show_duration
from cryptowatcher.domain.pairs import ALL, check_pair
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError

Operator = Literal["<", "<=", ">", ">=", "crosses above", "crosses below"]
FEATURES = ("price", "change")

_CONDITION = re.compile(
    r"""\s*(?P<feature>[A-Za-z_]\w*) \s* (?:\((?P<window>[^()]*)\))?
        \s* (?P<op><=|>=|<|>|crosses\s+above|crosses\s+below)
        \s* (?P<number>[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][-+]?\d+)?) \s* (?P<percent>%)? \s*""",
    re.VERBOSE,
)
_LONGEST = 200  # characters of a condition: what is matched piece by piece must not take long to fail
_START = re.compile(r"\s*(?P<feature>[A-Za-z_]\w*)\s*(?P<window>\([^()]*\))?\s*")
_OP = re.compile(r"(<=|>=|<|>|crosses\s+above|crosses\s+below)\s*")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


_UNREADABLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, line and paragraph ends


class Feature(msgspec.Struct, frozen=True):
    """A number per pair. `window` is ms, 0 for features without one."""

    name: str
    window: int = 0

    def __str__(self) -> str:
        return f"{self.name}({show_duration(self.window)})" if self.window else self.name


class Condition(msgspec.Struct, frozen=True):
    """feature operator constant; the constant of `change` is a fraction (-0.05 for -5%)."""

    feature: Feature
    op: Operator
    constant: float

    @property
    def rises(self) -> bool:
        """True where the condition becomes true by the value going up."""
        return self.op in (">", ">=", "crosses above")

    def __str__(self) -> str:
        number = f"{self.constant * 100:.12g}%" if self.feature.name == "change" else f"{self.constant:.16g}"
        return f"{self.feature} {self.op} {number}"


def parse(text: str, *, where: str = "when") -> Condition:
    """The tree of a condition; a ConfigError shows the column and what was expected there."""
    if len(text) > _LONGEST:
        raise ConfigError(f"a condition has at most {_LONGEST} characters", where=where)
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise _explain(text, where)
    feature = _feature(match, text, where)
    constant = float(match["number"].replace("_", ""))
    if not math.isfinite(constant):
        raise _at(text, match.start("number"), "this number is too large", where)
    percent = match["percent"] is not None
    if feature.name == "change" and not percent:
        raise _at(
            text, match.end("number"), "a change is compared with percent", where, hint="write -5%, for example"
        )
    if feature.name == "price" and percent:
        raise _at(text, match.start("percent"), "a price is compared with a number, not percent", where)
    op = " ".join(match["op"].split())
    return Condition(feature, op, constant / 100 if percent else constant)  # type: ignore[arg-type]  # by the pattern


def parse_percent(text: str, *, where: str) -> float:
    """`0.1%` → 0.001, from 0 to below 100 %."""
    match = _PERCENT.fullmatch(text.strip())
    if match is None or float(match[1]) >= 100:
        raise ConfigError(f"{text!r} is not a percentage", where=where, hint="write 0%, 0.1%, 2%, …")
    return float(match[1]) / 100


def check_spec(spec: RuleSpec) -> None:
    """Everything about a rule that can be wrong by itself. ConfigError with `where` = the field."""
    if not spec.name.strip() or len(spec.name) > 200:
        raise ConfigError("a rule needs a name of 1 to 200 characters", where="name")
    if spec.name != spec.name.strip() or any(unicodedata.category(char) in _UNREADABLE for char in spec.name):
        raise ConfigError("a rule's name is one line, without blanks at its ends", where="name")
    if not spec.pairs:
        hint = 'write pairs = ["bitcoin/usd"], or ["all"]'
        raise ConfigError("a rule needs at least one pair", where="pairs", hint=hint)
    if ALL in spec.pairs and len(spec.pairs) > 1:
        raise ConfigError('"all" stands alone', where="pairs")
    for number, pair in enumerate(spec.pairs):
        if pair != ALL:
            check_pair(pair, where=f"pairs[{number}]")
    if len(set(spec.pairs)) < len(spec.pairs):
        raise ConfigError("a pair is named twice", where="pairs")
    condition = parse(spec.when)
    if spec.fire_if_already_true and condition.op.startswith("crosses"):
        hint = f"write {condition.feature} {'>=' if condition.rises else '<='} …"
        raise ConfigError(f"`{condition.op}` is never already true", where="fire_if_already_true", hint=hint)
    parse_duration(spec.for_, where="for")
    parse_duration(spec.cooldown, where="cooldown")
    parse_percent(spec.rearm, where="rearm")


def _feature(match: re.Match[str], text: str, where: str) -> Feature:
    name, window = match["feature"], match["window"]
    if name not in FEATURES:
        raise _at(text, match.start("feature"), f"there is no feature `{name}`", where, hint=_did_you_mean(name))
    if name == "price":
        if window is not None:
            raise _at(text, match.start("window"), "`price` has no window", where)
        return Feature("price")
    if window is None or not window.strip():
        raise _at(text, match.end("feature"), "`change` needs a window", where, hint="write change(5m)")
    try:
        ms = parse_duration(window.strip())
        check_window(ms)
    except ConfigError as error:
        column = match.end("window") - len(window.lstrip())
        raise _at(text, column, error.message, where, hint=error.hint) from None
    return Feature("change", ms)


def _explain(text: str, where: str) -> ConfigError:
    """Which part of the condition could not be read."""
    examples = "price >= 70000 · change(5m) <= -5% · price crosses above 70000"
    start = _START.match(text)
    if start is None:
        return _at(text, 0, "a condition begins with `price` or `change(5m)`", where, hint=examples)
    if start["feature"] not in FEATURES:
        message = f"there is no feature `{start['feature']}`"
        return _at(text, start.start("feature"), message, where, hint=_did_you_mean(start["feature"]))
    op = _OP.match(text, start.end())
    if op is None:
        message = "expected <, <=, >, >=, `crosses above` or `crosses below`"
        return _at(text, start.end(), message, where, hint=examples)
    return _at(text, op.end(), "expected one number here, and nothing after it", where, hint=examples)


def _at(text: str, column: int, message: str, where: str, *, hint: str = "") -> ConfigError:
    """The error with the text under it and a caret below the column."""
    return ConfigError(f"{message}\n    {text}\n    {' ' * column}^ column {column + 1}", where=where, hint=hint)


def _did_you_mean(name: str) -> str:
    close = difflib.get_close_matches(name, FEATURES, n=1)
    return f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(FEATURES)}"
