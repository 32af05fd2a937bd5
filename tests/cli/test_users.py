"""`cryptowatcher users`: links for the page, and nothing that is a password."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.accounts import MOST_TOKENS, Session, User, digest_of, token_to
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from tests.cli.terminal import Terminal

ANNA = User(id="u1", name="anna", role="admin", owner=LOCAL_OWNER, password="hash", created_at=1_700_000_000_000)
BEN = User(id="u2", name="ben", role="user", owner="u2", password="hash", created_at=1_700_000_000_000)
FAR = 4_000_000_000_000


def in_store(folder: Path, job: Any) -> Any:
    async def main() -> Any:
        async with open_sqlite_store(folder / "data" / "store.db") as store:
            return await store.run(job)

    (folder / "data").mkdir(exist_ok=True)
    return asyncio.run(main())


def both(folder: Path) -> None:
    def add(tx: Any) -> None:
        for user in (BEN, ANNA):
            tx.add_user(user)
            session = Session(digest=user.name, user=user.id, created_at=1, seen_at=5, expires_at=FAR)
            tx.add_session(session)

    in_store(folder, add)


def kept(folder: Path, link: str) -> Any:
    """What the store knows of a link that was shown."""
    return in_store(folder, lambda tx: tx.link(digest_of(link.strip().split("#")[1]), 0))


def test_a_first_link_can_be_made_before_the_watcher_ever_ran(terminal: Terminal, tmp_path: Path) -> None:
    first = terminal.run("users", "link")
    assert (first.exit_code, first.stdout.split("#")[0]) == (0, "http://127.0.0.1:8000/setup")
    terminal.write("cryptowatcher.toml", '[owner]\nlink = "https://watch.example.org/"\n')
    second = terminal.run("users", "link")
    assert second.stdout.startswith("https://watch.example.org/setup#")
    assert kept(tmp_path, first.stdout) is None, "there is one at a time"
    assert kept(tmp_path, second.stdout).kind == "setup"


def test_with_an_account_there_is_no_first_link(terminal: Terminal, tmp_path: Path) -> None:
    both(tmp_path)
    refused = terminal.run("users", "link")
    assert refused.exit_code == 2
    assert "reset-password" in refused.stderr


def test_accounts_are_listed_without_what_is_secret(terminal: Terminal, tmp_path: Path) -> None:
    both(tmp_path)
    listed = terminal.run("users", "list", "--json")
    found = json.loads(listed.stdout)
    assert [(each["name"], each["first"]) for each in found] == [("anna", True), ("ben", False)]
    assert "hash" not in listed.stdout
    assert "ben" in terminal.run("users", "list").stdout


def test_an_invitation_has_its_role_and_its_days(terminal: Terminal, tmp_path: Path) -> None:
    both(tmp_path)
    link = kept(tmp_path, terminal.run("users", "invite", "--role", "viewer", "--days", "2").stdout)
    assert (link.kind, link.role, link.expires_at - link.created_at) == ("invite", "viewer", 2 * 86_400_000)


def test_while_there_is_no_account_nobody_is_invited_and_no_token_made(terminal: Terminal, tmp_path: Path) -> None:
    in_store(tmp_path, lambda tx: None)
    for call in (("invite",), ("token", "anna")):
        refused = terminal.run("users", *call)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "cryptowatcher users link" in refused.stderr
    assert in_store(tmp_path, lambda tx: tx.links(0)) == []


def test_a_token_is_shown_once_and_kept_as_a_hash(terminal: Terminal, tmp_path: Path) -> None:
    both(tmp_path)
    made = terminal.run("users", "token", "Ben", "--role", "user", "--days", "2")
    secret = made.stdout.strip()
    assert (made.exit_code, secret[:3], secret in made.stderr) == (0, "cw_", False)
    token, user = in_store(tmp_path, lambda tx: tx.token(digest_of(secret)))
    assert (user, token.role, token.expires_at - token.created_at) == (BEN, "user", 2 * 86_400_000)
    store = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("store.db*"))
    assert secret.encode() not in store


@pytest.mark.parametrize("call", [("ben", "--role", "admin"), ("ben", "--days", "0"), ("eve",)])
def test_a_token_for_more_than_the_account_may_is_not_made(
    terminal: Terminal, tmp_path: Path, call: tuple[str, ...]
) -> None:
    both(tmp_path)
    refused = terminal.run("users", "token", *call)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert in_store(tmp_path, lambda tx: tx.tokens("u2")) == []


def test_an_account_that_is_disabled_or_has_many_tokens_gets_no_more(terminal: Terminal, tmp_path: Path) -> None:
    both(tmp_path)

    def fill(tx: Any) -> None:
        for number in range(MOST_TOKENS):
            tx.add_token(token_to(str(number), 1, user=ANNA, name="x", role="viewer", days=None))
        tx.change_user(structs.replace(BEN, disabled=True))

    in_store(tmp_path, fill)
    for name in ("anna", "ben"):
        assert terminal.run("users", "token", name).exit_code == 2


def test_no_port_is_made_up_where_the_system_chooses_it(terminal: Terminal, tmp_path: Path) -> None:
    terminal.write("cryptowatcher.toml", "[web]\nport = 0\n")
    made = terminal.run("users", "link")
    assert made.stdout.startswith("/setup#")
    assert "log" in made.stderr


def test_a_new_password_is_set_by_a_link_and_never_here(terminal: Terminal, tmp_path: Path) -> None:
    both(tmp_path)
    link = kept(tmp_path, terminal.run("users", "reset-password", "Ben").stdout)
    assert (link.kind, link.user) == ("reset", "u2")
    unknown = terminal.run("users", "reset-password", "eve")
    assert unknown.exit_code == 2
    assert "anna, ben" in unknown.stderr


def test_who_is_disabled_has_no_session_left_and_the_last_admin_is_not(terminal: Terminal, tmp_path: Path) -> None:
    both(tmp_path)
    assert terminal.run("users", "disable", "ben").exit_code == 0
    assert in_store(tmp_path, lambda tx: (tx.user("u2").disabled, tx.session("ben"))) == (True, None)
    assert terminal.run("users", "reset-password", "ben").exit_code == 2
    assert terminal.run("users", "disable", "--undo", "ben").exit_code == 0
    assert in_store(tmp_path, lambda tx: tx.user("u2")) == BEN
    assert terminal.run("users", "disable", "anna").exit_code == 2
    assert in_store(tmp_path, lambda tx: tx.session("anna")) is not None
