"""A Bot API server on loopback, as its documentation describes it, with the people who write to the bot.

async with FakeTelegram() as telegram:
    telegram.chats.add(7)
    telegram.write(7, "/list")
    ...  # telegram.origin, telegram.sent, await telegram.wait_for(1)

It refuses what the service refuses: another token, chats that are not known or blocked the bot, broken markup,
texts and buttons that are too long, answers to presses that were answered. Updates come again until they are
confirmed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from html.parser import HTMLParser
from typing import Any

import msgspec

from cryptowatcher.testing.wire import LocalService, Reply, Request, form_of, json_reply

TOKEN = "123456:AAE-fake_token_of_a_bot"  # noqa: S105  nobody's
_TAGS = frozenset({"b", "i", "u", "s", "code", "pre", "a"})
_LONGEST = 4_096
_LONGEST_CAPTION = 1_024


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message as people read it. `buttons`: what they say → what they stand for; `picture`: above the words."""

    chat: int
    number: int
    text: str
    raw: str
    buttons: dict[str, str]
    picture: bytes = b""


class FakeTelegram(LocalService):
    """sent: messages in order · nods: answers to presses · calls: (method, what was asked) of all requests"""

    def __init__(self, token: str = TOKEN) -> None:
        super().__init__()
        self.chats: set[int] = set()
        self.blocked: set[int] = set()
        self.wordy: set[int] = set()  # where nobody may send pictures
        self.sent: list[Sent] = []
        self.nods: list[tuple[str, str]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.down = False
        self.updates: deque[dict[str, Any]] = deque()
        self.next_update = 500_000_001
        self._token = token
        self._replies: deque[tuple[str, Reply]] = deque()
        self._presses: set[str] = set()
        self._changed = asyncio.Condition()
        self._poll = 0

    def next(self, method: str, *replies: Reply) -> None:
        """What the next calls of a method get, whatever they ask."""
        self._replies += [(method, reply) for reply in replies]

    async def write(self, chat: int, text: str) -> None:
        """Somebody writes to the bot."""
        self.chats.add(chat)
        post = {"message_id": 1, "date": 0, "chat": {"id": chat, "type": "private"}, "text": text}
        await self.update({"message": post})

    async def press(self, message: Sent, label: str, *, times: int = 1) -> None:
        """Somebody presses a button."""
        for _ in range(times):
            query = f"query{self.next_update}"
            self._presses.add(query)
            post = {"message_id": message.number, "date": 0, "chat": {"id": message.chat, "type": "private"}}
            asked = {"id": query, "from": {"id": message.chat}, "message": post, "data": message.buttons[label]}
            await self.update({"callback_query": asked})

    async def update(self, content: dict[str, Any]) -> None:
        """Anything comes in."""
        async with self._changed:
            self.updates.append({"update_id": self.next_update, **content})
            self.next_update += 1
            self._changed.notify_all()

    async def wait_for(self, count: int, *, nods: int = 0) -> list[Sent]:
        """Once so many messages were sent, and so many presses answered: the messages."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= count and len(self.nods) >= nods)
        return self.sent

    async def listened_to(self) -> None:
        """Once somebody has asked for updates."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._poll > 0)

    async def confirmed(self) -> None:
        """Once no update is left."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self.updates)

    async def _answer(self, request: Request) -> Reply:
        _, bot, method = [*request.path.split("/"), "", ""][:3]
        asked = _asked(request)
        self.calls.append((method, asked))
        if self.down:
            return _no(502, "Bad Gateway")
        if self._replies and self._replies[0][0] == method:
            return self._replies.popleft()[1]
        if bot != f"bot{self._token}":
            return _no(401, "Unauthorized") if bot.startswith("bot") and ":" in bot else _no(404, "Not Found")
        match method:
            case "sendMessage":
                reply = self._send(asked)
            case "sendPhoto":
                reply = self._show(asked)
            case "answerCallbackQuery":
                reply = self._nod(asked)
            case "getUpdates":
                reply = await self._get_updates(asked)
            case _:
                return _no(404, "Not Found")
        async with self._changed:
            self._changed.notify_all()
        return reply

    def _show(self, asked: dict[str, Any]) -> Reply:
        if asked.get("chat_id", 0) in self.wordy:
            return _no(400, "Bad Request: not enough rights to send photos to the chat")
        if not asked.get("photo", b"").startswith(b"\x89PNG\r\n\x1a\n"):
            return _no(400, "Bad Request: IMAGE_PROCESS_FAILED")
        return self._send(asked, most=_LONGEST_CAPTION)

    def _send(self, asked: dict[str, Any], most: int = _LONGEST) -> Reply:
        chat = asked.get("chat_id", 0)
        if chat in self.blocked:
            return _no(403, "Forbidden: bot was blocked by the user")
        if chat not in self.chats:
            return _no(400, "Bad Request: chat not found")
        raw = asked.get("text", "")
        text = _read(raw) if asked.get("parse_mode") == "HTML" else raw
        if text is None:
            return _no(400, "Bad Request: can't parse entities: Unsupported start tag")
        if not text.strip():
            return _no(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) > 2 * most:
            return _no(400, "Bad Request: message is too long")
        keyboard = asked.get("reply_markup", {}).get("inline_keyboard", [])
        buttons = {button["text"]: button["callback_data"] for row in keyboard for button in row}
        if any(not 1 <= len(data.encode()) <= 64 for data in buttons.values()):
            return _no(400, "Bad Request: BUTTON_DATA_INVALID")
        number = len(self.sent) + 1
        picture = asked.get("photo", b"")
        sent = Sent(chat=chat, number=number, text=text, raw=raw, buttons=buttons, picture=picture)
        self.sent.append(sent)
        return _yes({"message_id": number, "date": 0, "chat": {"id": chat, "type": "private"}, "text": text})

    def _nod(self, asked: dict[str, Any]) -> Reply:
        query, text = asked.get("callback_query_id", ""), asked.get("text", "")
        if query not in self._presses:
            return _no(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        if len(text) > 200:
            return _no(400, "Bad Request: MESSAGE_TOO_LONG")
        self._presses.discard(query)
        self.nods.append((query, text))
        return _yes(True)

    async def _get_updates(self, asked: dict[str, Any]) -> Reply:
        """One listener at a time: a second one ends the first."""
        self._poll += 1
        poll = self._poll
        async with self._changed:
            self._changed.notify_all()
            if (offset := asked.get("offset")) is not None:
                while self.updates and self.updates[0]["update_id"] < offset:
                    self.updates.popleft()
                self._changed.notify_all()
            try:
                async with asyncio.timeout(asked.get("timeout", 0)):
                    await self._changed.wait_for(lambda: self.updates or self._poll != poll)
            except TimeoutError:
                pass
            if self._poll != poll:
                return _no(409, "Conflict: terminated by other getUpdates request")
            return _yes(list(self.updates)[: asked.get("limit", 100)])


def _asked(request: Request) -> dict[str, Any]:
    """What a request says, whether in JSON or as a form with a photo, whose caption is its text."""
    form = form_of(request)
    if not form:
        return msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
    markup = msgspec.json.decode(form.get("reply_markup", b"{}"), type=dict[str, Any])
    text, mode = form.get("caption", b"").decode(), form.get("parse_mode", b"").decode()
    asked = {"chat_id": int(form["chat_id"]), "photo": form["photo"], "text": text, "parse_mode": mode}
    return {**asked, "reply_markup": markup}


class _Reader(HTMLParser):
    """Text as people read it. `broken`: what the service would not take."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.open: list[str] = []
        self.broken = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.broken = self.broken or tag not in _TAGS
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.broken = self.broken or not self.open or self.open.pop() != tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(markup: str) -> str | None:
    """None where it is no markup that is understood."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    return None if reader.broken or reader.open else reader.text


def _yes(result: object) -> Reply:
    return json_reply({"ok": True, "result": result})


def _no(status: int, description: str) -> Reply:
    return json_reply({"ok": False, "error_code": status, "description": description}, status=status)


def flooded(seconds: int) -> Reply:
    """Too many messages: how long to wait stands in the body."""
    said = {"ok": False, "error_code": 429, "description": f"Too Many Requests: retry after {seconds}"}
    return json_reply({**said, "parameters": {"retry_after": seconds}}, status=429)
