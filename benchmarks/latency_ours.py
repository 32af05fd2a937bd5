"""The pipeline under bench_latency: rules restored from files, ticks from a socket, signed webhooks out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import psutil

from benchmarks.bench_start import fill
from benchmarks.latency_world import NAMES, SECRET, TRIP, Plan, Tick, exchange, heard, receiver, specs, usual
from cryptowatcher import logs
from cryptowatcher.adapters.channels.webhook import WebhookConfig
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.records import Draft, Ticks
from cryptowatcher.domain.rules.model import LOCAL_OWNER, rule_id
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.garbage import keep_for_good
from cryptowatcher.pipeline.collect import Collector
from cryptowatcher.pipeline.meters import LoopLag
from cryptowatcher.pipeline.pacing import Pacer
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Answer, Channel, Deps, Observations, Pace
from cryptowatcher.program import Pipeline
from cryptowatcher.testing.receiver import Received

BATCH = 0.02
"""Seconds: ticks are taken together at most that often."""
MINUTE = 60_000
HISTORY = 30 * MINUTE
PATIENCE = 120.0
"""Seconds that the last messages may take."""
STAGES = ("read from the socket", "batch begins", "journaled", "stepped", "committed", "claimed", "arrived")

Key = tuple[int, int]
"""A crossing tick: its pair's number, and when it was observed (epoch ms)."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One message: whether its tick is that of the burst, and when each of STAGES was over, ns. `sent`: when that
    left the exchange."""

    burst: bool
    sent: int
    stages: tuple[int, ...]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """cpu: share of a core that the process took while ticks came. lag: the event loop's worst, s."""

    seen: list[Seen]
    expected: int
    unsigned: int
    twice: int
    restored: float
    cpu: float
    lag: float
    batches: int
    memory: float


# --- before: rules, and half an hour of prices ------------------------------------------------------


class History:
    """ports.Clock that stands where it is told."""

    def __init__(self, now: int) -> None:
        self.at = now

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000


def prepare(folder: Path, plan: Plan) -> None:
    """Rules in the store, half an hour of prices of all pairs up to now, and a checkpoint that holds both."""
    with (folder / "log").open("a") as log:
        logs.set_up(stream=log)
        asyncio.run(_prepare(folder, plan))


async def _prepare(folder: Path, plan: Plan) -> None:
    new = not (folder / "store.db").exists()
    async with open_sqlite_store(folder / "store.db"):
        pass
    if new:
        fill(folder / "store.db", _rows(plan))
    now = SystemClock().now()
    clock = History(now - HISTORY)
    async with (
        open_sqlite_store(folder / "store.db") as store,
        open_sqlite_journal(folder / "journal.db", clock=clock) as journal,
    ):
        watch = Watch(journal, store, clock, channels=())
        await watch.recover()
        head = await journal.head()
        known = await journal.read(head - 1) if head else ()
        begin = max(known[-1].at if known else 0, now - HISTORY)
        for number, clock.at in enumerate(range(begin + MINUTE, now, MINUTE), 1):
            prices = one_instant(
                {name: usual(pair) for pair, name in enumerate(NAMES)}, observed_at=clock.at, source="exchange"
            )
            await journal.append([Draft("history", head + number, Ticks(prices))])
        while await watch.advance():
            pass
        await watch.close()


def _rows(plan: Plan) -> Iterable[tuple[str, str, str]]:
    """Id, name and text of each rule."""
    for spec in specs(plan):
        yield rule_id(LOCAL_OWNER, spec.name), spec.name, msgspec.json.encode(spec).decode()


# --- what is measured -----------------------------------------------------------------------------


