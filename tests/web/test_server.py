"""The server as a job of the program: its port, its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from pathlib import Path

import pytest

from cryptowatcher.errors import ConfigError
from cryptowatcher.web.api import build
from cryptowatcher.web.server import SEND_BUFFER, listen, room_for_streams
from tests.web.serving import serving, until
from tests.web.world import world


def occupied() -> tuple[socket.socket, int]:
    """A port that another program has."""
    sock = socket.create_server(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


def test_a_taken_port_is_named_with_what_to_do() -> None:
    blocker, port = occupied()
    with blocker, pytest.raises(ConfigError) as caught:
        asyncio.run(listen("127.0.0.1", port, patience=0.02, pause=0.01))
    assert caught.value.where == "web.port"
    assert str(port) in caught.value.message
    assert f"port = {port + 1}" in caught.value.hint


def test_a_port_that_becomes_free_is_taken() -> None:
    async def scenario() -> None:
        blocker, port = occupied()
        waiting = asyncio.create_task(listen("127.0.0.1", port, patience=60, pause=0.001))
        await asyncio.sleep(0)
        assert not waiting.done()
        blocker.close()
        with await waiting as sock:
            assert sock.getsockname()[1] == port

    asyncio.run(scenario())


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        asyncio.run(listen("192.0.2.1", 0))
    assert caught.value.where == "web.host"


def test_the_kernel_keeps_little_for_clients_that_do_not_read() -> None:
    async def scenario() -> None:
        with await listen("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
            accepted, _ = sock.accept()
            with accepted:
                # Linux counts its own book-keeping too and says twice what was asked for
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER

    asyncio.run(scenario())


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


def test_ipv6_is_served_too() -> None:
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    probe.close()

    async def scenario() -> None:
        with await listen("::1", 0) as sock:
            assert sock.family == socket.AF_INET6

    asyncio.run(scenario())


def test_signals_stay_the_programs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
            async with serving(build(here.deps()), here.hub) as server, server.client() as client:
                assert (await client.get("/health/live")).status_code == 200
                assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    asyncio.run(scenario())


def test_the_port_is_free_again_after_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            async with serving(build(here.deps()), here.hub) as server, server.client() as client:
                await client.get("/health/live")
                server.stop.set()
                await until(server.ended.done)
            (await listen("127.0.0.1", server.port, patience=0.01, pause=0.01)).close()

    asyncio.run(scenario())
