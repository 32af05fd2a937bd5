"""Lines that are hard on bars, and the values of features along them in both forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from cryptowatcher.domain import checkpoints
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.line import Line, line_of
from cryptowatcher.domain.features.memory import Memory, MemoryState
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch

BEGIN = 1_700_000_000_000 - 1_700_000_000_000 % MS["d"]
KINDS = ("ends", "often", "holes", "sparse", "around")
Asked = tuple[str, tuple[Any, ...]]
"""A feature and its arguments."""


def line(
    time: Sequence[int] | Ints,
    price: Sequence[float] | Floats,
    *,
    valid_for: int,
    pair: str = "a/usd",
    **more: Floats,
) -> Line:
    """The line of these observations."""
    times = np.asarray(time, np.int64)
    made = line_of(pair, time=times, price=np.asarray(price, np.float64), valid_for=valid_for)
    return msgspec.structs.replace(made, **more)


def walk(count: int, rng: np.random.Generator, *, start: float = 100.0, step: float = 0.003) -> Floats:
    """Prices of a random walk."""
    return np.asarray(start * np.exp(np.cumsum(rng.normal(0, step, count))))


def times_of(kind: str, count: int, unit: int, rng: np.random.Generator) -> Ints:
    """Times of about `count` observations for bars of `unit` ms.

    ends: each at the end of a bar · often: several in a bar · holes: bars are missing · sparse: few are in time ·
    around: at the end, one ms before it and one after
    """
    match kind:
        case "ends":
            return np.asarray(BEGIN + unit * np.arange(1, count + 1))
        case "often":
            gaps = rng.integers(1, unit // 2, count)
        case "holes":
            gaps = np.where(rng.random(count) < 0.03, unit * rng.integers(1, 4, count), unit // 3)
            gaps = np.where(rng.random(count) < 0.002, 30 * unit, gaps)
        case "sparse":
            gaps = rng.integers(unit // 2, 3 * unit, count)
        case _:
            ends = BEGIN + unit * np.repeat(np.arange(1, count // 3 + 1), 3) + np.tile([-1, 0, 1], count // 3)
            return np.asarray(ends[rng.random(len(ends)) < 0.7])
    return np.asarray(BEGIN + np.cumsum(gaps))


def instants(lines: Sequence[Line]) -> list[TickBatch]:
    """The observations of all lines, in the order of their times; those of one time make one instant."""
    made: list[TickBatch] = []
    rows = {each.pair: dict(zip(each.time.tolist(), range(len(each)), strict=True)) for each in lines}
    for time in sorted({time for each in lines for time in each.time.tolist()}):
        here = [(each, rows[each.pair][time]) for each in lines if time in rows[each.pair]]
        made.append(
            TickBatch(
                source="test",
                pairs=tuple(each.pair for each, _ in here),
                pair=np.arange(len(here)),
                price=np.array([each.price[row] for each, row in here]),
                volume=np.array([each.volume[row] for each, row in here]),
                market_cap=np.array([each.market_cap[row] for each, row in here]),
                observed_at=np.full(len(here), time),
                starts=np.zeros(1, np.int64),
                received_at=time,
                valid_for=here[0][0].valid_for,
            )
        )
    return made


def stepped(
    lines: Sequence[Line], asked: Sequence[Asked], *, restart: int = 0, late: int = 0
) -> list[dict[str, Floats]]:
    """For each feature the values of each pair after each of its observations, by the step form.

    restart: begin again from a checkpoint after so many instants; late: ask for the first time after so many
    """
    memory = Memory()
    found: list[dict[str, list[float]]] = [{each.pair: [] for each in lines} for _ in asked]
    for number, instant in enumerate(instants(lines), start=1):
        cols = memory.universe.columns(instant.pairs)
        memory.widen()
        memory.add(cols, instant, at=instant.received_at)
        for values, (name, args) in zip(found, asked, strict=True):
            new = catalogue()[name].step(memory, cols, args).tolist() if number > late else [np.nan] * len(cols)
            for pair, value in zip(instant.pairs, new, strict=True):
                values[pair].append(value)
        if number == restart:
            kept = checkpoints.decode(checkpoints.encode(memory.state()), MemoryState)
            memory = Memory()
            memory.restore(kept)
    return [{pair: np.array(row) for pair, row in values.items()} for values in found]


def along(line: Line, asked: Asked) -> Floats:
    """The values by the series form."""
    name, args = asked
    series = catalogue()[name].series
    assert series is not None
    return series(line, args)


def same_bits(one: Floats, other: Floats) -> bool:
    """Equal to the bit, NaN equal to NaN."""
    return bool(np.array_equal(one, other, equal_nan=True))
