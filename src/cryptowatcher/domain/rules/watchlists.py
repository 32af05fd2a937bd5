"""Watchlists: an owner's named lists of pairs, for rules that are on `list(name)`.

A rule keeps the pairs of its list as they were when the change was saved (`Rule.members`), so that what the engine
does depends on its changes alone, and a list that changes is a change of each rule on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from cryptowatcher.domain.pairs import check_pair
from cryptowatcher.domain.rules.model import Rule, RuleOrigin, RuleSpec
from cryptowatcher.errors import ConfigError

MOST_PAIRS = 1_000

_LIST = re.compile(r"list\(\s*([^()]*?)\s*\)")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class Watchlist(msgspec.Struct, frozen=True, kw_only=True):
    """One list. `pairs` in the order given; none is fine: rules on it wait.

    origin: who looks after it: its owner, or the configuration file
    """

    name: str
    owner: str
    pairs: tuple[str, ...]
    origin: RuleOrigin = "owner"


def parse_list(text: str, *, where: str = "pairs") -> str | None:
    """`list(mine)` → `mine`. None for what is not written so."""
    match = _LIST.fullmatch(text)
    return None if match is None else check_list_name(match[1], where=where)


def list_of(spec: RuleSpec) -> str | None:
    """The list that a rule is on, if it is on one. Not checked: it is, where a rule is saved."""
    match = _LIST.fullmatch(spec.pairs[0])
    return None if match is None else match[1]


def pairs_of(rule: Rule) -> tuple[str, ...]:
    """What the rule names: the pairs of its list; `all` and `top(100)` as they are written."""
    return rule.spec.pairs if list_of(rule.spec) is None else rule.members


def members_of(spec: RuleSpec, lists: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The pairs of the list that a rule is on; none where it is on no list. ConfigError where there is no such
    list. `lists`: the owner's, by name."""
    name = list_of(spec)
    if name is None:
        return ()
    if name not in lists:
        hint = f"there are: {', '.join(sorted(lists))}" if lists else "there are no lists yet: make it first"
        raise ConfigError(f"there is no list {name!r}", where="pairs[0]", hint=hint)
    return tuple(lists[name])


def check_list_name(name: str, *, where: str = "name") -> str:
    """The name of a list, or a ConfigError that says how one is written."""
    if _NAME.fullmatch(name) is None:
        message = f"{name[:80]!r} is not the name of a list"
        raise ConfigError(message, where=where, hint="up to 64 of a-z, 0-9, - and _, the first a letter or digit")
    return name


def check_list(name: str, pairs: Sequence[str]) -> None:
    """ConfigError with `where` = `name`, `pairs` or `pairs[0]` for what is wrong with a list."""
    check_list_name(name)
    if len(pairs) > MOST_PAIRS:
        raise ConfigError(f"a list has at most {MOST_PAIRS} pairs", where="pairs")
    for number, pair in enumerate(pairs):
        check_pair(pair, where=f"pairs[{number}]")
        if pair in pairs[:number]:
            raise ConfigError(f"{pair} is named twice", where=f"pairs[{number}]")


def in_use(name: str, rules: Sequence[Rule]) -> str:
    """Why a list cannot be removed that these rules are on."""
    names = ", ".join(rule.spec.name for rule in rules[:5])
    more = f" and {len(rules) - 5} more" if len(rules) > 5 else ""
    return f"rules are on the list {name!r}: {names}{more}"
