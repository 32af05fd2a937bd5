"""Which history to ask for next: what rules look at first, then the largest pairs; finest charts first.

A pair's past is whole where it was watched, or was asked for. What is not whole is a *hole*: all before its first
observation, and each stretch in which it was not seen. A hole is asked for once with each chart that it takes, the
finest first, because points that were filled in are not filled in again. Times are epoch ms, of sources unless
said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.past import Reach
from cryptowatcher.domain.rules.tree import Expression, calls
from cryptowatcher.domain.ticks import TickBatch

SHORTEST_HOLE: Final = 600_000
"""ms: a pair that was not seen for less has no hole."""

_BARS: Final = 20
"""Averages and indicators remember up to so many times the bars that they need at least (features/anchored.py)."""
_DAY: Final = 86_400_000
_SOON: Final = 600_000
_BASE: Final = 2
"""Charts that are asked for of every pair, whatever rules look at: 5 minutes of a day, hours of 90 days."""


class Ask(NamedTuple):
    """One call to make."""

    pair: str
    reach: Reach


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what the rounds leave over may be used.

    share:     of the calls that rounds leave over in a minute, 0..1
    credits:   a month that may be used although rounds could use them
    all_pairs: whether to ask also for pairs that no rule looks at
    """

    share: float = 0.5
    credits: int = 0
    all_pairs: bool = True


class Depth(NamedTuple):
    """How many charts, from the finest on, rules on a pair take: those that name it, and those on all pairs."""

    named: Mapping[str, int]
    everywhere: int


class Hole(msgspec.Struct, frozen=True, array_like=True):
    """A stretch in which a pair was not seen: from its last observation to the next."""

    start: int
    end: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept over restarts. It belongs to one journal, and to what watchers make of it.

    journal, schema: what was filled in is gone with them
    pairs:   pair → interval of a chart → when it was last asked for (our time)
    holes:   of pairs, still to be filled
    refused: pair → not asked before (our time)
    month:   months since year 0; `credits`: what was taken in it from the rounds
    """

    journal: str = ""
    schema: int = 0
    pairs: dict[str, dict[int, int]] = {}
    holes: dict[str, Hole] = {}
    refused: dict[str, int] = {}
    month: int = 0
    credits: int = 0


class _Seen(NamedTuple):
    at: int
    price: float
    cap: float


class Plan:
    """Tell it what was seen and what was asked; ask it what is `next`."""

    def __init__(self, reaches: tuple[Reach, ...], *, all_pairs: bool) -> None:
        """`all_pairs`: whether also those that no rule looks at."""
        self._reaches = reaches
        self._all_pairs = all_pairs
        self._seen: dict[str, _Seen] = {}
        self._live: set[str] = set()  # seen by this process
        self._asked: dict[str, dict[int, int]] = {}
        self._holes: dict[str, Hole] = {}
        self._refused: dict[str, int] = {}  # pair → not before
        self._charts_refused: dict[int, int] = {}  # interval → not before
        self._failures: dict[str, int] = {}
        self._depth = Depth({}, 0)

    # --- what it is told ---------------------------------------------------------------------------

    def recall(self, asked: Asked) -> None:
        """What was asked by the process before."""
        self._asked = {pair: dict(charts) for pair, charts in asked.pairs.items()}
        self._holes, self._refused = dict(asked.holes), dict(asked.refused)

    def anchor(self, pair: str, price: float, observed_at: int) -> None:
        """The last that was seen of a pair before this process."""
        self._seen[pair] = _Seen(observed_at, price, 0.0)

    def saw(self, batch: TickBatch) -> bool:
        """Observations that count. What they end becomes a hole. Whether there is more to ask for than before."""
        more = False
        least = max(batch.valid_for, SHORTEST_HOLE)
        columns = (batch.observed_at, batch.price, batch.market_cap)
        for pair, at, price, cap in zip(batch.names(), *(each.tolist() for each in columns), strict=True):
            more |= pair not in self._live
            self._live.add(pair)
            before = self._seen.get(pair)
            if before is not None and at <= before.at:
                continue
            if before is not None and at - before.at > least:
                hole = self._holes.get(pair, Hole(before.at, at))
                self._holes[pair], more = Hole(min(hole.start, before.at), at), True
            self._seen[pair] = _Seen(at, price, cap if cap == cap else (before.cap if before else 0.0))
        return more

    def look(self, depth: Depth) -> None:
        """What rules look at now."""
        self._depth = depth

    def asked(self, ask: Ask, now: int) -> None:
        """The points of that chart stand in the journal, as far as there were any."""
        self._failures.pop(ask.pair, None)
        # A source's clock may be ahead of ours: what was seen before was asked for, too.
        self._asked.setdefault(ask.pair, {})[ask.reach.interval] = max(now, self._seen[ask.pair].at)

    def refused(self, ask: Ask, now: int, *, chart: bool) -> None:
        """Not this pair, or not such a `chart` of any pair: nothing is asked again for a day."""
        if chart:
            self._charts_refused[ask.reach.interval] = now + _DAY
        else:
            self._refused[ask.pair] = now + _DAY

    def failed(self, ask: Ask, now: int) -> None:
        """Others first, for ten minutes and longer each time."""
        failures = self._failures[ask.pair] = self._failures.get(ask.pair, 0) + 1
        self._refused[ask.pair] = now + min(_SOON << min(failures - 1, 10), _DAY)

    # --- what it says ------------------------------------------------------------------------------

    def last_seen(self, pair: str) -> tuple[int, float]:
        """Time and price of the newest observation of a pair that was asked for."""
        seen = self._seen[pair]
        return seen.at, seen.price

    @property
    def pairs(self) -> int:
        """Of how many history was asked for."""
        return len(self._asked)

    def kept(self, **beside: Any) -> Asked:
        """What a later process must know; `beside` it the fields that are not the plan's."""
        return Asked(pairs=self._asked, holes=self._holes, refused=self._refused, **beside)

    def waiting(self, now: int) -> list[Ask]:
        """All that is to be asked for, most urgent first. A pair that was not seen by this process comes once it
        was, because what is filled in lies before an observation."""
        self._holes = {pair: hole for pair, hole in self._holes.items() if self._is_open(pair, hole, now)}
        found = []
        for pair in self._live:
            seen = self._seen[pair]
            if self._refused.get(pair, 0) > now:
                continue
            hole = self._holes.get(pair)
            looked_at = max(self._depth.named.get(pair, 0), self._depth.everywhere)
            for place, reach in enumerate(self._reaches):
                if self._charts_refused.get(reach.interval, 0) > now:
                    continue
                level = self._level(pair, place, looked_at)
                if hole is not None and self._takes(pair, hole, reach, now):
                    level = 0 if looked_at else 3
                elif reach.interval in self._asked.get(pair, {}):
                    continue
                if level < _NEVER:
                    found.append((level, place, -seen.cap, pair, reach))
        return [Ask(pair, reach) for *_, pair, reach in sorted(found)]

    def _level(self, pair: str, place: int, looked_at: int) -> int:
        """How urgent a chart is that was never asked for; the lowest first."""
        if place < self._depth.named.get(pair, 0):
            return 1
        if place < looked_at:
            return 2
        return 4 if self._all_pairs and place < _BASE else _NEVER

    def _is_open(self, pair: str, hole: Hole, now: int) -> bool:
        return any(self._takes(pair, hole, reach, now) for reach in self._reaches)

    def _takes(self, pair: str, hole: Hole, reach: Reach, now: int) -> bool:
        """Whether a hole still takes this chart: it was not asked for since and reaches it, its points are not
        further apart than the hole is long, and no finer one reaches back as far."""
        if self._asked.get(pair, {}).get(reach.interval, 0) >= hole.end or now - reach.back >= hole.end:
            return False
        if hole.end - hole.start < reach.interval:
            return False
        finer = [each for each in self._reaches if each.interval < reach.interval]
        return all(now - each.back > hole.start for each in finer)


