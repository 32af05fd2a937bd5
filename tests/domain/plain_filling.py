"""What windows and bars see of a pair that was observed with gaps, and of what was told of them: the plain way, by
looking through everything, again each time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from cryptowatcher.domain.features.bars import ROWS
from cryptowatcher.domain.features.gaps import KEPT, SHORTEST
from cryptowatcher.domain.features.history import grid_of
from cryptowatcher.domain.intervals import INTERVALS

Point = tuple[int, float]


class Seen(NamedTuple):
    time: int
    price: float
    valid_for: int | None
    """Of what was told; None for an observation of the pair's own."""


class Hole(NamedTuple):
    start: float  # -inf: the past
    end: int


class Bar(NamedTuple):
    high: float
    low: float
    close: float


class PlainPair:
    """One pair."""

    def __init__(self, valid_for: int) -> None:
        self.valid_for = valid_for
        self.seen: list[Seen] = []
        self.past: Hole | None = None
        self.holes: list[Hole | None] = []  # None: filled, and still in its place
        self._counted: list[tuple[int, int]] | None = None
        self.bars: dict[int, dict[int, Bar]] = {interval: {} for interval in INTERVALS.values()}

    # --- what happens ----------------------------------------------------------------------------

    def observe(self, time: int, price: float) -> None:
        """One newer observation."""
        before = self.newest if self.seen else None
        if before is None:
            self.past = Hole(-math.inf, time)
        elif time - before > max(self.valid_for, SHORTEST):
            self.holes = [*self.holes, Hole(before, time)][-KEPT:]
        self.seen.append(Seen(time, price, None))
        self._counted = None
        for interval, bars in self.bars.items():
            if before is not None:
                # What is over by this observation and was not by the one before; between them there is nothing.
                for number in {(before - 1) // interval, (time - 1) // interval}:
                    if (number + 1) * interval > before and (number + 1) * interval <= time:
                        self._close(bars, interval, number)
            for number in [number for number in bars if number < time // interval - ROWS]:
                del bars[number]

    def tell(self, points: Sequence[Point], valid_for: int) -> None:
        """History, in any order."""
        told = sorted(dict(points).items())
        holes = sorted([hole for hole in [self.past, *self.holes] if hole], key=lambda hole: hole.end)
        for hole in reversed(holes):
            inside = [point for point in told if hole.start < point[0] < hole.end]
            if inside:
                self._tell(hole, inside, valid_for)

    def _tell(self, hole: Hole, inside: Sequence[Point], valid_for: int) -> None:
        around = [seen for seen in self.seen if seen.time in (hole.start, hole.end)]
        among = sorted([*around, *(Seen(*point, valid_for) for point in inside)])
        self.seen = sorted({*self.seen, *among})
        self._counted = None
        first = inside[0][0]
        left = Hole(hole.start, first) if first - hole.start > max(valid_for, SHORTEST) else None
        if hole == self.past:
            self.past = left
        else:
            self.holes = [left if each == hole else each for each in self.holes]
        for interval, bars in self.bars.items():
            numbers = {(time - 1) // interval for time, _ in inside}
            for number in sorted(numbers):
                begin, end = number * interval, (number + 1) * interval
                own = any(begin < seen.time <= end and seen.valid_for is None for seen in self.seen)
                if own or (hole.end - 1) // interval == number or number < self.newest // interval - ROWS:
                    continue
                self._close(bars, interval, number, among)

    # --- what is seen of it -----------------------------------------------------------------------

    @property
    def newest(self) -> int:
        """The time of the pair's newest observation."""
        return max(seen.time for seen in self.seen if seen.valid_for is None)

    def _steps(self, among: Sequence[Seen]) -> list[tuple[int, int]]:
        """The stretches that count as observed."""
        steps = []
        for one, other in itertools.pairwise(among):
            valid = one.valid_for or other.valid_for or self.valid_for
            if other.time - one.time <= valid:
                steps.append((one.time, other.time))
        return steps

    def observed(self, begin: int, end: int, among: Sequence[Seen] | None = None) -> int:
        """How much of a stretch was observed, ms."""
        if among is None and self._counted is None:
            self._counted = self._steps(self.seen)
        steps = self._counted if among is None else self._steps(among)
        assert steps is not None
        return sum(max(min(end, stop) - max(begin, start), 0) for start, stop in steps if stop > begin)

    def _close(
        self, bars: dict[int, Bar], interval: int, number: int, among: Sequence[Seen] | None = None
    ) -> None:
        begin, end = number * interval, (number + 1) * interval
        inside = [seen.price for seen in (self.seen if among is None else among) if begin < seen.time <= end]
        if inside and 10 * self.observed(begin, end, among) >= 9 * interval:
            bars[number] = Bar(max(inside), min(inside), inside[-1])

    def window(self, length: int) -> tuple[float, float, float]:
        """Reference, high and low of a window; NaN where not known."""
        now, grid = self.newest, grid_of(length)
        end = now // grid * grid - length
        places = [place for place, seen in enumerate(self.seen) if seen.time <= end]
        if not places:
            return math.nan, math.nan, math.nan
        place = places[-1]
        reference = self.seen[place]
        back = end - reference.time
        if not (back <= self.valid_for or (back <= length // 10 and self._unbroken(place, grid))):
            return math.nan, math.nan, math.nan
        span = now - reference.time
        if span - self.observed(reference.time, now) > span // 10:
            return reference.price, math.nan, math.nan
        prices = [seen.price for seen in self.seen if seen.time > end]
        return reference.price, max(prices), min(prices)

    def _unbroken(self, place: int, grid: int) -> bool:
        """From an observation to the last one of the next cell that has any."""
        begin, cell = self.seen[place].time, -(-self.seen[place + 1].time // grid)
        end = max(seen.time for seen in self.seen if -(-seen.time // grid) == cell)
        return self.observed(begin, end) == end - begin
