"""The process in which the Apprise library speaks: `python -m cryptowatcher.adapters.channels.apprise_worker`.

It takes a Job a line on its standard input and answers each with a Done. The library knows more than a hundred
services, and what each of them asks over the network, it decides itself. So nothing of it is trusted here:

- Each connection is judged when it is made, at the address to which it is made, by an audit hook, which code in
  Python cannot take away again. Redirects, names that change their address and look-ups of the library's own all
  come by there.
- No program is started from then on, no file is written, and none is read but Python's own and certificates: some
  services send files that their address names.
- What the library says goes nowhere: it may quote the address, which is a secret. It is only looked at for the
  number of an HTTP answer.
- A job that takes longer than it may ends the process.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
from typing import Any, BinaryIO, Final, Literal
from weakref import WeakSet

import msgspec

from cryptowatcher.domain.addresses import Outbound, may_use, parse_address

Outcome = Literal["sent", "refused", "unavailable"]

_MARGIN: Final = 5.0
"""Seconds: whoever waits for the answer gives up first, and says so."""
_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
"""How the library says the status of an HTTP answer."""
_NOT_NOW: Final = {408: "timeout", 409: "conflict", 425: "too_early", 429: "rate_limited"}
_NO: Final = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 410: "gone"}
_ASKS: Final = ("socket.connect", "socket.sendto", "socket.sendmsg")
_NEVER: Final = (
    "ctypes.dlopen",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
)
_READABLE: Final = tuple(
    os.path.realpath(folder) + os.sep
    for folder in (*sys.path, sys.prefix, sys.base_prefix, "/etc/ssl", "/etc/pki", "/usr/lib", "/usr/share")
    if folder
)
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said, and to whom.

    url:     an address of Apprise's: a secret
    seconds: how long that may take
    mail:    whether it goes by SMTP: which ports may be used
    """

    url: str
    title: str
    body: str
    seconds: float
    outbound: Outbound
    mail: bool = False


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    reason: a stable word, empty when it was sent
    last:   whether this process does no more, because something still runs in it
    """

    outcome: Outcome
    reason: str = ""
    last: bool = False


class Gate:
    """Judges what a library tries to do to the world. As an audit hook it refuses by raising."""

    def __init__(self) -> None:
        self._outbound = Outbound()
        self._mail = False
        self._own: WeakSet[socket.socket] = WeakSet()
        self.forbidden = False

    def begin(self, job: Job) -> None:
        """From now on this is what may be reached, and nothing was refused yet."""
        self._outbound, self._mail = job.outbound, job.mail
        self.forbidden = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _NEVER or (event == "open" and not _may_open(args)):
            raise PermissionError("not for a message")
        if event == "socket.bind" and args[1][:2] == ("127.0.0.1", 0):
            self._own.add(args[0])
        elif (event == "socket.connect" and not self._may_reach(args[0], args[1])) or (
            event in ("socket.sendto", "socket.sendmsg") and args[1] and not self._may_reach(args[0], args[1])
        ):
            raise self._no()

    def _no(self) -> PermissionError:
        self.forbidden = True
        return PermissionError("not an address that may be asked")

    def _may_reach(self, connection: socket.socket, address: Any) -> bool:
        """Only addresses: a name here would be looked up out of sight."""
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        try:
            host, port = parse_address(str(address[0])), int(address[1])
        except (ValueError, TypeError, IndexError):
            return False
        if self._is_own(str(address[0]), port):
            return True
        return may_use(port, mail=self._mail) and self._outbound.allows(host)

    def _is_own(self, host: str, port: int) -> bool:
        """A pair of connected sockets is made this way by libraries that also run where there is none."""
        return host == "127.0.0.1" and any(
            each.fileno() >= 0 and each.getsockname()[1] == port for each in list(self._own)
        )


class _Statuses(logging.Handler):
    """Keeps the last status that the library spoke of, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.last: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if found := _STATUS.search(record.getMessage()):
            self.last = int(found[1])


def main() -> None:
    """Until the input ends, or it can do no more."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    speak = _Library()
    for line in sys.stdin.buffer:
        done = speak(msgspec.json.decode(line, type=Job))
        answers.write(msgspec.json.encode(done) + b"\n")
        if done.last:
            _leave(answers)
    _leave(answers)


def _leave(answers: BinaryIO) -> None:
    """Without a word to threads that will not end by themselves."""
    answers.close()
    os._exit(0)


class _Library:
    """The library, loaded, silenced and fenced in."""

    def __init__(self) -> None:
        import apprise

        self._apprise = apprise
        self._statuses = _Statuses()
        logger = logging.getLogger("apprise")
        logger.handlers, logger.propagate = [self._statuses], False
        logger.setLevel(logging.WARNING)
        self._asset = apprise.AppriseAsset(
            http_redirects=False,
            async_mode=False,
            service_timeout=0,  # the deadline is our own
            storage_mode=apprise.PersistentStoreMode.MEMORY,
        )
        # The services are loaded with the first that is named: from here on nothing else is.
        apprise.Apprise.instantiate("json://localhost", asset=self._asset)
        self._threads = threading.active_count()
        self._gate = Gate()
        sys.addaudithook(self._gate)

    def __call__(self, job: Job) -> Done:
        self._gate.begin(job)
        self._statuses.last = None
        # Nobody catches it: a library that hangs ends here, also when nobody is left who would end it.
        signal.setitimer(signal.ITIMER_REAL, job.seconds + _MARGIN)
        sent = self._send(job)
        signal.setitimer(signal.ITIMER_REAL, 0)
        last = threading.active_count() > self._threads
        if sent is None:
            return Done(outcome="refused", reason="bad_url", last=last)
        if sent:
            return Done(outcome="sent", last=last)
        return self._failed(last=last)

    def _send(self, job: Job) -> bool | None:
        """None: it is no address of a service."""
        service = self._apprise.Apprise.instantiate(job.url, asset=self._asset)
        if service is None:
            return None
        # What an address may ask for in its query: to be led elsewhere, say it twice, or call a failure none.
        service.redirects, service.retry, service.optional = False, 0, False
        everyone = self._apprise.Apprise(asset=self._asset)
        everyone.add(service)
        try:
            return bool(
                everyone.notify(
                    title=job.title,
                    body=job.body,
                    body_format=self._apprise.NotifyFormat.TEXT,
                    interpret_escapes=False,
                )
            )
        except Exception:  # of a hundred services and their libraries: none may end the process or say a word
            return False

    def _failed(self, *, last: bool) -> Done:
        if self._gate.forbidden:
            return Done(outcome="refused", reason="forbidden_address", last=last)
        status = self._statuses.last or 0
        if 400 <= status < 500 and status not in _NOT_NOW:
            return Done(outcome="refused", reason=_NO.get(status, "client_error"), last=last)
        if 300 <= status < 400:
            return Done(outcome="unavailable", reason="redirect", last=last)
        return Done(outcome="unavailable", reason=_NOT_NOW.get(status, "server_error"), last=last)


def _may_open(args: tuple[Any, ...]) -> bool:
    """Of the event `open`: path, mode, flags."""
    path, mode, flags = args
    if set(mode or "") & set("wax+") or (isinstance(flags, int) and flags & _WRITES):
        return False
    return isinstance(path, int) or os.path.realpath(os.fsdecode(path)).startswith(_READABLE)


if __name__ == "__main__":
    main()
