"""The rule engine on 20,000 pairs: simple rules, composite rules, and a storm.

    python -m benchmarks.bench_rules [simple|restored|one|fifty|composite|storm ...] [RULES]

`restored`, `one` and `fifty`, only where they are asked for (10 million unless said), take simple rules as a
checkpoint gives them, built by columns: to add so many takes a quarter of an hour. They are on the price and its
change over 5 minutes; on the price alone; on changes over 50 windows.

An update is one observation of each pair, as a page of a source brings it. What it costs without rules is measured
just before in the same process. Constants lie far from the prices, so hardly anything fires: what an alert costs
is measured by itself, in the storm. Every measurement runs in a process of its own.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

import msgspec
import numpy as np
import psutil

from benchmarks.composite_rules import FEATURES, SHAPES, Composite, numbers_of
from benchmarks.simple_by_columns import enrol_one_each, held, whens, with_rules
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.rules.engine import Engine
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch

P = ParamSpec("P")
T = TypeVar("T")
PAIRS = 20_000
MINUTE = 60_000
BEGIN = 1_700_000_040_000
WARM = 110  # updates before anything is measured: more minutes than the longest window looks back
UPDATES = 320  # so that p99 is more than the longest
PAGE = 1_000  # rules that come at once, as pages of changes
ALONE = 1_000  # rules that come one by one
MOVE = 0.000_2  # usual size of a move between two updates
SIMPLE = (0, 10_000, 100_000, 1_000_000)
COMPOSITE = (0, 10_000, 100_000)
STORM = (100_000,)
RESTORED = (10_000_000,)
ON = {
    "restored": ("price", "change(5m)"),
    "one": ("price",),
    "fifty": tuple(f"change({minutes}m)" for minutes in range(5, 105, 2)),
}


class Cost(msgspec.Struct, frozen=True):
    """What was measured, in CPU time of the process: others use the machine too.

    `add_us` is µs a rule of many, `one_us` of one that comes by itself, `memory` bytes a rule, all else ms;
    `arming` is the first look at all of them; of two numbers one is the median, one the p99. `bare`: an update
    before there were rules; `turned`: in how many rules a comparison changes sides at an update, where that is
    looked at; `wall`: the median update by the clock on the wall.
    """

    rules: int
    add_us: float
    one_us: float
    memory: float
    arming: float
    bare: tuple[float, float] = (0.0, 0.0)
    update: tuple[float, float] = (0.0, 0.0)
    wall: float = 0.0
    popular: tuple[float, float] = (0.0, 0.0)
    one: tuple[float, float] = (0.0, 0.0)
    alerts: int = 0
    turned: int | None = None


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
        told, _, _ = self.engine.step(batch, seq=self._seq, at=self._now)
        took = 1_000 * (time.perf_counter() - begin), 1_000 * (time.process_time() - cpu)
        self.fired += told.each()
        self.engine.changes()
        return took

    def add(self, specs: Iterable[RuleSpec], page: int = 1, first: int = 0) -> float:
        """Rules come, so many at once; µs of CPU each. `first`: the number of the first."""
        waiting, number, took = iter(specs), first, 0.0
        while some := list(islice(waiting, page)):
            changes = [self._change(spec, number) for number, spec in enumerate(some, start=number)]
            number += len(some)
            cpu = time.process_time()
            self.engine.apply_many([(self._seq, change) for change in changes])
            self.engine.changes()
            took += time.process_time() - cpu
        return 1e6 * took / max(1, number - first)

    def _change(self, spec: RuleSpec, number: int) -> RuleChange:
        rule = Rule(id=f"r{number:012x}", owner="local", version=1, spec=spec)
        return RuleChange(number=number + 1, rule_id=rule.id, owner="local", head=0, saved_at=0, rule=rule)


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


def measure_composite(count: int) -> Cost:
    """Composite rules come into a market that goes on, in which there is one of each shape: so the numbers that
    they look at are kept already."""
    market = Market()
    for _ in range(WARM):
        market.tick()
    market.add(Composite(market, popularity(SHAPES)).specs(), first=count)
    market.tick()
    bare = spread([market.tick()[1] for _ in range(UPDATES)])
    rules = Composite(market, popularity(count))
    cost = added(market, rules.specs(), count)
    before = numbers_of(market)
    market.tick()
    turned = rules.turned(before, numbers_of(market))
    return msgspec.structs.replace(observed(market, cost), bare=bare, turned=turned)


def measure(kind: Callable[[Market, int], list[RuleSpec]], count: int) -> Cost:
    """Rules come into a market that goes on."""
    market = Market()
    for _ in range(WARM):
        market.tick()
    bare = spread([market.tick()[1] for _ in range(UPDATES)])
    specs = kind(market, count)
    cost = observed(market, added(market, iter(specs), count))
    return msgspec.structs.replace(cost, bare=bare)


def added(market: Market, specs: Iterator[RuleSpec], count: int) -> Cost:
    """So many of these rules come, the last of them one by one."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    alone = min(ALONE, count // 10)
    add = market.add(islice(specs, count - alone), page=PAGE)
    one = market.add(specs, first=count - alone)
    _, arming = market.tick()
    gc.collect()
    memory = psutil.Process().memory_info().rss - before
    return Cost(count, add, one, memory / max(1, count), arming)


