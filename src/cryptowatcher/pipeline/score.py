"""score: what signals were worth an hour, a day and a week later, from the candles that were kept.

A row is written once for each (alert, horizon), as soon as the pair was observed past the horizon. What ended
while nothing was running is caught up; where the price at the horizon was not observed there is no row, and no
guess.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cryptowatcher.domain.alerts import Alert, first_id_at
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.outcomes import price_by
from cryptowatcher.domain.scoring import HORIZONS
from cryptowatcher.domain.signals import Signal, signal_of
from cryptowatcher.domain.texts import observed_at
from cryptowatcher.ports import Clock, Store, Tx

EVERY = 300.0
LOOK_BACK = 90 * MS["d"]
"""Signals whose horizon ended longer ago are let be: the candles of those minutes are forgotten."""
AT_ONCE = 100
"""Signals of a transaction, so that watch comes in between."""


class Scorer:
    """Goes through the signals whose horizon has ended."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Every five minutes, until cancelled."""
        while True:
            await self.score()
            await asyncio.sleep(EVERY)

    async def score(self) -> None:
        """Everything that can be scored now."""
        # A clock that is ahead for a while ends no horizon.
        newest = await self._store.run(lambda tx: tx.newest_observation())
        now = self._clock.now()
        for horizon in HORIZONS:
            await self._score(horizon, upto=min(now, newest), now=now)

    async def _score(self, horizon: int, *, upto: int, now: int) -> None:
        after = first_id_at(max(0, upto - horizon - LOOK_BACK))

        def some(tx: Tx) -> str:
            found = tx.unscored(horizon, after=after, upto=upto, limit=AT_ONCE)
            tx.save_signals(_worth(tx, found, horizon, now))
            return found[-1].id if len(found) == AT_ONCE else ""

        while done := await self._store.run(some):
            after = done


def _worth(tx: Tx, alerts: Sequence[Alert], horizon: int, now: int) -> list[Signal]:
    """Of those whose pair was observed past the horizon: only then the last candle before it is whole."""
    seen = {price.pair: price.observed_at for price in tx.prices(sorted({alert.pair for alert in alerts}))}
    found = []
    for alert in alerts:
        end = observed_at(alert) + horizon
        if seen.get(alert.pair, 0) < end:
            continue
        later = price_by(tx.closes, alert.pair, end)
        if later is not None:
            found.append(signal_of(alert, later, horizon=horizon, now=now))
    return found
