"""`cryptowatcher sources`: can each source see, and if not, why."""

from __future__ import annotations

import typer
from rich.text import Text

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import as_json, moment, note, table
from cryptowatcher.cli.storage import read
from cryptowatcher.config import Config
from cryptowatcher.domain.status import SourceStatus
from cryptowatcher.supervise import is_watched

app = new_app()

STYLES = {"ok": "green", "limited": "yellow", "blind": "red"}


@app.command()
def sources(json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """The sources and what they see, as the watcher last wrote it down. Exit code 1 when one is blind or none is
    known.

    With --json one document: a list of source states with the pairs they cannot see, times in epoch milliseconds.
    """
    config = settings(config_file, data_dir)
    found = read(config, lambda tx: tx.source_statuses())
    if json:
        as_json(found)
    elif found:
        show(found)
        for status in found:
            if status.history:
                note(f"{status.source}: {status.history}")
    else:
        note("no source has been asked yet: start `cryptowatcher run`")
    if found:
        note_unwatched(config)
    if not found or any(status.state == "blind" for status in found):
        raise typer.Exit(1)


def show(found: list[SourceStatus]) -> None:
    """A table, in the order given."""
    rows = (
        (
            status.source,
            Text(status.state, style=STYLES.get(status.state, "")),
            status.detail or status.reason,
            moment(status.since),
            str(status.pairs),
            str(len(status.blind_pairs)),
            _of(status.calls_this_minute, status.calls_per_minute or None),
            _of(status.calls_this_month, status.calls_per_month),
        )
        for status in found
    )
    numbers = ("Pairs", "Not seen", "Calls/min", "Calls/month")
    table(("Source", "State", "Reason", "Since (UTC)", *numbers), rows, right=numbers)


def note_unwatched(config: Config) -> None:
    """Say so where no watcher is running: what is known of the sources is then how it was when it stopped."""
    if not is_watched(config.data_dir):
        note(f"no watcher is running on {config.data_dir}: this is how it was when it stopped")


def sentence(status: SourceStatus) -> str:
    """`coingecko is blind since 2026-11-22 11:26:18 UTC: rate_limited, …`."""
    why = ", ".join(filter(None, (status.reason, status.detail)))
    return f"{status.source} is {status.state} since {moment(status.since)} UTC{why and ': '}{why}"


def _of(used: int, most: int | None) -> str:
    return f"{used:,}" if most is None else f"{used:,} of {most:,}"
