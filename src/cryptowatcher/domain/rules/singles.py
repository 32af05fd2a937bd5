"""Of rules that are on one pair, which one: found out once for all that are on the same."""

from __future__ import annotations

import numpy as np

from cryptowatcher.domain.pairs import Universe
from cryptowatcher.domain.rules.growing import Growing
from cryptowatcher.domain.rules.rows import Pools, Where
from cryptowatcher.domain.rules.runs import AnyInts
from cryptowatcher.domain.rules.standings import SEVERAL
from cryptowatcher.domain.ticks import Ints

_UNKNOWN, _FIRST = 0, 2


class Singles:
    """By number of what rules are on, the column of the only pair."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._single = Growing(np.int32)  # + _FIRST

    def find(self, on: int, universe: Universe) -> None:
        """Find it out, while the rule is at hand: the pair may be new to the universe."""
        self._single.extend(max(0, on + 1 - len(self._single)))
        if self._single.values[on] == _UNKNOWN:
            self._single.values[on] = self._look(on, universe) + _FIRST

    def _look(self, on: int, universe: Universe) -> int:
        where = self._pools.where(on)
        if where.everywhere or len(where.pairs) != 1:
            return SEVERAL
        return universe.column(where.pairs[0])

    def cols(self, on: AnyInts, universe: Universe) -> Ints:
        """For each of these numbers the column; SEVERAL where there is more than one, or none."""
        self._single.extend(max(0, len(self._pools.on.values) - len(self._single)))
        single = self._single.values
        cols = single[on]
        if (cols == _UNKNOWN).any():
            new = np.unique(on[cols == _UNKNOWN])
            single[new] = np.asarray([self._look(number, universe) for number in new.tolist()]) + _FIRST
            cols = single[on]
        return cols.astype(np.int64) - _FIRST


def columns_of(where: Where, universe: Universe) -> list[int]:
    """The pairs a rule covers."""
    if where.everywhere:
        return universe.everyones()
    return [universe.column(pair) for pair in where.pairs]
