"""`cryptowatcher rules`: list, add, remove, pause, resume."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
import typer
from rich.text import Text

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, pair_named, settings
from cryptowatcher.cli.output import as_json, moment, note, now, table
from cryptowatcher.cli.storage import change, read
from cryptowatcher.config import Config, name_of
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.language import check_spec
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec, rule_id
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.supervise import is_watched

app = new_app()

AGAIN = "It stands in the configuration, which counts again at the next start: change it there too."

Name = Annotated[str, typer.Argument(metavar="RULE", help="Its name or id.")]


@app.callback()
def rules() -> None:
    """List, add, remove, pause and resume rules. A running watcher takes a change up at once."""


@app.command("list")
def list_rules(json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """All rules. With --json one document: a list of rules."""

    def find(tx: Tx) -> tuple[list[Rule], dict[str, int], list[str]]:
        # The page and programs have the firings from the API.
        fired = {} if json else _last_fired(tx)
        return tx.rules(LOCAL_OWNER), fired, [] if json else _observed(tx)

    found, fired, observed = read(settings(config_file, data_dir), find)
    if json:
        as_json(found)
    elif found:
        show(found, fired)
        for rule in found:
            _note_unseen(rule.spec, observed)
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
    """Add a rule, or change the one of that name. Options that are not given are then as for a new one.

    With --json one document: the rule.
    """
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

    def save(tx: Tx, head: int) -> tuple[Rule | None, Rule, list[str]]:
        before = tx.rule(LOCAL_OWNER, rule_id(LOCAL_OWNER, name))
        origin = before.origin if before else "owner"
        rule = tx.save_rule(LOCAL_OWNER, spec, head=head, now=now(), origin=origin)
        return before, rule, _observed(tx)

    before, rule, observed = change(config, save, make=True)
    changes = differences(before.spec, spec) if before else []
    _answer(rule, json=json, done="added" if before is None else "changed" if changes else "as it was:")
    for line in changes:
        note(f"  {line}")
    _note_unseen(spec, observed)
    if not is_watched(config.data_dir):
        note(f"no watcher is running on {config.data_dir}: the rule counts from the next start")


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


def differences(before: RuleSpec, after: RuleSpec) -> list[str]:
    """What of a rule is no longer what it was, a line a field."""
    return [
        f"{field.encode_name}: {_said(getattr(before, field.name))} → {_said(getattr(after, field.name))}"
        for field in msgspec.structs.fields(RuleSpec)
        if getattr(before, field.name) != getattr(after, field.name)
    ]


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) or "–" if isinstance(value, tuple) else str(value)


def _observed(tx: Tx) -> list[str]:
    return [price.pair for price in tx.prices()]


def _last_fired(tx: Tx) -> dict[str, int]:
    """Rule id → when it last fired for any pair."""
    last: dict[str, int] = {}
    for firing in tx.firings():
        if firing.fired:
            last[firing.rule] = max(last.get(firing.rule, 0), firing.last_fired_at)
    return last


def _note_unseen(spec: RuleSpec, observed: list[str]) -> None:
    """Name the rule's pairs that have no price, where others have one: perhaps they are misspelt."""
    for pair in spec.pairs if observed else ():
        if pair == ALL or pair in observed:
            continue
        same_asset = [other for other in observed if other.partition("/")[0] == pair.partition("/")[0]]
        near = (same_asset or difflib.get_close_matches(pair, observed, n=1, cutoff=0.75))[:1]
        meant = f"; did you mean {near[0]}?" if near else ""
        note(f"no source has shown {pair} yet (rule {spec.name!r}){meant}")


def show(found: list[Rule], fired: Mapping[str, int]) -> None:
    """A table, in the order given."""
    rows = (
        (
            Text(rule.spec.name, style="dim" if rule.spec.paused else ""),
            ", ".join(rule.spec.pairs[:3])
            + (f" and {len(rule.spec.pairs) - 3} more" if len(rule.spec.pairs) > 3 else ""),
            rule.spec.when,
            details(rule.spec),
            ", ".join(rule.spec.channels),
            moment(fired[rule.id]) if rule.id in fired else "–",
            rule.id,
        )
        for rule in found
    )
    table(("Rule", "Pairs", "When", "How", "Channels", "Last fired (UTC)", "Id"), rows)


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
