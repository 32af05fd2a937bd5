"""Trying a rule on 90 days of one coin's minutes, beside a polars script that computes the same condition.

    python benchmarks/bench_preview.py

The script is what one would write: closes shifted and rolled, the hours' RSI by an exponential mean, joined. It
does `for`, the edges and what the price did after each, but no cooldown, no re-arm band and no comparison with
random moments. Both should find the same edges of the condition, and the table says how many they do. The
definitions differ a little: what 24 hours are (ours begin on a grid of 5 minutes), and where the RSI begins.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from benchmarks.bench_replay import minutes
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.hindsight import History
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.previewing import Trial, stored_history, try_rule

GOAL_MS = 100.0
ROUNDS = 15
COIN = "coin/usd"
RULE = RuleSpec(
    name="tried",
    pairs=(COIN,),
    when="(change(5m) <= -1% or drawdown(24h) > 5%) and rsi(14, 1h) < 45",
    for_="2m",
    cooldown="1h",
    advice="buy",
)
EDGES = msgspec.structs.replace(RULE, for_="0s", cooldown="0s", rearm="0%")


def by_polars(closes: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """Where the condition turns true, and what the price did after it had been so for two minutes."""
    hours = (
        closes.group_by_dynamic("time", every="1h", closed="right", label="right")
        .agg(pl.col("close").last())
        .with_columns(pl.col("close").diff().alias("move"))
        .with_columns(
            *(
                side.ewm_mean(alpha=1 / 14, adjust=False, min_samples=15).alias(name)
                for name, side in (("up", pl.col("move").clip(0)), ("down", (-pl.col("move")).clip(0)))
            )
        )
        .select("time", (100 * pl.col("up") / (pl.col("up") + pl.col("down"))).alias("rsi"))
    )
    close, high = pl.col("close"), pl.col("close").rolling_max(1440)
    either = (close / close.shift(5) - 1 <= -0.01) | ((high - close) / high > 0.05)
    so = closes.join_asof(hours, on="time").with_columns((either & (pl.col("rsi") < 45)).alias("so"))
    held = pl.col("so") & pl.col("so").shift(1) & pl.col("so").shift(2) & ~pl.col("so").shift(3)
    after = so.select(
        "time",
        held.alias("held"),
        *((close.shift(-minutes) / close - 1).alias(f"{minutes}m") for minutes in (60, 1440, 10_080)),
    ).filter("held")
    return so.filter(pl.col("so") & ~pl.col("so").shift(1))["time"], after


def agreement(batch: TickBatch, closes: pl.DataFrame) -> tuple[int, int, int]:
    """Edges that both find, and that only one does: ours, and the script's."""
    ours = {fired.time for fired in try_rule(EDGES, History(batch, candles=MS["m"]), COIN).preview.firings}
    theirs = set(by_polars(closes)[0].dt.epoch("ms").to_list())
    return len(ours & theirs), len(ours - theirs), len(theirs - ours)


def median(run: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds: the median of the rounds, and the quickest."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        run()
        took.append(1_000 * (time.perf_counter() - began))
    return float(np.median(took)), min(took)


async def reading(batch: TickBatch, folder: Path) -> tuple[float, float]:
    """How long it takes to read the same minutes from a store."""
    candles = [
        Candle(pair=COIN, interval=MS["m"], start=end - MS["m"], open=price, high=price, low=price, close=price,
               volume_24h=1e6, ticks=1, observed_ms=MS["m"])
        for end, price in zip(batch.observed_at.tolist(), batch.price.tolist(), strict=True)
    ]  # fmt: skip
    now, condition = int(batch.observed_at[-1]) + 1, parse(RULE.when)

    def fill(tx: Tx) -> None:
        tx.commit_step(Step(cursor=Cursor("j", 1, 1), candles=candles), epoch=tx.new_epoch("watch"), before=None)

    async with open_sqlite_store(folder / "store.db") as store:
        await store.run(fill)
        took = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            history = await stored_history(store, condition, COIN, since=90 * MS["d"], now=now)
            took.append(1_000 * (time.perf_counter() - began))
    assert len(history.batch) == len(batch)
    return float(np.median(took)), min(took)


def main() -> None:
    batch = minutes()
    closes = pl.DataFrame({"time": batch.observed_at, "close": batch.price}).with_columns(
        pl.col("time").cast(pl.Datetime("ms"))
    )
    both, only_ours, only_theirs = agreement(batch, closes)

    def tried() -> Trial:
        return try_rule(RULE, History(batch, candles=MS["m"]), COIN)

    wish = msgspec.structs.replace(RULE, when="change(5m) <= -1%")
    ours, theirs = median(tried), median(lambda: by_polars(closes))
    with tempfile.TemporaryDirectory() as folder:
        read = asyncio.run(reading(batch, Path(folder)))
    began = time.perf_counter()
    try_rule(wish, History(batch, candles=MS["m"]), COIN, a_week=5)
    wished = 1_000 * (time.perf_counter() - began)

    print(f"{RULE.when}, for {RULE.for_}, cooldown {RULE.cooldown}: {len(batch):,} minutes of one coin")
    print(f"edges: {both} found by both, {only_ours} only by us, {only_theirs} only by the script")
    print(f"{len(tried().preview.firings)} firings; median of {ROUNDS} rounds, and the quickest\n")
    rows = {"preview": ours, "polars, the condition alone": theirs, "reading from SQLite": read}
    for what, (usual, least) in rows.items():
        print(f"{what:30}{usual:8.1f}{least:8.1f} ms")
    print(f"{'a number for 5 a week':30}{wished:8.1f} ms, once")
    print(f"\npreview: {ours[0]:.0f} ms   goal <= {GOAL_MS:.0f}: {'held' if ours[0] <= GOAL_MS else 'MISSED'}")


if __name__ == "__main__":
    main()
