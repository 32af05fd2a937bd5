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
    found = np.searchsorted(times, end, side="right") - 1
    known = (found >= 0) & (end - times[found] <= valid_for)
    reference = np.where(known, prices[found], np.nan)
    return (prices - reference) / reference
