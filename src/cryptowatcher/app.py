"""Composition: the only place where configuration, adapters and pipeline meet.

`run` is one command and two processes: the pipeline (collect, watch, notify) here, and `serve` (the page and
the API) as a child, so that previews and fan-out never delay a watch step.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import metadata
from random import Random

import msgspec
import structlog

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.config import Config, name_of
from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.domain.status import Pulse
from cryptowatcher.errors import Unavailable
from cryptowatcher.listening import Listening
from cryptowatcher.pipeline.beat import BEAT_EVERY, Beater
from cryptowatcher.pipeline.collect import Collector
from cryptowatcher.pipeline.notify import Notifier
from cryptowatcher.pipeline.pacing import Pacer
from cryptowatcher.pipeline.tidy import Tidier
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Channel, Clock, Deps, Journal, Source, Store, Tx
from cryptowatcher.service import Service
from cryptowatcher.supervise import Child, Jobs, Parent

CATCH_UP_WITHIN = 5.0
"""Seconds that watch gets at a stop to reach the journal's head; the rest is caught up at the next start."""

STREAMS = 5_000
"""Live streams at once, if the system has descriptors for so many."""

PULSE_EVERY = 1.0
"""Seconds."""

Job = Callable[[], Coroutine[None, None, None]]

log = structlog.get_logger()


def deps(config: Config, clock: Clock | None = None) -> Deps:
    """What adapters are opened with."""
    return Deps(
        clock=clock or SystemClock(),
        secret=config.secret_reader(os.environ),
        random=Random(),
        data_dir=config.data_dir,
    )


@asynccontextmanager
async def open_store(config: Config, *, clock: Clock | None = None) -> AsyncIterator[Store]:
    """The configured store."""
    config.data_dir.mkdir(parents=True, exist_ok=True)
    async with config.store.open(deps(config, clock)) as store:
        yield store


@asynccontextmanager
async def open_journal(
    config: Config, *, readonly: bool = False, clock: Clock | None = None
) -> AsyncIterator[Journal]:
    """The journal in the data folder."""
    path = config.data_dir / "journal.db"
    async with open_sqlite_journal(path, clock=clock or SystemClock(), readonly=readonly) as journal:
        yield journal


async def run(config: Config, stop: asyncio.Event, page: Child, door: Listening, service: Service) -> None:
    """The whole program until `stop` is set, by whoever holds the data folder; `page` is `serve` in a process
    beside this one, listening at `door`. ConfigError when it cannot start as configured."""
    async with open_pipeline(config) as pipeline:
        page_ready = asyncio.Event()
        beside = (
            partial(page.run, door.descriptors(), ready=page_ready.set),
            partial(_tell_page, pipeline, page),
            partial(_tell_service, pipeline, page_ready, service),
            service.keep_alive,
        )
        await pipeline.run(stop, beside=beside, stopping=service.stopping)


async def _tell_page(pipeline: Pipeline, page: Child) -> None:
    """Once a second how the pipeline is, whatever disks and databases do; until cancelled."""
    while True:
        page.tell(msgspec.json.encode(pipeline.pulse()) + b"\n")
        await asyncio.sleep(PULSE_EVERY)


async def _tell_service(pipeline: Pipeline, page_ready: asyncio.Event, service: Service) -> None:
    """That it is ready: watch stands where it stood, and the page answers. Then what troubles it; until cancelled.
    It does not wait for a first price: with little budget that may be minutes away."""
    await page_ready.wait()
    while not pipeline.ready:  # noqa: ASYNC110  it is a wait of some milliseconds, once
        await asyncio.sleep(0.05)
    service.ready("watching")
    known: Mapping[str, str] = {}
    while True:
        troubles = pipeline.pulse().troubles
        if troubles != known:
            service.status(", ".join(f"{job}: {why}" for job, why in troubles.items()) or "watching")
            known = troubles
        await asyncio.sleep(PULSE_EVERY)


async def serve(config: Config, stop: asyncio.Event, door: Listening, parent: Parent | None = None) -> None:
    """The page and the API until `stop` is set, over the data of a pipeline that may or may not be running;
    `parent` tells how it is."""
    # The pipeline's process never needs these, and they are a third of its memory.
    from cryptowatcher.web import server
    from cryptowatcher.web.api import build
    from cryptowatcher.web.deps import Limits, WebDeps
    from cryptowatcher.web.live import Hub, follow

    clock = SystemClock()
    try:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_store(config, clock=clock))
            journal = await _journal_when_there(config, stack, stop, clock)
            if journal is None:
                return
            # Readers have a connection of their own, so that asking never waits for a writer.
            reads = await stack.enter_async_context(config.store.open(deps(config, clock), readonly=True))
            hub = Hub(secrets.token_hex(4))
            web = WebDeps(
                store=store,
                reads=reads,
                journal=journal,
                clock=clock,
                hub=hub,
                limits=Limits(streams=server.room_for_streams(STREAMS)),
                version=metadata.version("cryptowatcher"),
                channels=tuple(channel.name for channel in config.channels),
                hosts=config.web.hosts,
            )
            async with asyncio.TaskGroup() as group:
                following = group.create_task(follow(journal, reads, hub, owner=LOCAL_OWNER))
                hearing = group.create_task(parent.follow(lambda line: None)) if parent else None
                started = parent.ready if parent else lambda: None
                await server.serve(build(web), sockets=door.sockets, stop=stop, hub=hub, started=started)
                following.cancel()
                if hearing:
                    hearing.cancel()
    except BaseExceptionGroup as error:
        raise _innermost(error) from error


