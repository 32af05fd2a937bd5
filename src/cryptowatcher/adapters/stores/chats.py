"""Chats that are linked, codes for linking them, and what was acknowledged."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern
from cryptowatcher.adapters.stores.tables import (
    acks,
    alerts,
    chat_codes,
    chat_links,
    chat_marks,
    insert_into,
    or_replace,
)
from cryptowatcher.ports.chats import ChatLink, ChatMark


class Chats(Concern):
    """See ports.ChatTx."""

    def keep_code(self, digest: str, *, channel: str, owner: str, expires_at: int, now: int) -> None:
        self._db.execute(sa.delete(chat_codes).where(chat_codes.c.expires_at <= now))
        row = {"digest": digest, "channel": channel, "owner": owner, "expires_at": expires_at}
        self._replace(chat_codes, row)

    def link_chat(self, digest: str, *, channel: str, chat: int, now: int) -> str | None:
        c = chat_codes.c
        # What is deleted is used up: of two at the same moment one finds it gone.
        used = sa.delete(chat_codes).where(c.digest == digest, c.channel == channel, c.expires_at > now)
        owner = self._db.execute(used.returning(c.owner)).scalar_one_or_none()
        if owner is None:
            return None
        self._replace(chat_links, {"channel": channel, "chat": chat, "owner": owner, "linked_at": now})
        return str(owner)

    def linked_chats(self, channel: str) -> list[ChatLink]:
        asked = sa.select(chat_links).where(chat_links.c.channel == channel).order_by(chat_links.c.chat)
        return self._all(ChatLink, asked)

    def unlink_chat(self, channel: str, chat: int) -> bool:
        this = (chat_links.c.channel == channel, chat_links.c.chat == chat)
        return self._db.execute(sa.delete(chat_links).where(*this)).rowcount > 0

    def chat_mark(self, line: str) -> ChatMark | None:
        asked = sa.select(chat_marks.c.upto, chat_marks.c.at).where(chat_marks.c.line == line)
        return next(iter(self._all(ChatMark, asked)), None)

    def save_chat_mark(self, line: str, mark: ChatMark) -> None:
        self._replace(chat_marks, {"line": line, "upto": mark.upto, "at": mark.at})

    def acknowledge(self, owner: str, alerts: Collection[str], now: int) -> int:
        known = self._of_owner(owner, alerts)
        new = known - self.acknowledged(known)
        for alert in sorted(new):
            self._replace(acks, {"alert": alert, "owner": owner, "at": now})
        return len(new)

    def acknowledged(self, alerts: Collection[str]) -> set[str]:
        return set(self._db.execute(sa.select(acks.c.alert).where(acks.c.alert.in_(alerts))).scalars())

    def _of_owner(self, owner: str, ids: Collection[str]) -> set[str]:
        asked = sa.select(alerts.c.id).where(alerts.c.owner == owner, alerts.c.id.in_(ids))
        return set(self._db.execute(asked).scalars())

    def _replace(self, table: sa.Table, row: dict[str, object]) -> None:
        self._db.execute(or_replace(insert_into(table, self._db.dialect.name), table), row)
