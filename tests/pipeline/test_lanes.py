"""One channel at work: what may be claimed for it and sent, as it answers or does not."""

from __future__ import annotations

import msgspec
import pytest

from cryptowatcher.domain.deliveries import ChannelPolicy, RetryPolicy
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.rates import Rate
from cryptowatcher.pipeline.lanes import HAND, LONGEST_PAUSE, LOOK_AHEAD, TRIP, Claimed, Lane
from cryptowatcher.testing.contracts.channel import sample_alert, sample_delivery

POLICY = ChannelPolicy(deadline=10.0, at_once=3)


class Nobody:
    name = "ops"

    async def send(self, message: Message) -> str:
        raise AssertionError("a lane sends nothing itself")


def a_lane(*, waiting: int = 0, sure_until: float = 100.0) -> Lane:
    lane = Lane(Nobody(), POLICY)
    for number in range(waiting):
        alert = msgspec.structs.replace(sample_alert(number), rule=f"r{number}")
        lane.waiting.append(Claimed(((sample_delivery(alert), alert),), sure_until))
    return lane


def tripped(lane: Lane, *, now: float = 0.0) -> Lane:
    for _ in range(TRIP):
        lane.failed(now, retry_after=None, jitter=0.0)
    return lane


def taken(lane: Lane, now: float = 0.0) -> list[Claimed]:
    """What may be in flight at once."""
    found = []
    while claimed := lane.next(now):
        found.append(claimed)
    return found


def test_no_more_is_sent_at_once_than_the_policy_allows() -> None:
    lane = a_lane(waiting=10)
    first = taken(lane)
    assert [claimed.alert.rule for claimed in first] == ["r0", "r1", "r2"]
    lane.ended(first[1])
    assert [claimed.alert.rule for claimed in taken(lane)] == ["r3"]


def test_messages_are_taken_out_that_tell_of_nothing_else() -> None:
    lane = Lane(Nobody(), POLICY)
    alerts = [msgspec.structs.replace(sample_alert(number), rule=f"r{number}") for number in range(5)]
    rows = [(msgspec.structs.replace(sample_delivery(alert), fallback_of="mail"), alert) for alert in alerts]
    own = sample_alert(7)
    asked = Claimed(((sample_delivery(own), own),), 100.0)
    lane.waiting = [Claimed((rows[0],), 100.0), Claimed(tuple(rows[1:3]), 100.0), Claimed(tuple(rows[3:]), 100.0)]
    lane.waiting.append(asked)
    out = lane.take_out({*(delivery.id for delivery, _ in rows[:4]), *asked.ids}, "mail")
    assert out == [delivery for delivery, _ in rows[:3]]
    assert [claimed.rows for claimed in lane.waiting] == [tuple(rows[3:]), asked.rows], (
        "the rule asked for that one"
    )


