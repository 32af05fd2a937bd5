"""Rules of one shape: they look at the same numbers by the same formula, and differ in their constants only."""

from __future__ import annotations

from array import array

import numpy as np

from cryptowatcher.domain.rules.compiled import Shape
from cryptowatcher.domain.rules.watched import Watched
from cryptowatcher.domain.ticks import Ints


class Group:
    """The rules of one shape."""

    def __init__(self, shape: Shape, watched: list[Watched]) -> None:
        self.shape = shape
        self.watched = watched  # for each look of the shape
        self.number = -1  # given by the book
        self.rules = 0

    @property
    def timed(self) -> bool:
        """Whether its rules may change as time passes, without an observation."""
        return any(watched.timed for watched in self.watched)

    @property
    def composite(self) -> bool:
        """Whether more than one comparison decides."""
        return len(self.watched) > 1


class Waiting:
    """Rules that were not looked at since they were disarmed: they are looked at once in any case, from then on
    when one of their numbers is known again or crosses a constant. Rules that are gone may be among them, and some
    twice.
    """

    def __init__(self) -> None:
        self.timed: dict[int, array[int]] = {}  # column → slots of rules that may change as time passes
        self.others: dict[int, array[int]] = {}

    def add(self, slot: int, col: int, *, timed: bool) -> None:
        """A rule waits for this pair."""
        waiting = self.timed if timed else self.others
        slots = waiting.get(col)
        if slots is None:
            slots = waiting[col] = array("i")
        slots.append(slot)

    def add_many(self, slots: Ints, cols: Ints, *, timed: bool) -> None:
        """Rules on one pair each wait for it."""
        waiting = self.timed if timed else self.others
        order = np.argsort(cols, kind="stable")
        sorted_cols = np.asarray(cols)[order]
        ends = np.flatnonzero(np.diff(sorted_cols, append=-1)) + 1
        mine = slots[order].astype(np.int32)
        begin = 0
        for end, col in zip(ends.tolist(), sorted_cols[ends - 1].tolist(), strict=True):
            waiting.setdefault(col, array("i")).frombytes(mine[begin:end].tobytes())
            begin = end
