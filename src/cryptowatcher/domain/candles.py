"""Candles: open, high, low, close of a pair over an interval, and how much of it was really observed."""

from __future__ import annotations

import msgspec


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
