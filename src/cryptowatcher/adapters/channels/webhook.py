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
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog

from cryptowatcher.adapters.http import Answer, Http, can_be_asked, open_http, retry_after
from cryptowatcher.domain.alerts import SIGHTINGS, Alert, is_condition
from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery, RetryPolicy
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.texts import alert_text, observed_at
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Channel, Clock, Deps

log = structlog.get_logger()

_NOT_NOW: Final = {408: "timeout", 409: "conflict", 425: "too_early", 429: "rate_limited"}
_NO: Final = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 410: "gone"}
_MOST_ANSWER: Final = 1_000_000
"""Bytes of an answer that are read. Nothing is done with them, but an answer cut short is no answer."""
_PREFIX: Final = "whsec_"
_ENCODER: Final = msgspec.json.Encoder()


class WebhookConfig(msgspec.Struct, frozen=True, kw_only=True, tag="webhook", tag_field="kind", forbid_unknown_fields=True):  # fmt: skip  # noqa: E501
    """Sends each alert as an HTTP request.

    name:          letters, digits, `-` and `_`: it is part of the id in the headers
    url:           where to, http or https
    secret_file, secret_variable: where the signing secret is (one of them, or none: unsigned)
    timeout:       for one attempt, answer included
    give_up_after: age at which an alert is not tried any more
    """

    name: str
    url: str
    secret_file: str | None = None
    secret_variable: str | None = None
    timeout: str = "10s"
    give_up_after: str = "24h"

    def __post_init__(self) -> None:
        where = f"channels.{self.name}"
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            raise ConfigError("not a name for a webhook", where=where, hint="use letters, digits, - and _")
        check_url(self.url, where=f"{where}.url")
        if self.secret_file and self.secret_variable:
            raise ConfigError("name a secret_file or a secret_variable, not both", where=where)
        for field in ("timeout", "give_up_after"):
            if parse_duration(getattr(self, field), where=f"{where}.{field}") <= 0:
                raise ConfigError("must be longer than nothing", where=f"{where}.{field}")

    def __repr__(self) -> str:
        return f"WebhookConfig(name={self.name!r}, host={urlsplit(self.url).hostname!r})"

    @property
    def seconds(self) -> float:
        """The time-out of one attempt."""
        return parse_duration(self.timeout) / 1000

    def policy(self) -> ChannelPolicy:
        # The request has its own deadline; the one around it only catches what that does not.
        return ChannelPolicy(
            retry=RetryPolicy(give_up_after=parse_duration(self.give_up_after)), deadline=self.seconds + 5
        )

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Channel]:
        """Warns once when there is no secret to sign with."""
        where = f"channels.{self.name}"
        text = deps.secret(file=self.secret_file, variable=self.secret_variable, where=where)
        if text is None:
            log.warning("webhook_unsigned", channel=self.name, hint="name a secret_file or a secret_variable")
        key = None if text is None else signing_key(text, where=where)
        async with open_http() as http:
            yield Webhook(self, key=key, http=http, clock=deps.clock)


class AlertData(Alert, frozen=True, kw_only=True):
    """The alert as the receiver gets it: all its fields, in this order, and its words."""

    title: str
    text: str


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The body. `type` is `alert`, or `expiry` or `sight` for a notice; `timestamp` is when it was observed or
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

    async def send(self, delivery: Delivery, alert: Alert) -> str:
        now = self._clock.now()
        body = encode(alert, now=now)
        answer = await self._http.request(
            "POST",
            self._config.url,
            headers=headers(delivery.id, now // 1000, body, self._key),
            content=body,
            deadline=self._config.seconds,
            max_bytes=_MOST_ANSWER,
        )
        return receipt(answer, now=self._clock.now())


def encode(alert: Alert, *, now: int) -> bytes:
    """The body. The same alert gives the same bytes, until it is late and says so."""
    words = alert_text(alert, now=now)
    data = AlertData(**msgspec.structs.asdict(alert), title=words.title, text=words.body)
    kind = "alert" if is_condition(alert.kind) else "sight" if alert.kind in SIGHTINGS else "expiry"
    timestamp = datetime.fromtimestamp(observed_at(alert) / 1000, UTC)
    return _ENCODER.encode(Payload(type=kind, timestamp=timestamp, data=data))


def headers(message: str, seconds: int, body: bytes, key: bytes | None) -> dict[str, str]:
    """The metadata of one attempt, signed when there is a key."""
    plain = {"content-type": "application/json", "webhook-id": message, "webhook-timestamp": str(seconds)}
    if key is None:
        return plain
    digest = hmac.new(key, f"{message}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return plain | {"webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}


def receipt(answer: Answer, *, now: int) -> str:
    """What the answer means: a receipt, Unavailable or Refused. See the table at the top."""
    status = answer.status
    words = f"HTTP {status}"
    if 200 <= status < 300:
        return words
    if 400 <= status < 500 and status not in _NOT_NOW:
        raise Refused(words, reason=_NO.get(status, "client_error"))
    if 300 <= status < 400:
        raise Unavailable(f"{words}: redirects are not followed", reason="redirect")
    reason = _NOT_NOW.get(status, "server_error")
    raise Unavailable(words, reason=reason, retry_after=retry_after(answer.headers, now))


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
