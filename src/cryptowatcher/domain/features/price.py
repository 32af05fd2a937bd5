"""`price`: the newest accepted price of a pair."""

from __future__ import annotations

from cryptowatcher.domain.features.history import History
from cryptowatcher.domain.ticks import Floats, Ints


def step(history: History, cols: Ints, window: int) -> Floats:
    """The value for each of these pairs after their newest observation."""
    return history.price[cols]


def series(times: Ints, prices: Floats, valid_for: int, window: int) -> Floats:
    """The value of one pair after each of its observations."""
    return prices
