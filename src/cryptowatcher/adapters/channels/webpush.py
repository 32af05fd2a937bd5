"""Alerts as notifications of a browser, also when no page of ours is open in it (web push: RFC 8030, 8291, 8292).

    POST /the/endpoint/that/the/browser/gave
    authorization: vapid t=…, k=…     who sends, signed for this push service
    content-encoding: aes128gcm       only that browser can read it
    ttl: 86400                        how long it is kept for a browser that is away
    urgency: high                     also for a phone that sleeps
    topic: 3fJ…                       the same message again takes the place of the first, where it still waits

What the browser reads: {"title": …, "body": …, "tag": …, "path": "/alerts/…", "at": 1722838500700}

What an answer means:

    2xx               accepted: the push service has it
    404 410           refused: this browser takes no more messages; it must be enabled again
    400 401 403       refused: the push service knows the browser by another key; the same
    413               refused: too long (it never should be)
    408 429 5xx       not now, and not before Retry-After
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote, urlsplit

import msgspec

from cryptowatcher.adapters.http import MOST_ANSWER, Http, can_be_asked, open_http, receipt
from cryptowatcher.domain.alerts import is_condition
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.messages import Message
from cryptowatcher.errors import ConfigError, Refused
from cryptowatcher.ports import Channel, Clock, Deps
from cryptowatcher.ports.channel_settings import ChannelSettings
from cryptowatcher.ports.keys import PushKey

if TYPE_CHECKING:
    from cryptowatcher.adapters.pushing import Reader

_LONGEST_TITLE: Final = 200
_LONGEST_KEPT: Final = 28 * 86_400
"""Seconds: push services keep nothing for longer."""
_ENABLE: Final = "open the page in this browser, Channels, and press Enable again"
_GONE: Final = {404, 410}
_STRANGERS: Final = {400, 401, 403}


class WebPushConfig(ChannelSettings, frozen=True, kw_only=True, tag="webpush", tag_field="kind"):
    """Shows each alert as a notification of one browser. The page makes it, on its view of channels.

    endpoint_file, endpoint_variable: where the address is that the browser's push service gave it; a secret
    p256dh_file, p256dh_variable: where the browser's public key is
    auth_file, auth_variable: where the secret is that it shares with the watcher
    browser: which one it is, in your words
    urgency: `high` also wakes a phone that sleeps; `normal`, `low`, `very-low` wait until it is awake, or charged
    contact: whom a push service may turn to, `mailto:` or `https:`
    """

    endpoint_file: str | None = None
    endpoint_variable: str | None = None
    p256dh_file: str | None = None
    p256dh_variable: str | None = None
    auth_file: str | None = None
    auth_variable: str | None = None
    browser: str = ""
    urgency: Literal["very-low", "low", "normal", "high"] = "high"
    contact: str = "https://github.com/cryptowatcher/cryptowatcher"

    NEEDS = ("endpoint", "p256dh", "auth")
    TITLE = "Notifications in a browser"

    def __post_init__(self) -> None:
        ChannelSettings.__post_init__(self)
        if not self.contact.startswith(("mailto:", "https:")):
            hint = "write mailto:you@example.com"
            raise ConfigError("nobody to turn to", where=f"{self.where}.contact", hint=hint)

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Channel]:
        endpoint = (self.secret("endpoint", deps) or "").strip()
        if not can_be_asked(endpoint):
            raise ConfigError("not the address of a subscription", where=f"{self.where}.endpoint", hint=_ENABLE)
        reader = self._reader(deps)
        key = await deps.push_key()
        async with open_http(outbound=deps.outbound, resolve=deps.resolve) as http:
            yield WebPush(self, endpoint, reader, key, http=http, clock=deps.clock)

    def _reader(self, deps: Deps) -> Reader:
        from cryptowatcher.adapters.pushing import Reader, from_text

        p256dh, auth = ((self.secret(name, deps) or "").strip() for name in ("p256dh", "auth"))
        try:
            return Reader(from_text(p256dh), from_text(auth))
        except ValueError:
            raise ConfigError("not the keys of a subscription", where=self.where, hint=_ENABLE) from None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the page's service worker shows: frontend/public/sw.js.

    tag:  a notification takes the place of one with the same
    path: where it leads to, on the page
    at:   when it was written, epoch ms
    """

    title: str
    body: str
    tag: str
    path: str
    at: int


class WebPush:
    """A push service that took a message keeps it until the browser is there, or `ttl` is over."""

    def __init__(
        self, config: WebPushConfig, endpoint: str, reader: Reader, key: PushKey, *, http: Http, clock: Clock
    ) -> None:
        self._config = config
        self._endpoint = endpoint
        self._reader = reader
        self._key = key
        self._http = http
        self._clock = clock

    @property
    def name(self) -> str:
        return self._config.name

    async def send(self, message: Message) -> str:
        from cryptowatcher.adapters.pushing import MOST, who_sends

        told = shown(message)
        headers = {
            "authorization": who_sends(
                self._key, self._endpoint, contact=self._config.contact, now=self._clock.now()
            ),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(kept_for(message, self._config.give_up_after)),
            "urgency": self._config.urgency,
            "topic": told.tag,
        }
        answer = await self._http.request(
            "POST",
            self._endpoint,
            headers=headers,
            content=self._reader.encrypted(fitting(told, MOST)),
            deadline=self._config.seconds,
            max_bytes=MOST_ANSWER,
        )
        try:
            return receipt(answer, now=self._clock.now())
        except Refused as error:
            raise Refused(self._said(answer.status), reason=error.reason) from None

    def _said(self, status: int) -> str:
        """What a refusal means, and what a person must do."""
        if status in _GONE:
            return f"this browser no longer takes messages (HTTP {status}): {_ENABLE}"
        if status in _STRANGERS:
            service = urlsplit(self._endpoint).hostname
            return f"{service} knows this browser by another key (HTTP {status}): {_ENABLE}"
        return f"HTTP {status}"


def shown(message: Message) -> Shown:
    """The message as a browser shows it. Its tag is a Topic too: at most 32 characters of base64url."""
    return Shown(
        title=message.text.title[:_LONGEST_TITLE],
        body=message.text.body,
        tag=hashlib.blake2b(message.id.encode(), digest_size=16).hexdigest(),
        path=_path(message),
        at=message.at,
    )


def _path(message: Message) -> str:
    if message.kind == "test":
        return "/channels"
    one = len(message.alerts) == 1 and is_condition(message.alert.kind)
    return f"/alerts/{quote(message.alert.id, safe='')}" if one else "/alerts"


def fitting(told: Shown, most: int) -> bytes:
    """As JSON of at most so many bytes; a text that is cut says so."""
    whole = msgspec.json.encode(told)
    while len(whole) > most:
        # A character of text is at most six bytes of JSON, so this never takes away much more than it must.
        cut = told.body[: -max((len(whole) - most) // 6, 1) - 1]
        told = msgspec.structs.replace(told, body=f"{cut}…")
        whole = msgspec.json.encode(told)
    return whole


def kept_for(message: Message, give_up_after: str) -> int:
    """Seconds that a push service shall keep it: what is left until it would be given up here."""
    age = max(message.at - message.delivery.created_at, 0)
    left = (parse_duration(give_up_after) - age) // 1000
    return min(max(left, 0), _LONGEST_KEPT)


SETTINGS = WebPushConfig
