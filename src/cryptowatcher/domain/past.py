"""What a source says of the past of a pair, and what of it can be believed."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.quality import AGREES, JUMP
from cryptowatcher.domain.ticks import Floats, Ints

_OTHER_SCALE: Final = math.log(5.0)
_NEAR: Final = 2
"""Intervals between two prices that still may be compared for scale."""


class Reach(msgspec.Struct, frozen=True, order=True):
    """A kind of chart that a source has.

    interval: ms between two points
    back:     how far back it goes, ms
    """

    interval: int
    back: int


class Past(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Points of one pair, translated but not judged.

    interval:    ms between two points; some may be missing
    observed_at: n distinct times, epoch ms, ascending, none after `received_at`
    price:       n floats, finite and > 0
    volume:      n floats, NaN unknown
    market_cap:  n floats, NaN unknown
    dropped:     points of the answer that were none: null, 0, text, in the future, twice
    received_at: epoch ms
    """

    pair: str
    interval: int
    observed_at: Ints
    price: Floats
    volume: Floats
    market_cap: Floats
    dropped: int
    received_at: int

    def __len__(self) -> int:
        return len(self.price)

    def rows(self, which: NDArray[np.bool_]) -> Past:
        """Some of the points; the others count as dropped."""
        return msgspec.structs.replace(
            self,
            observed_at=self.observed_at[which],
            price=self.price[which],
            volume=self.volume[which],
            market_cap=self.market_cap[which],
            dropped=self.dropped + int((~which).sum()),
        )


def believable(past: Past, *, newest: int, price: float) -> Past:
    """The points before the pair's newest own observation, without those that stand alone: a price that is half as
    much again as both its neighbours, or a third less, while they agree. `newest` and `price` are of that
    observation: a chart that ends near it on another scale (another currency, another coin) has no point that can
    be believed."""
    past = past.rows(past.observed_at < newest)
    past = past.rows(~_alone(past.price))
    if not len(past) or newest - int(past.observed_at[-1]) > _NEAR * past.interval:
        return past
    if abs(math.log(float(past.price[-1]) / price)) > _OTHER_SCALE:
        return past.rows(np.zeros(len(past), np.bool_))
    return past


def _alone(price: Floats) -> NDArray[np.bool_]:
    alone = np.zeros(len(price), np.bool_)
    if len(price) < 3:
        return alone
    steps = np.diff(np.log(price))
    there, back = steps[:-1], steps[1:]
    alone[1:-1] = (np.abs(there) > JUMP) & (np.abs(back) > JUMP) & (np.abs(there + back) <= AGREES)
    return alone
