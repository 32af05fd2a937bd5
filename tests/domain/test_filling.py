"""History that is told afterwards: what windows and indicators see of it, against the plain way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest

from cryptowatcher.domain.checkpoints import decode, encode
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.bars import ROWS
from cryptowatcher.domain.features.memory import Memory, MemoryState
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.ticks import TickBatch, one_instant
from tests.domain.plain_filling import PlainPair, Point

M, H, D = MS["m"], MS["h"], MS["d"]
BEGIN = 1_722_816_000_000  # a midnight
VALID_FOR = 5 * M
WINDOWS = (5 * M, 30 * M, 2 * H, 3 * H, 24 * H, 3 * D, 7 * D, 30 * D, 90 * D)
SPACINGS = (5 * M, H, D)
MORE = int(os.environ.get("EXAMPLES", "1"))
PAIRS = ("a/usd", "b/usd", "c/usd")
ASKED = (
    ("sma", (5, H)), ("ema", (3, D)), ("rsi", (3, 5 * M)), ("change", (24 * H,)),
    ("high", (7 * D,)), ("volatility", (7 * D, H)),
)  # fmt: skip

Event = tuple[str, int, list[Point], int]
"""`tick` or `fill`, column, points, how long they stay valid."""


def points(pairs: tuple[str, ...], rows: list[tuple[int, int, float]], valid_for: int) -> TickBatch:
    """History as a record has it: (column, time, price)."""
    unsaid = np.full(len(rows), np.nan)
    return TickBatch(
        source="test",
        pairs=pairs,
        pair=np.array([col for col, *_ in rows], np.int64),
        price=np.array([price for *_, price in rows]),
        volume=unsaid,
        market_cap=unsaid,
        observed_at=np.array([time for _, time, _ in rows], np.int64),
        starts=np.zeros(1, np.int64),
        received_at=0,
        valid_for=valid_for,
    )


def market(random: Random) -> Iterator[Event]:
    """Minutes of several pairs, silence between, and tellings at any time: too early, again, of what was seen."""
    now = [BEGIN + random.randrange(2 * D) for _ in PAIRS]
    price = [100.0, 5.0, 0.01]
    for _ in range(random.randint(4, 12)):
        col = random.randrange(len(PAIRS))
        for _ in range(random.randint(1, 90)):
            now[col] += random.choice((M, M, M, random.randrange(1, 3 * M), 4 * M))
            price[col] *= 1 + random.gauss(0, 0.01)
            yield "tick", col, [(now[col], price[col])], VALID_FOR
        for _ in range(random.choice((0, 1, 1, 3))):
            col, spacing = random.randrange(len(PAIRS)), random.choice(SPACINGS)
            jitter = random.choice((0, 0, spacing // 3))
            back = random.choice((2, 30, 300))
            end = now[col] // spacing * spacing + random.choice((0, 0, spacing, -5 * spacing))
            told = [
                (end - step * spacing + (random.randint(-jitter, jitter) if jitter else 0), random.uniform(1, 9))
                for step in range(back)
                if random.random() > 0.01
            ]
            yield "fill", col, told, 2 * spacing
        for col in range(len(PAIRS)):
            now[col] += random.choice((0, 7 * M, 30 * M, 5 * H, 2 * D))


class Told:
    """A memory that is told."""

    def __init__(self) -> None:
        self.memory = Memory()
        for pair in PAIRS:
            self.memory.universe.column(pair)
        self.memory.widen()

    def take(self, event: Event) -> None:
        kind, col, told, valid_for = event
        if kind == "tick":
            ((time, price),) = told
            instant = one_instant({PAIRS[col]: price}, observed_at=time, valid_for=valid_for)
            self.memory.add(np.array([col]), instant, at=time)
        else:
            batch = points(PAIRS, [(col, *point) for point in told], valid_for)
            self.memory.fill(batch.pair, batch)

    def restart(self) -> None:
        state = decode(encode(self.memory.state()), MemoryState)
        self.memory = Memory()
        self.memory.restore(state)

    def windows(self, col: int) -> list[list[float]]:
        cols = np.array([col])
        history = self.memory.history
        forms = (history.reference, history.high, history.low)
        return [[float(form(cols, window)[0]) for form in forms] for window in WINDOWS]

    def asked(self, col: int) -> bytes:
        cols = np.array([col])
        return b"".join(catalogue()[name].step(self.memory, cols, args).tobytes() for name, args in ASKED)


@pytest.mark.parametrize("seed", range(3 * MORE))
def test_windows_see_what_was_told_as_if_it_had_been_observed(seed: int) -> None:
    told, plain = Told(), [PlainPair(VALID_FOR) for _ in PAIRS]
    known = 0
    for number, event in enumerate(market(Random(seed))):
        kind, col, *_ = event
        told.take(event)
        plain_take(plain[col], event)
        if plain[col].seen and (kind == "fill" or number % 7 == 0):
            expected = [list(plain[col].window(window)) for window in WINDOWS]
            np.testing.assert_array_equal(told.windows(col), expected)
            known += int(np.isfinite(expected).sum())
    assert known


@pytest.mark.parametrize("seed", range(3 * MORE))
def test_bars_see_what_was_told_where_nothing_was_observed(seed: int) -> None:
    told, plain = Told(), [PlainPair(VALID_FOR) for _ in PAIRS]
    found = 0
    for event in market(Random(100 + seed)):
        told.take(event)
        plain_take(plain[event[1]], event)
        if event[0] == "fill":
            found += sum(compare_bars(told.memory, col, plain[col]) for col in range(len(PAIRS)))
    assert found


def compare_bars(memory: Memory, col: int, plain: PlainPair) -> int:
    """How many there are."""
    for interval, ring in memory.bars.rings.items():
        now = int(ring.number[col])
        expected = {number: tuple(bar) for number, bar in plain.bars[interval].items() if number < now}
        found, count = {}, 0
        for number in range(now - ROWS, now) if now > 0 else ():
            slot = number % ROWS
            if ring.columns["close"][slot, col] > 0:
                found[number] = tuple(float(ring.columns[name][slot, col]) for name in ("high", "low", "close"))
                assert ring.last[col] >= number
            count += number in found
            if found and min(found) <= number:
                assert ring.total[col] - ring.count[slot, col] == len(expected) - count
        assert found == expected, interval
    return sum(map(len, plain.bars.values()))


@pytest.mark.parametrize("seed", range(3 * MORE))
def test_who_asks_when_and_a_restart_change_nothing(seed: int) -> None:
    random = Random(200 + seed)
    events = list(market(Random(300 + seed)))
    one, other = Told(), Told()
    for event in events:
        one.take(event)
        other.take(event)
        if random.random() < 0.1:
            one.asked(event[1])
        if random.random() < 0.02:
            other.restart()
        if event[0] == "fill" or random.random() < 0.05:
            assert one.asked(event[1]) == other.asked(event[1])


def plain_take(plain: PlainPair, event: Event) -> None:
    kind, _, rows, valid_for = event
    if kind == "tick":
        plain.observe(*rows[0])
    elif plain.seen:
        plain.tell(rows, valid_for)


def test_a_long_average_is_known_as_soon_as_history_is_told() -> None:
    told = Told()
    told.take(("tick", 0, [(BEGIN + 11 * H, 100.0)], VALID_FOR))
    average = catalogue()["sma"].step
    assert np.isnan(average(told.memory, np.array([0]), (200, D)))
    days = [(BEGIN - day * D, 100.0 + day) for day in range(365)]
    told.take(("fill", 0, days, 2 * D))
    (known,) = average(told.memory, np.array([0]), (200, D))
    assert known == np.mean([price for _, price in days[:200]])


def test_the_usual_move_counts_what_is_told_of_bars_that_it_had_gone_over() -> None:
    random, told, spread = Random(3), Told(), catalogue()["volatility"]
    minutes = [*range(280), *range(292, 300)]  # some bars of five minutes are missing, but not too many
    seen = []
    for minute in minutes:
        told.take(("tick", 0, [(BEGIN + minute * M, random.uniform(1, 2))], VALID_FOR))
        seen.append(float(spread.step(told.memory, np.array([0]), (4 * H, 5 * M))[0]))
    told.take(("fill", 0, [(BEGIN + minute * M, random.uniform(1, 2)) for minute in range(280, 292)], 2 * M))
    after = spread.step(told.memory, np.array([0]), (4 * H, 5 * M)).tobytes()
    told.restart()
    assert after == spread.step(told.memory, np.array([0]), (4 * H, 5 * M)).tobytes()
    assert np.isfinite(seen[-1])
    assert after != np.float64(seen[-1]).tobytes()


def test_a_telling_changes_nothing_of_what_was_observed() -> None:
    told = Told()
    for minute in range(30):
        told.take(("tick", 0, [(BEGIN + minute * M, 100.0)], VALID_FOR))
    before = as_it_is(told)
    told.take(("fill", 0, [(BEGIN + minute * M + 1, 1.0) for minute in range(29)], 10 * M))
    assert as_it_is(told) == before
    told.take(("fill", 0, [(BEGIN - hour * H, 1.0) for hour in range(29)], 2 * H))
    assert as_it_is(told) != before
    assert newest(told) == before[1]


def test_what_is_told_twice_counts_once() -> None:
    once, twice = Told(), Told()
    for event in market(Random(5)):
        once.take(event)
        twice.take(event)
        if event[0] == "fill":
            twice.take(event)
    assert as_it_is(once) == as_it_is(twice)


def test_a_pair_that_begins_anew_forgets_what_was_told_of_it() -> None:
    anew, fresh = Told(), Told()
    told: Event = "fill", 0, [(BEGIN - day * D, 50.0 + day) for day in range(99)], 2 * D
    for event in [("tick", 0, [(BEGIN + M, 100.0)], VALID_FOR), told]:
        anew.take(event)
    anew.asked(0)
    anew.memory.forget(np.array([0]))
    for each in (anew, fresh):
        each.take(("tick", 0, [(BEGIN + 2 * M, 5.0)], VALID_FOR))
    assert as_it_is(anew)[0] == as_it_is(fresh)[0]
    for each in (anew, fresh):
        each.take(("fill", 0, [(time, price / 2) for time, price in told[2]], 2 * D))
    assert as_it_is(anew)[0] == as_it_is(fresh)[0]


def as_it_is(told: Told) -> tuple[str, bytes]:
    return repr([(told.windows(col), told.asked(col)) for col in range(len(PAIRS))]), newest(told)


def newest(told: Told) -> bytes:
    """What rules' standings and waiting go by."""
    memory = told.memory
    return encode((memory.history.time, memory.history.price, memory.clock, memory.seen_at, memory.received_at))
