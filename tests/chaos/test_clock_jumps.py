"""Wall clocks that lie by an hour or a year, forwards and back, while the watcher runs and while it does not.

A price counts only while the source's time and ours agree. So a wrong clock makes the watcher blind, which it
says, and never fires a rule; once the clock is right again, everything goes on, and no edge is missed.
"""

from __future__ import annotations

import asyncio
import glob
import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cryptowatcher.domain.alerts import Alert, is_condition
from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.records import ClockStep, Record
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.domain.texts import observed_at
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Clock, Observations, Pace, Tx
from cryptowatcher.program import Pipeline
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.virtual_time import VirtualClock
from tests.chaos.watched import Scene, say, scene
from tests.pipeline.inline import all_records, opened

HOUR = 3_600_000
YEAR = 365 * 24 * HOUR
STEPS = {"+1h": HOUR, "-1h": -HOUR, "+1y": YEAR, "-1y": -YEAR}


def steps(*quick: str) -> pytest.MarkDecorator:
    """All of them, the others only among the long runs."""
    return pytest.mark.parametrize(
        "step",
        [pytest.param(s, id=n, marks=() if n in quick else pytest.mark.chaos) for n, s in STEPS.items()],
    )


MINUTE = 60_000
LOW, HIGH = 60.0, 65.0
RULE = RuleSpec(name="above", pairs=("a/usd",), when="price > 64", rearm="1%")


def is_high(now: int) -> bool:
    """Ten minutes high, ten minutes low, by the true time."""
    return now // (10 * MINUTE) % 2 == 0


class Market:
    """A source with a right clock, asked by a watcher with another. Every third send of its channel fails."""

    name = "market"
    pages = 1
    pace = Pace(every=60.0, valid_for=180_000, per_minute=5, per_month=40_000)

    def __init__(self, true: Clock, mine: Clock) -> None:
        self._true = true
        self._mine = mine
        self.calls: list[int] = []
        self.sends = 0
        self.arrived: list[str] = []

    async def fetch(self, page: int) -> Observations:
        now = self._true.now()
        self.calls.append(now)
        await asyncio.sleep(0.2)
        unknown = np.full(1, np.nan)
        return Observations(
            pairs=("a/usd",),
            price=np.array([HIGH if is_high(now) else LOW]),
            volume=unknown,
            market_cap=unknown,
            observed_at=np.array([now]),
            received_at=self._mine.now(),
        )

    async def send(self, message: Message) -> str:
        self.sends += 1
        if self.sends % 3 == 1:
            raise Unavailable("not now", reason="server_error")
        if is_condition(
            message.alert.kind
        ):  # while its clock is a year ahead everything is too old: that is told as well
            self.arrived.append(message.alert.id)
        return "ok"


