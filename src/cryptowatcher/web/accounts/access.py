"""Who asks, and whether they may. Every route says what it needs; one that does not is not served.

needs="anyone" | "viewer" | "user" | "admin", as an option of the route's decorator
asks_who=True:  anyone may, and it wants to know who it is
in_person=True: not by a token: what could make a stolen one last
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import SkipValidation

from cryptowatcher.domain.accounts import (
    NO_ACCOUNT,
    ROLES,
    TOKEN_PREFIX,
    Role,
    User,
    digest_of,
    is_good,
    is_stale,
    lesser,
    lives,
    may,
)
from cryptowatcher.domain.addresses import is_loopback
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Tx
from cryptowatcher.web.accounts.cookies import Connection, secret_in
from cryptowatcher.web.deps import WebDeps
from cryptowatcher.web.problems import Problem

Kind = Literal["nobody", "session", "token", "open"]

ANYONE = "anyone"
_SAFE = ("GET", "HEAD", "OPTIONS")
_FORWARDED = re.compile(r"forwarded|via|x-real-ip|x-forwarded(-.*)?|cf-.*|.*client-ip")
"""Headers that a proxy adds, whole and in small letters."""
_KEY = "who"


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks.

    kind:   nobody; somebody who has logged in; a token of theirs; or, where the page is open, this machine
    owner:  whose rules, lists and alerts they see
    user:   None for nobody, and for this machine
    digest: of the session or token
    expires_at: of the session or token, epoch ms; 0: never
    """

    kind: Kind = "nobody"
    role: Role = "viewer"
    owner: str = ""
    user: User | None = None
    digest: str = ""
    expires_at: int = 0


NOBODY = Who()

Asking = NamedDependency[SkipValidation[Who]]
"""How a route handler names it: `who: Asking`."""


def account(who: Who) -> User:
    """The account of whoever asks. Problem (403) where this machine asks without one."""
    if who.user is None:
        raise Problem(403, "there is no account here: the page is open to this machine")
    return who.user


class Access:
    """Lets requests in, for one application."""

    def __init__(self, deps: WebDeps) -> None:
        self._deps = deps
        self._setting = msgspec.structs.replace(deps.setting, channels=deps.channels)
        self._set_up = False

    async def let_in(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """A guard of all routes. Problem 401 for nobody, 403 for who may not."""
        request = cast("Connection", connection)  # all of our routes are HTTP
        needs: Any = ANYONE if request.method == "OPTIONS" else handler.opt["needs"]
        if needs == ANYONE and not handler.opt.get("asks_who"):
            return
        who = await self._who(request)
        request.scope["state"][_KEY] = who
        if needs == ANYONE:
            return
        if who.kind == "nobody":
            said = "log in, or send a token" if await self._is_set_up() else NO_ACCOUNT
            raise Problem(401, said, headers={"www-authenticate": "Bearer"})
        if not may(who.role, needs):
            raise Problem(403, f"this takes the role {needs}")
        if handler.opt.get("in_person") and who.kind == "token":
            raise Problem(403, "a token may not do this: log in")

    async def given(self, request: Connection) -> WebDeps:
        """What this request sees of the world: its own rows. Nobody has any."""
        who = self.asking(request)
        mine = self._deps.channels if who.owner == LOCAL_OWNER or _is_admin(who) else ()
        if who.owner and request.method not in _SAFE:  # what changes something may name channels
            reach = await self._deps.asked.run(lambda tx: tx.reach(self._setting, owner=who.owner))
            mine = tuple(dict.fromkeys([*reach.own(who.owner), *mine]))
        return msgspec.structs.replace(self._deps, owner=who.owner, channels=mine, setting=self._setting)

    def asking(self, request: Connection) -> Who:
        return cast("Who", request.scope["state"].get(_KEY, NOBODY))

    async def _who(self, connection: Connection) -> Who:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":  # another one is meant for a proxy before us
            return await self._by_token(token.strip())
        if secret := secret_in(connection):
            who = await self._by_session(digest_of(secret))
            if who.kind != "nobody":
                _check_browser(connection)
                return who
        return self._this_machine(connection)

    async def _by_session(self, digest: str) -> Who:
        now = self._deps.clock.now()
        found = await self._deps.asked.run(lambda tx: tx.session(digest))
        if found is None or found[1].disabled or not lives(found[0], now):
            return NOBODY
        session, user = found
        if is_stale(session.seen_at, now):
            await self._note(lambda tx: tx.touch_session(digest, now))
        return Who(
            kind="session",
            role=user.role,
            owner=user.owner,
            user=user,
            digest=digest,
            expires_at=session.expires_at,
        )

    async def _by_token(self, token: str) -> Who:
        if not token.startswith(TOKEN_PREFIX):
            return NOBODY
        digest, now = digest_of(token), self._deps.clock.now()
        found = await self._deps.asked.run(lambda tx: tx.token(digest))
        if found is None or found[1].disabled or not is_good(found[0], now):
            return NOBODY
        kept, user = found
        if is_stale(kept.used_at, now):
            await self._note(lambda tx: tx.touch_token(digest, now))
        role = lesser(kept.role, user.role)
        return Who(kind="token", role=role, owner=user.owner, user=user, digest=digest, expires_at=kept.expires_at)

    async def _is_set_up(self) -> bool:
        """Whether anybody has an account. The first one is never deleted, so it is asked no more once there is."""
        self._set_up = self._set_up or await self._deps.asked.run(lambda tx: tx.has_users())
        return self._set_up

    async def _note(self, write: Callable[[Tx], None]) -> None:
        """A disk that is full shuts nobody out: then the last use is written down another time."""
        with contextlib.suppress(Unavailable):
            await self._deps.store.run(write)

    def _this_machine(self, connection: Connection) -> Who:
        """Without an account, where the operator says so. What a proxy on this machine forwards comes from
        elsewhere."""
        forwarded = any(_FORWARDED.fullmatch(name) for name in connection.headers)
        if not self._deps.open or forwarded or not is_loopback(address_of(connection)):
            return NOBODY
        return Who(kind="open", role="admin", owner=self._deps.owner)


def address_of(connection: Connection) -> str:
    """Where the request came from; "" when that is no address."""
    client = connection.scope.get("client")
    return client[0] if client else ""


def check_routes(app: Litestar) -> None:
    """RuntimeError for a route that does not say what it needs: it would be a door that nobody looks at."""
    known = (ANYONE, *ROLES)
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}:
                continue
            if handler.opt.get("needs") not in known:
                raise RuntimeError(f"{route.path} does not say who may use it: needs={' | '.join(known)}")


def _is_admin(who: Who) -> bool:
    return who.kind != "nobody" and may(who.role, "admin")


def _check_browser(connection: Connection) -> None:
    """A cookie comes from a browser, and browsers say where a change comes from; the edge has judged what they
    say. Where nothing is said, nobody could judge it."""
    if connection.method in _SAFE:
        return
    if not {"origin", "sec-fetch-site"} & set(connection.headers):
        raise Problem(403, "a change by cookie must say where it comes from; programs send a token")
