"""The page's port: bound here, or inherited open from whoever held it before, so that it is never closed between
one life of the program and the next. Connections that come meanwhile wait in the kernel's queue.

It is inherited as systemd hands sockets over (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES; descriptors from 3 on).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from cryptowatcher.errors import ConfigError

SEND_BUFFER = 32 * 1024
"""Bytes the kernel keeps for a client that does not read; with the system's default a sleeping tab costs MBs."""

BACKLOG = 2_048
FIRST_FD = 3
OURS = "cryptowatcher"
"""The name of a socket that we bound ourselves; another one was given and is used whatever its address."""

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked, not bound


class Listening(msgspec.Struct, frozen=True):
    """Open listening sockets, and whether somebody else (systemd) opened them."""

    sockets: tuple[socket.socket, ...]
    given: bool = False

    @property
    def port(self) -> int:
        return int(self.sockets[0].getsockname()[1])

    def descriptors(self) -> list[int]:
        return [sock.fileno() for sock in self.sockets]

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()

    def hand_over(self, environ: MutableMapping[str, str]) -> None:
        """Put the sockets where the program that this process becomes next looks for them. What else is open at
        those numbers is overwritten, so only `exec` may follow."""
        beyond = FIRST_FD + len(self.sockets)
        # Copies first: one of ours may lie where another is to go.
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, beyond) for fd in self.descriptors()]
        for number, fd in enumerate(copies, FIRST_FD):
            os.dup2(fd, number, inheritable=True)
        environ["LISTEN_PID"] = str(os.getpid())
        environ["LISTEN_FDS"] = str(len(copies))
        if not self.given:
            environ["LISTEN_FDNAMES"] = ":".join([OURS] * len(copies))


def asked_at(host: str) -> str:
    """Where this machine asks what listens on `host`: over loopback where that means all of its addresses."""
    return _EVERYWHERE.get(host, host)


@contextmanager
def listening(
    host: str, port: int, environ: MutableMapping[str, str], *, patience: float = 5.0
) -> Iterator[Listening]:
    """The port for as long as the context lasts. ConfigError when it cannot be had. The process before may be
    just ending, so a taken port is tried for `patience` seconds."""
    door = _inherited(host, port, environ) or Listening((listen(host, port, patience=patience),))
    try:
        yield door
    finally:
        door.close()


def listen(host: str, port: int, *, patience: float = 5.0, pause: float = 0.25) -> socket.socket:
    """A listening socket of our own."""
    attempts = max(1, round(patience / pause))
    for attempt in range(1, attempts + 1):
        try:
            return _bound(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or attempt == attempts:
                raise _cannot_listen(host, port, error) from None
        time.sleep(pause)
    raise AssertionError("unreachable")


def _inherited(host: str, port: int, environ: MutableMapping[str, str]) -> Listening | None:
    """What was handed to this very process; None when nothing was, or when it is another address than is wanted
    now. The variables are taken out, so that no child believes they are for it."""
    told = {name: environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if told["LISTEN_PID"] != str(os.getpid()):
        return None
    sockets = tuple(_adopted(told))
    if not sockets:
        return None
    door = Listening(sockets, given=OURS not in told["LISTEN_FDNAMES"].split(":"))
    if door.given or _is_at(sockets[0], host, port):
        return door
    door.close()
    return None


def _adopted(told: Mapping[str, str]) -> Iterator[socket.socket]:
    count = int(told["LISTEN_FDS"]) if told["LISTEN_FDS"].isdecimal() else 0
    for fd in range(FIRST_FD, FIRST_FD + count):
        try:
            os.set_inheritable(fd, False)
            sock = socket.socket(fileno=fd)
        except OSError as error:
            raise ConfigError(f"descriptor {fd} that was handed over is no socket: {error.strerror}") from None
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ConfigError(f"descriptor {fd} that was handed over is no listening stream socket")
        sock.setblocking(False)
        yield sock


def _is_at(sock: socket.socket, host: str, port: int) -> bool:
    """Whether a socket listens where the configuration says. A free port (0) was chosen once and is kept."""
    with suppress(OSError):
        _, address = _address(host, port)
        bound = sock.getsockname()
        return bool(bound[0] == address[0]) and port in (0, bound[1])
    return False


def _address(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    """The family and the address to bind."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return found[0], found[4]


def _bound(host: str, port: int) -> socket.socket:
    """Accepted connections inherit the send buffer, which counts only when it is set before `listen`."""
    family, address = _address(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
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
