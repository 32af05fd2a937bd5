"""chat: hear what owners write to a channel, do it, answer.

What a command changes and the number of its update are one transaction: whatever is heard again, after a crash or
because the other side did not learn that we had it, is done once. An answer may be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
import structlog

from cryptowatcher.domain import chat_words as words
from cryptowatcher.domain.chat import Start, code_digest, read, read_press
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.engine import Engine
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.rules.why_words import explain
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.pipeline.orders import Reply, Scene, obey, pressed
from cryptowatcher.ports import Clock, Journal, Store, Tx
from cryptowatcher.ports.chats import ChatLine, ChatMark, Heard

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds: how soon after an outage it listens again."""
_MARK_LASTS = 3 * MS["d"]
"""Updates are kept for a day. After a week without any their numbers begin anew, anywhere: an old mark would hide
new ones."""
_DOUBLE_TAP = 5.0
"""Seconds in which the same button again is the same press."""
_STRANGERS = 3_600.0
"""Seconds in which a stranger is answered once."""
_REMEMBERED = 1_000

K = TypeVar("K")
UTC = ZoneInfo("UTC")

log = structlog.get_logger()


class Chatter:
    """One line.

    engine: what the rules stand on now, asked between two of watch's steps
    zone:   where people say "tomorrow"
    """

    def __init__(
        self,
        line: ChatLine,
        store: Store,
        journal: Journal,
        clock: Clock,
        random: Random,
        *,
        engine: Callable[[], Engine],
        zone: ZoneInfo = UTC,
    ) -> None:
        self._line = line
        self._store = store
        self._journal = journal
        self._clock = clock
        self._random = random
        self._engine = engine
        self._zone = zone
        self._key = f"{line.name} {line.account}"
        self._failures = 0
        self._taps: dict[tuple[int, int, str], float] = {}
        self._strangers: dict[int, float] = {}

    @property
    def name(self) -> str:
        return self._line.name

    async def run(self) -> None:
        """Until cancelled. That the other side is away is waited for; what ails the store is raised."""
        while True:
            mark = await self._store.run(lambda tx: tx.chat_mark(self._key))
            after = mark.upto if mark and self._clock.now() - mark.at < _MARK_LASTS else None
            try:
                heard = await self._line.hear(after)
            except (Unavailable, Refused) as error:
                await self._back_off(error)
                continue
            if self._failures:
                log.info("chat is heard again", channel=self.name)
            self._failures = 0
            for each in heard:
                await self.handle(each)

    async def handle(self, heard: Heard) -> None:
        """Do it, once, and answer."""
        head, now = await self._journal.head(), self._clock.now()
        try:
            reply = await self._store.run(lambda tx: self._done(tx, heard, head=head, now=now))
        except ConfigError as error:
            said = words.say_error(error)
            await self._store.run(lambda tx: self._mark(tx, heard, now))
            reply = Reply(said)
        self._remember(heard, reply)
        if reply is not None:
            await self._answer(heard, self._explained(reply))

    def _done(self, tx: Tx, heard: Heard, *, head: int, now: int) -> Reply | None:
        """What to say; None: nothing. ConfigError when it is not understood, and then nothing is done."""
        mark = tx.chat_mark(self._key)
        if mark and heard.update <= mark.upto and now - mark.at < _MARK_LASTS:
            return None
        self._mark(tx, heard, now)
        if heard.chat == 0:
            return None
        owner = self._owner(tx, heard.chat)
        if owner is None:
            return self._stranger(tx, heard, now)
        scene = Scene(tx=tx, owner=owner, head=head, now=now, zone=self._zone)
        if not heard.press:
            return obey(scene, read(heard.text))
        press = read_press(heard.text)
        if press is None:
            return Reply("This button is not known any more.")
        again = _recent(self._taps, _tap(heard), self._clock.monotonic(), _DOUBLE_TAP)
        return Reply("") if again else pressed(scene, press)

    def _mark(self, tx: Tx, heard: Heard, now: int) -> None:
        tx.save_chat_mark(self._key, ChatMark(heard.update, now))

    def _owner(self, tx: Tx, chat: int) -> str | None:
        if chat in self._line.chats:
            return LOCAL_OWNER
        return next((link.owner for link in tx.linked_chats(self.name) if link.chat == chat), None)

    def _stranger(self, tx: Tx, heard: Heard, now: int) -> Reply | None:
        """A code links the chat; for anything else there is one sentence, and not more than one an hour."""
        command = None
        with suppress(ConfigError):
            command = None if heard.press else read(heard.text)
        if isinstance(command, Start) and command.code:
            digest = code_digest(command.code)
            if tx.link_chat(digest, channel=self.name, chat=heard.chat, now=now) is not None:
                log.info("a chat was linked", channel=self.name, chat=heard.chat)
                return Reply(words.LINKED)
        if _recent(self._strangers, heard.chat, self._clock.monotonic(), _STRANGERS):
            return None
        return Reply(words.STRANGER)

    def _remember(self, heard: Heard, reply: Reply | None) -> None:
        """Only what is committed was pressed or said."""
        now = self._clock.monotonic()
        if reply is not None and reply.text == words.STRANGER:
            _note(self._strangers, heard.chat, now)
        elif heard.press and not _recent(self._taps, _tap(heard), now, _DOUBLE_TAP):
            _note(self._taps, _tap(heard), now)

    def _explained(self, reply: Reply) -> Reply:
        """Why a rule has not fired, where that was asked: the engine is not asked inside a transaction."""
        if reply.why is None:
            return reply
        why = reply.why
        found = explain(self._engine(), why.rule, why.pair, snoozed_until=why.snoozed_until)
        text = f"{why.rule.spec.name}, {why.pair}: {found.says}"
        return msgspec.structs.replace(reply, text=text)

    async def _answer(self, heard: Heard, reply: Reply) -> None:
        """A press has its answer beside the message; what is longer comes as a message of its own."""
        beside = bool(heard.press) and reply.why is None
        with suppress(Unavailable, Refused):  # too late to be answered: nothing is lost but a turning circle
            if heard.press:
                await self._line.nod(heard.press, reply.text if beside else "")
        if beside or not reply.text:
            return
        for last in (False, True):
            try:
                await self._line.say(heard.chat, reply.text)
            except Refused as error:
                log.warning("an answer was refused", channel=self.name, why=str(error))
            except Unavailable as error:
                if not last:
                    await asyncio.sleep(min(error.retry_after or FIRST_PAUSE, LONGEST_PAUSE))
                    continue
                log.warning("an answer was lost", channel=self.name, why=str(error))
            return

    async def _back_off(self, error: Unavailable | Refused) -> None:
        if not self._failures:
            log.warning("chat is not heard", channel=self.name, reason=error.reason, why=str(error))
        asked = error.retry_after if isinstance(error, Unavailable) else LONGEST_PAUSE
        pause = min(FIRST_PAUSE * 2 ** min(self._failures, 10), LONGEST_PAUSE)
        self._failures += 1
        await asyncio.sleep(max(asked or 0.0, pause) * (1 + self._random.random() / 4))


def _tap(heard: Heard) -> tuple[int, int, str]:
    return heard.chat, heard.message, heard.text


def _recent(seen: dict[K, float], key: K, now: float, within: float) -> bool:
    return key in seen and now - seen[key] < within


def _note(seen: dict[K, float], key: K, now: float) -> None:
    seen.pop(key, None)
    seen[key] = now
    while len(seen) > _REMEMBERED:
        del seen[next(iter(seen))]
