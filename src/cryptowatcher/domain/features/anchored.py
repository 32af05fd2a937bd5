"""Recursive functions over bars, anchored so that they look back on a stated, finite set of them.

Bar numbers are cut into blocks that depend on nothing but the function's arguments. The value at a bar is the
recursion begun, as TA-Lib begins it, with the first bar of the block before: it has one to two blocks behind it,
whoever asked first. Blocks are independent of each other, so the series form runs all of them side by side. The
step form goes on from where it was: two recursions for each pair, one begun a block before the other. That is only
a cache, which is run anew from the ring where it is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from cryptowatcher.domain.features import Args, SeriesForm, StepForm
from cryptowatcher.domain.features.barline import BarSeries
from cryptowatcher.domain.features.bars import ROWS, Ring
from cryptowatcher.domain.features.columns import Column, Where, narrow, some_of
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.features.windows import newest_known, newest_there, same
from cryptowatcher.domain.ticks import Floats, Ints

MOST = 250
"""The longest a recursion may be: a block is ten times as long, and at most LONGEST_BLOCK."""
LONGEST_BLOCK = 500
_NEVER = -(1 << 40)

Fed = tuple[Floats, ...]
State = tuple[Any, ...]


class Recursion(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A recursion that runs over any number of rows of bars at once. The last argument is the interval.

    fields: of a bar that it reads
    size:   numbers that it remembers, 0 at the beginning
    feed:   what it remembers after one more bar, from what it remembers, how many bars it was fed, the fields of
            the bar and of the one before (anything where there is none), and the arguments
    value:  the value from what it remembers
    least:  bars that it must be fed before it has a value
    block:  the length of its blocks, in bars
    """

    fields: tuple[str, ...]
    size: int
    feed: Callable[[State, Any, Fed, Fed, Args], State]
    value: Callable[[State, Args], Floats]
    least: Callable[[Args], int]
    block: Callable[[Args], int]


def block_of(bars: int) -> int:
    """The length of the blocks of a recursion that is so many bars long."""
    return min(10 * bars, LONGEST_BLOCK)


def anchored(recursion: Recursion) -> tuple[StepForm, SeriesForm]:
    """Both forms of a recursive function."""

    def step(memory: Memory, cols: Ints, args: Args) -> Floats:
        return memory.bars[args[-1]].read((recursion, args), lambda: _Running(recursion, args), cols)

    def series(line: Line, args: Args) -> Floats:
        bars = line.bars(args[-1])
        if not len(bars):
            return np.full(len(line), np.nan)
        return newest_known(bars, recursion.least(args), _of_bars(recursion, bars, args))

    return step, series


def _of_bars(recursion: Recursion, bars: BarSeries, args: Args) -> Floats:
    """The value at each bar: one recursion for each block, all fed their first bar, then all their second, …"""
    block = bars.number // recursion.block(args)
    starts = np.flatnonzero(np.diff(block, prepend=block[:1] - 1))
    run = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(bars))))
    begin = np.searchsorted(block, block[starts] - 1)
    fed = np.arange(len(bars)) - begin[run]  # bars that the run of each bar was fed before it
    longest = int(fed.max()) + 1
    rows = np.minimum(begin + np.arange(longest)[:, None], len(bars) - 1)
    fields = [getattr(bars, field)[rows] for field in recursion.fields]
    values = np.full(rows.shape, np.nan)
    first = int(np.min(starts - begin))  # before this nobody's own block begins
    state: State = (np.zeros(len(starts)),) * recursion.size
    bar = tuple(field[0] for field in fields)
    with np.errstate(all="ignore"):
        for place in range(longest):
            before, bar = bar, tuple(field[place] for field in fields)
            state = recursion.feed(state, place, bar, before, args)
            if place >= first:
                values[place] = recursion.value(state, args)
    return np.where(fed + 1 >= recursion.least(args), values[fed, run], np.nan)


