"""`cryptowatcher rules`: list, add, remove, pause, resume."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import typer
from rich.text import Text

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, pair_named, settings
from cryptowatcher.cli.output import as_json, note, now, table
from cryptowatcher.cli.storage import change, read
from cryptowatcher.config import Config, name_of
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.language import check_spec
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx

app = new_app()

AGAIN = "It stands in the configuration, which counts again at the next start: change it there too."

Name = Annotated[str, typer.Argument(metavar="RULE", help="Its name or id.")]


@app.callback()
def rules() -> None:
    """List, add, remove, pause and resume rules. A running watcher takes a change up at once."""


@app.command("list")
def list_rules(json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """All rules. With --json one document: a list of rules."""
    found = read(settings(config_file, data_dir), lambda tx: tx.rules(LOCAL_OWNER))
    if json:
        as_json(found)
    elif found:
        show(found)
    else:
        note(
            'no rules; for example: cryptowatcher rules add "btc drops" --pair bitcoin --when "change(5m) <= -5%"'
        )


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Unique; the same name again changes the rule.")],
    when: Annotated[
        str, typer.Option("--when", "-w", help='The condition: "change(5m) <= -5%", "price >= 70000".')
    ],
    pairs: Annotated[list[str], typer.Option("--pair", "-p", help="bitcoin, ethereum/usd or all; repeatable.")],
    channels: Annotated[
        list[str] | None, typer.Option("--channel", help="Name of a [[channels]] entry; repeatable.")
    ] = None,
    for_: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long it must hold.")] = "0s",
    rearm: Annotated[
        str, typer.Option("--rearm", metavar="PERCENT", help="How far back before it can fire again.")
    ] = "0.1%",
    cooldown: Annotated[str, typer.Option("--cooldown", metavar="DURATION", help="Silence after firing.")] = "0s",
    repeat: Annotated[
        Literal["every", "once"], typer.Option("--repeat", help="Every time, or once a pair.")
    ] = "every",
    advice: Annotated[Literal["info", "buy", "sell"], typer.Option("--advice")] = "info",
    fire_if_already_true: Annotated[
        bool, typer.Option("--fire-if-already-true", help="Also if true at first sight.")
    ] = False,
    paused: Annotated[bool, typer.Option("--paused", help="Add it, but do not judge it yet.")] = False,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Add a rule, or change the one of that name. With --json one document: the rule."""
    config = settings(config_file, data_dir)
    spec = RuleSpec(
        name=name,
        pairs=tuple(pair if pair == ALL else pair_named(pair, where="--pair") for pair in pairs),
        when=when,
        for_=for_,
        rearm=rearm,
        cooldown=cooldown,
        repeat=repeat,
        fire_if_already_true=fire_if_already_true,
        advice=advice,
        channels=tuple(channels or ()),
        paused=paused,
    )
    check(spec, config)
    rule = change(config, lambda tx, head: tx.save_rule(LOCAL_OWNER, spec, head=head, now=now()))
    _answer(rule, json=json, done="saved")


@app.command()
def remove(name: Name, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Remove a rule. Its alerts stay. Exit code 1 when there is none of that name."""
    config = settings(config_file, data_dir)

    def drop(tx: Tx, head: int) -> Rule | None:
        rule = tx.rule(LOCAL_OWNER, name)
        if rule is not None:
            tx.remove_rule(LOCAL_OWNER, rule.id, head=head, now=now())
        return rule

    rule = change(config, drop)
    if rule is None:
        raise _missing(name)
    note(f"removed {rule.spec.name}")
    if rule.origin == "config":
        note(AGAIN)


@app.command()
def pause(name: Name, json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Stop judging a rule, and cancel what it still has to send. With --json one document: the rule."""
    _answer(_set_paused(settings(config_file, data_dir), name, True), json=json, done="paused")


@app.command()
def resume(name: Name, json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Judge a paused rule again. With --json one document: the rule."""
    _answer(_set_paused(settings(config_file, data_dir), name, False), json=json, done="resumed")


def check(spec: RuleSpec, config: Config) -> None:
    """ConfigError, naming the option, for what is wrong with a rule."""
    try:
        check_spec(spec)
    except ConfigError as error:
        option = {"name": "NAME", "pairs": "--pair"}.get(error.where, f"--{error.where.replace('_', '-')}")
        raise ConfigError(error.message, where=option, hint=error.hint) from None
    known = [name_of(channel) for channel in config.channels]
    for channel in spec.channels:
        if channel not in known:
            hint = f"there are: {', '.join(known)}"
            raise ConfigError(f"there is no channel {channel!r}", where="--channel", hint=hint)


def show(found: list[Rule]) -> None:
    """A table, in the order given."""
    rows = (
        (
            Text(rule.spec.name, style="dim" if rule.spec.paused else ""),
            ", ".join(rule.spec.pairs[:3])
            + (f" and {len(rule.spec.pairs) - 3} more" if len(rule.spec.pairs) > 3 else ""),
            rule.spec.when,
            details(rule.spec),
            ", ".join(rule.spec.channels),
            rule.id,
        )
        for rule in found
    )
    table(("Rule", "Pairs", "When", "How", "Channels", "Id"), rows)


def details(spec: RuleSpec) -> str:
    """What is out of the ordinary about a rule."""
    words = ["paused"] if spec.paused else []
    words += [f"for {spec.for_}"] if spec.for_ != "0s" else []
    words += [f"cooldown {spec.cooldown}"] if spec.cooldown != "0s" else []
    words += ["once"] if spec.repeat == "once" else []
    words += [spec.advice] if spec.advice != "info" else []
    return ", ".join(words)


def _set_paused(config: Config, name: str, paused: bool) -> Rule:
    def flip(tx: Tx, head: int) -> Rule | None:
        rule = tx.rule(LOCAL_OWNER, name)
        if rule is None:
            return None
        spec = msgspec.structs.replace(rule.spec, paused=paused)
        return tx.save_rule(LOCAL_OWNER, spec, head=head, now=now(), origin=rule.origin)

    rule = change(config, flip)
    if rule is None:
        raise _missing(name)
    return rule


def _missing(name: str) -> typer.Exit:
    note(f"there is no rule {name!r}; see `cryptowatcher rules list`")
    return typer.Exit(1)


def _answer(rule: Rule, *, json: bool, done: str) -> None:
    if json:
        as_json(rule)
    else:
        note(f"{done} {rule.spec.name} ({rule.id})")
    if rule.origin == "config":
        note(AGAIN)
