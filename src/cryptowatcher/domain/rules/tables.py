"""Runs of constants with each pair's place among them: tables that are moved through, and how they grow."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from cryptowatcher.domain.checkpoints import Part
from cryptowatcher.domain.rules.runs import EMPTY, AnyInts, Bools, Int32s, Run, search, sort, walk
from cryptowatcher.domain.ticks import Floats, Ints

SMALL = 4_096
SHARE = 50
"""What is young is merged when it is more than both SMALL and this fraction of the rest."""
MOST = 1 << 20
"""Entries of a table at most: a merge takes some ten milliseconds, a part of a checkpoint 12 MB."""

Rows = Ints | slice
"""Which of some pairs: row numbers, or all of them."""


class Crossed(NamedTuple):
    """The value in `rows[i]` went over or below a constant of the rule in `slots[i]`, perhaps of two of its."""

    rows: Ints
    slots: Ints


class Near(NamedTuple):
    """The nearest constant at or below each value, -inf for none, and the nearest above, inf for none."""

    below: Floats
    above: Floats


class Table:
    """A run, and how many of a pair's entries are at or below its value."""

    def __init__(self, run: Run, pairs: int | None = None, part: Part[Run] | None = None) -> None:
        """`pairs`: how many, where the run's one column is for all of them. `part`: what it was kept as."""
        self.run = run
        self.part = part or Part(run)
        self._shared = pairs is not None
        self._place = np.zeros(run.width if pairs is None else pairs, np.int32)

    def __len__(self) -> int:
        return len(self.run)

    def widen(self, more: int) -> None:
        """So many more pairs share it."""
        self._place = np.pad(self._place, (0, more))

    def rows(self, cols: Ints, pairs: int) -> Rows:
        """Which of these pairs may have entries here. `pairs`: how many there are at all."""
        if self._shared or (self.run.begin == 0 and self.run.end >= pairs):
            return slice(None)
        inside = (cols >= self.run.begin) & (cols < self.run.end)
        return slice(None) if inside.all() else np.flatnonzero(inside)

    def locate(self, cols: Ints, values: Floats) -> Near:
        """The values of these pairs; none is below NaN. For rows() only, like all that follows."""
        start, end = self._span(cols)
        after = search(self.run.constant, start, end, values)
        self._place[self._at(cols)] = after - start
        return self._near(start, after, end)

    def move(self, cols: Ints, values: Floats) -> tuple[Crossed, Near]:
        """What these pairs crossed by going to their new values, and what is near now."""
        at, (start, end) = self._at(cols), self._span(cols)
        before = start + self._place[at]
        after = walk(self.run.constant, start, before, end, values)
        self._place[at] = after - start
        return self._stretches(np.minimum(before, after), np.abs(after - before)), self._near(start, after, end)

    def all_of(self, cols: Ints) -> Crossed:
        """Every entry of these pairs."""
        start, end = self._span(cols)
        return self._stretches(start, end - start)

    def with_more(self, more: Table) -> Table:
        """Both in one."""
        grown = Table(self.run.with_more(more.run), len(self._place) if self._shared else None)
        for table in (self, more):
            offset = 0 if self._shared else table.run.begin - grown.run.begin
            grown._place[offset : offset + len(table._place)] += table._place
        return grown

    def without(self, stretches: list[tuple[int, int]]) -> Table:
        """What is left when these columns' entries are taken out: from each first one to before each second."""
        if self._shared:
            return Table(EMPTY, len(self._place))
        left = np.ones(self.run.width, np.bool_)
        for begin, end in stretches:
            left[begin - self.run.begin : end - self.run.begin] = False
        rest = Table(self.run.only(np.repeat(left, np.diff(self.run.first))))
        rest._place = np.where(left, self._place, np.int32(0))
        return rest

    def _at(self, cols: Ints) -> Ints:
        return cols if self._shared else cols - self.run.begin

    def _span(self, cols: Ints) -> tuple[Int32s, Int32s]:
        """Where the entries of these pairs begin and end."""
        at = np.zeros(len(cols), np.int64) if self._shared else cols - self.run.begin
        return self.run.first.take(at), self.run.first.take(at + 1)

    def _stretches(self, low: AnyInts, count: AnyInts) -> Crossed:
        """For each row so many entries from `low` on: low[0], low[0] + 1, …, low[1], …"""
        rows = np.repeat(np.arange(len(count)), count)
        entries = np.arange(len(rows)) + (low - (np.cumsum(count) - count)).take(rows)
        return Crossed(rows, self.run.slot.take(entries).astype(np.int64))

    def _near(self, start: AnyInts, after: AnyInts, end: AnyInts) -> Near:
        constant = self.run.constant
        below, above = constant.take(after - 1, mode="clip"), constant.take(after, mode="clip")
        return Near(np.where(after > start, below, -np.inf), np.where(after < end, above, np.inf))


