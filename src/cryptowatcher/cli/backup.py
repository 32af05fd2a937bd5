"""`cryptowatcher backup`: a consistent copy of everything, while the watcher runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.backup.manifest import Backup, Manifest
from cryptowatcher.backup.manifest import Progress as Report
from cryptowatcher.backup.take import default_target, take
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import as_json, counted, moment, note

app = new_app()

POSTGRES = """\
The store is in PostgreSQL and not in this backup: dump it with pg_dump, before this command and not after it, so
that the journal reaches at least as far as the dump."""


class Taken(msgspec.Struct, frozen=True):
    """What --json says. `size`: bytes."""

    path: str
    size: int
    manifest: Manifest


@app.command()
def backup(
    to: Annotated[
        Path | None,
        typer.Argument(help="Folder that the backup is put into; without it DATA-backups beside the data folder."),
    ] = None,
    keep: Annotated[
        int, typer.Option("--keep", min=0, help="Afterwards keep only so many of this data folder; 0 keeps all.")
    ] = 0,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """A consistent, verified copy of store, journal and configuration. The watcher may run, and goes on.

    It is a folder of its own, which gets its name when it is complete. Keep it as safe as the data: it holds
    rules, alerts and the configuration, but not the files and variables in which secrets stand.
    """
    config = settings(config_file, data_dir)
    with progress_bar() as progress:
        made = take(config, to or default_target(config), clock=SystemClock(), progress=progress, keep=keep)
    if json:
        as_json(Taken(str(made.path), made.size, made.manifest))
    else:
        print(made.path)
        note(told(made))


def told(made: Backup) -> str:
    """What is in it, and what is not."""
    manifest = made.manifest
    lines = [
        f"{made.size / 1e6:,.1f} MB; records up to {manifest.journal.head}, {_time(manifest.journal.head_at)}"
    ]
    if manifest.store is None:
        lines.append(POSTGRES)
    elif manifest.store.unsent:
        lines.append(f"{counted(manifest.store.unsent, 'message')} waited to be sent then")
    if manifest.secrets:
        lines.append(f"not in it, keep them elsewhere: {', '.join(manifest.secrets)}")
    return "\n".join(lines)


def _time(at: int) -> str:
    return f"{moment(at)} UTC" if at else "nothing yet"


@contextmanager
def progress_bar() -> Iterator[Report]:
    """Draws a bar for each thing that is done, on standard error when that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, of: None
        return
    columns = (TextColumn("{task.description:20}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def report(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=of)

        yield report
