"""A source that says what the test wrote down, and a collector on the real journal and store that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random

import msgspec
import numpy as np

from cryptowatcher.domain.records import Body, Held, Ticks, Verdict
from cryptowatcher.domain.status import SourceStatus
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.pipeline.collect import Collector
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.pipeline.pacing import Pacer
from cryptowatcher.ports import Observations, Pace, Store
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.virtual_time import VirtualClock
from tests.pipeline.inline import Around, Reading, all_records, opened

COINS = [f"coin-{number}/usd" for number in range(10)]
CALM = dict.fromkeys(COINS, 100.0)
HOUR = 3600.0
PACE = Pace(every=60.0, valid_for=300_000, per_minute=5)
DEMO = Pace(every=60.0, valid_for=300_000, per_minute=5, per_month=10_000)


class Says(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: prices, observed `ages` ms before it comes in (0: right now)."""

    prices: Mapping[str, float]
    ages: Mapping[str, int] = {}
    unseen: tuple[tuple[str, str], ...] = ()
    observed_at: int | None = None


Line = Says | Unavailable | Refused


class Scripted:
    """A source that says its lines, a round each (or a page, where there are more pages), and then hangs."""

    name = "scripted"

    def __init__(
        self, clock: VirtualClock, lines: Sequence[Line], *, pages: int = 1, pace: Pace | None = None
    ) -> None:
        self.pages = pages
        self.pace = pace or PACE
        self.finished = asyncio.Event()
        self._clock = clock
        self._lines = list(lines)

    async def fetch(self, page: int) -> Observations:
        if not self._lines:
            self.finished.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0.2)
        line = self._lines.pop(0)
        if not isinstance(line, Says):
            raise line
        now = self._clock.now()
        times = [
            now - line.ages.get(pair, 0) if line.observed_at is None else line.observed_at for pair in line.prices
        ]
        unknown = np.full(len(times), np.nan)
        return Observations(
            pairs=tuple(line.prices),
            price=np.asarray(list(line.prices.values()), np.float64),
            volume=unknown,
            market_cap=unknown,
            observed_at=np.asarray(times, np.int64),
            unseen=line.unseen,
            received_at=now,
        )


class Stage:
    """Real files, and a life of a collector for every script."""

    def __init__(self, store: Store, journal: Reading, clock: VirtualClock, around: Around) -> None:
        self.store = store
        self.journal = journal
        self.clock = clock
        self.around = around
        self.meters = Meters()
        self.states: list[tuple[str, str]] = []  # state and reason, as they changed

    async def play(self, *lines: Line, pages: int = 1, pace: Pace | None = None) -> None:
        """One collector lives until its source has said all lines, and a little longer."""
        source = Scripted(self.clock, lines, pages=pages, pace=pace)
        pacer = Pacer(source.name, source.pace, self.store, self.clock, Random(1))
        collector = Collector(source, self.journal, self.store, pacer, self.clock, meters=self.meters)
        tasks = [asyncio.create_task(job) for job in (collector.run(), collector.report(), self._notice())]
        finished = asyncio.create_task(source.finished.wait())
        await asyncio.wait([*tasks, finished], return_when=asyncio.FIRST_COMPLETED)
        if finished.done():
            await asyncio.sleep(12)  # within ten seconds the status is current
        for task in (*tasks, finished):
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                raise result or AssertionError("it ended by itself")

    async def _notice(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for row in await self.store.run(lambda tx: tx.source_statuses()):
                if self.states[-1:] != [(row.state, row.reason)]:
                    self.states.append((row.state, row.reason))
            await asyncio.sleep(5)

    async def status(self) -> SourceStatus:
        (row,) = await self.store.run(lambda tx: tx.source_statuses())
        return row

    async def told(self, after: int = 0) -> list[str]:
        """What stands in the journal, in words."""
        return [in_words(record.body) for record in await all_records(self.journal, after)]


def in_words(body: Body) -> str:
    """`held jump coin-0/usd=200`; of calm coins only how many."""
    assert isinstance(body, Ticks | Held | Verdict)
    rows = list(zip(body.batch.names(), body.batch.price.tolist(), strict=True))
    strange = " ".join(f"{name}={price:g}" for name, price in rows if price != 100)
    calm = sum(price == 100 for _, price in rows)
    words = [strange, f"{calm} calm" if calm else ""]
    match body:
        case Held(_, reason):
            words = [f"held {reason}", *words]
        case Verdict(_, accepted, _):
            words = ["accepted" if accepted else "dropped", *words]
        case _:
            words = ["ticks", *words]
    return " ".join(word for word in words if word)


def on_stage(folder: Path, main: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        clock, around = VirtualClock(), Around()
        async with opened(folder, clock, around) as (store, journal):
            await main(Stage(store, Reading(journal), clock, around))

    virtual_time.run(run)


def but(**prices: float) -> Says:
    """All calm but these: `but(coin_0=200)`."""
    return Says(prices=CALM | {name.replace("_", "-") + "/usd": price for name, price in prices.items()})


BUSY = Unavailable("no answer", reason="timeout")
LIMITED = Unavailable("too many", reason="rate_limited", retry_after=90.0)
