"""Which pairs are not seen any more, and which are again: told once each, and not because of a late answer.

Time here is how long the watcher was awake, so that its own rest makes nobody blind. A pair is *stale* once its
newest observation is older than it is valid, and *told* as blind at twice that age; with it all that are stale by
then, so that what went blind together is told together.

It is told as back once it was seen without a break for an hour: a coin at the edge of a list comes and goes all
day long. With it all that have been seen for most of that hour. A market that was blind as a whole does not come
and go like that, and its owner waits for it: it is told as back, with all that are seen by then, once one of its
pairs was seen for as long as an observation is valid.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np

from cryptowatcher.domain.features.columns import Marks
from cryptowatcher.domain.ticks import Ints

_LOOK_EVERY: Final = 10_000
_RECENTLY: Final = 24 * 3_600_000
_STEADY: Final = 3_600_000
"""Milliseconds without a break after which a pair is back, and _WITH_IT those of what is told together with it."""
_WITH_IT: Final = 45 * 60_000
_MARKET: Final = 0.5
"""From this share of the pairs that were seen lately it is the market that is not seen, not some pairs."""


class Sighted(NamedTuple):
    """What changed at once.

    cols:   columns of pairs, ascending
    since:  for each, the journal's time of the last observation before it was blind, epoch ms
    seen:   for each, for how long it has been seen again, ms; 0: it is not
    market: whether that is (or was) most of what is watched; `of`: how many pairs that is
    """

    cols: Ints
    since: Ints
    seen: Ints
    market: bool
    of: int


class BlindnessState(msgspec.Struct, frozen=True, kw_only=True):
    """Columns over pairs: see Blindness."""

    seen: Ints
    valid: Ints
    begun: Ints
    since: Ints
    next_look: int
    market: bool


class Blindness:
    """Fold observations with `saw`, and ask `look` before each record."""

    def __init__(self) -> None:
        self._seen: Ints = np.zeros(0, np.int64)  # awake at the newest observation, ms; -1 never
        self._valid: Ints = np.zeros(0, np.int64)  # for how long it is valid, ms
        self._begun: Ints = np.zeros(0, np.int64)  # awake when it was first seen since it was stale, ms
        self._since: Ints = np.zeros(0, np.int64)  # of those told as blind, epoch ms; 0: not told
        self._next = 0
        self._market = False  # told as blind as a whole

    def saw(self, cols: Ints, *, valid_for: int, awake: int) -> None:
        """Observations that count, of distinct pairs."""
        more = int(cols.max(initial=-1)) + 1 - len(self._seen)
        if more > 0:
            self._widen(more)
        broken = (self._seen[cols] < 0) | (awake - self._seen[cols] > self._valid[cols])
        self._begun[cols[broken]] = awake
        self._seen[cols] = awake
        self._valid[cols] = valid_for

    def _widen(self, more: int) -> None:
        self._seen = np.concatenate([self._seen, np.full(more, -1)])
        self._valid, self._begun, self._since = (
            np.concatenate([column, np.zeros(more, np.int64)])
            for column in (self._valid, self._begun, self._since)
        )

    def look(self, seen_at: Ints, *, awake: int) -> tuple[Sighted | None, Sighted | None]:
        """Who is blind and who is back from now on. `seen_at`: by column, the journal's time of the newest
        observation, epoch ms."""
        if awake < self._next:
            return None, None
        self._next = awake + _LOOK_EVERY
        age = awake - self._seen
        known = self._seen >= 0
        stale, told = known & (age > self._valid), self._since > 0
        lately = int((known & (age <= _RECENTLY)).sum())
        return self._gone(stale, told, age, seen_at, lately), self._back(stale, told, age, lately)

    def _gone(self, stale: Marks, told: Marks, age: Ints, seen_at: Ints, lately: int) -> Sighted | None:
        new = stale & ~told
        if not (new & (age > 2 * self._valid)).any():
            return None
        cols = np.flatnonzero(new)
        self._since[cols] = seen_at[cols]
        blind = int(((stale | told) & (age <= _RECENTLY)).sum())
        # What left for good must not silence the next time: it is told again if most of it is new.
        fresh = blind if not self._market else int((new & (age <= _RECENTLY)).sum())
        market = lately > 1 and fresh >= _MARKET * lately
        self._market |= market
        return Sighted(cols, self._since[cols].copy(), np.zeros(len(cols), np.int64), market, lately)

    def _back(self, stale: Marks, told: Marks, age: Ints, lately: int) -> Sighted | None:
        seen, steady = told & ~stale, self._seen - self._begun
        enough, with_it = (self._valid, 0) if self._market else (np.maximum(self._valid, _STEADY), _WITH_IT)
        if not (seen & (steady >= enough)).any():
            return None
        cols = np.flatnonzero(seen & (steady >= with_it))
        since = self._since[cols].copy()
        self._since[cols] = 0
        still = int(((self._since > 0) & (age <= _RECENTLY)).sum())
        market = self._market and still < _MARKET * lately
        self._market &= not market
        return Sighted(cols, since, (age + steady)[cols], market, lately)

    def state(self) -> BlindnessState:
        """For a checkpoint."""
        return BlindnessState(
            seen=self._seen,
            valid=self._valid,
            begun=self._begun,
            since=self._since,
            next_look=self._next,
            market=self._market,
        )

    def restore(self, state: BlindnessState) -> None:
        """The opposite, into a fresh one."""
        self._seen, self._valid = state.seen.copy(), state.valid.copy()
        self._begun, self._since = state.begun.copy(), state.since.copy()
        self._next, self._market = state.next_look, state.market
