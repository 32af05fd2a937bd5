"""Alerts through a Telegram bot, and what people write to it.

    POST /bot<token>/sendMessage {"chat_id": …, "text": "<b>…</b>…", "parse_mode": "HTML", "reply_markup": …}
    POST /bot<token>/sendPhoto   the same as a form, the words as the picture's caption
    POST /bot<token>/getUpdates  {"offset": …, "timeout": 25}

What an answer means: 200 with `ok` is a receipt; 429 is not now, and not before `parameters.retry_after`; 400,
401, 403 (the bot was blocked) and 404 are refused; the rest as in adapters/http.receipt. Telegram knows no key by
which it would drop a repeat: a message in flight when the watcher dies may come twice. Its short id stands in it.

A picture goes out with its words in one call, where they fit under it; longer words go out without. So does what a
chat refuses with a picture: in some groups nobody may send any.

The token is a part of each address. No error names more of an address than its host.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from cryptowatcher.adapters.http import Answer, FormFile, Http, can_be_asked, open_http, receipt
from cryptowatcher.domain.chat import Action, button
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.texts import plain
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Channel, Clock, Deps
from cryptowatcher.ports.channel_settings import PictureSettings
from cryptowatcher.ports.chats import Heard

_LONGEST_TITLE: Final = 300
_LONGEST: Final = 3_500
"""Telegram takes 4,096 characters, of which some are two."""
_LONGEST_CAPTION: Final = 1_024
_LONGEST_NOD: Final = 190
_PATIENCE: Final = 25
"""Seconds that the other side waits for something to tell us."""
_AT_A_TIME: Final = 50
_HALF_SENT: Final = 1_000
"""Messages of which it is remembered which chats have them."""
_BUTTONS: Final[tuple[tuple[tuple[Action, str], ...], ...]] = (
    (("why", "Why"), ("ack", "Acknowledge")),
    (("hour", "Snooze 1 h"), ("day", "Until tomorrow")),
)


class TelegramConfig(PictureSettings, frozen=True, kw_only=True, tag="telegram", tag_field="kind"):
    """Sends each alert through a Telegram bot, and listens to the chats that are linked to it.

    token_file, token_variable: where the bot's token is
    chats:     ids of chats that get alerts and are heard; others are linked by `cryptowatcher telegram link`
    listen:    whether it listens; only one program can listen to a bot
    server:    the Bot API server's address
    """

    token_file: str | None = None
    token_variable: str | None = None
    chats: tuple[int, ...] = ()
    listen: bool = True
    server: str = "https://api.telegram.org"
    rate: str = "20/m"

    AT_ONCE = 2
    NEEDS = ("token",)
    FIXED = MappingProxyType({"listen": False})

    def __post_init__(self) -> None:
        PictureSettings.__post_init__(self)
        if not can_be_asked(self.server) or urlsplit(self.server).path.strip("/"):
            hint = "write https://api.telegram.org"
            raise ConfigError("not a server", where=f"{self.where}.server", hint=hint)

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Channel]:
        token = (self.secret("token", deps) or "").strip()
        if not re.fullmatch(r"[0-9]{1,20}:[A-Za-z0-9_-]{10,100}", token):
            hint = "@BotFather gives it: digits, a colon, letters"
            raise ConfigError("not the token of a bot", where=f"{self.where}.token", hint=hint)
        async with open_http(outbound=deps.outbound, resolve=deps.resolve) as http:
            yield Telegram(self, token, http=http, clock=deps.clock, linked=deps.linked)


class _Chat(msgspec.Struct):
    id: int


class _Post(msgspec.Struct):
    chat: _Chat
    message_id: int = 0
    text: str = ""


class _Query(msgspec.Struct):
    id: str
    message: _Post | None = None
    data: str = ""


class _Update(msgspec.Struct):
    update_id: int
    message: _Post | None = None
    callback_query: _Query | None = None


class _Number(msgspec.Struct):
    update_id: int


class _Parameters(msgspec.Struct):
    retry_after: float | None = None
    migrate_to_chat_id: int | None = None


class _Said(msgspec.Struct):
    """What comes back from every method."""

    ok: bool = False
    description: str = ""
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)
    result: msgspec.Raw = msgspec.Raw(b"null")


class Telegram:
    """A message goes to each chat in turn. Should one fail, the next attempt begins with those that lack it."""

    def __init__(
        self,
        config: TelegramConfig,
        token: str,
        *,
        http: Http,
        clock: Clock,
        linked: Callable[[str], Awaitable[Sequence[int]]],
    ) -> None:
        self._config = config
        self._base = f"{config.server.rstrip('/')}/bot{token}"
        self.account = token.partition(":")[0]
        self._http = http
        self._clock = clock
        self._linked = linked
        self._told: OrderedDict[str, dict[int, int]] = OrderedDict()  # message → chat → its number there

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def listens(self) -> bool:
        return self._config.listen

    @property
    def chats(self) -> Sequence[int]:
        return self._config.chats

    async def send(self, message: Message) -> str:
        chats = [*self._config.chats, *await self._linked(self.name)]
        if not chats:
            raise Unavailable("no chat is linked yet: `cryptowatcher telegram link`", reason="no_chat")
        until = self._clock.monotonic() + self._config.seconds
        told, refused = self._told_of(message), list[Refused]()
        for chat in chats:
            if chat in told:
                continue
            try:
                told[chat] = await self._tell(chat, message, until=until)
            except Refused as error:
                if error.reason != "chat":
                    raise
                refused.append(error)
        self._told.pop(message.id, None)
        if not told:
            raise refused[0]
        numbers = ", ".join(str(number) for number in told.values())
        return f"HTTP 200: message {numbers}" + "".join(f"; {error}" for error in refused[:3])

    def _told_of(self, message: Message) -> dict[int, int]:
        told = self._told.setdefault(message.id, {})
        while len(self._told) > _HALF_SENT:
            self._told.popitem(last=False)
        return told

    async def say(self, chat: int, text: str) -> None:
        await self._post(chat, _with_code(text), None, until=self._clock.monotonic() + self._config.seconds)

    async def nod(self, press: str, text: str) -> None:
        asked = {"callback_query_id": press, "text": text[:_LONGEST_NOD]}
        await self._call("answerCallbackQuery", asked, deadline=self._config.seconds)

    async def hear(self, after: int | None) -> Sequence[Heard]:
        asked: dict[str, Any] = {
            "timeout": _PATIENCE,
            "limit": _AT_A_TIME,
            "allowed_updates": ["message", "callback_query"],
        }
        if after is not None:
            asked["offset"] = after + 1
        said = await self._call("getUpdates", asked, deadline=_PATIENCE + self._config.seconds)
        try:
            return [_heard(each) for each in msgspec.json.decode(said.result, type=list[msgspec.Raw])]
        except msgspec.DecodeError:
            raise Unavailable("the updates are not understood", reason="protocol") from None

    async def _tell(self, chat: int, message: Message, *, until: float) -> int:
        """The number of the message in its chat."""
        text, markup = written(message), buttons(message)
        if message.picture and _length(text) <= _LONGEST_CAPTION:
            try:
                return await self._show(chat, text, markup, message.picture, until=until)
            except Refused as error:
                if error.reason != "chat":
                    raise
        return await self._post(chat, text, markup, until=until)

    async def _show(
        self, chat: int, text: str, markup: dict[str, Any] | None, picture: bytes, *, until: float
    ) -> int:
        fields = {"chat_id": str(chat), "caption": text, "parse_mode": "HTML"}
        if markup:
            fields["reply_markup"] = msgspec.json.encode(markup).decode()
        file = FormFile("photo", "price.png", picture, "image/png")
        answer = await self._http.post_form(f"{self._base}/sendPhoto", fields, file, deadline=self._left(until))
        return _number(understood(answer, now=self._clock.now()))

    def _left(self, until: float) -> float:
        left = until - self._clock.monotonic()
        if left <= 0:
            raise Unavailable("not all chats were told in time", reason="timeout")
        return left

    async def _post(self, chat: int, text: str, markup: dict[str, Any] | None, *, until: float) -> int:
        asked: dict[str, Any] = {
            "chat_id": chat,
            "text": text,
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
        if markup:
            asked["reply_markup"] = markup
        return _number(await self._call("sendMessage", asked, deadline=self._left(until)))

    async def _call(self, method: str, asked: dict[str, Any], *, deadline: float) -> _Said:
        answer = await self._http.post_json(f"{self._base}/{method}", asked, deadline=deadline)
        return understood(answer, now=self._clock.now())


def understood(answer: Answer, *, now: int) -> _Said:
    """What Telegram says; Unavailable or Refused where it says no. Refused for the reason `chat` where only this
    chat cannot be told, but another could."""
    try:
        said = msgspec.json.decode(answer.body, type=_Said)
    except msgspec.DecodeError:
        receipt(answer, now=now)
        raise Unavailable("the answer is not Telegram's", reason="protocol") from None
    words = f"HTTP {answer.status}: {plain(said.description)[:150]}".rstrip(": ")
    if said.parameters.migrate_to_chat_id is not None:
        words += f" (the chat is {said.parameters.migrate_to_chat_id} now)"
    if answer.status in (400, 403):
        raise Refused(words, reason="chat")
    try:
        receipt(answer, now=now)
    except Refused as error:
        raise Refused(words, reason=error.reason) from None
    except Unavailable as error:
        asked = said.parameters.retry_after
        wait = error.retry_after if asked is None else max(asked, 0.0)
        raise Unavailable(words, reason=error.reason, retry_after=wait) from None
    if not said.ok:
        raise Unavailable(words, reason="protocol")
    return said


def _number(said: _Said) -> int:
    """Of the message that was sent."""
    try:
        return msgspec.json.decode(said.result, type=_Post).message_id
    except msgspec.DecodeError:
        raise Unavailable("the answer is not understood", reason="protocol") from None


def written(message: Message) -> str:
    """The message as Telegram's HTML: whatever people named their rules, it is text."""
    short = hashlib.blake2b(message.id.encode(), digest_size=4).hexdigest()
    title, body = _cut(message.text.title, _LONGEST_TITLE), _cut(message.text.body, _LONGEST)
    return f"<b>{html.escape(title, quote=False)}</b>\n{html.escape(body, quote=False)}\n<code>#{short}</code>"


