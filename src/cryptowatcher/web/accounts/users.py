"""/api/v1/users: the accounts, for admins."""

from __future__ import annotations

import secrets
from typing import Annotated

import msgspec
import structlog
from litestar import delete, get, post, put
from litestar.params import JSONBody, PathParameter

from cryptowatcher.domain.accounts import LAST_ADMIN, Role, User, link_to
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.ports import Tx
from cryptowatcher.web.accounts.access import Asking
from cryptowatcher.web.accounts.links import OneTimeLink, shown_once
from cryptowatcher.web.answers import Millis
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import Problem, documented, not_found

log = structlog.get_logger()

UserId = Annotated[str, PathParameter(description="an account's id")]


class UserAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An account. `first`: it has the rules of the configuration and of the command line, and stays. `seen_at_ms`:
    when one of its sessions was last used; null: none is open. `you`: it is yours."""

    id: str
    name: str
    role: Role
    disabled: bool
    first: bool
    created_at_ms: Millis
    seen_at_ms: Millis | None
    you: bool


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """In order of name."""

    items: list[UserAnswer]


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """disabled: it cannot log in, and its sessions and tokens end; its rules go on"""

    role: Role
    disabled: bool


@get(
    "/users",
    needs="admin",
    in_person=True,
    responses=documented(400, 401, 403),
    summary="All accounts",
    tags=["accounts"],
)
async def users(deps: Deps, who: Asking) -> Users:
    found, seen = await deps.asked.run(lambda tx: (tx.users(), tx.sessions_seen()))
    mine = who.user.id if who.user else ""
    return Users(items=[_answer(user, seen, mine) for user in found])


@put(
    "/users/{user:str}",
    needs="admin",
    in_person=True,
    responses=documented(400, 401, 403, 404, 409),
    summary="Change an account's role, disable or enable it",
    tags=["accounts"],
)
async def change_user(deps: Deps, who: Asking, user: UserId, data: JSONBody[UserChange]) -> UserAnswer:
    mine = who.user.id if who.user else ""

    def change(tx: Tx) -> tuple[UserAnswer, list[str]]:
        before = _existing(tx, user)
        if data.role != "admin" or data.disabled:
            _check_not_last_admin(tx, user)
        after = msgspec.structs.replace(before, role=data.role, disabled=data.disabled)
        tx.change_user(after)
        ended = [*tx.end_sessions(user), *tx.end_tokens(user)] if data.disabled else []
        return _answer(after, tx.sessions_seen(), mine), ended

    changed, ended = await deps.store.run(change)
    deps.hub.end(ended)
    log.info("account changed", account=changed.name, role=changed.role, disabled=changed.disabled)
    return changed


@delete(
    "/users/{user:str}",
    needs="admin",
    in_person=True,
    responses=documented(400, 401, 403, 404, 409),
    summary="Delete an account",
    description="With its rules, lists, sessions and tokens. Alerts it had are forgotten with their age.",
    tags=["accounts"],
)
async def remove_user(deps: Deps, user: UserId) -> None:
    head, now = await deps.journal.head(), deps.clock.now()

    def remove(tx: Tx) -> tuple[User, list[str]]:
        found = _existing(tx, user)
        _check_not_last_admin(tx, user)
        if found.owner == LOCAL_OWNER:
            raise Problem(409, "this account has the rules of the configuration: it can be disabled, not deleted")
        for rule in tx.rules(found.owner):
            tx.remove_rule(found.owner, rule.id, head=head, now=now)
        for each in tx.watchlists(found.owner):
            tx.remove_watchlist(found.owner, each.name)
        return found, tx.remove_user(user)

    removed, ended = await deps.store.run(remove)
    deps.hub.end(ended)
    log.info("account deleted", account=removed.name)


@post(
    "/users/{user:str}/reset",
    needs="admin",
    in_person=True,
    responses=documented(400, 401, 403, 404, 409),
    summary="A one-time link by which somebody sets a new password",
    description="It is shown this once. The old password is good until the link is used.",
    tags=["accounts"],
)
async def reset_password(deps: Deps, user: UserId) -> OneTimeLink:
    secret, now = secrets.token_urlsafe(32), deps.clock.now()

    def add(tx: Tx) -> OneTimeLink:
        found = _existing(tx, user)
        if found.disabled:
            raise Problem(409, "this account is disabled: enable it first")
        link = link_to("reset", secret, now, role=found.role, user=found.id)
        tx.add_link(link)
        return shown_once(link, secret)

    return await deps.store.run(add)


def _existing(tx: Tx, id_: str) -> User:
    found = tx.user(id_)
    if found is None:
        raise not_found(f"there is no account {id_!r}")
    return found


def _check_not_last_admin(tx: Tx, id_: str) -> None:
    if tx.admins() == {id_}:
        raise Problem(409, LAST_ADMIN)


def _answer(user: User, seen: dict[str, int], mine: str) -> UserAnswer:
    return UserAnswer(
        id=user.id,
        name=user.name,
        role=user.role,
        disabled=user.disabled,
        first=user.owner == LOCAL_OWNER,
        created_at_ms=user.created_at,
        seen_at_ms=seen.get(user.id),
        you=user.id == mine,
    )
