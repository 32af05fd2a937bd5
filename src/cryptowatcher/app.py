"""Composition: the only place where configuration, adapters and pipeline meet.

`run` is one command and two processes: the pipeline (collect, watch, notify) here, and `serve` (the page and
the API) as a child, so that previews and fan-out never delay a watch step.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import metadata
from random import Random
from typing import TYPE_CHECKING

import msgspec
import structlog

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.pictures import draw, warm_up
from cryptowatcher.adapters.push_keys import push_key_in
from cryptowatcher.adapters.runner import CommitMeter
from cryptowatcher.adapters.traces import open_traces
from cryptowatcher.adding import Opening, check_stored, setting_of, try_stored
from cryptowatcher.config import Config, name_of
from cryptowatcher.config.canary import life_begins
from cryptowatcher.config.kinds import Kinds
from cryptowatcher.configured import sync_defaults, sync_rules
from cryptowatcher.domain.accounts import link_path, link_to
from cryptowatcher.domain.canary import NAME as CANARY
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.findings import Told
from cryptowatcher.domain.messages import wording_of
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import Unavailable
from cryptowatcher.garbage import keep_for_good, look_rarely
from cryptowatcher.listening import Listening, asked_at
from cryptowatcher.pipeline.meters import LoopLag, Meters
from cryptowatcher.ports import Clock, Deps, Journal, Store, Tx
from cryptowatcher.ports.keys import PushKey
from cryptowatcher.program import Pipeline, innermost
from cryptowatcher.service import Service
from cryptowatcher.supervise import Child, Parent
from cryptowatcher.trying import Tried, try_channel

if TYPE_CHECKING:
    from cryptowatcher.web.deps import WebDeps
    from cryptowatcher.web.live import Hub
    from cryptowatcher.web.pulses import Pulses

STREAMS = 5_000
"""Live streams at once, if the system has descriptors for so many."""

PULSE_EVERY = 1.0
"""Seconds."""
METRICS_EVERY = 5
"""Pulses."""

log = structlog.get_logger()


def deps(config: Config, clock: Clock | None = None) -> Deps:
    """What adapters are opened with."""
    return Deps(
        clock=clock or SystemClock(),
        secret=config.secret_reader(os.environ),
        random=Random(),
        data_dir=config.data_dir,
        outbound=config.outbound,
        linked=partial(_linked, config),
        push_key=partial(_push_key, config),
    )


async def _linked(config: Config, channel: str) -> list[int]:
    """The chats that are linked to a channel, as the store says beside a pipeline or without one."""
    # A channel is tried where nothing has been stored yet, too.
    with contextlib.suppress(Unavailable):
        async with config.store.open(deps(config), readonly=True) as store:
            return await _linked_in(store, channel)
    return []


async def _linked_in(store: Store, channel: str) -> list[int]:
    return [link.chat for link in await store.run(lambda tx: tx.linked_chats(channel))]


async def _push_key(config: Config) -> PushKey:
    async with config.store.open(deps(config)) as store:
        return await push_key_in(store)


@asynccontextmanager
async def open_store(
    config: Config, *, clock: Clock | None = None, meter: CommitMeter | None = None
) -> AsyncIterator[Store]:
    """The configured store."""
    config.data_dir.mkdir(parents=True, exist_ok=True)
    async with config.store.open(deps(config, clock), meter=meter) as store:
        yield store


@asynccontextmanager
async def open_journal(
    config: Config, *, readonly: bool = False, clock: Clock | None = None, meter: CommitMeter | None = None
) -> AsyncIterator[Journal]:
    """The journal in the data folder."""
    path, clock = config.data_dir / "journal.db", clock or SystemClock()
    async with open_sqlite_journal(path, clock=clock, readonly=readonly, meter=meter) as journal:
        yield journal


async def run(config: Config, stop: asyncio.Event, page: Child, door: Listening, service: Service) -> None:
    """The whole program until `stop` is set, by whoever holds the data folder; `page` is `serve` in a process
    beside this one, listening at `door`. ConfigError when it cannot start as configured."""
    lag = LoopLag(SystemClock())
    async with open_pipeline(config, loop_lag=lag.worst) as pipeline:
        page_ready = asyncio.Event()
        beside = (
            partial(page.run, door.descriptors(), ready=page_ready.set, ended=pipeline.meters.page_restarted),
            partial(_tell_page, pipeline, page),
            partial(_tell_service, pipeline, page_ready, service),
            service.keep_alive,
            lag.run,
        )
        await pipeline.run(stop, beside=beside, stopping=service.stopping)


async def _tell_page(pipeline: Pipeline, page: Child) -> None:
    """Once a second how the pipeline is, whatever disks and databases do; until cancelled."""
    for number in itertools.count():
        # With a hundred channels the metrics take longer to write than a step may wait.
        metrics = await asyncio.to_thread(pipeline.meters.exposition) if number % METRICS_EVERY == 0 else ""
        page.tell(msgspec.json.encode(pipeline.pulse(metrics)) + b"\n")
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
        troubles = pipeline.troubles()
        if troubles != known:
            service.status(", ".join(f"{job}: {why}" for job, why in troubles.items()) or "watching")
            known = troubles
        await asyncio.sleep(PULSE_EVERY)


async def serve(
    config: Config,
    stop: asyncio.Event,
    door: Listening,
    parent: Parent | None = None,
    *,
    tell_link: Callable[[str], None] = lambda link: None,
) -> None:
    """The page and the API until `stop` is set, over the data of a pipeline that may or may not be running;
    `parent` tells how it is. While there is no account, `tell_link` is given a link that makes the first."""
    # The pipeline's process never needs these, and they are a third of its memory.
    from cryptowatcher.web import server
    from cryptowatcher.web.api import build
    from cryptowatcher.web.live import Hub, follow
    from cryptowatcher.web.pulses import Pulses

    clock = SystemClock()
    try:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_store(config, clock=clock))
            journal = await _journal_when_there(config, stack, stop, clock)
            if journal is None:
                return
            # Readers have a connection of their own, so that asking never waits for a writer; and the live stream
            # has one, so that it never waits for an answer to a long question.
            reads = await stack.enter_async_context(config.store.open(deps(config, clock), readonly=True))
            live = await stack.enter_async_context(config.store.open(deps(config, clock), readonly=True))
            await _tell_first_link(config, store, clock, door, tell_link)
            hub = Hub(secrets.token_hex(4))
            pulses, lag = Pulses(clock), LoopLag(clock)
            web = _for_page(
                config, clock, hub=hub, pulses=pulses, lag=lag, store=store, reads=reads, journal=journal
            )
            async with asyncio.TaskGroup() as group:
                start = group.create_task
                beside = [start(follow(journal, live, hub, clock=clock)), start(lag.run())]
                beside += [start(parent.follow(pulses.take))] if parent else []

                def started() -> None:
                    look_rarely()
                    if parent:
                        parent.ready()

                await server.serve(build(web), sockets=door.sockets, stop=stop, hub=hub, started=started)
                for task in beside:
                    task.cancel()
    except BaseExceptionGroup as error:
        raise innermost(error) from error


def _for_page(
    config: Config,
    clock: Clock,
    *,
    store: Store,
    reads: Store,
    journal: Journal,
    hub: Hub,
    pulses: Pulses,
    lag: LoopLag,
) -> WebDeps:
    """What the page is built from."""
    from cryptowatcher.web import server
    from cryptowatcher.web.deps import Limits, WebDeps

    kinds, kindness = Kinds(), config.owner.wishes().kindness
    mine = msgspec.structs.replace(deps(config, clock), push_key=partial(push_key_in, store))
    return WebDeps(
        store=store,
        reads=reads,
        journal=journal,
        clock=clock,
        hub=hub,
        limits=Limits(streams=server.room_for_streams(STREAMS), price_metrics=config.web.price_metrics),
        version=metadata.version("cryptowatcher"),
        channels=tuple(channel.name for channel in config.channels),
        try_channel=partial(_try_channel, config, clock),
        setting=setting_of(config, kinds),
        configured=tuple(kinds.stored(channel, owner=LOCAL_OWNER) for channel in config.channels),
        kinds=kinds,
        try_stored=partial(try_stored, kinds, mine, draw),
        check_channel=partial(check_stored, kinds, mine),
        wordings={c.name: wording_of(c.policy(), kindness) for c in config.channels},
        push_key=partial(push_key_in, store),
        hosts=config.web.hosts,
        open=config.web.open,
        data_dir=config.data_dir,
        store_file=getattr(config.store, "file", None),
        keep=config.keep.retention(),
        canary=config.canary.rounds(),
        versions=_versions(),
        examine=partial(_examine, config, clock),
        pulse=pulses.newest,
        past_hour=pulses.past_hour,
        pulse_age=pulses.age,
        loop_lag=lag.worst,
    )


def _versions() -> dict[str, str]:
    """Of what the data is kept by."""
    import apsw

    from cryptowatcher.adapters.stores.migrations import HEAD

    return {"SQLite": apsw.sqlite_lib_version(), "schema": HEAD}


def _examine(config: Config, clock: Clock) -> list[Told]:
    # Looked at seldom, so it is not kept in memory by everybody.
    from cryptowatcher.doctor import examine
    from cryptowatcher.doctor.findings import Case

    return list(examine(Case(config=config, clock=clock, environ=os.environ), offline=True))


async def _tell_first_link(
    config: Config, store: Store, clock: Clock, door: Listening, tell: Callable[[str], None]
) -> None:
    if config.web.open:
        return
    try:
        path = await store.run(lambda tx: first_link(tx, clock.now()))
    except Unavailable as error:  # the disk is full: the page must say so, and `users link` makes one later
        log.warning("no link for the first account could be made", reason=error.reason)
        return
    if path is not None:
        tell(address_of_page(config, door.port) + path)


def first_link(tx: Tx, now: int) -> str | None:
    """The path of a new link that makes the first account; the one before is good no more. None when there is an
    account."""
    if tx.has_users():
        return None
    secret = secrets.token_urlsafe(32)
    tx.add_link(link_to("setup", secret, now, role="admin"))
    return link_path(secret)


def address_of_page(config: Config, port: int) -> str:
    """Where a person reaches the page: what the configuration says, else on this machine."""
    host = asked_at(config.web.host)
    return config.owner.link.rstrip("/") or f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _try_channel(config: Config, clock: Clock, name: str) -> Tried:
    """It is opened anew for this: the one that is at work belongs to another process."""
    settings = next(channel for channel in config.channels if channel.name == name)
    return await try_channel(settings, deps(config, clock), owner=LOCAL_OWNER, draw=draw)


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


@asynccontextmanager
async def open_pipeline(config: Config, *, loop_lag: Callable[[], float]) -> AsyncIterator[Pipeline]:
    """Everything the pipeline needs, opened in order and closed in reverse. `loop_lag`: see LoopLag.worst."""
    mine = deps(config)
    meters = Meters(started_at=mine.clock.now(), loop_lag=loop_lag)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        store = await enter(open_store(config, clock=mine.clock, meter=meters.file("store")))
        journal = await enter(open_journal(config, clock=mine.clock, meter=meters.file("journal")))
        mine = msgspec.structs.replace(
            mine, linked=partial(_linked_in, store), push_key=partial(push_key_in, store)
        )
        kinds = Kinds()
        channels = {c.name: await enter(c.open(mine)) for c in config.channels}
        policies = {name_of(settings): settings.policy() for settings in config.channels}
        if any(policy.picture for policy in policies.values()):
            await warm_up()
        sources = [await enter(source.open(mine)) for source in config.sources]
        traces = await enter(open_traces(config.traces, version=metadata.version("cryptowatcher")))
        await sync_rules(store, journal, config.rules, mine.clock, lists=config.watchlists)
        await sync_defaults(store, journal, config.default_rules.rules, mine.clock)
        await sync_rules(store, journal, config.canary.rules, mine.clock, owner=SYSTEM_OWNER)
        if config.canary.enabled:
            since = await store.run(lambda tx: life_begins(tx, mine.clock.now()))
            came_round = meters.canary_came_round
            ping = await enter(config.canary.open_channel(mine, since=since, on_round_trip=came_round))
            channels[CANARY] = ping
            policies[CANARY] = config.canary.policy()
            sources.append(config.canary.open_source(mine, since=since))
        await store.run(lambda tx: tx.forget_sources([source.name for source in sources]))
        yield Pipeline(
            store=store,
            journal=journal,
            channels=channels,
            policies=policies,
            sources=sources,
            clock=mine.clock,
            random=mine.random,
            holder=secrets.token_hex(8),
            setting=setting_of(config, kinds),
            opener=Opening(kinds, mine),
            keep=config.keep.retention(),
            history=config.history.terms(),
            work=asyncio.to_thread,
            recovered=keep_for_good,
            draw=draw,
            meters=meters,
            traces=traces,
        )
