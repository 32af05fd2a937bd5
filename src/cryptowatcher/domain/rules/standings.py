"""Where rules stand, if not at rest: in columns by slot for rules on one pair, which are nearly all of them.

What does not fit there is kept in a dict: rules on several pairs, and those that count the time while they hold.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.checkpoints import Part
from cryptowatcher.domain.rules.growing import Growing
from cryptowatcher.domain.rules.lifecycle import UNARMED, Standing
from cryptowatcher.domain.rules.model import LifecycleState
from cryptowatcher.domain.rules.roll import SEGMENT
from cryptowatcher.domain.rules.runs import AnyInts
from cryptowatcher.domain.ticks import Ints

_STATES: tuple[LifecycleState, ...] = ("unarmed", "pending", "inside", "done")
_CODE = {state: number for number, state in enumerate(_STATES, start=1)}
_REST, _UNARMED, _KEPT = 0, _CODE["unarmed"], 9
"""In the column of states; _KEPT: look into the dict."""

_SHORT = np.iinfo(np.int16).max

SEVERAL = -1
"""For the column of a rule that is not on one pair."""


class Stood(msgspec.Struct, frozen=True, eq=False):
    """Where the rules of one segment stand, if not at rest: in columns `at` (slot within the segment), `state`,
    `since`; in those of the dict also the pair's column and what a Standing has."""

    at: NDArray[np.uint16]
    state: NDArray[np.int8]
    since: Ints
    kept_at: NDArray[np.uint16]
    kept_col: NDArray[np.int32]
    kept_state: NDArray[np.int8]
    kept_since: Ints
    kept_clock: Ints
    kept_blind: NDArray[np.bool_]


