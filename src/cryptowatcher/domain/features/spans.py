"""Means and deviations of the bars inside a window of time: what a mean is made of is summed as in windows.py."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

import msgspec
import numpy as np

from cryptowatcher.domain.features.barline import BarSeries
from cryptowatcher.domain.features.bars import Ring
from cryptowatcher.domain.features.columns import Column, Group, Marks, Where
from cryptowatcher.domain.features.finite import finite
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.features.windows import (
    Part,
    Parts,
    all_whole,
    bars_in,
    deviation,
    missing_at,
    row_of,
    total,
)
from cryptowatcher.domain.ticks import Floats, Ints

_KEPT = 1 << 19  # moves that are kept rather than computed twice


class Span(msgspec.Struct, frozen=True):
    """What is looked at: a field of the newest `length` bar numbers before now. `move` is the relative change
    between the closes of a bar and the one just before it."""

    field: str
    interval: int
    length: int

    @property
    def least(self) -> int:
        """How many of them must be there."""
        return -(-9 * self.length // 10)

    @property
    def before(self) -> int:
        """How many bars more are needed before them."""
        return int(self.field == "move")


def step_mean(memory: Memory, cols: Ints, span: Span) -> Floats:
    """The mean over a span of each of these pairs."""
    return memory.bars[span.interval].read(*_mean_of(span), cols)


def step_deviation(memory: Memory, cols: Ints, span: Span) -> Floats:
    """The standard deviation over a span of each of these pairs."""
    return memory.bars[span.interval].read((_DeviationInSpan, span), lambda: _DeviationInSpan(span), cols)


def series_mean(line: Line, span: Span) -> Floats:
    """The mean over a span at each observation."""
    return _series(_mean, line, span)


def series_deviation(line: Line, span: Span) -> Floats:
    """The standard deviation over a span at each observation."""
    return _series(_deviation, line, span)


Statistic = Callable[[Parts, int | Ints], Floats]


def _mean(parts: Parts, count: int | Ints) -> Floats:
    found = total(parts())
    found /= count
    return found


def _deviation(parts: Parts, count: int | Ints) -> Floats:
    return deviation(parts, _mean(parts, count), count)


class _MeanInSpan(Column):
    """The mean of what is in a span."""

    def __init__(self, span: Span) -> None:
        super().__init__()
        self._span = span

    def compute(self, ring: Ring, group: Group) -> Floats:
        span = self._span
        if span.field != "move" and span.field not in ring.columns:
            return np.full(len(ring.number[group.taken]), np.nan)
        length = span.length + span.before
        with np.errstate(all="ignore"):
            if all_whole(ring, group, length):
                return finite(self._run(ring, group, lambda: self._whole(ring, group), span.length))
            have = bars_in(ring, group, length)
            enough = have >= span.least
            if not group.any(enough):
                return np.full(len(have), np.nan)
            count = self._moves(ring, group) if span.before else have
            values = self._run(ring, group, lambda: self._holed(ring, group), count)
            return finite(np.where(enough & (count >= span.least), values, np.nan))

    def _run(self, ring: Ring, group: Group, parts: Parts, count: int | Ints) -> Floats:
        return _mean(parts, count)

    def _numbers(self, group: Group) -> range:
        return range(group.now - self._span.length, group.now)

    def _whole(self, ring: Ring, group: Group) -> Iterator[Part]:
        for number in self._numbers(group):
            yield self._row(ring, group, number), ()

    def _holed(self, ring: Ring, group: Group) -> Iterator[Part]:
        for number in self._numbers(group):
            needed = range(number - self._span.before, number + 1)
            missing = tuple(missing_at(ring, group, each) for each in needed)
            yield self._row(ring, group, number), missing

    def _row(self, ring: Ring, group: Group, number: int) -> Floats:
        if not self._span.before:
            return row_of(ring, group, self._span.field, number)
        moves = row_of(ring, group, "close", number) / row_of(ring, group, "close", number - 1)
        moves -= 1
        return moves

    def _moves(self, ring: Ring, group: Group) -> Ints:
        """How many there are."""
        moves = np.zeros(len(ring.number[group.taken]), np.int64)
        for number in self._numbers(group):
            there = np.ones(len(moves), np.bool_)
            there[missing_at(ring, group, number)] = there[missing_at(ring, group, number - 1)] = False
            moves += there
        return moves


class _DeviationInSpan(_MeanInSpan):
    """The standard deviation of what is in a span. Moves of pairs that follow one another are kept, for as many
    bars as are looked at: each minute brings one, and to divide takes longest."""

    def __init__(self, span: Span) -> None:
        super().__init__(span)
        self._moved: dict[int, Floats] = {}
        self._of: Where = slice(0, 0)

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs, or other bars are told of."""
        super().forget(cols)
        self._moved.clear()

    def _row(self, ring: Ring, group: Group, number: int) -> Floats:
        span = self._span
        if not (span.before and isinstance(group.where, slice) and span.length * len(group.cols) <= _KEPT):
            return super()._row(ring, group, number)
        if self._of != group.where:
            self._of, self._moved = group.where, {}
        if number not in self._moved:
            first = group.now - span.length
            self._moved = {before: row for before, row in self._moved.items() if before >= first}
            self._moved[number] = super()._row(ring, group, number)
        return self._moved[number]

    def _run(self, ring: Ring, group: Group, parts: Parts, count: int | Ints) -> Floats:
        if not self._span.before:
            mean = ring.column(*_mean_of(self._span)).taken_of(ring, group)
            return deviation(parts, mean, count)
        if self._span.length * len(group.cols) <= _KEPT:
            rows = list(parts())  # moves are new at each row
            return _deviation(lambda: rows, count)
        return _deviation(parts, count)


