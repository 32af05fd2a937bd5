"""`cryptowatcher users`: accounts of the page and the API, and tokens for programs. Passwords are set in the
page, by one-time links."""

from __future__ import annotations

import secrets
from typing import Annotated

import msgspec
import typer

from cryptowatcher import app as program
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import as_json, moment, note, now, table
from cryptowatcher.cli.storage import change, read
from cryptowatcher.config import Config
from cryptowatcher.domain.accounts import (
    LAST_ADMIN,
    LONGEST_DAYS,
    MOST_TOKENS,
    TOKEN_PREFIX,
    Link,
    LinkKind,
    Role,
    User,
    link_path,
    link_to,
    may,
    token_to,
)
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx

app = new_app()

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of an account.")]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it is listed. `first`: it has the rules of the configuration and of this command line."""

    name: str
    role: Role
    disabled: bool
    first: bool
    created_at_ms: int
    seen_at_ms: int | None


@app.callback()
def users() -> None:
    """Accounts of the page and the API. Passwords are set in the page alone, by one-time links."""


@app.command("list")
def list_users(json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """All accounts. With --json one document."""
    config = settings(config_file, data_dir)
    found, seen = read(config, lambda tx: (tx.users(), tx.sessions_seen()))
    listed = [_listed(user, seen.get(user.id)) for user in found]
    if json:
        as_json(listed)
    elif listed:
        table(("Name", "Role", "", "Made", "Seen"), [_row(each) for each in listed])
    else:
        note("there is no account: `cryptowatcher users link`")


@app.command()
def link(config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """A one-time link that makes the first account. The one before is good no more."""
    config = settings(config_file, data_dir)
    at = now()
    path = change(config, lambda tx, head: program.first_link(tx, at), make=True)
    if path is None:
        hint = "`cryptowatcher users reset-password NAME` lets its person in again, `users invite` somebody new"
        raise ConfigError("there is an account already", where="users link", hint=hint)
    _show(config, path, "works once, within 24 hours")


@app.command()
def invite(
    role: Annotated[Role, typer.Option("--role", help="What whoever takes it may.")] = "user",
    days: Annotated[int, typer.Option("--days", min=1, max=LONGEST_DAYS, help="How long it is good.")] = 7,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """A one-time link by which somebody makes an account."""
    config = settings(config_file, data_dir)

    def add(tx: Tx, head: int) -> str:
        if not tx.has_users():
            hint = "`cryptowatcher users link` makes the first one, which has the rules there are"
            raise ConfigError("nobody has an account yet", where="users invite", hint=hint)
        return _add(tx, "invite", role=role, lasts=days * MS["d"])

    _show(config, change(config, add), f"works once, within {days} days; whoever opens it first has the account")


@app.command("reset-password")
def reset_password(name: Name, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """A one-time link by which somebody sets a new password; all their sessions and tokens end then."""
    config = settings(config_file, data_dir)

    def add(tx: Tx, head: int) -> str:
        user = _able(tx, name)
        return _add(tx, "reset", role=user.role, user=user.id)

    _show(config, change(config, add), "works once, within 24 hours")


@app.command()
def token(
    name: Name,
    role: Annotated[Role, typer.Option("--role", help="What it may, and no more than its account.")] = "viewer",
    days: Annotated[int, typer.Option("--days", min=1, max=LONGEST_DAYS, help="How long it is good.")] = 90,
    label: Annotated[str, typer.Option("--label", help="How it is listed.")] = "command line",
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """A token by which a program asks the API for an account. It is shown this once, alone on the output."""
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)

    def add(tx: Tx, head: int) -> str:
        user = _able(tx, name)
        if not may(user.role, role):
            raise ConfigError(f"a token may not do more than {user.name}, who is {user.role}", where="--role")
        if len(tx.tokens(user.id)) >= MOST_TOKENS:
            hint = f"there are {MOST_TOKENS}; log in and end one: DELETE /api/v1/tokens/ID"
            raise ConfigError("this account has too many tokens", where=user.name, hint=hint)
        tx.add_token(token_to(secret, now(), user=user, name=label, role=role, days=days))
        return user.name

    asks_for = change(settings(config_file, data_dir), add)
    print(secret)
    note(f"asks for {asks_for} as {role}, for {days} days; send it as `Authorization: Bearer …`")


@app.command()
def disable(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Let it log in again.")] = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Nobody logs in by it any more, and its sessions and tokens end. Its rules go on."""

    def save(tx: Tx, head: int) -> str:
        user = _named(tx, name)
        if not undo and tx.admins() == {user.id}:
            raise ConfigError(LAST_ADMIN, where=user.name)
        tx.change_user(msgspec.structs.replace(user, disabled=not undo))
        if not undo:
            tx.end_sessions(user.id)
            tx.end_tokens(user.id)
        return user.name

    changed = change(settings(config_file, data_dir), save)
    note(f"{changed} {'may log in again' if undo else 'is disabled'}")


def _named(tx: Tx, name: str) -> User:
    user = tx.user_named(name.strip().lower())
    if user is None:
        known = ", ".join(each.name for each in tx.users())
        hint = f"there are: {known}" if known else "there is none: `cryptowatcher users link`"
        raise ConfigError(f"there is no account {name!r}", where="NAME", hint=hint)
    return user


def _able(tx: Tx, name: str) -> User:
    user = _named(tx, name)
    if user.disabled:
        hint = f"`cryptowatcher users disable --undo {user.name}`"
        raise ConfigError("this account is disabled", where=user.name, hint=hint)
    return user


def _add(tx: Tx, kind: LinkKind, *, role: Role, user: str = "", lasts: int = MS["d"]) -> str:
    """A link's path."""
    secret = secrets.token_urlsafe(32)
    made: Link = link_to(kind, secret, now(), role=role, user=user, lasts=lasts)
    tx.add_link(made)
    return link_path(secret)


def _show(config: Config, path: str, how: str) -> None:
    """Where the system chooses the port, only the watcher knows it."""
    known = config.owner.link or config.web.port
    print((program.address_of_page(config, config.web.port) if known else "") + path)
    if not known:
        note("put that after the page's address, which the watcher's log says: its port is new with each start")
    note(how)


def _listed(user: User, seen_at: int | None) -> Listed:
    return Listed(
        name=user.name,
        role=user.role,
        disabled=user.disabled,
        first=user.owner == LOCAL_OWNER,
        created_at_ms=user.created_at,
        seen_at_ms=seen_at,
    )


def _row(user: Listed) -> tuple[str, ...]:
    seen = "–" if user.seen_at_ms is None else moment(user.seen_at_ms)
    return user.name, user.role, "disabled" if user.disabled else "", moment(user.created_at_ms), seen
