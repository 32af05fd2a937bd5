"""`cryptowatcher alerts`, `alerts show` and `alerts ack`; `alerts summary` stands in summary.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import msgspec
import typer
from rich.text import Text

from cryptowatcher.cli.deliveries import show as show_deliveries
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, pair_named, settings
from cryptowatcher.cli.output import as_json, console, moment, note, now, table
from cryptowatcher.cli.storage import change, read
from cryptowatcher.cli.summary import summary
from cryptowatcher.domain.alerts import Advice, Alert, first_id_at, is_condition
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.intervals import parse_duration, show_duration
from cryptowatcher.domain.outcomes import Outcome, outcomes
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule
from cryptowatcher.domain.texts import alert_text, show_percent, show_price, show_value
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx

app = new_app()
app.command()(summary)


ADVISED: tuple[Advice, ...] = ("buy", "sell")
MOST = 1_000
"""Alerts that are looked through at once."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An alert, what the price did after it, and each message of it."""

    alert: Alert
    acknowledged_at: int | None
    outcomes: list[Outcome]
    deliveries: list[Delivery]


class Listed(Alert, frozen=True, kw_only=True):
    """An alert, and when it was acknowledged, epoch ms; null: not yet."""

    acknowledged_at: int | None


@app.callback(invoke_without_command=True)
def alerts(
    context: typer.Context,
    rule: Annotated[str | None, typer.Option("--rule", "-r", help="Only of this rule (name or id).")] = None,
    pair: Annotated[str | None, typer.Option("--pair", "-p", help="Only of this pair.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only those before this one.")
    ] = None,
    advice: Annotated[
        Literal["buy", "sell", "info", "signal"] | None,
        typer.Option("--advice", help="Only with this advice; signal: buy or sell."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION", help="Only of the last: 1h, 7d.")
    ] = None,
    unseen: Annotated[bool, typer.Option("--unseen", help="Only those that nobody has acknowledged.")] = False,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """The newest alerts, newest first. Exit code 1 when the rule is not known.

    With --json one document: a list of alerts, times in epoch milliseconds.
    """
    if context.invoked_subcommand:
        return
    name = pair_named(pair, where="--pair") if pair else None
    wanted = None if advice is None else ADVISED if advice == "signal" else (advice,)
    first = None if since is None else first_id_at(max(0, now() - parse_duration(since, where="--since")))
    config = settings(config_file, data_dir)

    def find(tx: Tx) -> tuple[Rule | None, list[Alert], dict[str, int]]:
        known = tx.rule(LOCAL_OWNER, rule) if rule else None
        # A removed rule is no longer known, but its alerts are, by its id.
        id_ = known.id if known else rule
        found = tx.alerts(LOCAL_OWNER, limit=limit, before=before, since=first, rule=id_, pair=name, advice=wanted,
                          acknowledged=False if unseen else None)  # fmt: skip
        return known, found, tx.acknowledged([alert.id for alert in found])

    known, found, seen = read(config, find)
    if json:
        as_json([Listed(**msgspec.structs.asdict(alert), acknowledged_at=seen.get(alert.id)) for alert in found])
    elif found:
        show(found, seen)
    else:
        note("no alerts")
    if rule and not known and not found:
        note(f"there is no rule {rule!r}; see `cryptowatcher rules list`")
        raise typer.Exit(1)


@app.command(name="show")
def show_one(
    alert: Annotated[str, typer.Argument(metavar="ID", help="An alert's id.")],
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """One alert: why it fired, what the price did after, and what became of each message.

    Exit code 1 when there is none of that id. With --json one document, times in epoch milliseconds.
    """
    at = now()

    def find(tx: Tx) -> Shown | None:
        this = tx.alerts_named([alert]).get(alert)
        if this is None or this.owner != LOCAL_OWNER or not is_condition(this.kind):
            return None
        seen = max((price.observed_at for price in tx.prices([this.pair])), default=0)
        return Shown(
            alert=this,
            acknowledged_at=tx.acknowledged([alert]).get(alert),
            outcomes=outcomes(this, tx.closes, seen=seen, now=at),
            deliveries=tx.deliveries(LOCAL_OWNER, limit=MOST, alert=alert),
        )

    found = read(settings(config_file, data_dir), find)
    if found is None:
        note(f"there is no alert {alert!r}; see `cryptowatcher alerts`")
        raise typer.Exit(1)
    if json:
        as_json(found)
        return
    text = alert_text(found.alert, now=found.alert.at)
    seen_at = found.acknowledged_at
    told = f"Acknowledged {moment(seen_at)} UTC." if seen_at else "Nobody has acknowledged it."
    lines = [text.title, "", text.body, told, "", *map(_after, found.outcomes)]
    console().print(Text("\n".join(lines)), soft_wrap=True)
    if found.deliveries:
        show_deliveries(found.deliveries, {found.alert.id: found.alert})


def _after(outcome: Outcome) -> str:
    """`After 1d: +2.3% to 51,000.`"""
    after = f"After {show_duration(outcome.after)}"
    if outcome.price is None or outcome.move is None:
        known = f"known {moment(outcome.at)} UTC" if outcome.state == "waiting" else "not known"
        return f"{after}: {known}."
    worth = (
        "" if outcome.worth is None else f"; following the advice gave {show_percent(outcome.worth)} after fees"
    )
    return f"{after}: {show_percent(outcome.move)} to {show_price(outcome.price)}{worth}."


@app.command()
def ack(
    alert: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="The alerts' ids.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that there are.")] = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Say that you have seen alerts: no more reminders of them. Again changes nothing.

    Exit code 1 when there is no alert of one of these ids; the others are acknowledged all the same.
    """
    if bool(alert) == everything:
        raise ConfigError("name alerts, or all of them", where="ID", hint="`cryptowatcher alerts ack --all`")
    at = now()

    def acknowledge(tx: Tx) -> tuple[int, list[str]]:
        if everything:
            return sum(tx.acknowledge(LOCAL_OWNER, ids, at) for ids in _pages(tx)), []
        new = tx.acknowledge(LOCAL_OWNER, alert or [], at)
        return new, sorted(set(alert or []) - tx.acknowledged(alert or []).keys())

    new, missing = change(settings(config_file, data_dir), lambda tx, _: acknowledge(tx))
    note(f"{new:,} acknowledged")
    for id_ in missing:
        note(f"there is no alert {id_!r}; see `cryptowatcher alerts`")
    if missing:
        raise typer.Exit(1)


def _pages(tx: Tx) -> Iterator[list[str]]:
    """The ids of all alerts, the newest first."""
    before: str | None = None
    while found := tx.alerts(LOCAL_OWNER, limit=MOST, before=before):
        yield [alert.id for alert in found]
        before = found[-1].id


def show(found: list[Alert], seen: Mapping[str, int]) -> None:
    """A table, in the order given. `seen`: when they were acknowledged, by their ids."""
    rows = (
        (
            moment(alert.event_time),
            alert.pair,
            show_price(alert.price),
            show_value(alert.condition, alert.value),
            alert.condition,
            alert.rule_name,
            remarks(alert, seen.get(alert.id)),
            alert.id,
        )
        for alert in found
    )
    table(("Time (UTC)", "Pair", "Price", "Value", "Condition", "Rule", "", "Id"), rows, right=("Price", "Value"))


_KINDS = {"gap": "in a gap", "already": "already true", "resolved": "over"}


def remarks(alert: Alert, acknowledged_at: int | None) -> str:
    """What is out of the ordinary, in short, and the advice."""
    words: list[str] = [] if alert.advice == "info" else [alert.advice]
    words += [_KINDS[alert.kind]] if alert.kind in _KINDS else []
    words += ["late"] if alert.late else []
    words += [f"+{alert.suppressed:,} suppressed"] if alert.suppressed else []
    words += [f"acknowledged {moment(acknowledged_at)}"] if acknowledged_at else []
    return ", ".join(words)
