"""Rules that fire together: of one shape, at rest, each on one pair, and nothing but their condition decides.

Most of what their alerts say is the same, and so is what they remember. So the alert of the first is built, and
those of others that differ in nothing but what is each rule's own are copies of it, which nobody makes one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.copies import FEW, Copies
from cryptowatcher.domain.rules.book import Book
from cryptowatcher.domain.rules.firing import NEVER_KNOWN, LastKnown, Moment, build_alert, copied, last_known
from cryptowatcher.domain.rules.groups import Group
from cryptowatcher.domain.rules.judged import by_number
from cryptowatcher.domain.rules.lifecycle import record_firing
from cryptowatcher.domain.rules.model import Firing
from cryptowatcher.domain.rules.rows import Own
from cryptowatcher.domain.rules.truth import judge
from cryptowatcher.domain.ticks import Floats, Ints

Pairs = Callable[[int], tuple[str, Moment]]
"""By column: the pair, and its observation."""


class Met(NamedTuple):
    """Rules whose conditions turned true, as columns: slots, the columns of their pairs, and for each comparison
    the number that was compared."""

    slots: Ints
    cols: Ints
    values: Sequence[Floats]


def fire_together(book: Book, group: Group, met: Met, pairs: Pairs) -> Iterator[Alert | Copies[Alert]]:
    """What lifecycle.advance() says of them; the alerts that are not held back."""
    slots, cols, _ = met
    alike = _Alike(book, group, met)
    times, done = np.zeros(len(slots), np.int64), np.zeros(len(slots), np.bool_)
    for places, kind, own in book.own(slots):
        for col, at in by_number(cols[places]):
            pair, moment = pairs(col)
            times[places[at]] = moment.time
            known = book.memories.of_many(own.of(at).ids, col)
            for before, which in _by_memory(known, own.of(at).owners):
                mine = at[which]
                rule = book.rule(int(slots[places[mine[0]]]))
                firing, held_back = record_firing(rule, before, pair=pair, time=moment.time, price=moment.price)
                book.memories.put_alike(firing, own.of(mine).ids, col)
                if not held_back:
                    done[places[mine]] = kind.spec.repeat == "once"
                    yield from alike.alerts(places[mine], own.of(mine), before, pair, moment)
    book.stand_many(slots[done], "done", times[done])
    book.stand_many(slots[~done], "inside", times[~done])


_memory = attrgetter(*(name for name in Firing.__struct_fields__ if name not in ("rule", "pair")))


def _by_memory(known: Sequence[Firing | None], owners: Sequence[str]) -> Iterator[tuple[Firing | None, Ints]]:
    """Rules that remember the same, by what the first remembers: record_firing() says the same of them."""
    if not any(known):
        yield None, np.arange(len(known))
        return
    found: dict[object, list[int]] = {}
    for place, (before, owner) in enumerate(zip(known, owners, strict=True)):
        memory = None if before is None else (_memory(before), owner == SYSTEM_OWNER)
        found.setdefault(memory, []).append(place)
    for places in found.values():
        yield known[places[0]], np.asarray(places)


class _Alike:
    """By what alerts of rules of one shape, for one pair at one moment, differ."""

    def __init__(self, book: Book, group: Group, met: Met) -> None:
        self._book = book
        self._met = met
        self._watched = group.watched
        starts = book.counts_after(met.slots, met.cols)
        self._known = [watched.known.seq[met.cols] > starts for watched in group.watched]
        self._shown = np.zeros(len(met.slots), np.int64)
        failed = np.zeros(len(met.slots), np.bool_)
        if group.composite:
            fire, _ = book.judged.constants(met.slots, len(group.watched))
            self._shown = _first_true(group, met.values, fire)
            failed = self._failed(group, fire)
        self._number = _numbered([*self._known, self._shown, failed])

    def alerts(
        self, places: Ints, own: Own, known: Firing | None, pair: str, moment: Moment
    ) -> Iterator[Alert | Copies[Alert]]:
        """Of the rules at these places, all of one kind, which had fired before as is `known`."""
        for _, mine in by_number(self._number[places]):
            first = int(places[mine[0]])
            rule = self._book.rule(int(self._met.slots[first]))
            values = [each.item(first) for each in self._met.values]
            alert = build_alert(rule, pair, values, self._before(first), moment, "edge", last_firing=known)
            theirs = own.of(mine)
            copies = copied(alert, theirs, int(self._shown[first]), theirs.constants)
            if len(copies) < FEW:
                yield from copies
            else:
                yield copies

    def _before(self, place: int) -> list[LastKnown]:
        col = int(self._met.cols[place])
        both = zip(self._watched, self._known, strict=True)
        return [last_known(watched.known, col) if known[place] else NEVER_KNOWN for watched, known in both]

    def _failed(self, group: Group, fire: Sequence[Floats]) -> NDArray[np.bool_]:
        """Whether what was known when a number was last known decides: see firing.build_alert()."""
        cols = self._met.cols
        at = [
            np.where(known, watched.known.at[cols], 0)
            for watched, known in zip(self._watched, self._known, strict=True)
        ]
        newest = np.max(at, axis=0)
        then = [
            np.where((time == newest) & known, watched.known.value[cols], np.nan)
            for time, watched, known in zip(at, self._watched, self._known, strict=True)
        ]
        return judge(group.shape, then, then, fire, fire).fails


def _numbered(columns: Sequence[NDArray[np.bool_] | Ints]) -> Ints:
    """A number for each row of these columns (>= 0): the same where all of them are."""
    number: Ints = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        number = number * (int(column.max(initial=0)) + 1) + column
        if number.max(initial=0) >= _MANY:
            number = np.unique(number, return_inverse=True)[1].astype(np.int64)
    return number


_MANY = 1 << 31


def _first_true(group: Group, values: Sequence[Floats], fire: Sequence[Floats]) -> Ints:
    """For each rule which comparison its alert shows."""
    three = zip(group.shape.looks, values, fire, strict=True)
    shown: Ints = np.argmax([value >= at if look.rises else value < at for look, value, at in three], axis=0)
    return shown
