"""Weeks on virtual time and an hour of the real program under load: nothing grows that should not.

SIMULATED_DAYS (24, at least 12), SIMULATED_COINS (50): how long and how many for the first. SOAK_MINUTES (60; 0:
not at all) for the second. SOAK_FOLDER: where the first writes, for a disk in memory.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import psutil
import pytest

from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.retention import Retention
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.ports import Clock, Observations, Pace, Tx
from cryptowatcher.program import Pipeline
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.virtual_time import VirtualClock
from tests.chaos.watched import Scene, say, scene

DAYS = int(os.environ.get("SIMULATED_DAYS", "24"))
COINS = int(os.environ.get("SIMULATED_COINS", "50"))
MINUTES = float(os.environ.get("SOAK_MINUTES", "60"))
KEEP = Retention(minutes=7 * MS["d"], alerts=7 * MS["d"])
"""All of it sets in after a third of the time."""
COARSE = 24 * 12 + 24 + 1
"""Candles of a coin and a day that are kept for ever."""

pytestmark = pytest.mark.chaos


class Sample(msgspec.Struct, frozen=True):
    """What something takes at a time. `at` in seconds, sizes in bytes."""

    at: float
    memory: int
    descriptors: int
    threads: int
    files: dict[str, int]


class Trend(msgspec.Struct, frozen=True):
    """How a series went after its warm-up: `share` is what the line through it rises by, relative to its mean."""

    first: float
    last: float
    share: float

    def __str__(self) -> str:
        return f"{self.first:,.0f} → {self.last:,.0f} ({100 * self.share:+.1f} %)"


def trend(values: list[float]) -> Trend:
    slope = float(np.polyfit(np.arange(len(values)), values, 1)[0])
    return Trend(values[0], values[-1], slope * len(values) / max(float(np.mean(values)), 1.0))


def take(processes: list[psutil.Process], folder: Path, at: float) -> Sample:
    files = {path.name: path.stat().st_size for path in folder.glob("*.db*")}
    return Sample(
        at,
        sum(each.memory_info().rss for each in processes),
        sum(each.num_fds() for each in processes),
        sum(each.num_threads() for each in processes),
        files,
    )


def report(samples: list[Sample]) -> dict[str, Trend]:
    """The trend of everything after the first samples were warm-up, said aloud."""
    names = sorted({name for sample in samples for name in sample.files})
    trends = {
        name: trend([float(getattr(s, name)) for s in samples]) for name in ("memory", "descriptors", "threads")
    }
    trends |= {name: trend([float(sample.files.get(name, 0)) for sample in samples]) for name in names}
    say("\n".join(f"{name:>16}: {each}" for name, each in trends.items()))
    return trends


# --- virtual weeks ---------------------------------------------------------------------------------


class Walk:
    """So many coins that wander, asked once a minute; and a channel that takes everything."""

    name = "walk"
    pages = 1
    pace = Pace(every=60.0, valid_for=180_000, per_minute=5)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._random = np.random.default_rng(11)
        self._price = np.full(COINS, 100.0)
        self._pairs = tuple(f"coin-{number}/usd" for number in range(COINS))

    async def fetch(self, page: int) -> Observations:
        self._price = np.clip(self._price * np.exp(self._random.standard_t(3, COINS) * 0.002), 50, 200)
        now = self._clock.now()
        return Observations(
            pairs=self._pairs,
            price=self._price.copy(),
            volume=self._price * 1e6,
            market_cap=self._price * 1e7,
            observed_at=np.full(COINS, now),
            received_at=now,
        )

    async def send(self, message: Message) -> str:
        return "ok"


RULES = (
    RuleSpec(name="moves", pairs=("all",), when="change(5m) >= 2%"),
    RuleSpec(name="falls", pairs=("all",), when="change(1h) <= -4%", cooldown="1h"),
)


async def weeks(folder: Path) -> list[Sample]:
    """Samples of each day's end, when everything there was to tidy has been tidied."""
    clock, samples = VirtualClock(), list[Sample]()
    this = psutil.Process()
    async with (
        open_sqlite_store(folder / "store.db", inline=Inline()) as store,
        open_sqlite_journal(folder / "journal.db", clock=clock, inline=Inline()) as journal,
    ):
        for spec in RULES:
            await store.run(lambda tx, spec=spec: tx.save_rule(LOCAL_OWNER, spec, head=0, now=clock.now()))  # type: ignore[misc]  # mypy: lambda default
        market, stop = Walk(clock), asyncio.Event()
        pipeline = Pipeline(
            store=store,
            journal=journal,
            channels={"ops": market},
            policies={"ops": ChannelPolicy()},
            sources=[market],
            clock=clock,
            random=Random(1),
            holder="soak",
            beat_every=15.0,
            keep=KEEP,
        )
        running = asyncio.create_task(pipeline.run(stop))
        for day in range(1, DAYS + 1):
            await asyncio.sleep(24 * 3600)
            gc.collect()
            sample = take([this], folder, float(day))
            samples.append(sample)
            alerts, minutes = await store.run(lambda tx: (tx.alert_count(), kept_minutes(tx, clock.now())))
            say(f"day {day}: {sample.memory / 1e6:.1f} MB, {alerts} alerts, {minutes} minutes, {sample.files}")
        stop.set()
        await running
    return samples


