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

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features.columns import Where, stretch
from cryptowatcher.domain.features.filling import Filled, Told
from cryptowatcher.domain.features.found import Asked, wider
from cryptowatcher.domain.features.rings import RingsState
from cryptowatcher.domain.features.tier import NEVER, Tier
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
_NEAR = 10  # a part of the window


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
        self._cols: tuple[Ints, Where] = (np.zeros(0, np.int64), slice(0, 0))  # that were asked for last

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        if pairs <= len(self.time):
            return
        self.time = wider(self.time, pairs, NEVER)
        self.price = wider(self.price, pairs, np.nan)
        self.valid_for = wider(self.valid_for, pairs, 0)
        self.clock = wider(self.clock, pairs, 0)
        self._told = wider(self._told, pairs, NEVER)
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
            tier.add(cols, where, times, prices, clocks)
        self.time[where], self.price[where], self.clock[where] = times, prices, clocks
        self.valid_for[where] = valid_for
        self._ticks[where] += 1

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs. Their observed time goes on: it is only compared with itself."""
        self._asked.clear()
        self.time[cols] = self._told[cols] = NEVER
        self.price[cols], self.valid_for[cols] = np.nan, 0
        for tier in self.tiers:
            tier.forget(cols)

    def fill(self, filled: Filled) -> Told:
        """Points of a gap of a pair."""
        self._asked.clear()
        self._told[filled.col] = max(self._told[filled.col], filled.time[-1])
        return Told(filled, [tier.fill(filled, int(self.time[filled.col])) for tier in self.tiers])

    def newest(self, cols: Ints) -> Floats:
        """The newest price of each pair; only good until the next tick."""
        return self.price[self._where(cols)]

    def reference(self, cols: Ints, window: int) -> Floats:
        """The price of each pair one window before its newest observation, NaN where it is not known."""
        asked = self._window(cols, window)
        return np.where(asked.known, asked.found.price[self._where(cols)], np.nan)

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

    def _where(self, cols: Ints) -> Where:
        """What stretch() says. The same columns are asked for many times."""
        if cols is not self._cols[0]:
            self._cols = (cols, stretch(cols))
        return self._cols[1]

    def _window(self, cols: Ints, window: int) -> Asked:
        """All who ask for a window of the same pairs after the same tick are told the same."""
        asked = self._asked.get(window)
        if asked is not None and asked.cols is cols:
            return asked
        tier, where = self.tiers[tier_of(window)], self._where(cols)
        ends = tier.grid * (self.time[where] // tier.grid) - window
        found = tier.reference(cols, where, ends, window)
        back = ends - found.time[where]
        known = back <= self.valid_for[where]
        if not known.all():
            doubtful = np.flatnonzero(
                (found.time[where] <= self._told[where]) & ~known & (back <= window // _NEAR)
            )
            if len(doubtful):
                some = cols[doubtful]
                known[doubtful] = tier.unbroken(some, found.entry[some])
        asked = self._asked[window] = Asked(cols, found, known)
        return asked

    def _watched(self, asked: Asked, where: Where) -> NDArray[np.bool_]:
        """Where a window is known, and the pair was watched since."""
        if asked.watched is None:
            found = asked.found
            spans, observed = self.time[where] - found.time[where], self.clock[where] - found.clock[where]
            asked.watched = asked.known & covered(spans, observed)
        return asked.watched

    def _extreme(self, cols: Ints, window: int, *, highest: bool) -> Floats:
        asked, where = self._window(cols, window), self._where(cols)
        tier, watched = self.tiers[tier_of(window)], self._watched(asked, where)
        values = tier.extreme(cols, where, self.price[where], self._ticks[where], window, highest=highest)
        return np.where(watched, values, np.nan)

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
