"""Files of candles as one batch: each candle is its close, observed when the candle ends."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.errors import ConfigError
from cryptowatcher.replay import read_candles, replay

MINUTE = 60_000
BEGIN = 1_722_816_000_000


def write(path: Path, **columns: Any) -> Path:
    pl.DataFrame(columns).write_parquet(path)
    return path


def rows(batch: TickBatch) -> list[tuple[str, int, float]]:
    minutes = ((batch.observed_at - BEGIN) // MINUTE).tolist()
    return [*zip(batch.names(), minutes, batch.price.tolist(), strict=True)]


def test_rows_in_any_order_become_instants_with_pairs_in_order(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.parquet",
        ts=[BEGIN + MINUTE, BEGIN, BEGIN + 2 * MINUTE, BEGIN + MINUTE, BEGIN],
        symbol=["ETHUSDT", "ETHUSDT", "BTCUSDT", "BTCUSDT", "solana/eur"],
        close=[4.0, 3.0, 2.0, 1.0, 9.0],
    )
    batch = read_candles([path])
    assert rows(batch) == [
        ("eth/usdt", 1, 3.0),
        ("solana/eur", 1, 9.0),
        ("btc/usdt", 2, 1.0),
        ("eth/usdt", 2, 4.0),
        ("btc/usdt", 3, 2.0),
    ]
    assert batch.starts.tolist() == [0, 2, 4]
    assert batch.valid_for == 3 * MINUTE


def test_of_a_candle_that_several_files_hold_the_last_one_counts(tmp_path: Path) -> None:
    first = write(tmp_path / "a.parquet", ts=[BEGIN, BEGIN + MINUTE], pair=["b/usd"] * 2, close=[1.0, 2.0])
    second = write(
        tmp_path / "b.parquet", ts=[BEGIN + MINUTE, BEGIN + 2 * MINUTE], pair=["b/usd"] * 2, close=[7.0, 8.0]
    )
    assert rows(read_candles([first, second])) == [("b/usd", 1, 1.0), ("b/usd", 2, 7.0), ("b/usd", 3, 8.0)]
    assert rows(read_candles([second, first])) == [("b/usd", 1, 1.0), ("b/usd", 2, 2.0), ("b/usd", 3, 8.0)]


def test_symbols_that_are_spelled_in_several_ways_are_one_pair(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.parquet", ts=[BEGIN, BEGIN + MINUTE], symbol=["BTCUSDT", "btc/usdt"], close=[1.0, 2.0]
    )
    batch = read_candles([path])
    assert batch.pairs == ("btc/usdt",)
    assert batch.price.tolist() == [1.0, 2.0]


def test_a_file_without_a_column_for_it_is_one_pair_named_after_the_file(tmp_path: Path) -> None:
    times = [datetime(2024, 8, 5, 0, minute, tzinfo=UTC) for minute in (0, 5, 10)]
    path = write(tmp_path / "My Coin.parquet", ts=times, close=[1, 2, 3])
    assert rows(read_candles([path])) == [
        ("my-coin/usd", 5, 1.0),
        ("my-coin/usd", 10, 2.0),
        ("my-coin/usd", 15, 3.0),
    ]
    assert read_candles([path], pair="other/eur").pairs == ("other/eur",)


def test_closes_that_are_no_prices_are_left_out(tmp_path: Path) -> None:
    closes = [1.0, None, float("nan"), float("inf"), 0.0, -1.0, 2.0]
    path = write(tmp_path / "x.parquet", ts=[BEGIN + n * MINUTE for n in range(7)], close=closes)
    assert [price for _, _, price in rows(read_candles([path], pair="x/usd"))] == [1.0, 2.0]


def test_one_candle_alone_is_taken_for_a_minute(tmp_path: Path) -> None:
    assert rows(read_candles([write(tmp_path / "x.parquet", ts=[BEGIN], close=[5.0])])) == [("x/usd", 1, 5.0)]


def test_what_cannot_be_read_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.parquet"
    garbage.write_bytes(b"no parquet")
    bad = {
        garbage: "cannot be read",
        tmp_path / "absent.parquet": "cannot be read",
        write(tmp_path / "columns.parquet", ts=[BEGIN], price=[1.0]): "`close`",
        write(tmp_path / "text.parquet", ts=[BEGIN], close=["dear"]): "cannot be read",
        write(tmp_path / "empty.parquet", ts=[BEGIN], close=[0.0]): "usable close",
    }
    for path, words in bad.items():
        with pytest.raises(ConfigError, match=words) as caught:
            read_candles([path])
        assert caught.value.where == str(path)
    with pytest.raises(ConfigError, match="no file"):
        read_candles([])


def test_two_rules_of_one_name_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", ts=[BEGIN], close=[5.0])
    rules = [RuleSpec(name="x", pairs=("all",), when=when) for when in ("price > 1", "price > 2")]
    with pytest.raises(ConfigError, match="two rules are named 'x'"):
        replay([path], rules)


def test_a_window_of_less_than_two_candles_is_refused_instead_of_never_firing(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", ts=[BEGIN, BEGIN + 5 * MINUTE], pair=["b/usd"] * 2, close=[1.0, 2.0])
    for window, fits in (("5m", False), ("9m", False), ("10m", True)):
        rule = RuleSpec(name="x", pairs=("all",), when=f"change({window}) > 1%")
        if fits:
            assert replay([path], [rule]).alerts == ()
            continue
        with pytest.raises(ConfigError, match="cannot be judged on candles of 5m"):
            replay([path], [rule])


def test_files_that_would_be_one_pair_with_different_closes_are_refused(tmp_path: Path) -> None:
    times = [BEGIN, BEGIN + MINUTE]
    bitcoin = write(tmp_path / "a.parquet", ts=times, close=[50_000.0, 50_001.0])
    pepe = write(tmp_path / "b.parquet", ts=[BEGIN + MINUTE, BEGIN + 2 * MINUTE], close=[0.1, 0.2])
    with pytest.raises(ConfigError, match="it would be bitcoin/usd") as caught:
        read_candles([bitcoin, pepe], pair="bitcoin/usd")
    assert caught.value.where == str(pepe)
    assert read_candles([bitcoin, pepe]).pairs == ("a/usd", "b/usd")
    later = write(tmp_path / "c.parquet", ts=[BEGIN + MINUTE, BEGIN + 2 * MINUTE], close=[50_001.0, 50_002.0])
    assert read_candles([bitcoin, later], pair="bitcoin/usd").price.tolist() == [50_000.0, 50_001.0, 50_002.0]


@pytest.mark.parametrize("lengths", [[MINUTE, 5 * MINUTE, MINUTE, 5 * MINUTE], ["1m", "5m", "1m", "5m"]])
def test_of_candles_of_several_lengths_the_shortest_of_each_pair_count(tmp_path: Path, lengths: list[Any]) -> None:
    path = write(
        tmp_path / "x.parquet",
        pair=["a/usd", "a/usd", "a/usd", "b/usd"],
        interval=lengths,
        start=[BEGIN, BEGIN, BEGIN + MINUTE, BEGIN],
        close=[1.0, 9.0, 2.0, 3.0],
    )
    assert rows(read_candles([path])) == [("a/usd", 1, 1.0), ("a/usd", 2, 2.0), ("b/usd", 5, 3.0)]


@pytest.mark.parametrize("length", [1, 0.5, "long"])
def test_an_interval_that_is_none_is_an_error_that_says_what_to_do(tmp_path: Path, length: Any) -> None:
    path = write(tmp_path / "x.parquet", start=[BEGIN], close=[1.0], interval=[length])
    with pytest.raises(ConfigError) as caught:
        read_candles([path])
    assert caught.value.where.startswith(str(path))
    assert caught.value.hint
