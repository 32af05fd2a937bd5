"""A whole watcher on virtual time: the real pipeline on real files, with a source, channels and deaths that one
seed decides. The same seed gives the same history.

    history = simulate(seed=7, hours=24, folder=tmp_path, faults=Faults())
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import numpy as np

from cryptowatcher.adapters.journals.sqlite import SqliteJournal, open_sqlite_journal
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery, RetryPolicy
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.reaching import Setting, Wishes
from cryptowatcher.domain.records import Record
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleChange, RuleSpec, TakeUp
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.ports import Clock, Observations, Pace, Store, Tx
from cryptowatcher.program import Pipeline
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.virtual_time import VirtualClock

COINS = tuple(f"coin-{number}/usd" for number in range(12))
RULES = (
    RuleSpec(name="drop", pairs=("all",), when="change(5m) <= -2%"),
    RuleSpec(name="rise", pairs=("all",), when="change(10m) >= 3%", cooldown="30m", channels=("steady",)),
    RuleSpec(
        name="level",
        pairs=COINS[:3],
        when="price crosses above 100",
        rearm="1%",
        channels=("flaky",),
        remind="3m",
        escalate=("steady",),
    ),
    RuleSpec(name="held", pairs=COINS[3:6], when="price < 97", for_="5m"),
    RuleSpec(name="once", pairs=(COINS[6],), when="price > 101", repeat="once", fire_if_already_true=True),
)


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Chances, each for one call."""

    crash: float = 0.0
    """Of dying right before or right after a commit."""
    source: float = 0.0
    """Of a source that fails, hangs, lies or repeats itself."""
    channel: float = 0.0
    """Of a send that fails before or after it arrived, or hangs."""
    store: float = 0.0
    """Of a transaction that finds the disk full: nothing of it is done."""
    edits: float = 0.0
    """Of each rule being changed when a life begins, and of one being changed once a minute."""


class Crash(BaseException):
    """The process dies here."""


class _StartFailed(Exception):
    """The store could not be written while the program started."""


