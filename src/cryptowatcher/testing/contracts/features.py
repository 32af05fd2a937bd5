"""What every feature promises, one test a sentence. A family joins by naming its functions.

class TestChange(FeatureContract):
    functions = change.FUNCTIONS

Markets are random: ticks of several pairs in bursts, in streams, at regular times, exactly on the edges of
cells and bars, with long silence; the same seed is the same market.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from cryptowatcher.domain.checkpoints import decode, encode
from cryptowatcher.domain.features import Args, Function, Parameter, catalogue
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory, MemoryState
from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.rules.tree import Call
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch
from cryptowatcher.errors import ConfigError

S, M, H, D = MS["s"], MS["m"], MS["h"], MS["d"]
PAIRS = ("a/usd", "b/usd", "c/bitcoin", "d/usd")
BEGIN = 1_722_816_000_000  # a midnight
WINDOWS = (S, 30 * S, M, 5 * M, 7 * M, 20 * M, H, 2 * H, 3 * H, 24 * H, 3 * D, 7 * D, 30 * D)
PACES = ((1, 40), (50, 2 * S), (50 * S, 70 * S), (M, M), (M, M), (M, 4 * M), (5 * M, 5 * M), (H, H), (H, 9 * H))
VALID_FOR = (5 * M, 2 * H, 40 * D)
SEEDS = range(3 * int(os.environ.get("EXAMPLES", "1")))

every_seed = pytest.mark.parametrize("seed", SEEDS)


Feature = tuple[str, Args]
"""A function by its name, with arguments."""


class Instant(msgspec.Struct, frozen=True, eq=False):
    """Some ticks that count as simultaneous, and the journal time of the record that brought them."""

    batch: TickBatch
    at: int


class Stepped:
    """A memory that is fed as the engine feeds it."""

    def __init__(self) -> None:
        self.memory = Memory()
        for pair in PAIRS:
            self.memory.universe.column(pair)
        self.memory.widen()

    def step(self, instant: Instant) -> Ints:
        """The columns of the pairs that ticked."""
        batch = instant.batch
        cols = self.memory.universe.columns(batch.pairs)[batch.pair]
        newer = self.memory.newer(cols, batch.observed_at)
        self.memory.now = instant.at
        self.memory.add(cols[newer], batch.rows(newer), at=instant.at)
        return cols[newer]

    def restart(self) -> None:
        """The memory as a checkpoint brings it back."""
        state = decode(encode(self.memory.state()), MemoryState)
        self.memory = Memory()
        self.memory.restore(state)


class FeatureContract:
    """Subclasses name the functions of a family, and those that these markets never tell."""

    functions: ClassVar[Sequence[Function]]
    never_known: ClassVar[Sequence[str]] = ()

    @every_seed
    def test_steps_give_what_the_series_gives_to_the_bit(self, seed: int) -> None:
        run = run_of(type(self), seed)
        for (call, args), stepped in run.values.items():
            form = catalogue()[call].series
            if form is None:
                continue
            for pair, values in zip(PAIRS, stepped, strict=True):
                assert bits(form(run.lines[pair], args)) == bits(values), (call, args, pair)

    @every_seed
    def test_who_asks_and_when_and_a_restart_change_no_value(self, seed: int) -> None:
        random = Random(seed)
        instants = market(random)
        calls = self.calls(random)
        one, other = Stepped(), Stepped()
        for instant in instants:
            cols = one.step(instant)
            other.step(instant)
            asked = [random.random() < 0.1 for _ in calls]
            for (call, args), both in zip(calls, asked, strict=True):
                values = catalogue()[call].step(one.memory, cols, args)
                if not both or not len(cols):
                    continue
                # Of some pairs, in another order, and twice.
                some = np.array(random.sample(range(len(cols)), random.randint(1, len(cols))))
                for _ in range(2):
                    again = catalogue()[call].step(other.memory, cols[some], args)
                    assert bits(again) == bits(values[some]), (call, args)
            if random.random() < 0.02:
                other.restart()

    @every_seed
    def test_how_ticks_are_cut_into_instants_changes_no_value(self, seed: int) -> None:
        run, random = run_of(type(self), seed), Random(seed)
        calls = [(call, args) for call, args in run.values if alone_with_its_pair(catalogue()[call], args)]
        cut = values_of(calls, [row for each in run.instants for row in perhaps_cut(random, each)])
        for call in calls:
            assert [bits(values) for values in run.values[call]] == [bits(values) for values in cut[call]], call

    @every_seed
    def test_a_pair_that_was_forgotten_is_one_that_was_never_seen(self, seed: int) -> None:
        random = Random(seed)
        instants = market(random)
        calls = self.calls(random)
        forgotten = random.sample(PAIRS, random.randint(1, 2))
        when = random.randrange(len(instants) // 4, len(instants) * 3 // 4)
        one, other = Stepped(), Stepped()
        for number, instant in enumerate(instants):
            if number == when:
                one.memory.forget(one.memory.universe.columns(tuple(forgotten)))
                for call, args in calls:
                    both = [catalogue()[call].step(each.memory, np.arange(4), args) for each in (one, other)]
                    assert bits(both[0]) == bits(both[1]), (call, args, "just forgotten")
            cols = one.step(instant)
            other.step(instant if number >= when else without(instant, forgotten))
            for call, args in calls:
                values = catalogue()[call].step(one.memory, cols, args)
                if number >= when:
                    assert bits(catalogue()[call].step(other.memory, cols, args)) == bits(values), (call, args)

    def test_it_is_known_for_some_ticks_and_not_before_what_it_needs(self) -> None:
        known: set[str] = set()
        for seed in SEEDS:
            run = run_of(type(self), seed)
            for (call, args), stepped in run.values.items():
                function = catalogue()[call]
                for values, pair in zip(stepped, PAIRS, strict=True):
                    rows = np.flatnonzero(~np.isnan(values))
                    assert np.isfinite(values[rows]).all()
                    lies = function.bounds
                    assert ((values[rows] >= lies.low) & (values[rows] <= lies.high)).all(), (call, args)
                    assert not lies.above or (values[rows] > lies.low).all(), (call, args)
                    assert not lies.below or (values[rows] < lies.high).all(), (call, args)
                    if len(rows):
                        known.add(call)
                        # The first of all ticks may come some time after its bar began, or its window.
                        span = int(run.lines[pair].time[rows[0]] - run.lines[pair].time[0])
                        assert span >= 0.9 * function.needs(args), (call, args)
        assert {function.name for function in self.functions} - known == set(self.never_known)

    def test_what_is_said_of_it_is_whole(self) -> None:
        for function in self.functions:
            assert catalogue()[function.name] is function
            names = {parameter.name: "…" for parameter in function.parameters}
            assert function.says.format(**names)
            assert function.example.partition("(")[0] == function.name
            required = [parameter.default is None for parameter in function.parameters]
            assert required == sorted(required, reverse=True), "what has a default stands behind what has none"

    # --- what the tests are made of ----------------------------------------------------------------

    def calls(self, random: Random) -> list[Feature]:
        """Each function with some arguments that go together."""
        return [(function.name, self.arguments(random, function)) for function in self.functions]

    def arguments(self, random: Random, function: Function) -> Args:
        """Arguments that go together."""
        for _ in range(10_000):
            args = tuple(argument(random, parameter) for parameter in function.parameters)
            try:
                function.check(args)
            except ConfigError:
                continue
            return args
        raise AssertionError(f"no arguments were found that {function.name} takes")


class Run(msgspec.Struct, frozen=True, eq=False):
    """A market, the lines of its pairs, and what the step forms of a family give for each pair, tick by tick."""

    instants: Sequence[Instant]
    lines: Mapping[str, Line]
    values: Mapping[Feature, list[Floats]]


def run_of(contract: type[FeatureContract], seed: int) -> Run:
    """Of the functions of this family; several tests look at the same."""
    if (contract, seed) not in _RUNS:
        random = Random(seed)
        instants = market(random)
        values = values_of(contract().calls(random), instants)
        _RUNS[contract, seed] = Run(instants, lines_of(instants), values)
    return _RUNS[contract, seed]


_RUNS: dict[tuple[type[FeatureContract], int], Run] = {}


def values_of(calls: Sequence[Feature], instants: Sequence[Instant]) -> dict[Feature, list[Floats]]:
    """What the step forms give after each tick, for each pair."""
    stepped = Stepped()
    parts: dict[Feature, list[Floats]] = {call: [] for call in calls}
    cols = []
    for instant in instants:
        cols.append(stepped.step(instant))
        for call, args in calls:
            parts[call, args].append(catalogue()[call].step(stepped.memory, cols[-1], args))
    col = np.concatenate(cols)
    columns = {call: np.concatenate(values) for call, values in parts.items()}
    return {call: [values[col == mine] for mine in range(len(PAIRS))] for call, values in columns.items()}


def alone_with_its_pair(function: Function, args: Args) -> bool:
    """Whether it looks neither at other pairs nor at the journal's time."""
    return function.series is not None and not function.reads(args)


