"""/api/v1/session: logging in and out; and changing the password."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import JSONBody
from msgspec import Meta

from cryptowatcher.domain.accounts import User, check_password
from cryptowatcher.ports import Tx
from cryptowatcher.web.accounts import cookies
from cryptowatcher.web.accounts.access import Asking, account
from cryptowatcher.web.accounts.proving import Me, logged_in, me, proved
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import Problem, documented

AnyRequest = Request[Any, Any, Any]
Name = Annotated[str, Meta(max_length=100)]
Password = Annotated[str, Meta(max_length=1_000)]


class LogIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name and password of an account."""

    name: Name
    password: Password


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The password as it is, and as it is to be: at least 12 characters."""

    current: Password
    new: Password


@get("/session", needs="anyone", asks_who=True, responses=documented(400), summary="Who I am", tags=["accounts"])
async def session(deps: Deps, who: Asking) -> Me:
    return me(who, set_up=who.user is not None or await deps.asked.run(lambda tx: tx.has_users()))


@post(
    "/session",
    needs="anyone",
    status_code=200,
    responses=documented(400, 401, 429, 503),
    summary="Log in",
    description="The answer sets a cookie. After some failures each next try has to wait: `Retry-After` says how "
    "long.",
    tags=["accounts"],
)
async def log_in(deps: Deps, request: AnyRequest, data: JSONBody[LogIn]) -> Response[Me]:
    user = await proved(deps, request, data.name, data.password)
    return await logged_in(deps, request, user)


@delete(
    "/session",
    needs="anyone",
    asks_who=True,
    responses=documented(400),
    summary="Log out in this browser",
    tags=["accounts"],
)
async def log_out(deps: Deps, request: AnyRequest, who: Asking) -> Response[None]:
    if who.kind == "session":
        await deps.store.run(lambda tx: tx.end_session(who.digest))
        deps.hub.end([who.digest])
    return Response(None, cookies=[cookies.forget(request)])


@delete(
    "/sessions",
    needs="viewer",
    in_person=True,
    responses=documented(400, 401, 403),
    summary="Log out everywhere",
    tags=["accounts"],
)
async def log_out_everywhere(deps: Deps, request: AnyRequest, who: Asking) -> Response[None]:
    user = account(who)
    deps.hub.end(await deps.store.run(lambda tx: tx.end_sessions(user.id)))
    return Response(None, cookies=[cookies.forget(request)])


@put(
    "/password",
    needs="viewer",
    in_person=True,
    responses=documented(400, 401, 403, 422, 429, 503),
    summary="Change the password",
    description="All sessions end, and a new one begins in this browser. Tokens go on.",
    tags=["accounts"],
)
async def change_password(
    deps: Deps, request: AnyRequest, who: Asking, data: JSONBody[PasswordChange]
) -> Response[Me]:
    asking = account(who)
    plain = check_password(data.new, asking.name, where="new")
    user = await proved(deps, request, asking.name, data.current)
    hashed = await deps.passwords.hashed(plain)

    def change(tx: Tx) -> tuple[User, list[str]]:
        if tx.user(user.id) != user:
            raise Problem(409, "the account was changed meanwhile: try again")
        changed = msgspec.structs.replace(user, password=hashed)
        tx.change_user(changed)
        return changed, tx.end_sessions(user.id)

    changed, ended = await deps.store.run(change)
    deps.hub.end(ended)
    return await logged_in(deps, request, changed)
