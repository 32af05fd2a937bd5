"""What health, metrics and the page ask of store and journal, gathered once with a deadline."""

from __future__ import annotations

import asyncio

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from cryptowatcher.domain.canary import NAME
from cryptowatcher.domain.deliveries import DeliveryState
from cryptowatcher.domain.rules.model import RuleState
from cryptowatcher.domain.status import Price, Pulse, SourceStatus
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Cursor, Journal, Store, Trimmed, Tx
from cryptowatcher.web.deps import WebDeps

COUNTS_FOR = 5.0
"""Seconds for which counts of whole tables are told again."""


class JournalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`newest_at`, `oldest_at`: times of the newest record and of the oldest that is kept, epoch ms; None when
    there is none to read. `still_ms`: for how long this process has not seen it grow; None when it does not follow
    it (yet)."""

    id: str
    head: int
    newest_at: int | None
    oldest_at: int | None = None
    still_ms: int | None = None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the store finds out only by going through whole tables. `observed_at`: epoch ms of each known price.
    `largest`: the newest of `prices` of the largest pairs by market cap, Limits.price_metrics of them."""

    outbox: dict[DeliveryState, int]
    alerts: int
    prices: list[Price]
    observed_at: list[int]
    largest: list[Price]
    rules: dict[RuleState, int]


class StoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`next_due` is epoch ms of the earliest unfinished delivery. `counts` may be COUNTS_FOR seconds old, the rest
    is of now."""

    cursor: Cursor | None
    sources: list[SourceStatus]
    counts: Counts
    next_due: int | None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A part that could not be read is None, and `errors` says why in one word each.

    pulse:     what the pipeline last said of itself; None where it never did
    pulse_age: seconds since then
    """

    now: int
    journal: JournalFacts | None
    store: StoreFacts | None
    errors: dict[str, str]
    pulse: Pulse | None = None
    pulse_age: float = 0.0

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


class RecentCounts:
    """The counts of some seconds ago, so that a probe each second costs little. One for an application."""

    def __init__(self) -> None:
        self._counts: Counts | None = None
        self._until = 0.0

    def known(self) -> Counts | None:
        """None when they are too old."""
        return self._counts if asyncio.get_running_loop().time() < self._until else None

    def keep(self, counts: Counts, *, began: float) -> None:
        """`began`: when they were asked for, in the event loop's time."""
        self._counts, self._until = counts, began + COUNTS_FOR


Recent = NamedDependency[SkipValidation[RecentCounts]]
"""How a route handler names them: `recent: Recent`."""


async def gather(deps: WebDeps, recent: RecentCounts) -> Facts:
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
            store = await _store(deps.asked, recent, largest=deps.limits.price_metrics)
    except Exception as error:  # as above
        errors["store"] = _word(error)
    return Facts(
        now=deps.clock.now(),
        journal=journal,
        store=store,
        errors=errors,
        pulse=deps.pulse(),
        pulse_age=deps.pulse_age(),
    )


async def _journal(journal: Journal, recorded_at: float | None) -> JournalFacts:
    head = await journal.head()
    newest_at = oldest_at = None
    if head:
        newest_at = await _time_after(journal, head - 1)
        oldest_at = await _time_after(journal, await journal.seek(0))
    still = None
    if recorded_at is not None:
        still = round((asyncio.get_running_loop().time() - recorded_at) * 1000)
    return JournalFacts(id=journal.id, head=head, newest_at=newest_at, oldest_at=oldest_at, still_ms=still)


async def _time_after(journal: Journal, position: int) -> int | None:
    """Of the record after a position; None when that was tidied away, so that its time is not known any more."""
    try:
        records = await journal.read(position, 1)
    except Trimmed:
        return None
    return records[0].at if records else None


async def _store(store: Store, recent: RecentCounts, *, largest: int) -> StoreFacts:
    known, began = recent.known(), asyncio.get_running_loop().time()

    def read(tx: Tx) -> StoreFacts:
        return StoreFacts(
            cursor=tx.cursor(),
            sources=sorted(tx.source_statuses(), key=lambda status: status.source),
            counts=known or _counts(tx, largest),
            next_due=tx.next_due(skip=(NAME,)),
        )

    facts = await store.run(read)
    if known is None:
        recent.keep(facts.counts, began=began)
    return facts


def _counts(tx: Tx, largest: int) -> Counts:
    prices = tx.prices()
    return Counts(
        outbox=tx.outbox_counts(),
        alerts=tx.alert_count(),
        prices=prices,
        observed_at=[price.observed_at for price in prices],
        largest=[price for price in prices[:largest] if price.market_cap is not None],
        rules=tx.rule_counts(),
    )


def _word(error: Exception) -> str:
    """A stable word, nothing of the inside."""
    if isinstance(error, TimeoutError):
        return "timeout"
    return error.reason if isinstance(error, Unavailable) else "failed"
