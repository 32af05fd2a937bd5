"""`cryptowatcher channels`: where alerts go, and whether they arrive there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cryptowatcher import app as program
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.pictures import draw, painted
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import as_json, console, note, table
from cryptowatcher.cli.storage import read
from cryptowatcher.config import Config
from cryptowatcher.config.decode import tag_of
from cryptowatcher.domain import pictures
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.messages import Message, reworded, wording_of
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.samples import as_if_sent, sample_alert, sample_picture
from cryptowatcher.errors import ConfigError
from cryptowatcher.pipeline.pictures import stretch
from cryptowatcher.trying import Tried, try_channel

app = new_app()


@app.callback()
def channels() -> None:
    """Where alerts go: list the channels, look at their messages, and send a test message through one."""


@app.command("list")
def list_channels(json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """The channels of the configuration, and what is set of each.

    With --json one document: a list of channels.
    """
    config = settings(config_file, data_dir)
    rows = [_facts(channel) for channel in config.channels]
    if json:
        as_json(rows)
    elif rows:
        table(("Name", "Kind", "Rate", "Stands in", "Quiet"), [tuple(row.values()) for row in rows])
    else:
        note("no channels: write a [[channels]] table into the configuration")


@app.command("test")
def try_one(
    name: Annotated[str, typer.Argument(metavar="NAME", help="`cryptowatcher channels list` names them.")],
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Send a test message now, and say exactly what the other side answered. Exit code 1 when it did not take it.

    It goes beside the outbox: nothing is queued, held or tried again. With --json one document.
    """
    config = settings(config_file, data_dir)
    tried = asyncio.run(try_channel(_named(config, name), program.deps(config), owner=LOCAL_OWNER, draw=draw))
    if json:
        as_json(tried)
    else:
        _show(tried)
    if tried.outcome != "sent":
        raise typer.Exit(1)


@app.command("preview")
def preview(
    name: Annotated[str, typer.Argument(metavar="NAME", help="`cryptowatcher channels list` names them.")],
    alert: Annotated[
        str | None, typer.Option("--alert", metavar="ID", help="A stored one, else a sample.")
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="This template instead of the one that is set.")
    ] = None,
    body: Annotated[
        str | None, typer.Option("--body", help="This template instead of the one that is set.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Write its picture there, a PNG.")
    ] = None,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show the message of an alert as this channel is given it. Nothing is sent.

    Exit code 1 when there is no such alert. With --json one document: title, body and link.
    """
    config = settings(config_file, data_dir)
    now = SystemClock().now()
    wording = reworded(wording_of(_named(config, name).policy(), config.owner.kindness()), title=title, body=body)
    shown = sample_alert(owner=LOCAL_OWNER, now=now) if alert is None else _stored(config, alert)
    if shown is None:
        note(f"there is no alert {alert!r}; see `cryptowatcher alerts`")
        raise typer.Exit(1)
    message = as_if_sent(shown, name, now=now, wording=wording)
    if picture is not None:
        _write_picture(config, message, picture, stored=alert is not None)
    if json:
        as_json({"title": message.text.title, "body": message.text.body, "link": message.link})
    else:
        console().print(Text(f"{message.text.title}\n\n{message.text.body}"), soft_wrap=True)


def _write_picture(config: Config, message: Message, file: Path, *, stored: bool) -> None:
    """Of the candles that are there; a sample has made-up ones."""
    if stored:
        candles, interval = read(config, lambda tx: stretch(tx, message.alert))
        shown = pictures.picture(message.alert, candles, interval, zone=message.zone)
    else:
        shown = sample_picture(message.alert, zone=message.zone)
    if shown is None:
        note("there are not enough candles for a picture")
        return
    try:
        file.write_bytes(painted(shown))
    except OSError as error:
        hint = "name a file in a folder that is there"
        raise ConfigError(f"cannot be written: {error.strerror}", where="--picture", hint=hint) from error


def _stored(config: Config, alert: str) -> Alert | None:
    # `!` sorts before all that an id consists of: the newest id before `id!` is this one or it is not there
    found = read(config, lambda tx: tx.alerts(LOCAL_OWNER, limit=1, before=f"{alert}!"))
    return found[0] if found and found[0].id == alert else None


def _facts(channel: Any) -> dict[str, str]:
    return {
        "name": channel.name,
        "kind": str(tag_of(channel)),
        "rate": channel.rate,
        "fallback": channel.fallback,
        "quiet": channel.quiet,
    }


def _named(config: Config, name: str) -> Any:
    for channel in config.channels:
        if channel.name == name:
            return channel
    known = ", ".join(channel.name for channel in config.channels)
    raise ConfigError(f"there is no channel {name!r}", where="NAME", hint=f"there are: {known}" if known else "")


def _show(tried: Tried) -> None:
    style = {"sent": "green", "unavailable": "yellow", "refused": "red"}[tried.outcome]
    words = f"{tried.reason}: {tried.answer}" if tried.reason else tried.answer
    line = Text.assemble((tried.outcome, style), f" after {tried.seconds:.2f} s: {words}")
    console().print(line, soft_wrap=True)
