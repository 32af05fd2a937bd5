"""The outbox as a state machine: what may follow what, and when."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.deliveries import (
    FINAL,
    LONGEST_HELD,
    Delivery,
    DeliveryState,
    RetryPolicy,
    after_failure,
    after_refusal,
    after_success,
    cancel,
    delivery_id,
    give_up,
    hold,
    is_too_old,
    put_back,
    silence,
    wait_after,
)

CREATED = 1_700_000_000_000
HOUR = 3_600_000
POLICY = RetryPolicy()


def a_delivery(*, attempts: int = 0, state: DeliveryState = "leased", created_at: int = CREATED) -> Delivery:
    return Delivery(
        id="a~ops",
        alert="a",
        owner="local",
        rule="r1",
        channel="ops",
        state=state,
        created_at=created_at,
        due_at=created_at,
        attempts=attempts,
        leased_until=created_at + 60_000,
        holder="me",
    )


def fail(
    delivery: Delivery,
    *,
    now: int = CREATED,
    retry_after: float | None = None,
    jitter: float = 0.0,
    policy: RetryPolicy = POLICY,
) -> Delivery:
    return after_failure(
        delivery, "timeout: no answer", now=now, retry_after=retry_after, jitter=jitter, policy=policy
    )


jitters = st.floats(0, 1, exclude_max=True)
retry_afters = st.none() | st.floats(0, 1e9)
policies = st.builds(
    RetryPolicy,
    first=st.integers(1, 600_000),
    factor=st.floats(1, 100),
    cap=st.integers(1, HOUR),
    longest_retry_after=st.integers(0, 2 * HOUR),
    give_up_after=st.integers(1, 48 * HOUR),
)
outcomes: st.SearchStrategy[Callable[[Delivery, int], Delivery]] = st.sampled_from(
    [
        lambda d, now: after_success(d, now=now, receipt="HTTP 200"),
        lambda d, now: after_refusal(d, "gone", now=now),
        lambda d, now: fail(d, now=now),
        lambda d, now: give_up(d, "channel removed", now=now),
        lambda d, now: put_back(d),
    ]
)


def test_a_success_is_the_receipt() -> None:
    sent = after_success(a_delivery(attempts=2), now=CREATED + 5, receipt="HTTP 200")
    assert (sent.state, sent.receipt, sent.attempts, sent.finished_at) == ("sent", "HTTP 200", 3, CREATED + 5)


def test_a_refusal_is_final_at_the_first_attempt() -> None:
    refused = after_refusal(a_delivery(), "gone: HTTP 410", now=CREATED + 5)
    assert (refused.state, refused.attempts, refused.last_error) == ("given_up", 1, "gone: HTTP 410")
    assert refused.finished_at == CREATED + 5


def test_a_failure_is_tried_again_after_the_first_wait() -> None:
    failed = fail(a_delivery(), now=CREATED + 100)
    assert (failed.state, failed.attempts, failed.due_at) == ("retrying", 1, CREATED + 100 + 5_000)
    assert failed.last_error == "timeout: no answer"
    assert failed.finished_at == 0


def test_an_outcome_keeps_the_holder_by_which_the_store_accepts_it() -> None:
    assert fail(a_delivery()).holder == "me"
    assert after_success(a_delivery(), now=CREATED, receipt="").holder == "me"
    assert put_back(a_delivery()).holder == "me"


@pytest.mark.parametrize(
    ("attempts", "shortest", "longest"),
    [(1, 5_000, 10_000), (2, 5_000, 20_000), (3, 5_000, 40_000), (8, 5_000, 900_000), (1_000_000, 5_000, 900_000)],
)
def test_the_spread_of_waits_doubles_up_to_the_cap(attempts: int, shortest: int, longest: int) -> None:
    assert wait_after(attempts, retry_after=None, jitter=0.0, policy=POLICY) == shortest
    assert wait_after(attempts, retry_after=None, jitter=1 - 1e-12, policy=POLICY) == longest


def test_retry_after_makes_a_wait_longer_and_never_shorter() -> None:
    assert fail(a_delivery(), retry_after=120).due_at == CREATED + 120_000
    assert fail(a_delivery(), retry_after=0.5).due_at == CREATED + 5_000


def test_nobody_waits_ten_years_because_the_other_side_says_so() -> None:
    assert fail(a_delivery(), retry_after=10 * 365 * 86_400).due_at == CREATED + POLICY.longest_retry_after


def test_it_is_given_up_when_no_attempt_fits_into_its_age_any_more() -> None:
    end = CREATED + POLICY.give_up_after
    assert fail(a_delivery(attempts=9), now=end - 5_001).state == "retrying"
    assert fail(a_delivery(attempts=9), now=end - 5_000).state == "given_up"
    assert fail(a_delivery(attempts=9), now=end + 1).finished_at == end + 1


def test_what_was_never_tried_is_never_too_old() -> None:
    end = CREATED + POLICY.give_up_after
    assert not is_too_old(a_delivery(attempts=0), now=end * 2, policy=POLICY)
    assert not is_too_old(a_delivery(attempts=1), now=end - 1, policy=POLICY)
    assert is_too_old(a_delivery(attempts=1), now=end, policy=POLICY)


def test_putting_back_leaves_no_trace() -> None:
    assert put_back(a_delivery()).state == "queued"
    tried = fail(a_delivery())
    again = msgspec.structs.replace(tried, state="leased", leased_until=CREATED + 99)
    assert put_back(again) == tried


def test_what_the_other_side_says_is_kept_in_bounds() -> None:
    page = "x" * 1_000_000
    assert len(after_success(a_delivery(), now=CREATED, receipt=page).receipt) == 500
    assert len(after_refusal(a_delivery(), page, now=CREATED).last_error) == 500


def test_the_same_alert_to_the_same_channel_is_the_same_delivery() -> None:
    assert delivery_id("018bcfe5800-ab", "ops") == "018bcfe5800-ab~ops"


@given(jitter=jitters, retry_after=retry_afters, attempts=st.integers(0, 10**6), policy=policies)
def test_the_next_attempt_is_later_and_never_sooner_than_promised(
    jitter: float, retry_after: float | None, attempts: int, policy: RetryPolicy
) -> None:
    failed = fail(a_delivery(attempts=attempts), retry_after=retry_after, jitter=jitter, policy=policy)
    if failed.state == "given_up":
        return
    wait = failed.due_at - CREATED
    assert wait >= policy.first > 0
    assert wait >= min((retry_after or 0) * 1000, policy.longest_retry_after) - 1
    assert wait <= max(policy.first, policy.cap, policy.longest_retry_after)
    assert wait < policy.give_up_after


@given(now=st.integers(CREATED - HOUR, CREATED + 72 * HOUR), jitter=jitters, attempts=st.integers(0, 40))
def test_it_is_given_up_by_age_and_by_nothing_else(now: int, jitter: float, attempts: int) -> None:
    failed = fail(a_delivery(attempts=attempts), now=now, jitter=jitter)
    end = CREATED + POLICY.give_up_after
    if now >= end:
        assert failed.state == "given_up"
    if now + POLICY.cap < end:
        assert failed.state == "retrying"


@given(steps=st.lists(st.tuples(outcomes, st.integers(0, 48 * HOUR)), max_size=8))
def test_attempts_only_grow_and_final_states_stay(
    steps: list[tuple[Callable[[Delivery, int], Delivery], int]],
) -> None:
    delivery = a_delivery()
    for outcome, later in steps:
        after = outcome(delivery, CREATED + later)
        assert after.attempts >= delivery.attempts
        assert (after.id, after.alert, after.created_at) == (delivery.id, delivery.alert, delivery.created_at)
        assert (after.finished_at > 0) == (after.state in FINAL)
        assert after.leased_until == 0
        if delivery.state in FINAL:
            assert after == delivery
        delivery = after


@given(outcome=outcomes, state=st.sampled_from(sorted(FINAL)))
def test_nothing_happens_to_what_is_finished(
    outcome: Callable[[Delivery, int], Delivery], state: DeliveryState
) -> None:
    finished = a_delivery(state=state)
    assert outcome(finished, CREATED + 1) == finished


def test_what_is_held_waits_as_it_was_and_says_until_when_and_why() -> None:
    held = hold(a_delivery(), until=CREATED + HOUR, why="active hours 08:00-22:00", now=CREATED)
    assert (held.state, held.due_at, held.is_held, held.held) == (
        "queued",
        CREATED + HOUR,
        True,
        "active hours 08:00-22:00",
    )
    assert hold(a_delivery(attempts=2), until=CREATED + HOUR, why="", now=CREATED).state == "retrying"
    assert not put_back(a_delivery()).is_held


def test_the_age_of_what_was_held_counts_from_the_end_of_that() -> None:
    night = 100 * HOUR
    claimed = msgspec.structs.replace(
        hold(a_delivery(), until=CREATED + night, why="", now=CREATED), state="leased"
    )
    failed = fail(claimed, now=CREATED + night)
    assert (failed.state, failed.is_held, failed.held_until) == ("retrying", False, CREATED + night)
    assert not is_too_old(failed, now=CREATED + night + POLICY.give_up_after - 1, policy=POLICY)
    assert is_too_old(failed, now=CREATED + night + POLICY.give_up_after, policy=POLICY)


def test_what_was_tried_in_vain_is_not_held_for_ever() -> None:
    untried = hold(a_delivery(), until=CREATED + 10 * LONGEST_HELD, why="", now=CREATED)
    assert untried.is_held
    tried = a_delivery(attempts=3)
    assert hold(tried, until=CREATED + LONGEST_HELD - 1, why="", now=CREATED).is_held
    over = hold(tried, until=CREATED + LONGEST_HELD, why="active hours x", now=CREATED + 5)
    assert (over.state, over.finished_at) == ("given_up", CREATED + 5)
    assert "active hours x" in over.last_error


@pytest.mark.parametrize(("change", "state"), [(silence, "snoozed"), (cancel, "cancelled")])
def test_what_nobody_wants_to_hear_ends_without_a_call_and_says_why(
    change: Callable[..., Delivery], state: DeliveryState
) -> None:
    ended = change(a_delivery(attempts=1), "because", now=CREATED + 1)
    assert (ended.state, ended.attempts, ended.receipt, ended.finished_at) == (state, 1, "because", CREATED + 1)
    assert state in FINAL
    assert hold(ended, until=CREATED + HOUR, why="", now=CREATED) == ended
    assert change(a_delivery(state="sent"), "because", now=CREATED) == a_delivery(state="sent")
