"""One pair's observations as columns: what the series forms look at."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features.barline import BarSeries, fold_bars
from cryptowatcher.domain.features.history import grid_of
from cryptowatcher.domain.ticks import Floats, Ints


class Line(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """n accepted observations of a pair, each newer than the one before.

    seq:        number of the instant that brought it, ascending: the order in which pairs are seen
    time:       of the source, epoch ms, ascending
    price:      in the pair's currency
    volume:     24 h volume, NaN where the source did not say
    market_cap: NaN where the source did not say
    clock:      the pair's observed time, ms: grows only between observations no further apart than they stay valid
    valid_for:  how long an observation counts as current, ms
    traded:     what was traded since the observation before, NaN where the data does not say
    other:      the line of another pair, None where there is none
    """

    pair: str
    seq: Ints
    time: Ints
    price: Floats
    volume: Floats
    market_cap: Floats
    clock: Ints
    valid_for: int
    traded: Floats
    other: Callable[[str], Line | None] = lambda pair: None

    def __len__(self) -> int:
        return len(self.price)

    def bars(self, interval: int) -> BarSeries:
        """Its bars of an interval, in ms."""
        if interval not in self._bars:
            self._bars[interval] = fold_bars(
                interval,
                time=self.time,
                price=self.price,
                volume=self.volume,
                traded=self.traded,
                clock=self.clock,
                valid_for=self.valid_for,
            )
        return self._bars[interval]

    @cached_property
    def _bars(self) -> dict[int, BarSeries]:
        return {}


def line_of(pair: str, *, time: Ints, price: Floats, valid_for: int, seq: Ints | None = None) -> Line:
    """The line of observations that are all there is of a market, without volumes: the plain way to make one."""
    gaps = np.diff(time, prepend=time[:1])
    unknown = np.full(len(price), np.nan)
    return Line(
        pair=pair,
        seq=np.arange(1, len(price) + 1) if seq is None else seq,
        time=time,
        price=price,
        volume=unknown,
        market_cap=unknown,
        clock=np.cumsum(np.where(gaps <= valid_for, gaps, 0)),
        valid_for=valid_for,
        traded=unknown,
    )


class References(msgspec.Struct, frozen=True, eq=False):
    """Of one window, for each of the n observations of a line: the last one at or before the window's end.

    row:   of it in the line, -1 where there is none
    known: whether there is one that was current then
    time, price, clock: of it; NaN and anything where it is not known
    """

    row: Ints
    known: NDArray[np.bool_]
    time: Ints
    price: Floats
    clock: Ints


def reference_of(line: Line, window: int) -> References:
    """The references of a window. What History keeps is looked up here among all observations: a window's end lies
    on a grid of cells, and the last observation of a cell is the one a tier keeps."""
    grid = grid_of(window)
    end = grid * (line.time // grid) - window
    row = _last_at(line.time, end)
    time = line.time[row]
    known = (row >= 0) & (end - time <= line.valid_for)
    return References(row, known, time, np.where(known, line.price[row], np.nan), line.clock[row])


def _last_at(times: Ints, ends: Ints) -> Ints:
    """For the end of the window of each observation, the last one at or before it; -1 where there is none.

    Where observations come at regular times (candles) it lies always as many places back. So that is tried first,
    and what does not fit is searched for.
    """
    n = len(times)
    if n == 0:
        return np.zeros(0, np.int64)
    back = n - int(np.searchsorted(times, ends[-1], side="right"))
    found = np.arange(-back, n - back)
    fits = np.zeros(n, np.bool_)
    fits[back:] = (times[: n - back] <= ends[back:]) & (ends[back:] < times[1 : n - back + 1])
    others = np.flatnonzero(~fits)
    found[others] = np.searchsorted(times, ends[others], side="right") - 1
    return found
