"""Serving an application with uvicorn as one job of the program: its signals, its socket, its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from cryptowatcher.errors import ConfigError
from cryptowatcher.web.live import Hub

SEND_BUFFER = 32 * 1024
"""Bytes the kernel keeps for a client that does not read; with the system's default a sleeping tab costs MBs."""

BACKLOG = 2_048
GRACE_SECONDS = 5


class _Server(uvicorn.Server):
    """The program owns the signals: uvicorn must neither catch nor raise them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: Any,  # any ASGI application
    *,
    host: str,
    port: int,
    stop: asyncio.Event,
    hub: Hub,
    sock: socket.socket | None = None,
) -> None:
    """Serve until `stop` is set, then end the live streams, finish what is running, and return.

    `sock` is a listening socket to use instead of host and port. ConfigError when the port cannot be had.
    """
    listening = sock or await listen(host, port)
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
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as jobs:
        running = jobs.create_task(server.serve(sockets=[listening]))
        stopping = jobs.create_task(stop.wait())
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        ended_by_itself = running.done() and not stop.is_set()
        stopping.cancel()
        hub.close()
        server.should_exit = True
        await running
    if ended_by_itself:
        raise RuntimeError("the web server ended by itself")


async def listen(host: str, port: int, *, patience: float = 5.0, pause: float = 0.25) -> socket.socket:
    """A listening socket. The process before may be just ending, so a taken port is tried for a while."""
    attempts = max(1, round(patience / pause))
    for attempt in range(1, attempts + 1):
        try:
            return _bound(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or attempt == attempts:
                raise _cannot_listen(host, port, error) from None
        await asyncio.sleep(pause)
    raise AssertionError("unreachable")


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


def _bound(host: str, port: int) -> socket.socket:
    """Accepted connections inherit the send buffer, which counts only when it is set before `listen`."""
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        hint = f"is another cryptowatcher running? stop it, or choose another port: [web] port = {port + 1}"
        return ConfigError(f"port {port} on {host} is taken by another program", where="web.port", hint=hint)
    if error.errno == errno.EACCES:
        hint = "ports below 1024 need rights this program does not have: [web] port = 8000"
        return ConfigError(f"port {port} on {host} may not be used", where="web.port", hint=hint)
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        hint = 'write [web] host = "127.0.0.1" for this machine alone, "0.0.0.0" for all its networks'
        return ConfigError(f"{host!r} is not an address of this machine", where="web.host", hint=hint)
    return ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", where="web.port")
