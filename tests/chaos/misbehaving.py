"""Four services that misbehave by chance, as a process of its own: they outlive whoever is killed.

    python -m tests.chaos.misbehaving FOLDER --seed 7

A signed webhook, ntfy and Discord over HTTP, a mail server, and a webhook that never works. Their ports are in
FOLDER/ports.json once they listen. FOLDER/taken.jsonl gets a line for each message that one of them took, before
it answers. After SIGUSR1 they behave, but for what they refuse for good and the one that never works.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import re
import signal
import time
from collections.abc import Callable
from email import message_from_bytes
from enum import Enum, auto
from functools import partial
from pathlib import Path
from random import Random

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from cryptowatcher.testing.receiver import signing_key, verifies
from cryptowatcher.testing.wire import LocalServer, Reply, Request, Sending, json_reply

SECRET = "whsec_c2VjcmV0LWZvci1jaGFvcw=="

_SEQUENCE = re.compile(rb'"sequence_id":"([0-9a-f]+)"')
_FOOTER = re.compile(rb'"footer":\{"text":"([^"]+)"')

Known = Callable[[Request], tuple[str, str]]
"""Id and alert of the message in a request."""


class Taken(msgspec.Struct, frozen=True):
    """A message that a service took. `at`: monotonic seconds, the same clock for all processes of this machine.

    id:       what the service knows it by: webhook-id, sequence_id, Message-ID, or the end of the id in a footer
    alert:    which alert it tells of, where it says so
    answered: whether the service said that it took it
    """

    at: float
    channel: str
    id: str
    alert: str
    answered: bool


class Mood(Enum):
    WELL = auto()
    ERROR = auto()  # 500, 451
    BUSY = auto()  # 429 with Retry-After, 452
    CLOSED = auto()  # the connection ends without an answer, the message is not taken
    LOST = auto()  # taken, and the connection ends without an answer
    HALF = auto()  # taken, and half an answer
    HANG = auto()  # taken, and never an answer


_UNTAKEN = (Mood.WELL, Mood.ERROR, Mood.BUSY, Mood.CLOSED)
_TAKEN = (Mood.LOST, Mood.HALF, Mood.HANG)
_DOWN_ONCE_IN = 250
_DOWN_FOR = (2.0, 12.0)
"""Seconds."""


class Service:
    """What one of them does next. `repeats_hurt`: it cannot tell a repeat, so it never takes a message without
    saying so: every repeat there is then one that a kill has made."""

    def __init__(self, name: str, seed: int, *, repeats_hurt: bool, note: Callable[[Taken], None]) -> None:
        self.name = name
        self.calm = False
        self._chance = Random(f"{name} {seed}")
        self._moods = _UNTAKEN if repeats_hurt else _UNTAKEN + _TAKEN
        self._weights = (80, 6, 3, 5) if repeats_hurt else (80, 6, 3, 3, 3, 3, 2)
        self._down_until = 0.0
        self._note = note

    def mood(self) -> Mood:
        if self.calm:
            return Mood.WELL
        now = time.monotonic()
        if now >= self._down_until and self._chance.randrange(_DOWN_ONCE_IN) == 0:
            self._down_until = now + self._chance.uniform(*_DOWN_FOR)
        if now < self._down_until:
            return self._chance.choice((Mood.ERROR, Mood.CLOSED))
        return self._chance.choices(self._moods, self._weights)[0]

    def take(self, id_: str, *, alert: str = "", answered: bool) -> None:
        self._note(Taken(time.monotonic(), self.name, id_, alert, answered))

    async def answer(self, known: Known, request: Request) -> Reply:
        id_, alert = known(request)
        if refused_for_good(id_):
            return Reply(status=410)
        mood = self.mood()
        if mood in (Mood.WELL, *_TAKEN):
            self.take(id_, alert=alert, answered=mood is Mood.WELL)
        match mood:
            case Mood.WELL:
                return json_reply({"id": "1"})
            case Mood.ERROR:
                return Reply(status=500, body=b"out of order")
            case Mood.BUSY:
                return Reply(status=429, headers=(("Retry-After", str(self._chance.randrange(3))),))
            case Mood.HALF:
                return msgspec.structs.replace(json_reply({"id": "1"}), sending=Sending.CUT_BODY)
            case Mood.HANG:
                return Reply(sending=Sending.HANG)
        return Reply(sending=Sending.CLOSE)


class Mailbox:
    """A mail server's side of it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  its name
        content = envelope.content
        assert isinstance(content, bytes)
        id_ = str(message_from_bytes(content)["Message-ID"]).strip("<>").partition("@")[0]
        if refused_for_good(id_):
            return "554 no"
        mood = self._service.mood()
        if mood in (Mood.WELL, *_TAKEN):
            self._service.take(id_, answered=mood is Mood.WELL)
        match mood:
            case Mood.WELL:
                return "250 OK"
            case Mood.HANG:
                await asyncio.sleep(60)
            case Mood.ERROR:
                return "451 out of order"
            case Mood.BUSY:
                return "452 too many"
        assert server.transport is not None
        server.transport.close()
        return "421 away"


def refused_for_good(id_: str) -> bool:
    """One message in fifty, always the same ones."""
    return hashlib.blake2b(id_.encode()).digest()[0] < 5


def of_hook(request: Request, *, key: bytes) -> tuple[str, str]:
    assert verifies(key, request), "not signed"
    return request.headers["webhook-id"], json.loads(request.body)["data"]["id"]


def of_phone(request: Request) -> tuple[str, str]:
    return _first(_SEQUENCE, request), ""


def of_chat(request: Request) -> tuple[str, str]:
    return _first(_FOOTER, request), ""


def _first(pattern: re.Pattern[bytes], request: Request) -> str:
    found = pattern.search(request.body)
    assert found, request
    return found[1].decode()


async def serve(folder: Path, seed: int) -> None:
    """Until the process is ended."""
    with (folder / "taken.jsonl").open("ab", buffering=0) as log:
        encode = msgspec.json.Encoder().encode

        def note(taken: Taken) -> None:
            log.write(encode(taken) + b"\n")

        services = {
            name: Service(name, seed, repeats_hurt=name == "chat", note=note)
            for name in ("hook", "phone", "chat", "mail")
        }

        def calm_down() -> None:
            for service in services.values():
                service.calm = True

        async def never(_: Request) -> Reply:
            return Reply(status=503)

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, calm_down)
        readers: dict[str, Known] = {
            "hook": partial(of_hook, key=signing_key(SECRET)),
            "phone": of_phone,
            "chat": of_chat,
        }
        async with contextlib.AsyncExitStack() as stack:
            ports = {}
            answers = {name: partial(services[name].answer, known) for name, known in readers.items()}
            for name, answer in (answers | {"lost": never}).items():
                server = await stack.enter_async_context(LocalServer(answer))
                ports[name] = int(server.origin.rpartition(":")[2])
            box = Mailbox(services["mail"])
            post = await loop.create_server(lambda: SMTP(box, hostname="mail.test", loop=loop), "127.0.0.1", 0)
            ports["mail"] = post.sockets[0].getsockname()[1]
            ready = folder / "ports.new"
            ready.write_text(json.dumps(ports))
            ready.replace(folder / "ports.json")
            await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    asked = parser.parse_args()
    asyncio.run(serve(asked.folder, asked.seed))


if __name__ == "__main__":
    main()
