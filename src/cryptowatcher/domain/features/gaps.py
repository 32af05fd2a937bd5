"""Where a pair was not observed: the gaps that history which is told afterwards may fill.

A gap lies between two observations further apart than the first stays valid, and than ten minutes; and before the
first observation lies the past. What a pair was seen to do is never told anew. Of each pair the past and the
newest gaps are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from cryptowatcher.domain.features.columns import Where
from cryptowatcher.domain.features.filling import BEGINNING, Filled, Gap
from cryptowatcher.domain.features.history import History
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.ticks import Floats, Ints

KEPT: Final = 6
"""Gaps of a pair that are known, beside its past."""
SHORTEST: Final = 10 * MS["m"]


class GapsState(msgspec.Struct, frozen=True):
    """The columns of gaps."""

    count: Ints
    whole: Ints
    real: Floats


class Gaps:
    """The gaps of all pairs: start, end, clock and seq as [of these, row, pair], before and after likewise. Where
    the end is 0 there is none."""

    def __init__(self) -> None:
        self._count: Ints = np.zeros(0, np.int64)  # of each pair so far, without the past
        self._whole: Ints = np.zeros((4, 1 + KEPT, 0), np.int64)
        self._real: Floats = np.zeros((2, 1 + KEPT, 0))

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self._count)
        self._count = np.concatenate([self._count, np.zeros(more, np.int64)])
        self._whole = np.concatenate([self._whole, np.zeros((4, 1 + KEPT, more), np.int64)], axis=2)
        self._real = np.concatenate([self._real, np.zeros((2, 1 + KEPT, more))], axis=2)

    def note(self, cols: Ints, where: Where, time: Ints, price: Floats, history: History, seq: Ints) -> None:
        """One newer observation for each of these distinct pairs. `where`: the same columns, as stretch() says,
        `history`: as it was before, `seq`: of each pair, the position of the record that brought the observation
        before."""
        before = history.time[where]
        far = time - before > np.maximum(history.valid_for[where], SHORTEST)
        if not far.any():
            return
        cols, time, price, before, seq = cols[far], time[far], price[far], before[far], seq[where][far]
        past = before == BEGINNING
        row = np.where(past, 0, 1 + self._count[cols] % KEPT)
        self._count[cols] += ~past
        self._whole[:, row, cols] = before, time, history.clock[cols], np.where(past, 0, seq)
        self._real[:, row, cols] = history.price[cols], price

    def of(self, col: int) -> Iterator[Gap]:
        """Those of a pair, newest first; each as it is when it is reached, for filling one moves the older."""
        rows = np.flatnonzero(self._whole[1, :, col])
        for row in rows[np.argsort(-self._whole[1, rows, col])].tolist():
            yield Gap(row, *self._whole[:, row, col].tolist(), *self._real[:, row, col].tolist())

    def close(self, filled: Filled) -> None:
        """What is filled is a gap no more. What is left before the first point is one, if it is long enough."""
        col, (row, start, end, *_) = filled.col, filled.gap
        first, clock = int(filled.time[0]), int(filled.clock[0])
        older = (self._whole[1, :, col] != 0) & (self._whole[1, :, col] < end)
        self._whole[2, older, col] -= filled.observed
        if first - start > max(filled.valid_for, SHORTEST):
            self._whole[1:3, row, col] = first, clock
            self._real[1, row, col] = filled.price[0]
        else:
            self._whole[1, row, col] = 0

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        self._whole[1, :, cols] = 0

    def state(self) -> GapsState:
        """Everything, for a checkpoint."""
        return GapsState(self._count, self._whole, self._real)

    def restore(self, state: GapsState) -> None:
        """The opposite of state()."""
        self._count, self._whole, self._real = state.count, state.whole, state.real
