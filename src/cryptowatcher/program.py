"""The pipeline's jobs over one journal and one store: started side by side, ended in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from random import Random

import structlog

from cryptowatcher.domain.backfill import Terms
from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.reaching import Setting
from cryptowatcher.domain.retention import Retention
from cryptowatcher.domain.status import Pulse
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.backfill import Backfill
from cryptowatcher.pipeline.beat import BEAT_EVERY, Beater
from cryptowatcher.pipeline.chat import Chatter
from cryptowatcher.pipeline.collect import Collector
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.pipeline.notify import Notifier
from cryptowatcher.pipeline.pacing import Pacer
from cryptowatcher.pipeline.pictures import Pictures
from cryptowatcher.pipeline.score import Scorer
from cryptowatcher.pipeline.summary import Summaries
from cryptowatcher.pipeline.switchboard import Directory, Opener, Switchboard
from cryptowatcher.pipeline.tidy import Tidier
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Channel, Clock, HistorySource, Journal, Source, Store, Traces
from cryptowatcher.ports.chats import ChatLine
from cryptowatcher.ports.pictures import Draw
from cryptowatcher.recall import Work, at_once
from cryptowatcher.supervise import Jobs

CATCH_UP_WITHIN = 5.0
"""Seconds that watch gets at a stop to reach the journal's head; the rest is caught up at the next start."""

Job = Callable[[], Coroutine[None, None, None]]

log = structlog.get_logger()