def _mean_of(span: Span) -> tuple[Hashable, Callable[[], Column]]:
    return (_MeanInSpan, span), lambda: _MeanInSpan(span)


def _series(statistic: Statistic, line: Line, span: Span) -> Floats:
    bars = line.bars(span.interval)
    result = np.full(len(line), np.nan)
    if not len(bars):
        return result
    # Between the ends of bars nothing changes: computed at the first observation after each, and repeated.
    begins = np.flatnonzero(np.diff(bars.now, prepend=bars.now[:1] - 1))
    end, now = bars.closed[begins], bars.now[begins]
    begin = np.searchsorted(bars.number, now - span.length)
    length = span.length + span.before
    whole = (end >= length) & (bars.number[end - 1] == now - 1)
    whole[whole] = bars.number[end[whole] - length] == now[whole] - length
    found = np.full(len(begins), np.nan)
    with np.errstate(all="ignore"):
        values, there = _in_span(bars, span)
        if whole.any():
            windows = len(bars) - span.length + 1
            of_bars = statistic(
                lambda: ((values[place : place + windows], ()) for place in range(span.length)), span.length
            )
            found[whole] = of_bars[end[whole] - span.length]
        some = np.flatnonzero(~whole & (end - begin >= span.least))
        if len(some):
            found[some] = _in_holed(statistic, span, values, there, begin[some], end[some])
    repeats = np.diff(np.append(begins, len(line)))
    return np.repeat(finite(found), repeats)


def _in_span(bars: BarSeries, span: Span) -> tuple[Floats, Marks]:
    """The field of each bar, and where it is one."""
    if span.field != "move":
        values: Floats = getattr(bars, span.field)
        return values, np.ones(len(bars), np.bool_)
    moves = np.full(len(bars), np.nan)
    moves[1:] = bars.close[1:] / bars.close[:-1] - 1
    return moves, np.diff(bars.number, prepend=bars.number[:1]) == 1


def _in_holed(statistic: Statistic, span: Span, values: Floats, there: Marks, begin: Ints, end: Ints) -> Floats:
    """The same where bars are missing: windows that end together, with nothing at the beginning of the shorter."""

    def parts() -> Iterator[Part]:
        for back in range(span.length, 0, -1):
            row = end - back
            yield values[row], ((row < begin) | ~there[row],)

    upto = np.concatenate([[0], np.cumsum(there)])
    count = upto[end] - upto[begin]
    return np.where(count >= span.least, statistic(parts, count), np.nan)
