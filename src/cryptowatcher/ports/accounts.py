"""What is kept of accounts, and of what proves that one is them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from cryptowatcher.domain.accounts import Failures, Link, Session, Token, User


class UserTx(Protocol):
    """Accounts."""

    def users(self) -> list[User]:
        """In order of name."""
        ...

    def user(self, id_: str) -> User | None: ...

    def user_named(self, name: str) -> User | None: ...

    def has_users(self) -> bool: ...

    def admins(self) -> set[str]:
        """Ids of the admins that are not disabled. Held until the transaction ends: whoever asks too, waits."""
        ...

    def add_user(self, user: User) -> bool:
        """False when there is one of that name, or of that owner."""
        ...

    def change_user(self, user: User) -> None:
        """Role, password and whether it is disabled. With another password, or disabled, all its links are gone;
        no longer an admin, the invitations it made."""
        ...

    def remove_user(self, id_: str) -> list[str]:
        """With its sessions, tokens, links and linked chats; digests of the sessions and tokens."""
        ...


class SessionTx(Protocol):
    """Browsers and programs that have proved who they are."""

    def add_session(self, session: Session) -> None:
        """Those that are over are forgotten."""
        ...

    def session(self, digest: str) -> tuple[Session, User] | None: ...

    def sessions(self, user: str) -> list[Session]:
        """All of a user, also those that are over; the last used first."""
        ...

    def sessions_seen(self) -> dict[str, int]:
        """User → when one of their sessions was last used."""
        ...

    def touch_session(self, digest: str, now: int) -> None: ...

    def end_session(self, digest: str) -> None: ...

    def end_sessions(self, user: str, *, but: str = "") -> list[str]:
        """All of a user, but for one; their digests."""
        ...

    def add_token(self, token: Token) -> None: ...

    def token(self, digest: str) -> tuple[Token, User] | None: ...

    def tokens(self, user: str) -> list[Token]:
        """Newest first."""
        ...

    def touch_token(self, digest: str, now: int) -> None: ...

    def end_tokens(self, user: str, id_: str | None = None) -> list[str]:
        """All of a user, or the one of that id; their digests."""
        ...

    def live(self, digests: Collection[str], now: int) -> set[str]:
        """Those of these sessions and tokens that are still good, of users that are not disabled."""
        ...


class LinkTx(Protocol):
    """Links that are good once."""

    def add_link(self, link: Link) -> None:
        """In the place of another for setting up, or for the same user. Those that are over are forgotten."""
        ...

    def link(self, digest: str, now: int) -> Link | None:
        """If it is still good."""
        ...

    def links(self, now: int) -> list[Link]:
        """Those that are still good, newest first."""
        ...

    def use_link(self, digest: str, now: int) -> Link | None:
        """As `link`, and it is good no more: of two at the same moment one finds it gone."""
        ...

    def remove_link(self, id_: str) -> bool:
        """Of an invitation. False when there is none."""
        ...


class FailureTx(Protocol):
    """Log-ins that failed."""

    def failures(self, keys: Collection[str]) -> dict[str, Failures]:
        """Of those that have any. Held until the transaction ends."""
        ...

    def note_failures(self, found: Mapping[str, Failures], *, forget_before: int) -> None:
        """Keep these, and forget those that are older than that (epoch ms)."""
        ...

    def forgive(self, key: str) -> None: ...


class AccountTx(UserTx, SessionTx, LinkTx, FailureTx, Protocol):
    """What accounts do inside a transaction."""