class Pipeline:
    """collect, watch, notify, tidy and beat over one journal and one store.

    setting:  what the configuration says of reaching people; None: all channels are the built-in owner's
    opener:   makes channels of what people add; None: nobody adds any
    history:  how to ask for what was not watched; None: not at all
    work:     how what takes long is done; draw: who draws pictures, None: nobody
    """

    def __init__(
        self,
        *,
        store: Store,
        journal: Journal,
        channels: Mapping[str, Channel],
        policies: Mapping[str, ChannelPolicy],
        sources: Sequence[Source],
        clock: Clock,
        random: Random,
        holder: str,
        setting: Setting | None = None,
        opener: Opener | None = None,
        beat_every: float = BEAT_EVERY,
        keep: Retention = Retention(),  # noqa: B008  it is frozen
        meters: Meters | None = None,
        traces: Traces | None = None,
        history: Terms | None = None,
        work: Work = at_once,
        draw: Draw | None = None,
        recovered: Callable[[], None] = lambda: None,
    ) -> None:
        self._history = history
        self._work = work
        self._recovered = recovered
        self._store = store
        self._journal = journal
        self._clock = clock
        self._random = random
        self._sources = tuple(sources)
        self._directory = Directory(setting or Setting(channels=tuple(channels)))
        self._traces = traces
        self.meters = meters or Meters()
        self._jobs = Jobs(self.meters.job_restarted)
        self._beater = Beater(journal, clock, every=beat_every, meters=self.meters)
        self._tidier = Tidier(journal, store, clock, keep=keep, trimmed=self.meters.trimmed)
        self._scorer = Scorer(store, clock)
        self._notifier = Notifier(
            store,
            channels,
            clock=clock,
            random=random,
            holder=holder,
            directory=self._directory,
            policies=policies,
            meters=self.meters,
            traces=traces,
            pictures=Pictures(store, draw) if draw else None,
        )
        lines = [channel for channel in channels.values() if isinstance(channel, ChatLine) and channel.listens]
        self._chatters = [self._new_chatter(line) for line in lines]
        self._summaries = Summaries(store, clock, self._directory, told=self._notifier.wake)
        self._switchboard = opener and Switchboard(
            store, self._directory, opener, self._notifier, changed=self._summaries.wake
        )
        self._watch = self._new_watch()

    def _new_chatter(self, line: ChatLine) -> Chatter:
        zone = self._directory.newest.setting.wishes.zone
        parts = self._store, self._journal, self._clock, self._random
        return Chatter(line, *parts, engine=lambda: self._watch.engine, zone=zone)

    def _new_watch(self) -> Watch:
        return Watch(
            self._journal,
            self._store,
            self._clock,
            directory=self._directory,
            queueing=self._notifier.wake,
            meters=self.meters,
            traces=self._traces,
            work=self._work,
        )

    @property
    def ready(self) -> bool:
        """Whether watch stands where it stood when the program ended before."""
        return self._watch.ready

    def pulse(self, metrics: str) -> Pulse:
        """How it is now."""
        return Pulse(at=self._clock.now(), metrics=metrics, troubles=self.troubles())

    def troubles(self) -> dict[str, str]:
        """Job → why it cannot go on now."""
        return self._jobs.troubles()

    async def run(
        self, stop: asyncio.Event, *, beside: Sequence[Job] = (), stopping: Callable[[], None] = lambda: None
    ) -> None:
        """All jobs side by side until `stop`; then in order: stop collecting, let watch reach the head, let
        notify end what it has in hand. What does not end in time is caught up at the next start.

        beside:   further jobs, ended last: the page is there as long as can be
        stopping: called when the end begins
        """
        keep = self._jobs.keep
        named = (source.name for source in self._sources)
        talking = {f"chat {chatter.name}": chatter.run for chatter in self._chatters}
        talking["summary"] = self._summaries.run
        boards = {"channels": self._switchboard.run} if self._switchboard else {}
        self.meters.expect_jobs("beat", "tidy", "score", "watch", "notify", *talking, *boards, *named)
        try:
            async with asyncio.TaskGroup() as group:
                start = group.create_task
                others = [start(job()) for job in beside]
                collects = [start(keep(s.name, partial(self._collect, s))) for s in self._sources]
                beat = start(keep("beat", self._beater.run))
                tidy = start(keep("tidy", self._tidier.run))
                score = start(keep("score", self._scorer.run))
                watch = start(keep("watch", self._follow))
                notify = start(keep("notify", self._notifier.run))
                switching = [start(keep(job, run)) for job, run in boards.items()]
                talks = [start(keep(job, run)) for job, run in talking.items()]
                await stop.wait()
                log.info("stopping")
                stopping()
                await _end(*collects, *talks, beat, tidy, score)
                await self._drain()
                await _end(watch)
                try:
                    await self._watch.close()
                except Unavailable as error:
                    log.warning("stopped without the last commit; the next start catches up", why=str(error))
                await _end(notify)
                await _end(*switching)
                await _end(*others)
        except BaseExceptionGroup as group_error:
            raise innermost(group_error) from group_error

    async def _collect(self, source: Source) -> None:
        pacer = Pacer(source.name, source.pace, self._store, self._clock, self._random)
        backfill = self._backfill(source, pacer)
        collector = Collector(
            source,
            self._journal,
            self._store,
            pacer,
            self._clock,
            meters=self.meters,
            traces=self._traces,
            backfill=backfill,
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(collector.run())
                group.create_task(collector.report())
                if backfill:
                    group.create_task(backfill.run())
        except BaseExceptionGroup as error:
            raise innermost(error) from error

    def _backfill(self, source: Source, pacer: Pacer) -> Backfill | None:
        if self._history is None or not isinstance(source, HistorySource):
            return None
        return Backfill(
            source,
            self._journal,
            self._store,
            pacer,
            self._clock,
            terms=self._history,
            looks=lambda: self._watch.looks(),
            schema=CHECKPOINT_SCHEMA,
            meters=self.meters,
        )

    async def _follow(self) -> None:
        # What was stepped and not committed is only in memory: after a failure begin from the store again.
        self._watch = self._new_watch()
        await self._watch.recover()
        self._recovered()
        await self._watch.follow()

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(CATCH_UP_WITHIN):
                head = await self._journal.head()
                while self._watch.position < head:  # noqa: ASYNC110  it is a bounded wait for another task
                    await asyncio.sleep(0.02)


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def innermost(error: BaseException) -> BaseException:
    """The one exception that matters of a group: the first that is not a group itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
