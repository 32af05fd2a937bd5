"""A call that no round needs is made only where the rounds lose nothing by it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.budget import (
    MINUTE,
    Budget,
    after_answer,
    after_call_started,
    after_failure,
    after_free_side_call,
    after_side_call,
    next_call_at,
    spare,
)
from cryptowatcher.ports import Pace
from tests.domain.journals import examples
from tests.domain.test_budget import NOON, called

KEYLESS = Pace(every=60.0, valid_for=300_000, per_minute=5)


def rounds(budget: Budget, pace: Pace, now: int, pages: int, count: int) -> list[int]:
    """When the calls of the next rounds begin."""
    times = []
    for _ in range(count):
        for page in range(pages):
            now = next_call_at(budget, pace, now, first=page == 0)
            budget = called(budget, now, first=page == 0)
            times.append(now)
    return times


@examples(200)
@given(
    every=st.sampled_from([17.0, 30.0, 60.0, 90.0]),
    per_minute=st.integers(2, 6),
    pages=st.integers(1, 3),
    per_month=st.sampled_from([None, None, 9_000]),
    steps=st.lists(st.integers(200, 40_000), min_size=1, max_size=40),
)
def test_the_rounds_begin_as_if_there_were_no_side_calls(
    every: float, per_minute: int, pages: int, per_month: int | None, steps: list[int]
) -> None:
    pace = Pace(every=every, valid_for=300_000, per_minute=per_minute, per_month=per_month)
    alone = beside = Budget()
    now, page = NOON, 0
    for step in steps:
        due = next_call_at(alone, pace, now, first=page == 0)
        assert next_call_at(beside, pace, now, first=page == 0) == due
        if due <= now + step:
            now = due
            alone, beside = called(alone, now, first=page == 0), called(beside, now, first=page == 0)
            page = (page + 1) % pages
            continue
        now += step
        if page == 0 and spare(beside, pace, now, pages=pages):
            beside = after_side_call(beside, now)
            ahead = rounds(alone, pace, now, pages, 2)
            assert rounds(beside, pace, now, pages, 2) == ahead


def test_between_rounds_without_a_key_there_are_four_calls_to_spare() -> None:
    budget, made = called(Budget(), NOON), 0
    for second in range(1, 60):
        if spare(budget, KEYLESS, NOON + second * 1000, pages=1):
            budget, made = after_side_call(budget, NOON + second * 1000), made + 1
    assert made == 4
    assert next_call_at(budget, KEYLESS, NOON + 59_000) == NOON + MINUTE


def test_rounds_that_need_every_call_of_a_minute_leave_none() -> None:
    twice = Pace(every=30.0, valid_for=300_000, per_minute=2)
    budget = called(Budget(), NOON)
    assert not any(spare(budget, twice, NOON + second * 1000, pages=1) for second in range(30))
    assert spare(budget, Pace(every=30.0, valid_for=300_000, per_minute=3), NOON + 1000, pages=1)


def test_there_is_none_before_a_round_or_after_a_failure() -> None:
    assert not spare(Budget(), KEYLESS, NOON, pages=1)
    started = after_call_started(Budget(), NOON)
    assert not spare(started, KEYLESS, NOON + 1000, pages=1)
    assert spare(after_answer(started, NOON + 1000, ok=True), KEYLESS, NOON + 2000, pages=1)
    failed = after_failure(started, "timeout", NOON + 1000)
    assert not spare(failed, KEYLESS, NOON + 30_000, pages=1)


def test_one_that_cost_nothing_is_given_back_and_no_round_waits_for_its_credit() -> None:
    demo = Pace(every=600.0, valid_for=300_000, per_minute=30, per_month=10_000)
    budget = called(Budget(), NOON)
    side = after_side_call(budget, NOON + 5_000)
    assert (side.used, after_free_side_call(side, NOON + 6_000).used) == (2, 1)
    assert next_call_at(side, demo, NOON + 6_000) == next_call_at(budget, demo, NOON + 6_000)
