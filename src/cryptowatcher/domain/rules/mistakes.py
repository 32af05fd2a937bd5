"""Why a condition could not be read, in people's words and under its column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from cryptowatcher.errors import ConfigError

_WIDEST = 96  # characters of a condition that are shown: a caret below a line that wraps points nowhere
_LONGEST_WORD = 40
_MOST_CORRECTIONS = 8

EXAMPLES = "price >= 70000 · change(5m) <= -5% · rsi(14, 1h) < 30 and price > sma(200, 1d)"


class ConditionError(ConfigError):
    """`column` counts from 1; one more than the text has characters where something is missing at its end."""

    def __init__(self, text: str, column: int, message: str, *, where: str, hint: str = "") -> None:
        super().__init__(f"{message}\n{_pointed(text, column)}", where=where, hint=hint)
        self.text = text
        self.column = column
        self.reason = message


class Wrong(Exception):
    """What is wrong from this character (from 0) on. It never leaves the language."""

    def __init__(self, start: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.start = start
        self.message = message
        self.hint = hint


def _pointed(text: str, column: int) -> str:
    """The text, or the stretch of it around the column, with a caret below."""
    place = column - 1
    first = max(0, min(place - _WIDEST // 2, len(text) - _WIDEST))
    shown = "".join(char if char.isprintable() else " " for char in text[first : first + _WIDEST])
    before, after = "…" if first else "", "…" if first + _WIDEST < len(text) else ""
    return f"    {before}{shown}{after}\n    {' ' * (place - first + len(before))}^ column {column}"


def shorten(word: str) -> str:
    """A word of somebody's, as it is said in a sentence."""
    return word if len(word) <= _LONGEST_WORD else f"{word[:_LONGEST_WORD]}…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that looks like this one, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(known)}"


# --- what people write who do not know the language yet ---------------------------------------------


class Mistake(NamedTuple):
    """`instead` stands in the place of what the pattern finds: a template of its groups, or a function of it."""

    pattern: re.Pattern[str]
    message: str
    instead: str | Callable[[re.Match[str]], str] = ""


def _mistake(pattern: str, message: str, instead: str | Callable[[re.Match[str]], str] = "") -> Mistake:
    return Mistake(re.compile(pattern, re.IGNORECASE), message, instead)


def _in_full(zeros: int) -> Callable[[re.Match[str]], str]:
    """70k → 70000."""

    def write(found: re.Match[str]) -> str:
        try:
            return f"{Decimal(found[1]).scaleb(zeros):f}"
        except InvalidOperation:  # two decimal points, say
            return found[0]

    return write


def _days(each: int) -> Callable[[re.Match[str]], str]:
    """1 month → 30d."""
    return lambda found: f"{int(found[1]) * each}d"


_NEVER_EQUAL = "numbers are compared with <, <=, > or >=: two prices are hardly ever exactly equal"

_NUMBER = r"(?P<number>\b[a-z_]\w*(?:\([^()]*\))?)"
_SIDE = r"(-?[\d.]+%?)"
_UNIT = "(?:s|m|h|d|w)"
_RANGE = rf"\s*[(\[]?\s*{_SIDE}\s*(?:and|to|[-–,]|\.\.)\s*{_SIDE}[)\]]?"
"""What stands behind `between`."""


def _move(sign: str, verbs: str) -> Mistake:
    """`price drops by 5% in 1h` → change(1h) <= -5%."""

    def write(found: re.Match[str]) -> str:
        return f"change({found['time'] or '24h'}) {'<=' if sign else '>='} {sign}{found['size']}%"

    size = r"(?:\s+(?:by|of|more\s+than))*\s+(?P<size>\d[\d.]*)\s*%"
    time = rf"(?:\s+(?:in|within|over|per)\s+(?P<time>\d+{_UNIT})\b)?"
    pattern = rf"\b(?:price\s+)?(?P<at>(?:is\s+|has\s+)?(?:{verbs})){size}{time}"
    return _mistake(pattern, "a move is a change within a time", write)


