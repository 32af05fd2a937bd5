"""Bars: what a pair did in each minute, five minutes, hour and day, as far as it is over. All pairs at once.

A bar covers (start, end] and is folded from the pair's own observations. It is closed by the first of them with
a time >= end: one that comes exactly at the end belongs to the bar and closes it. A bar without observations does
not exist, and one that was observed for less than nine tenths of its interval is not kept: both count as missing.

The bar that starts at k · interval has the number k. Of each pair and interval the bars of the newest numbers are
kept, as rows of columns `[number % ROWS, pair]`: what pairs did at the same time lies together, missing or not.
Rows are laid out at once but take no memory before they are written. What is computed from bars changes only when
a bar's end passes, so it is kept until then (`Ring.read`); that is only a cache and no part of the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features.columns import Column, Groupings, Marks, Where
from cryptowatcher.domain.features.filling import Filled, FilledBars, bars_of
from cryptowatcher.domain.features.history import History
from cryptowatcher.domain.features.newticks import NewTicks, Volumes
from cryptowatcher.domain.features.pages import laid_out
from cryptowatcher.domain.intervals import INTERVALS
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch

ROWS: Final = 1_100
"""Bar numbers that are kept: two blocks of a recursion, and what may be missing behind them."""
_MISSING: Final = {"high": 0.0, "low": math.inf, "close": 0.0, "volume": math.nan}
_OF_PAIRS: Final = ("number", "total", "last", "forming_high", "forming_low", "since")
_UNSEEN = -1
_FIRST_WIDTH = 64
Computed = TypeVar("Computed", bound=Column)
_UNREAD = 3  # bars after which what nobody reads is forgotten


def _cells(number: Ints, cols: Ints, where: Where) -> tuple[Any, Where]:
    """Where a ring's columns hold the bars of these numbers of these pairs."""
    if len(number) and number.min() == number.max():
        return int(number[0]) % ROWS, where
    return number % ROWS, cols


class RingState(msgspec.Struct, frozen=True, kw_only=True):
    """A ring's columns: those of pairs, and the rows that were written."""

    pairs: list[NDArray[Any]]
    slots: Ints
    count: NDArray[np.int32]
    columns: dict[str, Floats]


