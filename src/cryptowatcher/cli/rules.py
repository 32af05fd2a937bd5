"""`cryptowatcher rules`: list, add, remove, pause, resume, renew, snooze, wake.

`check`, `preview`, `why`, `score`, `export` and `import` are files of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import msgspec
import typer
from rich.text import Text

from cryptowatcher.cli.options import (
    AsJson,
    ConfigFile,
    Cooldown,
    DataDir,
    For,
    Over,
    Rearm,
    Repeat,
    When,
    new_app,
    pairs_named,
    settings,
)
from cryptowatcher.cli.output import as_json, moment, note, now, table
from cryptowatcher.cli.own_channels import known_channels
from cryptowatcher.cli.rules_check import check_rule
from cryptowatcher.cli.rules_exchange import export_rules, import_rules
from cryptowatcher.cli.rules_preview import preview_rule
from cryptowatcher.cli.rules_why import why_rule
from cryptowatcher.cli.score import score
from cryptowatcher.cli.storage import change, read
from cryptowatcher.cli.unseen import note_unseen, observed
from cryptowatcher.config import Config
from cryptowatcher.domain.defaults import DEFAULT_RULES
from cryptowatcher.domain.hours import expired, parse_until, renewed
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.rules.check import check_channels, check_spec
from cryptowatcher.domain.rules.exchange import differences
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec, origin_after_edit, rule_id
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.supervise import is_watched

app = new_app()
app.command("check")(check_rule)
app.command("preview")(preview_rule)
app.command("why")(why_rule)
app.command("export")(export_rules)
app.command("import")(import_rules)
app.command()(score)

_OF_DEFAULTS = {spec.pairs for spec in DEFAULT_RULES}
"""These name more coins than most people watch, and are not misspelt."""

AGAIN = "It stands in the configuration, which counts again at the next start: change it there too."

Name = Annotated[str, typer.Argument(metavar="RULE", help="Its name or id.")]
Expires = Annotated[
    str, typer.Option("--expires", metavar="TIME", help="When it ends: 2027-01-31 or 2027-01-31T12:00Z.")
]
Active = Annotated[
    str, typer.Option("--active", metavar="HOURS", help='When it may send: "mon-fri 08:00-22:00 Europe/Berlin".')
]

AlreadyTrue = Annotated[bool, typer.Option("--fire-if-already-true", help="Also if true at first sight.")]
Urgent = Annotated[bool, typer.Option("--urgent", help="Told in quiet hours too, and never together with others.")]
Remind = Annotated[
    str, typer.Option("--remind", metavar="DURATION", help="Told again every 10m until it is acknowledged.")
]
Escalate = Annotated[
    list[str] | None,
    typer.Option(
        "--escalate", metavar="CHANNEL", help="Told too, with the first reminder, the second, …; repeatable."
    ),
]


class Listed(Rule, frozen=True, kw_only=True):
    """A rule, and until when it is snoozed."""

    snoozed_until_ms: int | None


@app.callback()
def rules() -> None:
    """List, add, remove, pause, resume, renew and snooze rules. A running watcher takes a change up at once."""


@app.command("list")
def list_rules(json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """All rules. With --json one document: a list of rules, each with the end of its snooze (or null)."""

    def find(tx: Tx) -> tuple[list[Rule], dict[str, int], dict[str, int], list[str]]:
        # The page and programs have the firings from the API.
        fired = {} if json else _last_fired(tx)
        return tx.rules(LOCAL_OWNER), fired, tx.snoozes(LOCAL_OWNER), [] if json else observed(tx)

    found, fired, snoozes, seen = read(settings(config_file, data_dir), find)
    if json:
        as_json([_listed(rule, snoozes.get(rule.id, 0)) for rule in found])
    elif found:
        show(found, fired, snoozes)
        for rule in found:
            if rule.spec.pairs not in _OF_DEFAULTS:
                note_unseen(rule.spec.pairs, seen, named_by=f"rule {rule.spec.name!r}")
    else:
        note(
            'no rules; for example: cryptowatcher rules add "btc drops" --pair bitcoin --when "change(5m) <= -5%"'
        )


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Unique; the same name again changes the rule.")],
    when: When,
    pairs: Annotated[
        list[str], typer.Option("--pair", "-p", help="bitcoin, top(100), list(mine) or all; repeatable.")
    ],
    channels: Annotated[
        list[str] | None, typer.Option("--channel", help="Name of a [[channels]] entry; repeatable.")
    ] = None,
    for_: For = "0s",
    rearm: Rearm = "0.1%",
    cooldown: Cooldown = "0s",
    repeat: Repeat = "every",
    advice: Annotated[Literal["info", "buy", "sell"], typer.Option("--advice")] = "info",
    fire_if_already_true: AlreadyTrue = False,
    paused: Annotated[bool, typer.Option("--paused", help="Add it, but do not judge it yet.")] = False,
    expires: Expires = "",
    active: Active = "",
    urgent: Urgent = False,
    remind: Remind = "",
    escalate: Escalate = None,
    resolved: Over = False,
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
        pairs=tuple(pairs_named(pair, where="--pair") for pair in pairs),
        when=when,
        for_=for_,
        rearm=rearm,
        cooldown=cooldown,
        repeat=repeat,
        fire_if_already_true=fire_if_already_true,
        advice=advice,
        channels=tuple(channels or ()),
        paused=paused,
        expires=expires,
        active=active,
        urgent=urgent,
        remind=remind,
        escalate=tuple(escalate or ()),
        resolved=resolved,
    )
    check(spec, config)

    before, rule, seen = _added(config, spec)
    changes = differences(before.spec, spec) if before else []
    _answer(rule, json=json, done="added" if before is None else "changed" if changes else "as it was:")
    for line in changes:
        note(f"  {line}")
    note_unseen(spec.pairs, seen, named_by=f"rule {name!r}")
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
    if rule.origin == "default":
        note("It came with the program, and will not come back by itself.")


@app.command()
def pause(name: Name, json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Stop judging a rule, and cancel what it still has to send. With --json one document: the rule."""
    _answer(_changed(settings(config_file, data_dir), name, _paused(True)), json=json, done="paused")


