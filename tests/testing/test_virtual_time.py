from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from cryptowatcher.ports import Clock
from cryptowatcher.testing.virtual_time import START_MS, Deadlock, VirtualClock, run

HOUR = 3_600_000


def test_a_year_of_sleep_moves_the_clock_by_exactly_a_year() -> None:
    async def main() -> tuple[int, float]:
        clock: Clock = VirtualClock()
        await asyncio.sleep(365 * 86_400)
        return clock.now(), clock.monotonic()

    assert run(main) == (START_MS + 365 * 24 * HOUR, 365.0 * 86_400)


def test_sleepers_wake_in_order_of_their_time() -> None:
    async def main() -> list[tuple[str, int]]:
        clock, woken = VirtualClock(), []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            woken.append((name, clock.now() - START_MS))

        async with asyncio.TaskGroup() as tasks:
            for name, seconds in (("late", 3.0), ("second", 1.001), ("first", 1.0), ("early", 0.25)):
                tasks.create_task(sleeper(name, seconds))
        return woken

    assert run(main) == [("early", 250), ("first", 1000), ("second", 1001), ("late", 3000)]


def test_ten_thousand_tenths_of_a_second_do_not_drift() -> None:
    async def main() -> int:
        clock = VirtualClock()
        for _ in range(10_000):
            await asyncio.sleep(0.1)
        return clock.now()

    assert run(main) == START_MS + 1_000_000


def test_time_does_not_pass_while_there_is_work_to_do() -> None:
    async def main() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run(main) == 0.0


def test_a_deadline_ends_a_wait_that_nobody_answers() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main) == 30.0


def test_a_deadlock_is_reported_with_the_tasks_that_wait() -> None:
    async def main() -> None:
        asyncio.current_task().set_name("the one that waits")  # type: ignore[union-attr] # a task runs this
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="the one that waits"):
        run(main)


def test_what_a_task_holds_is_released_after_a_deadlock() -> None:
    released = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            released.append(True)

    with pytest.raises(Deadlock):
        run(main)
    assert released == [True]


def test_a_step_of_the_wall_clock_wakes_nobody_and_leaves_monotonic_time_alone() -> None:
    async def main() -> tuple[int, float]:
        clock = VirtualClock()
        sleeper = asyncio.create_task(asyncio.sleep(10))
        clock.step(-HOUR)
        await sleeper
        return clock.now(), clock.monotonic()

    assert run(main) == (START_MS - HOUR + 10_000, 10.0)


def test_the_start_can_be_chosen() -> None:
    async def main() -> int:
        return VirtualClock().now()

    assert run(main, start_ms=12_345) == 12_345


def test_threads_are_refused_both_ways() -> None:
    async def main() -> list[str]:
        loop, refused = asyncio.get_running_loop(), []
        with pytest.raises(RuntimeError, match="no threads"):
            await asyncio.to_thread(int)

        def call() -> None:
            try:
                loop.call_soon_threadsafe(int)
            except RuntimeError as error:
                refused.append(str(error))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        return refused

    (message,) = run(main)
    assert "no threads" in message


def test_an_async_generator_left_open_is_closed_at_the_end() -> None:
    closed = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async def main() -> int:
        async for number in numbers():
            return number
        return 0

    assert run(main) == 1
    assert closed == [True]


def test_a_virtual_clock_outside_the_virtual_loop_is_refused() -> None:
    async def main() -> None:
        VirtualClock()

    with pytest.raises(RuntimeError, match=r"virtual_time\.run"):
        asyncio.run(main())
