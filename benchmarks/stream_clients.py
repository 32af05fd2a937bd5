"""Readers of a live stream: many in one process, which looks at nothing but where frames end."""

from __future__ import annotations

import os
import select
import socket
import time
from multiprocessing.connection import Connection

PATIENCE = 60.0


class Reader:
    """One client. A frame is one chunk of the answer; `frames` are complete, the last at `at` (monotonic ns), and
    `wanted` are waited for."""

    __slots__ = ("_head", "_left", "at", "bytes", "frames", "sock", "wanted")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.frames = 0
        self.wanted = 1
        self.bytes = 0
        self.at = 0
        self._head = b""  # of a chunk, or of the answer, that is not whole yet
        self._left = -1  # bytes to the end of the chunk; -1: the answer's own head is not read yet

    def take(self, data: bytes) -> None:
        self.bytes += len(data)
        if self._left > len(data):  # nearly always
            self._left -= len(data)
            return
        self._split(data)

    def _split(self, data: bytes) -> None:
        if self._left > 0:
            data, self._left = data[self._left :], 0
            self._whole()
        data = self._head + data
        while data:
            end = b"\r\n\r\n" if self._left < 0 else b"\r\n"
            line, found, rest = data.partition(end)
            if not found:
                break
            if self._left < 0:
                if not line.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"not let in: {line[:80]!r}")
                self._left, data = 0, rest
                continue
            size = int(line, 16) + 2
            if size > len(rest):
                self._left, data = size - len(rest), b""
                break
            data = rest[size:]
            self._whole()
        self._head = data

    def _whole(self) -> None:
        self.frames += 1
        self.at = time.monotonic_ns()


def run(pipe: Connection, cores: list[int], port: int, count: int, packed: bool) -> None:
    """A process of `count` clients. It says when all have the answer's head and the first frame; then, for each
    number of frames more that it is told, when each client had them. 0 ends it."""
    if cores:
        os.sched_setaffinity(0, cores)
    poll = select.epoll()
    readers = dict(_connected(poll, port, count, packed))
    _read(poll, readers)
    # What comes before the first update differs; the rest of it is here within a moment.
    _drain(poll, readers)
    pipe.send(count)
    while (more := pipe.recv()) > 0:
        for reader in readers.values():
            reader.wanted = reader.frames + more
        pipe.send(None)
        _read(poll, readers)
        pipe.send([reader.at for reader in readers.values()])


def _connected(poll: select.epoll, port: int, count: int, packed: bool) -> list[tuple[int, Reader]]:
    encoding = "accept-encoding: gzip, deflate, br\r\n" if packed else ""
    asked = f"GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\n{encoding}\r\n".encode()
    found = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        sock.sendall(asked)
        sock.setblocking(False)
        poll.register(sock, select.EPOLLIN)
        found.append((sock.fileno(), Reader(sock)))
    return found


def _drain(poll: select.epoll, readers: dict[int, Reader]) -> None:
    while ready := poll.poll(0.5):
        for fd, _ in ready:
            readers[fd].take(readers[fd].sock.recv(262_144))


def _read(poll: select.epoll, readers: dict[int, Reader]) -> None:
    """Until each has what is wanted."""
    missing = {fd for fd, reader in readers.items() if reader.frames < reader.wanted}
    until = time.monotonic() + PATIENCE
    while missing:
        if time.monotonic() > until:
            raise RuntimeError(f"{len(missing)} clients still wait")
        for fd, _ in poll.poll(1):
            reader = readers[fd]
            data = reader.sock.recv(262_144)
            if not data:
                raise RuntimeError("a stream ended")
            reader.take(data)
            if reader.frames >= reader.wanted:
                missing.discard(fd)
