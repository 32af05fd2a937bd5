"""`change(w)`: the relative change against the price one window before the newest observation."""

from __future__ import annotations

import numpy as np

from cryptowatcher.domain.features.history import History, grid_of
from cryptowatcher.domain.ticks import Floats, Ints


def step(history: History, cols: Ints, window: int) -> Floats:
    """(price − reference) / reference for each of these pairs; NaN where the reference is not known."""
    reference = history.reference(cols, window)
    return (history.price[cols] - reference) / reference


def series(times: Ints, prices: Floats, valid_for: int, window: int) -> Floats:
    """The same for one pair after each of its observations. What History keeps is looked up here among them all:
    a window's end lies on a grid of cells, and the last observation of a cell is the one a tier keeps."""
    grid = grid_of(window)
    end = grid * (times // grid) - window
    found = _last_at(times, end)
    known = (found >= 0) & (end - times[found] <= valid_for)
    reference = np.where(known, prices[found], np.nan)
    return (prices - reference) / reference


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
