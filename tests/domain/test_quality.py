"""What the guard accepts, holds and rejects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.quality import CONFIRMATIONS, Judge, Judgement
from cryptowatcher.domain.records import Body, Held, Record, Ticks, Verdict
from cryptowatcher.domain.ticks import TickBatch, one_instant

T0 = 1_700_000_000_000
MINUTE = 60_000


def page(number: int, prices: dict[str, float], *, age: int = 10_000, lag: int = 0) -> TickBatch:
    """The answer of minute `number`, observed `age` ms before it came in."""
    now = T0 + number * MINUTE
    return one_instant(prices, observed_at=now - age, received_at=now + lag, valid_for=300_000)


def accepted(judgement: Judgement) -> dict[str, float]:
    """pair → price of what counts as observed by this judgement, held ones that were confirmed included."""
    found: dict[str, float] = {}
    for body in judgement.bodies:
        if isinstance(body, Ticks) or (isinstance(body, Verdict) and body.accepted):
            found |= dict(zip(body.batch.names(), body.batch.price.tolist(), strict=True))
    return found


def feed(judge: Judge, *prices: float) -> list[dict[str, float]]:
    """One coin's prices, a minute apart."""
    return [accepted(judge.judge(page(n, {"a/usd": price}))) for n, price in enumerate(prices)]


def test_ordinary_prices_are_accepted_as_they_come() -> None:
    assert feed(Judge(), 100, 101, 99.5) == [{"a/usd": 100}, {"a/usd": 101}, {"a/usd": 99.5}]


@pytest.mark.parametrize("wrong", [4_000_000.0, 0.0025, 151.0, 66.0])
def test_a_jump_that_the_next_observation_denies_never_counts(wrong: float) -> None:
    assert feed(Judge(), 100, wrong, 101) == [{"a/usd": 100}, {}, {"a/usd": 101}]


@pytest.mark.parametrize("level", [4_000_000.0, 0.0025])
def test_a_jump_that_the_next_observation_confirms_counts_from_then(level: float) -> None:
    judge = Judge()
    assert feed(judge, 100, level) == [{"a/usd": 100}, {}]
    judgement = judge.judge(page(2, {"a/usd": level * 1.01}))
    assert [type(body) for body in judgement.bodies] == [Verdict, Ticks]
    verdict = judgement.bodies[0]
    assert isinstance(verdict, Verdict)
    assert verdict.accepted
    assert verdict.batch.price.tolist() == [level]


def test_the_same_answer_again_confirms_nothing() -> None:
    judge = Judge()
    feed(judge, 100)
    wrong = page(1, {"a/usd": 4_000_000.0})
    for _ in range(5):
        assert accepted(judge.judge(wrong)) == {}


def test_one_bad_low_price_never_becomes_the_anchor() -> None:
    judge = Judge()
    assert feed(judge, 100, 0.001, 100, 100.5)[2:] == [{"a/usd": 100}, {"a/usd": 100.5}]


def test_prices_that_never_agree_never_count_and_two_that_agree_heal_it() -> None:
    absurd = [100 * 1000.0**n for n in (1, -2, 2, -1, 3, -3, 1.5, -2.5)]
    judge = Judge()
    assert feed(judge, 100, *absurd)[1:] == [{}] * len(absurd)
    n = len(absurd) + 1
    assert accepted(judge.judge(page(n, {"a/usd": 7.0}))) == {}
    assert accepted(judge.judge(page(n + 1, {"a/usd": 7.1}))) == {"a/usd": 7.1}


def test_two_coins_alone_in_an_answer_are_a_market_too() -> None:
    judge = Judge()
    for n in (-1, 0):
        judge.judge(page(n, {"a/usd": 100.0, "b/usd": 5.0}))
    for n in range(1, CONFIRMATIONS["market_wide"]):
        assert accepted(judge.judge(page(n, {"a/usd": 4e6, "b/usd": 2e5}))) == {}


def test_a_whole_market_that_jumps_at_once_must_be_confirmed_many_times() -> None:
    judge = Judge()
    names = [f"c{n}/usd" for n in range(20)]
    for n in (-1, 0):
        judge.judge(page(n, dict.fromkeys(names, 100.0)))
    needed = CONFIRMATIONS["market_wide"]
    results = [accepted(judge.judge(page(n, dict.fromkeys(names, 5.0)))) for n in range(1, needed + 3)]
    assert results[:needed] == [{}] * needed
    assert set(results[needed]) == set(names)
    assert set(results[needed + 1]) == set(names)