class Standings:
    """By slot and column."""

    def __init__(self) -> None:
        self._col = Growing(np.int16)
        self._state = Growing(np.int8)
        self._since = Growing(np.int64)
        self._kept: dict[int, dict[int, Standing]] = {}
        self.pending: dict[int, set[int]] = {}  # column → slots
        self._parts: list[Part[Stood]] = []
        self._moved: set[int] = set()  # segments

    @property
    def col(self) -> AnyInts:
        """By slot, the column of the rule's only pair; SEVERAL for others."""
        return self._col.values

    def place(self, slots: Ints | int, cols: Ints | int) -> None:
        """The rule in this slot, or each in these, is on this pair alone."""
        most = cols if isinstance(cols, int) else int(cols.max(initial=0))
        if most > _SHORT and self._col.values.dtype == np.int16:
            self._col = self._col.of(np.int32)
        self._col.values[slots] = cols

    def add(self, rules: int, col: int = SEVERAL) -> None:
        """So many slots more, of rules at rest on this pair."""
        self._col.extend(rules)[:] = col
        self._state.extend(rules)
        self._since.extend(rules)

    def awake(self, slots: Ints) -> NDArray[np.bool_]:
        """Whether these rules are not at rest for some pair."""
        awake: NDArray[np.bool_] = self._state.values[slots] != _REST
        return awake

    def unarmed(self) -> tuple[Ints, list[tuple[int, int]]]:
        """All rules that are: slots of those on one pair, slots and columns of others."""
        kept = [
            (slot, col) for slot, places in self._kept.items() for col, there in places.items() if there == UNARMED
        ]
        return np.flatnonzero(self._state.values == _UNARMED), sorted(kept)

    def are(self, slots: Ints, cols: Ints, state: LifecycleState | None) -> NDArray[np.bool_]:
        """Whether these rules are on one pair, this one, and in this state (None: at rest)."""
        code = _REST if state is None else _CODE[state]
        found: NDArray[np.bool_] = (self._state.values[slots] == code) & (self._col.values[slots] == cols)
        return found

    def move(self, slots: Ints, state: LifecycleState | None, times: Ints) -> None:
        """Rules on one pair each, of which none is pending, are in this state since these times, or at rest."""
        self._state.values[slots] = _REST if state is None else _CODE[state]
        self._since.values[slots] = 0 if state is None else times
        self._moved.update(np.flatnonzero(np.bincount(slots // SEGMENT)).tolist())

    def of_many(self, slots: Ints) -> Iterator[Standing | None]:
        """Of rules on one pair each, for that."""
        states = self._state.values[slots].tolist()
        each = zip(slots.tolist(), states, self._since.values[slots].tolist(), strict=True)
        for slot, state, since in each:
            if state == _KEPT:
                yield self.get(slot, int(self._col.values[slot]))
            elif state == _REST:
                yield None
            else:
                yield Standing(_STATES[state - 1], since)

    def alike(self, slots: Ints) -> Iterator[tuple[Ints, int, Standing]]:
        """Of these rules those on one pair each, not at rest and not pending: which of them are where."""
        state, since, col = (column.values[slots] for column in (self._state, self._since, self._col))
        mine = np.flatnonzero((state != _REST) & (state != _KEPT))
        order = mine[np.lexsort((since[mine], state[mine], col[mine]))]
        new = np.zeros(max(len(order) - 1, 0), np.bool_)
        for column in (state, since, col):
            new |= np.diff(column[order]) != 0
        for places in np.split(order, np.flatnonzero(new) + 1) if len(order) else ():
            first = places[0]
            yield places, int(col[first]), self._one(int(slots[first]), int(state[first]))

    def get(self, slot: int, col: int) -> Standing | None:
        """None: at rest."""
        state = self._state.values[slot]
        if state == _REST:
            return None
        if state == _KEPT:
            return self._kept[slot].get(col)
        return self._one(slot, state) if self._col.values[slot] == col else None

    def of(self, slot: int) -> dict[int, Standing]:
        """By column."""
        state = self._state.values[slot]
        if state == _KEPT:
            return dict(sorted(self._kept[slot].items()))
        return {} if state == _REST else {int(self._col.values[slot]): self._one(slot, state)}

    def _one(self, slot: int, state: int) -> Standing:
        return UNARMED if state == _UNARMED else Standing(_STATES[state - 1], int(self._since.values[slot]))

    def put(self, slot: int, col: int, standing: Standing | None) -> None:
        """Write down where a rule stands for a pair; None is at rest."""
        places = self._kept.pop(slot) if self._state.values[slot] == _KEPT else self.of(slot)
        before = places.pop(col, None)
        if before is not None and before.state == "pending":
            self._holds_no_more(slot, col)
        if standing is not None:
            places[col] = standing
            if standing.state == "pending":
                self.pending.setdefault(col, set()).add(slot)
        own = places.get(int(self._col.values[slot]))
        state, since = _REST, 0
        if len(places) == 1 and own is not None and own.state != "pending":
            state, since = _CODE[own.state], own.since
        elif places:
            state = _KEPT
            self._kept[slot] = places
        self._state.values[slot], self._since.values[slot] = state, since
        self._moved.add(slot // SEGMENT)

    def _holds_no_more(self, slot: int, col: int) -> None:
        self.pending[col].discard(slot)
        if not self.pending[col]:
            del self.pending[col]

    # --- checkpoints -----------------------------------------------------------------------------

    def state(self) -> tuple[Part[Stood], ...]:
        """A part for every SEGMENT of slots."""
        segments = len(self._state) // SEGMENT + 1
        kept: dict[int, list[tuple[int, int, Standing]]] = {}
        for slot, places in sorted(self._kept.items()):
            mine = kept.setdefault(slot // SEGMENT, [])
            mine += [(slot % SEGMENT, col, standing) for col, standing in sorted(places.items())]
        for number in range(segments):
            if number == len(self._parts):
                self._parts.append(Part(self._stood(number, kept.get(number, []))))
            elif number in self._moved:
                self._parts[number] = Part(self._stood(number, kept.get(number, [])))
        self._moved.clear()
        return tuple(self._parts)

    def _stood(self, number: int, kept: list[tuple[int, int, Standing]]) -> Stood:
        mine = slice(number * SEGMENT, (number + 1) * SEGMENT)
        state = self._state.values[mine]
        at = np.flatnonzero((state != _REST) & (state != _KEPT))
        return Stood(
            at=at.astype(np.uint16),
            state=state[at],
            since=self._since.values[mine][at],
            kept_at=np.asarray([each[0] for each in kept], np.uint16),
            kept_col=np.asarray([each[1] for each in kept], np.int32),
            kept_state=np.asarray([_CODE[each[2].state] for each in kept], np.int8),
            kept_since=np.asarray([each[2].since for each in kept], np.int64),
            kept_clock=np.asarray([each[2].clock for each in kept], np.int64),
            kept_blind=np.asarray([each[2].blind for each in kept], np.bool_),
        )

    def restore(self, parts: tuple[Part[Stood], ...]) -> None:
        """The opposite of state(), after the same slots were added."""
        self._parts = list(parts)
        for number, part in enumerate(parts):
            stood, first = part.value, number * SEGMENT
            slots = stood.at.astype(np.int64) + first
            self._state.values[slots] = stood.state
            self._since.values[slots] = stood.since
            for slot, col, standing in _standings(stood, first):
                self._kept.setdefault(slot, {})[col] = standing
                self._state.values[slot] = _KEPT
                if standing.state == "pending":
                    self.pending.setdefault(col, set()).add(slot)


def _standings(stood: Stood, first: int) -> Iterator[tuple[int, int, Standing]]:
    columns = (
        stood.kept_at,
        stood.kept_col,
        stood.kept_state,
        stood.kept_since,
        stood.kept_clock,
        stood.kept_blind,
    )
    for at, col, state, since, clock, blind in zip(*(column.tolist() for column in columns), strict=True):
        yield first + at, col, Standing(_STATES[state - 1], since, clock, blind)
