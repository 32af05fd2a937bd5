"""Lives of the real Watch: one after another on the same journal and store, each until it ends somehow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NoReturn

import msgspec

from cryptowatcher.domain.deliveries import delivery_id
from cryptowatcher.domain.intervals import INTERVALS
from cryptowatcher.domain.records import Draft
from cryptowatcher.domain.rules.model import RuleChange
from cryptowatcher.domain.watcher import Watcher
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Fenced, Journal, Store, Tx
from tests.domain.journals import PAIRS, Journey
from tests.pipeline.inline import Around, Hands, Reading, all_records, nothing, opened

OWNER = "me"
CHANNELS = ("first", "second")
EVER = 2**62


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
            for pair in PAIRS
            for interval in INTERVALS.values()
            for candle in tx.candles(pair, interval, start=0, end=EVER, limit=EVER)
        ]
        return Outcome(
            alerts=by_key([*tx.alerts(OWNER, limit=EVER)], "id"),
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
    deliveries = (delivery_id(a.id, channel) for a in effects.alerts for channel in a.channels or CHANNELS)
    return Outcome(
        alerts=by_key([*effects.alerts], "id"),
        deliveries=tuple(sorted(deliveries)),
        lifecycle=by_key([*effects.lifecycle], "rule", "pair"),
        firings=by_key([*effects.firings], "rule", "pair"),
        candles=by_key([*effects.candles], "pair", "interval", "start"),
        prices=by_key([*effects.prices], "pair"),
        take_ups=tuple((taken.number, taken.seq) for taken in effects.take_ups),
    )


@dataclass(frozen=True)
class Saved:
    """A change as its owner saved it: it counts from `head`, and where watch was beyond that, from the cursor,
    which was at least `cursor` and at most `newest` (the journal's head)."""

    number: int
    head: int
    cursor: int
    newest: int


class Lives:
    """Appends a journey, saves its rule changes, and lets one Watch after another follow."""

    def __init__(self, journey: Journey, random: Random, folder: Path, *, trouble: float) -> None:
        self.random = random
        self.trouble = trouble
        self.saved: list[Saved] = []
        self._journey = journey
        self._folder = folder
        self._clock = Hands(journey.records[0].at)
        self._around = Around()
        self._appended = 0
        self._unsaved: deque[tuple[RuleChange, int]] = deque()
        self._former: Watch | None = None
        self._watch: Watch | None = None

    async def live(self) -> tuple[Outcome, Store, Journal]:
        raise NotImplementedError
