"""/api/v1/links: what a link that is good once is for, and using it; /api/v1/invitations."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
import structlog
from litestar import Request, Response, delete, get, post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from cryptowatcher.domain.accounts import (
    LONGEST_DAYS,
    NO_ACCOUNT,
    Link,
    LinkKind,
    Role,
    User,
    check_name,
    check_password,
    digest_of,
    id_of,
    link_path,
    link_to,
)
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.web.accounts.access import Asking
from cryptowatcher.web.accounts.proving import Me, logged_in
from cryptowatcher.web.accounts.sessions import Name, Password
from cryptowatcher.web.answers import Millis
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import Problem, documented, not_found

log = structlog.get_logger()

Secret = Annotated[str, Meta(max_length=200, description="what stands behind the # of the link")]
InvitationId = Annotated[str, PathParameter(description="an invitation's id")]


class LinkLook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A link that somebody opened."""

    token: Secret


class LinkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What it is for. setup: makes the first account, an admin. invite: makes an account of that role. reset: sets
    the password of the account of that name; empty for the others."""

    kind: LinkKind
    role: Role
    name: str
    expires_at_ms: Millis


class LinkUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account that it makes, or its new password: 12 characters or more. For a reset `name` does not count."""

    token: Secret
    password: Password
    name: Name = ""


class NewInvitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What whoever takes it may, and for how many days it is good."""

    role: Role = "user"
    days: Annotated[int, Meta(ge=1, le=LONGEST_DAYS)] = 7


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation that nobody has taken."""

    id: str
    role: Role
    created_at_ms: Millis
    expires_at_ms: Millis


class Invitations(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: list[Invitation]


class OneTimeLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was just made. `path`, after the page's address, is shown this once."""

    id: str
    path: str
    expires_at_ms: Millis


@post(
    "/links/look",
    needs="anyone",
    status_code=200,
    responses=documented(400, 404),
    summary="What a one-time link is for",
    tags=["accounts"],
)
async def look_at_link(deps: Deps, data: JSONBody[LinkLook]) -> LinkAnswer:
    now, digest = deps.clock.now(), digest_of(data.token)

    def read(tx: Tx) -> LinkAnswer:
        link, user = _good(tx, tx.link(digest, now))
        name = user.name if user else ""
        return LinkAnswer(kind=link.kind, role=link.role, name=name, expires_at_ms=link.expires_at)

    return await deps.asked.run(read)


@post(
    "/links/use",
    needs="anyone",
    status_code=200,
    responses=documented(400, 404, 422, 503),
    summary="Use a one-time link: make the account, or set its password",
    description="The answer sets a cookie, as logging in does. A new password ends all sessions and tokens of the "
    "account.",
    tags=["accounts"],
)
async def use_link(deps: Deps, request: Request[Any, Any, Any], data: JSONBody[LinkUse]) -> Response[Me]:
    now, digest = deps.clock.now(), digest_of(data.token)
    _, before = await deps.asked.run(lambda tx: _good(tx, tx.link(digest, now)))
    name = before.name if before else check_name(data.name)
    hashed = await deps.passwords.hashed(check_password(data.password, name))

    def take(tx: Tx) -> tuple[User, list[str]]:
        link, there = _good(tx, tx.use_link(digest, now))
        if there is not None:
            user = msgspec.structs.replace(there, password=hashed)
            tx.change_user(user)
            return user, [*tx.end_sessions(user.id), *tx.end_tokens(user.id)]
        return _made(tx, link, name, hashed, now), []

    user, ended = await deps.store.run(take)
    log.info("a one-time link was used", account=user.name, role=user.role)
    deps.hub.end(ended)
    return await logged_in(deps, request, user)


def _good(tx: Tx, link: Link | None) -> tuple[Link, User | None]:
    """With the user whose password it sets. Problem (404) when it is over, was used, or is good for nothing."""
    over = not_found("this link was used, or is over: ask for another one")
    if link is None or (link.kind == "setup") == tx.has_users():
        raise over
    if link.kind != "reset":
        return link, None
    user = tx.user(link.user)
    if user is None or user.disabled:
        raise over
    return link, user


def _made(tx: Tx, link: Link, name: str, hashed: str, now: int) -> User:
    """The first account has what the configuration and the command line speak for; others begin with nothing."""
    id_ = f"u{secrets.token_hex(8)}"
    owner = LOCAL_OWNER if link.kind == "setup" else id_
    user = User(id=id_, name=name, role=link.role, owner=owner, password=hashed, created_at=now)
    if not tx.add_user(user):
        raise ConfigError(f"there is an account {name!r} already", where="name", hint="take another name")
    return user


# --- invitations -----------------------------------------------------------------------------------


@get(
    "/invitations",
    needs="admin",
    in_person=True,
    responses=documented(400, 401, 403),
    summary="Invitations that nobody has taken",
    tags=["accounts"],
)
async def invitations(deps: Deps) -> Invitations:
    now = deps.clock.now()
    found = await deps.asked.run(lambda tx: tx.links(now))
    return Invitations(
        items=[
            Invitation(
                id=id_of(link.digest),
                role=link.role,
                created_at_ms=link.created_at,
                expires_at_ms=link.expires_at,
            )
            for link in found
            if link.kind == "invite"
        ]
    )


@post(
    "/invitations",
    needs="admin",
    in_person=True,
    responses=documented(400, 401, 403, 409),
    summary="Invite somebody",
    description="Whoever opens the link first makes the account. It is shown this once, and good for as long as "
    "you are an admin with the same password. 409: there is no account yet, and the first one is not invited.",
    tags=["accounts"],
)
async def invite(deps: Deps, who: Asking, data: JSONBody[NewInvitation]) -> OneTimeLink:
    secret, by = secrets.token_urlsafe(32), who.user.id if who.user else ""
    link = link_to("invite", secret, deps.clock.now(), role=data.role, user=by, lasts=data.days * MS["d"])

    def add(tx: Tx) -> None:
        if not tx.has_users():
            raise Problem(409, NO_ACCOUNT)
        if by and by not in tx.admins():
            raise Problem(403, "your account was changed meanwhile")
        tx.add_link(link)

    await deps.store.run(add)
    return shown_once(link, secret)


@delete(
    "/invitations/{invitation:str}",
    needs="admin",
    in_person=True,
    responses=documented(400, 401, 403, 404),
    summary="Take an invitation back",
    tags=["accounts"],
)
async def remove_invitation(deps: Deps, invitation: InvitationId) -> None:
    if not await deps.store.run(lambda tx: tx.remove_link(invitation)):
        raise not_found(f"there is no invitation {invitation!r}")


def shown_once(link: Link, secret: str) -> OneTimeLink:
    return OneTimeLink(id=id_of(link.digest), path=link_path(secret), expires_at_ms=link.expires_at)
