"""The sorted constants beside a plain list of them that is looked through from end to end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptowatcher.domain.checkpoints import decode, encode
from cryptowatcher.domain.rules.constants import Constants, ConstantsState
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.runs import Run, sort
from cryptowatcher.domain.rules.tables import SMALL
from cryptowatcher.domain.rules.tree import Comparison
from cryptowatcher.domain.rules.watched import Known, Watched, WatchedState, rows_of
from cryptowatcher.domain.ticks import Floats, Ints

SIZES = {"small": 5, "most": 7}  # so that there are many tables soon


class Plain:
    """What the constants promise, in the plainest way: a list of (column or None for all, constant, slot)."""

    def __init__(self) -> None:
        self.entries: list[tuple[int | None, float, int]] = []

    def crossed(self, last: Floats, cols: Ints, values: Floats) -> set[tuple[int, int]]:
        return {
            (row, slot)
            for row, (col, value) in enumerate(zip(cols.tolist(), values.tolist(), strict=True))
            for on, constant, slot in self.entries
            if on in (None, col) and value == value and (last[col] >= constant) != (value >= constant)
        }

    def at(self, cols: Ints) -> set[tuple[int, int]]:
        return {
            (row, slot)
            for row, col in enumerate(cols.tolist())
            for on, _, slot in self.entries
            if on in (None, col)
        }

    def between(self, col: int, low: float, high: float) -> set[int]:
        return {slot for on, constant, slot in self.entries if on in (None, col) and low < constant <= high}


class Both:
    """The same to both, at random."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.last = np.full(int(self.rng.integers(1, 8)), np.nan)
        self.fast, self.plain = Constants(len(self.last), **SIZES), Plain()
        self.alive = np.zeros(0, np.bool_)

    def some(self, most: int) -> tuple[Ints, Floats, Ints]:
        """Columns, constants and slots of new rules; many constants are equal."""
        count = int(self.rng.integers(0, most))
        slots = len(self.alive) + np.arange(count)
        self.alive = np.append(self.alive, np.ones(count, np.bool_))
        return self.rng.integers(0, len(self.last), count), self.rng.integers(0, 20, count) / 2, slots

    def add(self) -> None:
        for col, constant, slot in zip(*map(np.ndarray.tolist, self.some(10)), strict=True):
            if self.rng.random() < 0.2:
                self.fast.add_everywhere(constant, slot)
                self.plain.entries.append((None, constant, slot))
            else:
                self.fast.add(col, constant, slot)
                self.plain.entries.append((col, constant, slot))

    def add_many(self) -> None:
        columns = self.some(50)
        self.fast.add_many(*columns)
        self.plain.entries += zip(*map(np.ndarray.tolist, columns), strict=True)

    def drop(self) -> None:
        gone = set(np.flatnonzero(self.rng.random(len(self.alive)) < 0.2).tolist())
        self.alive[list(gone)] = False
        self.plain.entries = [entry for entry in self.plain.entries if entry[2] not in gone]

    def widen(self) -> None:
        self.last = np.append(self.last, np.full(int(self.rng.integers(1, 3)), np.nan))
        self.fast.widen(len(self.last), self.last)

    def forget(self) -> None:
        cols = np.unique(self.rng.integers(0, len(self.last), 2))
        self.last[cols] = np.nan
        self.fast.locate(cols, self.last)

    def restart(self) -> None:
        kept = decode(encode(self.fast.state()), ConstantsState)
        self.fast = Constants(len(self.last), **SIZES)
        self.fast.restore(kept, self.last)

    def sweep(self) -> None:
        self.fast.sweep(self.last, self.alive)

    def settle(self) -> None:
        self.fast.settle(self.last, self.alive)

    def move(self) -> None:
        pairs = len(self.last)
        cols = np.arange(pairs)
        if self.rng.random() < 0.7:
            cols = self.rng.permutation(pairs)[: int(self.rng.integers(0, pairs + 1))]
        values = self.rng.integers(-2, 22, len(cols)) / 2 - self.rng.choice([0, 0.25])
        values[self.rng.random(len(cols)) < 0.1] = np.nan
        self.settle()
        moved = self.fast.move(cols, values, rows_of(cols, pairs))
        found = {both for each in moved for both in zip(each.rows.tolist(), each.slots.tolist(), strict=True)}
        assert {both for both in found if self.alive[both[1]]} == self.plain.crossed(self.last, cols, values)
        self.last[cols] = np.where(np.isnan(values), self.last[cols], values)

    def ask(self) -> None:
        cols = np.unique(self.rng.integers(0, len(self.last), 3))
        there = self.plain.at(cols)
        assert self.living(self.fast.slots_at(cols)) == {slot for _, slot in there}
        assert self.living(self.fast.slots()) == {slot for _, _, slot in self.plain.entries}
        assert {col for col, _, _ in self.plain.entries if col is not None} <= set(self.fast.named().tolist())
        low, high = sorted(self.rng.integers(-1, 21, 2) / 2)
        assert self.living(self.fast.between(int(cols[0]), low, high)) == self.plain.between(cols[0], low, high)
        self.settle()
        every = {
            both
            for rows, slots in self.fast.all_of(cols)
            for both in zip(rows.tolist(), slots.tolist(), strict=True)
        }
        assert {both for both in every if self.alive[both[1]]} == there

    def living(self, slots: Ints) -> set[int]:
        return set(slots[self.alive[slots]].tolist())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(
    ["add", "add", "add_many", "drop", "widen", "forget", "restart", "sweep", "settle", "ask"] + ["move"] * 5
), min_size=20, max_size=60))  # fmt: skip
def test_whatever_happens_a_value_crosses_what_a_look_at_all_constants_says(seed: int, told: list[str]) -> None:
    both = Both(seed)
    for name in told:
        getattr(both, name)()
    both.drop()
    both.sweep()
    both.settle()
    both.sweep()
    assert len(both.fast) == len(both.plain.entries), "what is swept is what is left"


