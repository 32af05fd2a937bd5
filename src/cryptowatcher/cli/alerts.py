"""`cryptowatcher alerts`."""

from __future__ import annotations

from typing import Annotated

import typer

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, pair_named, settings
from cryptowatcher.cli.output import as_json, moment, note, table
from cryptowatcher.cli.storage import read
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule
from cryptowatcher.domain.texts import show_price, show_value
from cryptowatcher.ports import Tx

app = new_app()


@app.command()
def alerts(
    rule: Annotated[str | None, typer.Option("--rule", "-r", help="Only of this rule (name or id).")] = None,
    pair: Annotated[str | None, typer.Option("--pair", "-p", help="Only of this pair.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only those before this one.")
    ] = None,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """The newest alerts, newest first. Exit code 1 when the rule is not known.

    With --json one document: a list of alerts, times in epoch milliseconds.
    """
    name = pair_named(pair, where="--pair") if pair else None
    config = settings(config_file, data_dir)

    def find(tx: Tx) -> tuple[Rule | None, list[Alert]]:
        known = tx.rule(LOCAL_OWNER, rule) if rule else None
        # A removed rule is no longer known, but its alerts are, by its id.
        id_ = known.id if known else rule
        return known, tx.alerts(LOCAL_OWNER, limit=limit, before=before, rule=id_, pair=name)

    known, found = read(config, find)
    if json:
        as_json(found)
    elif found:
        show(found)
    else:
        note("no alerts")
    if rule and not known and not found:
        note(f"there is no rule {rule!r}; see `cryptowatcher rules list`")
        raise typer.Exit(1)


def show(found: list[Alert]) -> None:
    """A table, in the order given."""
    rows = (
        (
            moment(alert.event_time),
            alert.pair,
            show_price(alert.price),
            show_value(alert.condition, alert.value),
            alert.condition,
            alert.rule_name,
            remarks(alert),
            alert.id,
        )
        for alert in found
    )
    table(("Time (UTC)", "Pair", "Price", "Value", "Condition", "Rule", "", "Id"), rows, right=("Price", "Value"))


def remarks(alert: Alert) -> str:
    """What is out of the ordinary, in short, and the advice."""
    words: list[str] = [] if alert.advice == "info" else [alert.advice]
    words += ["in a gap"] if alert.kind == "gap" else ["already true"] if alert.kind == "already" else []
    words += ["late"] if alert.late else []
    words += [f"+{alert.suppressed:,} suppressed"] if alert.suppressed else []
    return ", ".join(words)
