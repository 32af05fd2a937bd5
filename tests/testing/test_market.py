from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from cryptowatcher.errors import ConfigError
from cryptowatcher.testing.market import DAY_MS, Market
from cryptowatcher.testing.recorded import RecordedMarket

NOW = 1_790_000_000_000
MINUTE = 60_000
CANDLES = Path(__file__).parents[3] / "shared" / "data" / "candles"


@pytest.fixture(scope="module")
def few() -> Market:
    """The same coins as the first of a larger market would be, but quicker."""
    return Market(seed=1, coins=5)


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(seed=1, coins=300)


@given(offsets=st.lists(st.integers(0, 10**9), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_a_price_does_not_depend_on_what_was_asked_before(offsets: list[int]) -> None:
    walked = Market(seed=3, coins=5)
    for offset in offsets:
        walked.at(NOW + offset)
    asked_at_once = Market(seed=3, coins=5).at(NOW + offsets[0])
    again = walked.at(NOW + offsets[0])
    assert_array_equal(again.price, asked_at_once.price)
    assert_array_equal(again.volume, asked_at_once.volume)
    assert_array_equal(again.high, asked_at_once.high)


def test_another_seed_is_another_market() -> None:
    one, other = Market(seed=1, coins=10), Market(seed=2, coins=10)
    assert (one.at(NOW).price != other.at(NOW).price).all()


def test_ids_are_distinct_symbols_need_not_be_and_the_known_coins_come_first(market: Market) -> None:
    ids = [coin.id for coin in market.coins]
    assert len(set(ids)) == 300
    assert ids[:3] == ["bitcoin", "ethereum", "tether"]
    assert len({coin.symbol for coin in market.coins}) < 300


def test_a_thousand_coins_have_a_thousand_ids() -> None:
    assert len({coin.id for coin in Market(seed=5, coins=1000).coins}) == 1000


def test_prices_reach_from_tiny_to_large_and_are_always_prices(market: Market) -> None:
    prices = np.array([market.at(NOW + day * DAY_MS).price for day in range(30)])
    assert np.isfinite(prices).all()
    assert (prices > 0).all()
    assert prices.min() < 1e-9
    assert prices.max() > 10_000


def test_a_stablecoin_stays_near_a_dollar(few: Market) -> None:
    tether = [few.at(NOW + day * DAY_MS).price[2] for day in range(40)]
    assert_allclose(tether, 1.0, atol=0.02)


def test_neighbouring_seconds_meet_where_stretches_meet(market: Market) -> None:
    """Over midnight, the hour and the five minutes a second's move is like any other second's."""
    midnight = NOW // DAY_MS * DAY_MS
    before, after = market.at(midnight - 1000), market.at(midnight)
    moves = np.abs(np.log(after.price / before.price))
    assert np.median(moves) < 1e-3
    assert moves.max() < 0.1


def test_coins_move_together_with_the_market_and_stablecoins_do_not(few: Market) -> None:
    hours = np.array([few.at(NOW + hour * 60 * MINUTE).price[:5] for hour in range(400)])
    moves = np.diff(np.log(hours), axis=0)
    correlation = np.corrcoef(moves.T)
    assert correlation[0, 1] > 0.15
    assert abs(correlation[0, 2]) < 0.15


def test_hours_are_uneven_as_markets_are(few: Market) -> None:
    """Fat tails: the fourth moment of an hour's move is well above the 3 of a normal distribution."""
    times = NOW // (60 * MINUTE) * 60 * MINUTE + np.arange(1000) * 60 * MINUTE
    moves = np.diff(np.log(few.chart(0, times)))
    assert (moves**4).mean() / (moves**2).mean() ** 2 > 4


def test_volatility_is_what_the_coin_says(few: Market) -> None:
    times = NOW // (60 * MINUTE) * 60 * MINUTE + np.arange(2400) * 60 * MINUTE
    moves = np.diff(np.log(few.chart(4, times)))
    assert_allclose(moves.std() * 24**0.5, few.coins[4].volatility, rtol=0.25)


def test_the_chart_is_the_same_market(market: Market) -> None:
    marks = NOW // (5 * MINUTE) * 5 * MINUTE + np.arange(20) * 5 * MINUTE
    assert_allclose(market.chart(7, marks), [market.at(mark).price[7] for mark in marks.tolist()], rtol=1e-12)


def test_high_and_low_enclose_the_price(market: Market) -> None:
    now = market.at(NOW)
    assert (now.low <= now.price).all()
    assert (now.price <= now.high).all()
    assert (now.low <= now.day_ago).all()


def test_speed_is_a_faster_clock_on_the_same_market() -> None:
    fast, slow = Market(seed=4, coins=5, speed=60), Market(seed=4, coins=5)
    assert_array_equal(fast.at(NOW // 60).price, slow.at(NOW // 60 * 60).price)


def test_at_speed_60_something_moves_by_a_percent_within_a_minute() -> None:
    market = Market(seed=1, coins=300, speed=60)
    moves = np.abs(market.at(NOW + MINUTE).price / market.at(NOW).price - 1)
    assert moves.max() > 0.01


# --- recorded ----------------------------------------------------------------------------------------

OPENS = datetime(2024, 8, 5, tzinfo=UTC)
OPENS_MS = int(OPENS.timestamp() * 1000)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two coins, three candles of a minute each; the second coin misses the middle one."""
    rows = {
        "ts": [OPENS + timedelta(minutes=n) for n in (0, 1, 2, 0, 2)],
        "symbol": ["BTCUSDT"] * 3 + ["NEWUSDT"] * 2,
        "open": [100.0, 110.0, 120.0, 1.0, 3.0],
        "high": [112.0, 125.0, 130.0, 2.0, 4.0],
        "low": [99.0, 108.0, 110.0, 0.5, 2.5],
        "close": [110.0, 120.0, 111.0, 1.5, 3.5],
        "volume": [1.0, 2.0, 3.0, 10.0, 10.0],
    }
    file = tmp_path / "panel.parquet"
    pl.DataFrame(rows).write_parquet(file)
    return file


def test_a_candle_is_played_open_nearer_extreme_other_extreme_close(recording: Path) -> None:
    tape = RecordedMarket([recording], start_ms=NOW)
    played = [tape.at(NOW + ms).price[0] for ms in (0, 20_000, 40_000, 60_000)]
    assert_allclose(played, [100.0, 99.0, 112.0, 110.0])
    falling = [tape.at(NOW + 2 * MINUTE + ms).price[0] for ms in (0, 20_000, 40_000)]
    assert_allclose(falling, [120.0, 130.0, 110.0])


def test_a_missing_candle_is_no_price(recording: Path) -> None:
    tape = RecordedMarket([recording], start_ms=NOW)
    assert np.isnan(tape.at(NOW + 90_000).price[1])
    assert tape.at(NOW + 120_000).price[1] == 3.0


def test_known_symbols_get_their_id_and_others_keep_their_symbol(recording: Path) -> None:
    coins = RecordedMarket([recording], start_ms=NOW).coins
    assert [coin.id for coin in coins] == ["bitcoin", "new"]
    assert coins[0].supply > 0
    assert np.isnan(coins[1].supply)


def test_after_the_end_it_begins_again(recording: Path) -> None:
    tape = RecordedMarket([recording], start_ms=NOW)
    assert tape.at(NOW + 3 * MINUTE).price[0] == tape.at(NOW).price[0] == 100.0


def test_speed_and_begin_choose_where_it_plays(recording: Path) -> None:
    tape = RecordedMarket([recording], start_ms=NOW, speed=60, begin=OPENS_MS + MINUTE)
    assert tape.recorded_at(NOW + 1000) == OPENS_MS + 2 * MINUTE
    assert tape.at(NOW).price[0] == 110.0


def test_times_in_milliseconds_and_a_symbol_in_the_name_do_as_well(tmp_path: Path, recording: Path) -> None:
    file = tmp_path / "venue_ETHUSDT_1m_2024.parquet"
    frame = pl.read_parquet(recording).filter(pl.col("symbol") == "BTCUSDT").drop("symbol")
    frame.with_columns(pl.col("ts").dt.epoch("ms")).write_parquet(file)
    tape = RecordedMarket([file], start_ms=NOW)
    assert tape.coins[0].id == "ethereum"
    assert tape.at(NOW + MINUTE).price[0] == 110.0


def test_a_file_that_is_no_candles_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "x_BTCUSDT.parquet"
    pl.DataFrame({"ts": [1], "open": [1.0]}).write_parquet(file)
    with pytest.raises(ConfigError, match="high, low, close, volume"):
        RecordedMarket([file], start_ms=NOW)


def test_a_real_crash_plays_as_it_was_recorded() -> None:
    file = CANDLES / "panel_binance_5m_2024_events_MIT.parquet"
    if not file.exists():
        pytest.skip("no recorded data")
    begin = datetime(2024, 8, 5, tzinfo=UTC)
    tape = RecordedMarket([file], start_ms=NOW, begin=int(begin.timestamp() * 1000))
    bitcoin = next(n for n, coin in enumerate(tape.coins) if coin.id == "bitcoin")
    frame = pl.read_parquet(file).filter(pl.col("symbol") == "BTCUSDT", pl.col("ts") >= begin).sort("ts")
    opens = frame["open"][:200].to_list()
    assert [tape.at(NOW + 5 * MINUTE * n).price[bitcoin] for n in range(200)] == opens
    assert min(opens) < 0.9 * opens[0]
