"""/api/v1/tokens: by which programs ask for a user."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from cryptowatcher.domain.accounts import (
    LONGEST_DAYS,
    MOST_TOKENS,
    TOKEN_PREFIX,
    Role,
    Token,
    id_of,
    may,
    token_to,
)
from cryptowatcher.ports import Tx
from cryptowatcher.web.accounts.access import Asking, account
from cryptowatcher.web.answers import Millis
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import Problem, documented, not_found

TokenId = Annotated[str, PathParameter(description="a token's id")]


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it is called, what it may (no more than its user), and for how many days; null: until it is ended."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    role: Role = "viewer"
    days: Annotated[int, Meta(ge=1, le=LONGEST_DAYS)] | None = 90


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without itself. `expires_at_ms` null: it does not; `used_at_ms` null: it was not; to 5 minutes."""

    id: str
    name: str
    role: Role
    created_at_ms: Millis
    expires_at_ms: Millis | None
    used_at_ms: Millis | None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: list[TokenAnswer]


class MadeToken(TokenAnswer, frozen=True, kw_only=True):
    """`token` is shown this once. Send it as `Authorization: Bearer …`."""

    token: str


@get(
    "/tokens",
    needs="viewer",
    in_person=True,
    responses=documented(400, 401, 403),
    summary="My tokens",
    tags=["accounts"],
)
async def tokens(deps: Deps, who: Asking) -> Tokens:
    user = account(who)
    found = await deps.asked.run(lambda tx: tx.tokens(user.id))
    return Tokens(items=[TokenAnswer(**_fields(token)) for token in found])


@post(
    "/tokens",
    needs="viewer",
    in_person=True,
    responses=documented(400, 401, 403, 409),
    summary="Make a token",
    tags=["accounts"],
)
async def make_token(deps: Deps, who: Asking, data: JSONBody[NewToken]) -> MadeToken:
    user, now = account(who), deps.clock.now()
    if not may(user.role, data.role):
        raise Problem(403, f"a token may not do more than you, who are {user.role}")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = token_to(secret, now, user=user, name=data.name, role=data.role, days=data.days)

    def keep(tx: Tx) -> None:
        if len(tx.tokens(user.id)) >= MOST_TOKENS:
            raise Problem(409, f"there are {MOST_TOKENS} tokens already: end one first")
        tx.add_token(token)

    await deps.store.run(keep)
    return MadeToken(**_fields(token), token=secret)


@delete(
    "/tokens/{token:str}",
    needs="viewer",
    in_person=True,
    responses=documented(400, 401, 403, 404),
    summary="End a token",
    tags=["accounts"],
)
async def end_token(deps: Deps, who: Asking, token: TokenId) -> None:
    user = account(who)
    ended = await deps.store.run(lambda tx: tx.end_tokens(user.id, token))
    if not ended:
        raise not_found(f"there is no token {token!r}")
    deps.hub.end(ended)


def _fields(token: Token) -> dict[str, Any]:
    return {
        "id": id_of(token.digest),
        "name": token.name,
        "role": token.role,
        "created_at_ms": token.created_at,
        "expires_at_ms": token.expires_at or None,
        "used_at_ms": token.used_at or None,
    }