_NEVER: Final = 5


def depth_of(number: Expression, reaches: tuple[Reach, ...]) -> int:
    """How many charts, from the finest on, are needed for what a number looks back on."""
    deepest = 0
    for call in calls(number):
        function = catalogue()[call.name]
        kinds = [parameter.kind for parameter in function.parameters]
        span = function.needs(call.args)
        if "interval" in kinds:
            deepest = max(deepest, _depth_of_bars(span, call.args[kinds.index("interval")], reaches))
        elif span:
            deepest = max(deepest, _reaching(span, reaches))
    return deepest


def _depth_of_bars(span: int, bar: object, reaches: tuple[Reach, ...]) -> int:
    """Points that are further apart than bars are long tell nothing of them."""
    fine = sum(isinstance(bar, int) and reach.interval <= bar for reach in reaches)
    return min(_reaching(_BARS * span, reaches), fine)


def _reaching(span: int, reaches: tuple[Reach, ...]) -> int:
    """The first that reaches so far, else all."""
    return next((place for place, reach in enumerate(reaches, 1) if reach.back >= span), len(reaches))


def deepest(numbers: Iterable[tuple[Expression, Iterable[str] | None]], reaches: tuple[Reach, ...]) -> Depth:
    """What these numbers take: each with the pairs on which rules look at it, None for rules on all."""
    named: dict[str, int] = {}
    everywhere = 0
    for number, pairs in numbers:
        depth = depth_of(number, reaches)
        if pairs is None:
            everywhere = max(everywhere, depth)
            continue
        for pair in pairs:
            named[pair] = max(named.get(pair, 0), depth)
    return Depth(named, everywhere)
