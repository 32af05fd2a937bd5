"""What a service manager is told, on a real notification socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

from cryptowatcher.service import Service
from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.receiver import WebhookReceiver
from tests.processes import PATIENCE
from tests.program.test_run import running, with_world


def manager(folder: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(folder / "notify"))
    sock.settimeout(PATIENCE)
    return sock


def hear(sock: socket.socket, wanted: str) -> list[str]:
    """What was told until the wanted line came."""
    told: list[str] = []
    end = time.monotonic() + PATIENCE
    while wanted not in told:
        assert time.monotonic() < end, f"{wanted} was not told within {PATIENCE:g} s, but {told}"
        told += sock.recv(4096).decode().splitlines()
    return told


def test_it_says_ready_keeps_saying_that_it_lives_and_says_when_it_begins_anew_and_stops(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        with manager(tmp_path) as sock:
            environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
            async with running(config, port, **environ) as program:
                for signalled, wanted in (
                    (None, ("READY=1", "WATCHDOG=1", "WATCHDOG=1")),
                    (signal.SIGHUP, ("RELOADING=1", "READY=1", "WATCHDOG=1")),
                    (signal.SIGTERM, ("STOPPING=1",)),
                ):
                    if signalled:
                        program.process.send_signal(signalled)
                    told = [line for each in wanted for line in await asyncio.to_thread(hear, sock, each)]
                    assert told.count("STOPPING=1") == (signalled == signal.SIGTERM)
                async with asyncio.timeout(PATIENCE):
                    assert await program.process.wait() == 0

    with_world(story, tmp_path)


def test_the_watchdog_of_another_process_is_not_ours(tmp_path: Path) -> None:
    with manager(tmp_path) as sock:
        sock.setblocking(False)
        address = str(tmp_path / "notify")
        for environ in (
            {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
            {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "soon"},
            {"NOTIFY_SOCKET": address},
            {"WATCHDOG_USEC": "1000000"},
        ):
            asyncio.run(Service(environ).keep_alive())  # ends at once
        try:
            told = sock.recv(100)
        except BlockingIOError:
            told = b""
        assert told == b""


def test_a_manager_that_does_not_listen_holds_nobody_up(tmp_path: Path) -> None:
    with manager(tmp_path):
        service = Service({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(1_000):  # the system keeps some tens of what nobody takes
            service.status("watching")


def test_a_manager_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    Service({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready("watching")


def test_an_abstract_address_is_understood() -> None:
    name = f"cryptowatcher-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(PATIENCE)
        Service({"NOTIFY_SOCKET": f"@{name}"}).ready("watching")
        assert sock.recv(100) == b"READY=1\nSTATUS=watching"
