"""GET /api/v1/stream: prices and alerts as Server-Sent Events.

- `snapshot` comes first, and again whenever a client has missed a frame: all prices and the newest 100 alerts.
- `prices` and `alerts` carry what changed since the frame before.
- Alerts are not lost by falling behind: keep the ids you know. When an `alerts` event says `more`, or none of a
  snapshot's alerts is known to you, page through /api/v1/alerts until you meet one that is.
- Alerts are those of whoever asks. The stream ends when the session or token does.
- Event ids make a short interruption cheap: a browser sends the last one back by itself.
"""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request, Response, get
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from cryptowatcher.web.accounts.access import Asking, Who
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.live import NEWEST_ALERTS, Hub
from cryptowatcher.web.packing import GZIP_HEAD, gzip_block, takes_gzip
from cryptowatcher.web.problems import Problem, documented

RETRY_MS = 2_000
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"accept-encoding"),
]
_GZIP = (b"content-encoding", b"gzip")
_HELLO = f"retry: {RETRY_MS}\n\n".encode()
_SIGN_OF_LIFE = b": still here\n\n"
# Packed once: each client is sent these, and thousands of them at the same moment.
_PACKED_HELLO, _PACKED_SIGN = GZIP_HEAD + gzip_block(_HELLO), gzip_block(_SIGN_OF_LIFE)


class _Stream(ASGIResponse):
    """Written as a bare ASGI loop: one shared bytes object a frame, no copy and no queue for a client."""

    def __init__(self, hub: Hub, who: Who, seen: int, packed: bool) -> None:
        super().__init__()
        self.hub = hub
        self.who = who
        self.seen = seen
        self.packed = packed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sending has a task of its own: each frame wakes it alone, and not all the layers that lead here."""
        del scope
        with self.hub.serving(self.who.owner, self.who.digest):
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._serve(send))
                # The server drops what is sent to a client that has gone without a word, so someone has to listen.
                # It says the same when the answer has ended.
                while (await receive())["type"] != "http.disconnect":
                    pass
                sending.cancel()

    async def _serve(self, send: Send) -> None:
        hub, who, seen, pulses, packed = self.hub, self.who, self.seen, self.hub.pulses, self.packed
        headers = [*_HEADERS, _GZIP] if packed else _HEADERS
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _body(send, _PACKED_HELLO if packed else _HELLO)
        while not hub.is_over(who.digest):
            frame, seq = hub.after(seen, who.owner), hub.seq
            if frame is not None:
                seen, pulses = seq, hub.pulses
                await _body(send, hub.packed(frame) if packed else frame)
            elif pulses != hub.pulses:
                pulses = hub.pulses
                await _body(send, _PACKED_SIGN if packed else _SIGN_OF_LIFE)
            else:
                await hub.changed.wait()
        await _body(send, b"", more=False)


class _Live(Response[str]):
    """So that the route is an ordinary one, with its description, in front of the bare loop."""

    def __init__(self, live: _Stream) -> None:
        super().__init__("")
        self.live = live

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        return self.live


@get(
    "/stream",
    needs="viewer",
    media_type="text/event-stream",
    responses=documented(400, 503),
    summary="Prices and alerts as they happen (Server-Sent Events)",
    description=__doc__,
    tags=["live"],
)
async def stream(deps: Deps, request: Request[Any, Any, Any], who: Asking) -> Response[str]:
    hub = deps.hub
    if hub.closed or hub.clients >= deps.limits.streams:
        raise Problem(503, "no more live streams now; try again in some seconds", retry_after=10)
    seen = hub.seen_by(request.headers.get("last-event-id"))
    if who.owner not in hub.alerts:  # then frames that this client may have missed do not have their alerts
        hub.follow(who.owner, await deps.asked.run(lambda tx: tx.alerts(who.owner, limit=NEWEST_ALERTS)))
        seen = -1
    packed = takes_gzip(request.headers.get("accept-encoding", ""))
    return _Live(_Stream(hub, who, seen, packed))


async def _body(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
