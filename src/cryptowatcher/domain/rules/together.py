"""Rules that fire together: of one shape, at rest, each on one pair, and nothing but their condition decides.

Most of what their alerts say is the same. So the alert of the first is built, and those of others that differ in
nothing but what is each rule's own are copies of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.alerts import Alert, alert_ids
from cryptowatcher.domain.rules.book import Book
from cryptowatcher.domain.rules.firing import NEVER_KNOWN, LastKnown, Moment, build_alert, copied, last_known
from cryptowatcher.domain.rules.groups import Group
from cryptowatcher.domain.rules.kinds import Kind
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


def fire_together(book: Book, group: Group, met: Met, pairs: Pairs) -> Iterator[Alert]:
    """What lifecycle.advance() says of them; the alerts that are not held back."""
    slots, cols, _ = met
    copies = _Copies(book, group, met)
    there = {col: pairs(col) for col in set(cols.tolist())}
    done = np.zeros(len(slots), np.bool_)
    for places, kind, own in book.own(slots):
        at = cols[places].tolist()
        who = [(each.id, col) for each, col in zip(own, at, strict=True)]
        known = book.firings_for(who)
        recorded = list(_recorded(kind, own, [there[col] for col in at], known))
        book.fired_many(who, [firing for firing, _ in recorded])
        told = np.array([not held_back for _, held_back in recorded])
        done[places] = told & (kind.spec.repeat == "once")
        for number in np.flatnonzero(told).tolist():
            yield copies.alert(int(places[number]), kind, own[number], known[number], *there[at[number]])
    times = np.array([there[col][1].time for col in cols.tolist()], np.int64)
    book.stand_many(slots[done], "done", times[done])
    book.stand_many(slots[~done], "inside", times[~done])


def _recorded(
    kind: Kind, own: Iterable[Own], there: Iterable[tuple[str, Moment]], known: Iterable[Firing | None]
) -> Iterator[tuple[Firing, bool]]:
    """See record_firing(). Rules that never fired for a pair differ in nothing."""
    rule = kind.rule
    first: dict[str, Firing] = {}
    for each, (pair, moment), before in zip(own, there, known, strict=True):
        if before is None and pair in first:
            yield msgspec.structs.replace(first[pair], rule=each.id), False
            continue
        owned = msgspec.structs.replace(rule.rule, id=each.id, owner=each.owner, version=each.version)
        mine = msgspec.structs.replace(rule, rule=owned)
        firing, held_back = record_firing(mine, before, pair=pair, time=moment.time, price=moment.price)
        if before is None:
            first[pair] = firing
        yield firing, held_back


class _Copies:
    """Alerts that were built, by what their copies have in common."""

    def __init__(self, book: Book, group: Group, met: Met) -> None:
        self._book = book
        self._met = met
        self._watched = group.watched
        starts = book.counts_after(met.slots, met.cols)
        self._known = [watched.known.seq[met.cols] > starts for watched in group.watched]
        self._shown: Sequence[int] = [0] * len(met.slots)
        alike = [met.cols, *self._known]
        if group.composite:
            fire, _ = book.judged.constants(met.slots, len(group.watched))
            shown = _first_true(group, met.values, fire)
            self._shown = shown.tolist()
            alike += [shown, self._failed(group, fire)]
        self._alike = list(zip(*(column.tolist() for column in alike), strict=True))
        self._made: dict[Hashable, tuple[Alert, Callable[[str, int], str]]] = {}

    def alert(self, place: int, kind: Kind, own: Own, known: Firing | None, pair: str, moment: Moment) -> Alert:
        """Of the rule at this place, which had fired before as is `known`."""
        alike: Hashable = self._alike[place]
        if known is not None:
            alike = alike, known.fired and known.last_fired_at, known.suppressed
        made = self._made.get(alike)
        if made is not None:
            return copied(made[0], own, made[1](own.id, own.version), kind.spec, self._shown[place])
        rule, values = (
            self._book.rule(int(self._met.slots[place])),
            [each.item(place) for each in self._met.values],
        )
        alert = build_alert(rule, pair, values, self._before(place), moment, "edge", last_firing=known)
        self._made[alike] = alert, alert_ids(pair=pair, kind=alert.kind, event_time=alert.event_time)
        return alert

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


def _first_true(group: Group, values: Sequence[Floats], fire: Sequence[Floats]) -> Ints:
    """For each rule which comparison its alert shows."""
    three = zip(group.shape.looks, values, fire, strict=True)
    shown: Ints = np.argmax([value >= at if look.rises else value < at for look, value, at in three], axis=0)
    return shown
