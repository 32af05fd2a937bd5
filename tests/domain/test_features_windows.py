"""The features of windows and of the newest observation: the contract, and what they say of small markets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryptowatcher.domain.features import catalogue, change, extremes, latest, market
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.testing.contracts.features import FeatureContract

S, M, H = MS["s"], MS["m"], MS["h"]
BEGIN = 1_722_816_000_000  # a midnight


class TestLatest(FeatureContract):
    functions = latest.FUNCTIONS


class TestChange(FeatureContract):
    functions = change.FUNCTIONS


class TestExtremes(FeatureContract):
    functions = extremes.FUNCTIONS


class TestMarket(FeatureContract):
    functions = market.FUNCTIONS


# --- small markets ---------------------------------------------------------------------------------


def told(prices: Sequence[float], *, every: int = M, valid_for: int = 5 * M) -> Memory:
    """One pair, observed at regular times."""
    memory = Memory()
    for number, price in enumerate(prices):
        tell(memory, {"a/usd": price}, BEGIN + number * every, valid_for=valid_for)
    return memory


def tell(
    memory: Memory, prices: dict[str, float], time: int, caps: Sequence[float] = (), *, valid_for: int = 5 * M
) -> None:
    """One instant, written down when it was observed."""
    batch = one_instant(prices, observed_at=time, market_cap=caps or None, valid_for=valid_for)
    cols = memory.universe.columns(batch.pairs)[batch.pair]
    memory.widen()
    memory.add(cols, batch, at=time)


def value(memory: Memory, name: str, *args: object, pair: str = "a/usd") -> float:
    return float(catalogue()[name].step(memory, np.array([memory.universe.column(pair)]), args)[0])


def test_the_features_of_a_window_of_five_minutes() -> None:
    memory = told([8, 10, 16, 5, 4, 6])
    # The first price is the reference: it stands at the window's end, and is not in it.
    assert value(memory, "change", 5 * M) == (6 - 8) / 8
    assert value(memory, "high", 5 * M) == 16
    assert value(memory, "low", 5 * M) == 4
    assert value(memory, "range", 5 * M) == 3
    assert value(memory, "drawdown", 5 * M) == 10 / 16
    assert value(memory, "rally", 5 * M) == 0.5
    assert value(memory, "change_since", 5.0) == 0.2


def test_an_extreme_leaves_with_its_cell_and_the_next_takes_its_place() -> None:
    highs = [value(told(prices), "high", 2 * M) for prices in ([9, 8, 7], [9, 8, 7, 6], [9, 8, 7, 6, 6.5])]
    assert highs == [8, 7, 6.5]


def stay_awake(memory: Memory, until: int) -> None:
    """Beats go on, and nothing else is seen."""
    for at in range(memory.now, until, M):
        memory.pass_to(at)
    memory.pass_to(until)


def test_rank_is_the_place_among_current_pairs_of_the_same_currency() -> None:
    memory = Memory()
    tell(memory, {"a/usd": 1, "b/usd": 1, "c/usd": 1, "d/eur": 1, CANARY: 1}, BEGIN, [30, 50, 10, 90, 99])
    assert [value(memory, "rank", pair=pair) for pair in ("a/usd", "b/usd", "c/usd", "d/eur")] == [2, 1, 3, 1]
    assert np.isnan(value(memory, "rank", pair=CANARY))


def test_rank_is_unknown_while_a_larger_pair_is_not_current_and_forgets_it_after_a_day() -> None:
    memory = Memory()
    tell(memory, {"a/usd": 1, "b/usd": 1, "c/usd": 1}, BEGIN, [30, 50, 10], valid_for=5 * M)
    for later, expected in ((5 * M, 2), (6 * M, np.nan), (24 * H, np.nan), (24 * H + 1, 1)):
        stay_awake(memory, BEGIN + later)
        tell(memory, {"a/usd": 1}, BEGIN + later, [30])
        np.testing.assert_equal(value(memory, "rank"), expected)
    stay_awake(memory, BEGIN + 25 * H)
    tell(memory, {"b/usd": 1}, BEGIN + 25 * H, [20])
    assert np.isnan(value(memory, "rank", pair="b/usd"))  # the larger one was not seen for an hour


def test_nobody_is_absent_because_the_watcher_slept_or_the_clock_jumped() -> None:
    memory = Memory()
    tell(memory, {"a/usd": 1, "b/usd": 1}, BEGIN, [30, 50], valid_for=5 * M)
    tell(memory, {"a/usd": 1}, BEGIN + 48 * H, [30])
    assert value(memory, "rank") == 2


def test_rank_is_unknown_where_the_newest_observation_does_not_say_a_capitalisation() -> None:
    memory = Memory()
    tell(memory, {"a/usd": 1, "b/usd": 1}, BEGIN, [30, 50])
    tell(memory, {"b/usd": 1}, BEGIN + S)
    tell(memory, {"a/usd": 1}, BEGIN + 2 * S, [40])
    assert np.isnan(value(memory, "rank", pair="b/usd"))
    assert value(memory, "rank") == 2  # what was said of the other is current still


def test_a_ratio_is_known_while_the_other_price_is_current() -> None:
    memory = Memory()
    tell(memory, {"b/usd": 4}, BEGIN, valid_for=5 * M)
    for later, expected in ((5 * M, 0.5), (5 * M + 1, np.nan)):
        tell(memory, {"a/usd": 2}, BEGIN + later)
        np.testing.assert_equal(value(memory, "ratio", "b/usd"), expected)
    tell(memory, {"b/usd": 8, "a/usd": 2}, BEGIN + H)
    assert value(memory, "ratio", "b/usd") == 0.25
    assert np.isnan(value(memory, "ratio", "nobody/usd"))
    assert "nobody/usd" not in memory.universe


def test_age_is_the_journal_time_since_the_newest_observation() -> None:
    memory = told([1, 2])
    assert value(memory, "age") == 0
    memory.now += 90 * S
    assert value(memory, "age") == 90 * S


def test_what_is_not_finite_is_not_known() -> None:
    memory = told([5e-324, 1e300])
    assert np.isnan(value(memory, "change", M))
    assert np.isnan(value(memory, "change_since", 1e-300))
    assert np.isnan(catalogue()["rally"].step(told([1, 5e-324, 1e300]), np.zeros(1, np.int64), (2 * M,))[0])