def test_a_whole_market_that_comes_back_fires_nothing() -> None:
    judge = Judge()
    names = [f"c{n}/usd" for n in range(20)]
    judge.judge(page(0, dict.fromkeys(names, 100.0)))
    assert accepted(judge.judge(page(1, dict.fromkeys(names, 1e9)))) == {}
    assert accepted(judge.judge(page(2, dict.fromkeys(names, 101.0)))) == dict.fromkeys(names, 101.0)


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (page(3, {"a/usd": 100}, age=300_001), "stale"),
        (page(3, {"a/usd": 100}, age=-120_001), "future"),
        (page(3, {"a/usd": 100}, age=3 * MINUTE + 10_000), "unchanged"),
        (page(3, {"a/usd": 100}, age=4 * MINUTE), "unchanged"),
        (page(3, {"a/usd": float("nan")}), "not_positive"),
        (page(3, {"a/usd": float("inf")}), "not_positive"),
        (page(3, {"a/usd": -1.0}), "not_positive"),
        (page(3, {"a/usd": 0.0}), "not_positive"),
    ],
)
def test_what_is_no_observation_is_passed_over_with_its_reason(batch: TickBatch, reason: str) -> None:
    judge = Judge()
    judge.judge(page(0, {"a/usd": 100}))
    judgement = judge.judge(batch)
    assert judgement.bodies == []
    assert judgement.rejected == [("a/usd", reason)]


def test_an_observation_without_a_time_is_no_observation() -> None:
    batch = one_instant({"a/usd": 1.0}, observed_at=0, received_at=T0)
    assert Judge().judge(batch).rejected == [("a/usd", "no_time")]


def records_of(bodies: list[Body], start: int) -> list[Record]:
    return [Record(start + n, T0, "collect:test", start + n, body) for n, body in enumerate(bodies)]


@given(st.lists(st.sampled_from([90.0, 100.0, 110.0, 1e4, 1.05e4, 1e-3]), min_size=2, max_size=12), st.data())
def test_a_guard_restored_from_the_journal_goes_on_as_before(prices: list[float], data: st.DataObject) -> None:
    """With one confirmation needed nothing is forgotten."""
    cut = data.draw(st.integers(1, len(prices) - 1))
    whole = Judge()
    journal: list[Record] = []
    for n, price in enumerate(prices[:cut]):
        journal += records_of(whole.judge(page(n, {"a/usd": price})).bodies, len(journal))
    restored = Judge()
    for record in journal:
        restored.recall(record)
    assert restored.held == whole.held
    assert restored.last_seen("a/usd") == whole.last_seen("a/usd")
    for n, price in enumerate(prices[cut:], start=cut):
        mine, theirs = whole.judge(page(n, {"a/usd": price})), restored.judge(page(n, {"a/usd": price}))
        assert accepted(mine) == accepted(theirs)


@given(
    st.lists(
        st.lists(st.floats(1e-9, 1e9, allow_nan=False), min_size=1, max_size=8).map(tuple),
        min_size=1,
        max_size=10,
    )
)
def test_every_observation_is_accepted_held_or_rejected_and_time_only_grows(
    pages: list[tuple[float, ...]],
) -> None:
    judge = Judge()
    newest: dict[str, int] = {}
    for n, prices in enumerate(pages):
        batch = page(n, {f"c{i}/usd": price for i, price in enumerate(prices)})
        judgement = judge.judge(batch)
        assert judgement.accepted + judgement.held + len(judgement.rejected) == len(prices)
        for body in judgement.bodies:
            if isinstance(body, Held):
                continue
            assert isinstance(body, Ticks | Verdict)
            if isinstance(body, Verdict) and not body.accepted:
                continue
            for pair, time in zip(body.batch.names(), body.batch.observed_at.tolist(), strict=True):
                assert time > newest.get(pair, 0)
                newest[pair] = time
            assert np.all(np.diff(body.batch.starts) > 0)


def test_a_first_price_that_nothing_agrees_with_is_forgotten_and_the_pair_begins_anew() -> None:
    judge = Judge()
    assert feed(judge, 4e6) == [{"a/usd": 4e6}]
    assert accepted(judge.judge(page(1, {"a/usd": 100.0}))) == {}
    verdict, ticks = judge.judge(page(2, {"a/usd": 101.0})).bodies
    assert isinstance(verdict, Verdict)
    assert verdict.accepted
    assert verdict.anew
    assert isinstance(ticks, Ticks)
    # From here it is settled, and a jump is a jump.
    assert accepted(judge.judge(page(3, {"a/usd": 4e6}))) == {}
    again = judge.judge(page(4, {"a/usd": 4e6})).bodies[0]
    assert isinstance(again, Verdict)
    assert again.accepted
    assert not again.anew


def test_a_whole_first_answer_that_nothing_agrees_with_is_not_held_against_the_market() -> None:
    judge = Judge()
    names = [f"c{n}/usd" for n in range(20)]
    judge.judge(page(0, dict.fromkeys(names, 1e9)))
    assert accepted(judge.judge(page(1, dict.fromkeys(names, 100.0)))) == {}
    assert set(accepted(judge.judge(page(2, dict.fromkeys(names, 100.5))))) == set(names)
