"""Who may do what: accounts, what proves that one is them, and how often a wrong proof may be tried.

Secrets (of sessions, tokens and links) are long and random, and only their hash is kept. Times are epoch ms.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Literal, get_args

import msgspec

from cryptowatcher.domain.intervals import MS
from cryptowatcher.errors import ConfigError

Role = Literal["viewer", "user", "admin"]
"""viewer: looks. user: also has rules and lists, and changes them. admin: also invites people, changes and removes
accounts, and uses the channels of the configuration. Each may do what those before it may."""

LinkKind = Literal["setup", "invite", "reset"]

ROLES: tuple[Role, ...] = get_args(Role)

IDLE = 7 * MS["d"]
"""A session that was not used for so long is over."""
LONGEST_SESSION = 30 * MS["d"]
SEEN_EVERY = 5 * MS["m"]
"""How exactly the last use is kept."""
LINK_LASTS = MS["d"]
LAST_ADMIN = "this is the last admin, and nobody could let people in any more: make somebody else admin first"
LONGEST_DAYS = 366
MOST_TOKENS = 50
"""Of a user."""
NO_ACCOUNT = "nobody has an account yet: run `cryptowatcher users link`"

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256
TOKEN_PREFIX = "cw_"  # noqa: S105  what all of them begin with is no secret
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_ID_LENGTH = 16
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
)
_COMMON = (
    "password",
    "passwort",
    "iloveyou",
    "letmein",
    "welcome",
    "cryptowatcher",
    "bitcoin",
    "ethereum",
    "admin",
)


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account.

    name:     by which its person logs in, as `check_name` gives it
    owner:    whose rules, lists and alerts are its own
    password: hashed, with how
    """

    id: str
    name: str
    role: Role
    owner: str
    password: str
    disabled: bool = False
    created_at: int


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser in which somebody has logged in. `expires_at`: at the latest."""

    digest: str
    user: str
    created_at: int
    seen_at: int
    expires_at: int


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """By which a program asks for a user. `role`: what it may at most. 0: it does not expire; it was not used."""

    digest: str
    user: str
    name: str
    role: Role
    created_at: int
    expires_at: int = 0
    used_at: int = 0


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link that is good once. setup: makes the first account. invite: makes one of that role. reset: sets the
    password of an account.

    user: whose password (id), or who invites; "" for setup, and where the command line invites
    """

    digest: str
    kind: LinkKind
    role: Role
    user: str = ""
    created_at: int
    expires_at: int


class Failures(msgspec.Struct, frozen=True):
    """Log-ins that failed, and when the last of them began."""

    count: int = 0
    last_at: int = 0


class Limit(msgspec.Struct, frozen=True):
    """free: failures that cost nothing. After each further one comes a wait that doubles, from `first` to
    `longest` ms."""

    free: int
    first: int
    longest: int


OF_ACCOUNT = Limit(free=5, first=MS["s"], longest=MS["m"])
"""Short in the end: whoever fails on purpose must not keep the account's person out."""
OF_ADDRESS = Limit(free=20, first=MS["s"], longest=15 * MS["m"])
FORGOTTEN_AFTER = MS["d"]
"""Failures are, when there was none for so long."""


def may(role: Role, needs: Role) -> bool:
    """Whether that role includes the other."""
    return ROLES.index(role) >= ROLES.index(needs)


def lesser(one: Role, other: Role) -> Role:
    return one if may(other, one) else other


def digest_of(secret: str) -> str:
    """How a secret of ours is kept. It is long and random: nobody finds it by trying, however fast hashing is."""
    return hashlib.sha256(secret.encode()).hexdigest()


def id_of(digest: str) -> str:
    """How a secret is named in lists: nothing of it can be told from that."""
    return digest[:_ID_LENGTH]


# --- names and passwords ---------------------------------------------------------------------------


