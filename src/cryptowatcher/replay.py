"""Recorded candles through the very same watcher, at full speed: which alerts would have been sent.

A candle counts as one observation: its close, at the time the candle ends. Observations stay valid for three
intervals. Files are Parquet with columns `ts` or `start` (candle begin: UTC datetime or epoch ms) and `close`;
`volume` (what was traded), `high` and `low` where they are known; and optionally `symbol` or `pair` where one file
holds several pairs; a file without one is a single pair, named after its file. Where a column `interval` (ms, or
text like `5m`) says that there are candles of several lengths, the shortest ones of each pair count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.hindsight import Extremes, History, too_coarse
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.pairs import ALL, pair_of
from cryptowatcher.domain.records import Record, Ticks
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec, rule_id
from cryptowatcher.domain.rules.series import journal_times, run_series
from cryptowatcher.domain.rules.watchlists import members_of, pairs_of
from cryptowatcher.domain.texts import show_time
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch
from cryptowatcher.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

VALID_INTERVALS = 3
NUMBERS = ("close", "high", "low", "volume")
"""Columns of a candle; the first is needed."""
_QUOTED = "^(.+)(usdt|usdc|fdusd|busd|usd|eur|btc|eth)$"


class Recorded(msgspec.Struct, frozen=True, eq=False):
    """Candles as observations, n of them.

    batch:     closes, an instant for each moment at which candles end
    traded:    n volumes, NaN where the files do not say
    high, low: n each, NaN where the files do not say
    candle:    length of the longest candles, ms
    """

    batch: TickBatch
    traded: Floats
    high: Floats
    low: Floats
    candle: int


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay gave. `seconds` is the time spent stepping, without reading the files; `idle` has a sentence
    for each rule that names none of the pairs."""

    alerts: tuple[Alert, ...]
    ticks: int
    pairs: int
    seconds: float
    first: int
    last: int
    idle: tuple[str, ...] = ()


def replay(
    files: Sequence[Path],
    rules: Sequence[RuleSpec],
    *,
    lists: Mapping[str, Sequence[str]] = MappingProxyType({}),
    progress: Callable[[int, int], None] | None = None,
    pair: str | None = None,
) -> ReplayResult:
    """Run these rules over these files. Raises ConfigError for a rule or a file that cannot be used.

    lists: pairs by name, for rules that are on `list(name)`
    pair: what the pair of files without a column for it is called
    """
    wanted = rules_of(rules, lists)
    recorded = read_recorded(files, pair=pair)
    batch = recorded.batch
    idle = _idle(wanted, batch.pairs)
    for rule in wanted:
        reason = too_coarse(parse(rule.spec.when), recorded.candle)
        if reason:
            hint = "use longer windows and intervals, or finer candles"
            raise ConfigError(reason, where=f"rule {rule.spec.name!r}", hint=hint)
    started = time.perf_counter()
    alerts = run_series(wanted, batch, traded=recorded.traded, progress=progress)
    return ReplayResult(
        alerts=tuple(alerts),
        ticks=len(batch),
        pairs=len(batch.pairs),
        seconds=time.perf_counter() - started,
        first=int(batch.observed_at.min(initial=0)),
        last=int(batch.observed_at.max(initial=0)),
        idle=idle,
    )


