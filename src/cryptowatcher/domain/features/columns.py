"""Columns of one value for each pair that is computed from its bars, and taking some pairs out of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.ticks import Floats, Ints

if TYPE_CHECKING:
    from cryptowatcher.domain.features.bars import Ring

Marks = NDArray[np.bool_]
Where = Ints | slice
"""Some of a column: a slice is taken many times as fast as places."""


def stretch(cols: Ints) -> Where:
    """The same columns as a slice, if they follow one another."""
    n = len(cols)
    if n == 0 or cols[-1] - cols[0] != n - 1 or (np.diff(cols) != 1).any():
        return cols
    return slice(int(cols[0]), int(cols[-1]) + 1)


def narrow(where: Where, marks: Marks) -> Where:
    """Those of some that are marked. A slice is meant to be slice(None)."""
    if marks.all():
        return where
    return np.flatnonzero(marks) if isinstance(where, slice) else where[marks]


def some_of(cols: Ints, where: Where) -> Ints:
    """Those columns; the very same object where it is all of them, as slice(None)."""
    return cols if isinstance(where, slice) else cols[where]


class Column:
    """One value of each pair, computed from its bars, that changes only when a bar's end passes."""

    def __init__(self) -> None:
        self.read_at = 0
        self._values: Floats = np.full(0, np.nan)
        self._stale: Marks = np.ones(0, np.bool_)
        self._any_stale = True

    def read(self, ring: Ring, cols: Ints) -> Floats:
        """The values of these pairs."""
        self.read_at = ring.newest
        if self._any_stale:
            self._refresh(ring, cols)
        return self._values[ring.stretch(cols)].copy()

    def compute(self, ring: Ring, cols: Ints) -> Floats:
        """The values of these pairs as of now."""
        raise NotImplementedError

    def mark(self, cols: Ints) -> None:
        """The values of these pairs may have changed."""
        self._stale[cols[cols < len(self._stale)]] = True
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

    def _refresh(self, ring: Ring, cols: Ints) -> None:
        stale = self._stale[ring.stretch(cols)]
        if not stale.any():
            return
        cols = cols if stale.all() else cols[stale]
        where = ring.stretch(cols)
        self._values[where] = self.compute(ring, cols)
        self._stale[where] = False
        self._any_stale = bool(self._stale.any())