class Ring:
    """Bars of one interval (ms).

    newest:  number of the newest bar of any pair that may be forming
    number:  of each pair's first bar that is not over, -1 where it was never seen
    total:   bars of each pair that were kept so far
    last:    number of the newest of them
    count:   by [slot, pair], the bars kept up to and with that number: a missing one repeats it
    columns: by [slot, pair], high, low and close of the bars that were kept, and the 24 h volume once one is known
    """

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.newest = 0
        self.number: Ints = np.zeros(0, np.int64)
        self.total: Ints = np.zeros(0, np.int64)
        self.last: Ints = np.zeros(0, np.int64)
        self.forming_high: Floats = np.zeros(0)
        self.forming_low: Floats = np.zeros(0)
        self.since: Ints = np.zeros(0, np.int64)  # the pair's clock when what is forming began
        self.count: NDArray[np.int32] = np.zeros((ROWS, 0), np.int32)
        self.columns: dict[str, Floats] = {name: np.zeros((ROWS, 0)) for name in ("high", "low", "close")}
        self._written = np.zeros(ROWS, np.bool_)
        self._computed: dict[Hashable, Column] = {}
        self.groupings = Groupings()

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self.number)
        for name in _OF_PAIRS:
            column = getattr(self, name)
            fill = _UNSEEN if name == "number" else 0
            setattr(self, name, np.concatenate([column, np.full(more, fill, column.dtype)]))
        for computed in self._computed.values():
            computed.widen(pairs)
        there = self.count.shape[1]
        if pairs > there:
            # All rows are copied, and new pairs come one by one: room for some at once.
            self._lay_out(max(pairs, there + there // 4, _FIRST_WIDTH))

    def _lay_out(self, width: int) -> None:
        """Rows this wide. Those that were never written are not touched."""
        there, rows = self.count.shape[1], np.flatnonzero(self._written)
        count = laid_out((ROWS, width), np.int32)
        count[rows, :there] = self.count[rows]
        self.count = count
        for name, old in self.columns.items():
            new = self.columns[name] = laid_out((ROWS, width))
            new[rows] = _MISSING[name]
            new[rows, :there] = old[rows]

    # --- folding ---------------------------------------------------------------------------------

    def add(self, turned: NewTicks, where: Where, price: Floats) -> NewTicks:
        """New observations of these pairs, and those of them with which a bar of the next shorter interval begins
        or ends: for which of these one of this interval does."""
        if len(turned.cols):
            turned = turned.rows(self._fold(turned))
        self.forming_high[where] = np.maximum(self.forming_high[where], price)
        self.forming_low[where] = np.minimum(self.forming_low[where], price)
        if len(turned.cols):
            self._end(turned)
        return turned

    def _fold(self, ticks: NewTicks) -> Marks:
        """For which of these pairs an end has passed or a bar begins, which is then known of them."""
        formed = self.number[ticks.where]
        start = formed * self.interval
        # What came exactly at the start still belongs to the bar before.
        at_start: Marks = ticks.before == start
        over: Marks = ticks.time - start >= self.interval
        begins = at_start
        if over.any():
            number = ticks.time // self.interval
            start = number * self.interval
            at_end = ticks.time == start
            begins = number - at_end != formed - at_start
            start -= at_end * self.interval
            self._pass(ticks.rows(over), number[over])
        if begins.any():
            self._begin(ticks.rows(begins), start[begins])
        return over | begins

    def _pass(self, ticks: NewTicks, number: Ints) -> None:
        """The ends of all bars before `number` have passed: what was forming is over, but for the observation that
        comes exactly at its end."""
        formed = self.number[ticks.where]
        end = (formed + 1) * self.interval
        # The tail between the last observation inside and the end was observed if the next came in time.
        tail = (end - ticks.before) * ticks.within
        kept = (formed != _UNSEEN) & (ticks.before > end - self.interval) & (ticks.time != end)
        kept &= self._seen_enough(ticks.clock + tail - self.since[ticks.where])
        self.total[ticks.where] += kept
        kept &= formed >= number - ROWS  # its place may be that of a newer number by now
        self._skip(ticks, np.where(formed == _UNSEEN, number, formed), number)
        if kept.any():
            some = ticks.rows(kept)
            self._keep(some, formed[kept], some.last, some.was)
        self.number[ticks.where] = number
        self.newest = max(self.newest, int(number.max()))
        self._mark(ticks.where)

    def _begin(self, ticks: NewTicks, start: Ints) -> None:
        """A bar begins with this observation."""
        self.forming_high[ticks.where] = self.forming_low[ticks.where] = ticks.price
        # Observed since the start if the observation before was still valid; else from this one on.
        self.since[ticks.where] = ticks.clock + np.maximum(start - ticks.before, 0) * ticks.within

    def _end(self, ticks: NewTicks) -> None:
        """Close the bars of the observations that came exactly at their end."""
        at_end = ticks.time == self.number[ticks.where] * self.interval
        if not at_end.any():
            return
        ticks = ticks.rows(at_end)
        observed = ticks.clock + (ticks.time - ticks.before) * ticks.within - self.since[ticks.where]
        ticks = ticks.rows(self._seen_enough(observed))
        self.total[ticks.where] += 1
        self._keep(ticks, self.number[ticks.where] - 1, ticks.price, ticks.now)

    def _seen_enough(self, observed: Ints) -> Marks:
        return np.greater_equal(10 * observed, 9 * self.interval, dtype=np.bool_)

    def _skip(self, ticks: NewTicks, first: Ints, end: Ints) -> None:
        """There are no bars of the numbers from `first` to before `end`, so far."""
        cols, where = ticks.cols, ticks.where
        first = np.maximum(first, end - ROWS)
        lengths = end - first
        number = first
        if (lengths != 1).any():
            where = cols = np.repeat(cols, lengths)
            number = np.repeat(first, lengths)
            number += np.arange(len(number)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        cells = _cells(number, cols, where)
        new = np.unique(cells[0])
        new = new[~self._written[new]]
        self._written[new] = True
        self.count[cells] = self.total[where]
        for name, column in self.columns.items():
            column[new] = column[cells] = _MISSING[name]

    def _keep(self, ticks: NewTicks, number: Ints, close: Floats, volume: Volumes) -> None:
        """What was forming is the bar of this number."""
        where = ticks.where
        cells = _cells(number, ticks.cols, where)
        said = np.where(volume[1] > number * self.interval, volume[0], np.nan)
        self._make_room(said)
        self.count[cells] = self.total[where]
        self.last[where] = number
        values = {"high": self.forming_high[where], "low": self.forming_low[where], "close": close, "volume": said}
        for name, column in self.columns.items():
            column[cells] = values[name]

    def _make_room(self, volume: Floats) -> None:
        """For volumes, once one is known."""
        if "volume" not in self.columns and not np.isnan(volume).all():
            self.columns["volume"] = laid_out(self.count.shape)
            self.columns["volume"][self._written] = _MISSING["volume"]

    # --- filling ---------------------------------------------------------------------------------

    def fill(self, filled: Filled, newest: int) -> None:
        """Bars of a gap in which the pair observed nothing itself, and what was told of the bar that is forming.
        `newest`: time of the pair's newest observation."""
        bars = bars_of(filled, self.interval)
        bars = bars.rows(self._seen_enough(bars.observed) & (bars.number >= self.number[filled.col] - ROWS))
        if len(bars):
            self._put_in(filled.col, bars)
        begin = (newest - 1) // self.interval * self.interval
        if newest % self.interval and filled.gap.end > begin:
            self._reach_back(filled, begin)

    def _put_in(self, col: int, bars: FilledBars) -> None:
        """Bars of numbers that have none."""
        numbers = np.arange(bars.number[0], self.number[col])
        slots = numbers % ROWS
        new = slots[~self._written[slots]]
        self._written[new] = True
        self._make_room(bars.volume)
        for name, column in self.columns.items():
            column[new] = _MISSING[name]
            column[bars.number % ROWS, col] = getattr(bars, name)
        there = self.columns["close"][slots, col] > 0
        before = self.count[slots[0], col]
        self.count[slots, col] = before + np.cumsum(there)
        self.total[col] = self.count[slots[-1], col]
        self.last[col] = numbers[there][-1]
        self.groupings.clear()
        for computed in self._computed.values():
            computed.forget(np.array([col]))

    def _reach_back(self, filled: Filled, begin: int) -> None:
        """The bar that is forming began then."""
        col, inside = filled.col, filled.price[filled.time > begin]
        self.forming_high[col] = inside.max(initial=self.forming_high[col])
        self.forming_low[col] = inside.min(initial=self.forming_low[col])
        if filled.gap.start <= begin:
            self.since[col] = filled.at(np.array([begin]))[0]
        else:
            self.since[col] -= filled.observed

    # --- reading ---------------------------------------------------------------------------------

    def column(self, key: Hashable, make: Callable[[], Computed]) -> Computed:
        """What is computed from bars. `make`: for when it is asked for the first time."""
        column = self._computed.get(key)
        if column is None:
            column = self._computed[key] = make()
            column.widen(len(self.number))
        return cast("Computed", column)

    def read(self, key: Hashable, make: Callable[[], Column], cols: Ints) -> Floats:
        """What is computed from the bars of these pairs."""
        return self.column(key, make).read(self, cols)

    def _mark(self, where: Where) -> None:
        self.groupings.clear()
        for key, column in list(self._computed.items()):
            if self.newest - column.read_at > _UNREAD:
                del self._computed[key]
            else:
                column.mark(where)

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        self.groupings.clear()
        self.number[cols] = _UNSEEN
        self.total[cols] = 0
        where = np.ix_(self._written, cols)
        self.count[where] = 0
        for name, rows in self.columns.items():
            rows[where] = _MISSING[name]
        for column in self._computed.values():
            column.forget(cols)

    def state(self) -> RingState:
        """Everything, for a checkpoint."""
        slots, width = np.flatnonzero(self._written), len(self.number)
        return RingState(
            pairs=[getattr(self, name) for name in _OF_PAIRS],
            slots=slots,
            count=self.count[slots, :width],
            columns={name: column[slots, :width] for name, column in self.columns.items()},
        )

    def restore(self, state: RingState) -> None:
        """The opposite of state(), into a fresh ring."""
        for name, column in zip(_OF_PAIRS, state.pairs, strict=True):
            setattr(self, name, column)
        self.newest = int(self.number.max(initial=0))
        self.columns = {name: np.zeros((ROWS, 0)) for name in state.columns}
        self._lay_out(len(self.number))
        self._written[state.slots] = True
        self.count[state.slots] = state.count
        for name, rows in state.columns.items():
            self.columns[name][state.slots] = rows


class BarsState(msgspec.Struct, frozen=True):
    """Columns of all rings, and of the 24 h volumes that were said last."""

    rings: list[RingState]
    volume: Floats
    volume_at: Ints


class Bars:
    """Rings of all intervals, from the shortest; each interval divides the next."""

    def __init__(self) -> None:
        self.rings = {interval: Ring(interval) for interval in INTERVALS.values()}
        self._volume: Floats = np.zeros(0)
        self._volume_at: Ints = np.zeros(0, np.int64)

    def __getitem__(self, interval: int) -> Ring:
        """The bars of an interval, in ms."""
        return self.rings[interval]

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self._volume)
        if more <= 0:
            return
        self._volume = np.concatenate([self._volume, np.full(more, np.nan)])
        self._volume_at = np.concatenate([self._volume_at, np.zeros(more, np.int64)])
        for ring in self.rings.values():
            ring.widen(pairs)

    def add(self, cols: Ints, where: Where, instant: TickBatch, history: History) -> None:
        """One newer observation for each of these distinct pairs. `where`: the same columns, as stretch() says,
        `history`: as it was before."""
        ticks = self._ticks(cols, where, instant, history)
        turned = ticks
        for ring in self.rings.values():
            # Where no bar of an interval begins or ends, none of a longer one does.
            turned = ring.add(turned, where, instant.price)
        self._volume[where], self._volume_at[where] = ticks.now

    def fill(self, filled: Filled, newest: int) -> None:
        """Points of a gap of a pair whose newest observation is of this time."""
        for ring in self.rings.values():
            ring.fill(filled, newest)

    def _ticks(self, cols: Ints, where: Where, instant: TickBatch, history: History) -> NewTicks:
        before, was = history.time[where], (self._volume[where], self._volume_at[where])
        unsaid = np.isnan(instant.volume)
        now = (np.where(unsaid, was[0], instant.volume), np.where(unsaid, was[1], instant.observed_at))
        return NewTicks(
            cols=cols,
            where=where,
            time=instant.observed_at,
            price=instant.price,
            before=before,
            last=history.price[where],
            within=instant.observed_at - before <= history.valid_for[where],
            clock=history.clock[where],
            was=was,
            now=now,
        )

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        self._volume[cols] = np.nan
        for ring in self.rings.values():
            ring.forget(cols)

    def state(self) -> BarsState:
        """Everything, for a checkpoint."""
        return BarsState([ring.state() for ring in self.rings.values()], self._volume, self._volume_at)

    def restore(self, state: BarsState) -> None:
        """The opposite of state()."""
        self._volume, self._volume_at = state.volume, state.volume_at
        for ring, kept in zip(self.rings.values(), state.rings, strict=True):
            ring.restore(kept)
