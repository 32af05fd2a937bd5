from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.budget import (
    MINUTE,
    Budget,
    after_answer,
    after_call_started,
    after_failure,
    at,
    next_call_at,
    shifted,
)
from cryptowatcher.ports import Pace

HOUR = 60 * MINUTE
DAY = 24 * HOUR


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOON = ms("2026-06-15T12:00:00")
KEYLESS = Pace(every=60.0, valid_for=300_000, per_minute=5)
DEMO = Pace(every=60.0, valid_for=300_000, per_minute=30, per_month=10_000)


def called(budget: Budget, now: int, *, first: bool = True) -> Budget:
    """A call that was answered well at once."""
    return after_answer(after_call_started(budget, now, first=first), now, ok=True)


def failed(budget: Budget, now: int, reason: str, **how: Any) -> Budget:
    return after_failure(after_call_started(budget, now), reason, now, **how)


def wait(budget: Budget, now: int, pace: Pace = KEYLESS) -> float:
    return (next_call_at(budget, pace, now) - now) / 1000


def test_a_new_budget_allows_a_call_at_once() -> None:
    assert next_call_at(Budget(), KEYLESS, NOON) == NOON


def test_rounds_begin_at_most_every_so_often_but_the_pages_of_a_round_follow_at_once() -> None:
    budget = called(Budget(), NOON)
    assert next_call_at(budget, KEYLESS, NOON + 1) == NOON + 60_000
    assert next_call_at(budget, KEYLESS, NOON + 1, first=False) == NOON + 1
    budget = called(budget, NOON + 1, first=False)
    assert next_call_at(budget, KEYLESS, NOON + 2) == NOON + 60_000


def test_the_sixth_call_waits_until_the_first_is_a_minute_old() -> None:
    budget = Budget()
    for i in range(5):
        budget = called(budget, NOON + i * 1000, first=False)
    assert next_call_at(budget, KEYLESS, NOON + 5000, first=False) == NOON + MINUTE


def test_a_failed_call_counts_for_the_minute_and_not_for_the_month() -> None:
    budget = failed(Budget(), NOON, "server_error")
    assert (len(budget.minute), budget.used, budget.pending) == (1, 0, 0)


@pytest.mark.parametrize("reason", ["timeout", "cut", "too_large", "not_json", "wrong_shape", "unheard_of"])
def test_a_failure_that_may_have_been_a_200_is_charged(reason: str) -> None:
    assert failed(Budget(), NOON, reason).used == 1


def test_a_call_that_a_crash_left_unanswered_is_charged() -> None:
    crashed = after_call_started(Budget(), NOON)
    restarted = msgspec.msgpack.decode(msgspec.msgpack.encode(crashed), type=Budget)
    assert next_call_at(restarted, DEMO, NOON + 1) > NOON + 130_000
    assert after_call_started(restarted, NOON + DAY).used == 1


