"""What the newest observation says (`price`, `market_cap`), and how long ago it came (`age`)."""

from __future__ import annotations

import numpy as np

from cryptowatcher.domain.features import Args, Function
from cryptowatcher.domain.features.bounds import POSITIVE
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.ticks import Floats, Ints


def _price(memory: Memory, cols: Ints, args: Args) -> Floats:
    return memory.history.price[cols]


def _prices(line: Line, args: Args) -> Floats:
    return line.price


def _market_cap(memory: Memory, cols: Ints, args: Args) -> Floats:
    return memory.market_cap[cols]


def _market_caps(line: Line, args: Args) -> Floats:
    return line.market_cap


def _age(memory: Memory, cols: Ints, args: Args) -> Floats:
    """ms of journal time since the newest observation was written down. The only value that moves without one."""
    seen = ~np.isnan(memory.history.price[cols])
    return np.where(seen, memory.now - memory.seen_at[cols], np.nan)


FUNCTIONS = (
    Function(
        name="price",
        unit="price",
        says="the price",
        example="price",
        bounds=POSITIVE,
        step=_price,
        series=_prices,
    ),
    Function(
        name="market_cap",
        unit="money",
        says="the market capitalisation",
        example="market_cap",
        step=_market_cap,
        series=_market_caps,
    ),
    Function(
        name="age",
        unit="time",
        says="the time since the last observation",
        example="age",
        step=_age,
        series=None,
        timed=True,
    ),
)
