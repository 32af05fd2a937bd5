"""What is remembered of each pair's prices: enough to answer "what was it at time E?", and "what was the highest
since?", for any window.

A window's end is not exact but lies on a grid that depends on the window's length alone, so that a live
watcher, a replay and a restarted process keep the same observations and give the same value:

    up to 2 h: 1 s · up to 48 h: 5 min · up to 30 d: 1 h · up to 400 d: 1 d

At a pair's newest observation at t, E = g·floor(t/g) − w, and the reference of `change(w)` is the last
observation with time ≤ E. So a window is never shorter than w and less than one g longer, and on data that
comes at regular times it is exactly w. The reference counts only if it was current at E: at most as long
before E as the newest observation itself stays valid; otherwise the feature is unknown (NaN). High and low are
those of the observations with time > E, the newest included. They are unknown where the reference is, and where
the pair was observed for less than nine tenths of the time since the reference. A reference that was told
afterwards (filling.py) may stay valid for longer; it counts up to a tenth of the window before E.

One tier per grid keeps of each non-empty cell (k·g − g, k·g] the last observation, the high and the low. E lies on
the edge of a cell, so whole cells make a window. What was found for a window is kept beside (caches): where its
reference is, and where its extremes stand, which are looked for anew only when they leave. Caches are never state:
they come to be when somebody asks, and only save work.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features.columns import Where, stretch
from cryptowatcher.domain.features.filling import Filled, Told
from cryptowatcher.domain.features.found import NOWHERE, Asked, Extreme, Reference, wider
from cryptowatcher.domain.features.rings import Cells, Rings, RingsState, merge
from cryptowatcher.domain.intervals import MS, show_duration
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import ConfigError

# (grid, longest window) in ms
TIERS = (
    (MS["s"], 2 * MS["h"]),
    (5 * MS["m"], 48 * MS["h"]),
    (MS["h"], 30 * MS["d"]),
    (MS["d"], 400 * MS["d"]),
)
_STEPS = 3
_NEAR = 10  # a part of the window
_NEVER = -(1 << 61)
_AT_ONCE = 1 << 18  # cells that are looked through at once: as much as lies near the processor


def check_window(ms: int) -> None:
    """ConfigError unless the window lies on its grid and is not too long."""
    if ms <= 0:
        raise ConfigError("a window is longer than 0s")
    if ms > TIERS[-1][1]:
        raise ConfigError(f"a window is at most {show_duration(TIERS[-1][1])}")
    grid = grid_of(ms)
    if ms % grid:
        nearest = max(grid, round(ms / grid) * grid)
        hint = f"the nearest is {show_duration(nearest)}"
        raise ConfigError(f"a window of this length is a multiple of {show_duration(grid)}", hint=hint)


def grid_of(window: int) -> int:
    """The grid (ms) of a window (ms)."""
    return TIERS[tier_of(window)][0]


def tier_of(window: int) -> int:
    """Which tier answers for a window."""
    return next(number for number, (_, longest) in enumerate(TIERS) if window <= longest)


class Tier:
    """The non-empty cells of one grid, per pair, and for each window that was asked for what was found in them."""

    def __init__(self, grid: int, longest: int) -> None:
        self.grid = grid
        self.longest = longest
        # The cells of the longest window, the open one, and the one the reference is in.
        self.rings = Rings(longest // grid + 2)
        self._edge: Ints = np.zeros(0, np.int64)  # end of the newest cell
        self._references: dict[int, Reference] = {}
        self._extremes: dict[tuple[int, bool], Extreme] = {}

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        self.rings.widen(pairs)
        self._edge = wider(self._edge, pairs, _NEVER)
        for found in self._references.values():
            found.widen(pairs)
        for extreme in self._extremes.values():
            extreme.widen(pairs)

    def add(self, cols: Ints, times: Ints, prices: Floats, clocks: Ints) -> None:
        """One newer observation for each of these distinct pairs."""
        where = stretch(cols)
        new = times > self._edge[where]
        if new.all():
            self._begin(cols, where, times, prices)
        elif new.any():
            self._begin(cols[new], cols[new], times[new], prices[new])
        cells, at = self.rings.cells, stretch(self.rings.at[where])
        cells.time[at], cells.price[at], cells.clock[at] = times, prices, clocks
        cells.high[at] = np.maximum(cells.high[at], prices)
        cells.low[at] = np.minimum(cells.low[at], prices)

    def _begin(self, cols: Ints, where: Where, times: Ints, prices: Floats) -> None:
        """A cell begins with these observations."""
        self._make_room(cols, where, times)
        self.rings.advance(where)
        at = stretch(self.rings.at[where])
        self._edge[where] = -self.grid * (-times // self.grid)
        self.rings.cells.high[at] = self.rings.cells.low[at] = prices

    def reference(self, cols: Ints, ends: Ints, window: int) -> Reference:
        """What was found last, with the last kept observation with time <= end in it for each of these pairs.

        For one window `ends` never go back for a pair, so where it was found last is where to look first.
        """
        found = self._references.get(window)
        if found is None:
            found = self._references[window] = Reference()
            found.widen(len(self._edge))
        due = ends >= found.until[stretch(cols)]
        if due.all():
            self._find(found, cols, ends)
        elif due.any():
            self._find(found, cols[due], ends[due])
        return found

    def extreme(self, cols: Ints, prices: Floats, ticks: Ints, window: int, *, highest: bool) -> Floats:
        """The high or low of the window whose reference was just found. `prices`, `ticks`: the newest
        observation of each pair, and its number."""
        found = self._extremes.get((window, highest))
        if found is None:
            found = self._extremes[window, highest] = Extreme()
            found.widen(len(self._edge))
        where = stretch(cols)
        values, entries = found.value[where].copy(), found.entry[where].copy()
        newest = self.rings.head[where]
        first = np.minimum(self._references[window].entry[where] + 1, newest)
        beaten = prices >= values if highest else prices <= values
        np.copyto(values, prices, where=beaten)
        np.copyto(entries, newest, where=beaten)
        # It left the window, or ticks came that it was not told of.
        lost = np.flatnonzero((entries < first) | (ticks - found.ticks[where] > 1))
        if len(lost):
            values[lost], entries[lost] = self._look_through(cols[lost], first[lost], highest=highest)
        found.value[where], found.entry[where], found.ticks[where] = values, entries, ticks
        return values

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        self.rings.forget(cols)
        self._edge[cols] = _NEVER
        self._look_anew(cols)

    def fill(self, filled: Filled, newest: int) -> Cells:
        """Points of a gap of a pair whose newest observation is of this time. What was there, with them: not all
        of it is needed any more."""
        kept = self.rings.read(filled.col)
        clock = np.where(kept.time <= filled.gap.start, kept.clock - filled.observed, kept.clock)
        points = Cells(filled.time, filled.price, filled.clock, filled.price, filled.price)
        cells = merge(Cells(kept.time, kept.price, clock, kept.high, kept.low), points, self.grid)
        end = self.grid * (newest // self.grid) - self.longest
        needed = max(int(np.searchsorted(cells.time, end, side="right")) - 1, 0)
        self.rings.rewrite(filled.col, cells.since(needed))
        self._look_anew(np.array([filled.col]))
        return cells

    def unbroken(self, cols: Ints, entries: Ints) -> NDArray[np.bool_]:
        """Whether these pairs were observed all the time from these entries to the next ones."""
        cells, here, there = self.rings.cells, self.rings.place(cols, entries), self.rings.place(cols, entries + 1)
        whole: NDArray[np.bool_] = cells.clock[there] - cells.clock[here] == cells.time[there] - cells.time[here]
        return whole

    def _look_anew(self, cols: Ints) -> None:
        caches: list[Reference | Extreme] = [*self._references.values(), *self._extremes.values()]
        for found in caches:
            found.forget(cols)

    def restore(self, state: RingsState) -> None:
        """The opposite of rings.state(), into a fresh tier."""
        self.rings.restore(state)
        newest = self.rings.cells.time[state.at]
        self._edge = np.where(state.head < 0, _NEVER, -self.grid * (-newest // self.grid))

    def _make_room(self, cols: Ints, where: Where, times: Ints) -> None:
        """Longer rings where the oldest entry would be overwritten and is needed: it is, until the one after it
        answers for the longest window too."""
        rings = self.rings
        full = rings.head[where] + 1 >= rings.slots[where]
        if not full.any():
            return
        if not full.all():
            where = cols = cols[full]
            times = times[full]
        second = rings.cells.time[stretch(rings.place(where, rings.oldest(where) + 1))]
        if (second > times - (self.grid + self.longest)).any():  # seldom, and quickly said
            needed = second > self.grid * (times // self.grid) - self.longest
            if needed.any():
                rings.lengthen(cols[needed])

    def _find(self, found: Reference, cols: Ints, ends: Ints) -> None:
        """Move what was found to the last entry with time <= end. The newest entry is later than any end."""
        rings, cells = self.rings, self.rings.cells
        where = stretch(cols)
        head, oldest = rings.head[where], rings.oldest(where)
        entries = np.maximum(found.entry[where], oldest - 1)
        for _ in range(_STEPS):
            until = cells.time[stretch(rings.place(where, np.minimum(entries + 1, head)))]
            further = until <= ends
            if not further.any():
                break
            entries = entries + further
        else:
            entries = self._search(cols, ends, entries)
            until = cells.time[rings.place(where, np.minimum(entries + 1, head))]
        place = stretch(rings.place(where, entries))
        known = entries >= oldest
        found.entry[where], found.until[where] = entries, until
        found.time[where] = np.where(known, cells.time[place], NOWHERE)
        found.price[where] = np.where(known, cells.price[place], np.nan)
        found.clock[where] = cells.clock[place]

    def _search(self, cols: Ints, ends: Ints, low: Ints) -> Ints:
        """The last entry with time <= end, from `low` on, which fits (or is none)."""
        high = self.rings.head[cols]
        for _ in range(int((high - low).max()).bit_length()):
            middle = (low + high + 1) // 2
            fits = self.rings.cells.time[self.rings.place(cols, middle)] <= ends
            low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
        return low

    def _look_through(self, cols: Ints, first: Ints, *, highest: bool) -> tuple[Floats, Ints]:
        """The highest high or lowest low of the entries from `first` to the newest, and the newest that has it."""
        column = self.rings.cells.high if highest else self.rings.cells.low
        values, backs = np.empty(len(cols)), np.empty(len(cols), np.int64)
        widths = self.rings.head[cols] - first
        order = np.argsort(widths, kind="stable")
        begin = 0
        for end in _portions(widths[order] + 1):
            part = order[begin:end]
            begin = end
            there = column.take(self.rings.backwards(cols[part], widths[part]))
            best = there.argmax(axis=0) if highest else there.argmin(axis=0)
            values[part] = there[best, np.arange(len(part))]
            backs[part] = np.minimum(best, widths[part])
        return values, self.rings.head[cols] - backs


def _portions(widths: Ints) -> Iterator[int]:
    """Where to cut ascending widths: those of a portion are alike, and it holds a bounded number of cells."""
    begin = 0
    while begin < len(widths):
        alike = int(np.searchsorted(widths, 2 * widths[begin], side="right"))
        end = min(alike, begin + max(1, _AT_ONCE // int(widths[alike - 1])))
        yield end
        begin = end


class HistoryState(msgspec.Struct, frozen=True):
    """A history's columns."""

    time: Ints
    price: Floats
    valid_for: Ints
    clock: Ints
    told: Ints
    tiers: list[RingsState]