def test_a_bundle_in_hand_counts_with_all_that_is_in_it() -> None:
    lane = Lane(Nobody(), POLICY)
    alert = sample_alert(1)
    lane.drained = False
    lane.waiting = [Claimed(((sample_delivery(alert), alert),) * (HAND // 2 + 1), 100.0)]
    assert (lane.room(0.0), lane.hungry) == (0, False)


def test_one_rule_goes_out_side_by_side_for_different_pairs_only() -> None:
    lane = Lane(Nobody(), POLICY)
    for number, pair in enumerate(("a/usd", "a/usd", "b/usd")):
        alert = msgspec.structs.replace(sample_alert(number), rule="r", pair=pair)
        lane.waiting.append(Claimed(((sample_delivery(alert), alert),), 100.0))
    first = taken(lane)
    assert [claimed.alert.pair for claimed in first] == ["a/usd", "b/usd"]
    lane.ended(first[0])
    assert [claimed.alert.pair for claimed in taken(lane)] == ["a/usd"]


def test_claims_come_in_groups_and_never_exceed_a_hand() -> None:
    assert a_lane().room(0) == HAND
    assert a_lane(waiting=HAND // 2).room(0) == HAND // 2
    assert a_lane(waiting=HAND // 2 + 1).room(0) == 0


def test_what_is_in_flight_counts_as_held() -> None:
    lane = a_lane(waiting=3)
    taken(lane)
    assert lane.room(0) == HAND - 3


def test_failures_in_a_row_pause_the_channel_and_an_answer_ends_that() -> None:
    lane = a_lane()
    for _ in range(TRIP - 1):
        lane.failed(0.0, retry_after=None, jitter=0.0)
    assert lane.room(0.0) == HAND
    lane.failed(0.0, retry_after=None, jitter=0.0)
    assert lane.room(4.999) == 0
    assert lane.room(5.0) == 1
    lane.answered(refused=False)
    assert lane.room(5.0) == HAND


def test_a_channel_that_is_down_is_probed_with_one_delivery_at_a_time() -> None:
    lane = tripped(a_lane(waiting=5))
    assert taken(lane, 4.999) == []
    assert len(taken(lane, 5.0)) == 1
    assert lane.room(5.0) == 0
    lane.give_back()
    assert lane.room(5.0) == 0


def test_pauses_between_probes_grow_to_a_minute() -> None:
    lane, now, pauses = a_lane(), 0.0, []
    for _ in range(40):
        lane.failed(now, retry_after=None, jitter=0.999_999)
        pauses.append(lane.resume_at - now)
        now = max(now, lane.resume_at)
    grown = pauses[TRIP - 1 :]
    assert grown == sorted(grown)
    assert 5 < grown[0] <= 10
    assert LONGEST_PAUSE / 1000 - 1 < grown[-1] <= LONGEST_PAUSE / 1000


def test_those_that_were_in_flight_when_it_went_down_do_not_lengthen_the_pause() -> None:
    lane = tripped(a_lane())
    pause = lane.resume_at
    for _ in range(7):
        lane.failed(1.0, retry_after=None, jitter=0.9)
    assert lane.resume_at == pause


def test_the_other_side_may_ask_for_a_pause_within_reason() -> None:
    lane = a_lane(waiting=1)
    lane.failed(0.0, retry_after=30.0, jitter=0.0)
    assert taken(lane, 29.9) == []
    lane.failed(1.0, retry_after=2.0, jitter=0.0)
    assert lane.resume_at == 30.0
    lane.failed(1.0, retry_after=1e12, jitter=0.0)
    assert lane.resume_at == 1.0 + RetryPolicy().longest_retry_after / 1000


def test_what_could_not_end_before_its_lease_is_not_begun() -> None:
    lane = a_lane(waiting=2, sure_until=50.0)
    assert lane.drop_stale(40.0) == []
    assert len(lane.drop_stale(40.001)) == 2
    assert lane.waiting == []


@pytest.mark.parametrize(
    ("waiting", "drained", "hungry"),
    [(HAND // 2, True, False), (HAND // 2, False, True), (HAND // 2 + 1, False, False), (0, False, True)],
)
def test_it_is_hungry_when_the_store_may_have_more_and_half_is_gone(
    waiting: int, drained: bool, hungry: bool
) -> None:
    lane = a_lane(waiting=waiting)
    lane.drained = drained
    assert lane.hungry == hungry


def test_no_more_goes_out_than_the_rate() -> None:
    lane = Lane(Nobody(), msgspec.structs.replace(POLICY, rate=Rate(2, 1_000)))
    for number in range(5):
        alert = msgspec.structs.replace(sample_alert(number), rule=f"r{number}")
        lane.waiting.append(Claimed(((sample_delivery(alert), alert),), 100.0))
    now = 10.0
    assert len(taken(lane, now)) == 2
    assert lane.opens_at(now) == pytest.approx(now + 0.5)
    assert len(taken(lane, now + 0.51)) == 1


def test_no_more_is_claimed_than_the_rate_lets_out_soon() -> None:
    lane = Lane(Nobody(), msgspec.structs.replace(POLICY, rate=Rate(20, 60_000)))
    assert lane.room(10.0) == 20 + LOOK_AHEAD * 20 // 60


def test_a_message_of_several_goes_beside_none_of_their_rules() -> None:
    lane = a_lane()
    rows = [
        (sample_delivery(alert), alert)
        for alert in (msgspec.structs.replace(sample_alert(number), rule=f"r{number}") for number in range(3))
    ]
    lane.waiting = [Claimed((rows[0],), 100.0), Claimed(tuple(rows), 100.0), Claimed((rows[2],), 100.0)]
    first = taken(lane)
    assert [claimed.ids for claimed in first] == [[rows[0][0].id], [rows[2][0].id]]
    for claimed in first:
        lane.ended(claimed)
    assert [len(claimed.rows) for claimed in taken(lane)] == [3]
