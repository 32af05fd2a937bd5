"""collect: ask a source as often as its budget allows, judge what it says, and journal what counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import numpy as np
import structlog
from structlog.contextvars import bind_contextvars

from cryptowatcher.domain.quality import Judge, Judgement
from cryptowatcher.domain.records import Body, Draft, Held, Ticks, Verdict
from cryptowatcher.domain.sight import Sight, with_budget
from cryptowatcher.domain.status import SourceStatus
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.pipeline.backfill import Backfill
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.pipeline.pacing import Pacer
from cryptowatcher.ports import Answer, Clock, Journal, Observations, Source, Store, Traces, Trimmed

MEMORY_MS = 3_600_000
"""How far back the guard reads the journal at start; it is there that held prices stand."""
MAX_ROWS = 500
"""Rows in one record, so that it stays well below the journal's limit of 512 KB whatever the names."""

log = structlog.get_logger()


class Collector:
    """One source. `run` and `report` go on until cancelled."""

    def __init__(
        self,
        source: Source,
        journal: Journal,
        store: Store,
        pacer: Pacer,
        clock: Clock,
        *,
        meters: Meters | None = None,
        traces: Traces | None = None,
        backfill: Backfill | None = None,
    ) -> None:
        """`backfill`: is told of the source's pairs."""
        self._backfill = backfill
        self._source = source
        self._journal = journal
        self._store = store
        self._pacer = pacer
        self._clock = clock
        self._meters = meters or Meters()
        self._meters.expect_source(source.name)
        self._traces = traces
        self._judge = Judge()
        self._sight = Sight(source.name, valid_for=source.pace.valid_for, now=clock.now())
        self._writer = f"collect:{source.name}"
        self._number = 0
        self._known: tuple[str, str] = ("", "")

    async def run(self) -> None:
        """Rounds for ever. What a source does wrong ends up in its status, never in an exception."""
        await self._recall()
        await self._pacer.load()
        while True:
            await self._round()

    async def report(self) -> None:
        """Keep the source's status row current: a second after a change or an answer, else every ten seconds."""
        saved: SourceStatus | None = None
        saved_at = 0.0
        while True:
            status = self.status()
            due = self._clock.monotonic() - saved_at >= 10
            if saved is None or due or _headline(status) != _headline(saved):
                await self._save(status)
                saved, saved_at = status, self._clock.monotonic()
            await asyncio.sleep(1)

    def status(self) -> SourceStatus:
        """The source as it stands now."""
        pacer = self._pacer
        status = self._sight.status(self._clock.now())
        if self._backfill:
            status = msgspec.structs.replace(status, history=self._backfill.words())
        return with_budget(
            status,
            next_call_at=pacer.next_call_at,
            minute=(pacer.calls_this_minute, pacer.per_minute),
            month=(pacer.calls_this_month, pacer.per_month),
        )

    async def _save(self, status: SourceStatus) -> None:
        await self._store.run(lambda tx: tx.save_source_status(status))
        self._log_change(status)

    async def _recall(self) -> None:
        """The guard's memory: the store's last prices, then what the journal says of the last hour."""
        for price in await self._store.run(lambda tx: tx.prices()):
            if price.source == self._source.name:
                self._judge.anchor(price.pair, price.price, price.observed_at)
                if self._backfill:
                    self._backfill.anchor(price)
        self._number = await self._journal.last_number(self._writer)
        position = await self._journal.seek(self._clock.now() - MEMORY_MS)
        while True:
            try:
                records = await self._journal.read(position)
            except Trimmed as gone:
                position = gone.oldest - 1
                continue
            if not records:
                return
            for record in records:
                if record.writer == self._writer:
                    self._judge.recall(record)
            position = records[-1].seq

    async def _round(self) -> None:
        for page in range(self._source.pages):
            await self._pacer.turn(first=page == 0)
            # What is said of this call can be found again by the records it leads to, and their alerts.
            bind_contextvars(call=f"{self._writer}#{self._number + 1}")
            try:
                observations = await self._ask(page)
            except (Unavailable, Refused) as error:
                await self._pacer.failed(error)
                self._sight.failed(error.reason, str(error))
                return
            accepted = await self.take(observations)
            await self._pacer.answered(ok=accepted)
        self._pacer.round_over()
        self._sight.round_over(self._clock.now())

    async def _ask(self, page: int) -> Observations:
        name, began, at = self._source.name, self._clock.monotonic(), self._clock.now()
        try:
            observations = await self._source.fetch(page)
        except (Unavailable, Refused) as error:
            self._meters.asked(name, error.reason, self._clock.monotonic() - began)
            raise
        self._meters.asked(name, "ok", self._clock.monotonic() - began)
        if self._traces:
            answer = Answer(name, observations.received_at)
            self._traces.span("ask", answer, at, self._clock.now(), {"page": page}, root=True)
        return observations

    async def take(self, observations: Observations) -> bool:
        """Judge one answer and journal it, one at a time. Whether anything in it could be used."""
        batch = as_batch(observations, self._source)
        judgement = self._judge.judge(batch)
        began = self._clock.now()
        await self._append(judgement.bodies)
        self._tell(judgement.bodies)
        seen = [name for body in judgement.bodies if isinstance(body, Ticks) for name in body.batch.names()]
        unseen = [*observations.unseen, *judgement.rejected, *_held_pairs(judgement.bodies)]
        now = self._clock.now()
        self._meters.accepted(batch.source, judgement.accepted, (now - batch.received_at) / 1000)
        self._meters.rejected(batch.source, (reason for _, reason in unseen))
        if self._traces:
            said = {"accepted": judgement.accepted, "rejected": len(unseen)}
            self._traces.span("journal", Answer(batch.source, batch.received_at), began, now, said)
        self._sight.saw(seen, unseen, held=self._judge.held, now=now)
        self._log_held(judgement)
        # An answer that only repeats what is known is a good answer.
        return bool(judgement.accepted or any(reason == "unchanged" for _, reason in judgement.rejected))

    def _tell(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            if self._backfill and (isinstance(body, Ticks) or (isinstance(body, Verdict) and body.accepted)):
                self._backfill.saw(body.batch)

    async def _append(self, bodies: Sequence[Body]) -> None:
        """All of an answer in one append: durable together, with one sync of the disk."""
        drafts = []
        for body in bodies:
            for part in split(body):
                self._number += 1
                drafts.append(Draft(self._writer, self._number, part))
        if drafts:
            await self._journal.append(drafts)

    def _log_change(self, status: SourceStatus) -> None:
        headline = (status.state, status.reason)
        if headline == self._known:
            return
        self._known = headline
        write = log.info if status.state in ("ok", "starting") else log.warning
        write("source", source=status.source, state=status.state, reason=status.reason, detail=status.detail)

    def _log_held(self, judgement: Judgement) -> None:
        for body in judgement.bodies:
            if isinstance(body, Held):
                pairs = body.batch.names()
                log.warning("prices held", reason=body.reason, pairs=pairs[:5], count=len(pairs))
            elif isinstance(body, Verdict):
                outcome = "accepted" if body.accepted else "dropped"
                log.info("held prices judged", outcome=outcome, count=len(body.batch), why=body.evidence)


def as_batch(observations: Observations, source: Source) -> TickBatch:
    """An answer as one instant of ticks, not judged yet."""
    return TickBatch(
        source=source.name,
        pairs=observations.pairs,
        pair=np.arange(len(observations.pairs), dtype=np.int64),
        price=observations.price,
        volume=observations.volume,
        market_cap=observations.market_cap,
        observed_at=observations.observed_at,
        starts=np.zeros(1, np.int64),
        received_at=observations.received_at,
        valid_for=source.pace.valid_for,
    )


def split(body: Body) -> Sequence[Body]:
    """A body in parts that fit a record."""
    if not isinstance(body, Ticks | Held | Verdict) or len(body.batch) <= MAX_ROWS:
        return (body,)
    rows = range(0, len(body.batch), MAX_ROWS)
    parts = [body.batch.rows(slice(first, first + MAX_ROWS)).compact() for first in rows]
    return [msgspec.structs.replace(body, batch=part) for part in parts]


def _held_pairs(bodies: Sequence[Body]) -> list[tuple[str, str]]:
    return [(name, "held") for body in bodies if isinstance(body, Held) for name in body.batch.names()]


def _headline(status: SourceStatus) -> tuple[object, ...]:
    """What makes a status worth writing at once."""
    return status.state, status.reason, status.held, status.last_ok_at, status.blind_pairs
