"""Indicators against their plain definitions, against TA-Lib over the same bars, and at the edges."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
import talib

from cryptowatcher.domain.features import amounts, averages, catalogue, momentum, volatility
from cryptowatcher.domain.features.barline import BarSeries
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.tree import Call
from cryptowatcher.domain.ticks import Floats
from cryptowatcher.errors import ConfigError
from cryptowatcher.testing.contracts.features import FeatureContract
from tests.domain.lines import BEGIN, Asked, along, instants, line, same_bits, stepped, times_of, walk

MINUTE, HOUR, DAY = MS["m"], MS["h"], MS["d"]
CANDLES = Path(__file__).parents[3] / "shared/data/candles"
recorded_data = pytest.mark.skipif(not CANDLES.exists(), reason="no recorded data")


class TestAverages(FeatureContract):
    functions = averages.FUNCTIONS


class TestMomentum(FeatureContract):
    functions = momentum.FUNCTIONS


class TestVolatility(FeatureContract):
    functions = volatility.FUNCTIONS


class TestAmounts(FeatureContract):
    functions = amounts.FUNCTIONS

    def calls(self, random: Random) -> list[Asked]:
        """And those that are known soon: these markets are seldom watched for as long as the others look back."""
        return [*super().calls(random), ("volume", (DAY,)), ("average", (PRICE, 20 * MINUTE))]


def random_line(kind: str, seed: int, *, count: int = 600, scale: float = 100.0) -> Line:
    """A random walk; the source does not say a volume each time."""
    rng = np.random.default_rng(seed)
    times = times_of(kind, count, MINUTE, rng)
    volume = np.where(rng.random(len(times)) < 0.01, np.nan, walk(len(times), rng))
    traded = walk(len(times), rng)
    return line(times, walk(len(times), rng, start=scale), valid_for=2 * MINUTE, volume=volume, traded=traded)


# --- plain definitions ---------------------------------------------------------------------------------


class Seen:
    """What one observation of a line may look at: the bars that are closed then, as lists."""

    def __init__(self, made: Line, row: int, interval: int) -> None:
        bars, end = made.bars(interval), made.bars(interval).closed.item(row)
        self.now = made.time.item(row) // interval
        self.price = made.price.item(row)
        self.number: list[int] = bars.number[:end].tolist()
        self.high: list[float] = bars.high[:end].tolist()
        self.low: list[float] = bars.low[:end].tolist()
        self.close: list[float] = bars.close[:end].tolist()
        self.volume: list[float] = bars.volume[:end].tolist()
        self.traded: list[float] = bars.traded[:end].tolist()

    def known(self, n: int) -> bool:
        """Whether the newest n bars miss at most a tenth."""
        return len(self.number) >= n and self.number[-n] >= self.now - math.ceil(round(n / 0.9, 9))

    def within(self, length: int) -> list[int]:
        """The places of the bars of the last so many numbers."""
        return [place for place, number in enumerate(self.number) if number >= self.now - length]

    def anchored(self, block: int) -> int:
        """The place of the first bar that the newest one's recursion is fed."""
        first = self.number[-1] // block - 1
        return next(place for place, number in enumerate(self.number) if number // block >= first)


def plain_sma(seen: Seen, n: int) -> float:
    return float(statistics.fmean(seen.close[-n:])) if seen.known(n) else math.nan


def plain_bollinger(seen: Seen, n: int, k: float) -> float:
    return plain_sma(seen, n) + k * statistics.pstdev(seen.close[-n:]) if seen.known(n) else math.nan


def plain_stochastic(seen: Seen, n: int, back: int = 0) -> float:
    end = len(seen.close) - back
    high, low = max(seen.high[end - n : end]), min(seen.low[end - n : end])
    return 100 * (seen.close[end - 1] - low) / (high - low)


def plain_k(seen: Seen, n: int) -> float:
    return plain_stochastic(seen, n) if seen.known(n) else math.nan


def plain_d(seen: Seen, n: int, m: int) -> float:
    if not seen.known(n + m - 1):
        return math.nan
    return statistics.fmean(plain_stochastic(seen, n, back) for back in range(m))


def plain_volatility(seen: Seen, length: int) -> float:
    moves = [
        seen.close[place] / seen.close[place - 1] - 1
        for place in seen.within(length)
        if place and seen.number[place] == seen.number[place - 1] + 1
    ]
    return statistics.pstdev(moves) if 10 * len(moves) >= 9 * length else math.nan


def plain_zscore(seen: Seen, length: int) -> float:
    closes = [seen.close[place] for place in seen.within(length)]
    if 10 * len(closes) < 9 * length:
        return math.nan
    return (seen.price - statistics.fmean(closes)) / statistics.pstdev(closes)


def plain_average(seen: Seen, values: Sequence[float], length: int) -> float:
    found = [values[place] for place in seen.within(length)]
    return math.fsum(found) / len(found) if 10 * len(found) >= 9 * length else math.nan


def plain_recursion(n: int, least: int, values: Callable[[list[float], list[float], list[float]], float]) -> Any:
    """A recursive function over the bars from the anchor on."""

    def value(seen: Seen) -> float:
        if not seen.known(least):
            return math.nan
        first = seen.anchored(min(10 * n, 500))
        return values(seen.high[first:], seen.low[first:], seen.close[first:])

    return value


def plain_ema(values: Sequence[float], n: int) -> list[float]:
    """From the n-th on."""
    averages = [sum(values[:n]) / n]
    for value in values[n:]:
        averages.append(averages[-1] + 2 / (n + 1) * (value - averages[-1]))
    return averages


def plain_wilder(values: Sequence[float], n: int) -> float:
    average = sum(values[:n]) / n
    for value in values[n:]:
        average = (average * (n - 1) + value) / n
    return average


def plain_rsi(closes: list[float], n: int) -> float:
    changes = [after - before for before, after in pairwise(closes)]
    gain = plain_wilder([max(change, 0) for change in changes], n)
    return 100 * gain / (gain + plain_wilder([max(-change, 0) for change in changes], n))


def plain_atr(high: list[float], low: list[float], close: list[float], n: int) -> float:
    ranges = [
        max(h - lo, abs(h - before), abs(lo - before))
        for h, lo, before in zip(high[1:], low[1:], close, strict=False)
    ]
    return plain_wilder(ranges, n)


def plain_macd(closes: list[float], fast: int, slow: int, signal: int) -> tuple[float, float]:
    lines = [a - b for a, b in zip(plain_ema(closes[slow - fast :], fast), plain_ema(closes, slow), strict=True)]
    return lines[-1], plain_ema(lines, signal)[-1]


PRICE, VOLUME = Call("price"), Call("volume", (DAY,))
PLAIN: tuple[tuple[Asked, int, Callable[[Seen], float]], ...] = (
    (("sma", (10, MINUTE)), MINUTE, lambda seen: plain_sma(seen, 10)),
    (("sma", (3, 5 * MINUTE)), 5 * MINUTE, lambda seen: plain_sma(seen, 3)),
    (("bollinger_upper", (10, 2.0, MINUTE)), MINUTE, lambda seen: plain_bollinger(seen, 10, 2)),
    (("bollinger_lower", (10, 1.5, MINUTE)), MINUTE, lambda seen: plain_bollinger(seen, 10, -1.5)),
    (("stochastic_k", (14, MINUTE)), MINUTE, lambda seen: plain_k(seen, 14)),
    (("stochastic_d", (10, 3, MINUTE)), MINUTE, lambda seen: plain_d(seen, 10, 3)),
    (("volatility", (20 * MINUTE, MINUTE)), MINUTE, lambda seen: plain_volatility(seen, 20)),
    (("zscore", (20 * MINUTE,)), MINUTE, lambda seen: plain_zscore(seen, 20)),
    (("zscore", (100 * MINUTE,)), 5 * MINUTE, lambda seen: plain_zscore(seen, 20)),
    (("average", (PRICE, 30 * MINUTE)), MINUTE, lambda seen: plain_average(seen, seen.close, 30)),
    (("average", (VOLUME, 30 * MINUTE)), MINUTE, lambda seen: plain_average(seen, seen.volume, 30)),
    (
        ("average", (Call("volume", (MINUTE,)), 10 * MINUTE)),
        MINUTE,
        lambda seen: plain_average(seen, seen.traded, 10),
    ),
    (("volume", (MINUTE,)), MINUTE, lambda seen: plain_average(seen, seen.traded, 1)),
    (("ema", (5, MINUTE)), MINUTE, plain_recursion(5, 5, lambda high, low, close: plain_ema(close, 5)[-1])),
    (("rsi", (5, MINUTE)), MINUTE, plain_recursion(5, 6, lambda high, low, close: plain_rsi(close, 5))),
    (("atr", (5, MINUTE)), MINUTE, plain_recursion(5, 6, lambda high, low, close: plain_atr(high, low, close, 5))),
    (
        ("macd", (3, 6, 4, MINUTE)),
        MINUTE,
        plain_recursion(10, 9, lambda high, low, close: plain_macd(close, 3, 6, 4)[0]),
    ),
    (
        ("macd_signal", (3, 6, 4, MINUTE)),
        MINUTE,
        plain_recursion(10, 9, lambda high, low, close: plain_macd(close, 3, 6, 4)[1]),
    ),
)


@pytest.mark.parametrize("kind", ["ends", "often", "holes", "around"])
@pytest.mark.parametrize(("asked", "interval", "plain"), PLAIN, ids=[f"{a[0]}{a[1]}" for a, *_ in PLAIN])
def test_it_is_what_its_definition_says(
    asked: Asked, interval: int, plain: Callable[[Seen], float], kind: str
) -> None:
    made = random_line(kind, 11)
    rows = range(3, len(made), 5)
    expected = [plain(Seen(made, row, interval)) for row in rows]
    np.testing.assert_allclose(along(made, asked)[list(rows)], expected, rtol=1e-9, atol=1e-12)
    assert not np.isnan(expected).all()


# --- TA-Lib --------------------------------------------------------------------------------------------

Oracle = Callable[[Floats, Floats, Floats], Any]
OF_BARS: dict[Asked, Oracle] = {
    ("sma", (20,)): lambda high, low, close: talib.SMA(close, 20),
    ("bollinger_upper", (20, 2.0)): lambda high, low, close: talib.BBANDS(close, 20, 2, 2)[0],
    ("bollinger_lower", (20, 2.0)): lambda high, low, close: talib.BBANDS(close, 20, 2, 2)[2],
    ("stochastic_k", (14,)): lambda high, low, close: talib.STOCHF(high, low, close, 14, 1)[0],
    ("stochastic_d", (14, 3)): lambda high, low, close: talib.STOCHF(high, low, close, 14, 3)[1],
}
ANCHORED: dict[Asked, tuple[int, Oracle]] = {
    ("ema", (12,)): (120, lambda high, low, close: talib.EMA(close, 12)),
    ("ema", (200,)): (500, lambda high, low, close: talib.EMA(close, 200)),
    ("rsi", (14,)): (140, lambda high, low, close: talib.RSI(close, 14)),
    ("atr", (14,)): (140, lambda high, low, close: talib.ATR(high, low, close, 14)),
    ("macd", (12, 26, 9)): (350, lambda high, low, close: talib.MACD(close, 12, 26, 9)[0]),
    ("macd_signal", (12, 26, 9)): (350, lambda high, low, close: talib.MACD(close, 12, 26, 9)[1]),
    ("macd_histogram", (12, 26, 9)): (350, lambda high, low, close: talib.MACD(close, 12, 26, 9)[2]),
}


def as_talib(bars: BarSeries, oracle: Oracle, block: int | None) -> Floats:
    """The oracle's value at each bar: of all bars, or of those from the block before the bar's."""
    if block is None:
        return np.asarray(oracle(bars.high, bars.low, bars.close))
    values = np.full(len(bars), np.nan)
    for number in np.unique(bars.number // block).tolist():
        first, start, end = np.searchsorted(
            bars.number, [(number - 1) * block, number * block, (number + 1) * block]
        )
        run = slice(first, end)
        values[start:end] = oracle(bars.high[run], bars.low[run], bars.close[run])[start - first :]
    return values


def agree_with_talib(made: Line, interval: int) -> None:
    """All of them, at all bars, and known from the same bar on. The line misses no bars."""
    bars = made.bars(interval)
    at = np.searchsorted(bars.closed, np.arange(1, len(bars) + 1))
    blocks = {asked: block for asked, (block, _) in ANCHORED.items()}
    oracles = OF_BARS | {asked: oracle for asked, (_, oracle) in ANCHORED.items()}
    for (name, args), oracle in oracles.items():
        expected = as_talib(bars, oracle, blocks.get((name, args)))
        found = along(made, (name, (*args, interval)))[at]
        assert np.array_equal(np.isnan(found), np.isnan(expected)), name
        scale = bars.close if name.startswith("macd") else 1.0  # near 0 a difference has no digits left
        np.testing.assert_allclose(found / scale, expected / scale, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_talib_says_of_the_same_bars(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = BEGIN + (20_000 + 60_000 * (seed % 2)) * np.arange(1, 6_000)
    agree_with_talib(line(times, walk(len(times), rng), valid_for=2 * MINUTE), (MINUTE, 5 * MINUTE)[seed % 2])


@recorded_data
@pytest.mark.parametrize("coin", ["BTC", "PEPE"])
def test_it_is_what_talib_says_of_recorded_candles(coin: str) -> None:
    """A candle is played as four observations: open, low, high, close."""
    table = pl.read_parquet(CANDLES / f"binance_{coin}USDT_5m_2024-01_2024-09.parquet").sort("ts")
    start = table["ts"].dt.epoch("ms").to_numpy()
    gaps = np.flatnonzero(np.diff(start) != 5 * MINUTE)
    end = int(gaps[0]) + 1 if len(gaps) else len(start)
    prices = table.select("open", "low", "high", "close").to_numpy()[:end].astype(np.float64)
    scale = 2.0 ** round(-math.log2(prices[0, 0]))  # TA-Lib takes what is smaller than 1e-14 for nothing
    times = start[:end, None] + 75_000 * np.arange(1, 5)
    made = line(times.ravel(), scale * prices.ravel(), valid_for=10 * MINUTE)
    assert len(made.bars(HOUR)) > 500
    agree_with_talib(made, 5 * MINUTE)
    agree_with_talib(made, HOUR)


# --- edges ---------------------------------------------------------------------------------------------

ALL: tuple[Asked, ...] = tuple(asked for asked, *_ in PLAIN)


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**60])
def test_prices_of_any_size_give_the_same_shapes(scale: float) -> None:
    """A power of two scales all prices, and so all deviations, without rounding."""
    made, scaled = random_line("often", 12), random_line("often", 12, scale=100 * scale)
    scaled = line(made.time, made.price * scale, valid_for=made.valid_for, volume=made.volume, traded=made.traded)
    for name, args in ALL:
        factor = scale if catalogue()[name].unit == "price" or args[0] == PRICE else 1.0
        assert same_bits(along(scaled, (name, args)), along(made, (name, args)) * factor), name


def test_where_the_price_stands_still_what_divides_by_its_movement_is_unknown() -> None:
    """What is left is what it is: no deviation, no range."""
    made = line(BEGIN + MINUTE * np.arange(1, 200), np.full(199, 0.1), valid_for=MINUTE)
    newest = {name: along(made, (name, args))[-1] for name, args in ALL}
    for name in ("rsi", "stochastic_k", "stochastic_d", "zscore"):
        assert math.isnan(newest[name]), name
    assert newest["volatility"] == newest["atr"] == 0
    for name in ("sma", "ema", "bollinger_upper", "bollinger_lower"):
        assert newest[name] == pytest.approx(0.1, rel=1e-12), name


def test_prices_too_large_to_be_squared_are_unknown_and_nothing_breaks() -> None:
    made = line(BEGIN + MINUTE * np.arange(1, 60), np.where(np.arange(59) % 2, 1e300, 1e-300), valid_for=MINUTE)
    for name, args in ALL:
        assert not np.isinf(along(made, (name, args))).any(), name
    assert math.isnan(along(made, ("bollinger_upper", (10, 2.0, MINUTE)))[-1])


@pytest.mark.parametrize(("missing", "known"), [(1, True), (2, False)])
def test_a_tenth_of_the_bars_may_be_missing(missing: int, known: bool) -> None:
    times = [BEGIN + MINUTE * k for k in range(40) if not 20 <= k < 20 + missing]
    made = line(times, np.arange(1.0, 41)[: len(times)], valid_for=MINUTE)
    row = times.index(BEGIN + 24 * MINUTE)
    # With one observation missing the next bar was not watched from its beginning either: two bars are.
    for name in ("sma", "stochastic_k", "ema"):
        nine, ten = (along(made, (name, (n, MINUTE)))[row] for n in (9, 10))
        assert math.isnan(nine), "9 bars may miss one"
        assert math.isnan(ten) != known, "10 bars may miss two"


def test_a_value_does_not_outlive_the_bars_it_is_about() -> None:
    """After a silence the last known is not the newest."""
    times = np.concatenate([BEGIN + MINUTE * np.arange(1, 100), BEGIN + MINUTE * np.arange(500, 503)])
    made = line(times, np.arange(1.0, len(times) + 1), valid_for=MINUTE)
    for name, args in ALL:
        assert np.isnan(along(made, (name, args))[-3:]).all(), name


def test_an_average_of_volumes_skips_no_bar_in_which_none_was_said() -> None:
    times = BEGIN + MINUTE * np.arange(1, 60)
    volume = np.where(np.arange(59) == 25, np.nan, 7.0)
    made = line(times, np.ones(59), valid_for=MINUTE, volume=volume)
    values = along(made, ("average", (VOLUME, 20 * MINUTE)))
    assert np.isnan(values[25:45]).all()
    assert (values[[24, 45]] == 7).all()


def test_a_pair_that_begins_late_and_one_that_is_asked_late_have_the_same_values() -> None:
    early = random_line("often", 13, count=400)
    rng = np.random.default_rng(14)
    times = early.time[200:]
    late = line(times, walk(len(times), rng), valid_for=early.valid_for, pair="late/usd")
    asked = [(name, args) for name, args in ALL if name not in ("volume", "average")]
    for restart, first_asked in ((0, 0), (250, 0), (0, 300), (310, 300)):
        found = stepped([early, late], asked, restart=restart, late=first_asked)
        for feature, values in zip(asked, found, strict=True):
            for made in (early, late):
                expected = along(made, feature)
                then = max(first_asked - (len(early) - len(made)), 0)
                assert same_bits(values[made.pair][then:], expected[then:]), (feature, restart, first_asked)


def test_steps_and_series_agree_where_bars_are_missing_here_and_there() -> None:
    rng = np.random.default_rng(15)
    gaps = np.where(rng.random(300) < 0.05, 2, 1)
    times = BEGIN + MINUTE * np.cumsum(gaps)
    made = line(times, walk(300, rng), valid_for=3 * MINUTE)
    asked: list[Asked] = [("sma", (10, MINUTE)), ("sma", (30, MINUTE)), ("stochastic_d", (20, 5, MINUTE))]
    asked += [("bollinger_upper", (40, 2.0, MINUTE)), ("rsi", (14, MINUTE)), ("zscore", (30 * MINUTE,))]
    for feature, values in zip(asked, stepped([made], asked), strict=True):
        assert same_bits(values[made.pair], along(made, feature)), feature
        assert not np.isnan(values[made.pair]).all(), feature


@pytest.mark.parametrize("missing", [0.0, 0.02, 0.2])
def test_a_market_that_is_asked_for_as_a_whole_has_the_values_of_each_of_its_pairs(missing: float) -> None:
    """All are asked for after each minute, of which some know nothing: who has nothing new keeps its value."""
    rng = np.random.default_rng(16)
    pairs, minutes = 16, 165
    seen = rng.random((pairs, minutes)) >= missing
    seen[:, 0] = True
    market = [
        line(
            BEGIN + MINUTE * (1 + np.flatnonzero(known)),
            walk(int(known.sum()), rng),
            valid_for=2 * MINUTE,
            pair=f"coin-{number}/usd",
        )
        for number, known in enumerate(seen)
    ]
    asked: list[Asked] = [("sma", (9, MINUTE)), ("rsi", (7, MINUTE)), ("atr", (5, MINUTE)), ("ema", (6, MINUTE))]
    asked += [("macd", (3, 5, 2, MINUTE)), ("macd_signal", (3, 5, 2, MINUTE)), ("stochastic_d", (10, 4, MINUTE))]
    asked += [("bollinger_upper", (30, 2.0, MINUTE)), ("volatility", (20 * MINUTE, MINUTE))]
    expected = [[along(made, feature) for made in market] for feature in asked]
    place, memory = np.cumsum(seen, axis=1) - 1, Memory()
    cols = memory.universe.columns(tuple(made.pair for made in market))
    memory.widen()
    for minute, instant in enumerate(instants(market)):
        memory.add(memory.universe.columns(instant.pairs), instant, at=instant.received_at)
        if minute < 3:
            continue
        for (name, args), rows in zip(asked, expected, strict=True):
            should = np.array([row[at] for row, at in zip(rows, place[:, minute], strict=True)])
            assert same_bits(catalogue()[name].step(memory, cols, args), should), (name, minute)


@pytest.mark.parametrize(
    ("name", "args", "hint"),
    [
        ("macd", (26, 12, 9, HOUR), "macd(12, 26, 9, 1h)"),
        ("volatility", (4 * HOUR, HOUR), "write 5h or more"),
        ("volatility", (7 * DAY, MINUTE), "write 15h or less, or a longer interval"),
        ("volatility", (330 * MINUTE, HOUR), "write 6h"),
        ("zscore", (5 * MINUTE,), "write 20m or more"),
        ("zscore", (1_530 * MINUTE,), "write 1d2h"),
        ("volume", (2 * HOUR,), "volume(1h)"),
        ("average", (Call("rsi", (14, HOUR)), DAY), "average(volume, 7d)"),
        ("average", (Call("volume", (2 * HOUR,)), DAY), "volume(1h)"),
        ("average", (Call("volume", (HOUR,)), HOUR), "write 2h or more"),
        ("average", (PRICE, 5 * MINUTE), "write 20m or more"),
    ],
)
def test_what_does_not_go_together_is_said_with_what_to_write(name: str, args: Any, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        catalogue()[name].check(args)
    assert hint in caught.value.hint
