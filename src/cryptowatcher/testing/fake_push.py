"""A push service on loopback, and the browsers that subscribed to it: it refuses what a real one would refuse, and
reads what the browser would read.

    async with FakePush() as service:
        browser = service.subscribe(key.public)
        ...  # browser.endpoint, browser.p256dh, browser.auth; browser.read, browser.waiting
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cryptowatcher.adapters.pushing import from_text, keys_of, to_text
from cryptowatcher.testing.wire import LocalService, Reply, Request, WallTime, json_reply, wall_time

_DAY = 86_400
_URGENCIES = {"very-low", "low", "normal", "high"}


class FakeBrowser:
    """One subscription. `read`: what it was shown, in order; `waiting`: the same, where one took the place of
    the one before with its Topic."""

    def __init__(self, origin: str, owner_key: str, private: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._private = private or ec.generate_private_key(ec.SECP256R1())
        self._point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._secret = secrets.token_bytes(16)
        self.owner_key = owner_key
        self.path = f"/push/{secrets.token_urlsafe(24)}"
        self.endpoint = f"{origin}{self.path}"
        self.p256dh = to_text(self._point)
        self.auth = to_text(self._secret)
        self.read: list[bytes] = []
        self.waiting: dict[str, bytes] = {}

    def decrypted(self, body: bytes) -> bytes:
        """RFC 8188, one record. ValueError when it was not made for this browser."""
        return decrypted(body, self._private, self._secret)


def decrypted(body: bytes, private: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """As the browser with these keys reads it. ValueError when it cannot."""
    salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
    sender, sealed = body[21 : 21 + length], body[21 + length :]
    if length != 65 or not 18 <= len(sealed) <= size:
        raise ValueError("not one record of aes128gcm")
    reader = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    key, nonce = keys_of(shared, auth, salt, reader=reader, sender=sender)
    try:
        opened = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\x00")
    except InvalidTag as error:
        raise ValueError("sealed with another key") from error
    if not opened.endswith(b"\x02"):
        raise ValueError("no end of the last record")
    return opened[:-1]


class FakePush(LocalService):
    """`requests`: all that came."""

    def __init__(self, *, port: int = 0, clock: WallTime = wall_time) -> None:
        super().__init__(port=port, clock=clock)
        self.requests: list[Request] = []
        self.read: list[bytes] = []
        self.down = False
        self._browsers: dict[str, FakeBrowser] = {}
        self._replies: deque[Reply] = deque()

    def subscribe(self, owner_key: str) -> FakeBrowser:
        """A browser that takes messages of whoever has this key, and of nobody else."""
        browser = FakeBrowser(self.origin, owner_key)
        self._browsers[browser.path] = browser
        return browser

    def leave(self, browser: FakeBrowser) -> None:
        """It was reset, or its person said no."""
        del self._browsers[browser.path]

    def next(self, *replies: Reply) -> None:
        """What the next requests get, whatever they ask."""
        self._replies += replies

    async def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        if self.down:
            return json_reply({}, status=503)
        if self._replies:
            return self._replies.popleft()
        browser = self._browsers.get(request.path)
        if browser is None:
            return json_reply({"reason": "ExpiredSubscription"}, status=410)
        wrong = _wrong_in(request) or _wrong_sender(request, self.origin, browser.owner_key)
        if wrong:
            status, reason = wrong
            return json_reply({"reason": reason}, status=status)
        self._deliver(browser, request)
        return Reply(status=201, headers=(("Location", f"{self.origin}/message/{len(self.requests)}"),))

    def _deliver(self, browser: FakeBrowser, request: Request) -> None:
        opened = browser.decrypted(request.body)
        browser.read.append(opened)
        self.read.append(opened)
        browser.waiting[request.headers.get("topic") or str(len(browser.read))] = opened


def _wrong_in(request: Request) -> tuple[int, str] | None:
    """What RFC 8030 asks of a request."""
    headers = request.headers
    topic = headers.get("topic", "")
    if request.method != "POST" or headers.get("content-encoding") != "aes128gcm":
        return 400, "BadContentEncoding"
    if not headers.get("ttl", "").isdecimal() or headers.get("urgency", "normal") not in _URGENCIES:
        return 400, "BadTtl"
    if len(topic) > 32 or not all(char.isalnum() or char in "-_" for char in topic):
        return 400, "BadTopic"
    return (413, "PayloadTooLarge") if len(request.body) > 4_096 else None


def _wrong_sender(request: Request, origin: str, owner_key: str) -> tuple[int, str] | None:
    """What RFC 8292 asks of whoever sends."""
    scheme, _, said = request.headers.get("authorization", "").partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in said.split(","))
    if scheme != "vapid" or not {"t", "k"} <= parts.keys():
        return 401, "MissingAuthorization"
    if parts["k"] != owner_key:
        return 403, "VapidPkHashMismatch"
    try:
        claims = _signed_claims(parts["t"], parts["k"])
    except (ValueError, InvalidSignature):
        return 403, "BadJwtToken"
    ends_in = int(claims["exp"]) - request.at // 1000
    there = urlsplit(str(claims["sub"])).scheme in ("mailto", "https")
    return None if claims["aud"] == origin and 0 < ends_in <= _DAY and there else (403, "BadJwtToken")


def _signed_claims(token: str, key: str) -> dict[str, Any]:
    head, claims, signature = token.split(".")
    raw = from_text(signature)
    halves = [int.from_bytes(half, "big") for half in (raw[:32], raw[32:])]
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), from_text(key))
    public.verify(encode_dss_signature(*halves), f"{head}.{claims}".encode(), ec.ECDSA(SHA256()))
    if len(raw) != 64 or msgspec.json.decode(from_text(head)) != {"typ": "JWT", "alg": "ES256"}:
        raise ValueError("not signed by ES256")
    return msgspec.json.decode(from_text(claims), type=dict[str, Any])
