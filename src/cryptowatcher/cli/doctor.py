"""`cryptowatcher doctor`: look for what is or will be wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cryptowatcher import logs
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import as_json, console
from cryptowatcher.doctor import examine
from cryptowatcher.doctor.findings import Case, State, Told
from cryptowatcher.domain.texts import plain
from cryptowatcher.errors import ConfigError

app = new_app()

MARKS: dict[State, tuple[str, str]] = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "wrong": ("✗", "red")}


@app.command()
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody over the network.")] = False,
    pre_update: Annotated[
        bool, typer.Option("--pre-update", help="Also what must hold before another release is started.")
    ] = False,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Look for what is or will be wrong: files, disk, clock, reachability, settings. Nothing is changed or sent,
    and the watcher may run.

    Exit code 1 when something is wrong, 0 otherwise, also with warnings. With --json one document: a list of
    findings.
    """
    logs.set_up(level="error")
    found: list[Told] = []
    for told in _findings(config_file, data_dir, offline=offline, pre_update=pre_update):
        if not json:
            show(told, first=not found or found[-1].section != told.section)
        found.append(told)
    if json:
        as_json(found)
    if any(told.state == "wrong" for told in found):
        raise typer.Exit(1)


def _findings(
    config_file: Path | None, data_dir: Path | None, *, offline: bool, pre_update: bool
) -> Iterator[Told]:
    try:
        config = settings(config_file, data_dir)
    except ConfigError as error:
        said = ": ".join(filter(None, (error.where, error.message)))
        todo = f"{error.hint or 'change it'}; nothing else is looked at before"
        yield Told("settings", "configuration", "wrong", said, todo)
        return
    case = Case(config=config, clock=SystemClock(), environ=os.environ)
    yield from examine(case, offline=offline, pre_update=pre_update)


def show(told: Told, *, first: bool) -> None:
    """A line, under the name of its section when it is the first there; below it what to do."""
    out = console()
    if first:
        out.print(Text(told.section, style="bold"), soft_wrap=True)
    mark, style = MARKS[told.state]
    out.print(Text.assemble("  ", (mark, style), f" {told.name}: {plain(told.said)}"), soft_wrap=True)
    if told.todo:
        out.print(Text(f"    → {plain(told.todo)}"), soft_wrap=True)
