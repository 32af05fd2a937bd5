"""The server as a job of the program: its signals, its end."""

from __future__ import annotations

import asyncio
import resource
import select
import signal
import socket
from pathlib import Path

import pytest

from cryptowatcher.listening import listen
from cryptowatcher.web.api import build
from cryptowatcher.web.server import QUIET_SECONDS, room_for_streams, serve
from tests.processes import PATIENCE
from tests.web.serving import serving, until
from tests.web.world import world


def test_streams_never_take_the_last_descriptors() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert room_for_streams(100) == 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (256, before[1])
        assert room_for_streams(300) == 300
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 376
        room = room_for_streams(10**12)
        assert room <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 0.8
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_signals_stay_the_programs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
            async with serving(build(here.deps()), here.hub) as server, server.client() as client:
                assert (await client.get("/health/live")).status_code == 200
                assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


def test_the_port_is_free_again_after_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            async with serving(here.app(), here.hub) as server, server.client() as client:
                await client.get("/health/live")
                await client.aclose()
                server.stop.set()
                await until(server.ended.done)
            listen("127.0.0.1", server.port, patience=0.01, pause=0.01).close()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


def test_a_connection_that_is_open_at_the_end_gets_one_more_answer_which_says_that_it_is_the_last(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, serving(here.app(), here.hub) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
            writer.write(request)
            first = await reader.readuntil(b"\r\n\r\n")
            assert b"connection: close" not in first.lower()
            server.stop.set()
            # By then it takes no new connections: that is done at once when the end begins.
            with pytest.raises(OSError):
                await until_refused(server.port)
            writer.write(request)
            rest = await reader.read()
            assert b"200 OK" in rest
            assert b"connection: close" in rest.lower()
            await server.ended
            writer.close()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


@pytest.mark.parametrize("steps", range(8))
def test_a_connection_that_comes_just_as_the_end_begins_is_answered_or_left_to_who_holds_the_port(
    tmp_path: Path, steps: int
) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            sock, stop, started = listen("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
            held = sock.dup()  # as a service manager does
            running = asyncio.create_task(
                serve(here.app(), sockets=[sock], stop=stop, hub=here.hub, started=started.set)
            )
            await started.wait()
            stop.set()
            for _ in range(steps):
                await asyncio.sleep(0)
            with held, socket.create_connection(held.getsockname()) as client:
                client.settimeout(10)
                client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                await running
                left_to_others = select.select([held], [], [], 0)[0]
                assert left_to_others or client.recv(100).startswith(b"HTTP/1.1 200")

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


async def until_refused(port: int) -> None:
    """OSError as soon as nobody listens there."""
    while True:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()


def test_a_client_that_has_connected_and_is_slow_to_ask_is_answered_at_the_end_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, serving(here.app(), here.hub) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            async with server.client() as other:  # by its answer the first connection has been taken
                await other.get("/health/live")
            server.stop.set()
            with pytest.raises(OSError):
                await until_refused(server.port)
            await asyncio.sleep(1.25 * QUIET_SECONDS)  # longer than others may stay silent
            writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in await reader.read()
            await server.ended
            writer.close()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))
