"""A million rules of two hundred shapes with two to four comparisons each, on pairs of which few are popular.

In every rule with `and` the first comparison is near what its number is now, so that it turns true and false all
the time; the others, and all of those with `or`, are far away. So many rules are looked at and hardly any fires:
what an alert costs is measured by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cryptowatcher.domain.rules.compiled import read
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.numbers import Values
from cryptowatcher.domain.rules.tree import Comparison
from cryptowatcher.domain.ticks import Floats, Ints

if TYPE_CHECKING:
    from benchmarks.bench_rules import Market

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
AWAY = (20, 25, 30, 30, 35, 99.99, 40, 40, 2, 2)  # a constant that the number hardly reaches; percent or plain
PERCENT = (True, True, True, True, True, False, False, True, False, False)
SPREAD = 3.0  # how much further from the middle than the numbers are the constants that are near them


class Composite:
    """Rules to be added to a market that has gone on for a while."""

    def __init__(self, market: Market, cols: Ints) -> None:
        """`cols`: the pair of each."""
        rng = np.random.default_rng(5)
        shapes = [
            (rng.choice(len(FEATURES), 2 + n % 3, False).tolist(), (" and ", " or ")[n // 3 % 2])
            for n in range(SHAPES)
        ]
        self._market, self._cols, self._shapes = market, cols, shapes
        shape = np.arange(len(cols)) % SHAPES
        self._first = np.asarray([features[0] for features, _ in shapes])[shape]
        self._turns = np.asarray([joined == " and " for _, joined in shapes])[shape]
        self._share = rng.uniform(1, 1.04, (len(cols), 4))
        drawn = rng.integers(0, len(market.names), len(cols))
        self._near = np.zeros(len(cols))
        for feature, values in enumerate(numbers_of(market)):
            mine, middle = self._first == feature, np.median(values)
            self._near[mine] = middle + SPREAD * (values[drawn[mine]] - middle)

    def specs(self) -> Iterator[RuleSpec]:
        """Each made as it is asked for."""
        each = zip(self._cols.tolist(), self._near.tolist(), self._share, strict=True)
        for number, (col, near, share) in enumerate(each):
            features, joined = self._shapes[number % SHAPES]
            parts = [_text(feature, AWAY[feature] * by) for feature, by in zip(features, share, strict=False)]
            if joined == " and ":
                parts[0] = _text(features[0], near * (100 if PERCENT[features[0]] else 1))
            yield RuleSpec(name=f"rule {number}", pairs=(self._market.names[col],), when=joined.join(parts))

    def turned(self, before: list[Floats], after: list[Floats]) -> int:
        """In how many the near comparison changed sides between two updates: what numbers_of() said at each."""
        count = 0
        for feature, (was, now) in enumerate(zip(before, after, strict=True)):
            mine = np.flatnonzero(self._turns & (self._first == feature))
            cols, near = self._cols[mine], self._near[mine]
            count += int(np.count_nonzero((was[cols] > near) != (now[cols] > near)))
        return count


def numbers_of(market: Market) -> list[Floats]:
    """What each of FEATURES is now, for every pair."""
    values = Values(market.engine.memory, np.arange(len(market.names)))
    conditions = [read(_text(feature, 1)) for feature in range(len(FEATURES))]
    return [values.of(condition.left) for condition in conditions if isinstance(condition, Comparison)]


def _text(feature: int, constant: float) -> str:
    return f"{FEATURES[feature]} > {constant:.6f}{'%' if PERCENT[feature] else ''}"
