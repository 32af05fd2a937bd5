"""Functions over finitely many bars: the newest n, or those inside a window of time.

A family states what it computes once, as a function of rows in chronological order, and gets both forms. In the
step form a row is the same place in the windows of many pairs, in the series form in those of many observations.
Sums run row by row, in this order, in both: a float's last bit depends on the order of additions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator

import msgspec
import numpy as np

from cryptowatcher.domain.features import Args, SeriesForm, StepForm
from cryptowatcher.domain.features.barline import BarSeries
from cryptowatcher.domain.features.bars import ROWS, Ring
from cryptowatcher.domain.features.columns import Column, Marks, Where, narrow, some_of
from cryptowatcher.domain.features.finite import finite
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.ticks import Floats, Ints

Row = Callable[[str, int], Floats]
"""A field (high, low, close) of the bars in a place of windows of n: 0 is the oldest, n - 1 the newest."""
Kernel = Callable[[Row, Args], Floats]
Part = tuple[Floats, Marks | None]
"""Values in one place, and where there are any: None for everywhere."""

MOST = 900
"""Bars that a function may look at: with the tenth that may be missing they have numbers within ROWS."""
_EQUAL = 1e-12  # a deviation smaller than this part of the mean is the rounding of equal values
_DENSE = 4  # a stretch of a row is read as fast as a fourth as many places in it
_CHUNK = 2_048  # pairs whose missing bars are left out at a time


# --- sums ------------------------------------------------------------------------------------------


def total(parts: Iterable[Part]) -> Floats:
    """The sum, in the order of the parts."""
    values, there = next(parts := iter(parts))
    result = np.where(True if there is None else there, values, 0.0)
    for values, there in parts:
        result += values if there is None else np.where(there, values, 0.0)
    return result


def deviation(parts: Callable[[], Iterable[Part]], count: int | Ints) -> Floats:
    """The population's standard deviation; 0 where the values differ by no more than rounding."""
    mean = total(parts()) / count

    def squares() -> Iterator[Part]:
        for values, there in parts():
            apart = values - mean
            apart *= apart
            yield apart, there

    found: Floats = np.sqrt(total(squares()) / count)
    return np.where(found < _EQUAL * np.abs(mean), 0.0, found)