async def _journal_when_there(
    config: Config, stack: AsyncExitStack, stop: asyncio.Event, clock: Clock
) -> Journal | None:
    """The journal, as soon as a pipeline has made it; None when asked to stop before that."""
    while not stop.is_set():
        with contextlib.suppress(Unavailable):
            return await stack.enter_async_context(open_journal(config, readonly=True, clock=clock))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.05)
    return None


async def sync_rules(store: Store, journal: Journal, rules: Sequence[RuleSpec], clock: Clock) -> None:
    """Make the store's configured rules those of the configuration: changed ones change, absent ones go."""
    head = await journal.head()

    def save(tx: Tx) -> None:
        wanted = {rule.name for rule in rules}
        for rule in tx.rules(LOCAL_OWNER):
            if rule.origin == "config" and rule.spec.name not in wanted:
                tx.remove_rule(LOCAL_OWNER, rule.id, head=head, now=clock.now())
        for spec in rules:
            tx.save_rule(LOCAL_OWNER, spec, head=head, now=clock.now(), origin="config")

    await store.run(save)


@asynccontextmanager
async def open_pipeline(config: Config, clock: Clock | None = None) -> AsyncIterator[Pipeline]:
    """Everything the pipeline needs, opened in order and closed in reverse."""
    mine = deps(config, clock)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(config, clock=mine.clock))
        journal = await stack.enter_async_context(open_journal(config, clock=mine.clock))
        channels = {c.name: await stack.enter_async_context(c.open(mine)) for c in config.channels}
        sources = [await stack.enter_async_context(source.open(mine)) for source in config.sources]
        await sync_rules(store, journal, config.rules, mine.clock)
        await store.run(lambda tx: tx.forget_sources([source.name for source in sources]))
        yield Pipeline(
            store=store,
            journal=journal,
            channels=channels,
            policies={name_of(settings): settings.policy() for settings in config.channels},
            sources=sources,
            clock=mine.clock,
            random=mine.random,
            holder=secrets.token_hex(8),
        )


class Pipeline:
    """collect, watch, notify, tidy and beat over one journal and one store."""

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
        beat_every: float = BEAT_EVERY,
    ) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._random = random
        self._beat_every = beat_every
        self._sources = tuple(sources)
        self._channels = tuple(channels)
        self._notifier = Notifier(store, channels, clock=clock, random=random, holder=holder, policies=policies)
        self._jobs = Jobs()
        self._watch = self._new_watch()

    def _new_watch(self) -> Watch:
        return Watch(
            self._journal,
            self._store,
            self._clock,
            channels=self._channels,
            committed=self._notifier.wake,
        )

    @property
    def ready(self) -> bool:
        """Whether watch stands where it stood when the program ended before."""
        return self._watch.ready

    def pulse(self) -> Pulse:
        """How it is now."""
        return Pulse(at=self._clock.now(), troubles=self._jobs.troubles())

    async def run(
        self, stop: asyncio.Event, *, beside: Sequence[Job] = (), stopping: Callable[[], None] = lambda: None
    ) -> None:
        """All jobs side by side until `stop`; then in order: stop collecting, let watch reach the head, let
        notify end what it has in hand. What does not end in time is caught up at the next start.

        beside:   further jobs, ended last: the page is there as long as can be
        stopping: called when the end begins
        """
        keep = self._jobs.keep
        try:
            async with asyncio.TaskGroup() as group:
                start = group.create_task
                others = [start(job()) for job in beside]
                collects = [start(keep(s.name, partial(self._collect, s))) for s in self._sources]
                beat = start(keep("beat", Beater(self._journal, self._clock, every=self._beat_every).run))
                tidy = start(keep("tidy", Tidier(self._journal, self._store, self._clock).run))
                watch = start(keep("watch", self._follow))
                notify = start(keep("notify", self._notifier.run))
                await stop.wait()
                log.info("stopping")
                stopping()
                await _end(*collects, beat, tidy)
                await self._drain()
                await _end(watch)
                try:
                    await self._watch.close()
                except Unavailable as error:
                    log.warning("stopped without the last commit; the next start catches up", why=str(error))
                await _end(notify, *others)
        except BaseExceptionGroup as group_error:
            raise _innermost(group_error) from group_error

    async def _collect(self, source: Source) -> None:
        pacer = Pacer(source.name, source.pace, self._store, self._clock, self._random)
        collector = Collector(source, self._journal, self._store, pacer, self._clock)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(collector.run())
                group.create_task(collector.report())
        except BaseExceptionGroup as error:
            raise _innermost(error) from error

    async def _follow(self) -> None:
        # What was stepped and not committed is only in memory: after a failure begin from the store again.
        self._watch = self._new_watch()
        await self._watch.run()

    async def _drain(self) -> None:
        head = await self._journal.head()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_WITHIN):
                while self._watch.position < head:  # noqa: ASYNC110  it is a bounded wait for another task
                    await asyncio.sleep(0.02)


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _innermost(error: BaseException) -> BaseException:
    """The one exception that matters of a group: the first that is not a group itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
