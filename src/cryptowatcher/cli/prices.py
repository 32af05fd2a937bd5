"""`cryptowatcher prices`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, pair_named, settings
from cryptowatcher.cli.output import age, as_json, large, note, now, table
from cryptowatcher.cli.sources import note_unwatched, sentence
from cryptowatcher.cli.storage import read
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.texts import show_price

app = new_app()


@app.command()
def prices(
    pairs: Annotated[list[str] | None, typer.Argument(help="Only these: bitcoin, ethereum/usd, …")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 is all.")] = 0,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """The newest price of each pair, largest market cap first. Exit code 1 when a price is not known.

    With --json one document: a list of prices, times in epoch milliseconds.
    """
    wanted = [pair_named(pair) for pair in pairs or ()]
    config = settings(config_file, data_dir)
    known, sources = read(config, lambda tx: (tx.prices(wanted or None), tx.source_statuses()))
    troubled = [status for status in sources if status.state != "ok"]
    missing = [pair for pair in wanted if pair not in {price.pair for price in known}]
    shown = known[:limit] if limit else known
    if json:
        as_json(shown)
    elif shown:
        show(shown, now())
    for pair in missing:
        note(f"{pair} has not been observed")
    for status in troubled:
        note(sentence(status))
    if troubled:
        note_unwatched(config)
    if not known and not missing and not troubled:
        note("no price has been observed yet: start `cryptowatcher run`")
    if missing or not known:
        raise typer.Exit(1)


def show(found: list[Price], at: int) -> None:
    """A table; what is no longer current is dim."""
    rows = (
        [
            Text(cell, style="" if at <= price.valid_until else "dim")
            for cell in (
                price.pair,
                show_price(price.price),
                large(price.volume_24h),
                large(price.market_cap),
                age(max(0, at - price.observed_at)) + ("" if at <= price.valid_until else " (stale)"),
                price.source,
            )
        ]
        for price in found
    )
    table(
        ("Pair", "Price", "24h volume", "Market cap", "Age", "Source"),
        rows,
        right=("Price", "24h volume", "Market cap"),
    )
