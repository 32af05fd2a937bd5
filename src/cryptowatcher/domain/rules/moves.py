"""Which rules stand elsewhere than when somebody last wrote that down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.copies import FEW, Copies
from cryptowatcher.domain.rules.lifecycle import Standing
from cryptowatcher.domain.rules.model import Lifecycle
from cryptowatcher.domain.rules.roll import Roll
from cryptowatcher.domain.rules.standings import Standings
from cryptowatcher.domain.ticks import Ints

Place = tuple[str, int]
"""A rule's id and a pair's column."""

_Moved = tuple[str, int, int, Standing | None]
"""A Place, the rule's version, and where it stands for the pair."""

Taken = tuple[list[Lifecycle], list[tuple[str, str]], list[Copies[Lifecycle]]]


class Moves:
    """Since the last take(). Rules on one pair each that move together are noted by slot: they are many."""

    def __init__(self, roll: Roll, standings: Standings, slot_of: Callable[[str], int | None]) -> None:
        """`slot_of`: the slot that a rule is in now, by its id."""
        self._roll = roll
        self._standings = standings
        self._slot_of = slot_of
        self._places: set[Place] = set()
        self._slots: list[Ints] = []

    def __bool__(self) -> bool:
        return bool(self._places or self._slots)

    def note(self, place: Place) -> None:
        """A rule stands elsewhere for a pair."""
        self._places.add(place)

    def note_many(self, slots: Ints) -> None:
        """So do these rules, each for its only pair."""
        if len(slots):
            self._slots.append(slots)

    def name_them(self) -> None:
        """Those that were noted by slot: one of them goes, and what became of it is still to be written."""
        for slots in self._slots:
            self._places.update(zip(self._roll.ids(slots), self._standings.col[slots].tolist(), strict=True))
        self._slots.clear()

    def clear(self) -> None:
        """Everything is written."""
        self._places.clear()
        self._slots.clear()

    def take(self, alive: NDArray[np.bool_], names: list[str], *, together: bool = False) -> Taken:
        """Standings to write, and (rule, pair)s now at rest, both in order of rules and columns. `alive`: by slot,
        whether there still is a rule; `names`: of the pairs; `together`: standings of rules that moved together by
        themselves."""
        found: list[_Moved] = []
        alike: list[Copies[Lifecycle]] = []
        if self._slots:
            slots = self._slots_of(alive)
            if together and len(slots) >= FEW:
                slots, alike = self._alike(slots, names)
            found = self._many(slots)
        for rule, col in self._places:
            slot = self._slot_of(rule)
            there = (0, None) if slot is None else (self._roll.version(slot), self._standings.get(slot, col))
            found.append((rule, col, *there))
        self.clear()
        found.sort()  # by (rule, col), of which there are no two
        rows = [
            Lifecycle(rule=rule, version=version, pair=names[col], state=standing.state, since=standing.since)
            for rule, col, version, standing in found
            if standing is not None
        ]
        return rows, [(rule, names[col]) for rule, col, _, standing in found if standing is None], alike

    def _slots_of(self, alive: NDArray[np.bool_]) -> Ints:
        """Each that was noted once."""
        slots: Ints = np.sort(np.concatenate(self._slots))
        once: Ints = slots[(np.diff(slots, prepend=-1) != 0) & alive[slots]]  # np.unique() takes ten times as long
        return once

    def _alike(self, slots: Ints, names: list[str]) -> tuple[Ints, list[Copies[Lifecycle]]]:
        """Of those noted by slot that stand alike: they are not noted otherwise any more. And which are left."""
        alike, left = [], np.ones(len(slots), np.bool_)
        for places, col, standing in self._standings.alike(slots):
            if len(places) < FEW:
                continue
            left[places] = False
            places = places[np.argsort(self._roll.codes(slots[places]))]
            ids, versions = self._roll.ids(slots[places]), self._roll.versions(slots[places]).tolist()
            if self._places:
                self._places.difference_update((rule, col) for rule in ids)
            first = Lifecycle(
                rule=ids[0], version=versions[0], pair=names[col], state=standing.state, since=standing.since
            )
            alike.append(Copies(first, {"rule": ids, "version": versions}))
        return slots[left], alike

    def _many(self, slots: Ints) -> list[_Moved]:
        """Those that were noted by slot; they are not noted otherwise any more."""
        ids, cols, versions = (
            self._roll.ids(slots),
            self._standings.col[slots].tolist(),
            self._roll.versions(slots),
        )
        if self._places:
            self._places.difference_update(zip(ids, cols, strict=True))
        return [*zip(ids, cols, versions.tolist(), self._standings.of_many(slots), strict=True)]
