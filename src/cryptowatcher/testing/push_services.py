"""ntfy, Discord, Slack and Gotify on loopback: each takes what its documentation allows, else refuses in its way.

async with PushService(discord) as service:
    service.next(json_reply({"retry_after": 0.5}, status=429))
    ...  # service.origin, service.taken
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from cryptowatcher.testing.wire import LocalService, Reply, Request, form_of, json_reply

Rules = Callable[[Request], tuple[Reply, str]]
"""What a service answers, and what its people read; "" where it took nothing."""


class PushService(LocalService):
    """`taken`: what people read, in order; `pictures`: what they see; `requests`: all that came."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.taken: list[str] = []
        self.pictures: list[bytes] = []
        self.no_files = False
        self.down = False
        self._rules = rules
        self._replies: deque[Reply] = deque()

    def next(self, *replies: Reply) -> None:
        """What the next requests get, whatever they ask."""
        self._replies += replies

    async def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        if self.down:
            return json_reply({}, status=503)
        if self._replies:
            return self._replies.popleft()
        form = form_of(request)
        if form and self.no_files:
            return json_reply({"message": "Request entity too large", "code": 40005}, status=413)
        reply, read = self._rules(request)
        if read:
            self.taken.append(read)
            self.pictures += [form["files[0]"]] if form else []
        return reply


def ntfy(request: Request) -> tuple[Reply, str]:
    """A server of one's own, on which the topic `prices` needs a token."""
    if request.headers.get("authorization") != "Bearer tk_secret":
        return json_reply({"code": 40301, "http": 403, "error": "forbidden"}, status=403), ""
    said = _json(request)
    if request.path != "/" or said is None or said.get("topic") != "prices":
        return json_reply({"code": 40024, "http": 400, "error": "invalid request"}, status=400), ""
    if said.get("priority", 3) not in range(1, 6) or len(said["message"].encode()) > 4_096:
        return json_reply({"code": 40007, "http": 400, "error": "invalid priority"}, status=400), ""
    return json_reply({"id": "hwQ2YpKdmg", "event": "message"}), f"{said['title']}\n{said['message']}"


def discord(request: Request) -> tuple[Reply, str]:
    """The webhook /api/webhooks/1/secret. People read Markdown without its escapes."""
    if request.path != "/api/webhooks/1/secret":
        return json_reply({"message": "Unknown Webhook", "code": 10015}, status=404), ""
    form = form_of(request)
    said = msgspec.json.decode(form["payload_json"], type=dict[str, Any]) if form else _json(request)
    embeds = (said or {}).get("embeds", [])
    if len(embeds) != 1 or len(embeds[0]["title"]) > 256 or len(embeds[0]["description"]) > 4_096:
        return json_reply({"message": "Invalid Form Body", "code": 50035}, status=400), ""
    if embeds[0].get("image") != ({"url": "attachment://price.png"} if form else None):
        return json_reply({"message": "Invalid Form Body", "code": 50035}, status=400), ""
    read = "\n".join(_unescaped(embeds[0][name]) for name in ("title", "description"))
    return json_reply({"id": "1"}) if request.query.get("wait") == "true" else Reply(status=204), read


def slack(request: Request) -> tuple[Reply, str]:
    """The webhook /services/T/B/secret. People read the three characters as themselves."""
    if request.path != "/services/T/B/secret":
        return Reply(status=404, body=b"no_service"), ""
    said = _json(request)
    if said is None or "text" not in said:
        return Reply(status=400, body=b"invalid_payload"), ""
    header, section, *_ = said["blocks"]
    if len(header["text"]["text"]) > 150 or len(section["text"]["text"]) > 3_000:
        return Reply(status=400, body=b"invalid_blocks"), ""
    read = f"{header['text']['text']}\n{section['text']['text']}"
    for escaped, char in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        read = read.replace(escaped, char)
    return Reply(body=b"ok"), read


def gotify(request: Request) -> tuple[Reply, str]:
    """A server of one's own, with one app."""
    if request.headers.get("x-gotify-key") != "AppSecret":
        return json_reply({"error": "Unauthorized", "errorCode": 401}, status=401), ""
    said = _json(request)
    if request.path != "/message" or said is None or not said.get("message"):
        return json_reply({"error": "Bad Request", "errorCode": 400}, status=400), ""
    return json_reply({"id": 1}), f"{said['title']}\n{said['message']}"


def _json(request: Request) -> dict[str, Any] | None:
    if request.method != "POST" or not request.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        return msgspec.json.decode(request.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return None


def _unescaped(text: str) -> str:
    read, escape = "", False
    for char in text:
        escape = char == "\\" and not escape
        read += "" if escape else char
    return read