class Life:
    """A pipeline on virtual time whose wall clock can be set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.true, self.mine = VirtualClock(), VirtualClock()
        self.market = Market(self.true, self.mine)
        self.lives = 0

    async def live(self, *then: tuple[float, int]) -> None:
        """One life: for each, so many seconds and then a step of the clock in ms."""
        self.lives += 1
        stop = asyncio.Event()
        async with opened(self.folder, self.mine) as (store, journal):
            head = await journal.head()
            await store.run(lambda tx: tx.save_rule(LOCAL_OWNER, RULE, head=head, now=self.mine.now()))
            pipeline = Pipeline(
                store=store,
                journal=journal,
                channels={"ops": self.market},
                policies={"ops": ChannelPolicy(deadline=20.0)},
                sources=[self.market],
                clock=self.mine,
                random=Random(5),
                holder=f"life {self.lives}",
                beat_every=30.0,
            )
            running = asyncio.create_task(pipeline.run(stop))
            for seconds, step in then:
                await asyncio.sleep(seconds)
                self.mine.step(step)
            stop.set()
            await running

    async def left(self) -> tuple[list[Record], list[Alert], list[Delivery]]:
        def read(tx: Tx) -> tuple[list[Alert], list[Delivery]]:
            return tx.alerts(LOCAL_OWNER, limit=999)[::-1], tx.deliveries(LOCAL_OWNER, limit=999)[::-1]

        async with opened(self.folder, self.mine) as (store, journal):
            return await all_records(journal), *await store.run(read)

    async def check(self, *, minutes: int) -> list[Record]:
        """One alert for each time it became high, delivered; the journal whole; calls all along."""
        records, alerts, deliveries = await self.left()
        rises = range(20, minutes, 20)
        found = [(observed_at(alert) - virtual_time.START_MS) / MINUTE for alert in alerts]
        assert [minute // 20 * 20 for minute in found] == list(rises)
        assert {delivery.state for delivery in deliveries} == {"sent"}
        assert self.market.arrived == [alert.id for alert in alerts]
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        waits = np.diff(self.market.calls) / MINUTE
        assert waits.max() < 3
        return records


@steps("+1y")
def test_a_clock_that_jumps_and_comes_back_neither_fires_nor_hides_anything(step: int, tmp_path: Path) -> None:
    """It is wrong for six minutes: over a rise, and over an hourly tidying."""

    async def main() -> None:
        life = Life(tmp_path)
        await life.live((57 * 60.0, step), (6 * 60.0, -step), (7 * 60.0, 0))
        records = await life.check(minutes=70)
        there, back = [record.body.step for record in records if isinstance(record.body, ClockStep)]
        assert abs(there - step) < 1_000
        assert abs(back + step) < 1_000

    virtual_time.run(main)


@steps("-1h")
def test_a_clock_that_is_wrong_for_a_whole_life_neither_fires_nor_hides_anything(
    step: int, tmp_path: Path
) -> None:
    async def main() -> None:
        life = Life(tmp_path)
        await life.live((37 * 60.0, step))
        await life.live((6 * 60.0, -step))
        await life.live((7 * 60.0, 0))
        await life.check(minutes=50)

    virtual_time.run(main)


@pytest.mark.chaos
def test_long_after_a_year_ahead_a_delivery_is_still_tried_again(tmp_path: Path) -> None:
    """Its age is counted by the journal's time, which must not stand still for that year."""

    async def main() -> None:
        life = Life(tmp_path)
        await life.live((37 * 60.0, YEAR), (6 * 60.0, -YEAR), (27 * 3600.0 + 12 * 60.0, 0))
        records, alerts, deliveries = await life.left()
        assert len(alerts) > 80
        assert {delivery.state for delivery in deliveries} == {"sent"}
        assert max(delivery.attempts for delivery in deliveries[-10:]) > 1
        assert records[-1].at - records[len(records) // 2].at > 12 * HOUR

    virtual_time.run(main)


# --- the real program ------------------------------------------------------------------------------


def library() -> str:
    """libfaketime, or no test."""
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not found:
        pytest.skip("needs the Debian package faketime")
    return found[0]


class FakeTime:
    """The wall clock of a process, set by a file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.env = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.step(0)

    def step(self, ms: int) -> None:
        """So far from the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ms // 1000:+d}\n")
        new.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[FakeTime]:
    clock = FakeTime(tmp_path)
    yield clock
    clock.step(0)


@steps()
def test_the_real_program_says_that_the_clock_is_wrong_and_recovers(
    step: int, tmp_path: Path, clock: FakeTime
) -> None:
    with scene(tmp_path, env=clock.env) as here:
        clock.step(step)
        red = here.program.until_red()
        reasons = here.program.last.failing
        asked = requests(here)
        shown = here.program.prices
        time.sleep(5)
        assert here.program.prices - shown < 300, "no price counts meanwhile, but what was under way"
        assert requests(here) > asked, "it goes on asking"
        clock.step(0)
        green = here.program.until_green()
        say(f"clock {step // HOUR:+d} h: red after {red:.1f} s for {reasons}, green after {green:.1f} s")
        assert here.program.exits == []
        here.settle()


@steps()
def test_the_real_program_started_with_a_wrong_clock_recovers(step: int, tmp_path: Path, clock: FakeTime) -> None:
    with scene(tmp_path, env=clock.env) as here:
        clock.step(step)
        kill(here)
        here.program.until_red()
        here.program.until(lambda: here.program.last.failing != ("no answer",), "a page that says why")
        reasons = here.program.last.failing
        clock.step(0)
        kill(here)
        green = here.program.until_green()
        say(f"started at {step // HOUR:+d} h: red for {reasons}, green after {green:.1f} s")
        here.settle()


def kill(here: Scene) -> None:
    assert here.program.process is not None
    before = len(here.program.exits)
    os.killpg(here.program.process.pid, 9)
    here.program.until(lambda: len(here.program.exits) > before, "the end")


def requests(here: Scene) -> int:
    """How often the market was asked."""
    import json
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{here.fake}/_control", timeout=5) as answer:
        return int(json.load(answer)["requests"])
