"""Telling the service manager (systemd, podman) how we are, by its notification socket. Without one, nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping

import structlog

_WAIT = 1.0
"""Seconds for what is said once: without READY=1 a manager ends us in the end."""

log = structlog.get_logger()


class Service:
    """What started us, if it wants to know."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = _watchdog_seconds(environ)
        self._reloading = False

    @property
    def is_reloading(self) -> bool:
        """Between `reloading` and `ready`."""
        return self._reloading

    def ready(self, status: str) -> None:
        """We watch, and the page answers."""
        self._reloading = False
        self._tell("READY=1", f"STATUS={status}", wait=_WAIT)

    def reloading(self, monotonic: float) -> None:
        """We begin anew in place; `ready` follows. `monotonic` in seconds."""
        self._reloading = True
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(monotonic * 1_000_000)}", wait=_WAIT)

    def stopping(self) -> None:
        """We end; unless it is to begin anew, which is no stop to the manager."""
        if not self._reloading:
            self._tell("STOPPING=1", wait=_WAIT)

    def status(self, text: str) -> None:
        """A line for people who ask the service manager."""
        self._tell(f"STATUS={text}")

    async def keep_alive(self) -> None:
        """Say that the event loop runs, twice as often as is asked for; until cancelled. It says nothing of disks
        and sources: a start over would not help those."""
        if not self._address or self._watchdog is None:
            return
        while True:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog / 2)

    def _tell(self, *lines: str, wait: float = 0.0) -> None:
        """One that does not listen must not hold us up; one that is busy for a moment may, for so many seconds."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(wait)
            try:
                sock.connect(self._address)  # only so can be waited for room
                sock.send("\n".join(lines).encode())
            except OSError as error:
                log.warning("the service manager cannot be told", what=lines[0], why=error.strerror or str(error))


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """How often a sign of life is wanted from this process."""
    wanted, whom = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(os.getpid()))
    if not wanted.isdecimal() or int(wanted) == 0 or whom != str(os.getpid()):
        return None
    return int(wanted) / 1_000_000
