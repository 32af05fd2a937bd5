"""Whether somebody knows the password of an account, without being asked too often; and what then begins."""

from __future__ import annotations

import ipaddress
import secrets

import msgspec
import structlog
from litestar import Response

from cryptowatcher.domain.accounts import (
    FORGOTTEN_AFTER,
    LONGEST_SESSION,
    OF_ACCOUNT,
    OF_ADDRESS,
    Failures,
    Limit,
    Role,
    Session,
    User,
    digest_of,
    one_more,
    wait,
)
from cryptowatcher.domain.addresses import is_loopback
from cryptowatcher.ports import Tx
from cryptowatcher.web.accounts import cookies
from cryptowatcher.web.accounts.access import Kind, Who, address_of
from cryptowatcher.web.answers import Millis
from cryptowatcher.web.deps import WebDeps
from cryptowatcher.web.problems import Problem

log = structlog.get_logger()


_KEY_OF_NAMES = secrets.token_hex(16)
"""Mixed into the buckets of unknown names: who finds two that share one could tell which accounts there are."""


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """A log-in that was counted, as if it failed, before it is made.

    user:   of that name
    before: failures of what it counts for
    after:  the same with this one
    is_last_free: whether the next who fails has to wait, other than those before
    """

    user: User | None
    before: dict[str, Failures]
    after: dict[str, Failures]
    is_last_free: bool


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks.

    kind:   `nobody`; `session`: has logged in; `token`; `open`: this machine, which the operator lets in without
            an account
    set_up: whether there is any account
    expires_at_ms: when the session or token ends at the latest; null: never
    """

    kind: Kind
    set_up: bool
    name: str
    role: Role | None
    expires_at_ms: Millis | None


def me(who: Who, *, set_up: bool) -> Me:
    return Me(
        kind=who.kind,
        set_up=set_up,
        name=who.user.name if who.user else "",
        role=None if who.kind == "nobody" else who.role,
        expires_at_ms=who.expires_at or None,
    )


async def proved(deps: WebDeps, connection: cookies.Connection, name: str, password: str) -> User:
    """The user of that name and password. Problem 401 whichever of them is wrong, after the same work; 429 when it
    was tried too often; 503 when its turn did not come. The try is counted before it is made, so that many at once
    are many."""
    now = deps.clock.now()
    address = address_of(connection)
    tried = await deps.store.run(lambda tx: _count(tx, name.strip().lower(), address, now))
    user = tried.user
    try:
        known = await deps.passwords.match(password, user.password if user else None)
        again = user is not None and known and deps.passwords.is_outdated(user.password)
        hashed = await deps.passwords.hashed(password) if again else None
    except Problem:  # its turn did not come: nothing was tried
        await deps.store.run(lambda tx: _uncount(tx, tried))
        raise
    if user is None or not known or user.disabled:
        if tried.is_last_free:
            log.warning("log-ins fail: each next one has to wait", address=address)
        raise Problem(401, "name or password is wrong")
    return await deps.store.run(lambda tx: _forgiven(tx, tried, user, hashed))


async def logged_in(deps: WebDeps, connection: cookies.Connection, user: User) -> Response[Me]:
    """A new session in this browser, in the place of the one it may have had."""
    now, secret = deps.clock.now(), secrets.token_urlsafe(32)
    session = Session(
        digest=digest_of(secret), user=user.id, created_at=now, seen_at=now, expires_at=now + LONGEST_SESSION
    )
    before = digest_of(cookies.secret_in(connection))

    def begin(tx: Tx) -> None:
        if tx.user(user.id) != user:
            raise Problem(401, "the account was changed meanwhile: log in again")
        tx.end_session(before)
        tx.add_session(session)

    await deps.store.run(begin)
    deps.hub.end([before])
    who = Who(kind="session", role=user.role, owner=user.owner, user=user, expires_at=session.expires_at)
    return Response(me(who, set_up=True), cookies=[cookies.keep(connection, secret)])


def _limits(user: User | None, name: str, address: str) -> dict[str, Limit]:
    """What a try counts for. An account shares its count with nobody: who knows the password of another one could
    else have it forgiven. This machine's address stands for whoever comes through a proxy on it, so it does not
    count; of IPv6 a network does, because one may have all of its addresses."""
    limits = {_of(user) if user else f"name {_bucket(_KEY_OF_NAMES + name)}": OF_ACCOUNT}
    if address and not is_loopback(address):
        limits[f"address {_bucket(_network(address))}"] = OF_ADDRESS
    return limits


def _of(user: User) -> str:
    return f"account {user.id}"


def _bucket(text: str) -> str:
    """One of 65,536, so that trying ever new names and addresses does not fill the disk."""
    return digest_of(text)[:4]


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False).network_address)
    return str(found)


def _count(tx: Tx, name: str, address: str, now: int) -> Try:
    """Problem (429) when it has to wait."""
    user = tx.user_named(name)
    limits = _limits(user, name, address)
    known = tx.failures(limits)
    before = {key: known.get(key, Failures()) for key in limits}
    waits = {key: wait(before[key], limit, now) for key, limit in limits.items()}
    if longest := max(waits.values()):
        raise Problem(429, "too many log-ins failed; wait before the next", retry_after=-(-longest // 1000))
    after = {key: one_more(failures, now) for key, failures in before.items()}
    tx.note_failures(after, forget_before=now - FORGOTTEN_AFTER)
    is_last_free = any(after[key].count == limit.free for key, limit in limits.items())
    return Try(user=user, before=before, after=after, is_last_free=is_last_free)


def _uncount(tx: Tx, tried: Try) -> None:
    """It did not fail. What others have tried meanwhile stays counted."""
    rest = {
        key: tried.before[key] if each == tried.after[key] else Failures(max(0, each.count - 1), each.last_at)
        for key, each in tx.failures(tried.after).items()
    }
    tx.note_failures(rest, forget_before=0)


def _forgiven(tx: Tx, tried: Try, user: User, hashed: str | None) -> User:
    """The user who has logged in. An address is not forgiven what it tried with other names."""
    tx.forgive(_of(user))
    _uncount(tx, tried)
    if tx.user(user.id) != user:
        raise Problem(401, "the account was changed meanwhile: log in again")
    if hashed is not None:
        user = msgspec.structs.replace(user, password=hashed)
        tx.change_user(user)
    return user