class _Running(Column):
    """Two recursions of each pair: one begun with the block before the newest bar's, one with its own.

    state:  by [number remembered, which of the two, pair]
    fed:    bars that each of the two was fed
    seen:   number of the bar that was fed last
    before: its fields
    """

    def __init__(self, recursion: Recursion, args: Args) -> None:
        super().__init__()
        self._recursion = recursion
        self._args = args
        self._block = recursion.block(args)
        self._least = recursion.least(args)
        self._state: Floats = np.zeros((recursion.size, 2, 0))
        self._fed: Ints = np.zeros((2, 0), np.int64)
        self._seen: Ints = np.zeros(0, np.int64)
        self._before: Floats = np.zeros((len(recursion.fields), 0))

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        super().widen(pairs)
        more = pairs - len(self._seen)
        self._state = np.concatenate([self._state, np.zeros((len(self._state), 2, more))], axis=2)
        self._fed = np.concatenate([self._fed, np.zeros((2, more), np.int64)], axis=1)
        self._seen = np.concatenate([self._seen, np.full(more, _NEVER)])
        self._before = np.concatenate([self._before, np.zeros((len(self._before), more))], axis=1)

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        super().forget(cols)
        self._seen[cols] = _NEVER

    def compute(self, ring: Ring, cols: Ints) -> Floats:
        """The values of these pairs as of now."""
        values = np.full(len(cols), np.nan)
        with np.errstate(all="ignore"):
            for now, where in same(ring.number[ring.stretch(cols)]):
                self._catch_up(ring, some_of(cols, where), now)
        for _, known in newest_there(ring, cols, self._least):
            some = ring.stretch(some_of(cols, known))
            with np.errstate(all="ignore"):
                found = self._recursion.value(tuple(self._state[:, 0, some]), self._args)
            enough = (self._fed[0, some] >= self._least) & np.isfinite(found)
            values[known] = np.where(enough, found, np.nan)
        return values

    def _catch_up(self, ring: Ring, cols: Ints, now: int) -> None:
        """Feed all bars up to each pair's newest that were not fed yet and still matter.

        Of a pair whose newest bar is old some of these are no longer in the ring. Its value is not known now, and
        they no longer matter when it has a newer one.
        """
        where = ring.stretch(cols)
        last = ring.last[where]
        behind = (last > self._seen[where]) & (last >= now - ROWS + 2 * LONGEST_BLOCK) & (ring.total[where] > 0)
        cols = some_of(cols, narrow(slice(None), behind))
        if not len(cols):
            return
        where = ring.stretch(cols)
        last = ring.last[where]
        begin = np.maximum(self._seen[where] + 1, (last // self._block - 1) * self._block)
        for number in range(int(begin.min()), int(last.max()) + 1):
            there = (begin <= number) & (number <= last) & (ring.columns["close"][number % ROWS, where] > 0)
            if there.all():
                self._feed(ring, where, number)
            elif there.any():
                self._feed(ring, cols[there], number)

    def _feed(self, ring: Ring, cols: Where, number: int) -> None:
        """The bar of this number, of pairs that have one."""
        self._turn(cols, number // self._block)
        bar = tuple(ring.columns[field][number % ROWS, cols] for field in self._recursion.fields)
        state, fed, before = tuple(self._state[:, :, cols]), self._fed[:, cols], tuple(self._before[:, cols])
        for kept, new in zip(self._state, self._recursion.feed(state, fed, bar, before, self._args), strict=True):
            kept[:, cols] = new
        for kept, new in zip(self._before, bar, strict=True):
            kept[cols] = new
        self._fed[:, cols] += 1
        self._seen[cols] = number

    def _turn(self, cols: Where, block: int) -> None:
        """The next block begins: who began with this one is now the older of the two. Who jumped begins anew."""
        if (self._seen[cols] >= block * self._block).all():
            return
        before = self._seen[cols] // self._block
        places = np.arange(len(self._seen))[cols]
        turned, jumped = places[before == block - 1], places[before < block - 1]
        self._state[:, 0, turned], self._fed[0, turned] = self._state[:, 1, turned], self._fed[1, turned]
        self._state[:, 0, jumped], self._fed[0, jumped] = 0, 0
        both = places[before < block]
        self._state[:, 1, both], self._fed[1, both] = 0, 0