def spread_over(bars: int) -> int:
    """Over how many numbers so many bars may be spread: a tenth may be missing."""
    return -(-10 * bars // 9)


# --- the newest n bars -------------------------------------------------------------------------------


def of_newest(kernel: Kernel, length: Callable[[Args], int]) -> tuple[StepForm, SeriesForm]:
    """Both forms of a function over the newest `length(args)` bars. The last argument is the interval."""

    def step(memory: Memory, cols: Ints, args: Args) -> Floats:
        return memory.bars[args[-1]].read((kernel, args), lambda: _Newest(kernel, args, length(args)), cols)

    def series(line: Line, args: Args) -> Floats:
        bars, n = line.bars(args[-1]), length(args)
        windows = len(bars) - n + 1
        if windows <= 0:
            return np.full(len(line), np.nan)

        def row(field: str, place: int) -> Floats:
            column: Floats = getattr(bars, field)
            return column[place : place + windows]

        with np.errstate(all="ignore"):
            return newest_known(bars, n, kernel(row, args), first=n - 1)

    return step, series


def newest_known(bars: BarSeries, n: int, values: Floats, *, first: int = 0) -> Floats:
    """The value of the newest closed bar, at each observation at which the newest n bars are known.

    values: of each bar from the one in place `first` on
    """
    newest = bars.closed - 1
    oldest = newest - n + 1
    known = (oldest >= 0) & (newest >= first)
    known[known] = bars.number[oldest[known]] >= bars.now[known] - spread_over(n)
    result = np.full(len(known), np.nan)
    result[known] = values[newest[known] - first]
    return finite(result)


def newest_there(ring: Ring, cols: Ints, n: int) -> Iterator[tuple[int, Where]]:
    """Which of these pairs have n bars spread over not too many numbers, by their number that is not over."""
    for now, where in same(ring.number[ring.stretch(cols)]):
        some = ring.stretch(some_of(cols, where))
        total = ring.total[some]
        there = total >= n
        if there.any():
            there &= total - ring.count[(now - 1 - spread_over(n)) % ROWS, some] >= n
            if there.any():
                yield now, narrow(where, there)


class _Newest(Column):
    """The values of a kernel."""

    def __init__(self, kernel: Kernel, args: Args, length: int) -> None:
        super().__init__()
        self._kernel = kernel
        self._args = args
        self._length = length

    def compute(self, ring: Ring, cols: Ints) -> Floats:
        n, values = self._length, np.full(len(cols), np.nan)
        for now, known in newest_there(ring, cols, n):
            some = ring.stretch(some_of(cols, known))
            whole = ring.total[some] - ring.count[(now - 1 - n) % ROWS, some] == n
            if whole.any():
                where = narrow(known, whole)
                values[where] = self._run(rows_of(ring, some_of(cols, where), now - n))
            if whole.all():
                continue
            holed = np.arange(len(cols))[narrow(known, ~whole)]
            for begin in range(0, len(holed), _CHUNK):
                where = holed[begin : begin + _CHUNK]
                values[where] = self._run(_without_holes(ring, cols[where], now, n))
        return finite(values)

    def _run(self, rows: tuple[Row, Where]) -> Floats:
        row, pick = rows
        with np.errstate(all="ignore"):
            return self._kernel(row, self._args)[pick]


def same(numbers: Ints) -> Iterator[tuple[int, Where]]:
    """Each number with the places where it stands."""
    if not len(numbers):
        return
    if numbers.min() == numbers.max():
        yield int(numbers[0]), slice(None)
        return
    for number in np.unique(numbers).tolist():
        yield number, np.flatnonzero(numbers == number)


def rows_of(ring: Ring, cols: Ints, first: int) -> tuple[Row, Where]:
    """The bars of these pairs with the numbers from `first` on, and what to pick from a row."""
    taken: Where = ring.stretch(cols)
    pick: Where = slice(None)
    if not isinstance(taken, slice):
        begin, end = int(cols.min()), int(cols.max()) + 1
        if end - begin <= _DENSE * len(cols):
            taken, pick = slice(begin, end), cols - begin

    def row(field: str, place: int) -> Floats:
        return ring.columns[field][(first + place) % ROWS, taken]

    return row, pick


def _without_holes(ring: Ring, cols: Ints, now: int, n: int) -> tuple[Row, slice]:
    """The newest n bars of these pairs, which have as many, moved together."""
    cells = (np.arange(now - spread_over(n), now) % ROWS)[:, None], cols
    there = (ring.columns["close"][cells] > 0) & (ring.count[cells] > ring.total[cols] - n)
    of_pairs = np.ascontiguousarray(there.T)  # n of each, in their order
    moved: dict[str, Floats] = {}

    def row(field: str, place: int) -> Floats:
        if field not in moved:
            moved[field] = np.ascontiguousarray(ring.columns[field][cells].T[of_pairs].reshape(-1, n).T)
        found: Floats = moved[field][place]
        return found

    return row, slice(None)


# --- windows of time -----------------------------------------------------------------------------------


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
    return _step(_mean, memory, cols, span)


def step_deviation(memory: Memory, cols: Ints, span: Span) -> Floats:
    """The standard deviation over a span of each of these pairs."""
    return _step(deviation, memory, cols, span)


def series_mean(line: Line, span: Span) -> Floats:
    """The mean over a span at each observation."""
    return _series(_mean, line, span)


def series_deviation(line: Line, span: Span) -> Floats:
    """The standard deviation over a span at each observation."""
    return _series(deviation, line, span)


Statistic = Callable[[Callable[[], Iterable[Part]], int | Ints], Floats]


def _mean(parts: Callable[[], Iterable[Part]], count: int | Ints) -> Floats:
    return total(parts()) / count


def _step(statistic: Statistic, memory: Memory, cols: Ints, span: Span) -> Floats:
    key: Hashable = (statistic, span)
    return memory.bars[span.interval].read(key, lambda: _InSpan(statistic, span), cols)


class _InSpan(Column):
    """The values of a statistic."""

    def __init__(self, statistic: Statistic, span: Span) -> None:
        super().__init__()
        self._statistic = statistic
        self._span = span

    def compute(self, ring: Ring, cols: Ints) -> Floats:
        span, values = self._span, np.full(len(cols), np.nan)
        if span.field != "move" and span.field not in ring.columns:
            return values
        length = span.length + span.before
        for now, which in same(ring.number[ring.stretch(cols)]):
            some = ring.stretch(some_of(cols, which))
            have = ring.total[some] - ring.count[(now - 1 - length) % ROWS, some]
            for wanted, holes in ((have == length, False), ((have < length) & (have >= span.least), True)):
                if wanted.any():
                    where = narrow(which, wanted)
                    values[where] = self._run(ring, some_of(cols, where), now, holes)
        return finite(values)

    def _run(self, ring: Ring, cols: Ints, now: int, holes: bool) -> Floats:
        span = self._span
        row, pick = rows_of(ring, cols, now - span.length)

        def parts() -> Iterator[Part]:
            for place in range(span.length):
                close = row("close", place)
                if span.before:
                    older = row("close", place - 1)
                    yield close / older - 1, (close > 0) & (older > 0) if holes else None
                else:
                    yield row(span.field, place), close > 0 if holes else None

        with np.errstate(all="ignore"):
            count: int | Ints = span.length
            if holes:
                count = total(
                    (there.astype(np.float64), None) for _, there in parts() if there is not None
                ).astype(np.int64)
            values = np.where(count >= span.least, self._statistic(parts, count), np.nan)
        return values[pick]


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
                lambda: ((values[place : place + windows], None) for place in range(span.length)), span.length
            )
            found[whole] = of_bars[end[whole] - span.length]
        some = np.flatnonzero(~whole & (end - begin >= span.least))
        if len(some):
            found[some] = _holed(statistic, span, values, there, begin[some], end[some])
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


def _holed(statistic: Statistic, span: Span, values: Floats, there: Marks, begin: Ints, end: Ints) -> Floats:
    """The same where bars are missing: windows that end together, with nothing at the beginning of the shorter."""

    def parts() -> Iterator[Part]:
        for back in range(span.length, 0, -1):
            row = end - back
            yield values[row], (row >= begin) & there[row]

    upto = np.concatenate([[0], np.cumsum(there)])
    count = upto[end] - upto[begin]
    return np.where(count >= span.least, statistic(parts, count), np.nan)
