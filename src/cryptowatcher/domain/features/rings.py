"""Rings of cells: for each pair its newest cells, in a ring as long as that pair needs.

All rings lie in flat columns. Rings that were made together lie interleaved, slot by slot: pairs of a page tick
together, so what they read and write lies together. A ring that has become too short is copied to a longer one,
which costs the other pairs nothing; what is left behind is cleared away when there is too much of it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features.columns import Where, stretch
from cryptowatcher.domain.features.pages import laid_out
from cryptowatcher.domain.ticks import Floats, Ints

BEFORE_ALL = -(1 << 61)
"""A time, and the number of a cell, before all there are."""
_FIRST_SLOTS = 32
_LEFT_BEHIND = 1.25  # slots laid out for each slot in use, at most
_HEADROOM = 1.5  # what is not yet laid out is never touched, and so takes no memory
_ROOM = 1_024  # slots for each pair for which there is room at least, if it may ever need so many
_AT_ONCE = 1 << 15  # cells that are copied at once: where they are lies near the processor


class Cells(msgspec.Struct, frozen=True, eq=False):
    """Of each cell, flat: time, price and the pair's observed clock at its last tick; and high and low."""

    time: Ints
    price: Floats
    clock: Ints
    high: Floats
    low: Floats

    @staticmethod
    def empty(slots: int) -> Cells:
        """Room for this many cells."""
        whole, real = laid_out((2, slots), np.int64), laid_out((3, slots))
        return Cells(whole[0], real[0], whole[1], real[1], real[2])

    def columns(self) -> tuple[NDArray[Any], ...]:
        """All of them, in one order."""
        return self.time, self.price, self.clock, self.high, self.low

    def first(self, count: int) -> Cells:
        """Some of them."""
        return Cells(
            self.time[:count], self.price[:count], self.clock[:count], self.high[:count], self.low[:count]
        )

    def since(self, first: int) -> Cells:
        """All from one on."""
        return Cells(*(column[first:] for column in self.columns()))


