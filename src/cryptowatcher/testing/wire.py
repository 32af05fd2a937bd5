"""An HTTP/1.1 server for tests that can answer wrongly on purpose, down to the bytes and the connection.

It serves loopback only, has no limits worth the name, and is no web server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from email import message_from_bytes
from email.message import Message
from enum import Enum, auto
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

WallTime = Callable[[], int]


def wall_time() -> int:
    """Epoch ms."""
    return time.time_ns() // 1_000_000


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What came in. Header names are lower case; `query` holds the last value of each name."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: int


class Sending(Enum):
    """How a reply goes onto the wire."""

    WHOLE = auto()
    DRIP = auto()  # byte by byte, `Reply.pause` seconds apart
    HANG = auto()  # never; the connection stays open
    CLOSE = auto()  # the connection closes without a byte
    RESET = auto()  # the connection breaks (RST) without a byte
    CUT_HEAD = auto()  # closes inside the headers
    CUT_BODY = auto()  # closes half-way through the body that Content-Length promised
    RAW = auto()  # `Reply.body` as it is, without status line or headers


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    sending: Sending = Sending.WHOLE
    delay: float = 0.0
    pause: float = 1.0

    def with_headers(self, *headers: tuple[str, str]) -> Reply:
        return msgspec.structs.replace(self, headers=(*self.headers, *headers))


def form_of(request: Request) -> dict[str, bytes]:
    """The fields of a form, and its files by the names of their fields; nothing where it is none."""
    kind = request.headers.get("content-type", "")
    form = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.body)
    parts = form.get_payload() if form.get_content_type() == "multipart/form-data" else []
    named = {}
    for part in parts:
        assert isinstance(part, Message)
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        assert isinstance(content, bytes)
        named[str(name)] = content
    return named


def json_reply(content: object, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    content_type = ("Content-Type", "application/json; charset=utf-8")
    return Reply(status=status, headers=(content_type, *headers), body=msgspec.json.encode(content))


class LocalServer:
    """`async with LocalServer(answer) as server`: listens on `server.origin`; leaves nothing open behind."""

    def __init__(
        self,
        answer: Callable[[Request], Awaitable[Reply]],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: WallTime = wall_time,
    ) -> None:
        self._answer = answer
        self._host = host
        self._port = port
        self._clock = clock
        self._conversations: set[asyncio.Task[None]] = set()

    @property
    def origin(self) -> str:
        return f"http://{self._host}:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # a client that goes away in the middle is what tests do all the time
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                open_ = True
                while open_:
                    request = await _read(reader, self._clock)
                    reply = await self._answer(request)
                    open_ = await _send(reader, writer, reply)
                    open_ = open_ and request.headers.get("connection", "").lower() != "close"
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class LocalService:
    """`async with` one of its kinds: what it stands for answers on a LocalServer of its own."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, clock: WallTime = wall_time) -> None:
        self._server = LocalServer(self._answer, host=host, port=port, clock=clock)

    @property
    def origin(self) -> str:
        return self._server.origin

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def _answer(self, request: Request) -> Reply:
        raise NotImplementedError


async def _read(reader: asyncio.StreamReader, clock: WallTime) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(method=method, path=unquote(url.path), query=query, headers=headers, body=body, at=clock())


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """False when this was the connection's last reply."""
    if reply.delay:
        await asyncio.sleep(reply.delay)
    head = _head(reply)
    match reply.sending:
        case Sending.WHOLE:
            writer.write(head + reply.body)
        case Sending.DRIP:
            return await _drip(writer, head + reply.body, reply.pause)
        case Sending.HANG:
            await reader.read()  # until the client has had enough
        case Sending.CLOSE:
            pass
        case Sending.RESET:
            _break(writer)
        case Sending.CUT_HEAD:
            writer.write(head[: len(head) // 2])
        case Sending.CUT_BODY:
            writer.write(head + reply.body[: len(reply.body) // 2])
        case Sending.RAW:
            writer.write(reply.body)
    await writer.drain()
    return reply.sending is Sending.WHOLE


async def _drip(writer: asyncio.StreamWriter, content: bytes, pause: float) -> bool:
    for place in range(len(content)):
        writer.write(content[place : place + 1])
        await writer.drain()
        await asyncio.sleep(pause)
    return True


def _break(writer: asyncio.StreamWriter) -> None:
    """Linger of 0 s turns the close into a reset."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _head(reply: Reply) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    headers = (*reply.headers, ("Content-Length", str(len(reply.body))))
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
