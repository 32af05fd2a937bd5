"""`cryptowatcher deliveries`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import typer
from rich.text import Text

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import as_json, moment, note, table
from cryptowatcher.cli.storage import change, read
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.channel_names import name_in
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx

app = new_app()

State = Literal["queued", "leased", "retrying", "sent", "given_up", "cancelled", "snoozed"]
MOST = 100_000
"""Deliveries that are queued once more by one command."""

STYLES = {"sent": "green", "given_up": "red", "retrying": "yellow", "cancelled": "dim", "snoozed": "dim"}


@app.callback(invoke_without_command=True)
def deliveries(
    context: typer.Context,
    state: Annotated[State | None, typer.Option("--state", "-s", help="Only in this state.")] = None,
    alert: Annotated[str | None, typer.Option("--alert", "-a", metavar="ID", help="Only of this alert.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only those before this one.")
    ] = None,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Where alerts were sent, and what became of it, newest first.

    With --json one document: a list of deliveries, times in epoch milliseconds.
    """
    if context.invoked_subcommand:
        return
    config = settings(config_file, data_dir)

    def find(tx: Tx) -> tuple[list[Delivery], dict[str, Alert]]:
        rows = tx.deliveries(LOCAL_OWNER, limit=limit, before=before, state=state, alert=alert)
        return rows, {} if json else _alerts(tx, {row.alert for row in rows})

    found, about = read(config, find)
    if json:
        as_json(found)
    elif found:
        show(found, about)
    else:
        note("no deliveries")


@app.command()
def retry(
    delivery: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="The deliveries' ids.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were given up.")] = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Send once more what was given up: the running watcher does it, or the next one that starts.

    Exit code 1 when nothing was queued.
    """
    if bool(delivery) == everything:
        raise ConfigError(
            "name deliveries, or all of them", where="ID", hint="`cryptowatcher deliveries retry --all`"
        )
    config, now = settings(config_file, data_dir), SystemClock().now()
    wanted = None if everything else delivery
    queued = change(config, lambda tx, _: tx.send_again(LOCAL_OWNER, ids=wanted, now=now, limit=MOST))
    note(f"{queued:,} queued once more")
    if not queued:
        raise typer.Exit(1)


def _alerts(tx: Tx, ids: set[str]) -> dict[str, Alert]:
    """The alerts of these ids. All ids have one length, so that id + "~" comes right after id."""
    newest = (tx.alerts(LOCAL_OWNER, limit=1, before=f"{id_}~") for id_ in ids)
    return {alert.id: alert for found in newest for alert in found}


def show(found: list[Delivery], about: Mapping[str, Alert]) -> None:
    """A table, in the order given."""
    rows = (
        (
            moment(each.created_at),
            about[each.alert].rule_name if each.alert in about else each.rule,
            about[each.alert].pair if each.alert in about else "",
            name_in(each.channel),
            Text("held" if each.is_held else each.state.replace("_", " "), style=STYLES.get(each.state, "")),
            str(each.attempts),
            moment(each.finished_at) if each.finished_at else f"due {moment(each.due_at)}",
            answer(each),
            each.alert,
        )
        for each in found
    )
    columns = ("Queued (UTC)", "Rule", "Pair", "Channel", "State", "Tries", "Finished (UTC)", "Answer", "Alert")
    table(columns, rows, right=("Tries",))


def answer(delivery: Delivery) -> str:
    """What the other side said, or why it was not asked (yet)."""
    if delivery.is_held:
        return f"held until {moment(delivery.held_until)}: {delivery.held}"
    return delivery.receipt or delivery.last_error
