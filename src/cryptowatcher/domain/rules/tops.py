"""Which pairs are among the n largest by market cap, for rules on `top(n)`.

A pair comes in at rank n and goes when its rank is above 1.1 n, so that two neighbours that change places do not
come and go. For all n at once that is one number, the *settled* rank: the pair is among the n largest when it is n
or less. It is kept for every pair, whether or not a rule asks, so that who asked first changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.ticks import Ints

ABSENT_MS = 24 * MS["h"]
"""Rules remember where they stood for a pair that was away for no longer than this."""
_NEVER = np.iinfo(np.int64).min // 2


def settle(memory: Memory, cols: Ints) -> None:
    """The settled ranks of these pairs, after their newest observations. An unknown rank changes nothing.

    At rank r a pair is among the n largest for n >= r, is not for 1.1 n < r, and stays what it was in between.
    """
    rank, before = catalogue()["rank"].step(memory, cols, ()), memory.settled[cols]
    after = np.fmin(np.fmax(before, 10 * rank / 11), rank)  # 10 / 11 and not 1 / 1.1: exact where 1.1 n is whole
    memory.settled[cols] = np.where(np.isnan(rank), before, np.where(np.isnan(before), rank, after))


class Came(NamedTuple):
    """Columns of pairs that came in: back after a short absence, or as if for the first time."""

    back: list[int]
    anew: list[int]


class TopState(msgspec.Struct, frozen=True):
    """Members of one top, and when each other pair left."""

    n: int
    member: NDArray[np.bool_]
    left: Ints


class Top:
    """The n largest. Columns over all pairs; `left` is by the source's time, epoch ms."""

    def __init__(self, n: int, memory: Memory) -> None:
        self.n = n
        self.slots: set[int] = set()  # of the rules that ask
        self.member: NDArray[np.bool_] = memory.settled <= n
        self._left: Ints = np.full(len(memory), _NEVER, np.int64)

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self.member)
        self.member = np.concatenate([self.member, np.zeros(more, np.bool_)])
        self._left = np.concatenate([self._left, np.full(more, _NEVER, np.int64)])

    def update(self, memory: Memory, cols: Ints) -> Came:
        """After the newest observations of these pairs."""
        times = memory.history.time[cols]
        was, among = self.member[cols], memory.settled[cols] <= self.n
        enters, leaves = ~was & among, was & ~among
        long = times - self._left[cols] > ABSENT_MS
        self.member[cols[enters]] = True
        self.member[cols[leaves]] = False
        self._left[cols[leaves]] = times[leaves]
        return Came(cols[enters & ~long].tolist(), cols[enters & long].tolist())

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        self.member[cols] = False
        self._left[cols] = _NEVER

    def state(self) -> TopState:
        """Everything, for a checkpoint."""
        return TopState(self.n, self.member, self._left)

    def restore(self, state: TopState) -> None:
        """The opposite of state(), into a fresh top."""
        self.member, self._left = state.member, state.left
