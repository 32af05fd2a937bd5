"""`cryptowatcher candles`."""

from __future__ import annotations

import shutil
from typing import Annotated, Literal

import typer

from cryptowatcher.cli.chart import draw
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, pair_named, settings
from cryptowatcher.cli.output import as_json, console, moment, note, now
from cryptowatcher.cli.storage import read
from cryptowatcher.domain.intervals import INTERVALS, parse_duration
from cryptowatcher.domain.texts import show_price

app = new_app()


@app.command()
def candles(
    pair: Annotated[str, typer.Argument(help="bitcoin, ethereum/usd, …")],
    interval: Annotated[Literal["1m", "5m", "1h", "1d"], typer.Option("--interval", "-i")] = "1m",
    since: Annotated[str | None, typer.Option("--since", metavar="DURATION", help="How far back: 6h, 7d.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = None,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """A pair's candles as a chart in the terminal. Exit code 1 when there are none.

    Without --since and --limit as many as fit beside each other; with --json the newest 1000. With --json one
    document: a list of candles, oldest first, times in epoch milliseconds.
    """
    name = pair_named(pair)
    end = now() + INTERVALS[interval]
    start = end - parse_duration(since, where="--since") if since else 0
    width = shutil.get_terminal_size().columns - 16
    count = limit or (1000 if json else max(10, width))
    config = settings(config_file, data_dir)
    found = read(config, lambda tx: tx.candles(name, INTERVALS[interval], start=start, end=end, limit=count))
    if json:
        as_json(found)
    elif found:
        first, last = found[0], found[-1]
        console().print(f"{name} {interval}   {moment(first.start)} … {moment(last.start)} UTC")
        console().print(draw(found[-max(10, width) :], height=16, label=show_price))
        covered = sum(each.observed_ms for each in found) / (INTERVALS[interval] * len(found))
        console().print(
            f"{len(found)} candles, observed {covered:.0%} of their time, last close {show_price(last.close)}"
        )
    if not found:
        note(f"no candles of {name} are stored for that time")
        raise typer.Exit(1)
