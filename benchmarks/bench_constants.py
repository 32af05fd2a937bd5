"""The sorted constants that numbers are compared with, alone: no rules, no features.

python -m benchmarks.bench_constants [CONSTANTS]
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time

import numpy as np
import psutil

from benchmarks.bench_rules import PAIRS, alone, popularity, spread, two
from cryptowatcher.domain.rules.constants import Constants
from cryptowatcher.domain.ticks import Ints

CONSTANTS = (1_000_000, 10_000_000)
UPDATES = 320
NEAR_MOVE = 0.000_7  # usual size of a move between two updates


class Wall:
    """The sorted constants of many numbers, and the values that move among them. No rules, no features."""

    def __init__(self, count: int, numbers: int, *, heavy: bool) -> None:
        rng, share = np.random.default_rng(6), count // numbers
        self.values = np.exp(rng.normal(0, 3, (numbers, PAIRS)))
        self.tables = [Constants(PAIRS) for _ in range(numbers)]
        self.alive = np.ones(2 * count, np.bool_)
        self.slots = count
        self.sorting = 0.0  # s
        self._rng = rng
        for number, (table, values) in enumerate(zip(self.tables, self.values, strict=True)):
            cols = popularity(share) if heavy else rng.integers(0, PAIRS, share)
            around = values[cols] * (1 + rng.uniform(-0.2, 0.2, share))
            slots = np.arange(number * share, (number + 1) * share)
            begin = time.process_time()
            table.add_many(cols, around, slots)
            table.settle(values, self.alive)
            self.sorting += time.process_time() - begin

    def update(self) -> tuple[float, float, int]:
        """Every value moves: how long that took, how long as many compares side by side take bare, in ms; and how
        many constants were crossed."""
        self.values = self.values * (1 + self._rng.normal(0, NEAR_MOVE, self.values.shape))
        took, crossed = self.move(np.arange(PAIRS), slice(None))
        low, high, flat = self.values.ravel() * 0.9, self.values.ravel() * 1.1, self.values.ravel()
        begin = time.process_time()
        np.flatnonzero((flat < low) | (flat >= high))
        return took, 1_000 * (time.process_time() - begin), crossed

    def jump(self, factor: float) -> float:
        """The most popular pair's values jump; ms."""
        self.values[:, 0] *= factor
        return self.move(np.zeros(1, np.int64), None)[0]

    def move(self, cols: Ints, at: slice | None) -> tuple[float, int]:
        """The values of these pairs are as they are now: ms, and how many constants were crossed."""
        now = self.values[:, cols]
        begin, crossed = time.process_time(), 0
        for table, values in zip(self.tables, now, strict=True):
            table.settle(values, self.alive)
            crossed += sum(len(each.slots) for each in table.move(cols, values, at))
        return 1_000 * (time.process_time() - begin), crossed

    def more(self, count: int) -> float:
        """So many constants come to the first number; ms until they are sorted in."""
        cols, values = self._rng.integers(0, PAIRS, count), self.values[0]
        slots = self.slots + np.arange(count)
        self.slots += count
        begin = time.process_time()
        self.tables[0].add_many(cols, values[cols] * 1.1, slots)
        self.tables[0].settle(values, self.alive)
        return 1_000 * (time.process_time() - begin)


def constants(count: int, numbers: int, *, heavy: bool) -> list[str]:
    """The sorted constants of some numbers alone, as many as rules on them have."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    wall = Wall(count, numbers, heavy=heavy)
    gc.collect()
    held = psutil.Process().memory_info().rss - before - wall.values.nbytes - wall.alive.nbytes
    updates = [wall.update() for _ in range(UPDATES)]
    jumps = [wall.jump(factor) for factor in (1.2, 1 / 1.2) * 5]
    edits = [wall.more(1) for _ in range(100)]
    storms = [wall.more(max(1, count // numbers // 2_000)) for _ in range(200)]
    return [
        f"{count:12,}{numbers:9}{'heavy' if heavy else 'even':>7}{wall.sorting:8.1f} s{held / count:7.1f} B"
        f"{two(spread([took for took, _, _ in updates]))}{min(took for took, _, _ in updates):7.2f}"
        f"{statistics.median(bare for _, bare, _ in updates):7.2f}"
        f"{statistics.median(many for _, _, many in updates):9,.0f}{two(spread(jumps))}{two(spread(edits))}"
        f"{max(storms):9.1f}"
    ]


def main() -> None:
    given = sys.argv[1:] if sys.argv[0].endswith("bench_constants.py") else []
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{PAIRS:,} pairs; CPU time of the process, in ms unless said. Load before: {load}")
    print(
        "of how many numbers, on popular pairs or evenly; load, memory each; all pairs move, the fastest of it, as"
        "\nmany compares bare, constants crossed; the most popular pair jumps by a fifth; one constant more; the"
        "\nlongest of 200 times a twentieth of a percent more, merges among them"
    )
    print(
        f"{'constants':>12}{'numbers':>9}{'':7}{'load':>10}{'memory':>9}{'update: med., p99':>18}{'least':>7}"
        f"{'bare':>7}{'crossed':>9}{'jump':>18}{'one more':>18}{'longest':>9}"
    )
    for count in [int(word.replace(",", "")) for word in given] or CONSTANTS:
        for numbers, heavy in ((1, True), (1, False), (50, True), (50, False)):
            print(*alone(constants, count, numbers, heavy=heavy), sep="\n", flush=True)


if __name__ == "__main__":
    main()
