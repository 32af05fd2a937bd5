"""`cryptowatcher export`: what is stored, as a Parquet or CSV file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from cryptowatcher.cli.options import ConfigFile, DataDir, new_app, pair_named, settings
from cryptowatcher.cli.output import note, now
from cryptowatcher.cli.replay import progress_bar
from cryptowatcher.cli.storage import read
from cryptowatcher.config import Config
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.intervals import INTERVALS, parse_duration
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.status import Price
from cryptowatcher.errors import ConfigError

app = new_app()

PAGE = 10_000
"""Rows read in one transaction, so that a running watcher is not kept waiting."""

What = Literal["candles", "prices", "alerts"]
TYPES: dict[str, type[msgspec.Struct]] = {"candles": Candle, "prices": Price, "alerts": Alert}
Progress = Callable[[int, int], None] | None


@app.command()
def export(
    what: Annotated[What, typer.Argument(help="What to write.")],
    file: Annotated[Path, typer.Argument(help="Ends in .parquet or .csv; an older one is replaced.")],
    pairs: Annotated[list[str] | None, typer.Option("--pair", "-p", help="Only this pair; repeatable.")] = None,
    interval: Annotated[
        Literal["1m", "5m", "1h", "1d"], typer.Option("--interval", "-i", help="Of the candles.")
    ] = "1m",
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION", help="How far back: 24h, 90d.")
    ] = None,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Write candles, prices or alerts to a file: a column a field, times in epoch milliseconds.

    The file appears when it is complete. Exit code 1 when there was nothing to write.
    """
    if file.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"{file.name!r} ends neither in .parquet nor in .csv", where="FILE")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {file.absolute().parent}", where="FILE")
    if file.is_dir():
        raise ConfigError(f"{file} is a folder", where="FILE")
    wanted = [pair_named(pair, where="--pair") for pair in pairs or ()]
    start = now() - parse_duration(since, where="--since") if since else 0
    config = settings(config_file, data_dir)
    try:
        with progress_bar(f"export {what}") as progress:
            blocks = _blocks(config, what, wanted, INTERVALS[interval], start, progress)
            rows = write(file, TYPES[what], blocks)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}", where="FILE") from None
    note(f"{rows:,} {what} written to {file}" if rows else f"there are no {what} to write")
    if not rows:
        raise typer.Exit(1)


def _blocks(
    config: Config, what: What, pairs: Sequence[str], interval: int, start: int, progress: Progress
) -> Iterator[Sequence[msgspec.Struct]]:
    """What is to be written, in pieces that fit in memory."""
    if what == "prices":
        prices = read(config, lambda tx: tx.prices(pairs or None))
        yield [price for price in prices if price.observed_at >= start]
    elif what == "alerts":
        yield from _alerts(config, pairs, start)
    else:
        names = pairs or sorted(price.pair for price in read(config, lambda tx: tx.prices()))
        for number, pair in enumerate(names):
            yield from _candles(config, pair, interval, start)
            if progress:
                progress(number + 1, len(names))


def _candles(config: Config, pair: str, interval: int, start: int) -> Iterator[list[Candle]]:
    """One pair's candles, the newest page first; oldest first within a page."""

    def page(end: int) -> list[Candle]:
        return read(config, lambda tx: tx.candles(pair, interval, start=start, end=end, limit=PAGE))

    found = page(now() + interval)
    while found:
        yield found
        found = page(found[0].start)


def _alerts(config: Config, pairs: Sequence[str], start: int) -> Iterator[list[Alert]]:
    """Newest first."""

    def page(before: str | None) -> list[Alert]:
        return read(config, lambda tx: tx.alerts(LOCAL_OWNER, limit=PAGE, before=before))

    found = page(None)
    while found:
        yield [alert for alert in found if alert.event_time >= start and (not pairs or alert.pair in pairs)]
        found = page(found[-1].id)


def write(file: Path, type_: type[msgspec.Struct], blocks: Iterator[Sequence[msgspec.Struct]]) -> int:
    """All blocks into one file, at once or not at all; returns the number of rows."""
    import polars as pl

    rows = 0
    with tempfile.TemporaryDirectory(prefix=".export-", dir=file.absolute().parent) as folder:
        parts: list[Path] = []
        for block in blocks:
            if block:
                rows += len(block)
                parts.append(Path(folder) / f"{len(parts):06d}.parquet")
                pl.DataFrame(_columns(type_, block), schema=_schema(type_)).write_parquet(parts[-1])
        if not rows:
            return 0
        whole = Path(folder) / file.name
        lazy = pl.scan_parquet(parts)
        if file.suffix == ".csv":
            lazy.sink_csv(whole)
        else:
            lazy.sink_parquet(whole, compression="zstd")
        os.replace(whole, file)
    return rows


def _columns(type_: type[msgspec.Struct], block: Sequence[msgspec.Struct]) -> dict[str, list[Any]]:
    names = type_.__struct_fields__
    return {name: [_cell(getattr(row, name)) for row in block] for name in names}


def _cell(value: Any) -> Any:
    """Lists of texts are one text, so that CSV can hold them too."""
    return " ".join(value) if isinstance(value, tuple) else value


def _schema(type_: type[msgspec.Struct]) -> dict[str, Any]:
    """The column types, so that a block of unknown values has the same ones as any other."""
    import polars as pl

    known = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64}
    schema = {}
    for field in msgspec.structs.fields(type_):
        options = getattr(field.type, "__args__", (field.type,))
        schema[field.name] = next((known[option] for option in options if option in known), pl.String)
    return schema