class Stages:
    """ports.Traces that writes down when what was over: by answer, or by message."""

    def __init__(self, messages: int) -> None:
        """`messages`: how many there will be."""
        self.began: dict[int, int] = {}
        self.over: dict[str, dict[int, int]] = {"journal": {}, "watch": {}, "alert": {}}
        self.claimed: dict[str, int] = {}
        self.all_claimed = asyncio.Event()
        self._messages = messages

    def claim(self, message: str) -> None:
        """It is about to be sent, for the first time or again."""
        self.claimed.setdefault(message, time.monotonic_ns())
        if len(self.claimed) >= self._messages:
            self.all_claimed.set()

    def span(
        self,
        name: str,
        answer: Answer,
        began: int,
        ended: int,
        said: Mapping[str, str | int | float] | None = None,
        *,
        root: bool = False,
        error: str = "",
    ) -> None:
        if name in self.over:
            self.over[name][answer.received_at] = time.monotonic_ns()


class Noted:
    """A channel, and when it was called."""

    def __init__(self, channel: Channel, stages: Stages) -> None:
        self._channel = channel
        self._stages = stages

    @property
    def name(self) -> str:
        return self._channel.name

    async def send(self, message: Message) -> str:
        self._stages.claim(message.id)
        return await self._channel.send(message)


