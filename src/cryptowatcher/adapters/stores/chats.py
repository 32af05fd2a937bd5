"""Chats that are linked, codes for linking them, and what was acknowledged."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import sqlalchemy as sa

from cryptowatcher.adapters.stores.bulk import insert_rows
from cryptowatcher.adapters.stores.rows import Concern
from cryptowatcher.adapters.stores.tables import (
    acks,
    alerts,
    chat_codes,
    chat_links,
    chat_marks,
    insert_into,
    or_keep,
    or_replace,
)
from cryptowatcher.ports.chats import ChatLink, ChatMark

_AT_ONCE: Final = 1_000
"""Values in one question: databases take no more than some ten thousands."""


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
        new = self._of_owner(owner, alerts) - self.acknowledged(alerts).keys()
        insert_rows(self._db, acks, [(alert, owner, now) for alert in new], or_keep)
        return len(new)

    def acknowledged(self, alerts: Collection[str]) -> dict[str, int]:
        asked = sa.select(acks.c.alert, acks.c.at).where(acks.c.alert.in_(sa.bindparam("ids", expanding=True)))
        return {row.alert: row.at for ids in _parts(alerts) for row in self._db.execute(asked, {"ids": ids})}

    def _of_owner(self, owner: str, alert_ids: Collection[str]) -> set[str]:
        a = alerts.c
        asked = sa.select(a.id).where(a.owner == owner, a.id.in_(sa.bindparam("ids", expanding=True)))
        found = (self._db.execute(asked, {"ids": ids}).scalars() for ids in _parts(alert_ids))
        return {alert for part in found for alert in part}

    def _replace(self, table: sa.Table, row: dict[str, object]) -> None:
        self._db.execute(or_replace(insert_into(table, self._db.dialect.name), table), row)


def _parts(ids: Collection[str]) -> Iterator[list[str]]:
    listed = sorted(ids)
    return (listed[first : first + _AT_ONCE] for first in range(0, len(listed), _AT_ONCE))
