"""beat: let the journal's time pass while nobody appends, and note when the wall clock jumps.

Beats come from whoever watches, not from collect, so a dead collector cannot silence staleness.
"""

from __future__ import annotations

import asyncio

import structlog

from cryptowatcher.domain.records import Beat, Body, ClockStep, Draft
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.ports import Clock, Journal

BEAT_EVERY = 1.0
"""Seconds."""
STEP_MS = 5_000
WRITER = "beat"

log = structlog.get_logger()


class Beater:
    """Appends a beat whenever `every` seconds passed without a record."""

    def __init__(
        self, journal: Journal, clock: Clock, *, every: float = BEAT_EVERY, meters: Meters | None = None
    ) -> None:
        self._every = every
        self._meters = meters or Meters()
        self._journal = journal
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        number = await self._journal.last_number(WRITER)
        head = await self._journal.head()
        wall, steady = self._clock.now(), self._clock.monotonic()
        while True:
            await asyncio.sleep(self._every)
            step = (self._clock.now() - wall) - round((self._clock.monotonic() - steady) * 1000)
            wall, steady = self._clock.now(), self._clock.monotonic()
            bodies: list[Body] = [ClockStep(step)] if abs(step) > STEP_MS else []
            if bodies:
                log.warning("the wall clock jumped", step_ms=step)
                self._meters.clock_stepped()
            if await self._journal.head() == head and not bodies:
                bodies = [Beat()]
            for body in bodies:
                number += 1
                await self._journal.append([Draft(WRITER, number, body)])
            head = await self._journal.head()