class Received(msgspec.Struct, frozen=True):
    """What a channel's other side got. `life` counts the process's lives."""

    id: str
    channel: str
    at: int
    life: int


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run left behind."""

    records: tuple[Record, ...]
    alerts: tuple[Alert, ...]
    deliveries: tuple[Delivery, ...]
    changes: tuple[RuleChange, ...]
    take_ups: tuple[TakeUp, ...]
    received: tuple[Received, ...]
    acknowledged: tuple[int, ...]
    crashes: int


class Market:
    """Prices as a function of (seed, time) alone: a random walk in steps of ten seconds."""

    def __init__(self, seed: int, hours: float) -> None:
        steps = int(hours * 360) + 360
        noise = np.random.default_rng(seed).standard_t(3, (steps, len(COINS))) * 0.0025
        self._log = np.cumsum(noise, axis=0)

    def prices(self, since_start_ms: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        row = min(since_start_ms // 10_000, len(self._log) - 1)
        walked: np.ndarray[tuple[int], np.dtype[np.float64]] = 100 * np.exp(np.tanh(self._log[row]))
        return walked


class MarketSource:
    """A source on the market that misbehaves by chance."""

    name = "market"
    pages = 1
    pace = Pace(every=60.0, valid_for=300_000, per_minute=5)

    def __init__(self, market: Market, clock: Clock, random: Random, faults: Faults) -> None:
        self._market = market
        self._clock = clock
        self._random = random
        self._faults = faults

    async def fetch(self, page: int) -> Observations:
        await asyncio.sleep(self._random.uniform(0.05, 0.5))
        observed = self._clock.now() // 10_000 * 10_000
        fault = self._random.choice(_SOURCE_FAULTS) if self._random.random() < self._faults.source else ""
        if fault == "unavailable":
            raise Unavailable("the market is away", reason="server_error")
        if fault == "limited":
            raise Unavailable("too many", reason="rate_limited", retry_after=self._random.choice([1.0, 90.0]))
        if fault == "hangs":
            await asyncio.sleep(10)
            raise Unavailable("no answer", reason="timeout")
        if fault == "stale":
            observed -= 3_600_000
        prices = self._market.prices(observed - virtual_time.START_MS)
        if fault == "absurd":
            prices = prices * 40_000
        if fault == "one absurd":
            prices[self._random.randrange(len(COINS))] *= 0.0001
        keep = [i for i in range(len(COINS)) if fault != "missing" or self._random.random() < 0.5]
        unseen = tuple((COINS[i], "missing") for i in range(len(COINS)) if i not in keep)
        unknown = np.full(len(keep), np.nan)
        return Observations(
            pairs=tuple(COINS[i] for i in keep),
            price=prices[keep],
            volume=unknown,
            market_cap=unknown,
            observed_at=np.full(len(keep), observed, np.int64),
            unseen=unseen,
            received_at=self._clock.now(),
        )


_SOURCE_FAULTS = ("unavailable", "limited", "hangs", "stale", "absurd", "one absurd", "missing")


class World:
    """One seed's world. The other sides (market, receivers) live on when the process dies."""

    def __init__(self, *, seed: int, hours: float, folder: Path, faults: Faults, summary: str = "") -> None:
        self.random = Random(seed)
        self.summary = summary
        self.market = Market(seed, hours)
        self.folder = folder
        self.faults = faults
        self.hours = hours
        self.life = 0
        self.received: list[Received] = []
        self.acknowledged: list[int] = []

    async def run(self) -> History:
        """All lives, until the hours are over and the last life ended in peace."""
        clock = VirtualClock()
        end = asyncio.get_running_loop().time() + self.hours * 3600
        while True:
            self.life += 1
            try:
                await self._live(clock, end)
            except (Crash, _StartFailed):
                await asyncio.sleep(self.random.uniform(0.5, 20))
                continue
            return await self._history(clock)

    async def _live(self, clock: VirtualClock, end: float) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with self._open(clock, self._inline()) as (store, journal):
            try:
                await self._save_rules(store, journal, clock)
            except Unavailable as error:  # a service manager would start it again
                raise _StartFailed from error
            pipeline = Pipeline(
                store=store,
                journal=_Acknowledging(journal, self.acknowledged),  # type: ignore[arg-type]  # by delegation
                channels={name: _Receiver(name, self, clock) for name in ("steady", "flaky")},
                policies=dict.fromkeys(("steady", "flaky"), _POLICY),
                sources=[MarketSource(self.market, clock, self.random, self.faults)],
                clock=clock,
                random=self.random,
                holder=f"life {self.life}",
                beat_every=15.0,
                setting=Setting(channels=("steady", "flaky"), wishes=Wishes(summary=self.summary)),
            )
            timer = loop.call_at(max(end, loop.time() + 1), stop.set)
            editing = asyncio.create_task(self._edit_now_and_then(store, journal, clock))
            try:
                await pipeline.run(stop)
            finally:
                timer.cancel()
                editing.cancel()

    def _inline(self) -> Inline:
        """Commits that take time, fail and kill. After a death nothing of that life is written any more, though
        its tasks are still unwinding: a real process would be gone."""
        dead = False

        async def after_commit() -> None:
            nonlocal dead
            await asyncio.sleep(self.random.expovariate(1000))
            dead = dead or self.random.random() < self.faults.crash
            if dead:
                raise Crash

        async def before_commit() -> None:
            await after_commit()
            if self.random.random() < self.faults.store:
                raise Unavailable("the disk is full", reason="disk_full")

        return Inline(before_commit=before_commit, after_commit=after_commit)

    @asynccontextmanager
    async def _open(self, clock: Clock, inline: Inline) -> AsyncIterator[tuple[Store, SqliteJournal]]:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_sqlite_store(self.folder / "store.db", inline=inline))
            journal = await stack.enter_async_context(
                open_sqlite_journal(
                    self.folder / "journal.db", clock=clock, inline=inline, new_id=lambda: "simulated"
                )
            )
            yield store, journal

    async def _save_rules(self, store: Store, journal: SqliteJournal, clock: Clock) -> None:
        """The rules; in later lives sometimes with an edit, a pause or a deletion."""
        head = await journal.head()
        for spec in RULES:
            if self.life > 1 and self.random.random() < self.faults.edits:
                spec = self._edited(spec)
            await store.run(
                lambda tx, spec=spec: tx.save_rule(LOCAL_OWNER, spec, head=head, now=clock.now())  # type: ignore[misc]
            )

    async def _edit_now_and_then(self, store: Store, journal: SqliteJournal, clock: Clock) -> None:
        """As an owner does, while everything runs."""
        while True:
            await asyncio.sleep(60)
            if self.random.random() >= self.faults.edits:
                continue
            spec = self._edited(self.random.choice(RULES))
            with contextlib.suppress(Unavailable, Crash):
                head = await journal.head()
                await store.run(
                    lambda tx, spec=spec, head=head: tx.save_rule(LOCAL_OWNER, spec, head=head, now=clock.now())  # type: ignore[misc]
                )

    def _edited(self, spec: RuleSpec) -> RuleSpec:
        def edited(**changed: object) -> RuleSpec:
            return msgspec.structs.replace(spec, **changed)

        return self.random.choice(
            [
                edited(cooldown="10m"),
                edited(rearm="0.5%"),
                edited(paused=True),
                edited(paused=False),
                edited(advice="buy"),
            ]
        )

    async def _history(self, clock: Clock) -> History:
        async with self._open(clock, Inline()) as (store, journal):

            def read(tx: Tx) -> tuple[list[Alert], list[Delivery], list[RuleChange], list[TakeUp]]:
                everything = 1_000_000
                return (
                    tx.alerts(LOCAL_OWNER, limit=everything),
                    tx.deliveries(LOCAL_OWNER, limit=everything),
                    tx.rule_changes(0),
                    tx.take_ups(),
                )

            alerts, deliveries, changes, take_ups = await store.run(read)
            records: list[Record] = []
            while found := await journal.read(records[-1].seq if records else 0):
                records += found
        return History(
            records=tuple(records),
            alerts=tuple(reversed(alerts)),
            deliveries=tuple(reversed(deliveries)),
            changes=tuple(changes),
            take_ups=tuple(take_ups),
            received=tuple(self.received),
            acknowledged=tuple(self.acknowledged),
            crashes=self.life - 1,
        )


