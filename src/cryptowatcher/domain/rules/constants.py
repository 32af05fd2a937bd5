"""The constants that one number is compared with, sorted, so that an update touches only what it crossed.

Each entry is a constant t and the rule (a slot number) it belongs to. For every pair the engine keeps the nearest
constant at or below its value and the nearest above. A whole instant is then two vector compares; only pairs whose
value left that span are searched for, all at once, and only entries in between are touched.

Entries of rules on named pairs are sorted by (pair, constant). Entries of rules on `all` pairs are stored once,
whatever the number of pairs. What is added lies in a small second table until that is worth merging, so a new rule
costs the same whether there are ten others or ten million. Entries of rules that are gone stay until then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.ticks import Floats, Ints

_SMALL = 1_000
_SHARE = 50
"""The second table is merged when it is larger than both _SMALL and this fraction of the first."""


class Crossed(NamedTuple):
    """The value in `rows[i]` went over or below a constant of the rule in `slots[i]`, perhaps of two of its."""

    rows: Ints
    slots: Ints


NOTHING = Crossed(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Constants:
    """Sorted constants of one kind (named pairs, or all pairs) with each pair's place among them."""

    def __init__(self, *, shared: bool) -> None:
        """When shared, the column of an entry is ignored."""
        self._shared = shared
        self._main = _Table(_Entries.of([], shared=shared), shared=shared)
        self._young = _Table(_Entries.of([], shared=shared), shared=shared)
        self._new: list[tuple[int, float, int]] = []

    def __len__(self) -> int:
        return len(self._main.entries.slot) + len(self._young.entries.slot) + len(self._new)

    def add(self, col: int, constant: float, slot: int) -> None:
        """One entry more: a column, a constant, a rule's slot."""
        self._new.append((col, constant, slot))

    def settle(self, last: Floats, alive: NDArray[np.bool_]) -> None:
        """Sort in what was added, by each pair's last known value. `alive`: by slot, whose entries are needed."""
        if not self._new:
            return
        entries = self._young.entries.with_more(_Entries.of(self._new, shared=self._shared))
        self._new = []
        main = self._main.entries
        if len(entries.slot) > max(_SMALL, len(main.slot) // _SHARE):
            self._main = _Table(main.with_more(entries).only(alive), shared=self._shared)
            self._main.locate(last)
            entries = _Entries.of([], shared=self._shared)
        self._young = _Table(entries, shared=self._shared)
        self._young.locate(last)

    def locate(self, last: Floats) -> None:
        """Set every pair's place from its last known value.

        A pair that was never known (NaN) stands below all its constants. Its first value then "crosses" some,
        which does no harm: its rules are all unarmed, and arming looks at the value itself.
        """
        self._main.locate(last)
        self._young.locate(last)

    def move(self, cols: Ints, values: Floats) -> Crossed:
        """What each of these pairs crossed by going to its new value. NaN compares false: unknown holds."""
        both = [table.move(cols, values) for table in (self._main, self._young) if len(table.entries.slot)]
        if not both:
            return NOTHING
        return Crossed(
            np.concatenate([crossed.rows for crossed in both]), np.concatenate([crossed.slots for crossed in both])
        )

    def slots_at(self, cols: Ints) -> set[int]:
        """The rules with an entry for one of these pairs, gone ones among them."""
        found = {slot for col, _, slot in self._new if col in set(cols.tolist())}
        for table in (self._main, self._young):
            found |= set(table.entries.slot[np.isin(table.entries.col, cols)].tolist())
        return found

    def all_of(self, cols: Ints) -> Crossed:
        """Every entry of these pairs."""
        both = [table.all_of(cols) for table in (self._main, self._young)]
        return Crossed(
            np.concatenate([crossed.rows for crossed in both]), np.concatenate([crossed.slots for crossed in both])
        )


class _Entries(NamedTuple):
    """Columns of entries, sorted by column, constant and slot."""

    col: Ints
    constant: Floats
    slot: Ints

    @classmethod
    def of(cls, rows: list[tuple[int, float, int]], *, shared: bool) -> _Entries:
        col = np.asarray([0 if shared else row[0] for row in rows], np.int64)
        constant = np.asarray([row[1] for row in rows], np.float64)
        slot = np.asarray([row[2] for row in rows], np.int64)
        return cls(col, constant, slot)._sorted()

    def _sorted(self) -> _Entries:
        order = np.lexsort((self.slot, self.constant, self.col))
        return _Entries(self.col[order], self.constant[order], self.slot[order])

    def with_more(self, more: _Entries) -> _Entries:
        both = [np.concatenate(columns) for columns in zip(self, more, strict=True)]
        return _Entries(*both)._sorted()

    def only(self, alive: NDArray[np.bool_]) -> _Entries:
        needed = alive[self.slot]
        return _Entries(self.col[needed], self.constant[needed], self.slot[needed])


class _Table:
    """Entries that do not change, and where each pair's value lies among them."""

    def __init__(self, entries: _Entries, *, shared: bool) -> None:
        self.entries = entries
        self._shared = shared
        self._most = 0  # entries of the pair that has most
        self._first: Ints = np.zeros(0, np.int64)
        self._end: Ints = np.zeros(0, np.int64)
        self._place: Ints = np.zeros(0, np.int64)
        self._below: Floats = np.zeros(0)
        self._above: Floats = np.zeros(0)

    def locate(self, last: Floats) -> None:
        columns = np.zeros(len(last), np.int64) if self._shared else np.arange(len(last))
        self._first = np.searchsorted(self.entries.col, columns, side="left")
        self._end = np.searchsorted(self.entries.col, columns, side="right")
        self._most = int((self._end - self._first).max(initial=0))
        self._place = self._first.copy()
        self._below, self._above = np.full(len(last), -np.inf), np.full(len(last), np.inf)
        cols = np.flatnonzero(self._end > self._first)
        self._settle(cols, self._search(cols, last[cols]))

    def move(self, cols: Ints, values: Floats) -> Crossed:
        rows = np.flatnonzero((values < self._below[cols]) | (values >= self._above[cols]))
        if not len(rows):
            return NOTHING
        moved = cols[rows]
        before, after = self._place[moved], self._search(moved, values[rows])
        self._settle(moved, after)
        return self._stretches(rows, np.minimum(before, after), np.abs(after - before))

    def all_of(self, cols: Ints) -> Crossed:
        if not len(self.entries.slot):
            return NOTHING
        low = self._first[cols]
        return self._stretches(np.arange(len(cols)), low, self._end[cols] - low)

    def _stretches(self, rows: Ints, low: Ints, count: Ints) -> Crossed:
        """For each row so many entries from `low` on: low[0], low[0] + 1, …, low[1], …"""
        ends = np.cumsum(count)
        entries = np.arange(ends[-1] if len(ends) else 0) + np.repeat(low - (ends - count), count)
        return Crossed(np.repeat(rows, count), self.entries.slot[entries])

    def _search(self, cols: Ints, values: Floats) -> Ints:
        """For each pair the number of the first entry above its value; those before are `value >= constant`."""
        low, high = self._first[cols], self._end[cols]
        constant = self.entries.constant
        for _ in range(self._most.bit_length()):
            middle = (low + high) // 2
            fits = (middle < high) & (constant[np.minimum(middle, len(constant) - 1)] <= values)
            low, high = np.where(fits, middle + 1, low), np.where(fits, high, middle)
        return low

    def _settle(self, cols: Ints, places: Ints) -> None:
        self._place[cols] = places
        constant = self.entries.constant
        if len(constant):
            below, above = constant[np.maximum(places - 1, 0)], constant[np.minimum(places, len(constant) - 1)]
            self._below[cols] = np.where(places > self._first[cols], below, -np.inf)
            self._above[cols] = np.where(places < self._end[cols], above, np.inf)
