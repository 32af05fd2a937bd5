"""What health, metrics and the page ask of store and journal, gathered once with a deadline."""

from __future__ import annotations

import asyncio

import msgspec

from cryptowatcher.domain.deliveries import DeliveryState
from cryptowatcher.domain.status import SourceStatus
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Cursor, Journal, Trimmed, Tx
from cryptowatcher.web.deps import WebDeps


class JournalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`newest_at`: time of the newest record, epoch ms; None when there is none to read. `still_ms`: for how long
    this process has not seen it grow; None when it does not follow it (yet)."""

    id: str
    head: int
    newest_at: int | None
    still_ms: int | None = None


class StoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`next_due` is epoch ms of the earliest unfinished delivery; `observed_at` epoch ms of each known price."""

    cursor: Cursor | None
    sources: list[SourceStatus]
    outbox: dict[DeliveryState, int]
    next_due: int | None
    observed_at: list[int]
    alerts: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A part that could not be read is None, and `errors` says why in one word each."""

    now: int
    journal: JournalFacts | None
    store: StoreFacts | None
    errors: dict[str, str]

    @property
    def lag_records(self) -> int | None:
        """How many records watch has not come to; None when that cannot be known."""
        if self.journal is None or self.store is None:
            return None
        cursor = self.store.cursor
        if cursor is None or cursor.journal != self.journal.id:
            return self.journal.head
        return max(0, self.journal.head - cursor.seq)

    @property
    def lag_ms(self) -> int | None:
        """Journal time between watch's last record and the newest one; None when that cannot be known."""
        if self.lag_records == 0:
            return 0
        if self.journal is None or self.store is None or self.journal.newest_at is None:
            return None
        cursor = self.store.cursor
        if cursor is None or cursor.journal != self.journal.id:
            return None
        return max(0, self.journal.newest_at - cursor.at)


async def gather(deps: WebDeps) -> Facts:
    """Never raises for what store or journal do: that they cannot answer is a fact too."""
    errors: dict[str, str] = {}
    journal: JournalFacts | None = None
    store: StoreFacts | None = None
    try:
        async with asyncio.timeout(deps.limits.check_seconds):
            journal = await _journal(deps.journal, deps.hub.recorded_at)
    except Exception as error:  # whatever it is, health must say so instead of failing itself
        errors["journal"] = _word(error)
    try:
        async with asyncio.timeout(deps.limits.check_seconds):
            store = await deps.asked.run(_store)
    except Exception as error:  # as above
        errors["store"] = _word(error)
    return Facts(now=deps.clock.now(), journal=journal, store=store, errors=errors)


async def _journal(journal: Journal, recorded_at: float | None) -> JournalFacts:
    head = await journal.head()
    newest_at = None
    if head:
        try:
            newest = await journal.read(head - 1, 1)
            newest_at = newest[-1].at if newest else None
        except Trimmed:
            pass  # everything up to the head was tidied away: its time is not known any more
    still = None
    if recorded_at is not None:
        still = round((asyncio.get_running_loop().time() - recorded_at) * 1000)
    return JournalFacts(id=journal.id, head=head, newest_at=newest_at, still_ms=still)


def _store(tx: Tx) -> StoreFacts:
    return StoreFacts(
        cursor=tx.cursor(),
        sources=sorted(tx.source_statuses(), key=lambda status: status.source),
        outbox=tx.outbox_counts(),
        next_due=tx.next_due(),
        observed_at=[price.observed_at for price in tx.prices()],
        alerts=tx.alert_count(),
    )


def _word(error: Exception) -> str:
    """A stable word, nothing of the inside."""
    if isinstance(error, TimeoutError):
        return "timeout"
    return error.reason if isinstance(error, Unavailable) else "failed"
