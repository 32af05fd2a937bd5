"""Which rules stand elsewhere than when somebody last wrote that down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.rules.lifecycle import Standing
from cryptowatcher.domain.rules.model import Lifecycle
from cryptowatcher.domain.rules.roll import Roll
from cryptowatcher.domain.rules.standings import Standings
from cryptowatcher.domain.ticks import Ints

Place = tuple[str, int]
"""A rule's id and a pair's column."""

_Moved = tuple[str, int, int, Standing | None]
"""A Place, the rule's version, and where it stands for the pair."""


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

    def take(self, alive: NDArray[np.bool_], names: list[str]) -> tuple[list[Lifecycle], list[tuple[str, str]]]:
        """Standings to write, and (rule, pair)s now at rest, both in order of rules and columns. `alive`: by slot,
        whether there still is a rule; `names`: of the pairs."""
        found = self._many(alive) if self._slots else []
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
        return rows, [(rule, names[col]) for rule, col, _, standing in found if standing is None]

    def _many(self, alive: NDArray[np.bool_]) -> list[_Moved]:
        """Those that were noted by slot; they are not noted otherwise any more."""
        slots = np.sort(np.concatenate(self._slots))
        slots = slots[(np.diff(slots, prepend=-1) != 0) & alive[slots]]  # np.unique() takes ten times as long
        ids, cols, versions = (
            self._roll.ids(slots),
            self._standings.col[slots].tolist(),
            self._roll.versions(slots),
        )
        if self._places:
            self._places.difference_update(zip(ids, cols, strict=True))
        return [*zip(ids, cols, versions.tolist(), self._standings.of_many(slots), strict=True)]
