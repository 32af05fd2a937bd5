"""The reference of `change(w)` against a look through all that was ever observed; and what memory it takes."""

from __future__ import annotations

from bisect import bisect_right
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.features.change import step as change
from cryptowatcher.domain.features.history import TIERS, History, Tier, check_window, grid_of
from cryptowatcher.domain.intervals import MS, parse_duration
from cryptowatcher.errors import ConfigError
from tests.domain import oracle
from tests.domain.journals import BEGIN, examples
from tests.domain.oracle import Seen

S, M, H, D = MS["s"], MS["m"], MS["h"], MS["d"]
LONG = 1_000 * D
WINDOWS = (
    *(S, 2 * S, 59 * S, M, 5 * M, 17 * M, H, 2 * H, 2 * H + 5 * M, 3 * H, 24 * H, 48 * H),
    *(49 * H, 3 * D, 7 * D, 30 * D, 31 * D, 45 * D, 400 * D),
)

# How far ticks lie apart: bursts within a second, a stream, a page a minute, and long silence.
PACES = ((1, 40), (1, 2 * S), (50 * S, 70 * S), (M, 20 * M), (H, 30 * H), (S, S), (5 * M, 5 * M), (30 * D, 40 * D))


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
            self.seen[col].append(Seen(time, price, valid_for))

    def check(self, cols: list[int], window: int) -> int:
        """Compare one window of these pairs to the bit; how many were known."""
        got = self.history.reference(np.array(cols), window).tolist()
        expected = [self._reference(col, window) for col in cols]
        assert [None if value != value else value for value in got] == expected
        values = change(self.history, np.array(cols), window).tolist()
        for value, reference, col in zip(values, expected, cols, strict=True):
            price = self.seen[col][-1].price
            assert value != value if reference is None else value == (price - reference) / reference
        return sum(reference is not None for reference in expected)

    def _reference(self, col: int, window: int) -> float | None:
        past = self.seen[col]
        newest, grid = past[-1], oracle.grid(window)
        end = newest.time // grid * grid - window
        number = bisect_right(past, end, key=lambda seen: seen.time) - 1
        if number < 0 or end - past[number].time > newest.valid_for:
            return None
        return past[number].price


@examples(8)
@given(st.integers(0, 2**48), st.sampled_from((500, 5 * M, 2 * H, LONG)))
def test_every_window_finds_the_observation_that_a_look_through_all_finds(seed: int, valid_for: int) -> None:
    random = Random(seed)
    told = Told(4)
    times = [BEGIN + random.randrange(D)] * 4
    for _ in range(12):
        low, high = random.choice(PACES)
        for _ in range(random.randrange(1, 60)):
            cols = sorted(random.sample(range(4), random.randint(1, 4)))
            for col in cols:
                times[col] += random.randint(low, high)
                if random.random() < 0.2:
                    times[col] += -times[col] % random.choice((S, 5 * M, H, D))  # exactly on a grid
            told.tell(cols, [times[c] for c in cols], [random.random() + 1e-9 for _ in cols], valid_for)
            told.check(cols, random.choice(WINDOWS))
        for window in WINDOWS:
            told.check([col for col in range(4) if told.seen[col]], window)


def test_sixty_days_of_irregular_ticks_answer_windows_of_every_grid() -> None:
    random = Random(60)
    told = Told(3)
    times, known = [BEGIN, BEGIN + 1, BEGIN + 2], dict.fromkeys(WINDOWS, 0)
    while min(times) < BEGIN + 60 * D:
        low, high = random.choice(PACES[:-1])
        for _ in range(random.randint(1, 30)):
            times = [time + random.randint(low, high) for time in times]
            told.tell([0, 1, 2], times, [random.uniform(0.5, 2) for _ in times], LONG)
        for window in WINDOWS:
            known[window] += told.check([0, 1, 2], window)
    assert all(count for window, count in known.items() if window < 60 * D), known


def test_many_ticks_a_second_for_hours_keep_their_references() -> None:
    random = Random(1)
    told = Told(2)
    time = BEGIN
    for number in range(8_000):  # more than 2 h at a tick a second, in bursts
        time += random.choice((1, 400, 2_600))
        told.tell([0], [time], [1 + number * 1e-6], LONG)
        if number % 40 == 0:
            told.tell([1], [time], [2 + number * 1e-6], LONG)
            for window in (S, 5 * M, H, 2 * H, 3 * H):
                told.check([0, 1], window)


@pytest.mark.parametrize(("grid", "longest"), TIERS)
def test_a_ring_keeps_what_its_longest_window_needs_and_then_grows_no_more(grid: int, longest: int) -> None:
    tier = Tier(grid, longest)
    tier.widen(1)
    col = np.zeros(1, np.int64)
    cells = longest // grid
    for number in range(3 * cells if cells < 2_000 else cells + 3_000):
        time = BEGIN + number * grid
        tier.add(col, np.array([time]), np.array([float(number)]))
        if number % 97 == 0 and number >= cells:
            found, price = tier.at_or_before(col, np.array([time - longest]), longest)
            assert (found[0], price[0]) == (time - longest, number - cells)
    assert cells < len(tier.times) < 2 * (cells + 3)


def test_sparse_ticks_over_years_need_no_more_than_the_first_slots() -> None:
    history = History()
    history.widen(1)
    col = np.zeros(1, np.int64)
    for number in range(200):
        history.add(col, np.array([BEGIN + number * 40 * D]), np.array([1.0]), M)
    assert [len(tier.times) for tier in history.tiers.values()] == [32, 32, 32, 32]


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
        value = change(told.history, np.array([0]), M)[0]
        assert (value == 1.0) if known else (value != value)


def test_a_history_for_some_windows_only_answers_them_just_the_same() -> None:
    random = Random(9)
    told, few = Told(2), History([5 * M, 3 * D])
    few.widen(2)
    time = BEGIN
    for _ in range(400):
        time += random.choice((M, M, 5 * M, 20 * H))
        told.tell([0, 1], [time, time], [random.random(), 1.0], LONG)
        few.add(np.array([0, 1]), np.array([time, time]), np.array([s[-1].price for s in told.seen]), LONG)
        for window in (5 * M, 3 * D, 30 * D):
            told.check([0, 1], window)
            both = [history.reference(np.array([0, 1]), window).tolist() for history in (told.history, few)]
            assert both[0] == both[1] or both[0][0] != both[0][0]
    assert len(few.tiers) < len(told.history.tiers)


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


def test_a_window_over_more_than_was_ever_seen_is_unknown() -> None:
    told = Told(1)
    told.tell([0], [BEGIN], [1.0], LONG)
    assert all(np.isnan(told.history.reference(np.array([0]), window)[0]) for window in WINDOWS)


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_on_their_grid_are_allowed(window: int) -> None:
    check_window(window)
    assert grid_of(window) == oracle.grid(window)


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