MISTAKES = (
    _mistake(
        rf"{_NUMBER}\s+(?P<at>(?:is\s+)?(?:between|inside|in|within)){_RANGE}",
        "a range is two comparisons",
        r"\g<number> >= \3 and \g<number> <= \4",
    ),
    _mistake(
        rf"{_NUMBER}\s+(?P<at>(?:is\s+)?(?:not\s+between|outside)){_RANGE}",
        "a range is two comparisons",
        r"\g<number> < \3 or \g<number> > \4",
    ),
    _mistake(
        rf"{_NUMBER}\s+(?P<at>(?:is\s+)?within)\s+{_SIDE}\s+of\s+{_SIDE}",
        "this is written as a distance",
        r"abs(\g<number> / \4 - 1) <= \3",
    ),
    _mistake(r"=>|≥", "this is written >=", ">="),
    _mistake(r"=<|≤", "this is written <=", "<="),
    _move("-", "drop(?:s|ped)?|falls?|fell|fallen|dips?|crashes|down|loses"),
    _move("", "ris(?:es?|en)|rose|up|gains?|jumps?|climbs?|pumps?"),
    _mistake(r"!==?|<>|≠|is\s+not\b", f"{_NEVER_EQUAL}, so they are unequal almost always"),
    _mistake(
        r"=+|\bis\b(?!\s+(?:above|below|over|under|greater|more|higher|less|lower|smaller|at))|\bequals?\b",
        _NEVER_EQUAL,
        ">=",
    ),
    _mistake(r"&+", "this is written `and`", " and "),
    _mistake(r"^\s*\|([^|]+)\||(?<=[<>(*/+-])\s*\|([^|]+)\|", "this is written abs( )", r" abs(\1\2)"),
    _mistake(r"\|+", "this is written `or`", " or "),
    _mistake(r"!", "this is written `not`", "not "),
    _mistake(r"\bbut\b", "this is written `and`", "and"),
    _mistake(
        r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?!\d)", "a number has no commas", lambda found: found[0].replace(",", "")
    ),
    _mistake(
        r"(?<![\w.,])(\d{1,3}(?:\.\d{3})+),(\d+)",
        "a number has a decimal point, not a comma",
        lambda found: f"{found[1].replace('.', '')}.{found[2]}",
    ),
    _mistake(
        r"(?<![\w.,])\d{1,3}(?: \d{3})+(?![\w.])",
        "a number has no blanks",
        lambda found: found[0].replace(" ", ""),
    ),
    _mistake(r"(?<![\w.,])(\d+),(\d+)", "a number has a decimal point, not a comma", r"\1.\2"),
    _mistake(r"(?<![\w.])([\d_.]+)\s*k\b", "thousands are written out", _in_full(3)),
    _mistake(r"(?<![\w.])([\d_.]+)\s*(?:mio|million)\b", "millions are written out", _in_full(6)),
    _mistake(r"(?<![\w.])([\d_.]+)\s*(?:bn?|billion)\b", "billions are written out", _in_full(9)),
    _mistake(r"(?<![\w.])([\d_.]+)\s*(?:tn?|trillion)\b", "trillions are written out", _in_full(12)),
    _mistake(r"(?<![\w.])(\d[\d_.]*)\s*(?:percent|pct|prozent)\b", "this is written %", r"\1%"),
    _mistake(r"(?<![\w.])(\d+)\s*(?:minutes?|mins?)\b", "a duration is written 5m", r"\1m"),
    _mistake(
        r"(?<![\w.])(\d+)\s*(?:hours?|hrs?)\b|(?<![\w.])(?-i:(\d+)H)\b", "a duration is written 1h", r"\1\2h"
    ),
    _mistake(r"(?<![\w.])(\d+)\s*(?:days?)\b|(?<![\w.])(?-i:(\d+)D)\b", "a duration is written 1d", r"\1\2d"),
    _mistake(
        r"(?<![\w.])(\d+)\s*(?:weeks?|wks?)\b|(?<![\w.])(?-i:(\d+)W)\b", "a duration is written 1w", r"\1\2w"
    ),
    _mistake(r"(?<![\w.])(\d+)\s*(?:seconds?|secs?)\b", "a duration is written 30s", r"\1s"),
    _mistake(r"(?<![\w.])(\d+)\s*(?:months?|mo)\b", "a month is written 30d", _days(30)),
    _mistake(r"(?<![\w.])(\d+)\s*(?:years?|yrs?|y)\b", "a year is written 365d", _days(365)),
    _mistake(
        r"(?<![\w.])[\d.]+\s*(?-i:M)\b",
        "what M is, is not clear: minutes are 5m, a month is 30d, millions are written out",
    ),
    _mistake(rf"(?<![\w.])(\d+{_UNIT})\s+(?=\d+{_UNIT}\b)", "a duration is written in one piece", r"\1"),
    _mistake(r"(?<![\w.])(\d+)\s+(ms|s|m|h|d|w)\b", "a number and its unit stand together", r"\1\2"),
    _mistake(r"^\s*(?:if|when|alert)\s*", "a condition begins with what is compared", ""),
    _mistake(r"[$€£¥₿]", "a number stands without a currency: it is in the pair's own", ""),
    _mistake(
        r"(?<=\d)\s*(?:usd[tc]?|eur|btc|dollars?|euros?)\b|\b(?:usd[tc]?|eur|btc)\s*(?=\d)",
        "a number stands without a currency: it is in the pair's own",
        "",
    ),
    _mistake(
        r"\bcross(?:es|ed|ing)?\s+(?:over|up(?:wards)?)(?:\s+through)?\b",
        "say which way it crosses",
        "crosses above",
    ),
    _mistake(
        r"\bcross(?:es|ed|ing)?\s+(?:under|down(?:wards)?)(?:\s+through)?\b",
        "say which way it crosses",
        "crosses below",
    ),
    _mistake(r"\bcross(?:ed|ing|)\s+(above|below)\b", "this is written `crosses`", r"crosses \1"),
    _mistake(r"\bcross(?:es|ed|ing)?\b(?!\s+(?:above|below))", "say which way it crosses", "crosses above"),
    _mistake(
        r"(?<!crosses)(?:\bis|\bgoes|\brises|\bgets|\bbreaks)?\s+(?:above|over|(?:greater|more|higher)\s+than|exceeds)\b",
        "this is written > or `crosses above`",
        " >",
    ),
    _mistake(
        r"(?<!crosses)(?:\bis|\bgoes|\bfalls|\bdrops|\bgets|\bbreaks)?\s+(?:below|under|(?:less|lower|smaller)\s+than)\b",
        "this is written < or `crosses below`",
        " <",
    ),
    _mistake(r"\bat\s+least\b", "this is written >=", ">="),
    _mistake(r"\bat\s+most\b", "this is written <=", "<="),
    _mistake(r"\b(?:hits|reaches|touches|gets\s+to)\b", "say from which side it comes", "crosses above"),
    _mistake(r"\bfor\s+(?:at\s+least\s+)?\d.*", "how long it stays so is a setting of the rule: `for`", ""),
    _mistake(r"\b(?:every|once)\b.*", "how often it tells is a setting of the rule: `cooldown`, `repeat`", ""),
    _mistake(r"(?:\bthen\b|->|→).*", "what is to happen is not part of a condition", ""),
    _mistake(r"\bprice\s+change\b", "this is written change", "change"),
    _mistake(r"\bmarket\s+cap\b", "this is written market_cap", "market_cap"),
    _mistake(r">?\s*\ball[\s-]time\s+high\b", "a window is at most 400d", ">= high(400d)"),
    _mistake(
        r"\b(price|volume|market_cap|rank)\s+of\s+[\w/-]+",
        "the pair stands beside the condition, not in it",
        r"\1",
    ),
    _mistake(rf"\b([a-z_]+)\s+(?P<at>\d+{_UNIT})\b", "arguments stand in brackets", r"\1(\2)"),
    _mistake(r"(?<=\d)\s*x\b\s*(?=[a-z(])", "this is written *", " * "),
    _mistake(r"\bbetween\b", "a range is two comparisons: price >= 1 and price <= 2"),
    _mistake(r"\*\*|\^", "there are no powers; + - * / there are"),
    _mistake(r"[‐‑‒–—−]", "this is written -", "-"),
    _mistake(r"[×·⋅]", "this is written *", "*"),
    _mistake(r"[÷:]", "this is written /", "/"),
    _mistake(r"[\[{]", "brackets are round: ( )", "("),
    _mistake(r"[\]}]", "brackets are round: ( )", ")"),
    _mistake(r"[\"'`“”‘’]", "there are no quotation marks", ""),
    _mistake(r";", "several conditions are joined by `and` or `or`", " and "),
)


