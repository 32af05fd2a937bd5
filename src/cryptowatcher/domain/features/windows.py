"""Functions over the newest n bars; spans.py has those over a window of time.

A family states what it computes once, as a function of rows in chronological order, and gets both forms. In the
step form a row is the same place in the windows of many pairs, in the series form in those of many observations.
Sums run row by row, in this order, in both: a float's last bit depends on the order of additions.

Where pairs miss bars the step form goes over more rows, those of the bar numbers that the longest of their windows
needs, and says of each row which pairs have nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Protocol

import numpy as np

from cryptowatcher.domain.features import Args, SeriesForm, StepForm
from cryptowatcher.domain.features.barline import BarSeries
from cryptowatcher.domain.features.bars import ROWS, Ring
from cryptowatcher.domain.features.columns import Column, Group, Marks, Where, stretch
from cryptowatcher.domain.features.finite import finite
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.ticks import Floats, Ints

Part = tuple[Floats, tuple[Ints | Marks, ...]]
"""A row: values, and places where there are none. Values are only good until the next row."""
Parts = Callable[[], Iterable[Part]]

MOST = 900
"""Bars that a function may look at: with the tenth that may be missing they have numbers within ROWS."""
_EQUAL = 1e-12  # a deviation smaller than this part of the mean is the rounding of equal values
_FEW = 8  # fewer than an eighth of the pairs are looked at by themselves


class Rows(Protocol):
    """The bars of windows of the same length, by place: 0 is the oldest bar."""

    def parts(self, field: str, first: int, end: int, *, neutral: bool = False) -> Iterator[Part]:
        """A field (high, low, close) of the bars in the places from `first` to before `end`.

        neutral: what is said of a bar that a pair does not have does no harm: 0 is added to closes, and no high is
            below 0, no low above infinity
        """

    def at(self, field: str, place: int) -> Floats:
        """The field of the bar in one place."""


# --- sums ------------------------------------------------------------------------------------------


def total(parts: Iterable[Part]) -> Floats:
    """The sum, in the order of the parts."""
    return _over(np.add, parts, 0.0)


def extreme(of: np.ufunc, parts: Iterable[Part], start: float) -> Floats:
    """The greatest or the least; `start` where there is none."""
    return _over(of, parts, start)


def _over(of: np.ufunc, parts: Iterable[Part], start: float) -> Floats:
    result: Floats | None = None
    row: Floats | None = None
    for values, missing in parts:
        if missing:
            row = np.empty_like(values) if row is None else row
            np.copyto(row, values)
            for places in missing:
                row[places] = start
        if result is None:
            result = row.copy() if missing and row is not None else values.copy()
        else:
            of(result, row if missing else values, out=result)
    assert result is not None, "of nothing"
    return result


def deviation(parts: Parts, mean: Floats, count: int | Ints) -> Floats:
    """The population's standard deviation; 0 where the values differ by no more than rounding."""
    apart = np.empty_like(mean)

    def squares() -> Iterator[Part]:
        for values, missing in parts():
            np.subtract(values, mean, out=apart)
            for places in missing:
                apart[places] = 0.0
            np.multiply(apart, apart, out=apart)
            yield apart, ()

    found: Floats = total(squares())
    found /= count
    np.sqrt(found, out=found)
    found[found < _EQUAL * np.abs(mean)] = 0.0
    return found


