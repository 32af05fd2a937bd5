"""A real server on loopback, and a client that reads its live stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import msgspec
from litestar import Litestar

from cryptowatcher.listening import listen
from cryptowatcher.web.live import Hub
from cryptowatcher.web.server import serve
from tests.processes import PATIENCE


class Event(NamedTuple):
    """One message of the stream."""

    name: str
    id: str
    data: Any


class Server(NamedTuple):
    port: int
    stop: asyncio.Event
    ended: asyncio.Task[None]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=PATIENCE)


@asynccontextmanager
async def serving(app: Litestar, hub: Hub) -> AsyncIterator[Server]:
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    stop = asyncio.Event()
    ended = asyncio.create_task(serve(app, sockets=[sock], stop=stop, hub=hub))
    try:
        yield Server(port, stop, ended)
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await ended


async def events(answer: httpx.Response) -> AsyncGenerator[Event, None]:
    """The messages, until the server ends the stream."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "event" in fields:
            yield Event(fields["event"], fields.get("id", ""), msgspec.json.decode(fields["data"]))
        fields = {}


async def until(condition: Callable[[], object]) -> None:
    """Let everything else go on until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  nobody tells us: it happens in sockets and files
            await asyncio.sleep(0)
