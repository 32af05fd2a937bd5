"""tidy: forget what nobody needs any more, so that the files do not grow for ever.

What is old is counted from the newest price that was seen, not from the clock: a price counts only while the
source's time and the wall clock agree, so a clock that is a year ahead for a while makes nothing old. While
nothing is seen, nothing but the journal's size makes anything go.

All of it may be done twice, or be cut short anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.records import Record, Ticks, Verdict
from cryptowatcher.domain.retention import Retention
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.ports import Clock, Journal, Slice, Store, Trimmed, Tx

EVERY = 3_600.0
_READ_AT_ONCE = 256


class Tidier:
    """Trims the journal behind the slowest reader, changes of rules that were made good long ago, old minute
    candles, and old alerts with their deliveries."""

    def __init__(
        self,
        journal: Journal,
        store: Store,
        clock: Clock,
        *,
        keep: Retention = Retention(),  # noqa: B008  it is frozen
        trimmed: Callable[[str, int], None] = lambda what, count: None,
    ) -> None:
        """`trimmed`: told of what went (`records`, `changes`, `candles` or `alerts`) and how many, never 0."""
        self._journal = journal
        self._store = store
        self._clock = clock
        self._keep = keep
        self._trimmed = trimmed
        self._canaries_upto = ""

    async def run(self) -> None:
        """Once an hour, until cancelled."""
        while True:
            await self.tidy()
            await asyncio.sleep(EVERY)

    async def tidy(self) -> None:
        """Everything that has become too old or too large."""
        now = await self._agreed_time()
        keep = self._keep
        await self._tidy_changes()
        await self._tidy_journal(now)
        await self._in_slices(
            "candles", lambda tx, after: tx.trim_candles(MS["m"], now - keep.minutes, after=after)
        )
        await self._in_slices("alerts", lambda tx, after: tx.trim_alerts(now - keep.alerts, after=after))
        self._canaries_upto = await self._in_slices(
            "alerts",
            lambda tx, after: tx.trim_alerts(now - keep.canary, after=after, owner=SYSTEM_OWNER),
            after=self._canaries_upto,  # the owner's alerts that lie between them are gone through once
        )

    async def _agreed_time(self) -> int:
        """The newest time that a source and our clock agreed upon, epoch ms; 0 before the first price."""
        prices = await self._store.run(lambda tx: tx.prices())
        return min(self._clock.now(), max((price.observed_at for price in prices), default=0))

    async def _tidy_changes(self) -> None:
        """What a rule was before it became something else, all of that before a record that is gone: no start asks
        for it. From a checkpoint behind the record both are in it, and from the journal's beginning only what
        became of the rule counts. (A start from a checkpoint before the record misses records anyway.) This comes
        before the journal is trimmed: so whoever stands beside a watcher and reads on from an older checkpoint has
        had an hour to do it."""
        gone = await self._journal_begins() - 1

        def trim(tx: Tx, _: str) -> Slice:
            cursor = tx.cursor()
            same = cursor is not None and cursor.journal == self._journal.id
            return tx.trim_changes(gone) if same else Slice(gone=0, upto="", more=False)

        await self._in_slices("changes", trim)

    async def _journal_begins(self) -> int:
        """The first record that still stands."""
        try:
            await self._journal.read(0, 1)
        except Trimmed as gone:
            return gone.oldest
        return 1

    async def _tidy_journal(self, now: int) -> None:
        """What is older than the retention or too much, but nothing that the newest checkpoint needs."""
        behind = await self._store.run(self._not_needed)
        await self._trim(min(behind, await self._too_old(now)))
        while await self._trim(min(behind, await self._journal.fit(self._keep.journal_size))):
            pass

    def _not_needed(self, tx: Tx) -> int:
        """The position of the newest checkpoint that a restart could load."""
        cursor = tx.cursor()
        if cursor is None or cursor.journal != self._journal.id:
            return 0
        found = tx.checkpoint(self._journal.id, CHECKPOINT_SCHEMA, cursor.seq)
        return 0 if found is None else found[0].seq

    async def _too_old(self, now: int) -> int:
        """Up to where records are older than the retention."""
        before = now - self._keep.journal
        upto = await self._journal.seek(before)
        oldest = await self._journal.read(upto, 1)
        if not oldest or oldest[0].at <= now:
            return upto
        # A clock that was ahead has stamped these with a time that is still to come, and all that followed with no
        # earlier one: what they observed says how old they are.
        position = upto
        while records := await self._journal.read(position, _READ_AT_ONCE):
            for record in records:
                seen = _newest_observation(record)
                if seen >= before:
                    return upto
                if seen:
                    upto = record.seq
            position = records[-1].seq
        return upto

    async def _trim(self, upto: int) -> int:
        gone = await self._journal.trim(upto) if upto > 0 else 0
        if gone:
            self._trimmed("records", gone)
        return gone

    async def _in_slices(self, what: str, trim: Callable[[Tx, str], Slice], *, after: str = "") -> str:
        """Transaction by transaction, so that watch never waits for all of it; returns how far it came."""
        while True:
            done = await self._store.run(lambda tx, after=after: trim(tx, after))  # type: ignore[misc]  # mypy: lambda default
            if done.gone:
                self._trimmed(what, done.gone)
            after = done.upto
            if not done.more:
                return after


def _newest_observation(record: Record) -> int:
    """The source's time, epoch ms; 0 for what observed nothing, or by our own clock alone."""
    match record.body:
        case Ticks(batch) | Verdict(batch, accepted=True) if batch.pairs != (CANARY,):
            return int(batch.observed_at.max(initial=0))
        case _:
            return 0
