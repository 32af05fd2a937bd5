"""Which reminder comes after what was told, and what it says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery, after_success, stand_ins, twin_id
from cryptowatcher.domain.messages import Message, Wording, write
from cryptowatcher.domain.quiet import Quiet
from cryptowatcher.domain.reminders import next_reminders
from cryptowatcher.domain.rules.model import MOST_REMINDERS
from cryptowatcher.domain.templates import BODY_MOST, TITLE_MOST, parse_template
from cryptowatcher.testing.contracts.store_case import sample_alert, sample_delivery
from tests.pipeline.test_kindness import WITH_MAIL

NOW = 1_000_000
EVERY_MINUTE = Quiet(channels=("ops",), remind="1m", escalate=("phone", "boss"))
ALERT = sample_alert(1)
TOLD = after_success(sample_delivery(ALERT), now=NOW, receipt="HTTP 200")


def reminder(number: int, channel: str = "ops", **said: Any) -> Delivery:
    id_ = f"{ALERT.id}~{channel}~r{number}"
    return msgspec.structs.replace(TOLD, id=id_, channel=channel, kind="reminder", **said)


def after(finished: Delivery, quiet: Quiet = EVERY_MINUTE) -> list[str]:
    found = next_reminders(finished, quiet, ("ops", "mail"), now=NOW)
    return [each.id.removeprefix(f"{ALERT.id}~") for each in found]


def told(*deliveries: Delivery, minutes: int = 37, wording: Wording | None = None) -> Message:
    rows = [(each, ALERT if each.alert == ALERT.id else sample_alert(2)) for each in deliveries]
    return write(rows, now=ALERT.event_time + minutes * 60_000, wording=wording)


def test_it_is_queued_for_its_own_time_with_what_counts_of_the_alert() -> None:
    urgent = msgspec.structs.replace(TOLD, urgent=True)
    first, other = next_reminders(urgent, EVERY_MINUTE, (), now=NOW)
    assert (first.id, first.kind, first.reminder) == (f"{ALERT.id}~ops~r1", "reminder", 1)
    assert (first.created_at, first.due_at, first.state, first.attempts) == (
        NOW + 60_000,
        NOW + 60_000,
        "queued",
        0,
    )
    assert (first.alert, first.rule, first.owner, first.urgent) == (ALERT.id, ALERT.rule, ALERT.owner, True)
    assert (other.id, other.channel, other.due_at) == (f"{ALERT.id}~phone~r1", "phone", first.due_at)


def test_each_is_followed_by_the_next_and_the_next_of_the_escalation_until_the_last() -> None:
    assert after(TOLD) == ["ops~r1", "phone~r1"]
    assert after(reminder(1)) == ["ops~r2", "boss~r2"]
    assert after(reminder(2)) == ["ops~r3"]
    assert after(reminder(MOST_REMINDERS - 1)) == [f"ops~r{MOST_REMINDERS}"]
    assert after(reminder(MOST_REMINDERS)) == []


def test_what_only_went_to_another_channel_with_a_reminder_is_followed_by_nothing() -> None:
    assert after(reminder(1, "phone")) == []
    assert after(reminder(1, "mail", fallback_of="phone")) == []


def test_what_another_channel_told_is_followed_by_the_reminder_of_the_channel_that_was_asked() -> None:
    assert after(msgspec.structs.replace(TOLD, channel="mail", fallback_of="ops")) == ["ops~r1", "phone~r1"]
    assert after(reminder(1, "mail", fallback_of="ops")) == ["ops~r2", "boss~r2"]


def test_a_rule_that_names_no_channels_reminds_on_all_of_them_and_goes_to_none_twice() -> None:
    everywhere = Quiet(remind="1m", escalate=("mail", "phone"))
    assert after(TOLD, everywhere) == ["ops~r1"]
    assert after(reminder(1), everywhere) == ["ops~r2", "phone~r2"]
    assert after(reminder(1, "mail"), everywhere) == ["mail~r2", "phone~r2"]


@pytest.mark.parametrize("kind", ["expiry", "sight"])
def test_of_notices_there_are_no_reminders(kind: Any) -> None:
    assert after(msgspec.structs.replace(TOLD, kind=kind)) == []
    assert after(TOLD, Quiet(channels=("ops",))) == []


def test_another_channel_that_stands_in_tells_the_same_reminder() -> None:
    late = reminder(2, state="retrying", attempts=5, created_at=0)
    instead = stand_ins([late], WITH_MAIL, now=NOW, together=False)[late.id]
    assert (instead.id, instead.kind, instead.reminder) == (f"{ALERT.id}~mail~r2", "reminder", 2)
    assert twin_id(instead, "ops") == late.id


def test_it_says_which_it_is_and_how_to_have_no_more_and_is_not_late() -> None:
    alert, again = told(TOLD, minutes=0), told(reminder(3))
    assert (again.kind, again.id, again.delivery) == ("reminder", f"{ALERT.id}~ops~r3", reminder(3))
    assert again.text.title == f"Reminder 3: {alert.text.title}"
    before, how_old, how_to = again.text.body.rsplit("\n", 2)
    assert before == alert.text.body
    assert how_old == "Reminder 3 of 10: observed 37 minutes ago, and nobody has acknowledged it."
    assert how_to == f"Acknowledge it: cryptowatcher alerts ack {ALERT.id}"
    assert "Late: " in told(TOLD).text.body
    assert told(reminder(10)).text.body.splitlines()[-2].endswith("This is the last one.")


def test_an_owners_own_words_are_kept_in_it() -> None:
    title = parse_template("{coin} moves", most=TITLE_MOST, where="title")
    body = parse_template("{price}", most=BODY_MOST, where="body")
    found = told(reminder(1), wording=Wording(title=title, body=body)).text
    assert found.title == "Reminder 1: bitcoin moves"
    assert found.body.splitlines()[0].startswith("50,123")
    assert found.body.endswith(ALERT.id)


def test_several_are_one_message_that_says_how_to_acknowledge_all() -> None:
    other: Alert = sample_alert(2)
    second = msgspec.structs.replace(reminder(1), alert=other.id, id=f"{other.id}~ops~r1", held="quiet hours")
    both = told(reminder(1), second)
    assert (both.kind, len(both.alerts)) == ("bundle", 2)
    assert both.text.title.startswith("Reminder 1: 1 pair at once")
    assert both.text.body.endswith("Acknowledge them: cryptowatcher alerts ack --all")
    third = msgspec.structs.replace(second, id=f"{other.id}~ops~r4")
    assert told(reminder(1), third).text.title.startswith("Reminder 1 to 4: ")
