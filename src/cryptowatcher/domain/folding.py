"""Folding observations into candles, all pairs at once, for every interval that is kept.

A candle closes when its pair's next observation lies in a later interval: the pair's own clock decides, so
nothing depends on when records arrived. What is still forming lives in the checkpoint.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.features.columns import Where, stretch
from cryptowatcher.domain.features.filling import Filled, bars_of
from cryptowatcher.domain.intervals import INTERVALS
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch

_NONE = -1
_COLUMNS = ("start", "open", "high", "low", "close", "volume", "ticks", "observed")


class _New(NamedTuple):
    """One newer observation for each of some pairs.

    where:  their columns, as stretch() says
    before: each pair's observation before, epoch ms
    close:  whether that one was still valid now
    """

    where: Where
    instant: TickBatch
    before: Ints
    close: NDArray[np.bool_]


class Forming:
    """The forming candle of each pair for one interval. `start` is -1 where there is none."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.start: Ints = np.zeros(0, np.int64)
        self.open: Floats = np.zeros(0)
        self.high: Floats = np.zeros(0)
        self.low: Floats = np.zeros(0)
        self.close: Floats = np.zeros(0)
        self.volume: Floats = np.zeros(0)
        self.ticks: Ints = np.zeros(0, np.int64)
        self.observed: Ints = np.zeros(0, np.int64)

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self.start)
        if more <= 0:
            return
        for name in _COLUMNS:
            column = getattr(self, name)
            fill = _NONE if name == "start" else 0
            setattr(self, name, np.concatenate([column, np.full(more, fill, column.dtype)]))

    def fold(self, new: _New) -> NDArray[np.bool_]:
        """One newer observation for each of these pairs. Returns which candles are over; their rows must be taken
        (`rows`) before `begin` is called."""
        began = self.start[new.where]
        over: NDArray[np.bool_] = (began != _NONE) & (began != self._starts(new))
        if over.any():
            # The tail between the last observation inside and the end was observed if the next came in time.
            self.observed[new.where] += (began + self.interval - new.before) * (over & new.close)
        return over

    def begin(self, new: _New) -> None:
        """Put the observations into their candles, beginning new ones where the old are over."""
        where, price, start = new.where, new.instant.price, self._starts(new)
        fresh = self.start[where] != start
        high, low = np.maximum(self.high[where], price), np.minimum(self.low[where], price)
        self.open[where] = np.where(fresh, price, self.open[where])
        self.high[where] = np.where(fresh, price, high)
        self.low[where] = np.where(fresh, price, low)
        self.close[where] = price
        self.volume[where] = new.instant.volume
        self.ticks[where] = self.ticks[where] * ~fresh + 1
        seen = (new.instant.observed_at - np.maximum(new.before, start)) * new.close
        self.observed[where] = self.observed[where] * ~fresh + seen
        self.start[where] = start

    def _starts(self, new: _New) -> Ints:
        """When the candles that these observations are in begin."""
        starts: Ints = new.instant.observed_at // self.interval * self.interval
        return starts

    def rows(self, cols: Ints, names: list[str]) -> list[Candle]:
        """The candles of these columns as they stand."""
        columns = [getattr(self, name)[cols].tolist() for name in _COLUMNS]
        return [
            Candle(
                pair=names[col],
                interval=self.interval,
                start=start,
                open=opened,
                high=high,
                low=low,
                close=close,
                volume_24h=None if volume != volume else volume,
                ticks=ticks,
                observed_ms=observed,
            )
            for col, start, opened, high, low, close, volume, ticks, observed in zip(
                cols.tolist(), *columns, strict=True
            )
        ]


def candles_of(filled: Filled, pair: str, *, finest: int) -> list[Candle]:
    """Candles of history that was told afterwards, of intervals (ms) from the finest on, where the pair was not
    observed at all. A point on the edge of two is the close of the older: such points are prices "at" a time."""
    gap = filled.gap
    candles: list[Candle] = []
    for interval in INTERVALS.values():
        if interval < finest:
            continue
        bars = bars_of(filled, interval)
        start = bars.number * interval
        bars = bars.rows((start > gap.start) & (start + interval < gap.end))
        for number, opened, high, low, close, volume, ticks, observed in bars.tuples():
            candles.append(
                Candle(
                    pair=pair,
                    interval=interval,
                    start=number * interval,
                    open=opened,
                    high=high,
                    low=low,
                    close=close,
                    volume_24h=None if volume != volume else volume,
                    ticks=ticks,
                    observed_ms=observed,
                )
            )
    return candles


class FoldState(msgspec.Struct, frozen=True):
    """A fold's columns: for each interval the columns of its forming candles."""

    time: Ints
    valid_for: Ints
    forming: list[list[NDArray[Any]]]


class CandleFold:
    """Forming candles of all intervals."""

    def __init__(self) -> None:
        self._forming = tuple(Forming(interval) for interval in INTERVALS.values())
        self._time: Ints = np.zeros(0, np.int64)  # each pair's newest observation, 0 for none
        self._valid_for: Ints = np.zeros(0, np.int64)

    @property
    def pairs(self) -> int:
        """How many columns there are."""
        return len(self._time)

    def fold(self, cols: Ints, instant: TickBatch, names: list[str]) -> list[Candle]:
        """One instant of newer observations with their columns; the candles that are over by it."""
        self._widen(len(names))
        where = stretch(cols)
        before = self._time[where]
        new = _New(where, instant, before, instant.observed_at - before <= self._valid_for[where])
        closed: list[Candle] = []
        for forming in self._forming:
            over = forming.fold(new)
            if over.any():
                closed += forming.rows(cols[over], names)
            forming.begin(new)
        self._time[where] = instant.observed_at
        self._valid_for[where] = instant.valid_for
        return closed

    def forget(self, cols: Ints) -> None:
        """Drop what is forming for these columns."""
        self._time[cols] = 0
        for forming in self._forming:
            forming.start[cols] = _NONE

    def _widen(self, pairs: int) -> None:
        more = pairs - len(self._time)
        if more <= 0:
            return
        self._time = np.concatenate([self._time, np.zeros(more, np.int64)])
        self._valid_for = np.concatenate([self._valid_for, np.zeros(more, np.int64)])
        for forming in self._forming:
            forming.widen(pairs)

    def state(self) -> FoldState:
        """Everything, for a checkpoint."""
        forming = [[getattr(f, name) for name in _COLUMNS] for f in self._forming]
        return FoldState(self._time, self._valid_for, forming)

    def restore(self, state: FoldState) -> None:
        """The opposite of state()."""
        self._time, self._valid_for = state.time, state.valid_for
        for forming, columns in zip(self._forming, state.forming, strict=True):
            for name, column in zip(_COLUMNS, columns, strict=True):
                setattr(forming, name, column)
