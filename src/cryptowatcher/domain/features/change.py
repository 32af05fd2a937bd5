"""`change(w)`: the relative change against the price one window before the newest observation."""

from __future__ import annotations

from cryptowatcher.domain.features.history import History
from cryptowatcher.domain.ticks import Floats, Ints


def step(history: History, cols: Ints, window: int) -> Floats:
    """(price − reference) / reference for each of these pairs; NaN where the reference is not known."""
    reference = history.reference(cols, window)
    return (history.price[cols] - reference) / reference
