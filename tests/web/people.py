"""People with accounts, in a world that is not open."""

from __future__ import annotations

from typing import Any

import httpx

from cryptowatcher.domain.accounts import LONGEST_SESSION, Role, Session, Token, User, digest_of
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.web.accounts.passwords import Passwords
from tests.web.world import CHEAP, World

PASSWORD = "tall green ladder"
OURS = {"sec-fetch-site": "same-origin"}
"""What a browser says of a change that our page asks for."""


class Person:
    """An account, a session of it and a token of it."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.cookie = f"session-of-{user.name}"
        self.token = f"cw_{user.name}"

    @property
    def session(self) -> str:
        return digest_of(self.cookie)


async def person(here: World, name: str, role: Role, *, owner: str = "", disabled: bool = False) -> Person:
    """Made without the routes that do so."""
    hashed = await Passwords(CHEAP).hashed(PASSWORD)
    now = here.clock.now()
    user = User(
        id=f"u-{name}",
        name=name,
        role=role,
        owner=owner or f"u-{name}",
        password=hashed,
        disabled=disabled,
        created_at=now,
    )
    found = Person(user)

    def add(tx: Any) -> None:
        assert tx.add_user(user)
        ends = now + LONGEST_SESSION
        tx.add_session(Session(digest=found.session, user=user.id, created_at=now, seen_at=now, expires_at=ends))
        tx.add_token(
            Token(digest=digest_of(found.token), user=user.id, name="mine", role=role, created_at=now, used_at=now)
        )

    await here.store.run(add)
    return found


async def owner_of(here: World) -> Person:
    """The first account."""
    return await person(here, "anna", "admin", owner=LOCAL_OWNER)


def by_cookie(who: Person) -> dict[str, str]:
    return {"cookie": f"cryptowatcher={who.cookie}", **OURS}


def by_token(who: Person) -> dict[str, str]:
    return {"authorization": f"Bearer {who.token}"}


def guarded(here: World, **changes: Any) -> httpx.AsyncClient:
    """A page that is open to nobody."""
    return here.client(open=False, **changes)
