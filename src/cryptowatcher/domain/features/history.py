"""What is remembered of each pair's prices: enough to answer "what was it at time E?" for any window.

A window's end is not exact but lies on a grid that depends on the window's length alone, so that a live
watcher, a replay and a restarted process keep the same observations and give the same value:

    up to 2 h: 1 s · up to 48 h: 5 min · up to 30 d: 1 h · up to 400 d: 1 d

At a pair's newest observation at t, E = g·floor(t/g) − w, and the reference of `change(w)` is the last
observation with time ≤ E. So a window is never shorter than w and less than one g longer, and on data that
comes at regular times it is exactly w. The reference counts only if it was current at E: at most as long
before E as the newest observation itself stays valid; otherwise the feature is unknown (NaN).

One tier per grid keeps the last observation of each non-empty cell (k·g − g, k·g], as rows of columns:
`[slot, pair]`. Slots are a ring for each pair; all pairs of a page tick together, so rows lie together.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import numpy as np
from numpy.typing import NDArray

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
_FIRST_SLOTS = 32
_STEPS = 3
_NEVER = np.iinfo(np.int64).min // 2


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
    """The last observation of each non-empty cell of one grid, per pair: a ring that doubles when it must."""

    def __init__(self, grid: int, longest: int) -> None:
        self.grid = grid
        self.longest = longest
        self.head = np.full(0, -1, np.int64)  # newest entry of each pair, counted from 0 without wrapping
        self.times: Ints = np.full((_FIRST_SLOTS, 0), _NEVER, np.int64)
        self.prices: Floats = np.full((_FIRST_SLOTS, 0), np.nan)
        self._found: dict[int, Ints] = {}  # window → where its last look-up ended: a hint, not state

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self.head)
        if more <= 0:
            return
        self.head = np.concatenate([self.head, np.full(more, -1, np.int64)])
        slots = len(self.times)
        self.times = np.concatenate([self.times, np.full((slots, more), _NEVER, np.int64)], axis=1)
        self.prices = np.concatenate([self.prices, np.full((slots, more), np.nan)], axis=1)

    def add(self, cols: Ints, times: Ints, prices: Floats) -> None:
        """One newer observation for each of these distinct pairs."""
        head = self.head[cols]
        slots = len(self.times)
        newest = self.times[head % slots, cols]
        new_cell = (head < 0) | (_cell(times, self.grid) != _cell(newest, self.grid))
        full = new_cell & (head + 1 >= slots)
        if full.any():
            # The entry to be overwritten may go once the one after it answers for the longest window too.
            second = self.times[(head + 2) % slots, cols]
            needed = full & (second > self.grid * (times // self.grid) - self.longest)
            if needed.any():
                self._grow()
                slots = len(self.times)
        self.head[cols] = head + new_cell
        slot = (head + new_cell) % slots
        self.times[slot, cols] = times
        self.prices[slot, cols] = prices

    def at_or_before(self, cols: Ints, end: Ints, window: int) -> tuple[Ints, Floats]:
        """Time and price of the last kept observation with time <= end; (very long ago, NaN) where none is.

        For one window `end` never goes back for a pair, so where it was found last is where to look first.
        """
        slots = len(self.times)
        head = self.head[cols]
        oldest = np.maximum(head - slots + 1, 0)
        found = np.maximum(self._found_for(window)[cols], oldest - 1)  # oldest - 1: none
        for _ in range(_STEPS):
            further = (found < head) & (self.times[(found + 1) % slots, cols] <= end)
            if not further.any():
                break
            found = found + further
        else:
            found = self._search(cols, end, found, head)
        self._found[window][cols] = found
        none = found < oldest
        slot = found % slots
        times = np.where(none, _NEVER, self.times[slot, cols])
        return times, np.where(none, np.nan, self.prices[slot, cols])

    def forget(self, cols: Ints) -> None:
        """Empty the rings of these pairs."""
        self.head[cols] = -1
        self.times[:, cols] = _NEVER
        self.prices[:, cols] = np.nan
        for window in self._found:
            self._found_for(window)[cols] = -1

    def _found_for(self, window: int) -> Ints:
        """Where the last look-up of this window ended, for each pair."""
        found = self._found.get(window, np.full(0, -1, np.int64))
        more = len(self.head) - len(found)
        if more:
            found = self._found[window] = np.concatenate([found, np.full(more, -1, np.int64)])
        return found

    def _search(self, cols: Ints, end: Ints, low: Ints, high: Ints) -> Ints:
        """The last entry with time <= end, between `low`, which fits (or is none), and `high`."""
        slots = len(self.times)
        for _ in range(slots.bit_length()):
            middle = (low + high + 1) // 2
            fits = self.times[middle % slots, cols] <= end
            low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
        return low

    def _grow(self) -> None:
        """Twice the slots; entries keep their numbers, so each moves to its place in the longer ring."""
        slots, pairs = self.times.shape
        times = np.full((2 * slots, pairs), _NEVER, np.int64)
        prices = np.full((2 * slots, pairs), np.nan)
        cols = np.arange(pairs)
        for back in range(slots):
            entry = self.head - back
            there = entry >= 0
            times[entry[there] % (2 * slots), cols[there]] = self.times[entry[there] % slots, cols[there]]
            prices[entry[there] % (2 * slots), cols[there]] = self.prices[entry[there] % slots, cols[there]]
        self.times, self.prices = times, prices


def _cell(times: Ints, grid: int) -> Ints:
    """The number k of the cell (k·g − g, k·g] that a time lies in."""
    return -(-times // grid)


class TierState(msgspec.Struct, frozen=True):
    """A tier's columns."""

    head: Ints
    times: Ints
    prices: Floats