def merge(one: Cells, other: Cells, grid: int) -> Cells:
    """Cells of one pair, oldest first: what lies in the same cell (k · grid − grid, k · grid] becomes one."""
    time, price, clock, high, low = map(np.concatenate, zip(one.columns(), other.columns(), strict=True))
    order = np.argsort(time, kind="stable")
    first = np.flatnonzero(np.diff(-(-time[order] // grid), prepend=BEFORE_ALL))
    last = order[np.append(first[1:], len(order)) - 1]
    highest, lowest = np.maximum.reduceat(high[order], first), np.minimum.reduceat(low[order], first)
    return Cells(time[last], price[last], clock[last], highest, lowest)


class RingsState(msgspec.Struct, frozen=True):
    """The columns of rings."""

    head: Ints
    at: Ints
    base: Ints
    stride: Ints
    slots: Ints
    cells: Cells


class Rings:
    """Entries of a pair are numbered from 0 without wrapping; a ring keeps the newest.

    head:  number of the newest entry, -1 where there is none
    at:    where that lies in the columns
    base, stride, slots: a ring of that many slots lies at base, base + stride, base + 2 stride, … before `end`
    layout: changes when entries lie elsewhere than before
    """

    def __init__(self, most: int) -> None:
        """`most`: no ring ever needs more slots."""
        self.cells = Cells.empty(0)
        self.head: Ints = np.zeros(0, np.int64)
        self.at: Ints = np.zeros(0, np.int64)
        self.base: Ints = np.zeros(0, np.int64)
        self.stride: Ints = np.zeros(0, np.int64)
        self.slots: Ints = np.zeros(0, np.int64)
        self.end: Ints = np.zeros(0, np.int64)
        self.layout = 0
        self._most = most
        self._used = 0

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self.head)
        if more <= 0:
            return
        slots = min(_FIRST_SLOTS, self._most)
        self.head = np.concatenate([self.head, np.full(more, -1)])
        base = self._reserve(slots * more) + np.arange(more)
        columns = base + (slots - 1) * more, base, np.full(more, more), np.full(more, slots)
        old = self.at, self.base, self.stride, self.slots
        self._layout(self.head, *(np.concatenate(both) for both in zip(old, columns, strict=True)))

    def oldest(self, cols: Where) -> Ints:
        """Number of the oldest entry that is kept; 0 where there is none."""
        oldest: Ints = np.maximum(self.head[cols] - self.slots[cols] + 1, 0)
        return oldest

    def place(self, cols: Where, entries: Ints) -> Ints:
        """Where these entries lie, of which some may not exist: then anywhere."""
        stride = self.stride[cols]
        place: Ints = self.at[cols] - (self.head[cols] - entries) * stride
        wrapped = place < self.base[cols]
        if wrapped.any():
            place += wrapped * (self.slots[cols] * stride)
        return place

    def after(self, cols: Where, places: Ints) -> Ints:
        """Where the entries behind those lie that lie here."""
        following: Ints = places + self.stride[cols]
        wrapped = following >= self.end[cols]
        if wrapped.any():
            following -= wrapped * (self.end[cols] - self.base[cols])
        return following

    def backwards(self, cols: Ints, most: Ints) -> Ints:
        """Where the newest entries of each pair lie, newest first, one row for each step back; after so many steps
        (`most`) a pair stays where it is."""
        longest = int(most.max())
        back = np.arange(longest + 1)[:, None]
        if int(most.min()) < longest:
            back = np.minimum(back, most)
        return self._back(cols, back)

    def _back(self, cols: Ints, back: Ints) -> Ints:
        """Where the entries so many steps before the newest lie: as many rows as there are of `back`, of which the
        last goes back furthest."""
        stride, base = self.stride[cols], self.base[cols]
        alike = bool((stride == stride[:1]).all())
        place: Ints = self.at[cols] - back * (stride[:1] if alike else stride)
        if (place[-1] < base).any():
            place += (place < base) * (self.end[cols] - base)
        return place

    def advance(self, cols: Where) -> None:
        """One new entry for each of these, in the place of the oldest where the ring is full."""
        at = self.at[cols] + self.stride[cols]
        np.copyto(at, self.base[cols], where=at >= self.end[cols])
        self.at[cols] = at
        self.head[cols] += 1

    def lengthen(self, cols: Ints) -> None:
        """Twice as long rings for these pairs."""
        wanted = self.slots.copy()
        wanted[cols] = np.minimum(2 * wanted[cols], self._most)
        if self._are_last(cols):
            self._reserve(int((wanted - self.slots)[cols].sum()))
            self.slots = wanted
        elif self._used + int(wanted[cols].sum()) > _LEFT_BEHIND * int(wanted.sum()):
            self._lay_out_anew(wanted)
        else:
            self._move_all(cols, wanted, self.cells)
        self._laid_out()

    def _are_last(self, cols: Ints) -> bool:
        """Whether behind the rings of these pairs, which were made together and just became full for the first
        time, nothing else lies: then they need not move. Most pairs need longer rings at the same time."""
        width, slots, first = len(cols), int(self.slots[cols[0]]), int(self.base[cols[0]])
        if first + width * slots != self._used or (self.stride[cols] != width).any():
            return False
        same = (self.slots[cols] == slots) & (self.at[cols] == self.base[cols] + (slots - 1) * width)
        return bool(same.all()) and isinstance(stretch(self.base[cols]), slice)

    def forget(self, cols: Ints) -> None:
        """Empty the rings of these pairs."""
        self.head[cols] = -1

    def read(self, col: int) -> Cells:
        """All cells of one pair, oldest first."""
        cols = np.array([col])
        there = np.arange(self.oldest(cols)[0], self.head[col] + 1)
        places = self.place(np.full(len(there), col), there)
        return Cells(*(column[places] for column in self.cells.columns()))

    def rewrite(self, col: int, cells: Cells) -> None:
        """These cells are those of a pair, and no others: at most as many as a ring may need."""
        count = len(cells.time)
        while self.slots[col] < count:
            self.lengthen(np.array([col]))
        places = self.base[col] + np.arange(count) * self.stride[col]
        for to, of in zip(self.cells.columns(), cells.columns(), strict=True):
            to[places] = of
        self.head[col], self.at[col] = count - 1, places[-1]
        self.layout += 1

    def state(self) -> RingsState:
        """Everything, for a checkpoint."""
        return RingsState(self.head, self.at, self.base, self.stride, self.slots, self.cells.first(self._used))

    def restore(self, state: RingsState) -> None:
        """The opposite of state()."""
        self._layout(state.head, state.at, state.base, state.stride, state.slots)
        self.cells = state.cells
        self._used = len(state.cells.time)

    def _layout(self, head: Ints, at: Ints, base: Ints, stride: Ints, slots: Ints) -> None:
        self.head, self.at, self.base, self.stride, self.slots = head, at, base, stride, slots
        self._laid_out()

    def _laid_out(self) -> None:
        """Rings lie elsewhere, or are longer: then entries that were written over lie elsewhere too."""
        self.end = self.base + self.slots * self.stride
        self.layout += 1

    def _reserve(self, slots: int) -> int:
        """Where so many new slots begin."""
        first = self._used
        self._used += slots
        if self._used > len(self.cells.time):
            cells = Cells.empty(self._room(self._used))
            for old, new in zip(self.cells.columns(), cells.columns(), strict=True):
                new[:first] = old[:first]
            self.cells = cells
        return first

    def _room(self, slots: int) -> int:
        """For how many slots to lay out columns if so many are needed now."""
        return int(_HEADROOM * max(slots, len(self.head) * min(self._most, _ROOM)))

    def _lay_out_anew(self, wanted: Ints) -> None:
        """All rings, of so many slots each, without what was left behind. Most pairs need longer rings at the same
        time: then all are copied, but once."""
        source, self.cells, self._used = self.cells, Cells.empty(self._room(int(wanted.sum()))), 0
        self._move_all(np.arange(len(wanted)), wanted, source)

    def _move_all(self, cols: Ints, wanted: Ints, source: Cells) -> None:
        """Copy the rings of these pairs to where there is room for so many slots each (`wanted`: of all pairs)."""
        lengths, which = np.unique(np.stack([self.slots[cols], wanted[cols]]), axis=1, return_inverse=True)
        for number, (there, slots) in enumerate(lengths.T.tolist()):
            self._move(cols[which.reshape(-1) == number], there, slots, source)

    def _move(self, cols: Ints, there: int, slots: int, source: Cells) -> None:
        """Copy rings of as many slots as are there: what the oldest hold of all pairs, then the next, …"""
        width, first = len(cols), self._reserve(slots * len(cols))
        rows = max(1, _AT_ONCE // width)
        for begin in range(0, there, rows):
            end = min(begin + rows, there)
            old = self._back(cols, np.arange(there - end, there - begin)[:, None])[::-1].reshape(-1)
            for of, to in zip(source.columns(), self.cells.columns(), strict=True):
                to[first + begin * width : first + end * width] = of.take(old)
        self.base[cols], self.stride[cols], self.slots[cols] = first + np.arange(width), width, slots
        self.at[cols] = self.base[cols] + (there - 1) * width
