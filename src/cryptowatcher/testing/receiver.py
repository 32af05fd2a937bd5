"""A webhook receiver on loopback: checks Standard Webhooks signatures, counts ids, and fails on demand.

    async with WebhookReceiver(secret="whsec_…") as hook:
        hook.behave_badly(Mood.FAIL, times=2, retry_after="1")
        ...  # hook.url, hook.received, hook.duplicates

As a process of its own: `python -m cryptowatcher.testing.receiver --port 9000 --log taken.jsonl --flaky 7`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import sys
from collections import Counter
from enum import Enum, auto
from pathlib import Path
from random import Random

import msgspec

from cryptowatcher.testing.wire import LocalService, Reply, Request, Sending, WallTime, wall_time


class Mood(Enum):
    FAIL = auto()  # answers `status`, the message is not taken
    HANG = auto()  # takes the message and never answers
    CUT = auto()  # takes the message and closes without an answer
    CUT_UNTAKEN = auto()  # closes without taking it
    SLOW = auto()  # takes it and answers `delay` seconds later


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was taken. `verified` is False when there is no secret to check against."""

    id: str
    at: int
    verified: bool
    headers: dict[str, str]
    body: bytes


class _Bad(msgspec.Struct, kw_only=True):
    mood: Mood
    left: int | None
    status: int
    retry_after: str | None
    delay: float


class WebhookReceiver(LocalService):
    """`attempts` are all requests, `received` the taken ones in order.

    secret: `whsec_` and base64, or plain text
    log:    a file that gets one JSON line for each taken message, on disk before the answer goes out
    flaky:  a seed: then one request in five is refused, and one in five is taken but gets no answer
    """

    def __init__(
        self,
        secret: str | None = None,
        *,
        port: int = 0,
        log: Path | None = None,
        flaky: int | None = None,
        clock: WallTime = wall_time,
    ) -> None:
        super().__init__(port=port, clock=clock)
        self.attempts: list[Request] = []
        self.received: list[Received] = []
        self._key = None if secret is None else signing_key(secret)
        self._log = log
        self._flaky = None if flaky is None else Random(flaky)
        self._bad: _Bad | None = None
        self._arrived = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"{self.origin}/hook"

    @property
    def ids(self) -> Counter[str]:
        """webhook-id → how often it was taken."""
        return Counter(message.id for message in self.received)

    @property
    def duplicates(self) -> int:
        """How many taken messages had an id that was taken before."""
        return len(self.received) - len(self.ids)

    def behave_badly(
        self,
        mood: Mood,
        *,
        times: int | None = None,
        status: int = 503,
        retry_after: str | None = None,
        delay: float = 30.0,
    ) -> None:
        """For the next `times` requests, or until `behave()`."""
        self._bad = _Bad(mood=mood, left=times, status=status, retry_after=retry_after, delay=delay)

    def behave(self) -> None:
        self._bad = None

    async def wait_for(self, count: int) -> list[Received]:
        """Once `count` messages have been taken, those."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return self.received[:count]

    async def _answer(self, request: Request) -> Reply:
        self.attempts.append(request)
        bad = self._next_bad()
        if bad is None:
            await self._take(request)
            return Reply(status=204)
        if bad.mood is Mood.FAIL:
            headers = () if bad.retry_after is None else (("Retry-After", bad.retry_after),)
            return Reply(status=bad.status, headers=headers, body=b"not now")
        if bad.mood is Mood.CUT_UNTAKEN:
            return Reply(sending=Sending.CLOSE)
        await self._take(request)
        match bad.mood:
            case Mood.HANG:
                return Reply(sending=Sending.HANG)
            case Mood.CUT:
                return Reply(sending=Sending.CLOSE)
        return Reply(status=204, delay=bad.delay)

    def _next_bad(self) -> _Bad | None:
        if self._flaky is not None:
            mood = self._flaky.choices((None, Mood.FAIL, Mood.CUT), (0.6, 0.2, 0.2))[0]
            return mood and _Bad(mood=mood, left=None, status=503, retry_after=None, delay=0)
        bad = self._bad
        if bad is None or bad.left is None:
            return bad
        bad.left -= 1
        if bad.left <= 0:
            self._bad = None
        return bad

    async def _take(self, request: Request) -> None:
        message = Received(
            id=request.headers.get("webhook-id", ""),
            at=request.at,
            verified=self._key is not None and verifies(self._key, request),
            headers=request.headers,
            body=request.body,
        )
        if self._log is not None:
            _append(self._log, message)
        async with self._arrived:
            self.received.append(message)
            self._arrived.notify_all()


def signing_key(secret: str) -> bytes:
    """`whsec_` is followed by base64; anything else is the key as it stands."""
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"))
    return secret.encode()


def verifies(key: bytes, request: Request) -> bool:
    """One of the signatures is `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`."""
    headers = request.headers
    signed = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}.".encode() + request.body
    wanted = hmac.digest(key, signed, hashlib.sha256)
    return any(
        version == "v1" and hmac.compare_digest(wanted, _from_base64(signature))
        for version, _, signature in (part.partition(",") for part in headers.get("webhook-signature", "").split())
    )


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _append(log: Path, message: Received) -> None:
    line = {
        "id": message.id,
        "at": message.at,
        "verified": message.verified,
        "timestamp": message.headers.get("webhook-timestamp", ""),
        "body": message.body.decode(errors="replace"),
    }
    with log.open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")
        file.flush()
        os.fsync(file.fileno())


async def _serve(arguments: argparse.Namespace) -> None:
    receiver = WebhookReceiver(arguments.secret, port=arguments.port, log=arguments.log, flaky=arguments.flaky)
    async with receiver:
        sys.stdout.write(receiver.url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Says its address in one line once it listens; runs until it is interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, help="append a JSON line for each taken message")
    parser.add_argument(
        "--flaky", type=int, metavar="SEED", help="fail some requests, before or after taking them"
    )
    parser.add_argument("--secret", help="check signatures with it")
    try:
        asyncio.run(_serve(parser.parse_args()))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