class History:
    """All tiers, and the newest observation of each pair.

    clock: observed time, ms: grows only between observations no further apart than they stay valid
    """

    def __init__(self) -> None:
        self.tiers = [Tier(grid, longest) for grid, longest in TIERS]
        self.time: Ints = np.zeros(0, np.int64)
        self.price: Floats = np.zeros(0)
        self.valid_for: Ints = np.zeros(0, np.int64)
        self.clock: Ints = np.zeros(0, np.int64)
        self._told: Ints = np.zeros(0, np.int64)  # time of the newest point of each pair that was told afterwards
        self._ticks: Ints = np.zeros(0, np.int64)  # since this process began: only caches are told by it
        self._asked: dict[int, Asked] = {}  # since the last tick

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        if pairs <= len(self.time):
            return
        self.time = wider(self.time, pairs, _NEVER)
        self.price = wider(self.price, pairs, np.nan)
        self.valid_for = wider(self.valid_for, pairs, 0)
        self.clock = wider(self.clock, pairs, 0)
        self._told = wider(self._told, pairs, _NEVER)
        self._ticks = wider(self._ticks, pairs, 0)
        for tier in self.tiers:
            tier.widen(pairs)

    def newer(self, cols: Ints, times: Ints) -> NDArray[np.bool_]:
        """Which of these observations are newer than what is known."""
        return times > self.time[stretch(cols)]

    def add(self, cols: Ints, times: Ints, prices: Floats, valid_for: int) -> None:
        """One newer observation for each of these distinct pairs."""
        self._asked.clear()
        where = stretch(cols)
        gaps = times - self.time[where]
        clocks = self.clock[where] + gaps * (gaps <= self.valid_for[where])
        for tier in self.tiers:
            tier.add(cols, times, prices, clocks)
        self.time[where], self.price[where], self.clock[where] = times, prices, clocks
        self.valid_for[where] = valid_for
        self._ticks[where] += 1

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs. Their observed time goes on: it is only compared with itself."""
        self._asked.clear()
        self.time[cols] = self._told[cols] = _NEVER
        self.price[cols], self.valid_for[cols] = np.nan, 0
        for tier in self.tiers:
            tier.forget(cols)

    def fill(self, filled: Filled) -> Told:
        """Points of a gap of a pair."""
        self._asked.clear()
        self._told[filled.col] = max(self._told[filled.col], filled.time[-1])
        return Told(filled, [tier.fill(filled, int(self.time[filled.col])) for tier in self.tiers])

    def reference(self, cols: Ints, window: int) -> Floats:
        """The price of each pair one window before its newest observation, NaN where it is not known."""
        asked = self._window(cols, window)
        return np.where(asked.known, asked.price, np.nan)

    def references(self, told: Told, times: Ints, window: int) -> Floats:
        """The same for one pair as of moments of a gap that was filled, its beginning and its end among them."""
        cells, grid = told.cells[tier_of(window)], grid_of(window)
        ends = grid * (times // grid) - window
        place = np.searchsorted(cells.time, ends, side="right") - 1
        back = ends - cells.time[place]
        unbroken = np.append(np.diff(cells.clock) == np.diff(cells.time), False)[place]
        known = (back <= self.valid_for[told.filled.col]) | ((back <= window // _NEAR) & unbroken)
        return np.where((place >= 0) & known, cells.price[place], np.nan)

    def high(self, cols: Ints, window: int) -> Floats:
        """The highest price of each pair within the window, NaN where it is not known."""
        return self._extreme(cols, window, highest=True)

    def low(self, cols: Ints, window: int) -> Floats:
        """The lowest price of each pair within the window, NaN where it is not known."""
        return self._extreme(cols, window, highest=False)

    def _window(self, cols: Ints, window: int) -> Asked:
        """All who ask for a window of the same pairs after the same tick are told the same."""
        asked = self._asked.get(window)
        if asked is not None and asked.cols is cols:
            return asked
        tier = self.tiers[tier_of(window)]
        where = stretch(cols)
        times = self.time[where]
        ends = tier.grid * (times // tier.grid) - window
        found = tier.reference(cols, ends, window)
        since = found.time[where]
        back = ends - since
        known = back <= self.valid_for[where]
        doubtful = np.flatnonzero((since <= self._told[where]) & ~known & (back <= window // _NEAR))
        if len(doubtful):
            some = cols[doubtful]
            known[doubtful] = tier.unbroken(some, found.entry[some])
        watched = covered(times - since, self.clock[where] - found.clock[where])
        asked = self._asked[window] = Asked(cols, found.price[where], known, known & watched)
        return asked

    def _extreme(self, cols: Ints, window: int, *, highest: bool) -> Floats:
        known = self._window(cols, window).watched
        tier, where = self.tiers[tier_of(window)], stretch(cols)
        values = tier.extreme(cols, self.price[where], self._ticks[where], window, highest=highest)
        return np.where(known, values, np.nan)

    def state(self) -> HistoryState:
        """Everything, for a checkpoint."""
        rings = [tier.rings.state() for tier in self.tiers]
        return HistoryState(self.time, self.price, self.valid_for, self.clock, self._told, rings)

    def restore(self, state: HistoryState) -> None:
        """The opposite of state(), into a fresh history."""
        self.time, self.price, self.valid_for = state.time, state.price, state.valid_for
        self.clock, self._told = state.clock, state.told
        self._ticks = np.zeros(len(self.time), np.int64)
        for tier, kept in zip(self.tiers, state.tiers, strict=True):
            tier.restore(kept)


def covered(spans: Ints, observed: Ints) -> NDArray[np.bool_]:
    """Which spans (ms since the reference) were observed for nine tenths or more."""
    return spans - observed <= spans // 10