def check_name(name: str) -> str:
    """The name as it is kept, or ConfigError."""
    plain = name.strip().lower()
    if not _NAME.fullmatch(plain):
        hint = "1 to 64 of a-z, 0-9 and . _ @ + -, and a letter or digit first"
        raise ConfigError("not a name for an account", where="name", hint=hint)
    return plain


def normal(password: str) -> str:
    """The same letters typed on different machines are the same password."""
    return unicodedata.normalize("NFC", password)


def check_password(password: str, name: str, *, where: str = "password") -> str:
    """The password to hash, or ConfigError. Long and not easily guessed is all that is asked of it."""
    plain = normal(password)
    if len(plain) < SHORTEST_PASSWORD:
        hint = "four words that have nothing to do with each other are easy to keep in mind"
        raise ConfigError(f"use at least {SHORTEST_PASSWORD} characters", where=where, hint=hint)
    if len(plain) > LONGEST_PASSWORD:
        raise ConfigError(f"use at most {LONGEST_PASSWORD} characters", where=where)
    if _is_guessed(plain.casefold(), name):
        hint = "a row of keys, the same again and again, your name, or a word that everybody tries"
        raise ConfigError("this is among the first that somebody would try", where=where, hint=hint)
    return plain


def _is_guessed(password: str, name: str) -> bool:
    """What is left without what everybody adds (digits, signs) decides."""
    if any(password == (password[:step] * len(password))[: len(password)] for step in (1, 2, 3, 4)):
        return True
    rest = password
    for known in (*_COMMON, name):
        rest = rest.replace(known, "")
    for row in _ROWS:
        rest = _without_runs(rest, row)
    return len(set(rest)) < 4


def _without_runs(text: str, row: str) -> str:
    """Without stretches of four and more keys that lie side by side, in either direction."""
    for keys in (row, row[::-1]):
        for length in range(len(keys), 3, -1):
            for start in range(len(keys) - length + 1):
                text = text.replace(keys[start : start + length], "")
    return text


# --- how long a proof is good ----------------------------------------------------------------------


def lives(session: Session, now: int) -> bool:
    return now < min(session.expires_at, session.seen_at + IDLE)


def is_good(token: Token, now: int) -> bool:
    return not token.expires_at or now < token.expires_at


def is_stale(seen_at: int, now: int) -> bool:
    """Whether the last use is to be written down anew."""
    return now - seen_at >= SEEN_EVERY


def link_to(kind: LinkKind, secret: str, now: int, *, role: Role, user: str = "", lasts: int = LINK_LASTS) -> Link:
    """A link by that secret, as it is kept."""
    digest = digest_of(secret)
    return Link(digest=digest, kind=kind, role=role, user=user, created_at=now, expires_at=now + lasts)


def token_to(secret: str, now: int, *, user: User, name: str, role: Role, days: int | None) -> Token:
    """A token by that secret, as it is kept. days: None: it does not end."""
    expires_at = now + days * MS["d"] if days else 0
    digest = digest_of(secret)
    return Token(digest=digest, user=user.id, name=name, role=role, created_at=now, expires_at=expires_at)


def link_path(secret: str) -> str:
    """Where the page takes it. What stands behind # is not sent, so it gets into no log of a server or proxy."""
    return f"/setup#{secret}"


# --- log-ins that fail -----------------------------------------------------------------------------


def wait(failures: Failures, limit: Limit, now: int) -> int:
    """ms until the next log-in may be tried; 0: now."""
    beyond = failures.count - limit.free
    if beyond < 0 or now - failures.last_at >= FORGOTTEN_AFTER:
        return 0
    pause = min(limit.first << min(beyond, 32), limit.longest)
    # A clock that was set back must not shut anybody out for longer than the pause.
    return min(pause, max(0, failures.last_at + pause - now))


def one_more(failures: Failures, now: int) -> Failures:
    forgotten = now - failures.last_at >= FORGOTTEN_AFTER
    return Failures(1 if forgotten else failures.count + 1, now)
