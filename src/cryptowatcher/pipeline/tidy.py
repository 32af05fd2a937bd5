"""tidy: forget what nobody needs any more, so that the files do not grow for ever."""

from __future__ import annotations

import asyncio

import structlog

from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.ports import Clock, Journal, Store, Tx

EVERY = 3_600.0
KEEP_JOURNAL_MS = 7 * MS["d"]
"""Promise 3 holds within this time."""
KEEP_MINUTES_MS = 90 * MS["d"]
"""One-minute candles; coarser ones are kept for ever."""

log = structlog.get_logger()


class Tidier:
    """Trims the journal behind the slowest reader, and minute candles that are old."""

    def __init__(self, journal: Journal, store: Store, clock: Clock) -> None:
        self._journal = journal
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Once an hour, until cancelled."""
        while True:
            await self.tidy()
            await asyncio.sleep(EVERY)

    async def tidy(self) -> None:
        """Trim to what is older than the retention and behind the newest checkpoint."""
        journal = self._journal

        def needed(tx: Tx) -> int:
            cursor = tx.cursor()
            if cursor is None or cursor.journal != journal.id:
                return 0
            found = tx.checkpoint(journal.id, CHECKPOINT_SCHEMA, cursor.seq)
            return 0 if found is None else found[0].seq

        behind = await self._store.run(needed)
        old = await journal.seek(self._clock.now() - KEEP_JOURNAL_MS)
        upto = min(behind, old)
        if upto > 0:
            await journal.trim(upto)
        now = self._clock.now()
        gone = await self._store.run(lambda tx: tx.trim_candles(MS["m"], now - KEEP_MINUTES_MS))
        if gone:
            log.info("minute candles trimmed", count=gone)