_POLICY = ChannelPolicy(retry=RetryPolicy(give_up_after=6 * 3_600_000), deadline=20.0)


class _Acknowledging:
    """The journal, noting every head that was acknowledged to an appender."""

    def __init__(self, journal: SqliteJournal, heads: list[int]) -> None:
        self._journal = journal
        self._heads = heads

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    async def append(self, drafts: object) -> int:
        head = await self._journal.append(drafts)  # type: ignore[arg-type]  # as given
        self._heads.append(head)
        return head


class _Receiver:
    """A channel whose other side remembers what arrived, whatever its answer was."""

    def __init__(self, name: str, world: World, clock: Clock) -> None:
        self.name = name
        self._world = world
        self._clock = clock

    async def send(self, message: Message) -> str:
        random, chance = self._world.random, self._world.faults.channel
        await asyncio.sleep(random.uniform(0.01, 0.2))
        fault = random.random() < chance and self.name == "flaky"
        kind = random.choice(("before", "after", "hangs", "refuses"))
        if fault and kind == "before":
            raise Unavailable("not now", reason="server_error")
        if fault and kind == "refuses":
            raise Refused("no", reason="forbidden")
        self._world.received.append(Received(message.id, self.name, self._clock.now(), self._world.life))
        if fault and kind == "hangs":
            await asyncio.sleep(3600)
        if fault:
            raise Unavailable("broken pipe", reason="cut")
        return "ok"


def simulate(*, seed: int, hours: float, folder: Path, faults: Faults, summary: str = "") -> History:
    """Live through the hours of one seed on virtual time. The folder must be empty. `summary`: when the owner is
    told one; None: never."""
    return virtual_time.run(World(seed=seed, hours=hours, folder=folder, faults=faults, summary=summary).run)