def kept_minutes(tx: Tx, now: int) -> int:
    """Minute candles of one coin."""
    return len(tx.candles("coin-0/usd", MS["m"], start=0, end=now, limit=1_000_000))


def test_simulated_weeks_leave_everything_flat(tmp_path: Path) -> None:
    folder = Path(os.environ.get("SOAK_FOLDER", tmp_path)) / "weeks"
    folder.mkdir()
    began = time.monotonic()
    samples = virtual_time.run(lambda: weeks(folder))
    say(f"{DAYS} days of {COINS} coins in {time.monotonic() - began:.0f} s")
    trends = report(samples[DAYS // 3 + 1 :])  # what is kept for seven days has begun to go
    assert abs(trends["descriptors"].share) < 0.01
    assert trends["memory"].share < 0.05
    assert trends["journal.db"].share < 0.05
    assert trends["journal.db-wal"].share < 0.05
    assert trends["store.db-wal"].share < 0.05
    grown = (samples[-1].files["store.db"] - samples[DAYS // 3 + 1].files["store.db"]) / (DAYS - DAYS // 3 - 2)
    say(f"store.db: {grown:,.0f} bytes a day, {grown / COINS / COARSE:.0f} for a candle that is kept for ever")
    assert grown < 150 * COINS * COARSE


# --- the real program ------------------------------------------------------------------------------


@pytest.mark.skipif(not MINUTES, reason="SOAK_MINUTES is 0")
def test_the_real_program_under_load_stays_as_it_is(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        time.sleep(min(120.0, 12 * MINUTES))  # warm-up
        samples, end = list[Sample](), time.monotonic() + 60 * MINUTES
        while time.monotonic() < end:
            samples.append(take(processes(here), tmp_path / "data", time.monotonic()))
            time.sleep(max(0.6, min(10.0, MINUTES)))
        say(f"{MINUTES:g} minutes, {here.program.prices} prices shown, exits {here.program.exits}")
        trends = report(samples[len(samples) // 2 :])  # windows fill, and caches, in the first half hour
        (tmp_path / "samples.json").write_text(json.dumps([msgspec.to_builtins(each) for each in samples]))
        assert here.program.exits == []
        assert trends["threads"].share < 0.05
        assert trends["descriptors"].share < 0.05
        assert trends["memory"].share < 0.10
        for wal in ("journal.db-wal", "store.db-wal"):
            assert max(sample.files[wal] for sample in samples) < 80_000_000
        here.settle()


def processes(here: Scene) -> list[psutil.Process]:
    """The pipeline and its page."""
    assert here.program.process is not None
    watcher = psutil.Process(here.program.process.pid)
    return [watcher, *watcher.children()]
