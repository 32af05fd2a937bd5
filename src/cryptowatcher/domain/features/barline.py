"""The bars of a line: what bars.py folds step by step, folded at once from all of a pair's observations."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.ticks import Floats, Ints


class BarSeries(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The m bars of a line that were kept, oldest first, and what the n observations know of them.

    interval: ms
    number:   m bar numbers: bar k covers (k · interval, (k + 1) · interval]
    volume:   m last known 24 h volumes, NaN where the bar has none
    traded:   m sums of what was traded, NaN where an observation does not say
    closed:   n: how many of the bars are closed as of each observation
    now:      n: number of the first bar that is not over then
    """

    interval: int
    number: Ints
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    traded: Floats
    closed: Ints
    now: Ints

    def __len__(self) -> int:
        return len(self.number)


def fold_bars(
    interval: int,
    *,
    time: Ints,
    price: Floats,
    volume: Floats,
    traded: Floats,
    clock: Ints,
    valid_for: int,
) -> BarSeries:
    """The columns of a line as bars."""
    n = len(time)
    number = (time - 1) // interval
    first = np.flatnonzero(np.diff(number, prepend=number[:1] - 1))  # rows that begin a bar
    last = np.append(first, n)[1:] - 1
    number, end = number[first], (number[first] + 1) * interval
    observed = _observed(interval, first, last, time, clock, valid_for)
    closed_by = np.where(time[last] == end, last, last + 1)  # n: by none of them
    kept = (10 * observed >= 9 * interval) & (closed_by < n)
    rows = np.flatnonzero(kept)
    said = np.maximum.accumulate(np.where(np.isnan(volume), -1, np.arange(n)))[last]
    return BarSeries(
        interval=interval,
        number=number[rows],
        high=_of_bars(np.maximum, price, first)[rows],
        low=_of_bars(np.minimum, price, first)[rows],
        close=price[last[rows]],
        volume=np.where(said >= first, volume[said], np.nan)[rows] if n else volume,
        traded=_of_bars(np.add, traded, first)[rows],
        closed=np.cumsum(np.bincount(closed_by[rows], minlength=n)),
        now=time // interval,
    )


def _of_bars(of: np.ufunc, values: Floats, first: Ints) -> Floats:
    found: NDArray[np.float64] = of.reduceat(values, first) if len(first) else values[:0]
    return found


def _observed(interval: int, first: Ints, last: Ints, time: Ints, clock: Ints, valid_for: int) -> Ints:
    """How much of each bar lies between observations no further apart than they stay valid, ms."""
    gaps = np.diff(time)
    within = np.concatenate(
        [[False], gaps <= valid_for, [False]]
    )  # of the gap before each row; none behind the last
    start = time[first] - (time[first] - 1) % interval - 1
    before = np.maximum(first - 1, 0)
    head = np.where(within[first], time[first] - np.maximum(time[before], start), 0)
    tail = np.where(within[last + 1], start + interval - time[last], 0)
    return head + clock[last] - clock[first] + tail
