"""Twenty indicators on 20,000 pairs as a minute closes, and along 90 days of minutes of one pair.

    python benchmarks/bench_indicators.py [PAIRS]

Beside each, in the same run: TA-Lib, called for each pair on its last bars (it has no incremental form), and on
the whole series. Bars are one minute long: one observation comes at the end of each, and one before that closes
nothing.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import talib

from cryptowatcher.domain.features import Args, catalogue
from cryptowatcher.domain.features.line import Line, line_of
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.ticks import Floats, TickBatch

MINUTE, HOUR = MS["m"], MS["h"]
BEGIN = 1_700_000_000_000 - 1_700_000_000_000 % MS["d"]
PAIRS = 20_000
WARM = 400  # minutes before anything is measured
CLOSES = 15
DAYS = 90
GOAL_CLOSE_MS = 15.0
ASKED: tuple[tuple[str, Args], ...] = (
    ("sma", (20, MINUTE)),
    ("sma", (50, MINUTE)),
    ("sma", (200, MINUTE)),
    ("ema", (12, MINUTE)),
    ("ema", (26, MINUTE)),
    ("ema", (50, MINUTE)),
    ("bollinger_upper", (20, 2.0, MINUTE)),
    ("bollinger_lower", (20, 2.0, MINUTE)),
    ("bollinger_upper", (50, 2.0, MINUTE)),
    ("rsi", (7, MINUTE)),
    ("rsi", (14, MINUTE)),
    ("rsi", (21, MINUTE)),
    ("macd", (12, 26, 9, MINUTE)),
    ("macd_signal", (12, 26, 9, MINUTE)),
    ("stochastic_k", (14, MINUTE)),
    ("stochastic_d", (14, 3, MINUTE)),
    ("atr", (14, MINUTE)),
    ("atr", (21, MINUTE)),
    ("zscore", (20 * MINUTE,)),
    ("volatility", (20 * MINUTE, MINUTE)),
)
ORACLE: dict[str, Callable[[Floats, Args], object]] = {
    "sma": lambda close, args: talib.SMA(close, args[0]),
    "ema": lambda close, args: talib.EMA(close, args[0]),
    "bollinger_upper": lambda close, args: talib.BBANDS(close, args[0]),
    "bollinger_lower": lambda close, args: talib.BBANDS(close, args[0]),
    "rsi": lambda close, args: talib.RSI(close, args[0]),
    "macd": lambda close, args: talib.MACD(close, *args[:3]),
    "macd_signal": lambda close, args: talib.MACD(close, *args[:3]),
    "stochastic_k": lambda close, args: talib.STOCHF(close, close, close, args[0], 3),
    "stochastic_d": lambda close, args: talib.STOCHF(close, close, close, *args[:2]),
    "atr": lambda close, args: talib.ATR(close, close, close, args[0]),
    "zscore": lambda close, args: talib.STDDEV(close, 20),
    "volatility": lambda close, args: talib.STDDEV(close, 20),
}


def instant(prices: Floats, at: int) -> TickBatch:
    """All pairs at one time."""
    n = len(prices)
    return TickBatch(
        source="bench",
        pairs=tuple(f"coin-{number}/usd" for number in range(n)),
        pair=np.arange(n),
        price=prices,
        volume=np.full(n, np.nan),
        market_cap=np.full(n, np.nan),
        observed_at=np.full(n, at),
        starts=np.zeros(1, np.int64),
        received_at=at,
        valid_for=5 * MINUTE,
    )


class Market:
    """Random walks, put into a memory."""

    def __init__(self, pairs: int) -> None:
        self.memory = Memory()
        self.prices = np.exp(np.random.default_rng(1).normal(0, 3, pairs))
        self._rng = np.random.default_rng(2)
        self._first = instant(self.prices, BEGIN)
        self.cols = self.memory.universe.columns(self._first.pairs)
        self.memory.widen()

    def tick(self, at: int) -> float:
        """One observation of each pair; how long it took, ms."""
        self.prices = self.prices * (1 + self._rng.normal(0, 0.001, len(self.prices)))
        batch = instant(self.prices, at)
        begin = time.perf_counter()
        self.memory.add(self.cols, batch, at=at)
        return 1_000 * (time.perf_counter() - begin)

    def ask(self) -> dict[str, float]:
        """How long each indicator takes for all pairs, ms."""
        took = {}
        for name, args in ASKED:
            begin = time.perf_counter()
            catalogue()[name].step(self.memory, self.cols, args)
            took[f"{name}{args[:-1]}"] = 1_000 * (time.perf_counter() - begin)
        return took


def talib_of_pairs(pairs: int) -> float:
    """TA-Lib on the last 300 bars of each pair, all indicators, ms. Of a twentieth of the pairs, times twenty."""
    close = np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.001, (pairs // 20, 300)), axis=1))
    begin = time.perf_counter()
    for row in close:
        for name, args in ASKED:
            ORACLE[name](row, args)
    return 20_000 * (time.perf_counter() - begin)


def measure_steps(pairs: int) -> None:
    market = Market(pairs)
    adding = []
    for minute in range(1, WARM + 1):
        market.tick(BEGIN + minute * MINUTE - 1_000)
        adding.append(market.tick(BEGIN + minute * MINUTE))
    first = market.ask()
    closing, between, parts = [], [], []
    for minute in range(WARM + 1, WARM + 1 + CLOSES):
        market.tick(BEGIN + minute * MINUTE - 1_000)
        between.append(sum(market.ask().values()))
        market.tick(BEGIN + minute * MINUTE)
        parts.append(market.ask())
        closing.append(sum(parts[-1].values()))
    oracle = talib_of_pairs(pairs)
    closed, idle = float(np.median(closing)), float(np.median(between))
    print(f"{pairs:,} pairs, {len(ASKED)} indicators of minutes: median of {CLOSES} closes, and the fastest")
    print(f"  a minute closes, all indicators: {closed:8.1f} {min(closing):8.1f} ms (goal {GOAL_CLOSE_MS:.0f})")
    print(f"  nothing closes, all indicators:  {idle:8.2f} {min(between):8.2f} ms")
    print(f"  asked for the first time:        {sum(first.values()):8.0f} ms")
    print(f"  TA-Lib, pair by pair:            {oracle:8.0f} ms, {oracle / closed:.0f} times as long")
    print(f"  memory.add as a minute closes:   {np.median(adding[-50:]):8.1f} {min(adding[-50:]):8.1f} ms")
    for name in parts[0]:
        took = [part[name] for part in parts]
        print(f"    {name:28} {np.median(took):7.2f} {min(took):7.2f} ms, first {first[name]:7.1f}")


def minutes_of(days: int) -> Line:
    """Minutes of one pair."""
    count = days * 1_440
    price = 100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.001, count)))
    times = np.asarray(BEGIN + MINUTE * np.arange(1, count + 1))
    return line_of("coin/usd", time=times, price=price, valid_for=5 * MINUTE)


def measure_series() -> None:
    line = minutes_of(DAYS)
    begin = time.perf_counter()
    line.bars(MINUTE)
    folding = 1_000 * (time.perf_counter() - begin)
    print(f"\n{len(line):,} minutes of one pair, series form; its bars {folding:.1f} ms")
    total = 0.0
    for name, args in ASKED:
        series = catalogue()[name].series
        assert series is not None
        ours = fastest(series, line, args)
        total += ours
        theirs = fastest(ORACLE[name], line.price, args)
        print(f"    {name + str(args[:-1]):28} {ours:7.1f} ms, TA-Lib {theirs:5.1f} ms")
    print(f"  all {total:.0f} ms")


def fastest(call: Callable[..., object], *args: object) -> float:
    """Of five, ms."""
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        call(*args)
        took.append(1_000 * (time.perf_counter() - begin))
    return min(took)


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    measure_series()
    measure_steps(pairs)
    print(f"  most memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024:.0f} MB")


if __name__ == "__main__":
    main()