def _idle(rules: Sequence[Rule], pairs: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence for each rule that names none of the pairs. ConfigError when all are such: that nothing fired
    would say nothing about them."""
    there = ", ".join(pairs[:5]) + (f" and {len(pairs) - 5} more" if len(pairs) > 5 else "")
    idle = [rule for rule in rules if rule.spec.pairs != (ALL,) and not set(pairs_of(rule)) & set(pairs)]
    said = tuple(f"rule {rule.spec.name!r} names none of the pairs: {there}" for rule in idle)
    if rules and len(idle) == len(rules):
        raise ConfigError(
            "\n".join(said), hint="rules name pairs as the files do; --pair names that of a file that does not say"
        )
    return said


def rules_of(specs: Iterable[RuleSpec], lists: Mapping[str, Sequence[str]] = MappingProxyType({})) -> list[Rule]:
    """The first version of these rules. ConfigError for one that is wrong, and for two of the same name."""
    rules: dict[str, Rule] = {}
    for spec in specs:
        check_spec(spec, stands=True)
        rule = Rule(
            id=rule_id(LOCAL_OWNER, spec.name),
            owner=LOCAL_OWNER,
            version=1,
            spec=spec,
            members=members_of(spec, lists),
        )
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


def history_of(recorded: Recorded, pairs: Sequence[str], *, since: int = 0) -> History:
    """What a rule that looks at these pairs is tried on. What was before `since` (epoch ms) is left out."""
    batch = recorded.batch
    kept = np.isin(batch.pair, [number for number, pair in enumerate(batch.pairs) if pair in pairs])
    rows = np.flatnonzero(kept & (batch.observed_at >= since))
    at = batch.observed_at[rows]
    few = msgspec.structs.replace(
        batch,
        pair=batch.pair[rows],
        price=batch.price[rows],
        volume=batch.volume[rows],
        market_cap=batch.market_cap[rows],
        observed_at=at,
        starts=np.flatnonzero(np.diff(at, prepend=at[:1] - 1)),
    ).compact()
    high, low = recorded.high[rows], recorded.low[rows]
    said = np.isfinite(high).any() or np.isfinite(low).any()
    extremes = Extremes(np.fmax(high, few.price), np.fmin(low, few.price)) if said else None
    return History(few, candles=recorded.candle, extremes=extremes, traded=recorded.traded[rows])


def read_candles(files: Sequence[Path], *, pair: str | None = None) -> TickBatch:
    """The closes of all files as one batch: an instant for each moment at which candles end."""
    return read_recorded(files, pair=pair).batch


def read_recorded(files: Sequence[Path], *, pair: str | None = None) -> Recorded:
    """All files together. ConfigError for one that cannot be used."""
    import polars as pl

    if not files:
        raise ConfigError("there is no file to replay")
    frames = [_read(path, pair) for path in files]
    _check_same(files, frames)
    names = pl.concat([frame["pair"].unique() for frame in frames]).unique().sort()
    kind = pl.Enum(names)
    coded = [frame.with_columns(pl.col("pair").cast(kind).to_physical()) for frame in frames]
    at, code, (close, high, low, traded) = _in_order(pl.concat(coded))
    candle = max(int(frame["interval"].to_numpy().max()) for frame in frames)
    batch = TickBatch(
        source="replay",
        pairs=tuple(names.to_list()),
        pair=code,
        price=close,
        volume=np.full(len(at), np.nan),
        market_cap=np.full(len(at), np.nan),
        observed_at=at,
        starts=np.concatenate([[0], np.flatnonzero(np.diff(at)) + 1]).astype(np.int64),
        received_at=int(at[-1]),
        valid_for=VALID_INTERVALS * candle,
    )
    return Recorded(batch, traded, high, low, candle)


def _check_same(files: Sequence[Path], frames: Sequence[pl.DataFrame]) -> None:
    """ConfigError when files that do not say which pair they hold would be one pair with two closes at a time:
    they are most likely different coins."""
    import polars as pl

    merged: dict[str, pl.DataFrame] = {}
    for path, frame in zip(files, frames, strict=True):
        if frame["named"][0]:
            continue
        pair = str(frame["pair"][0])
        rows = frame.select("at", "close").unique("at", keep="last")
        if pair not in merged:
            merged[pair] = rows
            continue
        both = rows.join(merged[pair], on="at", suffix="_before")
        unlike = both.filter(pl.col("close") != pl.col("close_before"))["at"].min()
        if isinstance(unlike, int):
            message = f"it would be {pair} like a file before it, and has another close at {show_time(unlike)}"
            hint = "replay one coin's files at a time, or give them a column `pair`"
            raise ConfigError(message, where=str(path), hint=hint)
        merged[pair] = pl.concat([merged[pair], rows]).unique("at")


def _in_order(table: pl.DataFrame) -> tuple[Ints, Ints, list[Floats]]:
    """Time, pair and the numbers by (time, pair). Of several for the same place the last one given counts."""
    at = table["at"].to_numpy().astype(np.int64)
    code = table["pair"].to_numpy().astype(np.int64)
    order = np.lexsort((code, at))  # keeps the order of equals
    at, code = at[order], code[order]
    last = np.append((np.diff(at) != 0) | (np.diff(code) != 0), True)
    return at[last], code[last], [table[name].to_numpy()[order][last] for name in NUMBERS]


def _read(path: Path, pair: str | None) -> pl.DataFrame:
    """One file as (at, pair, NUMBERS, interval, named): `named` where the file itself says the pair. Rows without
    a usable close are left out."""
    import polars as pl

    try:
        table = _columns(path, pair or pair_of(path.stem.lower().replace(" ", "-"), "usd"))
    except (OSError, pl.exceptions.PolarsError) as error:
        hint = "replay reads Parquet files of candles"
        raise ConfigError(f"cannot be read: {error}".splitlines()[0], where=str(path), hint=hint) from None
    if table.is_empty():
        raise ConfigError("there is no candle with a usable close", where=str(path))
    if "interval" not in table.columns:
        table = table.with_columns(pl.lit(_usual_step(table)).alias("interval"))
    return table.select((pl.col("ts") + pl.col("interval")).alias("at"), "pair", *NUMBERS, "interval", "named")


def _usual_step(table: pl.DataFrame) -> int:
    """How long the candles are, by the times between them; a minute where there is one candle."""
    import polars as pl

    steps = table.group_by("pair").agg(pl.col("ts").sort().diff()).explode("ts")["ts"]
    usual = steps.filter(steps > 0).mode().min()
    return int(usual) if isinstance(usual, int) else 60_000


def _lengths(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The column `interval` in ms. ConfigError for what is no length of a candle."""
    import polars as pl

    said = table["interval"]
    hint = "write it in milliseconds or like 5m, or leave the column out"
    if said.dtype == pl.String:
        lengths = {text: parse_duration(text, where=f"{path}: interval") for text in said.unique()}
        table = table.with_columns(pl.col("interval").replace_strict(lengths, return_dtype=pl.Int64))
    elif not said.dtype.is_integer():
        raise ConfigError("the column `interval` is not the length of a candle", where=str(path), hint=hint)
    table = table.with_columns(pl.col("interval").cast(pl.Int64))
    shortest = table["interval"].min()
    if isinstance(shortest, int) and shortest < 1000:
        raise ConfigError(f"the column `interval` says {shortest} ms", where=str(path), hint=hint)
    return table


def _columns(path: Path, alone: str) -> pl.DataFrame:
    """What a file says of (ts, pair, close, named, perhaps interval), epoch ms, where the close is usable.
    `alone`: the pair of a file that does not say."""
    import polars as pl

    there = pl.read_parquet_schema(path)
    begin = "start" if "ts" not in there and "start" in there else "ts"
    missing = [name for name in (begin, "close") if name not in there]
    if missing:
        hint = "needed: ts or start, close; optional: symbol or pair, interval, high, low, volume"
        raise ConfigError(f"there is no column `{missing[0]}`", where=str(path), hint=hint)
    key = [name for name in ("pair", "symbol") if name in there][:1]
    length = ["interval"] if "interval" in there else []
    more = [name for name in NUMBERS[1:] if name in there]
    needed = [begin, "close", *key, *length]
    table = pl.read_parquet(path, columns=[*needed, *more]).drop_nulls(needed).rename({begin: "ts"})
    table = table.with_columns(
        *(
            (pl.col(name) if name in more else pl.lit(None)).cast(pl.Float64).fill_null(np.nan).alias(name)
            for name in NUMBERS[1:]
        ),
        pl.lit(bool(key)).alias("named"),
        pl.col("ts").cast(pl.Datetime("ms")).dt.epoch("ms"),
        pl.col("close").cast(pl.Float64),
        pl.col(key[0]).cast(pl.String).alias("pair") if key else pl.lit(alone).alias("pair"),
    ).filter(pl.col("close").is_finite() & (pl.col("close") > 0))
    if key:  # there are few names and many rows
        names = table.select(pl.col("pair").unique())
        pairs = names.select(_pair_names(pl.col("pair")))
        table = table.with_columns(pl.col("pair").replace_strict(names["pair"], pairs["pair"]))
    if length:
        table = _lengths(table, path).filter(pl.col("interval") == pl.col("interval").min().over("pair"))
    return table


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
