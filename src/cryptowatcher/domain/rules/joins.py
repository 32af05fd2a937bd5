"""Pairs that came onto rules' lists later: for each the position after which the rule counts for it."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.ticks import Ints


class Joined(msgspec.Struct, frozen=True):
    """Pairs that came onto a rule's list later (columns `slot`, `col`), and `after` which position it counts for
    them."""

    slot: NDArray[np.int32]
    col: NDArray[np.int32]
    after: Ints


class Joins:
    """By slot and column. Few rules have any."""

    def __init__(self) -> None:
        self._joined: dict[int, dict[int, int]] = {}

    def put(self, slot: int, joined: dict[int, int]) -> None:
        """Of a rule: column → position."""
        if joined:
            self._joined[slot] = dict(sorted(joined.items()))

    def drop(self, slot: int) -> None:
        """The rule is gone."""
        self._joined.pop(slot, None)

    def of(self, slot: int) -> dict[int, int]:
        """Of a rule: column → position."""
        return self._joined.get(slot, {})

    def put_in(self, slots: Ints, cols: Ints, after: Ints) -> None:
        """Write into `after`, for each rule and pair, the position where there is one."""
        for place in np.flatnonzero(np.isin(slots, [*self._joined])).tolist() if self._joined else ():
            after[place] = self._joined[int(slots[place])].get(int(cols[place]), after[place])

    def state(self) -> Joined:
        """Everything, for a checkpoint."""
        joined = [(slot, *both) for slot, cols in sorted(self._joined.items()) for both in cols.items()]
        return Joined(
            np.asarray([each[0] for each in joined], np.int32),
            np.asarray([each[1] for each in joined], np.int32),
            np.asarray([each[2] for each in joined], np.int64),
        )

    def restore(self, state: Joined) -> None:
        """The opposite of state()."""
        for slot, col, after in zip(state.slot.tolist(), state.col.tolist(), state.after.tolist(), strict=True):
            self._joined.setdefault(slot, {})[col] = after
