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
from cryptowatcher.adding import check_stored, try_stored
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import as_json, console, note, table
from cryptowatcher.cli.own_channels import reach, secrets, values, wished
from cryptowatcher.cli.storage import change, read
from cryptowatcher.config import Config
from cryptowatcher.config.kinds import Kinds
from cryptowatcher.domain import pictures
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.messages import Message, reworded, wording_of
from cryptowatcher.domain.reaching import (
    Preferences,
    StoredChannel,
    changed_channel,
    check_fallback,
    check_preferences,
    show_users,
    users_of,
)
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.samples import as_if_sent, sample_alert, sample_picture
from cryptowatcher.errors import ConfigError
from cryptowatcher.pipeline.pictures import stretch
from cryptowatcher.ports import Tx
from cryptowatcher.trying import Tried, try_channel

app = new_app()

Name = Annotated[str, typer.Argument(metavar="NAME", help="`cryptowatcher channels list` names them.")]


@app.callback()
def channels() -> None:
    """Where alerts go: list, add and remove channels, look at their messages, and send a test message."""


@app.command("list")
def list_channels(json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """The channels that rules may use, those that were added and those of the configuration.

    With --json one document: a list of channels.
    """
    config, kinds = settings(config_file, data_dir), Kinds()
    own = reach(config, kinds).own(LOCAL_OWNER)
    told = [_facts(kinds, channel, "added") for channel in own.values()]
    configured = [kinds.stored(channel, owner=LOCAL_OWNER) for channel in config.channels]
    told += [_facts(kinds, channel, "configuration") for channel in configured if channel.name not in own]
    if json:
        as_json(told)
    elif told:
        table(
            ("Name", "Kind", "Rate", "Stands in", "Quiet", "From", "Goes to"),
            [tuple(row.values()) for row in told],
        )
    else:
        note("no channels: `cryptowatcher channels add`, or write a [[channels]] table into the configuration")


@app.command("add")
def add_channel(
    name: Name,
    kind: Annotated[str, typer.Option("--kind", help="ntfy, discord, slack, telegram, email, webhook, apprise.")],
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; repeatable.")
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option("--secret", metavar="KEY", help="A secret to ask for; repeatable.")
    ] = None,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Add or change a channel while the watcher runs; it counts within about a second.

    Secrets are asked for and not shown; where the input is no terminal, they are its lines, in order. A secret
    that is not named stays as it is. docs/configuration.md lists the settings of each kind.
    """
    config, kinds = settings(config_file, data_dir), Kinds()
    known = {each.name: each for each in kinds.kinds("admin")}
    there = reach(config, kinds)
    if name not in there.own(LOCAL_OWNER) and name in there.known(LOCAL_OWNER):
        raise ConfigError("the configuration has a channel of that name", where="NAME", hint="change it there")
    draft = StoredChannel(
        owner=LOCAL_OWNER,
        name=name,
        kind=kind,
        settings=values(known[kind], given or ()) if kind in known else {},
        secrets=secrets(secret or ()),
        changed_at=SystemClock().now(),
    )
    draft = changed_channel(there.own(LOCAL_OWNER).get(name), draft)
    made = asyncio.run(check_stored(kinds, program.deps(config), draft))
    check_fallback(made.fallback, there.known(LOCAL_OWNER))
    change(config, lambda tx, head: tx.save_channel(draft), make=True)
    note(f"saved {name}; `cryptowatcher channels test {name}` sends a message")


@app.command("remove")
def remove_channel(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also where rules name it.")] = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Remove a channel that was added. What waits for it is given up; it counts within about a second."""
    config = settings(config_file, data_dir)
    own = reach(config, Kinds()).own(LOCAL_OWNER)
    if name not in own:
        hint = f"added were: {', '.join(own)}" if own else "none was added; others stand in the configuration"
        raise ConfigError(f"there is no channel {name!r}", where="NAME", hint=hint)

    def remove(tx: Tx, head: int) -> None:
        users = users_of(name, tx.rules(LOCAL_OWNER), own.values())
        if users and not force:
            raise ConfigError(show_users(users), where="NAME", hint="--force removes it all the same")
        tx.remove_channel(LOCAL_OWNER, name)

    change(config, remove)
    note(f"removed {name}")


@app.command("preferences")
def preferences(
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Repeatable; a list has commas.")
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="KEY", help="As [owner] of the file says; repeatable.")
    ] = None,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """What the first account wants of all channels, and change it while the watcher runs.

    Keys: time_zone, quiet, group_from, summary, summary_to, channels (of rules that name none). With --json one
    document.
    """
    config, kinds = settings(config_file, data_dir), Kinds()
    there = reach(config, kinds)
    wanted = wished(there.preferences.get(LOCAL_OWNER, Preferences()), given or (), unset or ())
    check_preferences(wanted, there, LOCAL_OWNER)
    if given or unset:
        change(config, lambda tx, head: tx.save_preferences(LOCAL_OWNER, wanted), make=True)
    wishes = there.setting.wishes.changed_by(wanted)
    rows = {name: getattr(wishes, name) for name in Preferences.__struct_fields__}
    if json:
        as_json(rows)
        return
    shown = [
        (name, ", ".join(value) if isinstance(value, tuple) else str(value), _from(wanted, name))
        for name, value in rows.items()
    ]
    table(("Preference", "Value", "From"), shown)


def _from(wanted: Preferences, name: str) -> str:
    return "configuration" if getattr(wanted, name) is None else "you"


@app.command("test")
def try_one(
    name: Name,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Send a test message now, and say exactly what the other side answered. Exit code 1 when it did not take it.

    It goes beside the outbox: nothing is queued, held or tried again. With --json one document.
    """
    config, kinds = settings(config_file, data_dir), Kinds()
    deps, own = program.deps(config), reach(config, kinds).own(LOCAL_OWNER)
    if name in own:
        tried = asyncio.run(try_stored(kinds, deps, draw, own[name]))
    else:
        tried = asyncio.run(try_channel(_named(config, name), deps, owner=LOCAL_OWNER, draw=draw))
    if json:
        as_json(tried)
    else:
        _show(tried)
    if tried.outcome != "sent":
        raise typer.Exit(1)


@app.command("preview")
def preview(
    name: Name,
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
    kinds = Kinds()
    there = reach(config, kinds)
    own = there.own(LOCAL_OWNER)
    channel = kinds.settings(own[name]) if name in own else _named(config, name)
    wording = wording_of(channel.policy(), there.wishes(LOCAL_OWNER).kindness)
    wording = reworded(wording, title=title, body=body)
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


def _facts(kinds: Kinds, channel: StoredChannel, origin: str) -> dict[str, str]:
    said = {name: str(channel.settings.get(name) or "") for name in ("rate", "fallback", "quiet")}
    return {
        "name": channel.name,
        "kind": channel.kind,
        **said,
        "origin": origin,
        "target": kinds.target(channel),
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
