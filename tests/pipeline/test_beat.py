"""Beats let the journal's time pass, and only where nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cryptowatcher.domain.records import Beat, Body, ClockStep, Gap
from cryptowatcher.pipeline.beat import Beater
from cryptowatcher.ports import Journal
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.virtual_time import START_MS, VirtualClock
from tests.pipeline.inline import all_records, opened, put


def beating(folder: Path, main: Callable[[Journal, VirtualClock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = VirtualClock()
        async with opened(folder, clock) as (_, journal):
            await main(journal, clock)

    virtual_time.run(run)


async def life(journal: Journal, clock: VirtualClock, beside: Awaitable[None]) -> None:
    """A beater, until what goes on beside it is over."""
    beater = asyncio.create_task(Beater(journal, clock).run())
    await beside
    beater.cancel()
    await asyncio.wait([beater])
    assert beater.cancelled()


async def bodies(journal: Journal) -> list[Body]:
    return [record.body for record in await all_records(journal)]


def test_a_silent_journal_gets_a_beat_a_second(tmp_path: Path) -> None:
    async def main(journal: Journal, clock: VirtualClock) -> None:
        await life(journal, clock, asyncio.sleep(5.5))
        records = await all_records(journal)
        assert [(record.at - START_MS, record.body) for record in records] == [
            (second * 1000, Beat()) for second in (1, 2, 3, 4, 5)
        ]

    beating(tmp_path, main)


def test_where_others_append_there_is_no_beat(tmp_path: Path) -> None:
    async def main(journal: Journal, clock: VirtualClock) -> None:
        async def others() -> None:
            for _ in range(10):
                await asyncio.sleep(0.5)
                await put(journal, Gap("another record"))
            await asyncio.sleep(2.5)

        await life(journal, clock, others())
        words = [type(body).__name__ for body in await bodies(journal)]
        assert words == ["Gap"] * 10 + ["Beat"]

    beating(tmp_path, main)


def test_the_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    async def main(journal: Journal, clock: VirtualClock) -> None:
        for _ in range(3):
            await life(journal, clock, asyncio.sleep(2.5))
        assert [record.number for record in await all_records(journal)] == [1, 2, 3, 4, 5, 6]

    beating(tmp_path, main)


@pytest.mark.parametrize("step", [5_001, 3_600_000, -5_001, -3_600_000])
def test_a_jump_of_the_wall_clock_is_written_down_once(tmp_path: Path, step: int) -> None:
    async def main(journal: Journal, clock: VirtualClock) -> None:
        async def jump() -> None:
            await asyncio.sleep(1.5)
            clock.step(step)
            await asyncio.sleep(2)

        await life(journal, clock, jump())
        assert await bodies(journal) == [Beat(), ClockStep(step), Beat()]
        times = [record.at for record in await all_records(journal)]
        assert times == sorted(times)

    beating(tmp_path, main)


def test_a_jump_is_written_down_where_others_append_too(tmp_path: Path) -> None:
    async def main(journal: Journal, clock: VirtualClock) -> None:
        async def jump() -> None:
            await asyncio.sleep(0.5)
            clock.step(60_000)
            await put(journal, Gap("another record"))
            await asyncio.sleep(1)

        await life(journal, clock, jump())
        assert await bodies(journal) == [Gap("another record"), ClockStep(60_000)]

    beating(tmp_path, main)


@pytest.mark.parametrize("step", [5_000, -5_000, 300])
def test_a_small_correction_of_the_clock_is_no_jump(tmp_path: Path, step: int) -> None:
    async def main(journal: Journal, clock: VirtualClock) -> None:
        async def correct() -> None:
            await asyncio.sleep(0.5)
            clock.step(step)
            await asyncio.sleep(2)

        await life(journal, clock, correct())
        assert await bodies(journal) == [Beat(), Beat()]

    beating(tmp_path, main)


def test_a_late_beat_is_no_jump(tmp_path: Path) -> None:
    """A machine that was busy for a minute is late on both clocks."""

    async def main(journal: Journal, clock: VirtualClock) -> None:
        beater = asyncio.create_task(Beater(journal, clock, every=60.0).run())
        await asyncio.sleep(130)
        beater.cancel()
        await asyncio.wait([beater])
        assert await bodies(journal) == [Beat(), Beat()]

    beating(tmp_path, main)
