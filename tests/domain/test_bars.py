"""Bars: what is folded step by step is what a plain definition says, and what the line's form gives at once."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from cryptowatcher.domain import checkpoints
from cryptowatcher.domain.features.bars import ROWS, Ring
from cryptowatcher.domain.features.columns import Column, Group
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory, MemoryState
from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.ticks import Floats, TickBatch
from tests.domain.lines import BEGIN, KINDS, Asked, along, instants, line, same_bits, stepped, times_of, walk

MINUTE = MS["m"]


class Bar(NamedTuple):
    """One bar, and the row of the line that closes it."""

    number: int
    high: float
    low: float
    close: float
    volume: float
    closed_by: int


def defined(line: Line, interval: int) -> list[Bar]:
    """The bars of a line that are kept, one by one, as the sentence at the top of bars.py says."""
    time, bars = line.time.tolist(), []
    for number in sorted({(t - 1) // interval for t in time}):
        start, end = number * interval, (number + 1) * interval
        rows = [row for row, t in enumerate(time) if start < t <= end]
        closing = next((row for row, t in enumerate(time) if t >= end), None)
        observed = 0
        for before, after in pairwise(time):
            if after - before <= line.valid_for:
                observed += max(0, min(after, end) - max(before, start))
        if closing is None or 10 * observed < 9 * interval:
            continue
        prices = [line.price.item(row) for row in rows]
        said = [line.volume.item(row) for row in rows if not math.isnan(line.volume.item(row))]
        volume = said[-1] if said else math.nan
        bars.append(Bar(number, max(prices), min(prices), prices[-1], volume, closing))
    return bars


def folded(line: Line, interval: int) -> list[Bar]:
    """The bars of a line, folded at once."""
    bars = line.bars(interval)
    closed_by = np.searchsorted(bars.closed, np.arange(1, len(bars) + 1))
    columns = (bars.number, bars.high, bars.low, bars.close, bars.volume, closed_by)
    return [Bar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def in_ring(ring: Ring, col: int) -> list[Bar]:
    """What a ring holds of a pair. `closed_by` is not kept."""
    found, now = [], ring.number.item(col)
    for number in range(now - ROWS, now):
        if ring.columns["close"][number % ROWS, col] > 0:
            high, low, close = (ring.columns[name].item(number % ROWS, col) for name in ("high", "low", "close"))
            volume = ring.columns["volume"].item(number % ROWS, col) if "volume" in ring.columns else math.nan
            found.append(Bar(number, high, low, close, volume, 0))
    return found


def remembered(lines: list[Line]) -> Memory:
    """A memory that was stepped through these lines."""
    memory = Memory()
    for instant in instants(lines):
        put(memory, instant)
    return memory


def put(memory: Memory, instant: TickBatch) -> None:
    """One instant, as the engine puts it."""
    cols = memory.universe.columns(instant.pairs)
    memory.widen()
    memory.add(cols, instant, at=instant.received_at)


def same_bars(one: list[Bar], other: list[Bar]) -> bool:
    return [repr(bar) for bar in one] == [repr(bar) for bar in other]


def hard_line(kind: str, seed: int, *, count: int = 300, unit: int = MINUTE) -> Line:
    """A random line; its source does not always say a volume."""
    rng = np.random.default_rng(seed)
    times = times_of(kind, count, unit, rng)
    volume = np.where(rng.random(len(times)) < 0.3, np.nan, walk(len(times), rng))
    return line(times, walk(len(times), rng), valid_for=2 * unit, pair=f"{kind}/usd", volume=volume)


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_is_folded_as_defined(kind: str) -> None:
    made = hard_line(kind, 1)
    for interval in INTERVALS.values():
        assert same_bars(folded(made, interval), defined(made, interval))
    assert len(folded(made, MINUTE)) > 3


def test_rings_hold_what_a_line_folds_to() -> None:
    lines = [hard_line(kind, 2) for kind in KINDS]
    memory = remembered(lines)
    for col, made in enumerate(lines):
        at = memory.universe.column(made.pair)
        for interval in INTERVALS.values():
            expected = [bar._replace(closed_by=0) for bar in folded(made, interval)]
            assert same_bars(in_ring(memory.bars[interval], at), expected), (col, interval)


def test_an_observation_exactly_at_the_end_belongs_to_the_bar_and_closes_it() -> None:
    made = line([BEGIN, BEGIN + 30_000, BEGIN + MINUTE, BEGIN + 2 * MINUTE], [1, 3, 2, 5], valid_for=MINUTE)
    bars = folded(made, MINUTE)
    assert [(bar.high, bar.low, bar.close, bar.closed_by) for bar in bars] == [(3, 2, 2, 2), (5, 5, 5, 3)]


def test_the_next_observation_closes_a_bar_that_has_none_at_its_end() -> None:
    made = line([BEGIN, BEGIN + 59_999, BEGIN + MINUTE + 1], [1, 2, 9], valid_for=MINUTE)
    assert [(bar.close, bar.closed_by) for bar in folded(made, MINUTE)] == [(2, 2)]


@pytest.mark.parametrize(("first", "kept"), [(6_000, True), (6_001, False)])
def test_a_bar_observed_for_less_than_nine_tenths_is_not_kept(first: int, kept: bool) -> None:
    made = line([BEGIN + first, BEGIN + MINUTE], [1, 2], valid_for=MINUTE)
    memory = remembered([made])
    assert bool(folded(made, MINUTE)) == bool(in_ring(memory.bars[MINUTE], 0)) == kept


@pytest.mark.parametrize(("late", "kept"), [(60_000, True), (60_001, False)])
def test_the_time_up_to_the_end_was_observed_if_the_next_comes_while_the_last_is_valid(
    late: int, kept: bool
) -> None:
    made = line([BEGIN, BEGIN + 50_000, BEGIN + 50_000 + late], [1, 2, 3], valid_for=MINUTE)
    memory = remembered([made])
    assert bool(folded(made, MINUTE)) == bool(in_ring(memory.bars[MINUTE], 0)) == kept


def test_a_checkpoint_in_the_middle_of_a_bar_changes_nothing() -> None:
    lines = [hard_line(kind, 3) for kind in KINDS]
    whole, memory = remembered(lines), Memory()
    for number, instant in enumerate(instants(lines)):
        put(memory, instant)
        if number % 100 == 50:
            state = checkpoints.encode(memory.state())
            memory = Memory()
            memory.restore(checkpoints.decode(state, MemoryState))
    for interval in INTERVALS.values():
        for col in range(len(lines)):
            assert same_bars(in_ring(memory.bars[interval], col), in_ring(whole.bars[interval], col))


def test_a_pair_that_was_forgotten_is_as_if_never_seen() -> None:
    first, other = hard_line("often", 4), hard_line("holes", 5)
    memory = remembered([first, other])
    fresh = remembered([hard_line("often", 6)])
    memory.forget(np.array([memory.universe.column(first.pair)]))
    for instant in instants([hard_line("often", 6)]):
        put(memory, instant)
    col = memory.universe.column(first.pair)
    for interval in INTERVALS.values():
        assert same_bars(in_ring(memory.bars[interval], col), in_ring(fresh.bars[interval], 0))
        kept = in_ring(remembered([other]).bars[interval], 0)
        assert same_bars(in_ring(memory.bars[interval], memory.universe.column(other.pair)), kept)


def test_new_pairs_move_nothing() -> None:
    """More of them than there is room for at first, while the others go on."""
    times = BEGIN + MINUTE * np.arange(1, 9)
    early = [
        line(times, np.arange(1.0, 9) + number, valid_for=MINUTE, pair=f"early-{number}/usd")
        for number in range(3)
    ]
    late = [line(times[4:], np.full(4, 7.0), valid_for=MINUTE, pair=f"late-{number}/usd") for number in range(200)]
    memory = remembered([*early, *late])
    for made in (*early, *late):
        held = in_ring(memory.bars[MINUTE], memory.universe.column(made.pair))
        assert same_bars(held, [bar._replace(closed_by=0) for bar in folded(made, MINUTE)])


def test_only_rows_that_were_written_are_in_a_checkpoint() -> None:
    memory = remembered([line(BEGIN + MINUTE * np.arange(1, 9), np.ones(8), valid_for=MINUTE)])
    rings = {ring.interval: ring for ring in memory.bars.rings.values()}
    assert [len(rings[interval].state().slots) for interval in INTERVALS.values()] == [7, 1, 0, 0]
    assert "volume" not in rings[MINUTE].state().columns


def test_the_newest_bars_outlast_the_ring_and_a_silence_longer_than_it() -> None:
    rng = np.random.default_rng(7)
    times = BEGIN + MINUTE * np.arange(1, 1_700)
    times = np.concatenate([times[:400], times[400:] + 1_200 * MINUTE])
    made = line(times, walk(len(times), rng), valid_for=MINUTE)
    memory = remembered([made])
    now = memory.bars[MINUTE].number.item(0)
    expected = [bar._replace(closed_by=0) for bar in folded(made, MINUTE) if bar.number >= now - ROWS]
    assert len(expected) == ROWS
    assert same_bars(in_ring(memory.bars[MINUTE], 0), expected)
    asked: list[Asked] = [("sma", (900, MINUTE)), ("ema", (60, MINUTE))]
    for values, feature in zip(stepped([made], asked, late=1_500), asked, strict=True):
        assert same_bits(values[made.pair][1_500:], along(made, feature)[1_500:])
        assert not np.isnan(values[made.pair][1_500:]).any()


class _Counting(Column):
    """Says how often it was computed."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def compute(self, ring: Ring, group: Group) -> Floats:
        self.times += len(group.cols)
        return ring.total[group.taken].astype(np.float64)


def test_what_is_read_is_computed_again_only_when_a_bar_has_ended() -> None:
    column, memory, cols = _Counting(), Memory(), np.array([0])
    for instant in instants([line(BEGIN + 20_000 * np.arange(1, 10), np.ones(9), valid_for=MINUTE)]):
        put(memory, instant)
        memory.bars[MINUTE].read("it", lambda: column, cols)
    assert column.times == 4  # when first asked, and at each of three ends
    assert memory.bars[MINUTE].read("it", lambda: column, cols).tolist() == [2.0]  # of the first it saw too little
