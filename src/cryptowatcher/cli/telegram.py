"""`cryptowatcher telegram`: which chats get alerts and are heard."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from cryptowatcher.adapters.channels.telegram import TelegramConfig
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import as_json, moment, note, now, table
from cryptowatcher.cli.storage import change, read
from cryptowatcher.config import Config
from cryptowatcher.domain.chat import code_digest
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports.chats import ChatLink

LASTS = 10 * MS["m"]
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LENGTH = 12
"""60 bits: nobody guesses one in ten minutes."""

app = new_app()

Channel = Annotated[
    str | None, typer.Option("--channel", metavar="NAME", help="Which one, where there are several of the kind.")
]


@app.callback()
def telegram() -> None:
    """Link a Telegram chat to a channel of that kind: it gets the alerts, and what is written there counts."""


@app.command()
def link(channel: Channel = None, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Make a code that links one chat, once, within 10 minutes. Only its hash is kept."""
    config = settings(config_file, data_dir)
    name = _named(config, channel)
    code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    at = now()
    change(
        config,
        lambda tx, head: tx.keep_code(
            code_digest(code), channel=name, owner=LOCAL_OWNER, expires_at=at + LASTS, now=at
        ),
        make=True,
    )
    print(f"/start {code}")
    note("write this to your bot within 10 minutes, while the watcher runs; whoever does first is linked")


@app.command("list")
def list_chats(
    channel: Channel = None, json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """The chats that are linked; those of the configuration are not among them. With --json one document."""
    config = settings(config_file, data_dir)
    name = _named(config, channel)
    found: list[ChatLink] = read(config, lambda tx: tx.linked_chats(name))
    if json:
        as_json(found)
    elif found:
        table(("Chat", "Linked"), [(str(each.chat), moment(each.linked_at)) for each in found])
    else:
        note("no chat is linked: `cryptowatcher telegram link`")


@app.command(context_settings={"ignore_unknown_options": True})
def unlink(
    chat: Annotated[int, typer.Argument(metavar="CHAT", help="Its number, as `telegram list` shows it.")],
    channel: Channel = None,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Unlink a chat: it gets nothing more, and is not heard. Exit code 1 when it was not linked."""
    config = settings(config_file, data_dir)
    name = _named(config, channel)
    if not change(config, lambda tx, head: tx.unlink_chat(name, chat)):
        note(f"chat {chat} is not linked")
        raise typer.Exit(1)


def _named(config: Config, name: str | None) -> str:
    """The channel that is meant: the only one of its kind, if none is named."""
    names = [each.name for each in config.channels if isinstance(each, TelegramConfig)]
    if name in names or (name is None and len(names) == 1):
        return name or names[0]
    if not names:
        hint = 'write a [[channels]] table with kind = "telegram"'
        raise ConfigError("there is no channel of the kind telegram", where="channels", hint=hint)
    raise ConfigError("name one of them", where="--channel", hint=f"there are: {', '.join(names)}")