def buttons(message: Message) -> dict[str, Any] | None:
    """Under a message of one alert."""
    if message.kind not in ("alert", "reminder"):
        return None
    rows = [
        [{"text": label, "callback_data": button(action, message.alert.id)} for action, label in row]
        for row in _BUTTONS
    ]
    return {"inline_keyboard": rows}


def _with_code(text: str) -> str:
    """Lines that begin with four blanks keep their columns."""
    escaped = html.escape(_cut(text, _LONGEST), quote=False)
    return re.sub(r"(?m)(^ {4}.*$\n?)+", lambda code: f"<pre>{code[0].rstrip()}</pre>\n", escaped).strip() or "–"


def _length(text: str) -> int:
    """As Telegram counts: characters beyond the first plane are two."""
    return len(text.encode("utf-16-le", errors="replace")) // 2


def _cut(text: str, most: int) -> str:
    """To so many characters as Telegram counts them."""
    data = text.encode("utf-16-le", errors="replace")
    if len(data) <= 2 * most:
        return data.decode("utf-16-le", errors="replace")
    return data[: 2 * (most - 1)].decode("utf-16-le", errors="ignore") + "…"


def _heard(raw: msgspec.Raw) -> Heard:
    """One update. What is not understood has its number all the same, so that it does not come again for ever."""
    try:
        update = msgspec.json.decode(raw, type=_Update)
    except msgspec.ValidationError:
        return Heard(update=msgspec.json.decode(raw, type=_Number).update_id)
    query, post = update.callback_query, update.message
    if query is not None and query.message is not None:
        chat, number = query.message.chat.id, query.message.message_id
        return Heard(update=update.update_id, chat=chat, text=query.data, message=number, press=query.id)
    if post is not None and post.text:
        return Heard(update=update.update_id, chat=post.chat.id, text=post.text, message=post.message_id)
    return Heard(update=update.update_id)


SETTINGS = TelegramConfig
