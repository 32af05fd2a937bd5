"""Windows over 20,000 pairs: 15 features (5m, 7m, 1h, 24h, 7d, each reference, high and low) after each tick.

    python benchmarks/bench_windows.py

Eight days come first, a tick of every pair each five minutes and in the last two hours each minute; then ticks of
the whole market, of pages and of single pairs. "Adding" is what is kept whether or not anybody asks.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from cryptowatcher.domain.features.history import History
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.ticks import Floats, Ints

GOAL_MS = 20.0
PAIRS = 20_000
M, H, D = MS["m"], MS["h"], MS["d"]
WINDOWS = (5 * M, 7 * M, H, 24 * H, 7 * D)
BEGIN = 1_722_816_000_000
VALID_FOR = 30 * D  # so that all windows are known as soon as they are long enough
ROUNDS = 60


class Market:
    """A history, and random walks: one pair in 50 only goes up."""

    def __init__(self) -> None:
        self.chance = np.random.default_rng(1)
        self.history = History()
        self.history.widen(PAIRS)
        self.all = np.arange(PAIRS)
        self.price = np.exp(self.chance.normal(0, 3, PAIRS))
        self.steady = self.all % 50 == 0
        self.time = BEGIN

    def move(self, cols: Ints) -> Floats:
        """Their next prices."""
        steps = self.chance.normal(0, 0.001, len(cols))
        self.price[cols] *= np.exp(np.where(self.steady[cols], np.abs(steps) / 100, steps))
        return self.price[cols]

    def tick(self, cols: Ints, after: int) -> tuple[Ints, Ints, Floats, int]:
        """The next ticks of these pairs, as History takes them."""
        self.time += after
        return cols, np.full(len(cols), self.time), self.move(cols), VALID_FOR

    def ask(self, cols: Ints) -> None:
        """All 15 features."""
        for window in WINDOWS:
            self.history.reference(cols, window)
            self.history.high(cols, window)
            self.history.low(cols, window)


def timed(run: Callable[[], object]) -> float:
    """CPU time, ms."""
    started = time.process_time()
    run()
    return (time.process_time() - started) * 1e3


def row(what: str, adding: list[float], asking: list[float]) -> float:
    """Print one line; the median of both together."""
    both = sorted(a + b for a, b in zip(adding, asking, strict=True))
    median = statistics.median(both)
    print(
        f"{what:28}{statistics.median(adding):9.2f}{statistics.median(asking):9.2f}{median:9.2f}"
        f"{min(both):9.2f}{both[int(0.95 * len(both))]:9.2f}{both[-1]:9.2f}"
    )
    return median


def measure(market: Market, what: str, rows: int, after: int) -> float:
    adding, asking = [], []
    for number in range(ROUNDS):
        first = number * rows % PAIRS
        ticks = market.tick(market.all[first : first + rows], after)
        adding.append(timed(lambda ticks=ticks: market.history.add(*ticks)))  # type: ignore[misc]
        asking.append(timed(lambda ticks=ticks: market.ask(ticks[0])))  # type: ignore[misc]
    return row(what, adding, asking)


def main() -> None:
    market = Market()
    every = [5 * M] * (8 * 288) + [M] * 125
    for after in every:
        market.history.add(*market.tick(market.all, after))
    first = timed(lambda: market.ask(market.all))
    print(f"{PAIRS:,} pairs, 15 features; CPU ms\n")
    print(f"{'':28}{'adding':>9}{'asking':>9}{'both':>9}{'least':>9}{'95 %':>9}{'most':>9}")
    whole = measure(market, "whole market, a minute on", PAIRS, M)
    measure(market, "pages of 250, 0.75 s on", 250, 750)
    measure(market, "single ticks, 50 ms on", 1, 50)
    print(f"\nasked for the first time: {first:.0f} ms")
    cells = [tier.rings.state().cells for tier in market.history.tiers]
    size = [sum(column.nbytes for column in each.columns()) / 1e6 for each in cells]
    extremes = sum(each.high.nbytes + each.low.nbytes for each in cells) / 1e6
    print(f"memory: {sum(size):,.0f} MB ({', '.join(f'{each:.0f}' for each in size)} by tier), ", end="")
    print(f"{extremes:,.0f} of it for highs and lows")
    print(f"whole market: {whole:.1f} ms   goal <= {GOAL_MS:.0f}: {'held' if whole <= GOAL_MS else 'MISSED'}")


if __name__ == "__main__":
    main()