def argument(random: Random, parameter: Parameter) -> Any:
    """One of its kind, within its bounds."""
    lowest = int(parameter.low)
    choices: dict[str, Callable[[], Any]] = {
        "count": lambda: random.randint(lowest, min(int(parameter.high), lowest + random.choice((3, 12)))),
        "window": lambda: random.choice(WINDOWS),
        "interval": lambda: random.choice((*INTERVALS.values(), M, 5 * M)),
        "number": lambda: random.uniform(max(parameter.low, -5), min(parameter.high, 5)),
        "price": lambda: random.choice((1.0, 0.1, 3e-9, 70_000.0)),
        "pair": lambda: random.choice((*PAIRS, "nobody/usd")),
        "feature": lambda: Call(*random.choice((("price", ()), ("volume", (D,)), ("volume", (M,))))),
    }
    return choices[parameter.kind]()


def market(random: Random) -> list[Instant]:
    """Some hundred instants. Regular stretches are long enough for windows and bars to be whole."""
    valid_for = random.choice(VALID_FOR)
    time = BEGIN + random.randrange(D)
    newest, prices = dict.fromkeys(PAIRS, 0), {pair: random.choice((1.0, 1e-9, 5e4)) for pair in PAIRS}
    instants = []
    for low, high in itertools.chain([random.choice(((M, M), (50 * S, 70 * S)))], random.choices(PACES, k=4)):
        together, drift = random.random() < 0.6, random.choice((0.0, 0.0, 0.001, -0.001))
        for _ in range(random.choice((30, 60, 130))):
            time += random.randint(low, high)
            if low != high and random.random() < 0.2:
                time += -time % random.choice((S, M, 5 * M, H, D))  # exactly on an edge
            ticking = PAIRS if together else random.sample(PAIRS, random.randint(1, len(PAIRS)))
            rows = []
            for pair in ticking:
                prices[pair] *= 1 + drift + (random.gauss(0, 0.003) if random.random() < 0.9 else 0)
                newest[pair] = max(newest[pair] + 1, time - (0 if together else random.randrange(30)))
                rows.append((pair, prices[pair], newest[pair]))
            instants.append(instant_of(random, rows, valid_for=valid_for, at=time + 900))
            time = max(newest.values())
        time += random.choice((0, 0, 4 * M, 3 * H, 26 * H))
    return instants


