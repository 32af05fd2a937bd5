"""Entries (column, constant, slot) in columns, sorted by column and constant: what the constants are kept in.

A run never changes: what is added to it or taken out makes another. So a checkpoint that has written one need not
write it again, and whoever reads one reads it in peace. 12 bytes an entry and 4 a column.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.ticks import Floats, Ints

Int32s = NDArray[np.int32]
AnyInts = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


_NEAR = 4
_AROUND = np.arange(-_NEAR, _NEAR)[:, np.newaxis]
"""Most values cross no more than so many constants at once."""


_FEW = 24
"""So many are searched sooner one by one than all at once."""


class Run(msgspec.Struct, frozen=True, eq=False):
    """Sorted entries of columns that follow one another. Equal ones stay in the order in which they came.

    begin:    the first column
    first:    for each column where its entries begin, and where those of the last end
    constant: of each entry
    slot:     the rule's
    """

    begin: int
    first: Int32s
    constant: Floats
    slot: Int32s

    def __len__(self) -> int:
        return len(self.slot)

    @property
    def width(self) -> int:
        """How many columns."""
        return len(self.first) - 1

    @property
    def end(self) -> int:
        """The column after the last."""
        return self.begin + self.width

    def cols(self) -> Ints:
        """The column of each entry."""
        return np.repeat(np.arange(self.begin, self.end), np.diff(self.first))

    def used(self) -> Ints:
        """The columns that have entries."""
        return self.begin + np.flatnonzero(np.diff(self.first))

    def count(self, edges: Ints) -> Ints:
        """How many entries there are from each of these columns on, before the next."""
        ends = self.first[edges - self.begin].astype(np.int64)
        return ends[1:] - ends[:-1]

    def between(self, begin: int, end: int) -> Run:
        """Those of the columns from one on, before another."""
        first = self.first[begin - self.begin : end - self.begin + 1]
        start, stop = first[0], first[-1]
        return Run(begin, first - start, self.constant[start:stop], self.slot[start:stop])

    def slots_between(self, col: int, low: float, high: float) -> Int32s:
        """Those of a column with a constant above `low` and not above `high`."""
        if not self.begin <= col < self.end:
            return self.slot[:0]
        start, stop = self.first[col - self.begin : col - self.begin + 2].tolist()
        above = self.constant[start:stop].searchsorted([low, high], "right")
        return self.slot[start:stop][slice(*above)]

    def over(self, begin: int, end: int) -> Run:
        """The same with room for these columns."""
        begin, end = min(self.begin, begin), max(self.end, end)
        if (begin, end) == (self.begin, self.end):
            return self
        first = np.pad(self.first, (self.begin - begin, end - self.end), mode="edge")
        return Run(begin, first, self.constant, self.slot)

    def with_more(self, more: Run) -> Run:
        """Both in one, without sorting either."""
        if not len(self):
            return more.over(self.begin, self.end) if self.width else more
        if not len(more):
            return self
        old, new = self.over(more.begin, more.end), more.over(self.begin, self.end)
        place = new.cols() - old.begin
        at = search(old.constant, old.first[place], old.first[place + 1], new.constant)
        target = at + np.arange(len(new))
        kept = np.ones(len(old) + len(new), np.bool_)
        kept[target] = False
        constant, slot = np.empty(len(kept)), np.empty(len(kept), np.int32)
        constant[target], slot[target] = new.constant, new.slot
        constant[kept], slot[kept] = old.constant, old.slot
        return Run(old.begin, old.first + new.first, constant, slot)

    def only(self, needed: Bools) -> Run:
        """Those entries."""
        if needed.all():
            return self
        before = np.zeros(len(self) + 1, np.int32)
        np.cumsum(needed, out=before[1:])
        return Run(self.begin, before[self.first], self.constant[needed], self.slot[needed])

    def pieces(self, most: int) -> list[Run]:
        """Cut so that none has more entries. Two may share a column."""
        parts = -(-len(self) // most)
        cuts = np.linspace(0, len(self), parts + 1).astype(np.int64)
        return [self] if parts == 1 else [self._piece(int(start), int(stop)) for start, stop in pairwise(cuts)]

    def _piece(self, start: int, stop: int) -> Run:
        low = int(np.searchsorted(self.first, start, side="right")) - 1
        high = int(np.searchsorted(self.first, stop, side="left"))
        first = np.clip(self.first[low : high + 1], start, stop) - np.int32(start)
        return Run(self.begin + low, first, self.constant[start:stop].copy(), self.slot[start:stop].copy())


EMPTY = Run(0, np.zeros(1, np.int32), np.zeros(0), np.zeros(0, np.int32))


def sort(cols: AnyInts, constants: Floats, slots: AnyInts) -> Run:
    """A run of entries in any order: first by constant, then by column, where what is equal stays in its order."""
    if not len(cols):
        return EMPTY
    begin = int(cols.min())
    width = int(cols.max()) - begin + 1
    order = np.argsort(constants, kind="stable")
    for shift in range(0, (width - 1).bit_length(), 16):  # a stable sort of 16 bits takes no comparisons
        digits = ((cols - begin) >> shift).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
    first = np.zeros(width + 1, np.int32)
    np.cumsum(np.bincount(cols - begin, minlength=width), out=first[1:])
    return Run(begin, first, constants[order], slots[order].astype(np.int32, copy=False))


def search(constant: Floats, low: AnyInts, high: AnyInts, values: Floats) -> AnyInts:
    """For each value the first entry from low[i] on, before high[i], that is above it; high[i] where none is.
    Those before are `value >= constant`; there are none below a NaN."""
    if len(values) <= _FEW:
        return _search_few(constant, low, high, values)
    found, room = low, high - low
    step = 1 << max(0, int(room.max(initial=0)).bit_length() - 1)
    while step:
        after = found + step
        fits = constant.take(after - 1, mode="clip") <= values
        fits &= after <= high
        found = np.where(fits, after, found)
        step >>= 1
    return found


def _search_few(constant: Floats, low: AnyInts, high: AnyInts, values: Floats) -> AnyInts:
    """The same one by one."""
    found = low.copy()
    for row, (start, end, value) in enumerate(zip(low.tolist(), high.tolist(), values.tolist(), strict=True)):
        if value == value:
            found[row] += constant[start:end].searchsorted(value, "right")
    return found


def walk(
    constant: Floats,
    low: AnyInts,
    place: AnyInts,
    high: AnyInts,
    values: Floats,
) -> AnyInts:
    """The same for values that were at place[i] and mostly are near it still."""
    if len(values) <= _FEW:
        return _search_few(constant, low, high, values)
    index = _AROUND + place
    under = constant.take(index, mode="clip") <= values
    under |= index < low
    under &= index < high
    count = under.sum(axis=0)
    found: AnyInts = place + (count - _NEAR)
    far = np.flatnonzero((count == 0) | (count == 2 * _NEAR))
    if len(far):
        found[far] = search(constant, low[far], high[far], values[far])
    return found
