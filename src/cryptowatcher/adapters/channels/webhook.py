"""Alerts as signed HTTP requests, in the way of the Standard Webhooks specification (1.0.0).

    POST /hook
    webhook-id: 0191206c3a0-5b2f…~ops             the same on every retry: a receiver can drop repeats by it
    webhook-timestamp: 1722838500                 seconds, when this attempt was made
    webhook-signature: v1,K5oZ…                   base64(HMAC-SHA256(secret, "{id}.{timestamp}.{body}"))

    {"type":"alert","timestamp":"2024-08-05T06:15:00Z","data":{"id":…,"rule_name":…,…,"title":…,"text":…}}

What an answer means:

    2xx                       accepted
    3xx                       not now: redirects are not followed, the owner should correct the URL
    408 409 425 429 5xx       not now, and not before Retry-After
    no answer, half an answer not now
    410                       refused: the receiver wants no more of it
    other 4xx                 refused: the same request would be refused again
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
import structlog

from cryptowatcher.adapters.http import MOST_ANSWER, Http, can_be_asked, open_http, receipt
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.texts import observed_at
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Channel, Clock, Deps
from cryptowatcher.ports.channel_settings import ChannelSettings

log = structlog.get_logger()

_PREFIX: Final = "whsec_"
_ENCODER: Final = msgspec.json.Encoder()


class WebhookConfig(ChannelSettings, frozen=True, kw_only=True, tag="webhook", tag_field="kind"):
    """Sends each alert as an HTTP request.

    url:           where to, http or https
    secret_file, secret_variable: where the signing secret is (one of them, or none: unsigned)
    bundle:        whether several alerts may come in one request: never, a program wants each
    """

    url: str
    secret_file: str | None = None
    secret_variable: str | None = None
    bundle: Literal[False] = False

    PRIVATE = ("url",)
    FIXED = MappingProxyType({"bundle": False})

    def __post_init__(self) -> None:
        ChannelSettings.__post_init__(self)
        check_url(self.url, where=f"{self.where}.url")

    def __repr__(self) -> str:
        return f"WebhookConfig(name={self.name!r}, host={urlsplit(self.url).hostname!r})"

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Channel]:
        """Warns once when there is no secret to sign with."""
        text = self.secret("secret", deps)
        if text is None:
            log.warning("webhook_unsigned", channel=self.name, hint="name a secret_file or a secret_variable")
        key = None if text is None else signing_key(text, where=f"{self.where}.secret")
        async with open_http(outbound=deps.outbound, resolve=deps.resolve) as http:
            yield Webhook(self, key=key, http=http, clock=deps.clock)


class AlertData(Alert, frozen=True, kw_only=True):
    """The alert as the receiver gets it: all its fields, in this order, and its words."""

    title: str
    text: str


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The body. `type` is `alert`, `reminder`, or what a notice is of; `timestamp` is when it was observed or
    made out."""

    type: str
    timestamp: datetime
    data: AlertData


class Webhook:
    """Sends signed requests. A receiver that honours `webhook-id` sees each alert once."""

    def __init__(self, config: WebhookConfig, *, key: bytes | None, http: Http, clock: Clock) -> None:
        self._config = config
        self._key = key
        self._http = http
        self._clock = clock

    @property
    def name(self) -> str:
        return self._config.name

    async def send(self, message: Message) -> str:
        now = self._clock.now()
        body = encode(message)
        answer = await self._http.request(
            "POST",
            self._config.url,
            headers=headers(message.id, now // 1000, body, self._key),
            content=body,
            deadline=self._config.seconds,
            max_bytes=MOST_ANSWER,
        )
        return receipt(answer, now=self._clock.now())


def encode(message: Message) -> bytes:
    """The body. The same alert gives the same bytes, until it is late and says so."""
    alert, words = message.alert, message.text
    data = AlertData(**msgspec.structs.asdict(alert), title=words.title, text=words.body)
    timestamp = datetime.fromtimestamp(observed_at(alert) / 1000, UTC)
    return _ENCODER.encode(Payload(type=message.kind, timestamp=timestamp, data=data))


def headers(message: str, seconds: int, body: bytes, key: bytes | None) -> dict[str, str]:
    """The metadata of one attempt, signed when there is a key."""
    plain = {"content-type": "application/json", "webhook-id": message, "webhook-timestamp": str(seconds)}
    if key is None:
        return plain
    digest = hmac.new(key, f"{message}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return plain | {"webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}


def signing_key(text: str, *, where: str) -> bytes:
    """`whsec_` and base64, or any other text as it is. Never quoted in an error."""
    text = text.strip()
    if not text.startswith(_PREFIX):
        key = text.encode()
    else:
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            # `from None`: the cause would quote the secret's characters.
            hint = f"after {_PREFIX} comes base64"
            raise ConfigError("the signing secret cannot be read", where=where, hint=hint) from None
    if not key:
        raise ConfigError("the signing secret is empty", where=where)
    return key


def check_url(url: str, *, where: str) -> None:
    """ConfigError unless it can be asked. The URL is not quoted: it may contain a secret."""
    if not can_be_asked(url):
        hint = "write the whole address: https://example.org/hook"
        raise ConfigError("not an http or https URL", where=where, hint=hint)


SETTINGS = WebhookConfig
