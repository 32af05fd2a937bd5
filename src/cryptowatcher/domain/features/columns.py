"""Columns of one value for each pair that is computed from its bars, and taking some pairs out of columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.ticks import Floats, Ints

if TYPE_CHECKING:
    from cryptowatcher.domain.features.bars import Ring

Marks = NDArray[np.bool_]
Where = Ints | slice
"""Some of a column: a slice is taken many times as fast as places."""

_GROUPINGS = 8  # that are kept at a time
_DENSE = 4  # a stretch of a row is read as fast as a fourth as many places in it


def stretch(cols: Ints) -> Where:
    """The same columns as a slice, if they follow one another."""
    n = len(cols)
    if n == 0 or cols[-1] - cols[0] != n - 1 or (cols[1:] - cols[:-1] != 1).any():
        return cols
    return slice(int(cols[0]), int(cols[-1]) + 1)


def taken(cols: Ints, where: Where) -> Where:
    """What to take of rows for these columns: where they lie close together, all between is taken too.

    where: the same columns, as stretch() says
    """
    if isinstance(where, slice) or not len(cols):
        return where
    begin, end = int(cols.min()), int(cols.max()) + 1
    return cols if end - begin > _DENSE * len(cols) else slice(begin, end)


class Group:
    """Pairs whose first bar that is not over has the same number. As of now: it is kept until bars end.

    cols:   their columns
    where:  the same, as a slice if they follow one another
    taken:  what to take of rows
    meant:  which of that they are; None for all
    now:    that number
    whole:  of so many numbers before it all of them have a bar, as far as somebody looked
    places: what is remembered of single rows
    """

    __slots__ = ("cols", "meant", "now", "places", "taken", "where", "whole")

    def __init__(self, cols: Ints, where: Where, now: int) -> None:
        self.cols = cols
        self.where = where
        self.now = now
        self.whole = 0
        self.places: dict[int, Ints] = {}
        self.taken = taken(cols, where)
        self.meant: Marks | None = None
        if isinstance(self.taken, slice) and not isinstance(where, slice):
            self.meant = np.zeros(self.taken.stop - self.taken.start, np.bool_)
            self.meant[cols - self.taken.start] = True

    def all(self, marks: Marks) -> bool:
        """Whether all of them are marked, of what is taken."""
        return bool(marks.all() if self.meant is None else (marks | ~self.meant).all())

    def any(self, marks: Marks) -> bool:
        """Whether any of them is."""
        return bool(marks.any() if self.meant is None else (marks & self.meant).any())

    def put(self, column: Floats, values: Floats) -> None:
        """Write their values, of what is taken, to where a column has them."""
        if self.meant is None:
            column[self.taken] = values
        else:
            np.copyto(column[self.taken], values, where=self.meant)


class Groupings:
    """The same columns are asked for many times: which of them are to be computed, and how these are grouped."""

    def __init__(self) -> None:
        nobody = np.zeros(0, np.int64)
        self._asked: tuple[Ints, Where] = (nobody, nobody)
        self._some: tuple[Ints, Marks, Ints, Where] = (nobody, np.zeros(0, np.bool_), nobody, nobody)
        self._groups: dict[int, tuple[Ints, tuple[Group, ...]]] = {}

    def clear(self) -> None:
        """Bars have come or gone."""
        self._groups.clear()

    def stretch(self, cols: Ints) -> Where:
        """The same columns as a slice, if they follow one another."""
        if cols is not self._asked[0]:
            self._asked = (cols, stretch(cols))
        return self._asked[1]

    def some_of(self, cols: Ints, marks: Marks) -> tuple[Ints, Where]:
        """Those that are marked, and the same as a slice, if they follow one another."""
        of, old, some, where = self._some
        if of is not cols or not np.array_equal(old, marks):
            some = cols[marks]
            where = stretch(some)
            self._some = (cols, marks.copy(), some, where)
        return some, where

    def groups(self, numbers: Ints, cols: Ints, where: Where) -> tuple[Group, ...]:
        """These columns by number. `numbers`: of all columns."""
        kept = self._groups.get(id(cols))
        if kept is None or kept[0] is not cols:
            if len(self._groups) >= _GROUPINGS:
                self._groups.clear()
            kept = self._groups[id(cols)] = (cols, tuple(_by_number(numbers[where], cols, where)))
        return kept[1]


def _by_number(numbers: Ints, cols: Ints, where: Where) -> Iterator[Group]:
    if not len(cols):
        return
    if numbers.min() == numbers.max():
        yield Group(cols, where, int(numbers[0]))
        return
    for number in np.unique(numbers).tolist():
        some = cols[numbers == number]
        yield Group(some, stretch(some), number)


class Column:
    """One value of each pair, computed from its bars, that changes only when a bar's end passes."""

    def __init__(self) -> None:
        self.read_at = 0
        self._values: Floats = np.full(0, np.nan)
        self._stale: Marks = np.ones(0, np.bool_)
        self._any_stale = True

    def read(self, ring: Ring, cols: Ints) -> Floats:
        """The values of these pairs."""
        where = ring.groupings.stretch(cols)
        self._refresh(ring, cols, where)
        return self._values[where].copy()

    def taken_of(self, ring: Ring, group: Group) -> Floats:
        """The values of a group, and of what else is taken with it, which may be anything."""
        self._refresh(ring, group.cols, group.where)
        return self._values[group.taken]

    def prepare(self, ring: Ring, cols: Ints, where: Where) -> None:
        """What to do for these pairs before they are computed."""

    def compute(self, ring: Ring, group: Group) -> Floats:
        """The values of the pairs that are taken with a group, as of now; of others than its own anything."""
        raise NotImplementedError

    def mark(self, where: Where) -> None:
        """The values of these pairs may have changed."""
        self._stale[where] = True
        self._any_stale = True

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        self.mark(cols)

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self._values)
        self._values = np.concatenate([self._values, np.full(more, np.nan)])
        self._stale = np.concatenate([self._stale, np.ones(more, np.bool_)])
        self._any_stale = True

    def _refresh(self, ring: Ring, cols: Ints, where: Where) -> None:
        self.read_at = ring.newest
        if not self._any_stale:
            return
        stale = self._stale[where]
        if not stale.any():
            return
        if not stale.all():
            cols, where = ring.groupings.some_of(cols, stale)
        self.prepare(ring, cols, where)
        for group in ring.groupings.groups(ring.number, cols, where):
            group.put(self._values, self.compute(ring, group))
        self._stale[where] = False
        self._any_stale = bool(self._stale.any())
