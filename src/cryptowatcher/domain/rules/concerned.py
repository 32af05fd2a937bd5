"""Whose rules look at some pairs: their owners, and where those want to be told."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from cryptowatcher.domain.rules.book import Book
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.rows import Where
from cryptowatcher.domain.rules.watchlists import pairs_of


class Concern(msgspec.Struct, frozen=True):
    """One owner's.

    pairs:      named by a rule of theirs, in order of name
    everywhere: whether a rule of theirs is on all pairs, or on the largest
    channels:   of those rules, in order; "" stands for what is told where a rule names none
    """

    owner: str
    pairs: tuple[str, ...]
    everywhere: bool
    channels: tuple[str, ...]


def concerned(book: Book, pairs: frozenset[str], *, everywhere: bool) -> list[Concern]:
    """The owners of active rules on one of these pairs by name, or (if asked for) on all; in order of name."""
    named: dict[str, set[str]] = {}
    wide: set[str] = set()
    channels: dict[str, set[str]] = {}
    for rule, where in _alike(book, pairs, everywhere=everywhere):
        mine = named.setdefault(rule.owner, set())
        mine.update(pairs.intersection(pairs_of(rule)))
        channels.setdefault(rule.owner, set()).update(rule.spec.channels or ("",))
        if where.everywhere:
            wide.add(rule.owner)
    return [
        Concern(owner, tuple(sorted(named[owner])), owner in wide, tuple(sorted(channels[owner])))
        for owner in sorted(named)
    ]


def _alike(book: Book, pairs: frozenset[str], *, everywhere: bool) -> Iterator[tuple[Rule, Where]]:
    """One active rule of each owner, kind and set of pairs that is concerned. Work grows with what differs, and
    only a scan of columns with the number of rules."""
    known: dict[int, bool] = {}
    for slots, segment, rows in book.living():
        ons = segment.on[rows]
        for on in np.unique(ons).tolist():
            if on not in known:
                where = book.where_on(on)
                known[on] = everywhere if where.everywhere else not pairs.isdisjoint(where.pairs)
        theirs = np.isin(ons, [on for on, concerns in known.items() if concerns]) & (
            book.judged.number[slots] >= 0
        )
        rows, slots = rows[theirs], slots[theirs]
        same = np.stack([segment.owner[rows], segment.on[rows], book.kinds(slots, segment, rows)], axis=1)
        _, first = np.unique(same, axis=0, return_index=True)
        for slot, row in zip(slots[first].tolist(), rows[first].tolist(), strict=True):
            yield book.plain(slot), book.where_on(int(segment.on[row]))
