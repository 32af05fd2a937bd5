"""Recorded candles through the very same watcher, at full speed: which alerts would have been sent.

A candle counts as one observation: its close, at the time the candle ends. Observations stay valid for three
intervals. Files are Parquet with columns `ts` (candle begin: UTC datetime or epoch ms) and `close`, optionally
`volume`, and optionally `symbol` or `pair` where one file holds several pairs; a file without one is a single
pair, named after its file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.intervals import show_duration
from cryptowatcher.domain.pairs import pair_of
from cryptowatcher.domain.records import Record, Ticks
from cryptowatcher.domain.rules.language import check_spec, parse
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec, rule_id
from cryptowatcher.domain.rules.series import journal_times, run_series
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch
from cryptowatcher.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

VALID_INTERVALS = 3
_QUOTED = "^(.+)(usdt|usdc|fdusd|busd|usd|eur|btc|eth)$"


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay gave. `seconds` is the time spent stepping, without reading the files."""

    alerts: tuple[Alert, ...]
    ticks: int
    pairs: int
    seconds: float
    first: int
    last: int


def replay(
    files: Sequence[Path],
    rules: Sequence[RuleSpec],
    *,
    progress: Callable[[int, int], None] | None = None,
    pair: str | None = None,
) -> ReplayResult:
    """Run these rules over these files. Raises ConfigError for a rule or a file that cannot be used.

    pair: what the pair of files without a column for it is called
    """
    wanted = rules_of(rules)
    batch = read_candles(files, pair=pair)
    for rule in wanted:
        _check_window(rule, interval=batch.valid_for // VALID_INTERVALS)
    started = time.perf_counter()
    alerts = run_series(wanted, batch, progress=progress)
    return ReplayResult(
        alerts=tuple(alerts),
        ticks=len(batch),
        pairs=len(batch.pairs),
        seconds=time.perf_counter() - started,
        first=int(batch.observed_at.min(initial=0)),
        last=int(batch.observed_at.max(initial=0)),
    )


def _check_window(rule: Rule, *, interval: int) -> None:
    """A window of less than two candles says nothing: better no answer than "it would not have fired"."""
    condition = parse(rule.spec.when)
    if 0 < condition.feature.window < 2 * interval:
        message = f"{condition.feature} cannot be judged on candles of {show_duration(interval)}"
        hint = f"use a window of {show_duration(2 * interval)} or more, or finer candles"
        raise ConfigError(message, where=f"rule {rule.spec.name!r}", hint=hint)


def rules_of(specs: Iterable[RuleSpec]) -> list[Rule]:
    """The first version of these rules. ConfigError for one that is wrong, and for two of the same name."""
    rules: dict[str, Rule] = {}
    for spec in specs:
        check_spec(spec)
        rule = Rule(id=rule_id(LOCAL_OWNER, spec.name), owner=LOCAL_OWNER, version=1, spec=spec)
        if rule.id in rules:
            raise ConfigError(f"two rules are named {spec.name!r}", where="name")
        rules[rule.id] = rule
    return [*rules.values()]


def records(batch: TickBatch) -> Iterator[Record]:
    """A long batch as a journal whose time is that of the observations: a record for each instant. To step a
    watcher through it gives the alerts of a replay too, slowly."""
    times = journal_times(batch).tolist()
    for number, (at, instant) in enumerate(zip(times, batch.instants(), strict=True), start=1):
        yield Record(seq=number, at=at, writer="replay", number=number, body=Ticks(instant))


def read_candles(files: Sequence[Path], *, pair: str | None = None) -> TickBatch:
    """All files as one batch: an instant for each moment at which candles end."""
    import polars as pl

    if not files:
        raise ConfigError("there is no file to replay")
    frames = [_read(path, pair) for path in files]
    names = pl.concat([frame["pair"].unique() for frame in frames]).unique().sort()
    kind = pl.Enum(names)
    coded = [frame.with_columns(pl.col("pair").cast(kind).to_physical()) for frame in frames]
    at, code, close = _in_order(pl.concat(coded))
    return TickBatch(
        source="replay",
        pairs=tuple(names.to_list()),
        pair=code,
        price=close,
        volume=np.full(len(at), np.nan),
        market_cap=np.full(len(at), np.nan),
        observed_at=at,
        starts=np.concatenate([[0], np.flatnonzero(np.diff(at)) + 1]).astype(np.int64),
        received_at=int(at[-1]),
        valid_for=VALID_INTERVALS * max(int(frame["interval"][0]) for frame in frames),
    )


def _in_order(table: pl.DataFrame) -> tuple[Ints, Ints, Floats]:
    """Time, pair and close by (time, pair). Of several for the same time and pair the last one given counts."""
    at = table["at"].to_numpy().astype(np.int64)
    code = table["pair"].to_numpy().astype(np.int64)
    order = np.lexsort((code, at))  # keeps the order of equals
    at, code, close = at[order], code[order], table["close"].to_numpy()[order]
    last = np.append((np.diff(at) != 0) | (np.diff(code) != 0), True)
    return at[last], code[last], close[last]


def _read(path: Path, pair: str | None) -> pl.DataFrame:
    """One file as (at, pair, close, interval); rows without a usable close are left out."""
    import polars as pl

    try:
        table = _columns(path, pair or pair_of(path.stem.lower().replace(" ", "-"), "usd"))
    except (OSError, pl.exceptions.PolarsError) as error:
        hint = "replay reads Parquet files of candles"
        raise ConfigError(f"cannot be read: {error}".splitlines()[0], where=str(path), hint=hint) from None
    if table.is_empty():
        raise ConfigError("there is no candle with a usable close", where=str(path))
    steps = table.group_by("pair").agg(pl.col("ts").sort().diff()).explode("ts")["ts"]
    usual = steps.filter(steps > 0).mode().min()
    interval = int(usual) if isinstance(usual, int) else 60_000
    return table.select((pl.col("ts") + interval).alias("at"), "pair", "close", pl.lit(interval).alias("interval"))


def _columns(path: Path, alone: str) -> pl.DataFrame:
    """What a file says of (ts, pair, close), epoch ms, where the close is usable. `alone`: the pair of a file
    that does not say."""
    import polars as pl

    there = pl.read_parquet_schema(path)
    missing = [name for name in ("ts", "close") if name not in there]
    if missing:
        hint = "needed: ts, close; optional: symbol or pair"
        raise ConfigError(f"there is no column `{missing[0]}`", where=str(path), hint=hint)
    key = [name for name in ("pair", "symbol") if name in there][:1]
    table = pl.read_parquet(path, columns=["ts", "close", *key]).drop_nulls()
    table = table.with_columns(
        pl.col("ts").cast(pl.Datetime("ms")).dt.epoch("ms"),
        pl.col("close").cast(pl.Float64),
        pl.col(key[0]).cast(pl.String).alias("pair") if key else pl.lit(alone).alias("pair"),
    ).filter(pl.col("close").is_finite() & (pl.col("close") > 0))
    if not key:
        return table
    # There are few names and many rows.
    names = table.select(pl.col("pair").unique())
    pairs = names.select(_pair_names(pl.col("pair")))
    return table.with_columns(pl.col("pair").replace_strict(names["pair"], pairs["pair"]))


def _pair_names(column: pl.Expr) -> pl.Expr:
    """`bitcoin/usd` stays; `BTCUSDT` becomes `btc/usdt`; anything else is priced in usd."""
    import polars as pl

    name = column.str.to_lowercase()
    return (
        pl.when(name.str.contains("/"))
        .then(name)
        .when(name.str.contains(_QUOTED))
        .then(name.str.replace(_QUOTED, "${1}/${2}"))
        .otherwise(name + "/usd")
        .alias("pair")
    )
