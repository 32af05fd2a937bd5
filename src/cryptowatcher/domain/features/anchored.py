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
from numpy.typing import NDArray

from cryptowatcher.domain.features import Args, SeriesForm, StepForm
from cryptowatcher.domain.features.barline import BarSeries
from cryptowatcher.domain.features.bars import ROWS, Ring
from cryptowatcher.domain.features.columns import Column, Group, Marks, Where, taken
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.features.windows import all_whole, newest_known, newest_there
from cryptowatcher.domain.ticks import Floats, Ints

MOST = 250
"""The longest a recursion may be: a block is ten times as long, and at most LONGEST_BLOCK."""
LONGEST_BLOCK = 500
_NEVER = -(1 << 40)

State = tuple[Any, ...]
Fed = Any
"""How many bars: a number, or one for each value."""


class Recursion(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A recursion that runs over any number of rows of bars at once. The last argument is the interval.

    fields: of a bar that it reads
    before: fields that it reads of the bar before
    size:   numbers that it remembers, 0 at the beginning
    feed:   what it remembers after one more bar, in new columns, from what it remembers, how many bars it was fed,
            the fields of the bar and of the one before (anything where there is none), and the arguments
    value:  the value from what it remembers
    least:  bars that it must be fed before it has a value
    block:  the length of its blocks, in bars
    """

    fields: tuple[str, ...]
    before: tuple[str, ...] = ()
    size: int
    feed: Callable[[State, Fed, State, State, Args], State]
    value: Callable[[State, Args], Floats]
    least: Callable[[Args], int]
    block: Callable[[Args], int]


def block_of(bars: int) -> int:
    """The length of the blocks of a recursion that is so many bars long."""
    return min(10 * bars, LONGEST_BLOCK)


def anchored(recursion: Recursion) -> tuple[StepForm, SeriesForm]:
    """Both forms of a recursive function."""

    def step(memory: Memory, cols: Ints, args: Args) -> Floats:
        return memory.bars[args[-1]].read((recursion, args), lambda: _Values(recursion, args), cols)

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
    befores = [getattr(bars, field)[rows] for field in recursion.before]
    values = np.full(rows.shape, np.nan)
    first = int(np.min(starts - begin))  # before this nobody's own block begins
    state: State = (np.zeros(len(starts)),) * recursion.size
    with np.errstate(all="ignore"):
        for place in range(longest):
            bar = tuple(field[place] for field in fields)
            before = tuple(field[max(place - 1, 0)] for field in befores)
            state = recursion.feed(state, place, bar, before, args)
            if place >= first:
                values[place] = recursion.value(state, args)
    return np.where(fed + 1 >= recursion.least(args), values[fed, run], np.nan)


class _Values(Column):
    """The values of a recursion."""

    def __init__(self, recursion: Recursion, args: Args) -> None:
        super().__init__()
        self._recursion = recursion
        self._args = args
        self._least = recursion.least(args)

    def prepare(self, ring: Ring, cols: Ints, where: Where) -> None:
        runs, groups = self._runs(ring), ring.groupings.groups(ring.number, cols, where)
        with np.errstate(all="ignore"):
            if len(groups) != 1 or not runs.go_on_together(ring, groups[0]):
                runs.catch_up(ring, taken(cols, where))

    def compute(self, ring: Ring, group: Group) -> Floats:
        runs = self._runs(ring)
        with np.errstate(all="ignore"):
            found = self._recursion.value(tuple(runs.state[:, 0, group.taken]), self._args)
        known = runs.fed[0, group.taken] >= self._least
        known &= np.isfinite(found)
        if not all_whole(ring, group, self._least):
            known &= newest_there(ring, group, self._least)
        return np.where(known, found, np.nan)

    def _runs(self, ring: Ring) -> _Runs:
        """What functions that differ only in what they make of it remember together."""
        key = (self._recursion.feed, self._args)
        runs = ring.column(key, lambda: _Runs(self._recursion, self._args))
        runs.read_at = ring.newest
        return runs


class _Runs(Column):
    """Two runs of a recursion of each pair: one begun with the block before the newest bar's, one with its own.

    state:  by [number remembered, which of the two, pair]
    fed:    bars that each of the two was fed
    seen:   number of the bar that was fed last
    total:  bars that the pair had then
    before: fields of that bar
    """

    def __init__(self, recursion: Recursion, args: Args) -> None:
        super().__init__()
        self._recursion = recursion
        self._args = args
        self._block = recursion.block(args)
        self.state: Floats = np.zeros((recursion.size, 2, 0))
        self.fed: NDArray[np.int16] = np.zeros((2, 0), np.int16)
        self._seen: Ints = np.zeros(0, np.int64)
        self._total: Ints = np.zeros(0, np.int64)
        self._before: Floats = np.zeros((len(recursion.before), 0))
        # Stretches of pairs that were all fed up to the same number, and how far columns do not say so yet.
        self._together: dict[tuple[int, int], tuple[int, int]] = {}

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self._seen)
        self.state = np.concatenate([self.state, np.zeros((len(self.state), 2, more))], axis=2)
        self.fed = np.concatenate([self.fed, np.zeros((2, more), np.int16)], axis=1)
        self._seen = np.concatenate([self._seen, np.full(more, _NEVER)])
        self._total = np.concatenate([self._total, np.zeros(more, np.int64)])
        self._before = np.concatenate([self._before, np.zeros((len(self._before), more))], axis=1)

    def mark(self, where: Where) -> None:
        """What was fed stays fed."""

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        self._part(cols)
        self._seen[cols] = _NEVER
        self._total[cols] = 0

    def go_on_together(self, ring: Ring, group: Group) -> bool:
        """Feed the newest bar, if that is all that none of these pairs was fed yet."""
        newest, where = group.now - 1, group.where
        if not isinstance(where, slice) or newest % self._block == 0:
            return False
        fed_to, unsaid = self._together.get((where.start, where.stop), (_NEVER, 0))
        if fed_to != newest - 1 or not all_whole(ring, group, 1):
            return False
        feed = self._feed_of(ring, where)
        feed.state, feed.fed = tuple(self.state[:, :, where]), self.fed[:, where]
        feed.one(newest, None)
        for kept, new in zip((*self.state, *self._before), (*feed.state, *feed.before), strict=True):
            kept[..., where] = new
        self.fed[:, where] += 1
        self._together[where.start, where.stop] = newest, unsaid + 1
        return True

    def _part(self, cols: Where) -> None:
        """Say in the columns what was fed to stretches that these columns are in."""
        if not self._together:
            return
        if isinstance(cols, slice):
            begin, end = cols.start, cols.stop
        else:
            begin, end = int(cols.min(initial=len(self._seen))), int(cols.max(initial=-1)) + 1
        for (first, last), (_, unsaid) in list(self._together.items()):
            if first < end and begin < last:
                self._seen[first:last] += unsaid
                self._total[first:last] += unsaid
                del self._together[first, last]

    def catch_up(self, ring: Ring, some: Where) -> None:
        """Feed all bars up to each pair's newest that were not fed yet and still matter.

        Of a pair whose newest bar is old some of these are no longer in the ring. Its value is not known now, and
        they no longer matter when it has a newer one.
        """
        self._part(some)
        last, seen, more = ring.last[some], self._seen[some], ring.total[some] - self._total[some]
        behind = more > 0
        if not behind.any():
            return
        behind &= last >= ring.number[some] - (ROWS - 2 * LONGEST_BLOCK)
        while behind.any():
            newest = int(np.where(behind, last, _NEVER).max())
            first = newest // self._block * self._block  # of the newest block
            here = behind & (last >= first)
            on = here & (seen >= first)
            one = on & (last == newest) & (more == 1)
            if on.any():
                self._go_on(ring, some, on, newest if np.array_equal(on, one) else None)
            if not np.array_equal(on, here):
                self._turn(ring, some, here & ~on, first)
            behind &= ~here

    def _go_on(self, ring: Ring, some: Where, which: Marks, newest: int | None) -> None:
        """Feed some pairs that were fed bars of the newest block already. `newest`: all miss only this one."""
        feed = self._feed_of(ring, some)
        feed.state, feed.fed = tuple(self.state[:, :, some]), self.fed[:, some]
        if newest is None:
            feed.run(self._seen[some] + 1, np.where(which, ring.last[some], _NEVER))
        else:
            feed.one(newest, None)
        self._keep(ring, some, which, feed)

    def _turn(self, ring: Ring, some: Where, which: Marks, first: int) -> None:
        """Feed some pairs that were not yet fed bars of the newest block, which begins with `first`: who began
        with the block before is from now on the older of the two. Both begin anew where it is even older."""
        seen, last = self._seen[some], np.where(which, ring.last[some], _NEVER)
        anew = seen < first - self._block
        begin = np.where(anew, first - self._block, seen + 1)
        feed = self._feed_of(ring, some)
        feed.state = tuple(np.where(anew, 0.0, kept) for kept in self.state[:, 1:, some])
        feed.fed = np.where(anew, np.int16(0), self.fed[1:, some])
        feed.run(begin, np.minimum(last, first - 1))
        feed.state = tuple(np.concatenate([kept, np.zeros_like(kept)]) for kept in feed.state)
        feed.fed = np.concatenate([feed.fed, np.zeros_like(feed.fed)])
        feed.run(np.maximum(begin, first), last)
        self._keep(ring, some, which, feed)

    def _feed_of(self, ring: Ring, some: Where) -> _Feed:
        return _Feed(self._recursion, self._args, ring, some, tuple(self._before[:, some]))

    def _keep(self, ring: Ring, some: Where, which: Marks, feed: _Feed) -> None:
        """What was fed to some pairs."""
        all_of_them = bool(which.all())
        columns = (
            *zip(self.state, feed.state, strict=True),
            (self.fed, feed.fed),
            *zip(self._before, feed.before, strict=True),
            (self._seen, ring.last[some]),
            (self._total, ring.total[some]),
        )
        for kept, new in columns:
            if all_of_them:
                kept[..., some] = new
            elif isinstance(some, slice):
                np.copyto(kept[..., some], new, where=which)
            else:
                kept[..., some[which]] = new[..., which] if new.shape[-1] > 1 else new
        if all_of_them and isinstance(some, slice) and self._seen[some].min() == self._seen[some].max():
            self._together[some.start, some.stop] = int(self._seen[some.start]), 0


class _Feed:
    """Runs that are fed.

    state, fed: of one run or both, as in _Runs; `fed` has one column where all pairs were fed as many
    before:     fields of the bar that was fed last
    """

    def __init__(self, recursion: Recursion, args: Args, ring: Ring, some: Where, before: State) -> None:
        self._recursion = recursion
        self._args = args
        self._ring = ring
        self._some = some
        self.state: State = ()
        self.fed: NDArray[np.int16] = np.zeros((1, 0), np.int16)
        self.before = before

    def run(self, begin: Ints, last: Ints) -> None:
        """Feed the bars of the numbers from `begin` to `last`, as far as pairs have them."""
        meant = begin <= last
        if not meant.any():
            return
        from_there = begin
        if not meant.all():
            from_there, last = begin[meant], np.where(meant, last, _NEVER)
        latest_begin, earliest_last = int(from_there.max()), int(last.min())
        if (self.fed == self.fed[:, :1]).all():
            self.fed = self.fed[:, :1]
        for number in range(int(from_there.min()), int(last.max()) + 1):
            there = self._row("close", number) > 0
            if number < latest_begin:
                there &= begin <= number
            if number > earliest_last:
                there &= last >= number
            if there.all():
                self.one(number, None)
            elif there.any():
                self.one(number, there)

    def one(self, number: int, there: Marks | None) -> None:
        """Feed the bar of this number. `there`: which pairs have one; None for all."""
        recursion, new = self._recursion, np.int16(1)
        bar = tuple(self._row(field, number) for field in recursion.fields)
        state = recursion.feed(self.state, self.fed, bar, self.before, self._args)
        before = tuple(self._row(field, number) for field in recursion.before)
        if there is None:
            self.fed = self.fed + new
        else:
            missing = np.flatnonzero(~there)
            for fed, kept in zip(state, self.state, strict=True):
                fed[..., missing] = kept[..., missing]
            before = tuple(np.where(there, bar, kept) for bar, kept in zip(before, self.before, strict=True))
            self.fed = self.fed + there
        self.state, self.before = state, before

    def _row(self, field: str, number: int) -> Floats:
        row: Floats = self._ring.columns[field][number % ROWS, self._some]
        return row