class HistoryState(msgspec.Struct, frozen=True):
    """A history's columns."""

    time: Ints
    price: Floats
    valid_for: Ints
    tiers: list[TierState]


class History:
    """All tiers, and the newest observation of each pair."""

    def __init__(self, windows: Collection[int] | None = None) -> None:
        """`windows`: keep only what these (ms) need, where no others can ever be asked for (a replay)."""
        needed = range(len(TIERS)) if windows is None else {tier_of(window) for window in windows}
        self.tiers = {number: Tier(*TIERS[number]) for number in needed}
        self.time: Ints = np.full(0, _NEVER, np.int64)
        self.price: Floats = np.full(0, np.nan)
        self.valid_for: Ints = np.zeros(0, np.int64)

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self.time)
        if more <= 0:
            return
        self.time = np.concatenate([self.time, np.full(more, _NEVER, np.int64)])
        self.price = np.concatenate([self.price, np.full(more, np.nan)])
        self.valid_for = np.concatenate([self.valid_for, np.zeros(more, np.int64)])
        for tier in self.tiers.values():
            tier.widen(pairs)

    def newer(self, cols: Ints, times: Ints) -> NDArray[np.bool_]:
        """Which of these observations are newer than what is known."""
        return times > self.time[cols]

    def add(self, cols: Ints, times: Ints, prices: Floats, valid_for: int) -> None:
        """One newer observation for each of these distinct pairs."""
        for tier in self.tiers.values():
            tier.add(cols, times, prices)
        self.time[cols] = times
        self.price[cols] = prices
        self.valid_for[cols] = valid_for

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        self.time[cols] = _NEVER
        self.price[cols] = np.nan
        for tier in self.tiers.values():
            tier.forget(cols)

    def reference(self, cols: Ints, window: int) -> Floats:
        """The price of each pair one window before its newest observation, NaN where it is not known."""
        tier = self.tiers[tier_of(window)]
        end = tier.grid * (self.time[cols] // tier.grid) - window
        times, prices = tier.at_or_before(cols, end, window)
        return np.where(end - times <= self.valid_for[cols], prices, np.nan)

    def state(self) -> HistoryState:
        """Everything, for a checkpoint."""
        tiers = [TierState(tier.head, tier.times, tier.prices) for tier in self.tiers.values()]
        return HistoryState(self.time, self.price, self.valid_for, tiers)

    def restore(self, state: HistoryState) -> None:
        """The opposite of state()."""
        self.time, self.price, self.valid_for = state.time, state.price, state.valid_for
        for tier, kept in zip(self.tiers.values(), state.tiers, strict=True):
            tier.head, tier.times, tier.prices = kept.head, kept.times, kept.prices
