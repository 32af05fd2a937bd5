"""Accounts, sessions, tokens, links that are good once, and log-ins that failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.channels import reaching_changed
from cryptowatcher.adapters.stores.rows import Concern
from cryptowatcher.adapters.stores.tables import (
    channels,
    chat_codes,
    chat_links,
    insert_into,
    links,
    login_failures,
    or_replace,
    preferences,
    sessions,
    tokens,
    users,
)
from cryptowatcher.domain.accounts import IDLE, Failures, Link, Session, Token, User, id_of

S = TypeVar("S", bound=msgspec.Struct)


class Accounts(Concern):
    """See ports.accounts.AccountTx."""

    # --- accounts

    def users(self) -> list[User]:
        return self._all(User, sa.select(users).order_by(users.c.name))

    def user(self, id_: str) -> User | None:
        return next(iter(self._all(User, sa.select(users).where(users.c.id == id_))), None)

    def user_named(self, name: str) -> User | None:
        return next(iter(self._all(User, sa.select(users).where(users.c.name == name))), None)

    def has_users(self) -> bool:
        return self._db.execute(sa.select(users.c.id).limit(1)).first() is not None

    def admins(self) -> set[str]:
        able = sa.select(users.c.id).where(users.c.role == "admin", sa.not_(users.c.disabled))
        return set(self._db.execute(able.with_for_update()).scalars())

    def add_user(self, user: User) -> bool:
        row = msgspec.structs.asdict(user)
        added = self._insert(users).on_conflict_do_nothing().returning(users.c.id)
        is_new = self._db.execute(added, row).first() is not None
        if is_new:
            reaching_changed(self._db)
        return is_new

    def change_user(self, user: User) -> None:
        values = {"role": user.role, "password": user.password, "disabled": user.disabled}
        same = sa.select(users.c.id).where(users.c.id == user.id, users.c.password == user.password)
        theirs = sa.delete(links).where(links.c.user == user.id)
        if user.disabled or self._db.execute(same).first() is None:
            self._db.execute(theirs)
        elif user.role != "admin":
            self._db.execute(theirs.where(links.c.kind == "invite"))
        self._db.execute(sa.update(users).where(users.c.id == user.id).values(values))
        reaching_changed(self._db)

    def remove_user(self, id_: str) -> list[str]:
        user = self.user(id_)
        if user is None:
            return []
        ended = [*self.end_sessions(id_), *self.end_tokens(id_)]
        self._db.execute(sa.delete(links).where(links.c.user == id_))
        for table in (chat_links, chat_codes, channels, preferences):
            self._db.execute(sa.delete(table).where(table.c.owner == user.owner))
        reaching_changed(self._db)
        self._db.execute(sa.delete(users).where(users.c.id == id_))
        return ended

    # --- sessions and tokens

    def add_session(self, session: Session) -> None:
        now = session.created_at
        over = (sessions.c.expires_at <= now) | (sessions.c.seen_at <= now - IDLE)
        self._db.execute(sa.delete(sessions).where(over))
        self._db.execute(sa.insert(sessions), msgspec.structs.asdict(session))

    def session(self, digest: str) -> tuple[Session, User] | None:
        return self._with_user(Session, _SESSION, digest)

    def sessions(self, user: str) -> list[Session]:
        theirs = sa.select(sessions).where(sessions.c.user == user)
        return self._all(Session, theirs.order_by(sessions.c.seen_at.desc(), sessions.c.digest))

    def sessions_seen(self) -> dict[str, int]:
        asked = sa.select(sessions.c.user, sa.func.max(sessions.c.seen_at)).group_by(sessions.c.user)
        return {row[0]: row[1] for row in self._db.execute(asked)}

    def touch_session(self, digest: str, now: int) -> None:
        self._db.execute(sa.update(sessions).where(sessions.c.digest == digest).values(seen_at=now))

    def end_session(self, digest: str) -> None:
        self._db.execute(sa.delete(sessions).where(sessions.c.digest == digest))

    def end_sessions(self, user: str, *, but: str = "") -> list[str]:
        theirs = sa.delete(sessions).where(sessions.c.user == user, sessions.c.digest != but)
        return list(self._db.execute(theirs.returning(sessions.c.digest)).scalars())

    def add_token(self, token: Token) -> None:
        self._db.execute(sa.insert(tokens), msgspec.structs.asdict(token))

    def token(self, digest: str) -> tuple[Token, User] | None:
        return self._with_user(Token, _TOKEN, digest)

    def tokens(self, user: str) -> list[Token]:
        asked = sa.select(tokens).where(tokens.c.user == user)
        return self._all(Token, asked.order_by(tokens.c.created_at.desc(), tokens.c.digest))

    def touch_token(self, digest: str, now: int) -> None:
        self._db.execute(sa.update(tokens).where(tokens.c.digest == digest).values(used_at=now))

    def end_tokens(self, user: str, id_: str | None = None) -> list[str]:
        theirs = sa.delete(tokens).where(tokens.c.user == user)
        if id_ is not None:
            theirs = theirs.where(_called(tokens, id_))
        return list(self._db.execute(theirs.returning(tokens.c.digest)).scalars())

    def live(self, digests: Collection[str], now: int) -> set[str]:
        s, t = sessions.c, tokens.c
        able = sa.not_(users.c.disabled)
        in_browsers = sa.select(s.digest).join(users, users.c.id == s.user)
        in_browsers = in_browsers.where(able, s.digest.in_(digests), s.expires_at > now, s.seen_at > now - IDLE)
        in_programs = sa.select(t.digest).join(users, users.c.id == t.user)
        in_programs = in_programs.where(able, t.digest.in_(digests), (t.expires_at == 0) | (t.expires_at > now))
        return {digest for asked in (in_browsers, in_programs) for digest in self._db.execute(asked).scalars()}

    # --- links

    def add_link(self, link: Link) -> None:
        replaced = (links.c.kind == link.kind) & (links.c.user == link.user)
        gone = links.c.expires_at <= link.created_at
        self._db.execute(sa.delete(links).where(gone if link.kind == "invite" else gone | replaced))
        self._db.execute(sa.insert(links), msgspec.structs.asdict(link))

    def link(self, digest: str, now: int) -> Link | None:
        asked = sa.select(links).where(links.c.digest == digest, links.c.expires_at > now)
        return next(iter(self._all(Link, asked)), None)

    def links(self, now: int) -> list[Link]:
        asked = sa.select(links).where(links.c.expires_at > now)
        return self._all(Link, asked.order_by(links.c.created_at.desc(), links.c.digest))

    def use_link(self, digest: str, now: int) -> Link | None:
        used = sa.delete(links).where(links.c.digest == digest, links.c.expires_at > now).returning(*links.c)
        row = self._db.execute(used).one_or_none()
        return None if row is None else Link(**dict(zip(Link.__struct_fields__, row, strict=True)))

    def remove_link(self, id_: str) -> bool:
        gone = sa.delete(links).where(_called(links, id_), links.c.kind == "invite")
        return self._db.execute(gone).rowcount > 0

    # --- log-ins that failed

    def failures(self, keys: Collection[str]) -> dict[str, Failures]:
        asked = sa.select(login_failures).where(login_failures.c.key.in_(keys)).with_for_update()
        return {key: Failures(count, last_at) for key, count, last_at in self._db.execute(asked)}

    def note_failures(self, found: Mapping[str, Failures], *, forget_before: int) -> None:
        self._db.execute(sa.delete(login_failures).where(login_failures.c.last_at < forget_before))
        for key, each in sorted(found.items()):
            row = {"key": key, "count": each.count, "last_at": each.last_at}
            self._db.execute(or_replace(self._insert(login_failures), login_failures), row)

    def forgive(self, key: str) -> None:
        self._db.execute(sa.delete(login_failures).where(login_failures.c.key == key))

    # --- shared

    def _insert(self, table: sa.Table) -> Any:
        return insert_into(table, self._db.dialect.name)

    def _with_user(self, kind: type[S], asked: sa.Select[Any], digest: str) -> tuple[S, User] | None:
        row = self._db.execute(asked, {"digest": digest}).one_or_none()
        if row is None:
            return None
        fields = kind.__struct_fields__
        return (
            kind(**dict(zip(fields, row[: len(fields)], strict=True))),
            User(**dict(zip(User.__struct_fields__, row[len(fields) :], strict=True))),
        )


def _proof(table: sa.Table) -> sa.Select[Any]:
    """Asked with each request, so it is put together once."""
    theirs = sa.select(table, users).join(users, users.c.id == table.c.user)
    return theirs.where(table.c.digest == sa.bindparam("digest"))


_SESSION, _TOKEN = _proof(sessions), _proof(tokens)


def _called(table: sa.Table, id_: str) -> sa.ColumnElement[bool]:
    """The row whose digest goes by that id."""
    return sa.func.substr(table.c.digest, 1, len(id_of("0" * 64))) == id_
