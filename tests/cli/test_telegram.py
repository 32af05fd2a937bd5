"""Linking chats on the command line."""

from __future__ import annotations

import re

from cryptowatcher.domain.chat import code_digest
from cryptowatcher.ports import Tx
from cryptowatcher.ports.chats import ChatLink
from cryptowatcher.testing.fake_telegram import TOKEN
from tests.cli.terminal import Terminal, change_store, json_of

GROUP = -1_001_234_567_890
ONE = '[[channels]]\nkind = "telegram"\nname = "phone"\ntoken_variable = "TOKEN"\n'


def linked(terminal: Terminal, *more: str) -> list[int]:
    found = json_of(terminal.run("telegram", "list", "--json", *more), list[ChatLink])
    assert isinstance(found, list)
    return [each.chat for each in found]


def link(terminal: Terminal, chat: int, channel: str = "phone", *args: str) -> None:
    made = terminal.run("telegram", "link", *args)
    code = re.fullmatch(r"/start ([A-Z2-9]{12})\n", made.stdout)
    assert code is not None

    def use(tx: Tx) -> None:
        digest, later = code_digest(code[1]), 2**50
        assert tx.link_chat(digest, channel=channel, chat=chat, now=later) is None  # it does not last
        assert tx.link_chat(digest, channel=channel, chat=chat, now=1) == "local"

    change_store(use)


def test_a_code_links_a_chat_which_is_listed_and_unlinked(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", ONE)
    link(terminal, GROUP)
    link(terminal, 7)
    assert linked(terminal) == [GROUP, 7]
    assert str(GROUP) in terminal.run("telegram", "list").stdout
    assert terminal.run("telegram", "unlink", str(GROUP)).exit_code == 0
    assert terminal.run("telegram", "unlink", str(GROUP)).exit_code == 1
    assert linked(terminal) == [7]


def test_the_code_stands_nowhere_in_the_store(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", ONE)
    code = terminal.run("telegram", "link").stdout.split()[1]
    for file in (terminal.folder / "data").iterdir():
        assert code.encode() not in file.read_bytes()


def test_of_several_channels_one_must_be_named(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", ONE + ONE.replace("phone", "desk"))
    refused = terminal.run("telegram", "link")
    assert refused.exit_code == 2
    assert "phone, desk" in refused.stderr
    link(terminal, 7, "desk", "--channel", "desk")
    assert (linked(terminal, "--channel", "desk"), linked(terminal, "--channel", "phone")) == ([7], [])


def test_without_such_a_channel_it_says_how_to_make_one(terminal: Terminal) -> None:
    refused = terminal.run("telegram", "link")
    assert refused.exit_code == 2
    assert 'kind = "telegram"' in refused.stderr
    assert list(terminal.folder.iterdir()) == []


def test_trying_a_channel_that_nobody_is_linked_to_says_so(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", ONE)
    tried = terminal.run("channels", "test", "phone", TOKEN=TOKEN)
    assert tried.exit_code == 1
    assert "telegram link" in tried.stdout
    assert TOKEN.partition(":")[2] not in tried.stdout + tried.stderr
