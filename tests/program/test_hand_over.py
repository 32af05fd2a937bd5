"""The program is stopped and started anew, and nobody who asks it or waits for its messages notices.

HAND_OVERS and A_SECOND are for longer runs (`make chaos` does 50 of each kind at 200 requests a second).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random

import psutil
import pytest

from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.receiver import WebhookReceiver
from tests.processes import PATIENCE, started
from tests.program.load import Load, load
from tests.program.test_run import Program, running, shows, with_world

LOW, HIGH = 60_000.0, 65_000.0
FEW = (2, 50)
MANY = int(os.environ.get("HAND_OVERS", "50")), int(os.environ.get("A_SECOND", "200"))
SIZES = [pytest.param(*FEW, id="few"), pytest.param(*MANY, id="many", marks=pytest.mark.chaos)]


def beside(pid: int, word: str) -> list[int]:
    """The process numbers of what a watcher has started with this word in its command. One may end as we look."""
    found = []
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if word in child.cmdline():
                found.append(child.pid)
    return found


def page_of(pid: int) -> int | None:
    """The process number of the page of a watcher; None while there is none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return next(iter(beside(pid, "cryptowatcher.cli.beside")), None)
    return None


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  it happens in other processes
            await asyncio.sleep(0.02)


async def begins_anew(program: Program) -> None:
    """It is told to, and does: with another page."""
    pid = program.process.pid
    before = page_of(pid)
    program.process.send_signal(signal.SIGHUP)
    await until(lambda: page_of(pid) not in (None, before))


async def edges(
    program: Program,
    fake: FakeCoinGecko,
    hook: WebhookReceiver,
    rounds: int,
    change: Callable[[], Awaitable[None]],
) -> None:
    """The price crosses once a round, and at some moment about then the program is changed for the next."""
    moment = Random(7)
    for number in range(1, rounds + 1):
        fake.set_price("bitcoin", HIGH + number)
        await asyncio.sleep(moment.uniform(0, 1.5))
        await change()
        await hook.wait_for(number)
        fake.set_price("bitcoin", LOW + number)
        await program.until("/api/v1/prices/bitcoin/usd", shows(LOW + number))


def assert_nothing_was_noticed(seen: Load, hook: WebhookReceiver, rounds: int) -> None:
    figures = f"{rounds} hand-overs, {seen.outcomes.total()} requests, the slowest took {seen.slowest:.1f} s"
    sys.stderr.write(f"{figures}, failed: {seen.failed}\n")
    assert seen.failed == {}
    assert seen.outcomes["200"] > 0
    assert hook.duplicates == 0
    assert len(hook.received) == rounds


@pytest.mark.parametrize(("rounds", "a_second"), SIZES)
def test_beginning_anew_in_place_fails_no_request_and_loses_no_alert(
    tmp_path: Path, rounds: int, a_second: int
) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        async with running(config, port) as program:
            await program.until("/api/v1/prices/bitcoin/usd", shows(LOW))
            async with load(port, "/api/v1/prices/bitcoin/usd", a_second=a_second) as seen:
                await edges(program, fake, hook, rounds, lambda: begins_anew(program))
            assert program.process.returncode is None
            assert await program.stop() == 0
        assert_nothing_was_noticed(seen, hook, rounds)

    with_world(story, tmp_path)


@contextlib.asynccontextmanager
async def started_with(sock: socket.socket, config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """As a service manager does that holds the port."""
    place = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
    place += "os.execv(sys.executable, [sys.executable, '-m', 'cryptowatcher', 'run', '--config', sys.argv[2]])"
    command = (sys.executable, "-c", place, str(sock.fileno()), config)
    environ, given = {"LISTEN_FDS": "1"}, [sock.fileno()]
    async with started(*command, said=config.with_name("said"), env=environ, pass_fds=given) as process:
        yield process


@pytest.mark.parametrize(("rounds", "a_second"), SIZES)
def test_stop_and_start_behind_a_port_that_the_service_manager_holds_fails_no_request(
    tmp_path: Path, rounds: int, a_second: int
) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        with socket.create_server(("127.0.0.1", port), backlog=2048) as sock:
            async with contextlib.AsyncExitStack() as stack:
                process = await stack.enter_async_context(started_with(sock, config))
                program = Program(process, f"http://127.0.0.1:{port}")
                await program.until("/api/v1/prices/bitcoin/usd", shows(LOW))

                async def restarted() -> None:
                    assert await program.stop() == 0
                    program.process = await stack.enter_async_context(started_with(sock, config))

                async with load(port, "/api/v1/prices/bitcoin/usd", a_second=a_second) as seen:
                    await edges(program, fake, hook, rounds, restarted)
                assert await program.stop() == 0
            assert_nothing_was_noticed(seen, hook, rounds)

    with_world(story, tmp_path)


async def begins_anew_in_vain(program: Program, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
    """It is told to, looks whether that would work, and goes on as before: the same page, and the next alert."""
    pid = program.process.pid
    page = page_of(pid)
    program.process.send_signal(signal.SIGHUP)
    await until(lambda: beside(pid, "check"))  # there it looks whether it would start
    await until(lambda: not beside(pid, "check"))
    fake.set_price("bitcoin", HIGH)
    await hook.wait_for(1)
    assert page_of(pid) == page


def test_what_would_not_start_does_not_take_the_place_of_what_runs(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        async with running(config, port) as program:
            await program.until("/api/v1/prices/bitcoin/usd", shows(LOW))
            good = config.read_text()  # noqa: ASYNC240  a small file
            config.write_text("this is not TOML")  # noqa: ASYNC240
            await begins_anew_in_vain(program, fake, hook)
            config.write_text(good.replace("64000", "70000"))  # noqa: ASYNC240
            await begins_anew(program)
            await program.until("/api/v1/rules", lambda answer: "70000" in answer.text)
            assert await program.stop() == 0

    with_world(story, tmp_path)


def test_a_port_that_cannot_be_had_is_seen_before_anything_is_given_up(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        async with running(config, port) as program:
            await program.until("/api/v1/prices/bitcoin/usd", shows(LOW))
            with socket.create_server(("127.0.0.1", 0)) as taken:
                told = config.read_text()  # noqa: ASYNC240  a small file
                config.write_text(told.replace(str(port), str(taken.getsockname()[1])))  # noqa: ASYNC240
                await begins_anew_in_vain(program, fake, hook)
            assert await program.stop() == 0

    with_world(story, tmp_path)


def test_signals_in_a_row_end_in_one_watcher_that_stops_in_order(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        async with running(config, port) as program:
            await program.until("/api/v1/prices/bitcoin/usd", shows(LOW))
            page = page_of(program.process.pid)
            for pause in (0.0, 0.2, 0.5, 1.0, 1.0):
                program.process.send_signal(signal.SIGHUP)
                await asyncio.sleep(pause)
            await until(lambda: page_of(program.process.pid) not in (None, page))
            fake.set_price("bitcoin", HIGH)
            await hook.wait_for(1)
            await program.until("/api/v1/prices/bitcoin/usd", shows(HIGH))
            program.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.1)
            assert await program.stop() == 0  # to stop for good is no second wish
        assert hook.duplicates == 0

    with_world(story, tmp_path)
