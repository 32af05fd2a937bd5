"""What was found last for a window: caches of a tier, which only save work."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.ticks import Floats, Ints

NOWHERE: Final = -(1 << 62)
"""A time before any window of a pair that was never seen."""


class Reference:
    """Of one window, for each pair: what was found last. A cache."""

    def __init__(self) -> None:
        self.entry: Ints = np.zeros(0, np.int64)  # oldest - 1 of its ring where there is none
        self.until: Ints = np.zeros(0, np.int64)  # nothing else is found for ends before this
        self.time: Ints = np.zeros(0, np.int64)
        self.price: Floats = np.zeros(0)
        self.clock: Ints = np.zeros(0, np.int64)

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        self.entry = wider(self.entry, pairs, -1)
        self.until = wider(self.until, pairs, NOWHERE)
        self.time = wider(self.time, pairs, NOWHERE)
        self.price = wider(self.price, pairs, np.nan)
        self.clock = wider(self.clock, pairs, 0)

    def forget(self, cols: Ints) -> None:
        """Nothing was found yet."""
        self.entry[cols] = -1
        self.until[cols] = NOWHERE


class Extreme:
    """The high or the low of one window, for each pair: its value, and the newest entry it stands in. A cache."""

    def __init__(self) -> None:
        self.value: Floats = np.zeros(0)
        self.entry: Ints = np.zeros(0, np.int64)
        self.ticks: Ints = np.zeros(0, np.int64)  # up to which tick of the pair

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        self.value = wider(self.value, pairs, np.nan)
        self.entry = wider(self.entry, pairs, -1)
        self.ticks = wider(self.ticks, pairs, 0)

    def forget(self, cols: Ints) -> None:
        """Nothing was found yet."""
        self.value[cols] = np.nan  # nothing beats it
        self.entry[cols] = -1


class Asked(msgspec.Struct, frozen=True, eq=False):
    """The references of some pairs for one window; `watched`: known, and the pair was watched since."""

    cols: Ints
    price: Floats
    known: NDArray[np.bool_]
    watched: NDArray[np.bool_]


def wider(column: NDArray[Any], pairs: int, fill: float) -> NDArray[Any]:
    """The column with room for this many pairs."""
    return np.concatenate([column, np.full(max(pairs - len(column), 0), fill, column.dtype)])
