"""History that a source told afterwards: the points of it that lie inside a gap of a pair, and bars made of them.

They are observations like a pair's own, but for one thing: they do not come one by one, and so nothing is judged
by them. Windows and indicators see them as soon as they are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features.rings import Cells
from cryptowatcher.domain.ticks import Floats, Ints

BEGINNING: Final = -(1 << 61)
"""Where the past of every pair begins."""


class Gap(NamedTuple):
    """A stretch in which a pair was not observed.

    row:           where it is kept; 0 is the past
    start, end:    times of the observations around it, epoch ms; the past starts at BEGINNING
    clock:         the pair's observed time at both, ms
    seq:           position of the record that brought the observation at its start, 0 for the past
    before, after: prices of the observations around it; NaN before the past
    """

    row: int
    start: int
    end: int
    clock: int
    seq: int
    before: float
    after: float


class Filled(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """n points inside a gap, oldest first.

    clock:     the pair's observed time at each, ms. It grows between points no further apart than they stay valid,
               and at the end of the gap it is what it is known to be: what lies before the gap has `observed` less
    valid_for: for how long a point counts as current, ms
    """

    col: int
    gap: Gap
    time: Ints
    price: Floats
    volume: Floats
    clock: Ints
    observed: int
    valid_for: int

    def at(self, moments: Ints) -> Ints:
        """The pair's observed time at moments not after the end of the gap."""
        times = np.append(self.time, self.gap.end)
        clocks = np.append(self.clock, self.gap.clock)
        if self.gap.row:
            times, clocks = np.append(self.gap.start, times), np.append(self.gap.clock - self.observed, clocks)
        place = np.searchsorted(times, moments, side="right") - 1
        since = moments - times[place]
        within = np.append(np.diff(times) <= self.valid_for, False)[place]
        reached: Ints = clocks[place] + np.where(within & (place >= 0), since, 0)
        return np.where(place >= 0, reached, clocks[0])


def fill_gap(col: int, gap: Gap, *, time: Ints, price: Floats, volume: Floats, valid_for: int) -> Filled:
    """A gap with points that lie inside it: ascending, at least one."""
    steps = np.diff(time, prepend=gap.start, append=gap.end)
    counted = np.where(steps <= valid_for, steps, 0)
    clock = gap.clock - np.cumsum(counted[:0:-1])[::-1]
    return Filled(
        col=col,
        gap=gap,
        time=time,
        price=price,
        volume=volume,
        clock=clock,
        observed=int(counted.sum()),
        valid_for=valid_for,
    )


class Told(NamedTuple):
    """A gap that was filled, and the pair's cells of each tier then."""

    filled: Filled
    cells: list[Cells]


class FilledBars(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """m bars of an interval that are made of points alone, oldest first. Numbers and edges are as in bars.py.

    volume:   24 h volume said last inside, NaN where none was
    ticks:    points inside
    observed: how much of it is covered by points that were still valid at the next, ms
    """

    number: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    ticks: Ints
    observed: Ints

    def __len__(self) -> int:
        return len(self.number)

    def rows(self, which: NDArray[np.bool_]) -> FilledBars:
        """Some of them."""
        return FilledBars(**{name: getattr(self, name)[which] for name in self.__struct_fields__})

    def tuples(self) -> Iterator[tuple[int, float, float, float, float, float, int, int]]:
        """One a bar, in the order of the fields."""
        return zip(*(getattr(self, name).tolist() for name in self.__struct_fields__), strict=True)


def bars_of(filled: Filled, interval: int) -> FilledBars:
    """The bars inside a gap in which the pair observed nothing itself, not even at their ends."""
    gap = filled.gap
    number = (filled.time - 1) // interval
    inside = (number > (gap.start - 1) // interval) & (number < (gap.end - 1) // interval)
    number, price, volume = number[inside], filled.price[inside], filled.volume[inside]
    first = np.flatnonzero(np.diff(number, prepend=BEGINNING))
    last = np.append(first, len(number))[1:] - 1
    said = np.maximum.accumulate(np.where(np.isnan(volume), -1, np.arange(len(volume))))[last]
    bars = number[first]
    return FilledBars(
        number=bars,
        open=price[first],
        high=np.maximum.reduceat(price, first) if len(first) else price,
        low=np.minimum.reduceat(price, first) if len(first) else price,
        close=price[last],
        volume=np.where(said >= first, volume[said], np.nan),
        ticks=last + 1 - first,
        observed=filled.at((bars + 1) * interval) - filled.at(bars * interval),
    )
