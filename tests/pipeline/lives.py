"""Lives of the real Watch: one after another on the same journal and store, each until it ends somehow."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Literal, NoReturn, get_args

import msgspec

from cryptowatcher.domain.alerts import Alert, AlertKind, NoticeKind
from cryptowatcher.domain.deliveries import delivery_id
from cryptowatcher.domain.intervals import INTERVALS
from cryptowatcher.domain.records import Draft
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleChange, TakeUp
from cryptowatcher.domain.watcher import Watcher
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Fenced, Journal, Store, Tx
from tests.domain.journals import CROWD, PAIRS, Journey
from tests.pipeline.inline import Around, Hands, Reading, all_records, opened, save_change

OWNER = LOCAL_OWNER
CHANNELS = ("first", "second")
EVER = 2**62
OF_RULES: tuple[AlertKind | NoticeKind, ...] = (*get_args(AlertKind), "resolved")
"""What rules say."""


class Killed(BaseException):
    """The process ends here, and nothing of it is left but what is durable."""


class Outcome(msgspec.Struct, frozen=True):
    """All that must not depend on how it came about; each as bytes, by its key."""

    alerts: dict[str, bytes]
    deliveries: tuple[str, ...]
    lifecycle: dict[str, bytes]
    firings: dict[str, bytes]
    candles: dict[str, bytes]
    prices: dict[str, bytes]
    take_ups: tuple[tuple[int, int], ...]


def by_key(rows: list[msgspec.Struct], *key: str) -> dict[str, bytes]:
    """Rows as JSON; of two with the same key the later."""
    return {" ".join(str(getattr(row, name)) for name in key): msgspec.json.encode(row) for row in rows}


async def kept(store: Store) -> Outcome:
    """What stands in the store."""

    def read(tx: Tx) -> Outcome:
        candles = [
            candle
            for pair in (*PAIRS, *CROWD)
            for interval in INTERVALS.values()
            for candle in tx.candles(pair, interval, start=0, end=EVER, limit=EVER)
        ]
        return Outcome(
            alerts=by_key([*tx.alerts(OWNER, limit=EVER, kinds=OF_RULES)], "id"),
            deliveries=tuple(sorted(delivery.id for delivery in tx.deliveries(OWNER, limit=EVER))),
            lifecycle=by_key([*tx.lifecycle()], "rule", "pair"),
            firings=by_key([*tx.firings()], "rule", "pair"),
            candles=by_key([*candles], "pair", "interval", "start"),
            prices=by_key([*tx.prices()], "pair"),
            take_ups=tuple((taken.number, taken.seq) for taken in tx.take_ups()),
        )

    return await store.run(read)


async def straight(store: Store, journal: Journal, positions: dict[int, int]) -> Outcome:
    """One watcher over the whole journal, which takes each change up at its position."""
    watcher = Watcher()
    for change in await store.run(lambda tx: tx.rule_changes(0)):
        watcher.take_up(change, positions[change.number])
    for record in await all_records(journal):
        watcher.step(record)
    effects = watcher.effects()
    told = [*effects.alerts, *effects.notices]
    deliveries = (delivery_id(alert.id, channel) for alert in told for channel in channels_of(alert))
    return Outcome(
        alerts=by_key([*effects.alerts], "id"),
        deliveries=tuple(sorted(deliveries)),
        lifecycle=by_key([*effects.lifecycle], "rule", "pair"),
        firings=by_key([*effects.firings], "rule", "pair"),
        candles=by_key([*effects.candles], "pair", "interval", "start"),
        prices=by_key([*effects.prices], "pair"),
        take_ups=tuple((taken.number, taken.seq) for taken in effects.take_ups),
    )


def channels_of(alert: Alert) -> set[str]:
    """Where it goes; "" stands for where alerts go whose rule names none."""
    named = set(alert.channels or ("",))
    return named - {""} | set(CHANNELS if "" in named else ())


class World:
    """What outlives a process: what is still to come, the clock, and what owners have saved.

    bounds: change → the earliest and the latest position it may count from. Both are the head at which it was
            saved; where watch was beyond that, the cursor, and how far watch had stepped without a commit.
    """

    def __init__(self, journey: Journey, random: Random, *, trouble: float) -> None:
        self.random = random
        self.trouble = trouble
        self.clock = Hands(journey.records[0].at)
        self.records = deque(journey.records)
        self.changes = deque(journey.changes)
        self.bounds: dict[int, tuple[int, int]] = {}
        self.pauses = random.choice(((0.0,), (0.0, 0.4, 1.5), (0.0, 1.5, 70.0)))

    def chance(self, of: float) -> bool:
        return self.random.random() < of


class Process:
    """One process, from its start to a stop or a sudden end. It also appends and saves rules, as others would."""

    def __init__(self, world: World, store: Store, journal: Journal, around: Around) -> None:
        self._world = world
        self._store = store
        self._journal = Reading(journal)
        self._at_work = False  # watch is: only then something goes wrong
        self._former: Watch | None = None
        self._watch = self._new_watch()
        around.before = lambda: self._go_wrong(Unavailable("busy", reason="busy"))
        around.after = self._go_wrong
        self._journal.before_read = lambda: self._go_wrong(Unavailable("busy", reason="busy"))
        self._journal.after_read = self._beside
        self._journal.most = lambda: world.random.choice((1, 1, 2, 3, 8))

    async def run(self, acts: int) -> None:
        """So many acts of everybody in any order; then a stop or a kill."""
        world = self._world
        everybody = (self._append, self._save, self._follow, self._follow, self._checkpoint, self._take_over)
        with contextlib.suppress(Killed):
            await self._watching("recover")
            for _ in range(acts):
                await world.random.choice(everybody)()
                world.clock.pass_by(world.random.choice(world.pauses))
            if world.chance(0.5):
                await self._stop()

    async def run_to_the_end(self) -> None:
        """Nothing goes wrong, until the journal's head is reached."""
        await self._watch.recover()
        while self._world.records or self._world.changes:
            await self._append()
            await self._save()
            await self._watch.advance()
        while await self._watch.advance():
            pass
        await self._watch.close()

    def _new_watch(self) -> Watch:
        return Watch(self._journal, self._store, self._world.clock, channels=CHANNELS)

    # --- others ----------------------------------------------------------------------------------

    async def _append(self) -> None:
        """Some records, at the times that they had."""
        for _ in range(self._world.random.randint(1, 4)):
            if self._world.records:
                record = self._world.records.popleft()
                self._world.clock.wall = record.at
                await self._journal.append([Draft(record.writer, record.number, record.body)])

    async def _save(self) -> None:
        """Changes that are due. The journal may have moved on since their owner asked for its head."""
        head = await self._journal.head()
        changes = self._world.changes
        while changes and changes[0].head <= head and self._world.chance(0.7):
            change = changes.popleft()
            await self._put(change, change.head if self._world.chance(0.2) else head)

    async def _put(self, change: RuleChange, head: int) -> None:
        bounds = self._world.bounds
        known = max(bounds, default=0)

        def save(tx: Tx) -> tuple[list[RuleChange], int]:
            save_change(tx, OWNER, change, head=head)
            cursor = tx.cursor()
            return tx.rule_changes(known), 0 if cursor is None else cursor.seq

        made, cursor = await self._store.run(save)
        for new in made:
            _, before = bounds.get(new.number - 1, (0, 0))
            bounds[new.number] = max(head, cursor), max(head, cursor, self._watch.position, before)

    # --- watch -----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        for _ in range(self._world.random.randint(1, 3)):
            await self._watching("advance")

    async def _checkpoint(self) -> None:
        await self._watching("checkpoint")

    async def _take_over(self) -> None:
        """Another takes the role over. The former has not noticed, and goes on until the fence stops it."""
        if self._former is not None:
            former, self._former = self._former, None
            with contextlib.suppress(Fenced, Unavailable, asyncio.CancelledError):
                await self._troubled(self._world.random.choice((former.advance, former.close)))
        elif self._world.chance(0.3):
            self._former, self._watch = self._watch, self._new_watch()
            await self._watching("recover")

    async def _watching(self, act: Literal["recover", "advance", "checkpoint"]) -> None:
        """After Unavailable a new Watch begins from the store, as keep_going does; or the process is stopped."""
        try:
            await self._troubled(getattr(self._watch, act))
        except Unavailable:
            if self._world.chance(0.5):
                await self._stop()
            self._watch = self._new_watch()
            await self._watching("recover")
        except asyncio.CancelledError:
            await self._stop()

    async def _stop(self) -> NoReturn:
        with contextlib.suppress(Unavailable, asyncio.CancelledError):
            await self._troubled(self._watch.close)
        raise Killed

    async def _troubled(self, act: Callable[[], Awaitable[object]]) -> None:
        self._at_work = True
        try:
            await act()
        finally:
            self._at_work = False

    async def _go_wrong(self, *also: Exception) -> None:
        if self._at_work and self._world.chance(self._world.trouble):
            raise self._world.random.choice((Killed(), asyncio.CancelledError(), *also))

    async def _beside(self) -> None:
        """While watch waited for the records it read, others worked."""
        if self._at_work and self._world.chance(0.2):
            self._at_work = False
            await self._world.random.choice((self._append, self._save))()
            self._at_work = True


async def live(journey: Journey, random: Random, folder: Path, *, trouble: float) -> tuple[Outcome, Outcome]:
    """One process after another until the journey is over: what stands in the store then, and what one straight
    run makes of the same journal and changes."""
    world, around = World(journey, random, trouble=trouble), Around()
    for _ in range(random.randint(0, 8)):
        async with opened(folder, world.clock, around) as (store, journal):
            await Process(world, store, journal, around).run(random.randint(1, 20))
    around = Around()
    async with opened(folder, world.clock, around) as (store, journal):
        await Process(world, store, journal, around).run_to_the_end()
        positions = checked_positions(await store.run(lambda tx: tx.take_ups()), world, await journal.head())
        return await kept(store), await straight(store, journal, positions)


def checked_positions(taken: list[TakeUp], world: World, head: int) -> dict[int, int]:
    """Where each change counts from. Those that were not taken up wait behind the last record."""
    positions = dict.fromkeys(world.bounds, head)
    positions.update({each.number: each.seq for each in taken})
    for change, (earliest, latest) in world.bounds.items():
        assert earliest <= positions[change] <= max(latest, earliest), f"change {change}"
    return positions
