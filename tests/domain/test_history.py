"""References and extremes of windows against a look through all that was ever seen; and what memory they take."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.checkpoints import decode, encode
from cryptowatcher.domain.features.history import TIERS, History, HistoryState, check_window, grid_of
from cryptowatcher.domain.features.tier import Tier
from cryptowatcher.domain.intervals import MS, parse_duration
from cryptowatcher.errors import ConfigError
from tests.domain.journals import BEGIN, examples

S, M, H, D = MS["s"], MS["m"], MS["h"], MS["d"]
LONG = 1_000 * D
YEAR_2038 = 2**31 * 1_000 - 20 * D
WINDOWS = (
    *(S, 2 * S, 59 * S, M, 5 * M, 17 * M, H, 2 * H, 2 * H + 5 * M, 3 * H, 24 * H, 48 * H),
    *(49 * H, 3 * D, 7 * D, 30 * D, 31 * D, 45 * D, 400 * D),
)
GRIDS = ((S, 2 * H), (5 * M, 48 * H), (H, 30 * D), (D, 400 * D))

# How far ticks lie apart: bursts within a second, a stream, a page a minute, and long silence.
PACES = ((1, 40), (1, 2 * S), (50 * S, 70 * S), (M, 20 * M), (H, 30 * H), (S, S), (5 * M, 5 * M), (30 * D, 40 * D))


class Seen(NamedTuple):
    """One observation. `clock`: for how long the pair was really observed until then, ms."""

    time: int
    price: float
    valid_for: int
    clock: int


class Told:
    """A history of some pairs, and beside it a plain list of all that it was told."""

    def __init__(self, pairs: int) -> None:
        self.history = History()
        self.history.widen(pairs)
        self.seen: list[list[Seen]] = [[] for _ in range(pairs)]

    def tell(self, cols: list[int], times: list[int], prices: list[float], valid_for: int) -> None:
        """One instant."""
        self.history.add(np.array(cols), np.array(times), np.array(prices), valid_for)
        for col, time, price in zip(cols, times, prices, strict=True):
            past, clock = self.seen[col], 0
            if past:
                gap = time - past[-1].time
                clock = past[-1].clock + (gap if gap <= past[-1].valid_for else 0)
            past.append(Seen(time, price, valid_for, clock))

    def restart(self) -> None:
        """The history as a checkpoint brings it back."""
        state = decode(encode(self.history.state()), HistoryState)
        self.history = History()
        self.history.restore(state)

    def check(self, cols: list[int], window: int) -> int:
        """Compare one window of these pairs to the bit; how many had a reference, and an extreme."""
        expected = [plain(self.seen[col], window) for col in cols]
        asked = np.array(cols)
        for ask, number in ((self.history.reference, 0), (self.history.high, 1), (self.history.low, 2)):
            got = [None if value != value else value for value in ask(asked, window).tolist()]
            assert got == [values[number] for values in expected], (ask.__name__, window)
        return sum(high is not None for _, high, _ in expected)


def plain(past: list[Seen], window: int) -> tuple[float | None, float | None, float | None]:
    """Reference, high and low of a window, by looking through all that was seen."""
    newest = past[-1]
    grid = next(grid for grid, longest in GRIDS if window <= longest)
    end = newest.time // grid * grid - window
    number = bisect_right(past, end, key=lambda seen: seen.time) - 1
    if number < 0 or end - past[number].time > newest.valid_for:
        return None, None, None
    reference, within = past[number], [seen.price for seen in past[number + 1 :]]
    if 10 * (newest.clock - reference.clock) < 9 * (newest.time - reference.time):
        return reference.price, None, None
    return reference.price, max(within), min(within)


def moving(random: Random) -> Callable[[float], float]:
    """How a price goes on: at random, always up, always down, hardly ever, or among few prices."""
    return random.choice(
        (
            lambda price: random.uniform(0.5, 2),
            lambda price: price * 1.0001,
            lambda price: price / 1.0001,
            lambda price: price if random.random() < 0.9 else random.uniform(0.9, 1.1),
            lambda price: random.choice((1.0, 1.1, 0.9)),
        )
    )


@examples(10)
@given(st.integers(0, 2**48), st.sampled_from((500, 5 * M, 2 * H, LONG)), st.sampled_from((BEGIN, YEAR_2038)))
def test_every_window_finds_what_a_look_through_all_finds(seed: int, valid_for: int, begin: int) -> None:
    random = Random(seed)
    told = Told(4)
    times, prices = [begin + random.randrange(D)] * 4, [1.0] * 4
    for _ in range(12):
        low, high = random.choice(PACES)
        go_on = moving(random)
        for _ in range(random.randrange(1, 60)):
            cols = sorted(random.sample(range(4), random.randint(1, 4)))
            for col in cols:
                times[col] += random.randint(low, high)
                prices[col] = go_on(prices[col])
                if random.random() < 0.2:
                    times[col] += -times[col] % random.choice((S, 5 * M, H, D))  # exactly on a grid
            told.tell(cols, [times[c] for c in cols], [prices[c] for c in cols], valid_for)
            told.check(cols, random.choice(WINDOWS))
        for window in WINDOWS:
            told.check([col for col in range(4) if told.seen[col]], window)
        if random.random() < 0.2:
            told.restart()


def test_sixty_days_of_irregular_ticks_answer_windows_of_every_grid() -> None:
    random = Random(60)
    told = Told(3)
    times, known = [BEGIN, BEGIN + 1, BEGIN + 2], dict.fromkeys(WINDOWS, 0)
    while min(times) < BEGIN + 60 * D:
        low, high = random.choice(PACES[:-1])
        for _ in range(random.randint(1, 30)):
            times = [time + random.randint(low, high) for time in times]
            told.tell([0, 1, 2], times, [random.uniform(0.5, 2) for _ in times], LONG)
            told.check([0, 1, 2], 5 * M)
            told.check([0, 1, 2], 24 * H)
        for window in WINDOWS:
            known[window] += told.check([0, 1, 2], window)
    assert all(count for window, count in known.items() if window < 60 * D), known


@pytest.mark.parametrize("slope", [1e-6, -1e-6, 0.0])
def test_many_ticks_a_second_for_hours_keep_their_windows_while_others_tick_seldom(slope: float) -> None:
    random = Random(1)
    told = Told(2)
    time = BEGIN
    for number in range(8_000):  # more than 2 h at a tick a second, in bursts
        time += random.choice((1, 400, 2_600))
        told.tell([0], [time], [1 + number * slope], LONG)
        if number % 40 == 0:
            told.tell([1], [time], [2 + number * slope], LONG)
            for window in (S, 5 * M, H, 2 * H, 3 * H):
                told.check([0, 1], window)
    fast, slow = told.history.tiers[0].rings.slots.tolist()
    assert fast > 4_000
    assert slow < 500


def test_rings_that_grow_at_different_times_keep_all_that_they_hold() -> None:
    random = Random(8)
    told = Told(12)
    times = [BEGIN] * 12
    for number in range(600):
        # Each pair becomes fast at another time, some with others.
        cols = [col for col in range(12) if number > 40 * (col // 2) or number % 30 == 0]
        for col in cols:
            times[col] += 1_000 if number > 40 * (col // 2) else 30_000
        told.tell(cols, [times[col] for col in cols], [random.uniform(0.5, 2) for _ in cols], LONG)
        for window in (M, 5 * M):
            told.check(cols, window)
        if number % 200 == 199:
            told.restart()
    rings = told.history.tiers[0].rings
    assert len(set(rings.slots.tolist())) > 1
    assert len(rings.state().cells.time) <= 1.25 * rings.slots.sum()


def test_rings_of_pairs_that_tick_together_grow_where_they_are() -> None:
    told = Told(9)
    cols = list(range(9))
    base = told.history.tiers[0].rings.base.tolist()
    for number in range(1, 700):
        told.tell(cols, [BEGIN + number * S] * 9, [number * 7 % 31 + col + 1.0 for col in cols], LONG)
        if number % 60 == 0:
            told.check(cols, 5 * M)
        if number == 100:
            told.restart()
    rings = told.history.tiers[0].rings
    assert (rings.base.tolist(), set(rings.slots.tolist())) == (base, {1_024})


def test_a_window_observed_for_less_than_nine_tenths_has_no_extremes_but_a_reference() -> None:
    for gap, known in ((6 * M, True), (6 * M + 1, False)):
        told = Told(1)
        rest = H - gap
        for time in (0, *range(gap, gap + rest, M), H):
            told.tell([0], [BEGIN + time], [1.0 + time], M if time == 0 else 10 * M)
        told.check([0], H)
        assert told.history.reference(np.array([0]), H).tolist() == [1.0]
        high = told.history.high(np.array([0]), H)[0]
        assert (high == 1.0 + H) if known else (high != high)


def test_what_is_forgotten_was_never_seen() -> None:
    random = Random(5)
    told, fresh, both = Told(2), Told(2), np.array([0, 1])
    time = BEGIN
    for number in range(700):
        time += random.choice((1_000, 30_000, M))
        price = random.uniform(0.5, 2)
        told.tell([0, 1], [time, time], [price, price], LONG)
        told.check([0, 1], 5 * M)
        if number == 400:
            told.history.forget(np.array([1]))
            told.seen[1] = []
            assert np.isnan(told.history.high(both, 5 * M)).tolist() == [False, True]
            assert np.isnan(told.history.reference(both, 5 * M)).tolist() == [False, True]
        if number > 400:
            fresh.tell([1], [time], [price], LONG)
            for window in (S, 5 * M, H, 3 * H):
                assert str(told.history.low(both[1:], window)) == str(fresh.history.low(both[1:], window))


@pytest.mark.parametrize(("grid", "longest"), TIERS)
def test_a_ring_keeps_what_its_longest_window_needs_and_then_grows_no_more(grid: int, longest: int) -> None:
    tier = Tier(grid, longest)
    tier.widen(1)
    col = np.zeros(1, np.int64)
    cells = longest // grid
    for number in range(3 * cells if cells < 2_000 else cells + 3_000):
        time = BEGIN + number * grid
        tier.add(col, col, np.array([time]), np.array([float(number)]), col)
        if number % 97 == 0 and number >= cells:
            found = tier.reference(col, col, np.array([time - longest]), longest)
            assert (found.time[0], found.price[0]) == (time - longest, number - cells)
    assert tier.rings.slots.tolist() == [cells + 2]


def test_sparse_ticks_over_years_need_no_more_than_the_first_slots() -> None:
    history = History()
    history.widen(1)
    col = np.zeros(1, np.int64)
    for number in range(200):
        history.add(col, np.array([BEGIN + number * 40 * D]), np.array([1.0]), M)
    assert [tier.rings.slots.tolist() for tier in history.tiers] == [[32], [32], [32], [32]]


def test_pairs_that_appear_later_do_not_disturb_the_ones_before() -> None:
    random = Random(3)
    told = Told(1)
    time = BEGIN
    for number in range(300):
        time += 1_000
        if number % 50 == 10:
            told.history.widen(len(told.seen) + 1)
            told.seen.append([])
        cols = list(range(len(told.seen)))
        told.tell(cols, [time] * len(cols), [random.random() for _ in cols], LONG)
        for window in (S, 30 * S, 2 * M):
            told.check(cols, window)


def test_regular_ticks_are_compared_over_exactly_the_window() -> None:
    for window, every in ((5 * M, M), (H, 5 * M), (24 * H, 5 * M), (7 * D, H), (60 * D, D)):
        told = Told(1)
        ticks = window // every + 10
        for number in range(ticks):
            told.tell([0], [BEGIN + number * every], [float(number + 1)], 3 * every)
        assert told.history.reference(np.array([0]), window)[0] == float(ticks - window // every)


def test_a_window_is_never_shorter_than_it_says_and_less_than_a_grid_longer() -> None:
    told = Told(1)
    for time in range(BEGIN, BEGIN + 20 * S, 70):
        told.tell([0], [time], [float(time)], LONG)
        for window in (S, 5 * S):
            reference = told.history.reference(np.array([0]), window)[0]
            if reference == reference:
                assert window <= time - reference < window + S + 70


def test_a_reference_counts_while_it_was_current_and_not_a_millisecond_longer() -> None:
    for away, known in ((5 * M, True), (5 * M + 1, False)):
        told = Told(1)
        told.tell([0], [BEGIN - M - away], [1.0], 5 * M)
        told.tell([0], [BEGIN], [2.0], 5 * M)
        price = told.history.reference(np.array([0]), M)[0]
        assert (price == 1.0) if known else (price != price)


def test_a_window_that_is_asked_for_late_or_seldom_gives_what_it_would_have_given_all_along() -> None:
    random = Random(4)
    told, asked = Told(1), History()
    asked.widen(1)
    time, col = BEGIN, np.array([0])
    for number in range(1_500):
        time += random.choice((300, 1_000, 1_000, 40_000))
        told.tell([0], [time], [1.0 + number], LONG)
        asked.add(col, np.array([time]), np.array([1.0 + number]), LONG)
        told.check([0], 5 * M)
        if number > 500 and random.random() < 0.02:
            late = asked.reference(col, 5 * M)[0]
            assert late == told.history.reference(col, 5 * M)[0]


def test_a_window_that_nobody_asked_for_while_its_ring_was_written_over_and_grew_is_found_again() -> None:
    told, time, cols = Told(3), BEGIN, [0, 1, 2]
    for number in range(70):
        time += (
            5 * M if number < 56 else M
        )  # faster when the ring is full for the second time: so it grows in place
        told.tell(cols, [time] * 3, [1.0 + number] * 3, 10 * M)
        if not 33 <= number < 64:
            told.check(cols, H)
    assert told.history.tiers[0].rings.base.tolist() == cols


def test_a_window_over_more_than_was_ever_seen_is_unknown() -> None:
    told = Told(1)
    told.tell([0], [BEGIN], [1.0], LONG)
    assert all(np.isnan(told.history.reference(np.array([0]), window)[0]) for window in WINDOWS)


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_on_their_grid_are_allowed(window: int) -> None:
    check_window(window)
    assert grid_of(window) == next(grid for grid, longest in GRIDS if window <= longest)


@pytest.mark.parametrize(
    ("window", "hint"),
    [
        (0, ""),
        (-S, ""),
        (400 * D + 1, ""),
        (1, "the nearest is 1s"),
        (M + 1, "the nearest is 1m"),
        (2 * H + 1, "the nearest is 2h"),
        (25 * H + 7 * M, "the nearest is 1d1h5m"),
        (48 * H + M, "the nearest is 2d"),
        (30 * D + H, "the nearest is 30d"),
    ],
)
def test_other_windows_are_refused_with_the_nearest_that_is_allowed(window: int, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_window(window)
    assert caught.value.hint == hint


@given(st.integers(1, 400 * D))
def test_the_nearest_window_that_is_named_is_allowed(window: int) -> None:
    try:
        check_window(window)
    except ConfigError as error:
        check_window(parse_duration(error.hint.removeprefix("the nearest is ")))
