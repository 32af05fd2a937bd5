"""Jobs that come back, and a child process on its line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.supervise import WELL_AFTER, Child, Jobs
from cryptowatcher.testing import virtual_time

PATIENCE = 60

CHILD = """
import asyncio, sys
from cryptowatcher.supervise import Parent

told = Parent.when_told()
if told is None:
    sys.exit(9)
parent, sockets = told

async def main():
    heard = asyncio.Event()
    def hear(line):
        print(line.decode().strip(), [sock.getsockname()[1] for sock in sockets], flush=True)
        heard.set()
    following = asyncio.create_task(parent.follow(hear))
    {after}

asyncio.run(main())
"""
READY = "parent.ready(); await asyncio.sleep(0.05); "


def child(after: str) -> Child:
    return Child([sys.executable, "-c", CHILD.format(after=after)])


def outcome(of: Child, until: Callable[[], Awaitable[None]], ready: Callable[[], None] = lambda: None) -> None:
    """Run a child until something has come to pass; raises what its run raises before."""

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE):
            running = asyncio.create_task(of.run((), ready=ready))
            waiting = asyncio.ensure_future(until())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                waiting.cancel()
                await running
            running.cancel()
            await asyncio.wait((running,))

    asyncio.run(scenario())


def test_a_child_that_cannot_start_as_configured_ends_the_program() -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ConfigError):
        outcome(child("sys.exit(2)"), for_ever)


def test_a_child_that_was_ready_once_is_started_again_whatever_it_ends_with() -> None:
    lives = list[int]()

    async def three_lives() -> None:
        while len(lives) < 3:  # noqa: ASYNC110  told by a callback
            await asyncio.sleep(0.01)

    outcome(child(READY + "sys.exit(2)"), three_lives, ready=lambda: lives.append(1))
    assert len(lives) == 3


def test_ready_that_is_said_before_the_line_is_open_is_heard() -> None:
    lives = list[int]()

    async def once() -> None:
        while not lives:  # noqa: ASYNC110  told by a callback
            await asyncio.sleep(0.01)

    outcome(child("parent.ready(); await asyncio.Event().wait()"), once, ready=lambda: lives.append(1))


def test_a_child_whose_parent_never_says_go_ends() -> None:
    started = child("pass")
    started.start()
    assert started._started is not None
    process, line = started._started
    line.close()
    assert process.wait(PATIENCE) == 9


def test_a_job_that_fails_comes_back_and_is_in_trouble_until_it_has_run_for_a_while() -> None:
    async def scenario() -> None:
        restarts = list[str]()
        jobs = Jobs(restarts.append)
        works = asyncio.Event()

        async def job() -> None:
            if not works.is_set():
                raise Unavailable("no room", reason="disk_full")
            await asyncio.Event().wait()

        running = asyncio.create_task(jobs.keep("beat", job))
        await asyncio.sleep(30)
        assert jobs.troubles() == {"beat": "disk_full"}
        before = len(restarts)
        works.set()
        await asyncio.sleep(5.1)  # no pause is longer than 5 s
        assert len(restarts) == before + 1
        await asyncio.sleep(WELL_AFTER)
        assert jobs.troubles() == {}
        running.cancel()

    virtual_time.run(scenario)
