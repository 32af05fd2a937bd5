"""A real HTTP server on this machine that does exactly what a test says, byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit


class Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}


Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Behaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


class Loopback(NamedTuple):
    """`url` has no trailing slash; `requests` are those read so far."""

    url: str
    requests: list[Request]


@asynccontextmanager
async def listening(connection: Connection) -> AsyncIterator[str]:
    """A TCP server; gives its `host:port`. What still runs at the end is aborted."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await connection(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the loop closes the sockets of what was aborted


@asynccontextmanager
async def serving(behave: Behaviour) -> AsyncIterator[Loopback]:
    """An HTTP server that reads requests and leaves the answers to `behave`; a ConnectionError closes."""
    requests: list[Request] = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests.append(await _request(reader))
            await behave(requests[-1], writer)
            await writer.drain()

    async with listening(connection) as address:
        yield Loopback(f"http://{address}", requests)


async def _request(reader: asyncio.StreamReader) -> Request:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
    }
    return Request(method, target, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def raw(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answering(status: int, body: bytes | object, headers: Mapping[str, str] | None = None) -> Behaviour:
    """The same answer to everything; what is not bytes goes as JSON."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        if isinstance(body, bytes):
            writer.write(raw(status, body, headers))
        else:
            text = json.dumps(body).encode()
            writer.write(raw(status, text, {"content-type": "application/json; charset=utf-8", **(headers or {})}))

    return behave
