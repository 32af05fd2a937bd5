"""`cryptowatcher deliveries`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.text import Text

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import as_json, moment, note, table
from cryptowatcher.cli.storage import read
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.rules.model import LOCAL_OWNER

app = new_app()

State = Literal["queued", "leased", "retrying", "sent", "given_up", "cancelled"]
STYLES = {"sent": "green", "given_up": "red", "retrying": "yellow", "cancelled": "dim"}


@app.command()
def deliveries(
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
    config = settings(config_file, data_dir)
    found = read(
        config, lambda tx: tx.deliveries(LOCAL_OWNER, limit=limit, before=before, state=state, alert=alert)
    )
    if json:
        as_json(found)
    elif found:
        show(found)
    else:
        note("no deliveries")


def show(found: list[Delivery]) -> None:
    """A table, in the order given."""
    rows = (
        (
            moment(each.created_at),
            each.channel,
            Text(each.state.replace("_", " "), style=STYLES.get(each.state, "")),
            str(each.attempts),
            moment(each.finished_at) if each.finished_at else f"due {moment(each.due_at)}",
            each.receipt or each.last_error,
            each.alert,
        )
        for each in found
    )
    table(
        ("Queued (UTC)", "Channel", "State", "Tries", "Finished (UTC)", "Answer", "Alert"), rows, right=("Tries",)
    )