def explain(text: str, place: int, expected: Collection[str], *, stops: Callable[[str], int | None]) -> Wrong:
    """Why reading stopped at this character, where the grammar would have taken one of these terminals.

    `stops`: where the reading of a text stops; None for a condition, -1 where something else is wrong with it.
    """
    made = _made_at(text, place)
    if made is not None:
        mistake, found = made
        right = _corrected(text, place, stops)
        return Wrong(_start(mistake, found), mistake.message, f"write {right}" if right else "")
    unclosed = _unclosed(text)
    if place >= len(text) and "RPAR" in expected and unclosed is not None:
        return Wrong(unclosed, "this bracket is never closed")
    if text[place : place + 1] == ")" and "RPAR" not in expected and "NAME" not in expected and unclosed is None:
        return Wrong(place, "there is no open bracket for this one")
    return Wrong(place, *_missing(text, place, expected))


def _made_at(text: str, place: int) -> tuple[Mistake, re.Match[str]] | None:
    """The mistake that ends or lies at a place."""
    for mistake in MISTAKES:
        for found in mistake.pattern.finditer(text):
            if found.start() <= place <= found.end():
                return mistake, found
    return None


def _corrected(text: str, place: int | None, stops: Callable[[str], int | None]) -> str:
    """The text without this mistake and those behind it; "" if that cannot be read either."""
    for _ in range(_MOST_CORRECTIONS):
        made = None if place is None else _made_at(text, place)
        if made is None:
            break
        mistake, found = made
        instead = found.expand(mistake.instead) if isinstance(mistake.instead, str) else mistake.instead(found)
        text = f"{text[: found.start()]}{instead}{text[found.end() :]}"
        place = stops(text)
    return " ".join(text.split()) if place is None else ""


