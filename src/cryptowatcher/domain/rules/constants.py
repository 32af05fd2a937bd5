"""The constants that one number is compared with, sorted, so that an update touches only what it crossed.

Each entry is a constant t and the rule (a slot number) it belongs to. For every pair the nearest constant at or
below its value and the nearest above are kept. A whole instant is then two vector compares; only pairs whose value
left that span are searched for, all at once, and only entries in between are touched.

Entries of rules on named pairs are sorted by (pair, constant). Entries of rules on `all` pairs are stored once,
whatever the number of pairs. Both lie in tables of a bounded size. What is added goes into a small one, the young;
when that is worth it, what it has for one of the others is merged into that one. So a new rule costs the same
whether there are ten others or ten million, and no merge is longer than a table of that size. Entries of rules
that are gone stay until their table is merged, or somebody sweeps.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from cryptowatcher.domain.rules.runs import EMPTY, AnyInts, Bools
from cryptowatcher.domain.rules.tables import MOST, SMALL, Crossed, Near, Rows, Table, Tier, TierState
from cryptowatcher.domain.ticks import Floats, Ints


class ConstantsState(msgspec.Struct, frozen=True):
    """Sorted constants, without what each pair's value makes of them."""

    named: TierState
    shared: TierState


class Constants:
    """The constants that a number is compared with, for all pairs, and where each pair's value lies among them."""

    def __init__(self, pairs: int, *, small: int = SMALL, most: int = MOST) -> None:
        """None yet, for so many pairs. So few may stay young, and so many may be in a table."""
        self._low = np.full(pairs, -np.inf)
        self._high = np.full(pairs, np.inf)
        self._named = Tier(small=small, most=most)
        self._shared = Tier(pairs, small=small, most=most)

    def __len__(self) -> int:
        return len(self._named) + len(self._shared)

    def state(self) -> ConstantsState:
        """All entries, those that were added last among them."""
        return ConstantsState(self._named.state(), self._shared.state())

    def restore(self, state: ConstantsState, last: Floats) -> None:
        """The opposite of state(), into one without entries. `last`: each pair's last known value."""
        self._named.restore(state.named)
        self._shared.restore(state.shared)
        self.locate(np.arange(len(last)), last)

    # --- what there is ---------------------------------------------------------------------------

    def add(self, col: int, constant: float, slot: int) -> None:
        """One entry more: a pair's column, a constant, a rule's slot."""
        self._named.new.append(col, constant, slot)

    def add_many(self, cols: AnyInts, constants: Floats, slots: AnyInts) -> None:
        """As many entries more, in any order."""
        self._named.new.extend(cols, constants, slots)

    def add_everywhere(self, constant: float, slot: int) -> None:
        """One entry more for every pair."""
        self._shared.new.append(0, constant, slot)

    def widen(self, pairs: int, last: Floats) -> None:
        """Room for this many pairs, with their last known values."""
        more = pairs - len(self._low)
        self._low = np.pad(self._low, (0, more), constant_values=-np.inf)
        self._high = np.pad(self._high, (0, more), constant_values=np.inf)
        self._shared.widen(more)
        self.locate(np.arange(pairs - more, pairs), last)

    def settle(self, last: Floats, alive: Bools) -> None:
        """Sort in what was added, by each pair's last known value. `alive`: by slot, whose entries are needed."""
        for tier in (self._named, self._shared):
            if len(tier.new):
                cols, near = tier.sort_new(last)
                self._low[cols] = np.maximum(self._low[cols], near.below)
                self._high[cols] = np.minimum(self._high[cols], near.above)
            tier.grow_up(last, alive)

    def sweep(self, last: Floats, alive: Bools) -> None:
        """Forget the entries that are not needed."""
        self._named.sweep(last, alive)
        self._shared.sweep(last, alive)

    # --- where values lie ------------------------------------------------------------------------

    def locate(self, cols: Ints, last: Floats) -> None:
        """The last values of these pairs are others than they were. `last`: of all pairs.

        A pair that was never known (NaN) stands below all its constants. Its first value then "crosses" some,
        which does no harm: its rules are all unarmed, and arming looks at the value itself.
        """
        self._bound(cols, [(rows, table.locate(cols[rows], last[cols[rows]])) for table, rows in self._of(cols)])

    def move(self, cols: Ints, values: Floats, at: Rows | None = None) -> list[Crossed]:
        """What each of these pairs crossed by going to its new value. NaN compares false: unknown holds.

        `at`: the columns as NumPy reads them soonest, where that is known.
        """
        at = cols if at is None else at
        rows = np.flatnonzero((values < self._low[at]) | (values >= self._high[at]))
        if not len(rows):
            return []
        cols, values = cols[rows], values[rows]
        found: list[Crossed] = []
        nears: list[tuple[Rows, Near]] = []
        for table, here in self._of(cols):
            crossed, near = table.move(cols[here], values[here])
            nears.append((here, near))
            if len(crossed.slots):
                found.append(Crossed(rows[here][crossed.rows], crossed.slots))
        self._bound(cols, nears)
        return found

    def _bound(self, cols: Ints, nears: list[tuple[Rows, Near]]) -> None:
        """The nearest constants of these pairs are the nearest of all tables."""
        if len(nears) == 1 and isinstance(nears[0][0], slice):
            self._low[cols], self._high[cols] = nears[0][1]
            return
        below, above = np.full(len(cols), -np.inf), np.full(len(cols), np.inf)
        for rows, near in nears:
            below[rows] = np.maximum(below[rows], near.below)
            above[rows] = np.minimum(above[rows], near.above)
        self._low[cols], self._high[cols] = below, above

    def _of(self, cols: Ints) -> Iterator[tuple[Table, Rows]]:
        """The tables, and which of these pairs may have entries there."""
        for tier in (self._named, self._shared):
            for table in tier.tables():
                yield table, table.rows(cols, len(self._low))

    # --- who is asked for ------------------------------------------------------------------------

    def all_of(self, cols: Ints) -> Iterator[Crossed]:
        """Every entry of these pairs. After settle()."""
        every = np.arange(len(cols))
        for table, here in self._of(cols):
            rows, slots = table.all_of(cols[here])
            yield Crossed(every[here][rows], slots)

    def slots_at(self, cols: Ints) -> Ints:
        """The rules with an entry for one of these pairs, each once, gone ones among them."""
        found = [run.slot[np.isin(run.cols(), cols)] for run in self._named.runs()]
        return _once([*found, *(run.slot for run in self._shared.runs())])

    def between(self, col: int, low: float, high: float) -> Ints:
        """The rules with a constant for this pair above `low` and not above `high`, each once, gone ones among
        them."""
        found = [run.slots_between(col, low, high) for run in self._named.runs()]
        return _once([*found, *(run.slots_between(0, low, high) for run in self._shared.runs())])

    def slots(self) -> Ints:
        """All rules with entries, each once, gone ones among them."""
        return _once([run.slot for tier in (self._named, self._shared) for run in tier.runs()])

    def named(self) -> Ints:
        """The columns of pairs that rules name, each once, those of gone rules among them."""
        return _once([run.used() for run in self._named.runs()])


def _once(columns: list[AnyInts]) -> Ints:
    every = np.sort(np.concatenate([*columns, EMPTY.slot]))  # np.unique() takes several times as long
    return every[np.flatnonzero(np.diff(every, prepend=-1))].astype(np.int64)
