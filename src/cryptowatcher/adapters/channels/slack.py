"""Alerts as messages of a Slack incoming webhook.

    POST /services/… {"text": …, "blocks": [header, section, context]}

`text` is what a notification shows. `&`, `<` and `>` are escaped, so that nothing that a person named a rule can
mention anybody or become a link. Slack answers `ok`, or one word for what is wrong. It knows no key by which it
would drop a repeat: a message in flight when the watcher dies may come twice, and its id stands under it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from cryptowatcher.adapters.http import Answer, Http, can_be_asked, open_http, receipt
from cryptowatcher.domain.messages import Message
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Channel, Clock, Deps
from cryptowatcher.ports.channel_settings import ChannelSettings

_LONGEST_TITLE: Final = 150
_LONGEST_BODY: Final = 2_900
_WORD: Final = re.compile(r"[a-z_]{2,60}")


class SlackConfig(ChannelSettings, frozen=True, kw_only=True, tag="slack", tag_field="kind"):
    """Posts each alert into a Slack channel.

    url_file, url_variable: where the incoming webhook's address is: whoever knows it can post
    """

    url_file: str | None = None
    url_variable: str | None = None
    rate: str = "60/m"

    AT_ONCE = 2
    NEEDS = ("url",)

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Channel]:
        url = (self.secret("url", deps) or "").strip()
        if not can_be_asked(url):
            hint = "copy it from the app's settings: Incoming Webhooks"
            raise ConfigError("not the address of a webhook", where=f"{self.where}.url", hint=hint)
        async with open_http(outbound=deps.outbound, resolve=deps.resolve) as http:
            yield Slack(self, url, http=http, clock=deps.clock)


class Words(msgspec.Struct, frozen=True):
    text: str
    type: str = "mrkdwn"


class Block(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    text: Words | None = None
    elements: tuple[Words, ...] = ()


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What Slack is asked to show."""

    text: str
    blocks: tuple[Block, ...]


class Slack:
    """One message a call."""

    def __init__(self, config: SlackConfig, url: str, *, http: Http, clock: Clock) -> None:
        self._config = config
        self._url = url
        self._http = http
        self._clock = clock

    @property
    def name(self) -> str:
        return self._config.name

    async def send(self, message: Message) -> str:
        answer = await self._http.post_json(self._url, post(message), deadline=self._config.seconds)
        return said(answer, now=self._clock.now())


def post(message: Message) -> Post:
    """The alert as Slack shows it."""
    title = message.text.title
    return Post(
        text=escaped(title, _LONGEST_BODY),
        blocks=(
            Block(type="header", text=Words(escaped(title, _LONGEST_TITLE), "plain_text")),
            Block(type="section", text=Words(escaped(message.text.body, _LONGEST_BODY), "plain_text")),
            Block(type="context", elements=(Words(_origin(message)),)),
        ),
    )


def _origin(message: Message) -> str:
    """Its id, as a link where it can be looked at. The address is of the configuration and holds no `|` or `>`."""
    id_ = escaped(message.id[-40:], 100)
    return f"<{message.link}|{id_}>" if message.link else id_


def said(answer: Answer, *, now: int) -> str:
    """As adapters/http.receipt, with Slack's own word for what is wrong."""
    word = answer.body[:100].decode(errors="replace").strip()
    known = f": {word}" if _WORD.fullmatch(word) else ""
    try:
        return receipt(answer, now=now) + known
    except Refused as error:
        raise Refused(f"{error}{known}", reason=error.reason) from None
    except Unavailable as error:
        raise Unavailable(f"{error}{known}", reason=error.reason, retry_after=error.retry_after) from None


_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped(text: str, most: int) -> str:
    """The three characters that mean something to Slack, as text; no longer than so many."""
    done = ""
    for char in text:
        more = _ESCAPES.get(char, char)
        if len(done) + len(more) > most - 1:
            return f"{done}…"
        done += more
    return done


SETTINGS = SlackConfig