@app.command()
def resume(name: Name, json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Judge a paused rule again. With --json one document: the rule."""
    _answer(_changed(settings(config_file, data_dir), name, _paused(False)), json=json, done="resumed")


@app.command()
def renew(
    name: Name,
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long from now: 30d.")],
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Give a rule that expires a later end. It goes on where it stood. With --json one document: the rule."""
    ms = parse_duration(lasting, where="--for")
    rule = _changed(
        settings(config_file, data_dir), name, lambda spec: renewed(spec, now=now(), lasting=ms, where="--for")
    )
    _answer(rule, json=json, done="renewed")
    note(f"it ends {rule.spec.expires}")


@app.command()
def snooze(
    name: Name,
    until: Annotated[str, typer.Argument(help="How long, 1h or 2d, or until when, 2027-01-31T12:00Z.")],
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Silence a rule for a while: its alerts are recorded and not sent. Again replaces the end."""
    end = parse_until(until, now=now(), where="UNTIL")

    def silence(tx: Tx, head: int) -> Rule | None:
        rule = tx.rule(LOCAL_OWNER, name)
        if rule is not None:
            tx.snooze(LOCAL_OWNER, rule.id, end)
        return rule

    rule = change(settings(config_file, data_dir), silence)
    if rule is None:
        raise _missing(name)
    note(f"snoozed {rule.spec.name} until {moment(end)} UTC")


@app.command()
def wake(name: Name, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """End the silence of a snoozed rule."""

    def end(tx: Tx, head: int) -> tuple[Rule | None, bool]:
        rule = tx.rule(LOCAL_OWNER, name)
        return rule, rule is not None and tx.wake(LOCAL_OWNER, rule.id)

    rule, slept = change(settings(config_file, data_dir), end)
    if rule is None:
        raise _missing(name)
    note(f"woke {rule.spec.name}" if slept else f"{rule.spec.name} was not snoozed")


def check(spec: RuleSpec, config: Config) -> None:
    """ConfigError, naming the option, for what is wrong with a rule."""
    try:
        check_spec(spec)
        check_channels(spec, known_channels(config))
    except ConfigError as error:
        field = error.where.partition("[")[0]
        option = {"name": "NAME", "pairs": "--pair", "channels": "--channel"}.get(field)
        where = option or f"--{field.replace('_', '-')}"
        raise ConfigError(error.message, where=where, hint=error.hint) from None


def _last_fired(tx: Tx) -> dict[str, int]:
    """Rule id → when it last fired for any pair."""
    last: dict[str, int] = {}
    for firing in tx.firings():
        if firing.fired:
            last[firing.rule] = max(last.get(firing.rule, 0), firing.last_fired_at)
    return last


def _listed(rule: Rule, snoozed_until: int) -> Listed:
    until = snoozed_until if snoozed_until > now() else None
    return Listed(**msgspec.structs.asdict(rule), snoozed_until_ms=until)


def show(found: list[Rule], fired: Mapping[str, int], snoozes: Mapping[str, int]) -> None:
    """A table, in the order given. `fired` and `snoozes`: when, by the rule's id."""
    rows = (
        (
            Text(rule.spec.name, style="dim" if rule.spec.paused else ""),
            ", ".join(rule.spec.pairs[:3])
            + (f" and {len(rule.spec.pairs) - 3} more" if len(rule.spec.pairs) > 3 else ""),
            rule.spec.when,
            details(rule, snoozes.get(rule.id, 0)),
            ", ".join(rule.spec.channels),
            moment(fired[rule.id]) if rule.id in fired else "–",
            rule.id,
        )
        for rule in found
    )
    table(("Rule", "Pairs", "When", "How", "Channels", "Last fired (UTC)", "Id"), rows)


def details(rule: Rule, snoozed_until: int) -> str:
    """What is out of the ordinary about a rule."""
    spec = rule.spec
    words = ["default"] if rule.origin == "default" else []
    words += ["paused"] if spec.paused else []
    words += [f"for {spec.for_}"] if spec.for_ != "0s" else []
    words += [f"cooldown {spec.cooldown}"] if spec.cooldown != "0s" else []
    words += ["once"] if spec.repeat == "once" else []
    words += [spec.advice] if spec.advice != "info" else []
    words += [f"active {spec.active}"] if spec.active else []
    words += ["urgent"] if spec.urgent else []
    words += [f"reminds every {spec.remind}"] if spec.remind else []
    words += ["tells when it is over"] if spec.resolved else []
    words += [f"escalates to {', '.join(spec.escalate)}"] if spec.escalate else []
    words += [f"{'ended' if expired(spec, now()) else 'ends'} {spec.expires}"] if spec.expires else []
    words += [f"snoozed until {moment(snoozed_until)}"] if snoozed_until > now() else []
    return ", ".join(words)


def _added(config: Config, spec: RuleSpec) -> tuple[Rule | None, Rule, list[str]]:
    """The rule of that name before, the rule now, and the pairs that have been seen."""

    def save(tx: Tx, head: int) -> tuple[Rule | None, Rule, list[str]]:
        before = tx.rule(LOCAL_OWNER, rule_id(LOCAL_OWNER, spec.name))
        rule = tx.save_rule(LOCAL_OWNER, spec, head=head, now=now(), origin=origin_after_edit(before, spec))
        return before, rule, observed(tx)

    return change(config, save, make=True)


def _paused(paused: bool) -> Callable[[RuleSpec], RuleSpec]:
    return lambda spec: msgspec.structs.replace(spec, paused=paused)


def _changed(config: Config, name: str, change_spec: Callable[[RuleSpec], RuleSpec]) -> Rule:
    def save(tx: Tx, head: int) -> Rule | None:
        rule = tx.rule(LOCAL_OWNER, name)
        if rule is None:
            return None
        spec = change_spec(rule.spec)
        return tx.save_rule(LOCAL_OWNER, spec, head=head, now=now(), origin=origin_after_edit(rule, spec))

    rule = change(config, save)
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
