"""Alerts as messages of a Discord webhook.

    POST /api/webhooks/…?wait=true {"embeds": [{"title": …, "description": …, "color": …, "timestamp": …}],
                                    "allowed_mentions": {"parse": []}}

With a picture the same stands in the field `payload_json` of a form, and the file in `files[0]`.

Whatever a person named a rule, it mentions nobody (`@everyone`), and Markdown in it is shown as it was written.
What an answer means: see adapters/http.receipt; a 429 says in its body for how long. Discord knows no key by which
it would drop a repeat: a message in flight when the watcher dies may come twice, and its id stands in its footer.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cryptowatcher.adapters.http import Answer, FormFile, Http, can_be_asked, open_http, receipt
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.texts import observed_at
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Channel, Clock, Deps
from cryptowatcher.ports.channel_settings import PictureSettings

_LONGEST_TITLE: Final = 256
_LONGEST_BODY: Final = 4_000
_FILE: Final = "price.png"
_COLOURS: Final = {"buy": 0x2EA043, "sell": 0xDA3633, "info": 0x388BFD}
_MARKUP: Final = re.compile(r"([\\*_~`|>\[\]()#:<@-])")


class DiscordConfig(PictureSettings, frozen=True, kw_only=True, tag="discord", tag_field="kind"):
    """Posts each alert into a Discord channel.

    url_file, url_variable: where the webhook's address is: whoever knows it can post
    """

    url_file: str | None = None
    url_variable: str | None = None
    rate: str = "30/m"

    AT_ONCE = 2
    NEEDS = ("url",)

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Channel]:
        url = (self.secret("url", deps) or "").strip()
        if not can_be_asked(url) or "/webhooks/" not in url:
            hint = "copy it from the channel's settings: Integrations, Webhooks"
            raise ConfigError("not the address of a webhook", where=f"{self.where}.url", hint=hint)
        async with open_http(outbound=deps.outbound, resolve=deps.resolve) as http:
            yield Discord(self, url, http=http, clock=deps.clock)


class Footer(msgspec.Struct, frozen=True):
    text: str


class Image(msgspec.Struct, frozen=True):
    url: str


class Embed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """url: where its title leads; not to names like `localhost`: a link that Discord does not take for one would
    cost the whole message"""

    title: str
    description: str
    color: int
    timestamp: datetime
    footer: Footer
    url: str = ""
    image: Image | None = None


class Mentions(msgspec.Struct, frozen=True):
    parse: tuple[str, ...] = ()


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What Discord is asked to show."""

    embeds: tuple[Embed, ...]
    allowed_mentions: Mentions = Mentions()


class _Limited(msgspec.Struct):
    retry_after: float = 0.0


class Discord:
    """One message a call."""

    def __init__(self, config: DiscordConfig, url: str, *, http: Http, clock: Clock) -> None:
        self._config = config
        # With `wait` the answer comes when the message stands, not when it was taken in.
        self._url = f"{url}{'&' if '?' in url else '?'}wait=true"
        self._http = http
        self._clock = clock

    @property
    def name(self) -> str:
        return self._config.name

    async def send(self, message: Message) -> str:
        until = self._clock.monotonic() + self._config.seconds
        try:
            return await self._post(message, self._config.seconds)
        except Refused as error:
            if not message.picture or error.reason != "client_error":
                raise
        left = until - self._clock.monotonic()
        if left <= 0:
            raise Unavailable("the picture was refused, and no time is left for the words", reason="timeout")
        return await self._post(msgspec.structs.replace(message, picture=b""), left)

    async def _post(self, message: Message, seconds: float) -> str:
        asked = post(message)
        if message.picture:
            fields = {"payload_json": msgspec.json.encode(asked).decode()}
            file = FormFile("files[0]", _FILE, message.picture, "image/png")
            answer = await self._http.post_form(self._url, fields, file, deadline=seconds)
        else:
            answer = await self._http.post_json(self._url, asked, deadline=seconds)
        return said(answer, now=self._clock.now())


def post(message: Message) -> Post:
    """The alert as Discord shows it."""
    alert = message.alert
    embed = Embed(
        title=_plain(message.text.title, _LONGEST_TITLE),
        description=_plain(message.text.body, _LONGEST_BODY),
        color=_COLOURS[alert.advice],
        timestamp=datetime.fromtimestamp(observed_at(alert) / 1000, UTC),
        footer=Footer(message.id[-40:]),
        url=message.link if "." in (urlsplit(message.link).hostname or "") else "",
        image=Image(f"attachment://{_FILE}") if message.picture else None,
    )
    return Post(embeds=(embed,))


def said(answer: Answer, *, now: int) -> str:
    """As adapters/http.receipt, with the wait that Discord asks for in the body."""
    try:
        return receipt(answer, now=now)
    except Unavailable as error:
        if answer.status != 429 or error.retry_after is not None:
            raise
        try:
            asked = msgspec.json.decode(answer.body, type=_Limited).retry_after
        except msgspec.DecodeError:
            raise error from None
        raise Unavailable(str(error), reason=error.reason, retry_after=max(asked, 0.0)) from None


def _plain(text: str, most: int) -> str:
    """Markdown as text. What is too long is cut before it is escaped, and not inside of an escape."""
    escaped = ""
    for char in text:
        escaped += _MARKUP.sub(r"\\\1", char)
        if len(escaped) > most - 3:
            return f"{escaped[: most - 4].rstrip(chr(92))}…"
    return escaped


SETTINGS = DiscordConfig