def _start(mistake: Mistake, found: re.Match[str]) -> int:
    if "at" in mistake.pattern.groupindex:
        return found.start("at")
    return found.start() + len(found[0]) - len(found[0].lstrip())


def _unclosed(text: str) -> int | None:
    """The place of the last bracket that is open at the end of the text."""
    opened: list[int] = []
    for place, char in enumerate(text):
        if char == "(":
            opened.append(place)
        elif char == ")" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _missing(text: str, place: int, expected: Collection[str]) -> tuple[str, str]:
    """What should stand at a place, and a hint."""
    found = _shown(text, place)
    if "PAIR" in expected and text[place : place + 1] in ("+", "-"):
        return "an argument has no sign", "write 5 for -5: whether it rises or falls is said by < and >"
    if "PAIR" in expected:
        return (
            f"an argument is missing here{found}",
            "arguments are numbers, durations like 5m, pairs, or features",
        )
    if "NAME" in expected:
        if not text.strip():
            return "a condition is missing", EXAMPLES
        if "_NOT" in expected:
            return f"a comparison is expected here{found}", EXAMPLES
        return f"a number or a feature is expected here{found}", EXAMPLES
    if "_AND" in expected:
        if re.match(r"[<>]|crosses\b", text[place:], re.IGNORECASE):
            return "only two sides can be compared at once", "write a < b and b < c for a < b < c"
        return f"`and`, `or` or the end is expected here{found}", ""
    if "OPERATOR" in expected:
        what = "this must be compared with something" if place >= len(text) else "a comparison is expected here"
        return f"{what}{found}: <, <=, >, >=, `crosses above` or `crosses below`", EXAMPLES
    if "COMMA" in expected:
        return f"a comma or ) is expected here{found}", "an argument is one number, duration, pair or feature"
    if "LPAR" in expected:
        return f"an opening bracket is expected here{found}", "write abs(price - 1), max(price, 2)"
    return f"a closing bracket is expected here{found}", ""


def _shown(text: str, place: int) -> str:
    """`, not “word”`, for what stands at a place."""
    word = re.match(r"\w+|\S", text[place:])
    return f", not {shorten(word[0])!r}" if word and word[0].isprintable() else ""
