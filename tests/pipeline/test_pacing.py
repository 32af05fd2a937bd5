from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import pytest

from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.pipeline.pacing import Pacer
from cryptowatcher.ports import Pace
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.virtual_time import VirtualClock

T = TypeVar("T")
PACE = Pace(every=60.0, valid_for=300_000, per_minute=5)
DEMO = Pace(every=60.0, valid_for=300_000, per_minute=30, per_month=10_000)


class Budgets:
    """As much of a Store as a Pacer needs: keeps budgets, counts how often, and can fail."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.saves = 0
        self.broken = False

    async def run(self, fn: Callable[[Any], T]) -> T:
        if self.broken:
            raise OSError("disk full")
        return fn(self)

    def budget(self, source: str) -> bytes | None:
        return self.kept.get(source)

    def save_budget(self, source: str, state: bytes) -> None:
        self.saves += 1
        self.kept[source] = state


def pacer(store: Budgets, clock: VirtualClock, pace: Pace = PACE) -> Pacer:
    return Pacer("coingecko", pace, store, clock, Random(1))


async def took(pacer: Pacer, clock: VirtualClock, *, first: bool = True) -> float:
    """Seconds that the next turn had to be waited for."""
    before = clock.monotonic()
    await pacer.turn(first=first)
    return clock.monotonic() - before


def test_rounds_begin_a_minute_apart_and_their_pages_follow_at_once() -> None:
    async def main() -> None:
        clock = VirtualClock()
        source = pacer(Budgets(), clock)
        waits = []
        for first in (True, False, True, False):
            waits.append(await took(source, clock, first=first))
            await source.answered(ok=True)
        assert waits == pytest.approx([0.0, 0.0, 60.0, 0.0])

    virtual_time.run(main)


def test_a_call_is_durable_before_it_is_made() -> None:
    async def main() -> None:
        store, clock = Budgets(), VirtualClock()
        await pacer(store, clock).turn()
        assert store.saves == 1
        after_the_crash = pacer(store, clock)
        await after_the_crash.load()
        assert (after_the_crash.calls_this_minute, after_the_crash.calls_this_month) == (1, 1)

    virtual_time.run(main)


def test_a_call_that_cannot_be_made_durable_is_not_made() -> None:
    async def main() -> None:
        store, clock = Budgets(), VirtualClock()
        source = pacer(store, clock)
        store.broken = True
        with pytest.raises(OSError, match="disk full"):
            await source.turn()
        assert source.calls_this_minute == 0

    virtual_time.run(main)


def test_restarting_for_ever_makes_no_more_calls_than_the_minute_allows() -> None:
    async def main() -> None:
        store, clock = Budgets(), VirtualClock()
        for _ in range(10):
            source = pacer(store, clock)
            await source.load()
            await source.turn()
        assert clock.monotonic() == pytest.approx(60.0)

    virtual_time.run(main)


def test_a_ban_is_remembered_over_a_restart() -> None:
    async def main() -> None:
        store, clock = Budgets(), VirtualClock()
        source = pacer(store, clock)
        await source.turn()
        await source.failed(Unavailable("no", reason="banned"))
        again = pacer(store, clock)
        await again.load()
        assert again.closed_reason == "banned"
        assert again.next_call_at >= clock.now() + 600_000
        assert 600.0 <= await took(again, clock) <= 720.0
        assert again.closed_reason == ""

    virtual_time.run(main)


def test_what_the_other_side_asked_for_is_waited_and_never_less() -> None:
    async def main() -> None:
        clock = VirtualClock()
        source = pacer(Budgets(), clock)
        await source.turn()
        await source.failed(Unavailable("no", reason="rate_limited", retry_after=119.0))
        assert 119.0 <= await took(source, clock) <= 119.0 * 1.2
        await source.failed(Refused("no", reason="bad_key"))
        assert await took(source, clock) >= 600.0

    virtual_time.run(main)


@pytest.mark.parametrize("step", [-86_400_000, -3_600_000, 3_600_000, 86_400_000])
def test_a_jump_of_the_wall_clock_neither_lengthens_nor_shortens_a_wait(step: int) -> None:
    async def main() -> None:
        clock = VirtualClock()
        source = pacer(Budgets(), clock)
        await source.turn()
        await source.failed(Unavailable("no", reason="rate_limited", retry_after=100.0))
        waiting = asyncio.create_task(took(source, clock))
        await asyncio.sleep(31.0)
        clock.step(step)
        assert 100.0 <= await waiting <= 121.0

    virtual_time.run(main)


@pytest.mark.parametrize("ahead", [3_600_000, 31_536_000_000], ids=["an hour", "a year"])
def test_a_clock_that_was_ahead_in_the_life_before_locks_nothing(ahead: int) -> None:
    async def main() -> None:
        store, clock = Budgets(), VirtualClock()
        clock.step(ahead)
        before = pacer(store, clock, DEMO)
        await before.turn()
        await before.answered(ok=True)
        clock.step(-ahead)
        source = pacer(store, clock, DEMO)
        await source.load()
        for _ in range(3):
            assert await took(source, clock) < 300.0
            await source.answered(ok=True)

    virtual_time.run(main)


def test_a_demo_key_is_asked_every_four_and_a_half_minutes() -> None:
    async def main() -> None:
        clock = VirtualClock()
        source = pacer(Budgets(), clock, DEMO)
        for _ in range(20):
            await source.turn()
            await source.answered(ok=True)
        assert 267.0 <= clock.monotonic() / 19 <= 268.0
        assert (source.calls_this_month, source.per_month) == (20, 10_000)
        assert (source.calls_this_minute, source.per_minute) == (1, 30)

    virtual_time.run(main)


def test_a_stored_budget_that_cannot_be_read_is_a_new_one() -> None:
    async def main() -> None:
        store, clock = Budgets(), VirtualClock()
        store.kept["coingecko"] = b"\xc1junk"
        source = pacer(store, clock)
        await source.load()
        assert await took(source, clock) == 0.0

    virtual_time.run(main)
