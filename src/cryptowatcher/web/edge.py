"""The outermost layer: which requests are let in, whoever sends them, how browsers must treat the answer, and how
long it took.

The browser of somebody who may is the way in for a hostile web page. Two doors are closed: a name that was made to
point here (DNS rebinding) is not answered, and requests that change something are taken only from this origin or
from programs. Who may do what is decided behind it, in accounts/access.py.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple, TypeGuard
from urllib.parse import urlsplit

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from cryptowatcher.ports import Clock
from cryptowatcher.web.metrics import Meter
from cryptowatcher.web.problems import MEDIA_TYPE, encoded

_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}

Refusal = tuple[int, str]


class Door(NamedTuple):
    """What an application's requests pass: the names they may be sent to, who counts them, and by which clock."""

    hosts: frozenset[str]
    meter: Meter
    clock: Clock

    @classmethod
    def to(cls, hosts: Iterable[str], *, meter: Meter, clock: Clock) -> Door:
        return cls(frozenset(host.lower().rstrip(".") for host in hosts), meter, clock)


class Edge:
    """Wraps the whole application, so that answers to unknown routes pass through it too."""

    def __init__(self, app: ASGIApp, door: Callable[[], Door]) -> None:
        self.app = app
        self.door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_http(scope):
            await self.app(scope, receive, send)
            return
        hosts, meter, clock = self.door()
        began, status, streams = clock.monotonic(), 500, False

        def guarded(message: Message) -> Awaitable[None]:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {name.lower(): value for name, value in message["headers"]}
                streams = headers.get(b"content-type", b"").startswith(b"text/event-stream")
                missing = [(name, value) for name, value in _HEADERS.items() if name not in headers]
                given = [(name, _with_head(name, value)) for name, value in message["headers"]]
                message = {**message, "headers": [*given, *missing]}
            return send(message)

        head = scope["method"] == "HEAD"
        answer: Send = _without_body(guarded) if head else guarded
        asked: HTTPScope = {**scope, "method": "GET"} if head else scope

        refused = refusal(scope["method"], _headers(scope), hosts)
        try:
            if refused:
                await _refuse(answer, *refused)
            else:
                await self.app(asked, receive, answer)
        finally:
            meter.count(
                method=scope["method"],
                route="refused" if refused else asked.get("path_template") or "unmatched",
                status=status,
                seconds=None if streams else clock.monotonic() - began,
            )


def _without_body(send: Send) -> Send:
    """What a HEAD request is told of the answer to GET. The answer ends with its headers; the server then says
    that the client has gone, which ends a stream too."""
    begun = False

    async def headers_only(message: Message) -> None:
        nonlocal begun
        if not begun:
            begun = True
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return headers_only


def _with_head(name: bytes, value: bytes) -> bytes:
    """The routes know nothing of HEAD, so it is missing where they list what they allow."""
    methods = value.split(b", ")
    if name.lower() != b"allow" or b"GET" not in methods:
        return value
    return b", ".join(sorted({*methods, b"HEAD"}))


def refusal(method: str, headers: Mapping[str, str], hosts: frozenset[str]) -> Refusal | None:
    """Why a request is not let in (status and sentence), None when it is. Header names are lower case."""
    host = headers.get("host", "")
    if not host_allowed(host, hosts):
        return 403, f"this host name is not served here: add it to `hosts` under [web] ({host[:100]!r})"
    if method in _SAFE:
        return None
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return 403, "another site's page may not change anything here"
    origin = headers.get("origin")
    if origin is not None and not _same_origin(origin, host):
        return 403, "another origin may not change anything here"
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if has_body and media_type != "application/json":
        return 415, "send the body as application/json"
    return None


def host_allowed(host: str, hosts: frozenset[str]) -> bool:
    """localhost, configured names and plain addresses. An address in the Host header was typed as such: no name
    can have been pointed here, which is what rebinding needs."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or name in hosts or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same_origin(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _is_http(scope: Scope) -> TypeGuard[HTTPScope]:
    return scope["type"] == "http"  # type: ignore[comparison-overlap]  # a plain string, whatever the annotation


def _headers(scope: Scope) -> dict[str, str]:
    """The last of a repeated header would win, so a repeated Host or Origin is joined and matches nothing."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def _refuse(send: Send, status: int, detail: str) -> None:
    body = encoded(status, detail)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