class Stream(asyncio.Protocol):
    """The exchange's ticks as they come in, each with when it was read. A source that is not asked."""

    pages = 1
    pace = Pace(every=60.0, valid_for=5 * MINUTE, per_minute=1)

    def __init__(self) -> None:
        self.name = f"exchange-{time.time_ns()}"  # the journal knows the numbers of those before
        self._decoder = msgspec.json.Decoder(Tick)
        self._tail = b""
        self._ticks: list[tuple[Tick, int]] = []
        self._come = asyncio.Event()
        self.ended = False
        self.crossing: dict[Key, int] = {}
        self._trips = [TRIP * usual(pair) for pair in range(len(NAMES))]

    async def fetch(self, page: int) -> Observations:
        """Nobody asks."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        whole, newline, tail = (self._tail + data).rpartition(b"\n")
        self._tail = tail
        ticks = self._decoder.decode_lines(whole) if newline else []
        for tick in ticks:
            self._ticks.append((tick, now))
            if tick.price >= self._trips[tick.pair]:
                self.crossing[tick.pair, tick.at] = now
        self._come.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._come.set()

    async def next(self) -> list[list[Tick]]:
        """What has come, as answers in which no pair occurs twice; empty at the end."""
        while not self._ticks and not self.ended:
            self._come.clear()
            await self._come.wait()
        ticks, self._ticks = self._ticks, []
        answers: list[list[Tick]] = []
        there: set[int] = set()
        for tick, _ in ticks:
            if not answers or tick.pair in there:
                answers.append([])
                there.clear()
            answers[-1].append(tick)
            there.add(tick.pair)
        return answers


def observations(ticks: Sequence[Tick], now: int) -> Observations:
    """As a source hands them over."""
    unknown = np.full(len(ticks), np.nan)
    return Observations(
        pairs=tuple(NAMES[tick.pair] for tick in ticks),
        price=np.asarray([tick.price for tick in ticks]),
        volume=unknown,
        market_cap=unknown,
        observed_at=np.asarray([tick.at for tick in ticks], np.int64),
        received_at=now,
    )


class Feed:
    """Ticks from the exchange to collect, in batches."""

    def __init__(self, port: int, collector: Collector, stream: Stream, stages: Stages) -> None:
        self._port = port
        self._collector = collector
        self._stream = stream
        self._stages = stages
        self.batches = 0
        self.cpu = 0.0

    async def run(self) -> None:
        """Until the exchange has sent all."""
        loop, stream = asyncio.get_running_loop(), self._stream
        transport, _ = await loop.create_connection(lambda: stream, "127.0.0.1", self._port)
        began, cpu, last = time.monotonic(), time.process_time(), 0
        while answers := await stream.next():
            next_at = time.monotonic() + BATCH
            for ticks in answers:
                last = max(last + 1, time.time_ns() // 1_000_000)  # times name answers here
                self._stages.began[last] = time.monotonic_ns()
                await self._collector.take(observations(ticks, last))
            self.batches += 1
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        self.cpu = (time.process_time() - cpu) / (time.monotonic() - began)
        transport.close()


def measure(folder: Path, plan: Plan) -> Result:
    """One life of the pipeline on these files. It logs as the program does, into a file."""
    with exchange(plan) as (port, sold), receiver() as (url, told):
        life = Life(plan, port, url)
        with (folder / "log").open("a") as log:
            logs.set_up(stream=log)
            asyncio.run(life.run(folder))
        sent: dict[Key, int] = sold.recv()
        return life.result(sent, heard(told))


class Life:
    """Restores, takes ticks until there are no more, and ends."""

    def __init__(self, plan: Plan, port: int, url: str) -> None:
        self._plan = plan
        self._url = url
        self._clock = SystemClock()
        self._stages = Stages(plan.messages)
        self._stream = Stream()
        self._lag = LoopLag(self._clock)
        self._port = port
        self._restored = 0.0

    async def run(self, folder: Path) -> None:
        """All of it."""
        clock, random = self._clock, Random(1)
        settings = WebhookConfig(name="hook", url=self._url, secret_variable="LATENCY_HOOK")
        mine = Deps(
            clock=clock,
            secret=lambda **_: SECRET,
            random=random,
            data_dir=folder,
            outbound=Outbound(allow=("127.0.0.0/8",)),
        )
        async with (
            open_sqlite_store(folder / "store.db") as store,
            open_sqlite_journal(folder / "journal.db", clock=clock) as journal,
            settings.open(mine) as channel,
        ):
            pipeline = Pipeline(
                store=store,
                journal=journal,
                channels={"hook": Noted(channel, self._stages)},
                policies={"hook": settings.policy()},
                sources=(),
                clock=clock,
                random=random,
                holder="latency",
                work=asyncio.to_thread,
                traces=self._stages,
                recovered=keep_for_good,
            )
            pacer = Pacer(self._stream.name, self._stream.pace, store, clock, random)
            collector = Collector(
                self._stream, journal, store, pacer, clock, meters=pipeline.meters, traces=self._stages
            )
            self._feed = Feed(self._port, collector, self._stream, self._stages)
            stop = asyncio.Event()
            beside = (partial(self._follow, pipeline, stop), collector.report, self._lag.run)
            await pipeline.run(stop, beside=beside)

    async def _follow(self, pipeline: Pipeline, stop: asyncio.Event) -> None:
        began = time.monotonic()
        while not pipeline.ready:  # noqa: ASYNC110  it is a start, once
            await asyncio.sleep(0.05)
        self._restored = time.monotonic() - began
        await self._feed.run()
        self.worst = self._lag.worst()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._stages.all_claimed.wait()
        stop.set()

    def result(self, sent: Mapping[Key, int], received: Sequence[Received]) -> Result:
        """What was seen of each message."""
        seen: list[Seen] = []
        ids: set[str] = set()
        for message in received:
            data = json.loads(message.body)["data"]
            pair, answer = int(data["pair"].partition("/")[0].removeprefix("coin-")), data["received_at"]
            key, over = (pair, data["event_time"]), self._stages.over
            if key not in sent:  # left from another life
                continue
            stages = (
                self._stream.crossing[key],
                self._stages.began[answer],
                over["journal"][answer],
                over["watch"][answer],
                over["alert"][answer],
                self._stages.claimed[message.id],
                message.at,
            )
            ids.add(message.id)
            seen.append(Seen(burst=pair == 0, sent=sent[key], stages=stages))
        return Result(
            seen=seen,
            expected=self._plan.messages,
            unsigned=sum(not message.verified for message in received),
            twice=len(seen) - len(ids),
            restored=self._restored,
            cpu=self._feed.cpu,
            lag=self.worst,
            batches=self._feed.batches,
            memory=psutil.Process().memory_info().rss / 1e6,
        )
