"""The rule engine on 20,000 pairs: simple rules, composite rules, the sorted constants alone, and a storm.

    python -m benchmarks.bench_rules [simple|composite|constants|storm ...] [RULES]

An update is one observation of each pair, as a page of a source brings it. What it costs without rules (keeping
windows and candles) is the first line of its table. Constants lie far from the prices, so hardly anything fires:
what an alert costs is measured by itself, in the storm. Every measurement runs in a process of its own.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

import msgspec
import numpy as np
import psutil

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.rules.constants import Constants
from cryptowatcher.domain.rules.engine import Engine
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch

P = ParamSpec("P")
T = TypeVar("T")
PAIRS = 20_000
MINUTE = 60_000
BEGIN = 1_700_000_040_000
WARM = 70  # updates before anything is measured
UPDATES = 40
MOVE = 0.000_2  # usual size of a move between two updates
NEAR_MOVE = 0.000_7  # the same where constants lie near
SIMPLE = (0, 10_000, 100_000, 1_000_000)
COMPOSITE = (0, 10_000, 100_000)
CONSTANTS = (1_000_000, 10_000_000)
STORM = (100_000,)
SHAPES = 200
FEATURES = (
    "change(5m)",
    "change(1h)",
    "drawdown(1h)",
    "rally(1h)",
    "range(30m)",
    "rsi(14, 1m)",
    "zscore(20m)",
    "volatility(20m, 1m)",
    "price / sma(20, 1m)",
    "ema(12, 1m) / ema(26, 1m)",
)
AWAY = (20, 25, 30, 30, 35, 95, 9, 40, 2, 2)  # a constant that the number hardly reaches; percent or plain
PERCENT = (True, True, True, True, True, False, False, True, False, False)


class Cost(msgspec.Struct, frozen=True):
    """What was measured, in CPU time of the process: others use the machine too.
    `add_us` is µs a rule, `memory` bytes a rule, all else ms; `arming` is the first look at all of them;
    of two numbers one is the median, one the p99. `wall`: the median update by the clock on the wall."""

    rules: int
    add_us: float
    memory: float
    arming: float
    update: tuple[float, float]
    wall: float
    popular: tuple[float, float]
    one: tuple[float, float]
    alerts: int


class Market:
    """Prices that wander, and an engine that is told of them."""

    def __init__(self, pairs: int = PAIRS, *, move: float = MOVE) -> None:
        self.engine = Engine()
        self.names = tuple(f"coin-{number}/usd" for number in range(pairs))
        self.price = np.exp(np.random.default_rng(1).normal(0, 3, pairs))
        self.fired: list[Alert] = []
        self._move = move
        self._rng = np.random.default_rng(2)
        self._seq, self._now = 0, BEGIN

    def tick(self, cols: Ints | None = None, *, ms: int = MINUTE) -> tuple[float, float]:
        """One observation of each of these pairs (None: of all); how long the step took, ms of wall and CPU."""
        cols = np.arange(len(self.names)) if cols is None else cols
        self._seq, self._now = self._seq + 1, self._now + ms
        self.price[cols] *= 1 + self._rng.normal(0, self._move, len(cols))
        batch = instant(self.names, cols, self.price[cols], self._now)
        begin, cpu = time.perf_counter(), time.process_time()
        alerts, _, _ = self.engine.step(batch, seq=self._seq, at=self._now)
        took = 1_000 * (time.perf_counter() - begin), 1_000 * (time.process_time() - cpu)
        self.fired += alerts
        self.engine.changes()
        return took

    def add(self, specs: Sequence[RuleSpec]) -> float:
        """Rules come; µs of CPU each."""
        rules = [
            Rule(id=f"r{number:012x}", owner="local", version=1, spec=spec) for number, spec in enumerate(specs)
        ]
        cpu = time.process_time()
        for number, rule in enumerate(rules, start=1):
            change = RuleChange(number=number, rule_id=rule.id, owner="local", head=0, saved_at=0, rule=rule)
            self.engine.apply(change, seq=self._seq)
        self.engine.changes()
        return 1e6 * (time.process_time() - cpu) / max(1, len(rules))


def instant(names: tuple[str, ...], cols: Ints, prices: Floats, at: int) -> TickBatch:
    """One observation of some of these pairs."""
    n = len(cols)
    return TickBatch(
        source="bench",
        pairs=names,
        pair=cols,
        price=prices,
        volume=np.full(n, np.nan),
        market_cap=np.full(n, np.nan),
        observed_at=np.full(n, at),
        starts=np.zeros(1, np.int64),
        received_at=at,
        valid_for=5 * MINUTE,
    )


def popularity(count: int, pairs: int = PAIRS) -> Ints:
    """A pair for each of so many rules: few pairs have most of them."""
    weight = 1 / np.arange(1, pairs + 1)
    return np.random.default_rng(3).choice(pairs, count, p=weight / weight.sum())


def simple_rules(market: Market, count: int) -> list[RuleSpec]:
    """Half on prices, half on changes; every constant its own, both ways."""
    rng = np.random.default_rng(4)
    away = rng.uniform(0.05, 0.8, count).tolist()
    specs = []
    for number, (col, far) in enumerate(zip(popularity(count).tolist(), away, strict=True)):
        up, side = number % 2 == 0, ">=" if number % 2 == 0 else "<="
        if number % 4 < 2:
            when = f"price {side} {market.price[col] * (1 + far if up else 1 - far):.9f}"
        else:
            when = f"change(5m) {side} {'' if up else '-'}{100 * far:.6f}%"
        specs.append(RuleSpec(name=f"rule {number}", pairs=(market.names[col],), when=when))
    return specs


def composite_rules(market: Market, count: int) -> list[RuleSpec]:
    """Rules of SHAPES shapes with 2 to 4 comparisons each."""
    rng = np.random.default_rng(5)
    shapes = [
        (rng.choice(len(FEATURES), 2 + n % 3, False).tolist(), (" and ", " or ")[n // 3 % 2])
        for n in range(SHAPES)
    ]
    specs = []
    for number, col in enumerate(popularity(count).tolist()):
        features, joined = shapes[number % SHAPES]
        when = joined.join(_comparison(feature, rng.uniform(1, 1.04)) for feature in features)
        specs.append(RuleSpec(name=f"rule {number}", pairs=(market.names[col],), when=when))
    return specs


def _comparison(feature: int, share: float) -> str:
    return f"{FEATURES[feature]} > {AWAY[feature] * share:.4f}{'%' if PERCENT[feature] else ''}"


def measure(kind: Callable[[Market, int], list[RuleSpec]], count: int) -> Cost:
    """Rules come into a market that goes on."""
    market = Market()
    for _ in range(WARM):
        market.tick()
    specs = kind(market, count)
    gc.collect()
    before = psutil.Process().memory_info().rss
    add = market.add(specs)
    _, arming = market.tick()
    gc.collect()
    memory = psutil.Process().memory_info().rss - before
    market.fired.clear()
    updates = [market.tick() for _ in range(UPDATES)]
    ten = [market.tick(np.arange(10), ms=1_000)[1] for _ in range(200)]
    one = [market.tick(np.arange(number % 100, number % 100 + 1), ms=1_000)[1] for number in range(200)]
    return Cost(
        count,
        add,
        memory / max(1, count),
        arming,
        spread([cpu for _, cpu in updates]),
        statistics.median(wall for wall, _ in updates),
        spread(ten),
        spread(one),
        len(market.fired),
    )


def spread(took: list[float]) -> tuple[float, float]:
    """Median and 99 of 100."""
    return float(np.median(took)), float(np.quantile(took, 0.99))


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
        f"{_two(spread([took for took, _, _ in updates]))}{statistics.median(bare for _, bare, _ in updates):7.2f}"
        f"{statistics.median(many for _, _, many in updates):9,.0f}{_two(spread(jumps))}{_two(spread(edits))}"
        f"{max(storms):9.1f}"
    ]


def storm(count: int) -> list[str]:
    """One tick of one pair that fires as many rules."""
    market = Market(250)
    market.tick()
    price = float(market.price[0])
    market.add(
        [
            RuleSpec(
                name=f"rule {n}", pairs=market.names[:1], when=f"price <= {price * (0.9 + n / count / 20):.9f}"
            )
            for n in range(count)
        ]
    )
    market.tick()
    market.fired.clear()
    market.price[0] *= 0.8
    wall, cpu = market.tick(np.zeros(1, np.int64))
    assert len(market.fired) == count, "every rule fires"
    return [f"{count:12,}{wall:9.0f} ms{cpu:9.0f} ms{1_000 * cpu / count:9.1f} µs"]


def rows(kind: Callable[[Market, int], list[RuleSpec]], counts: Sequence[int]) -> None:
    """A line for each number of rules."""
    print(
        f"{'rules':>12}{'add':>10}{'memory':>9}{'arming':>11}{'all pairs: median, p99':>26}{'wall':>8}"
        f"{'ten most popular':>20}{'one pair':>18}{'alerts':>8}"
    )
    for count in counts:
        cost = alone(measure, kind, count)
        print(
            f"{count:12,}{cost.add_us:7.0f} µs{cost.memory:7.0f} B{cost.arming:8.0f} ms{'':6}{_two(cost.update)}"
            f"{cost.wall:8.1f}{_two(cost.popular)}{_two(cost.one)}{cost.alerts:8}",
            flush=True,
        )


def _two(took: tuple[float, float]) -> str:
    return f"{took[0]:9.2f},{took[1]:7.2f} "


def alone(run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a process of its own, so that memory is what it used."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, *args, **kwargs).result()


def main() -> None:
    given = sys.argv[1:] if sys.argv[0].endswith("bench_rules.py") else []
    most = [int(word.replace(",", "")) for word in given if word[0].isdigit()]
    wanted = [word for word in given if not word[0].isdigit()] or ["simple", "composite", "constants", "storm"]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{PAIRS:,} pairs; all but `wall` is CPU time of the process, in ms unless said. Load before: {load}")
    if "simple" in wanted:
        print("\nsimple rules: `price` or `change(5m)` against a constant of their own")
        rows(simple_rules, most or SIMPLE)
    if "composite" in wanted:
        print(f"\ncomposite rules: {SHAPES} shapes of 2 to 4 comparisons over {len(FEATURES)} numbers")
        rows(composite_rules, most or COMPOSITE)
    if "constants" in wanted:
        print(
            "\nthe sorted constants alone: of how many numbers, on popular pairs or evenly; load, memory each;"
            "\nall pairs move, as many compares bare, constants crossed; the most popular pair jumps by a fifth;"
            "\none constant more; the longest of 200 times a twentieth of a percent more, merges among them"
        )
        print(
            f"{'constants':>12}{'numbers':>9}{'':7}{'load':>10}{'memory':>9}{'update: med., p99':>18}{'bare':>7}"
            f"{'crossed':>9}{'jump':>18}{'one more':>18}{'longest':>9}"
        )
        for count in most or CONSTANTS:
            for numbers, heavy in ((1, True), (1, False), (50, True), (50, False)):
                print(*alone(constants, count, numbers, heavy=heavy), sep="\n", flush=True)
    if "storm" in wanted:
        print("\none tick fires so many rules: alerts made and standings changed, not yet committed")
        for count in most or STORM:
            print(*alone(storm, count), sep="\n", flush=True)


if __name__ == "__main__":
    main()
