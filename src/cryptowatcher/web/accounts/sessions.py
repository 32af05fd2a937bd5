"""/api/v1/session: logging in and out; and changing the password."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from cryptowatcher.domain.accounts import IDLE, User, check_password, id_of, lives
from cryptowatcher.ports import Tx
from cryptowatcher.web.accounts import cookies
from cryptowatcher.web.accounts.access import Asking, account
from cryptowatcher.web.accounts.proving import Me, logged_in, me, proved
from cryptowatcher.web.answers import Millis
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import Problem, documented, not_found

AnyRequest = Request[Any, Any, Any]
SessionId = Annotated[str, PathParameter(description="a session's id")]
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


class SessionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A browser in which you are logged in. `seen_at_ms`: when it was last used, to 5 minutes. `expires_at_ms`:
    when it is over if it is not used again. `this`: the one that asks."""

    id: str
    created_at_ms: Millis
    seen_at_ms: Millis
    expires_at_ms: Millis
    this: bool


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """The last used first."""

    items: list[SessionAnswer]


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


@get(
    "/sessions",
    needs="viewer",
    in_person=True,
    responses=documented(400, 401, 403),
    summary="Where I am logged in",
    tags=["accounts"],
)
async def sessions(deps: Deps, who: Asking) -> Sessions:
    user, now = account(who), deps.clock.now()
    found = await deps.asked.run(lambda tx: tx.sessions(user.id))
    return Sessions(
        items=[
            SessionAnswer(
                id=id_of(each.digest),
                created_at_ms=each.created_at,
                seen_at_ms=each.seen_at,
                expires_at_ms=min(each.expires_at, each.seen_at + IDLE),
                this=each.digest == who.digest,
            )
            for each in found
            if lives(each, now)
        ]
    )


@delete(
    "/sessions/{session:str}",
    needs="viewer",
    in_person=True,
    responses=documented(400, 401, 403, 404),
    summary="Log out in one browser",
    tags=["accounts"],
)
async def end_session(deps: Deps, who: Asking, session: SessionId) -> None:
    user = account(who)

    def end(tx: Tx) -> list[str]:
        digests = [each.digest for each in tx.sessions(user.id) if id_of(each.digest) == session]
        for digest in digests:
            tx.end_session(digest)
        return digests

    ended = await deps.store.run(end)
    if not ended:
        raise not_found(f"there is no session {session!r}")
    deps.hub.end(ended)


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
    answer = await logged_in(deps, request, changed)
    deps.hub.end(ended)
    return answer
