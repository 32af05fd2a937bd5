"""The crash of 2024-08-05, as 133 coins recorded it: what replay finds is what a table calculation finds."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.replay import ReplayResult, replay

ROOT = Path(__file__).parents[2]
PANEL = ROOT.parent / "shared/data/candles/panel_binance_5m_2024_events_MIT.parquet"
CANDLE = 5 * 60_000
HOUR = 3_600_000
VALID_FOR = 3 * CANDLE
SLACK = 1e-12
CRASH = date(2024, 8, 5)

pytestmark = pytest.mark.skipif(not PANEL.exists(), reason="no recorded data")


def recorded(*days: date) -> pl.DataFrame:
    """The recorded candles of these days."""
    return pl.read_parquet(PANEL).filter(pl.col("ts").dt.date().is_in(days))


def closes(candles: pl.DataFrame) -> pl.DataFrame:
    """Pair, the time a candle ends (epoch ms), its close."""
    name = pl.col("symbol").cast(pl.String).str.to_lowercase()
    return candles.select(
        pair=name.str.strip_suffix("usdt") + "/usdt",
        time=pl.col("ts").dt.epoch("ms") + CANDLE,
        close=pl.col("close"),
    ).sort("pair", "time")


def by_table(table: pl.DataFrame, window: int, constant: float, band: float) -> pl.DataFrame:
    """All alerts of `change(window) <= constant` on all pairs, with columns instead of steps."""
    before = table.select("pair", pl.col("time").alias("back"), pl.col("close").alias("reference"))
    known = (
        table.with_columns(back=pl.col("time") - window)
        .sort("back")
        .join_asof(before.sort("back"), on="back", by="pair", tolerance=VALID_FOR, check_sortedness=False)
        .drop_nulls("reference")
        .sort("pair", "time")
        .with_columns(value=(pl.col("close") - pl.col("reference")) / pl.col("reference"))
    )
    true = pl.col("value") <= constant + SLACK
    back = pl.col("value") > constant + abs(constant) * band + SLACK
    first = pl.col("time") == pl.col("time").min()
    side = pl.when(true).then(1).when(back | first.over("pair")).then(0)
    known = known.with_columns(
        side=side.forward_fill().over("pair"),
        previous=pl.col("value").shift().over("pair"),
        seen_at=pl.col("time").shift().over("pair"),
    )
    known = known.with_columns(turned=pl.col("side").diff().over("pair") == 1)
    gap = pl.col("time") - pl.col("seen_at") > VALID_FOR
    return known.filter("turned").select(
        "pair",
        "time",
        "value",
        "previous",
        "close",
        kind=pl.when(gap).then(pl.lit("gap")).otherwise(pl.lit("edge")),
        event_time=pl.when(gap).then(pl.col("seen_at")).otherwise(pl.col("time")),
    )


def as_table(alerts: tuple[Alert, ...]) -> pl.DataFrame:
    """The same columns from alerts."""
    return pl.DataFrame(
        {
            "pair": [alert.pair for alert in alerts],
            "time": [alert.at for alert in alerts],
            "value": [alert.value for alert in alerts],
            "previous": [alert.previous for alert in alerts],
            "close": [alert.price for alert in alerts],
            "kind": [alert.kind for alert in alerts],
            "event_time": [alert.event_time for alert in alerts],
        }
    )


def check(candles: pl.DataFrame, windows: dict[str, int], percents: tuple[int, ...], folder: Path) -> ReplayResult:
    """Replay these candles with a rule for each window and percentage; compare alert for alert."""
    path = folder / "candles.parquet"
    candles.write_parquet(path)
    rules = [
        RuleSpec(name=f"{window} {percent}", pairs=("all",), when=f"change({window}) <= -{percent}%")
        for window in windows
        for percent in percents
    ]
    result = replay([path], rules)
    for rule in rules:
        window, percent = rule.name.split()
        expected = by_table(closes(candles), windows[window], -int(percent) / 100, 0.001)
        found = as_table(tuple(alert for alert in result.alerts if alert.rule_name == rule.name))
        assert found.sort("pair", "time").rows() == expected.sort("pair", "time").rows(), rule.name
        assert len(found) > 50, "there was a crash"
    return result


def test_every_fall_of_a_tenth_in_an_hour_on_the_day_of_the_crash_is_found_and_no_other(tmp_path: Path) -> None:
    result = check(recorded(CRASH), {"1h": HOUR}, (10,), tmp_path)
    assert result.pairs >= 132


def test_windows_of_two_grids_agree_across_a_month_that_was_not_recorded(tmp_path: Path) -> None:
    candles = recorded(date(2024, 7, 4), date(2024, 7, 5), date(2024, 8, 4), CRASH, date(2024, 8, 6))
    result = check(candles, {"1h": HOUR, "24h": 24 * HOUR}, (5, 10), tmp_path)
    assert result.ticks == len(candles)
    assert {alert.kind for alert in result.alerts} == {"edge", "gap"}