def spread_over(bars: int) -> int:
    """Over how many numbers so many bars may be spread: a tenth may be missing."""
    return -(-10 * bars // 9)


# --- the newest n bars -------------------------------------------------------------------------------

Kernel = Callable[[Rows, Args], Floats]
After = Callable[[Rows, Args, Floats], Floats]
"""A kernel that is also given the values of another one, over the same bars."""


def of_newest(kernel: Kernel, length: Callable[[Args], int]) -> tuple[StepForm, SeriesForm]:
    """Both forms of a function over the newest `length(args)` bars. The last argument is the interval."""

    def step(memory: Memory, cols: Ints, args: Args) -> Floats:
        return memory.bars[args[-1]].read((kernel, args), lambda: _Newest(kernel, args, length(args)), cols)

    return step, _series_of(kernel, length)


def of_newest_after(first: Kernel, then: After, length: Callable[[Args], int]) -> tuple[StepForm, SeriesForm]:
    """The same of a function that goes on from what another one gives."""

    def step(memory: Memory, cols: Ints, args: Args) -> Floats:
        return memory.bars[args[-1]].read(
            (then, args), lambda: _NewestAfter(first, then, args, length(args)), cols
        )

    return step, _series_of(lambda rows, args: then(rows, args, first(rows, args)), length)


def _series_of(kernel: Kernel, length: Callable[[Args], int]) -> SeriesForm:
    def series(line: Line, args: Args) -> Floats:
        bars, n = line.bars(args[-1]), length(args)
        windows = len(bars) - n + 1
        if windows <= 0:
            return np.full(len(line), np.nan)
        with np.errstate(all="ignore"):
            return newest_known(bars, n, kernel(_OfLine(bars, windows), args), first=n - 1)

    return series


class _OfLine:
    """Rows of all windows of a line."""

    def __init__(self, bars: BarSeries, windows: int) -> None:
        self._bars = bars
        self._windows = windows

    def parts(self, field: str, first: int, end: int, *, neutral: bool = False) -> Iterator[Part]:
        for place in range(first, end):
            yield self.at(field, place), ()

    def at(self, field: str, place: int) -> Floats:
        column: Floats = getattr(self._bars, field)
        return column[place : place + self._windows]


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


def all_whole(ring: Ring, group: Group, n: int) -> bool:
    """Whether all pairs of a group have a bar of each of the last n numbers."""
    if n > group.whole and group.all(bars_in(ring, group, n) == n):
        group.whole = n
    return n <= group.whole


def bars_in(ring: Ring, group: Group, numbers: int) -> Ints:
    """How many bars of the last so many numbers the pairs have that are taken with a group."""
    found: Ints = ring.total[group.taken] - ring.count[(group.now - 1 - numbers) % ROWS, group.taken]
    return found


def newest_there(ring: Ring, group: Group, n: int) -> Marks:
    """Which of the pairs that are taken with a group have n bars spread over not too many numbers."""
    # Who has had fewer in all has no more in these numbers: `count` begins at 0.
    there: Marks = bars_in(ring, group, spread_over(n)) >= n
    return there


class _Newest(Column):
    """The values of a kernel."""

    def __init__(self, kernel: Kernel, args: Args, length: int) -> None:
        super().__init__()
        self._kernel = kernel
        self._args = args
        self._length = length

    def compute(self, ring: Ring, group: Group) -> Floats:
        n = self._length
        if all_whole(ring, group, n):
            return finite(self._run(ring, group, _Whole(ring, group.taken, group.now - n)))
        known = newest_there(ring, group, n)
        if not group.any(known):
            return np.full(len(known), np.nan)
        holed = np.flatnonzero(known & (bars_in(ring, group, n) < n))
        if _FEW * len(holed) >= len(known):
            return finite(np.where(known, self._run(ring, group, _Holed(ring, group, n, known)), np.nan))
        values = np.where(known, self._run(ring, group, _Whole(ring, group.taken, group.now - n)), np.nan)
        if not len(holed):
            return finite(values)
        some = np.arange(len(ring.number))[group.taken][holed]
        few = Group(some, stretch(some), group.now)
        found = self._run(ring, few, _Holed(ring, few, n, newest_there(ring, few, n)))
        values[holed] = found if few.meant is None else found[few.meant]
        return finite(values)

    def _run(self, ring: Ring, group: Group, rows: Rows) -> Floats:
        with np.errstate(all="ignore"):
            return self._kernel(rows, self._args)


class _NewestAfter(_Newest):
    """The values of a kernel that goes on from those of another one."""

    def __init__(self, first: Kernel, then: After, args: Args, length: int) -> None:
        super().__init__(first, args, length)
        self._then = then

    def _run(self, ring: Ring, group: Group, rows: Rows) -> Floats:
        key: Hashable = (self._kernel, self._args)
        first = ring.column(key, lambda: _Newest(self._kernel, self._args, self._length))
        with np.errstate(all="ignore"):
            return self._then(rows, self._args, first.taken_of(ring, group))


class _Whole:
    """Rows of pairs that miss no bar."""

    def __init__(self, ring: Ring, taken: Where, first: int) -> None:
        self._columns = ring.columns
        self._taken = taken
        self._first = first

    def parts(self, field: str, first: int, end: int, *, neutral: bool = False) -> Iterator[Part]:
        column = self._columns[field]
        for number in range(self._first + first, self._first + end):
            yield column[number % ROWS, self._taken], ()

    def at(self, field: str, place: int) -> Floats:
        return self._columns[field][(self._first + place) % ROWS, self._taken]


class _Holed:
    """Rows of pairs that may miss bars, in windows of their newest n.

    before: bars of each pair before its window
    extra:  how many more numbers than n the longest of the windows needs
    """

    def __init__(self, ring: Ring, group: Group, n: int, known: Marks) -> None:
        self._ring = ring
        self._group = group
        self._n = n
        self._before = (ring.total[group.taken] - n).astype(ring.count.dtype)
        self._extra = 0
        self._outside: dict[tuple[int, int], Marks] = {}
        # Each number more brings at most one bar more.
        while lacking := int(np.where(known, n - bars_in(ring, group, n + self._extra), 0).max()):
            self._extra += lacking

    def parts(self, field: str, first: int, end: int, *, neutral: bool = False) -> Iterator[Part]:
        # A bar in a place is no newer than where it is if nothing is missing behind it, and not much older.
        inside, beyond = self._group.now - self._n + first, self._group.now - self._n + end
        for number in range(inside - self._extra, beyond):
            missing: tuple[Ints | Marks, ...] = () if neutral else (missing_at(self._ring, self._group, number),)
            if number < inside:
                missing = (*missing, self._older(number, first))
            if end < self._n and number >= beyond - self._extra:
                missing = (*missing, ~self._older(number, end))
            yield row_of(self._ring, self._group, field, number), missing

    def at(self, field: str, place: int) -> Floats:
        result: Floats = np.full(len(self._before), np.nan)
        latest, upto = self._group.now - self._n + place, self._before + (place + 1)
        for number in range(latest, latest - self._extra - 1, -1):  # a missing one repeats the count before it
            it = self._ring.count[number % ROWS, self._group.taken] == upto
            np.copyto(result, row_of(self._ring, self._group, field, number), where=it)
        return result

    def _older(self, number: int, place: int) -> Marks:
        """Where the bar of this number, if there is one, lies before a place."""
        if (number, place) not in self._outside:
            count = self._ring.count[number % ROWS, self._group.taken]
            self._outside[number, place] = count <= self._before + place
        return self._outside[number, place]


def row_of(ring: Ring, group: Group, field: str, number: int) -> Floats:
    """A field of the bars of this number, of the pairs that are taken with a group."""
    row: Floats = ring.columns[field][number % ROWS, group.taken]
    return row


def missing_at(ring: Ring, group: Group, number: int) -> Ints:
    """Which of these pairs have no bar of this number."""
    if number not in group.places:
        group.places[number] = np.flatnonzero(row_of(ring, group, "close", number) == 0)
    return group.places[number]
