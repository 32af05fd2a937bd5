"""Sorted entries of rules' constants, beside a plain list of them."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from cryptowatcher.domain.rules.runs import EMPTY, Run, search, sort, walk

Entry = tuple[int, float, int]
"""Column, constant, slot."""


def entries(random: Random, count: int, *, begin: int = 0, width: int = 5) -> list[Entry]:
    """Few columns and fewer constants, so that many are equal."""
    return [(begin + random.randrange(width), float(random.randrange(4)), slot) for slot in range(count)]


def run_of(some: list[Entry]) -> Run:
    cols, constants, slots = zip(*some, strict=True) if some else ((), (), ())
    return sort(np.array(cols, np.int64), np.array(constants, np.float64), np.array(slots, np.int64))


def told(run: Run) -> list[Entry]:
    assert len(run.first) == run.width + 1
    assert run.end == run.begin + run.width
    assert len(run) == len(run.constant) == len(run.slot) == run.first[-1]
    return list(zip(run.cols().tolist(), run.constant.tolist(), run.slot.tolist(), strict=True))


def in_order(some: list[Entry]) -> list[Entry]:
    """Equal ones stay in the order in which they came."""
    return sorted(some, key=lambda entry: entry[:2])


SEEDS = pytest.mark.parametrize("seed", range(12))


@SEEDS
def test_entries_are_sorted_by_column_and_constant(seed: int) -> None:
    random = Random(seed)
    some = entries(random, random.randrange(1, 40), begin=random.randrange(3))
    run = run_of(some)
    assert told(run) == in_order(some)
    assert run.begin == min(col for col, _, _ in some)
    assert run.used().tolist() == sorted({col for col, _, _ in some})
    assert run.first.dtype == run.slot.dtype == np.int32, "12 bytes an entry and 4 a column"


def test_columns_that_lie_far_apart_are_sorted_too() -> None:
    some = [(70_000, 1.0, 0), (3, 2.0, 1), (65_539, 1.0, 2), (3, 1.0, 3), (70_000, 0.5, 4)]
    assert told(run_of(some)) == in_order(some)


def test_of_nothing_there_is_a_run_too() -> None:
    assert told(run_of([])) == told(EMPTY) == []
    assert told(EMPTY.with_more(EMPTY)) == []
    some = run_of([(2, 1.0, 7)])
    assert told(EMPTY.with_more(some)) == told(some.with_more(EMPTY)) == [(2, 1.0, 7)]


@SEEDS
def test_more_entries_come_behind_equal_ones(seed: int) -> None:
    random = Random(seed)
    old = entries(random, random.randrange(30), begin=random.randrange(4), width=random.randrange(1, 6))
    new = entries(random, random.randrange(30), begin=random.randrange(4), width=random.randrange(1, 6))
    assert told(run_of(old).with_more(run_of(new))) == in_order(old + new)


@SEEDS
def test_a_run_keeps_its_room_for_columns_when_all_its_entries_are_gone(seed: int) -> None:
    random = Random(seed)
    old, new = run_of(entries(random, 9, width=4)), entries(random, 5, begin=2, width=1)
    gone = old.only(np.zeros(len(old), np.bool_))
    assert told(gone) == []
    assert (gone.begin, gone.width) == (old.begin, old.width)
    both = gone.with_more(run_of(new))
    assert told(both) == in_order(new)
    assert both.begin <= old.begin
    assert both.end >= old.end


@SEEDS
def test_entries_are_taken_out(seed: int) -> None:
    random = Random(seed)
    run = run_of(entries(random, 30))
    needed = np.array([random.random() < 0.5 for _ in range(30)])
    assert told(run.only(needed)) == [entry for entry, stays in zip(told(run), needed, strict=True) if stays]
    assert run.only(np.ones(30, np.bool_)) is run


@SEEDS
def test_a_part_of_the_columns_is_a_run(seed: int) -> None:
    random = Random(seed)
    run = run_of(entries(random, 30, begin=2, width=6))
    edges = sorted(random.sample(range(run.begin, run.end + 1), 2))
    part = run.between(*edges)
    assert (part.begin, part.end) == tuple(edges)
    assert told(part) == [entry for entry in told(run) if edges[0] <= entry[0] < edges[1]]
    every = np.arange(run.begin, run.end + 1)
    counts = [sum(entry[0] == col for entry in told(run)) for col in every[:-1].tolist()]
    assert run.count(every).tolist() == counts


@SEEDS
def test_what_lies_between_two_values_is_found(seed: int) -> None:
    random = Random(seed)
    run = run_of(entries(random, 30, begin=2))
    for col in range(9):
        for low, high in ((-1.0, 9.0), (0.0, 2.0), (1.0, 1.0), (0.5, 1.5)):
            wanted = [slot for at, constant, slot in told(run) if at == col and low < constant <= high]
            assert run.slots_between(col, low, high).tolist() == wanted


@SEEDS
def test_there_is_room_for_columns_without_entries(seed: int) -> None:
    random = Random(seed)
    run = run_of(entries(random, 20, begin=3))
    for begin, end in ((0, 4), (4, 12), (0, 12)):
        wide = run.over(begin, end)
        assert (wide.begin, wide.end) == (min(begin, run.begin), max(end, run.end))
        assert told(wide) == told(run)
    assert run.over(run.begin, run.end) is run


@SEEDS
def test_a_run_is_cut_into_pieces_of_about_the_same_size(seed: int) -> None:
    random = Random(seed)
    run = run_of(entries(random, 30, begin=2, width=3))
    for most in (1, 4, 7, 29, 30, 31):
        pieces = run.pieces(most)
        assert [entry for piece in pieces for entry in told(piece)] == told(run)
        sizes = [len(piece) for piece in pieces]
        assert max(sizes) <= most
        assert max(sizes) - min(sizes) <= 1
        assert len(pieces) == -(-30 // most)
    assert run.pieces(30)[0] is run


@pytest.mark.parametrize("count", [5, 24, 25, 60])
@SEEDS
def test_the_first_entry_above_a_value_is_found_in_its_stretch(seed: int, count: int) -> None:
    random = Random(seed)
    ends = sorted(random.randrange(200) for _ in range(2 * count))
    constant = np.zeros(200)
    low, high = np.array(ends[::2]), np.array(ends[1::2])
    for start, end in zip(low.tolist(), high.tolist(), strict=True):
        constant[start:end] = sorted(float(random.randrange(8)) for _ in range(end - start))
    values = np.array([random.choice((*range(-1, 9), 3.5, math.nan)) for _ in range(count)], np.float64)
    wanted = [
        next((at for at in range(start, end) if constant[at] > value), end) if value == value else start
        for start, end, value in zip(low.tolist(), high.tolist(), values.tolist(), strict=True)
    ]
    assert search(constant, low, high, values).tolist() == wanted
    known = ~np.isnan(values)
    low, high, values = low[known], high[known], values[known]
    place = np.array([random.randint(*both) for both in zip(low.tolist(), high.tolist(), strict=True)], np.int64)
    found = walk(constant, low, place, high, values)
    assert found.tolist() == [each for each, there in zip(wanted, known.tolist(), strict=True) if there]
