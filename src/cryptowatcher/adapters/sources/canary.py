"""The canary's price: up, down, up again. See domain/canary.py.

It is no choice of the configuration's `[[sources]]`; `[canary]` opens it.
"""

from __future__ import annotations

import numpy as np

from cryptowatcher.domain.canary import HIGH, LOW, NAME
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.ports import Clock, Observations, Pace

_PER_MINUTE = 100_000
"""Calls; it asks nobody, so nothing limits it."""


class CanarySource:
    """A ports.Source that asks nobody. It begins low, so that the second observation of a life already fires,
    wherever the rule stood.

    Its time never goes back: observations that are not newer than the ones before would not count, and a wall
    clock that was set back would silence it for as long.
    """

    name = NAME
    pages = 1

    def __init__(self, clock: Clock, *, every: int, since: int) -> None:
        """every: ms between two observations; since: epoch ms, what it observes comes after."""
        self._clock = clock
        self._last = since
        self._high = True
        # One observation may be lost before the pair counts as not seen.
        self.pace = Pace(every=every / 1000, valid_for=4 * every, per_minute=_PER_MINUTE)

    async def fetch(self, page: int) -> Observations:
        self._high = not self._high
        self._last = max(self._clock.now(), self._last + 1)
        unknown = np.full(1, np.nan)
        return Observations(
            pairs=(CANARY,),
            price=np.asarray([HIGH if self._high else LOW]),
            volume=unknown,
            market_cap=unknown,
            observed_at=np.asarray([self._last], np.int64),
            received_at=self._last,
        )
