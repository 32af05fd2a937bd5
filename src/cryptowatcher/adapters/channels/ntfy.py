"""Alerts as push notifications through ntfy, its public server or one of your own.

    POST / {"topic": …, "title": …, "message": …, "priority": 3, "tags": ["chart_with_downwards_trend"],
            "click": …, "sequence_id": …}

The same message carries the same `sequence_id`: a server that knows it shows a repeat in place of the first.
What an answer means: see adapters/http.receipt. 507 (the topic is over its limits) and 429 are not now.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from cryptowatcher.adapters.http import Http, can_be_asked, open_http, receipt
from cryptowatcher.domain.messages import Message
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Channel, Clock, Deps
from cryptowatcher.ports.channel_settings import ChannelSettings

_LONGEST_TITLE: Final = 250
_LONGEST_BODY: Final = 4_000
"""Bytes: beyond 4,096 ntfy turns the text into a file."""

Priority = Literal["min", "low", "default", "high", "max"]
_PRIORITY: Final[dict[Priority, int]] = {"min": 1, "low": 2, "default": 3, "high": 4, "max": 5}
_TAGS: Final = {"buy": "green_circle", "sell": "red_circle", "info": "bell"}


class NtfyConfig(ChannelSettings, frozen=True, kw_only=True, tag="ntfy", tag_field="kind"):
    """Pushes each alert to phones and browsers that follow a topic of ntfy.

    server:   the server's address
    topic_file, topic_variable: where the topic's name is: on the public server it is as good as a password
    token_file, token_variable: where the access token is, for a topic that needs one
    priority: how loud: `min`, `low`, `default`, `high` or `max`
    """

    server: str = "https://ntfy.sh"
    topic_file: str | None = None
    topic_variable: str | None = None
    token_file: str | None = None
    token_variable: str | None = None
    priority: Priority = "default"
    rate: str = "60/5m"

    TITLE = "ntfy"
    NEEDS = ("topic",)

    def __post_init__(self) -> None:
        ChannelSettings.__post_init__(self)
        if not can_be_asked(self.server) or urlsplit(self.server).path.strip("/"):
            hint = "write https://ntfy.sh, without a topic"
            raise ConfigError("not a server", where=f"{self.where}.server", hint=hint)

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Channel]:
        topic = self.secret("topic", deps) or ""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", topic.strip()):
            hint = "up to 64 letters, digits, - and _"
            raise ConfigError("the topic is not one", where=f"{self.where}.topic", hint=hint)
        token = self.secret("token", deps)
        if token is not None and not re.fullmatch(r"[!-~]{1,200}", token.strip()):
            raise ConfigError("the access token is not one", where=f"{self.where}.token")
        async with open_http(outbound=deps.outbound, resolve=deps.resolve) as http:
            yield Ntfy(self, topic.strip(), token and token.strip(), http=http, clock=deps.clock)


class Notification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What ntfy is asked to show."""

    topic: str
    title: str
    message: str
    priority: int = 3
    tags: tuple[str, ...] = ()
    click: str = ""
    sequence_id: str = ""


class Ntfy:
    """A message that was taken is kept by the server for phones that are away, for some hours."""

    def __init__(self, config: NtfyConfig, topic: str, token: str | None, *, http: Http, clock: Clock) -> None:
        self._config = config
        self._topic = topic
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = http
        self._clock = clock

    @property
    def name(self) -> str:
        return self._config.name

    async def send(self, message: Message) -> str:
        answer = await self._http.post_json(
            f"{self._config.server.rstrip('/')}/",
            notification(message, self._topic, self._config.priority),
            headers=self._headers,
            deadline=self._config.seconds,
        )
        return receipt(answer, now=self._clock.now())


def notification(message: Message, topic: str, priority: Priority) -> Notification:
    """The alert as ntfy shows it."""
    return Notification(
        topic=topic,
        title=message.text.title[:_LONGEST_TITLE],
        message=shortened(message.text.body, _LONGEST_BODY),
        priority=_PRIORITY[priority],
        tags=(_TAGS[message.alert.advice],),
        click=message.link,
        sequence_id=hashlib.blake2b(message.id.encode(), digest_size=16).hexdigest(),
    )


def shortened(text: str, most: int) -> str:
    """No more than so many bytes, and it says so."""
    data = text.encode()
    if len(data) <= most:
        return text
    return data[: most - 4].decode(errors="ignore") + "…"


SETTINGS = NtfyConfig
