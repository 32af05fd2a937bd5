"""What one grid keeps of each pair: the last observation, the high and the low of each cell that has one, and what
was found in them for windows. See history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features.columns import Where, stretch
from cryptowatcher.domain.features.filling import Filled
from cryptowatcher.domain.features.found import NOWHERE, Extreme, Reference, wider
from cryptowatcher.domain.features.rings import Cells, Rings, RingsState, merge
from cryptowatcher.domain.ticks import Floats, Ints

NEVER: Final = -(1 << 61)
"""The time of the newest observation of a pair that was never seen."""
_STEPS = 3
_AT_ONCE = 1 << 18  # cells that are looked through at once: as much as lies near the processor


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
        self._edge = wider(self._edge, pairs, NEVER)
        for found in self._references.values():
            found.widen(pairs)
        for extreme in self._extremes.values():
            extreme.widen(pairs)

    def add(self, cols: Ints, where: Where, times: Ints, prices: Floats, clocks: Ints) -> None:
        """One newer observation for each of these distinct pairs. `where`: the same columns, as stretch() says."""
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

    def reference(self, cols: Ints, where: Where, ends: Ints, window: int) -> Reference:
        """What was found last, with the last kept observation with time <= end in it for each of these pairs.

        For one window `ends` never go back for a pair, so where it was found last is where to look first.
        """
        found = self._references.get(window)
        if found is None:
            found = self._references[window] = Reference()
            found.widen(len(self._edge))
        due = ends >= found.until[where]
        if due.all():
            self._find(found, cols, where, ends)
        elif due.any():
            self._find(found, cols[due], cols[due], ends[due])
        return found

    def extreme(
        self, cols: Ints, where: Where, prices: Floats, ticks: Ints, window: int, *, highest: bool
    ) -> Floats:
        """The high or low of the window whose reference was just found. `prices`, `ticks`: the newest
        observation of each pair, and its number."""
        found = self._extremes.get((window, highest))
        if found is None:
            found = self._extremes[window, highest] = Extreme()
            found.widen(len(self._edge))
        newest = self.rings.head[where]
        first = np.minimum(self._references[window].entry[where] + 1, newest)
        found.told(where, prices, newest, highest=highest)
        missed = ticks - found.ticks[where] > 1  # ticks came that it was not told of
        lost = np.flatnonzero((found.entry[where] < first) | missed)
        if len(lost):
            known = (found.next_entry[cols[lost]] >= first[lost]) & ~missed[lost]
            found.move_up(cols[lost[known]])
            lost = lost[~known]
            self._look_through(found, cols[lost], first[lost], highest=highest)
        found.ticks[where] = ticks
        return found.value[where]

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs."""
        self.rings.forget(cols)
        self._edge[cols] = NEVER
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
        self._edge = np.where(state.head < 0, NEVER, -self.grid * (-newest // self.grid))

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

    def _find(self, found: Reference, cols: Ints, where: Where, ends: Ints) -> None:
        """Move what was found to the last entry with time <= end. The newest entry is later than any end."""
        rings, cells = self.rings, self.rings.cells
        if found.layout != rings.layout:
            found.layout, found.place = rings.layout, rings.place(slice(None), found.entry)
        entries, places, until = found.entry[where], found.place[where], found.until[where]
        # Never looked for, of a ring that was empty perhaps; or out of the ring.
        lost = entries.min(initial=0) < 0 or bool((rings.head[where] - entries > rings.slots[where]).any())
        if lost:
            entries = np.maximum(entries, rings.oldest(where) - 1)
            places = rings.place(where, entries)
            until = cells.time[rings.after(where, places)]
        for _ in range(_STEPS):
            further = until <= ends
            if not further.any():
                break
            following, whole = rings.after(where, places), further.all()
            places = following if whole else np.where(further, following, places)
            entries = entries + (1 if whole else further)
            until = cells.time[stretch(rings.after(where, places))]
        else:
            entries = self._search(cols, ends, entries)
            places = rings.place(where, entries)
            until = cells.time[rings.after(where, places)]
        found.entry[where], found.place[where], found.until[where] = entries, places, until
        at = stretch(places)
        found.time[where], found.price[where], found.clock[where] = (
            cells.time[at],
            cells.price[at],
            cells.clock[at],
        )
        if lost:  # who was there before has gone on to one that is there
            none = cols[entries < rings.oldest(where)]
            found.time[none], found.price[none] = NOWHERE, np.nan

    def _search(self, cols: Ints, ends: Ints, low: Ints) -> Ints:
        """The last entry with time <= end, from `low` on, which fits (or is none)."""
        high = self.rings.head[cols]
        for _ in range(int((high - low).max()).bit_length()):
            middle = (low + high + 1) // 2
            fits = self.rings.cells.time[self.rings.place(cols, middle)] <= ends
            low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
        return low

    def _look_through(self, found: Extreme, cols: Ints, first: Ints, *, highest: bool) -> None:
        """Find the highest high or lowest low of the entries from `first` to the newest, the newest that has it,
        and the same of those that are newer."""
        column = self.rings.cells.high if highest else self.rings.cells.low
        over, nothing = (np.max, -np.inf) if highest else (np.min, np.inf)
        widths = self.rings.head[cols] - first
        order = np.argsort(widths, kind="stable")
        begin = 0
        for end in _portions(widths[order] + 1):
            part, begin = order[begin:end], end
            there, some = column.take(self.rings.backwards(cols[part], widths[part])), cols[part]
            best, newest = over(there, axis=0), self.rings.head[some]
            back = (there == best).argmax(axis=0)
            found.value[some], found.entry[some] = best, newest - np.minimum(back, widths[part])
            there = np.where(np.arange(len(there))[:, None] < back, there, nothing)
            best = over(there, axis=0)
            found.next_value[some], found.next_entry[some] = best, newest - (there == best).argmax(axis=0)


def _portions(widths: Ints) -> Iterator[int]:
    """Where to cut ascending widths: those of a portion are alike, and it holds a bounded number of cells."""
    begin = 0
    while begin < len(widths):
        alike = int(np.searchsorted(widths, 2 * widths[begin], side="right"))
        end = min(alike, begin + max(1, _AT_ONCE // int(widths[alike - 1])))
        yield end
        begin = end