def measure_restored(numbers: tuple[str, ...], count: int) -> Cost:
    """Simple rules come back from a checkpoint, into a market that goes on. `add_us` is the restore."""
    market = Market()
    for _ in range(WARM):
        market.tick()
    bare = spread([market.tick()[1] for _ in range(UPDATES)])
    enrol_one_each(market.engine, market.names, numbers)
    for _ in range(WARM):
        market.tick()
    state = with_rules(market.engine.state(), *far_away(market, numbers, count))
    market.engine = Engine()
    gc.collect()
    before = psutil.Process().memory_info().rss - held(state)
    cpu = time.process_time()
    market.engine.restore(state)
    restore = 1e6 * (time.process_time() - cpu) / count
    del state
    one = market.add(
        [RuleSpec(name=f"more {n}", pairs=market.names[n : n + 1], when=whens(numbers)[0]) for n in range(ALONE)],
        first=count,
    )
    _, arming = market.tick()
    gc.collect()
    memory = psutil.Process().memory_info().rss - before
    return observed(market, Cost(count, restore, one, memory / count, arming, bare))


def far_away(market: Market, numbers: tuple[str, ...], count: int) -> tuple[Ints, Floats]:
    """Of so many rules, the pair of each (its column) and the constant."""
    cols, number = popularity(count), np.arange(count)
    away = np.random.default_rng(4).uniform(0.05, 0.8, count) * np.where(number % 2 == 0, 1, -1)
    of_price = np.array([each == "price" for each in numbers])[number // 2 % len(numbers)]
    return cols, np.where(of_price, market.price[cols] * (1 + away), away)


def observed(market: Market, cost: Cost) -> Cost:
    """With what updates cost."""
    market.fired.clear()
    updates = [market.tick() for _ in range(UPDATES)]
    ten = [market.tick(np.arange(10), ms=1_000)[1] for _ in range(UPDATES)]
    one = [market.tick(np.arange(number % 100, number % 100 + 1), ms=1_000)[1] for number in range(UPDATES)]
    return msgspec.structs.replace(
        cost,
        update=spread([cpu for _, cpu in updates]),
        wall=statistics.median(wall for wall, _ in updates),
        popular=spread(ten),
        one=spread(one),
        alerts=len(market.fired),
    )


def spread(took: list[float]) -> tuple[float, float]:
    """Median and 99 of 100."""
    return float(np.median(took)), float(np.quantile(took, 0.99))


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


def rows(measured: Callable[..., Cost], counts: Sequence[int], *kind: object) -> None:
    """A line for each number of rules."""
    print(
        f"{'rules':>12}{'add many':>12}{'one':>8}{'memory':>9}{'arming':>11}{'no rules yet':>18}"
        f"{'all pairs: median, p99':>24}{'wall':>8}{'ten most popular':>20}{'one pair':>18}{'alerts':>8}"
        f"{'turned':>9}"
    )
    for count in counts:
        cost = alone(measured, *kind, count)
        turned = "" if cost.turned is None else f"{cost.turned:,}"
        print(
            f"{count:12,}{cost.add_us:9.1f} µs{cost.one_us:5.0f} µs{cost.memory:7.0f} B{cost.arming:8.0f} ms"
            f"{two(cost.bare)}{'':6}{two(cost.update)}{cost.wall:8.1f}{two(cost.popular)}{two(cost.one)}{cost.alerts:8}{turned:>9}",
            flush=True,
        )


def two(took: tuple[float, float]) -> str:
    return f"{took[0]:9.2f},{took[1]:7.2f} "


def alone(run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a process of its own, so that memory is what it used."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, *args, **kwargs).result()


def main() -> None:
    given = sys.argv[1:] if sys.argv[0].endswith("bench_rules.py") else []
    most = [int(word.replace(",", "")) for word in given if word[0].isdigit()]
    wanted = [word for word in given if not word[0].isdigit()] or ["simple", "composite", "storm"]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{PAIRS:,} pairs; all but `wall` is CPU time of the process, in ms unless said. Load before: {load}")
    if "simple" in wanted:
        print("\nsimple rules: `price` or `change(5m)` against a constant of their own")
        rows(measure, most or SIMPLE, simple_rules)
    for name, numbers in ON.items():
        if name in wanted:
            shown = ", ".join(numbers[:2]) + (f", … ({len(numbers)} numbers)" if len(numbers) > 2 else "")
            print(f"\nrules on {shown}, as a checkpoint gives them; `add many` is the restore")
            rows(measure_restored, most or RESTORED, numbers)
    if "composite" in wanted:
        print(f"\ncomposite rules: {SHAPES} shapes of 2 to 4 comparisons over {len(FEATURES)} numbers")
        print("(`no rules yet` is with one rule of each shape)")
        rows(measure_composite, most or COMPOSITE)
    if "storm" in wanted:
        print("\none tick fires so many rules: alerts made and standings changed, not yet committed")
        for count in most or STORM:
            print(*alone(storm, count), sep="\n", flush=True)


if __name__ == "__main__":
    main()
