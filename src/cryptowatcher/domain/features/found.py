"""What was found last for a window: caches of a tier, which only save work."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features.columns import Where
from cryptowatcher.domain.ticks import Floats, Ints

NOWHERE: Final = -(1 << 62)
"""A time before any window of a pair that was never seen."""
_UNSOUGHT: Final = -(1 << 40)
"""The number of an entry before all that were ever in a ring."""


class Reference:
    """Of one window, for each pair: what was found last. A cache."""

    def __init__(self) -> None:
        self.entry: Ints = np.zeros(0, np.int64)  # oldest - 1 of its ring where there is none
        self.place: Ints = np.zeros(0, np.int64)  # where that lies, as long as rings are laid out as `layout` says
        self.layout = 0
        self.until: Ints = np.zeros(0, np.int64)  # nothing else is found for ends before this
        self.time: Ints = np.zeros(0, np.int64)
        self.price: Floats = np.zeros(0)
        self.clock: Ints = np.zeros(0, np.int64)

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        self.entry = wider(self.entry, pairs, _UNSOUGHT)
        self.place = wider(self.place, pairs, 0)
        self.until = wider(self.until, pairs, NOWHERE)
        self.time = wider(self.time, pairs, NOWHERE)
        self.price = wider(self.price, pairs, np.nan)
        self.clock = wider(self.clock, pairs, 0)

    def forget(self, cols: Ints) -> None:
        """Nothing was found yet."""
        self.entry[cols] = _UNSOUGHT
        self.until[cols] = NOWHERE


class Extreme:
    """The high or the low of one window, for each pair: its value, and the newest entry it stands in; and the same
    of what came after that, so that it is known when the first leaves the window. A cache."""

    def __init__(self) -> None:
        self.value: Floats = np.zeros(0)
        self.entry: Ints = np.zeros(0, np.int64)
        self.next_value: Floats = np.zeros(0)  # NaN where nobody looked: nothing beats it
        self.next_entry: Ints = np.zeros(0, np.int64)
        self.ticks: Ints = np.zeros(0, np.int64)  # up to which tick of the pair

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        self.value, self.next_value = (wider(each, pairs, np.nan) for each in (self.value, self.next_value))
        self.entry, self.next_entry = (wider(each, pairs, -1) for each in (self.entry, self.next_entry))
        self.ticks = wider(self.ticks, pairs, 0)

    def forget(self, cols: Ints) -> None:
        """Nothing was found yet."""
        self.value[cols] = self.next_value[cols] = np.nan
        self.entry[cols] = self.next_entry[cols] = -1

    def told(self, where: Where, prices: Floats, newest: Ints, *, highest: bool) -> None:
        """One more price of each of these pairs, in these entries."""
        beats = np.greater_equal if highest else np.less_equal
        for value, entry in ((self.next_value, self.next_entry), (self.value, self.entry)):
            beaten = beats(prices, value[where])
            _put(value, where, prices, beaten)
            _put(entry, where, newest, beaten)
        _put(self.next_value, where, -np.inf if highest else np.inf, beaten)  # of nothing

    def move_up(self, cols: Ints) -> None:
        """For these pairs the first has left the window. What came after the second is not known."""
        self.value[cols], self.entry[cols] = self.next_value[cols], self.next_entry[cols]
        self.next_value[cols], self.next_entry[cols] = np.nan, -1


class Asked(msgspec.Struct, eq=False):
    """What was found for some pairs and one window, where that is known, and where the pair was also watched
    since: None as long as nobody asked."""

    cols: Ints
    found: Reference
    known: NDArray[np.bool_]
    watched: NDArray[np.bool_] | None = None


def wider(column: NDArray[Any], pairs: int, fill: float) -> NDArray[Any]:
    """The column with room for this many pairs."""
    return np.concatenate([column, np.full(max(pairs - len(column), 0), fill, column.dtype)])


def _put(column: NDArray[Any], where: Where, values: NDArray[Any] | float, which: NDArray[np.bool_]) -> None:
    """Write some of these values to where a column has them."""
    if isinstance(where, slice):
        np.copyto(column[where], values, where=which)
    else:
        column[where[which]] = values if isinstance(values, float) else values[which]
