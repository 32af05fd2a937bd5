"""How much of a stretch of time was seen of a pair: cell by cell, a letter each."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.ticks import Ints

WATCHED: Final = "w"
PARTLY: Final = "p"
TOLD: Final = "t"
NOTHING: Final = "."

_MOST: Final = 0.8
"""From this share of a cell on it counts as a whole, and below _LEAST as nothing."""
_LEAST: Final = 0.1
_MANY_PAIRS: Final = 600
"""With more, five-minute candles of a day are too many to read within a second."""


class Grid(msgspec.Struct, frozen=True):
    """Cells of `step` ms, the first from `start` on; the last one is going on. They are filled from candles of
    `interval` ms. All three are multiples of it."""

    start: int
    step: int
    count: int
    interval: int


def grid(now: int, hours: int, pairs: int) -> Grid:
    """The last hours for so many pairs: about a hundred cells of a day, 168 of a week."""
    fine = hours <= 48 and pairs <= _MANY_PAIRS
    step = 15 * MS["m"] if fine else MS["h"]
    count = hours * MS["h"] // step
    return Grid(now // step * step - (count - 1) * step, step, count, INTERVALS["5m" if fine else "1h"])


def cells(starts: Ints, observed: Ints, on: Grid, *, now: int, current: bool, priced_at: int) -> str:
    """A letter for each cell of one pair.

    starts, observed: of each stored candle of `on.interval`, when it began and how much of it was seen (ms)
    current: whether the newest price still counts. A candle is stored with the pair's first price after it, so of
             the one that is going on this alone tells, and of the one before while there is no such price
    priced_at: when that price was observed, epoch ms
    """
    newest = now // on.interval * on.interval - on.interval
    if current and priced_at < newest + on.interval and newest not in starts:
        starts, observed = np.append(starts, newest), np.append(observed, on.interval)
    at = (starts - on.start) // on.step
    inside = (at >= 0) & (at < on.count)
    seen = np.bincount(at[inside], weights=observed[inside], minlength=on.count)
    known = np.bincount(at[inside], minlength=on.count) * on.interval
    whole = np.full(on.count, float(on.step))
    over = newest + on.interval - on.start - (on.count - 1) * on.step
    if over:
        whole[-1] = over
    elif current:
        seen[-1] = on.step
    told = np.where(known >= _MOST * whole, TOLD, np.where(known >= _LEAST * whole, PARTLY, NOTHING))
    some = np.where((seen >= _LEAST * whole) & (told != TOLD), PARTLY, told)
    return "".join(np.where(seen >= _MOST * whole, WATCHED, some).tolist())


def share(cells: str) -> float:
    """Of the time how much was watched, 0 to 1."""
    return (cells.count(WATCHED) + 0.5 * cells.count(PARTLY)) / len(cells) if cells else 0.0
