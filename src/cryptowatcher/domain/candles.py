"""Candles: open, high, low, close of a pair over an interval, and how much of it was really observed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec

from cryptowatcher.domain.ticks import Floats, Ints


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One candle. `start` is epoch ms and a multiple of `interval` (ms); it covers [start, start + interval).

    ticks:       observations inside
    observed_ms: how much of the interval lies between observations no further apart than they stay valid
    volume_24h:  the source's 24 h volume at the last observation, None where it did not say
    complete:    False while the interval is not over or not all of it has been folded yet
    """

    pair: str
    interval: int
    start: int
    open: float
    high: float
    low: float
    close: float
    volume_24h: float | None
    ticks: int
    observed_ms: int
    complete: bool = True


class CandleColumns(msgspec.Struct, frozen=True, eq=False):
    """n candles of one pair and interval, oldest first. `volume_24h` is NaN where the source did not say."""

    start: Ints
    high: Floats
    low: Floats
    close: Floats
    volume_24h: Floats

    def __len__(self) -> int:
        return len(self.start)


def roll_up(candles: Sequence[Candle], interval: int) -> list[Candle]:
    """Finer candles of one pair, oldest first and not overlapping, as candles of `interval` ms, oldest first.

    The parts may be of different intervals, each of which divides `interval`. The last one is complete only if
    its parts reach its end: what was not folded yet is not known.
    """
    groups = [list(group) for _, group in groupby(candles, key=lambda part: part.start - part.start % interval)]
    return [_join(parts, interval, over=number < len(groups)) for number, parts in enumerate(groups, 1)]


def _join(parts: Sequence[Candle], interval: int, *, over: bool) -> Candle:
    """One candle from its parts. `over`: a later candle has begun, so no more parts will come."""
    first, last = parts[0], parts[-1]
    start = first.start - first.start % interval
    volumes = [part.volume_24h for part in parts if part.volume_24h is not None]
    ended = over or last.start + last.interval == start + interval
    return Candle(
        pair=first.pair,
        interval=interval,
        start=start,
        open=first.open,
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=last.close,
        volume_24h=volumes[-1] if volumes else None,
        ticks=sum(part.ticks for part in parts),
        observed_ms=sum(part.observed_ms for part in parts),
        complete=ended and all(part.complete for part in parts),
    )
