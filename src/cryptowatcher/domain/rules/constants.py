"""The constants of all rules on one feature, sorted, so that an update touches only what it crossed.

Each entry is a constant t and the rule (a slot number) it belongs to. For every pair the engine keeps the
nearest constant at or below its value and the nearest above. A whole instant is then two vector compares;
only pairs whose value left that span do a binary search, and only entries in between are touched.

Entries of rules on named pairs lie in one array, sorted by (pair, constant). Entries of rules on `all` pairs
are stored once, whatever the number of pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from cryptowatcher.domain.ticks import Floats, Ints


class Crossing(msgspec.Struct, frozen=True):
    """The value in this row went over or below the constants of these rule slots."""

    row: int
    slots: list[int]


class Constants:
    """Sorted constants of one kind (named pairs, or all pairs) with each pair's place among them."""

    def __init__(self, entries: Iterable[tuple[int, float, int]], *, shared: bool) -> None:
        """Entries are (column, constant, rule slot); the column is ignored when shared."""
        rows = list(entries)
        cols = np.zeros(len(rows), np.int64) if shared else np.asarray([row[0] for row in rows], np.int64)
        constants = np.asarray([row[1] for row in rows], np.float64)
        slots = np.asarray([row[2] for row in rows], np.int64)
        order = np.lexsort((slots, constants, cols))
        self._constants: Floats = constants[order]
        self._slots: Ints = slots[order]
        self._cols: Ints = cols[order]
        self._shared = shared
        self._first: Ints = np.zeros(0, np.int64)
        self._end: Ints = np.zeros(0, np.int64)
        self._below: Floats = np.zeros(0)
        self._above: Floats = np.zeros(0)
        self._place: Ints = np.zeros(0, np.int64)

    def locate(self, values: Floats) -> None:
        """Set every pair's place from its last known value.

        A pair that was never known (NaN) stands below all its constants. Its first value then "crosses" some,
        which does no harm: its rules are all unarmed, and arming looks at the value itself.
        """
        self._first, self._end, self._place = (np.zeros(0, np.int64) for _ in range(3))
        self._below, self._above = np.zeros(0), np.zeros(0)
        self.widen(len(values))
        for col in np.flatnonzero((self._end > self._first) & ~np.isnan(values)).tolist():
            self._settle(col, self._search(col, float(values[col])))

    def widen(self, pairs: int) -> None:
        """Room for pairs that were just met and have no value yet."""
        new = np.arange(len(self._place), pairs)
        columns = np.zeros(len(new), np.int64) if self._shared else new
        first = np.searchsorted(self._cols, columns, side="left")
        end = np.searchsorted(self._cols, columns, side="right")
        above = np.append(self._constants, np.inf)[first]
        self._first = np.concatenate([self._first, first])
        self._end = np.concatenate([self._end, end])
        self._place = np.concatenate([self._place, first])
        self._below = np.concatenate([self._below, np.full(len(new), -np.inf)])
        self._above = np.concatenate([self._above, np.where(end > first, above, np.inf)])

    def move(self, cols: Ints, values: Floats) -> Iterator[Crossing]:
        """What each of these pairs crossed by going to its new value. NaN compares false: unknown holds."""
        if not len(self._constants):
            return
        moved = (values < self._below[cols]) | (values >= self._above[cols])
        for row in np.flatnonzero(moved).tolist():
            col = int(cols[row])
            before, after = int(self._place[col]), self._search(col, float(values[row]))
            self._settle(col, after)
            if before != after:
                low, high = min(before, after), max(before, after)
                yield Crossing(row, self._slots[low:high].tolist())

    def _search(self, col: int, value: float) -> int:
        """The number of the first entry above the value; entries before it are `value >= constant`."""
        first, end = int(self._first[col]), int(self._end[col])
        return first + int(np.searchsorted(self._constants[first:end], value, side="right"))

    def _settle(self, col: int, place: int) -> None:
        first, end = int(self._first[col]), int(self._end[col])
        self._place[col] = place
        self._below[col] = self._constants[place - 1] if place > first else -np.inf
        self._above[col] = self._constants[place] if place < end else np.inf