def test_a_months_credits_are_spread_over_the_month() -> None:
    now, calls, end = ms("2026-01-01T00:00:00"), 0, ms("2026-02-01T00:00:00")
    budget, waits = Budget(), set()
    while now < end:
        budget = called(budget, now)
        calls += 1
        later = next_call_at(budget, DEMO, now)
        waits.add((later - now) // 1000)
        now = later
    assert 9_990 <= calls <= 10_000
    assert waits <= {267, 268}


def test_credits_left_late_in_the_month_are_spent_no_faster_than_every() -> None:
    now = ms("2026-06-30T23:00:00")
    assert wait(called(Budget(), now), now, DEMO) == 60.0


def test_a_month_that_is_used_up_waits_for_the_next_one() -> None:
    budget = called(Budget(month=2026 * 12 + 5, used=9_999, seen=NOON), NOON)
    assert next_call_at(budget, DEMO, NOON + DAY) == ms("2026-07-01T00:00:00")
    assert next_call_at(budget, DEMO, ms("2026-07-01T00:00:01")) == ms("2026-07-01T00:00:01")
    assert at(budget, ms("2026-07-01T00:00:01")).used == 0


def test_december_is_followed_by_january() -> None:
    december = ms("2026-12-31T12:00:00")
    budget = called(Budget(month=2026 * 12 + 11, used=9_999, seen=december), december)
    assert next_call_at(budget, DEMO, december) == ms("2027-01-01T00:00:00")


@pytest.mark.parametrize(
    ("reason", "how", "waits"),
    [
        ("rate_limited", {}, [60, 120, 240, 480, 900, 900]),
        ("rate_limited", {"retry_after": 119.0}, [119, 119, 119, 119, 119, 160]),
        ("rate_limited", {"retry_after": 0.0}, [5, 10, 20, 40, 80, 160]),
        ("banned", {}, [600, 1200, 2400, 3600, 3600]),
        ("banned", {"retry_after": 30.0}, [600, 1200]),
        ("forbidden", {"retry_after": 3600.0}, [3600]),
        ("user_agent", {}, [600]),
        ("bad_key", {"refused": True}, [600, 1200]),
        ("server_error", {}, [5, 10, 20, 40, 80, 160, 300, 300]),
        ("server_error", {"retry_after": 100.0}, [100]),
        ("timeout", {}, [5, 10]),
        ("timeout", {"jitter": 1.0}, [6, 12]),
        ("rate_limited", {"retry_after": 100.0, "jitter": 0.5}, [110]),
    ],
)
def test_the_gate_shuts_longer_with_each_failure(reason: str, how: dict[str, float], waits: list[int]) -> None:
    budget, now = Budget(), NOON
    for expected in waits:
        budget = failed(budget, now, reason, **how)
        assert wait(budget, now) == expected
        now += HOUR + HOUR


def test_a_good_answer_opens_the_gate_and_a_useless_one_does_not() -> None:
    shut = failed(failed(Budget(), NOON, "rate_limited"), NOON + HOUR, "rate_limited")
    useless = after_answer(after_call_started(shut, NOON + DAY), NOON + DAY, ok=False)
    assert failed(useless, NOON + DAY, "rate_limited").failures == 3
    healed = called(shut, NOON + DAY)
    assert (healed.closed_by, healed.failures) == ("", 0)
    assert wait(failed(healed, NOON + 2 * DAY, "rate_limited"), NOON + 2 * DAY) == 60.0


def test_a_rate_limit_after_a_long_outage_waits_as_a_first_one() -> None:
    budget = Budget()
    for i in range(10):
        budget = failed(budget, NOON + i * HOUR, "server_error")
    assert wait(failed(budget, NOON + DAY, "rate_limited"), NOON + DAY) == 60.0


def test_a_failed_round_may_begin_again_when_the_gate_opens() -> None:
    assert wait(failed(Budget(), NOON, "timeout"), NOON) == 5.0


def test_a_clock_that_steps_back_leaves_every_wait_as_long_as_it_was() -> None:
    for budget in (called(Budget(), NOON), failed(Budget(), NOON, "banned")):
        for back in (1, HOUR, 400 * DAY):
            assert wait(budget, NOON - back) == wait(budget, NOON)


def test_a_clock_that_steps_back_into_the_month_before_brings_no_credits_back() -> None:
    first = ms("2026-07-01T00:00:10")
    spent = called(Budget(month=2026 * 12 + 6, used=9_999, seen=first), first)
    before = ms("2026-06-30T23:59:00")
    assert next_call_at(spent, DEMO, before) == ms("2026-07-01T00:00:00")
    assert at(spent, before).used == 10_000


def test_a_clock_that_was_in_the_far_future_does_not_lock_the_source() -> None:
    budget = called(called(Budget(), NOON), ms("2099-01-01T00:00:00"))
    assert wait(budget, NOON) == 60.0
    assert wait(budget, NOON, DEMO) < 400.0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "useless", "rate_limited", "banned", "timeout", "crash"]),
        st.integers(-40 * DAY, 40 * DAY) | st.just(0),
        st.none() | st.floats(0, 3600),
    ),
    max_size=12,
)
PACES = st.builds(
    Pace,
    every=st.sampled_from([0.0, 1.0, 60.0]),
    valid_for=st.just(1),
    per_minute=st.integers(1, 6),
    per_month=st.none() | st.integers(1, 100),
)


@given(EVENTS, PACES)
def test_whatever_happens_and_however_the_clock_jumps_the_wait_is_bounded_and_the_minute_is_kept(
    events: list[tuple[str, int, float | None]], pace: Pace
) -> None:
    budget, now = Budget(), NOON
    steady, began = 0, list[int]()
    for what, jump, asked in events:
        now += jump
        budget = shifted(budget, jump) if jump else budget  # as the Pacer does, who also has a steady clock
        due = now
        for _ in range(3):  # a wait may end in a month that was seen before the clock stepped back
            due = next_call_at(budget, pace, due)
        assert now <= due <= now + 72 * DAY  # 40 days back, then to the end of the month after the one spent
        assert next_call_at(budget, pace, due) == due
        steady, now = steady + due - now, due
        budget = after_call_started(budget, now)
        began.append(steady)
        assert sum(time > steady - MINUTE for time in began) <= pace.per_minute
        if what == "crash":
            continue
        if what in ("ok", "useless"):
            budget = after_answer(budget, now, ok=what == "ok")
        else:
            budget = after_failure(budget, what, now, retry_after=asked, jitter=0.5)


@given(EVENTS, PACES)
def test_no_month_is_charged_more_than_it_has(events: list[tuple[str, int, float | None]], pace: Pace) -> None:
    budget, now = Budget(), NOON
    for what, jump, asked in events:
        now = next_call_at(budget, pace, now + abs(jump))
        budget = after_call_started(budget, now)
        if what in ("ok", "useless"):
            budget = after_answer(budget, now, ok=what == "ok")
        elif what != "crash":
            budget = after_failure(budget, what, now, retry_after=asked)
        assert pace.per_month is None or budget.used + budget.pending <= pace.per_month
