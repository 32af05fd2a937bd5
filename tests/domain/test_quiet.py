"""What is kept back, and that what waits for one moment waits for the same one."""

from __future__ import annotations

import msgspec
import pytest

from cryptowatcher.domain.deliveries import Delivery, delivery_id
from cryptowatcher.domain.hours import parse_moment
from cryptowatcher.domain.quiet import Quiet, kept_back, still_together
from tests.domain.test_texts import DROP

NIGHT = "22:00-07:00"
MIDNIGHT = parse_moment("2026-11-23")
SEVEN = parse_moment("2026-11-23T07:00Z")
HOUR = 3_600_000


def delivery(number: int = 0, **said: object) -> Delivery:
    made = Delivery(
        id=delivery_id(f"a{number}", "ops"),
        alert=f"a{number}",
        owner="local",
        rule="r1",
        channel="ops",
        state="leased",
        created_at=MIDNIGHT,
        due_at=MIDNIGHT,
    )
    return msgspec.structs.replace(made, **said)


@pytest.mark.parametrize("ahead", [-900, -1, 0, 3, 900])
def test_clocks_that_are_read_one_after_the_other_hold_until_the_same_moment(ahead: int) -> None:
    held = kept_back(delivery(), DROP, Quiet(), hours=NIGHT, wall=MIDNIGHT, now=MIDNIGHT + ahead)
    assert held is not None
    assert (held.due_at, held.held_until, held.held) == (SEVEN, SEVEN, f"quiet hours {NIGHT}")


def test_a_clock_that_was_set_back_holds_until_the_wall_shows_the_end() -> None:
    held = kept_back(delivery(), DROP, Quiet(), hours=NIGHT, wall=MIDNIGHT, now=MIDNIGHT + HOUR)
    assert held is not None
    assert held.due_at == SEVEN + HOUR


def test_urgent_ones_know_active_hours_and_a_snooze_and_no_quiet_hours() -> None:
    urgent = delivery(urgent=True)
    assert kept_back(urgent, DROP, Quiet(), hours=NIGHT, wall=MIDNIGHT, now=MIDNIGHT) is None
    held = kept_back(urgent, DROP, Quiet(active="08:00-20:00"), hours=NIGHT, wall=MIDNIGHT, now=MIDNIGHT)
    assert held is not None
    assert held.held == "active hours 08:00-20:00"
    snoozed = kept_back(urgent, DROP, Quiet(snoozed_until=SEVEN), hours=NIGHT, wall=MIDNIGHT, now=MIDNIGHT)
    assert snoozed is not None
    assert snoozed.state == "snoozed"


@pytest.mark.parametrize(
    ("zone", "hours", "until"),
    [
        ("UTC", "22:00-07:00", "2026-11-23T07:00Z"),
        ("Europe/Berlin", "22:00-07:00", "2026-11-23T06:00Z"),
        ("Asia/Kathmandu", "05:00-07:00", "2026-11-23T01:15Z"),
        ("Europe/Berlin", "22:00-07:00 UTC", "2026-11-23T07:00Z"),
        ("America/New_York", "22:00-07:00", None),
    ],
)
def test_hours_without_a_place_are_those_of_the_owners_clock(zone: str, hours: str, until: str | None) -> None:
    held = kept_back(delivery(), DROP, Quiet(), hours=hours, zone=zone, wall=MIDNIGHT, now=MIDNIGHT)
    assert (held and held.held_until) == (until and parse_moment(until))


def test_active_hours_of_a_rule_name_their_place_themselves() -> None:
    rule = Quiet(active="07:00-22:00")
    held = kept_back(delivery(), DROP, rule, zone="Europe/Berlin", wall=MIDNIGHT, now=MIDNIGHT)
    assert held is not None
    assert held.held_until == SEVEN


def test_nobody_is_quiet_without_hours_or_outside_them() -> None:
    assert kept_back(delivery(), DROP, Quiet(), hours="", wall=MIDNIGHT, now=MIDNIGHT) is None
    assert kept_back(delivery(), DROP, Quiet(), hours=NIGHT, wall=SEVEN, now=SEVEN) is None


def test_what_waits_comes_with_all_that_waits_unless_it_may_have_arrived_together() -> None:
    untried = [delivery(n, state="queued", bundle="b", due_at=SEVEN) for n in range(2)]
    tried = [msgspec.structs.replace(each, state="retrying", attempts=1) for each in untried]
    lost = [msgspec.structs.replace(each, last_error="who knows") for each in untried]
    assert {each.bundle for each in still_together(untried, [])} == {""}
    assert {each.bundle for each in still_together(tried, [])} == {"b"}
    assert {each.bundle for each in still_together(lost, [])} == {"b"}


def test_a_bundle_of_which_a_part_may_go_now_is_left_by_those_that_wait() -> None:
    waits = delivery(0, state="retrying", attempts=1, bundle="b", due_at=SEVEN)
    later = msgspec.structs.replace(waits, due_at=SEVEN + HOUR)
    silenced = delivery(2, state="snoozed", attempts=1, bundle="b")
    assert [each.bundle for each in still_together([waits], [delivery(1, bundle="b")])] == [""]
    assert [each.bundle for each in still_together([waits, later], [])] == ["", ""]
    assert still_together([waits, silenced], [])[0].bundle == "b"
