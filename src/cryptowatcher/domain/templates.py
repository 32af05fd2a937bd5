"""An owner's own words for alerts: text with places in braces, and nothing that could be executed.

    {coin} is at {price}, {change}          the values of the alert
    {price:4}                               with four significant digits
    {{ and }}                               a brace

A template is read once, from left to right; what stands in braces is one of PLACEHOLDERS or a ConfigError. There
are no expressions, no attributes, no loops. What an alert holds is put in as it is and never read again: a rule
named `{price}` is shown as `{price}`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import Final

import msgspec

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.texts import (
    AlertText,
    alert_link,
    caveats,
    explained,
    observed_at,
    plain,
    short_id,
    show_move,
    show_price,
    show_time,
    show_value,
)
from cryptowatcher.errors import ConfigError

TITLE_MOST: Final = 200
"""Characters of a title's template."""
BODY_MOST: Final = 2_000

_TITLE_SHOWN: Final = 250
"""Characters of what comes out."""
_BODY_SHOWN: Final = 4_000
_MOST_DIGITS: Final = 12
_UNKNOWN: Final = "unknown"

_PIECE = re.compile(r"\{\{|\}\}|\{(?P<inside>[^{}]*)\}|[{}]")
_INSIDE = re.compile(r"(?P<name>[a-z_]{1,20})(?::(?P<digits>[0-9]{1,2}))?")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a message tells of, when (epoch ms) and where the owner is.

    text:       the default words
    late_after: age (ms) from which it is late
    link:       the page's public address; empty: none
    """

    alert: Alert
    text: AlertText
    now: int
    late_after: int
    zone: tzinfo = UTC
    link: str = ""


class Placeholder(msgspec.Struct, frozen=True):
    """meaning: as docs/messages.md says it
    show:    what stands there; the second argument is how many significant digits, None: as usual
    number:  whether digits may be asked for
    """

    meaning: str
    show: Callable[[Subject, int | None], str]
    number: bool = False


class Place(msgspec.Struct, frozen=True):
    """Where a value goes."""

    name: str
    digits: int | None = None


class Template(msgspec.Struct, frozen=True):
    """Text and places, in order."""

    pieces: tuple[str | Place, ...]


def parse_template(text: str, *, most: int, where: str = "") -> Template | None:
    """None for "" (the default words). ConfigError when it is longer than `most` characters, or names what there
    is not. Linear in its length."""
    if len(text) > most:
        raise ConfigError(f"a template has at most {most:,} characters", where=where)
    pieces: list[str | Place] = []
    end = 0
    for found in _PIECE.finditer(text):
        pieces += [text[end : found.start()], _piece(found, where)]
        end = found.end()
    pieces.append(text[end:])
    return Template(tuple(piece for piece in pieces if piece != "")) if text else None


def fill_title(template: Template, subject: Subject) -> str:
    """One line; empty where nothing is in it but blanks."""
    return plain(_filled(template, subject, _TITLE_SHOWN)).strip()


def fill_body(template: Template, subject: Subject) -> str:
    """Lines as the template has them; empty where nothing is in them but blanks."""
    said = _filled(template, subject, _BODY_SHOWN)
    return "\n".join(plain(line).rstrip() for line in said.split("\n")).strip()


def _piece(found: re.Match[str], where: str) -> str | Place:
    if found[0] in ("{{", "}}"):
        return found[0][0]
    if found["inside"] is None:
        raise ConfigError(
            f"a lone {found[0]} in a template", where=where, hint=f"write {found[0] * 2} for a brace"
        )
    inside = _INSIDE.fullmatch(found["inside"])
    if inside is None or inside["name"] not in PLACEHOLDERS:
        raise _no_such(found["inside"], where)
    name, digits = inside["name"], inside["digits"]
    if digits is None:
        return Place(name)
    if not PLACEHOLDERS[name].number:
        raise ConfigError(f"{{{name}}} is no number", where=where, hint=f"write {{{name}}} without digits")
    if not 1 <= int(digits) <= _MOST_DIGITS:
        raise ConfigError(f"{{{name}:{digits}}}: not so many digits", where=where, hint=f"1 to {_MOST_DIGITS}")
    return Place(name, int(digits))


def _no_such(inside: str, where: str) -> ConfigError:
    shown = plain(inside[:40])
    name = inside[:40].strip().partition(":")[0].lower()
    close = [_MEANT[name]] if name in _MEANT else difflib.get_close_matches(name, PLACEHOLDERS, n=1)
    names = ", ".join(PLACEHOLDERS)
    hint = f"did you mean {{{close[0]}}}?" if close else f"there are {names}; {{{{ is a brace"
    return ConfigError(f"there is no placeholder {{{shown}}}", where=where, hint=hint)


def _filled(template: Template, subject: Subject, most: int) -> str:
    said, length = list[str](), 0
    for piece in template.pieces:
        text = piece if isinstance(piece, str) else PLACEHOLDERS[piece.name].show(subject, piece.digits)
        said.append(text)
        length += len(text)
        if length > most:
            return f"{''.join(said)[: most - 1]}…"
    return "".join(said)


def _value(subject: Subject, number: float | None, digits: int | None) -> str:
    """As the condition compares it; a rule of several comparisons has no one value."""
    if number is None or subject.alert.parts:
        return _UNKNOWN
    return show_value(subject.alert.condition, number, digits)


PLACEHOLDERS: Final[Mapping[str, Placeholder]] = MappingProxyType(
    {
        "pair": Placeholder("what is watched: `bitcoin/usd`", lambda s, _: plain(s.alert.pair)),
        "coin": Placeholder(
            "the first half of it, by CoinGecko's id: `bitcoin`",
            lambda s, _: plain(s.alert.pair.rpartition("/")[0]),
        ),
        "currency": Placeholder(
            "the second half of it: `usd`", lambda s, _: plain(s.alert.pair.rpartition("/")[2])
        ),
        "price": Placeholder(
            "the price then, six significant digits: `50,123.5`", lambda s, n: show_price(s.alert.price, n), True
        ),
        "change": Placeholder(
            "how far it moved: what the rule's `change(…)` measured, for a rule on the price since the "
            "observation before; else `unknown`",
            lambda s, n: show_move(s.alert, n),
            True,
        ),
        "value": Placeholder(
            "what the rule compared; `unknown` for a rule of several comparisons",
            lambda s, n: _value(s, s.alert.value, n),
            True,
        ),
        "before": Placeholder(
            "the same at the observation before", lambda s, n: _value(s, s.alert.previous, n), True
        ),
        "limit": Placeholder(
            "the number that it was compared with", lambda s, n: _value(s, s.alert.constant, n), True
        ),
        "advice": Placeholder("`buy`, `sell` or `info`", lambda s, _: s.alert.advice),
        "rule": Placeholder("the rule's name", lambda s, _: plain(s.alert.rule_name)),
        "condition": Placeholder("the rule's condition", lambda s, _: plain(s.alert.condition)),
        "why": Placeholder(
            "the comparisons with their values, a sentence each", lambda s, _: " ".join(explained(s.alert))
        ),
        "time": Placeholder(
            "when it was observed, in your time zone", lambda s, _: show_time(observed_at(s.alert), s.zone)
        ),
        "sent": Placeholder("when this message was written", lambda s, _: show_time(s.now, s.zone)),
        "late": Placeholder(
            "that it is late, and how late; nothing where it is not",
            lambda s, _: " ".join(caveats(s.alert, s.now, s.late_after)),
        ),
        "source": Placeholder("who observed it: `coingecko`", lambda s, _: plain(s.alert.source)),
        "suppressed": Placeholder(
            "how many crossings the cooldown held back since the alert before",
            lambda s, _: f"{s.alert.suppressed:,}",
        ),
        "id": Placeholder("the short id by which repeats are recognised", lambda s, _: short_id(s.alert)),
        "link": Placeholder(
            "the alert's address; nothing without `link` in `[owner]`", lambda s, _: alert_link(s.link, s.alert)
        ),
        "title": Placeholder("the default title", lambda s, _: s.text.title),
        "text": Placeholder("the default text, in several lines", lambda s, _: s.text.body),
    }
)

_MEANT: Final = {
    "symbol": "coin",  # several coins share one
    "asset": "coin",
    "ticker": "coin",
    "name": "rule",
    "percent": "change",
    "move": "change",
    "message": "text",
    "body": "text",
    "url": "link",
    "threshold": "limit",
    "reason": "why",
}