@pytest.mark.parametrize("pairs", [1, 300, 70_000, 200_000])
def test_entries_are_sorted_by_column_and_constant_and_equal_ones_stay_in_order(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    cols, constants, slots = rng.integers(7, 7 + pairs, 5_000), rng.integers(0, 9, 5_000) / 3, np.arange(5_000)
    run, order = sort(cols, constants, slots), np.lexsort((constants, cols))
    assert run.cols().tolist() == cols[order].tolist()
    assert run.constant.tolist() == constants[order].tolist()
    assert run.slot.tolist() == slots[order].tolist()


def entries_of(runs: list[Run]) -> list[tuple[int, float, int]]:
    return [
        entry
        for run in runs
        for entry in zip(run.cols().tolist(), run.constant.tolist(), run.slot.tolist(), strict=True)
    ]


@pytest.mark.parametrize("most", [1, 3, 64, 1_000])
def test_what_is_cut_or_merged_is_what_sorting_all_of_it_gives(most: int) -> None:
    rng = np.random.default_rng(most)
    cols, constants, slots = rng.integers(3, 9, 500), rng.integers(0, 9, 500) / 3, np.arange(500)
    whole = sort(cols, constants, slots)
    cut = whole.pieces(most)
    assert max(map(len, cut)) <= most
    assert entries_of(cut) == entries_of([whole])
    merged = sort(cols[:400], constants[:400], slots[:400]).with_more(
        sort(cols[400:], constants[400:], slots[400:])
    )
    assert entries_of([merged]) == entries_of([whole])
    even = whole.slot % 2 == 0
    assert entries_of([whole.only(even)]) == [entry for entry in entries_of([whole]) if entry[2] % 2 == 0]


def test_a_merge_makes_one_table_anew_and_leaves_the_others_as_they_were() -> None:
    rng = np.random.default_rng(1)
    alive, last = np.ones(2_000, np.bool_), np.full(50, 0.5)
    constants = Constants(50, small=100, most=300)
    constants.add_many(rng.integers(0, 50, 1_500), rng.random(1_500), np.arange(1_500))
    constants.settle(last, alive)
    before = constants.state().named.tables
    assert len(before) >= 5
    constants.settle(last, alive)
    assert all(a is b for a, b in zip(before, constants.state().named.tables, strict=True))
    constants.add_many(np.full(101, 49), rng.random(101), 1_500 + np.arange(101))
    constants.settle(last, alive)
    after = constants.state().named.tables
    assert all(a is b for a, b in zip(before[:-1], after, strict=False)), "nothing new was for their pairs"
    assert sum(len(part.value) for part in after) == 1_601


def test_one_by_one_or_many_at_once_is_the_same() -> None:
    cols, constants, slots = np.asarray([4, 2, 4, 0]), np.asarray([1.0, 3, 1, 2]), np.asarray([0, 1, 2, 3])
    one, many = Constants(5), Constants(5)
    many.add_many(cols, constants, slots)
    for entry in zip(cols.tolist(), constants.tolist(), slots.tolist(), strict=True):
        one.add(*entry)
    assert encode(one.state()) == encode(many.state())


# --- a number and its rules --------------------------------------------------------------------------


def test_what_all_pairs_are_compared_with_is_found_alone_and_comes_back() -> None:
    last, every, alive = np.array([4.0, 6.0]), np.arange(2), np.ones(3, np.bool_)
    here, back = Constants(2), Constants(2)
    here.add_everywhere(7.0, 1)
    here.settle(last, alive)
    back.restore(here.state(), last)
    for each in (here, back):
        assert (len(each), each.slots().tolist()) == (1, [1])
        ((rows, slots),) = each.move(every, np.array([5.0, 8.0]))
        assert (rows.tolist(), slots.tolist()) == ([1], [1])
        assert each.move(every, np.array([5.0, 8.0])) == []
        each.add(0, 4.5, 2)
        each.settle(np.array([5.0, 8.0]), alive)
        assert (len(each), each.slots().tolist()) == (2, [1, 2])


def price(pairs: int) -> Watched:
    condition = parse("price > 1")
    assert isinstance(condition, Comparison)
    return Watched(condition.left, Known.of_nothing(pairs))


def test_constants_of_rules_that_are_gone_do_not_pile_up() -> None:
    watched, alive = price(10), np.ones(40_000, np.bool_)
    cols, values = np.arange(10), np.full(10, 0.5)
    for begin in range(0, 40_000, 1_000):
        slots = begin + np.arange(1_000)
        watched.add_many(slots % 10, slots / 40_000, slots, rules=1_000)
        watched.move(cols, values, alive)
        alive[slots] = False
        for slot in slots.tolist():
            watched.remove(slot)
        assert len(watched.constants) <= 2 * SMALL + 1_000
    assert watched.rules == 0


def test_when_most_rules_are_gone_so_are_their_constants_though_nobody_adds_any() -> None:
    watched, alive, slots = price(10), np.ones(20_000, np.bool_), np.arange(20_000)
    watched.add_many(slots % 10, slots / 20_000, slots, rules=20_000)
    watched.move(np.arange(10), np.full(10, 0.5), alive)
    alive[1:] = False
    for slot in slots[1:].tolist():
        watched.remove(slot)
    watched.move(np.arange(10), np.full(10, 0.5), alive)
    assert len(watched.constants) == watched.rules == 1


def test_a_number_comes_back_from_a_checkpoint_as_it_was() -> None:
    watched, alive = price(10), np.ones(10_000, np.bool_)
    slots = np.arange(10_000)
    watched.add_many(slots % 7, slots / 10_000, slots, rules=10_000)
    watched.move(np.arange(10), np.full(10, 0.5), alive)
    watched.known.value[:] = 0.5
    watched.add_many(np.asarray([8]), np.asarray([0.6]), np.asarray([5]), rules=0)
    state = watched.state()
    again = Watched.of(decode(encode(state), WatchedState))
    assert (again.rules, again.on_all, again.named_pairs().tolist()) == (10_000, False, [0, 1, 2, 3, 4, 5, 6, 8])
    assert encode(again.state()) == encode(state)
    for each in (watched, again):
        (main, young) = each.move(np.asarray([3, 8]), np.asarray([0.5021, 0.6]), alive)
        assert (main.rows.tolist(), main.slots.tolist()) == ([0, 0, 0], [5_001, 5_008, 5_015])
        assert (young.rows.tolist(), young.slots.tolist()) == ([1], [5])