class New:
    """Entries in the order in which they were added."""

    def __init__(self) -> None:
        self._cols, self._constants, self._slots = array("i"), array("d"), array("i")

    def __len__(self) -> int:
        return len(self._slots)

    def append(self, col: int, constant: float, slot: int) -> None:
        """One."""
        self._cols.append(col)
        self._constants.append(constant)
        self._slots.append(slot)

    def extend(self, cols: AnyInts, constants: Floats, slots: AnyInts) -> None:
        """Many."""
        self._cols.frombytes(cols.astype(np.int32).tobytes())
        self._constants.frombytes(constants.astype(np.float64).tobytes())
        self._slots.frombytes(slots.astype(np.int32).tobytes())

    def run(self) -> Run:
        """All of them, sorted."""
        return sort(*(np.asarray(column) for column in (self._cols, self._constants, self._slots)))


class TierState(msgspec.Struct, frozen=True):
    """The entries of a tier, those that were added last among the young."""

    tables: tuple[Part[Run], ...]
    young: Run


class Tier:
    """The entries of rules on named pairs, or of rules on all (shared): tables in the order of their columns, one
    young table, and what is new."""

    def __init__(self, pairs: int | None = None, *, small: int = SMALL, most: int = MOST) -> None:
        """`pairs`: how many, where the entries are for all of them."""
        self._pairs = pairs
        self._small = small
        self._most = most
        self._tables: list[Table] = []
        self._young = self._table(EMPTY)
        self._new = New()

    def __len__(self) -> int:
        return sum(map(len, self._tables)) + len(self._young) + len(self._new)

    def state(self) -> TierState:
        """To be kept. A table that did not change is the same Part."""
        return TierState(tuple(table.part for table in self._tables), self._young.run.with_more(self._new.run()))

    def restore(self, state: TierState) -> None:
        """The opposite, into one without entries; its values are to be located."""
        self._tables = [self._table(part.value, part) for part in state.tables]
        self._young = self._table(state.young)

    def tables(self) -> Iterator[Table]:
        """All that have entries."""
        return (table for table in (*self._tables, self._young) if len(table))

    def runs(self) -> Iterator[Run]:
        """All entries, those that are new among them."""
        yield from (table.run for table in self.tables())
        if len(self._new):
            yield self._new.run()

    @property
    def new(self) -> New:
        """What was added and is in no table yet: more goes here."""
        return self._new

    def widen(self, more: int) -> None:
        """So many more pairs."""
        if self._pairs is not None:
            self._pairs += more
            for table in (*self._tables, self._young):
                table.widen(more)

    def sort_new(self, last: Floats) -> tuple[Ints, Near]:
        """What is new becomes young: the pairs that have some, and what of it is near their values."""
        added, self._new = self._table(self._new.run()), New()
        cols = added.run.used() if self._pairs is None else np.arange(self._pairs)
        near = added.locate(cols, last[cols])
        self._young = self._young.with_more(added)
        return cols, near

    def grow_up(self, last: Floats, alive: Bools) -> None:
        """While too many are young: what they have for one of the tables goes there, beginning with the most."""
        young = self._young.run
        if len(young) <= self._small or len(young) <= (limit := sum(map(len, self._tables)) // SHARE):
            return
        begins = [table.run.begin for table in self._tables[1:]]
        edges = np.clip(np.asarray([young.begin, *begins, young.end]), young.begin, young.end)
        chosen = _most(young.count(edges), len(young) - max(self._small, limit))
        grown: list[Table] = []
        for number, table in enumerate(self._tables or [self._table(EMPTY)]):
            if number in chosen:
                run = table.run.with_more(young.between(int(edges[number]), int(edges[number + 1])))
                grown += self._cut(run.only(alive[run.slot]), last)
            else:
                grown.append(table)
        self._tables = grown
        self._young = self._young.without([(int(edges[n]), int(edges[n + 1])) for n in chosen])

    def sweep(self, last: Floats, alive: Bools) -> None:
        """Forget the entries of rules that are gone."""
        swept: list[Table] = []
        for table in self._tables:
            run = table.run.only(alive[table.run.slot])
            swept += [table] if run is table.run else self._cut(run, last)
        self._tables = swept
        young = self._young.run
        left = young.only(alive[young.slot])
        if left is not young:
            self._young = self._located(left, last)

    def _cut(self, run: Run, last: Floats) -> list[Table]:
        return [self._located(piece, last) for piece in run.pieces(self._most)] if len(run) else []

    def _located(self, run: Run, last: Floats) -> Table:
        table = self._table(run)
        cols = np.arange(run.begin, run.end) if self._pairs is None else np.arange(self._pairs)
        if len(run):
            table.locate(cols, last[cols])
        return table

    def _table(self, run: Run, part: Part[Run] | None = None) -> Table:
        return Table(run, self._pairs, part)


def _most(counts: Ints, wanted: int) -> list[int]:
    """The fewest of these that are as many as wanted."""
    order = np.argsort(-counts, kind="stable")
    enough = int(np.searchsorted(np.cumsum(counts[order]), wanted)) + 1
    return [int(number) for number in order[:enough]]