def instant_of(random: Random, rows: Sequence[tuple[str, float, int]], *, valid_for: int, at: int) -> Instant:
    """One instant of (pair, price, observed at); volumes and capitalisations are not always said."""
    pairs, prices, times = zip(*rows, strict=True)
    shares = [random.choice((1e6, 2e6)) if random.random() < 0.9 else np.nan for _ in rows]
    batch = TickBatch(
        source="test",
        pairs=pairs,
        pair=np.arange(len(rows)),
        price=np.array(prices),
        volume=np.array(prices) * np.array(shares[::-1]),
        market_cap=np.array(prices) * np.array(shares),
        observed_at=np.array(times),
        starts=np.zeros(1, np.int64),
        received_at=at - 500,
        valid_for=valid_for,
    )
    return Instant(batch, at)


def perhaps_cut(random: Random, instant: Instant) -> list[Instant]:
    """The instant; now and then each of its rows as an instant of its own."""
    if random.random() < 0.7:
        return [instant]
    rows = [slice(row, row + 1) for row in range(len(instant.batch))]
    return [Instant(instant.batch.rows(row), instant.at) for row in rows]


def without(instant: Instant, pairs: Sequence[str]) -> Instant:
    """The instant without the rows of these pairs."""
    kept = [pair not in pairs for pair in instant.batch.names()]
    return Instant(instant.batch.rows(np.array(kept)), instant.at)


def lines_of(instants: Sequence[Instant]) -> Mapping[str, Line]:
    """The line of each pair."""
    batches = [instant.batch for instant in instants]
    names = np.array([name for batch in batches for name in batch.names()])
    seq = np.repeat(np.arange(1, len(batches) + 1), [len(batch) for batch in batches])
    columns = {
        name: np.concatenate([getattr(batch, name) for batch in batches])
        for name in ("observed_at", "price", "volume", "market_cap")
    }
    lines: dict[str, Line] = {}
    for pair in PAIRS:
        mine = names == pair
        time = columns["observed_at"][mine]
        gaps = np.diff(time, prepend=time[:1])
        lines[pair] = Line(
            pair=pair,
            seq=seq[mine],
            time=time,
            price=columns["price"][mine],
            volume=columns["volume"][mine],
            market_cap=columns["market_cap"][mine],
            clock=np.cumsum(np.where(gaps <= batches[0].valid_for, gaps, 0)),
            valid_for=batches[0].valid_for,
            traded=np.full(len(time), np.nan),
            other=lines.get,
        )
    return lines


def bits(values: Floats) -> list[bytes | None]:
    """Each value to the bit; all NaN are one."""
    return [None if value != value else np.float64(value).tobytes() for value in values.tolist()]
