"""Serving an application with uvicorn as one job of the program: its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import resource
import socket
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from cryptowatcher.listening import BACKLOG
from cryptowatcher.web.live import Hub

QUIET_SECONDS = 1.5
"""Connections that were answered may stay silent for so long before they are closed in draining."""
DRAIN_SECONDS = 7.0
"""For all of draining: a busy page has many requests before it that are not read yet."""
GRACE_SECONDS = 2
"""For requests that are being answered when draining is over."""
KEEP_ALIVE_SECONDS = 65
"""Longer than programs keep idle connections: who closes first must not be us, just as a request is on the way."""
_LAST_ANSWER = (b"connection", b"close")


class _Server(uvicorn.Server):
    """The program owns the signals: uvicorn must neither catch nor raise them. It says when it answers, and it can
    end without a request being lost."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell_started()

    async def drain(self) -> None:
        """Take no new connections (they wait in the kernel's queue for whoever holds the port too), and let those
        that are open have one more answer that tells them not to ask again here. A connection that is closed
        while its request is on the way would be a failed request. Those that stay silent are closed in the end."""
        await self._stop_accepting()
        self.config.encoded_headers.append(_LAST_ANSWER)
        self.server_state.default_headers = [*self.server_state.default_headers, _LAST_ANSWER]
        loop = asyncio.get_running_loop()
        began, open_ = loop.time(), self.server_state.connections
        while open_ and loop.time() < began + DRAIN_SECONDS:
            busy = self.server_state.tasks or any(map(_is_asking, open_))
            if not busy and loop.time() > began + QUIET_SECONDS:
                break
            await asyncio.sleep(0.02)
        for connection in list(open_):  # at once, before anything more comes in
            connection.shutdown()

    async def _stop_accepting(self) -> None:
        """asyncio drops a connection that it accepted but has not set up yet when its server is closed. So first
        it accepts no more, then those are set up, then it is closed."""
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for sock in server.sockets:
                loop.remove_reader(sock.fileno())
        await asyncio.sleep(0.05)
        for server in self.servers:
            server.close()


def _is_asking(connection: Any) -> bool:
    """Whether a request came in that this busy process has not read yet, or will: nobody connects in order to be
    silent, but a busy client may take a while. `connection`: one of uvicorn's."""
    if connection.cycle is None:  # no request has come on it
        return True
    sock = connection.transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return False
    waiting = fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4))
    return int.from_bytes(waiting, sys.byteorder) > 0


async def serve(
    app: Any,  # any ASGI application
    *,
    sockets: Sequence[socket.socket],
    stop: asyncio.Event,
    hub: Hub,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve on listening sockets until `stop` is set, then end the live streams, finish what is running, and
    return. `started` is called when requests are answered."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        loop="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = _Server(config, started)
    async with asyncio.TaskGroup() as jobs:
        running = jobs.create_task(server.serve(sockets=list(sockets)))
        stopping = jobs.create_task(stop.wait())
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        ended_by_itself = running.done() and not stop.is_set()
        stopping.cancel()
        hub.close()
        if server.started:
            await server.drain()
        server.should_exit = True
        await running
    if ended_by_itself:
        raise RuntimeError("the web server ended by itself")


def room_for_streams(wanted: int) -> int:
    """How many live streams may be open at once: all that are wanted, if the system lets them have a descriptor
    each. Raises this process's own limit as far as that takes; a fifth stays free for everything else."""
    needed = wanted * 5 // 4 + 1
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft * 4 // 5)
