"""What nobody has acknowledged is told again, and to others too: which reminder comes next, and its words.

Each reminder is a delivery of its own. The next one is queued when what became of the one before is written down,
so that a channel which does not answer for a day does not find ten of them waiting.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery, delivery_id
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.quiet import Quiet
from cryptowatcher.domain.rules.model import MOST_REMINDERS
from cryptowatcher.domain.texts import AlertText, observed_at, show_span


def next_reminders(finished: Delivery, quiet: Quiet, defaults: Sequence[str], *, now: int) -> list[Delivery]:
    """What is due after a delivery that was sent, through whichever channel, or that nobody tries any more: its
    channel's next reminder, and what goes to another channel with it. Nothing for what only goes to another with
    one, and after the last.

    quiet:    what its rule says of reminders now
    defaults: channels of the rules that name none
    """
    channels = quiet.channels or defaults
    asked = finished.fallback_of or finished.channel
    number = finished.reminder + 1
    if not quiet.remind or finished.kind not in ("alert", "reminder"):
        return []
    if asked not in channels or number > MOST_REMINDERS:
        return []
    # A channel that has reminders anyway gets each of them once, in its own time.
    others = [other for other in quiet.escalate[number - 1 : number] if other not in channels]
    due = now + parse_duration(quiet.remind)
    return [_reminder(finished, channel, number, due) for channel in (asked, *others)]


def _reminder(of: Delivery, channel: str, number: int, due: int) -> Delivery:
    return Delivery(
        id=delivery_id(of.alert, channel, number),
        alert=of.alert,
        owner=of.owner,
        rule=of.rule,
        channel=channel,
        created_at=due,  # its age counts from then on: before it is due it is neither late nor overdue
        due_at=due,
        kind="reminder",
        urgent=of.urgent,
    )


def reminding_text(
    text: AlertText, deliveries: Sequence[Delivery], alerts: Sequence[Alert], *, now: int
) -> AlertText:
    """The words for some alerts, as a reminder of them at `now` (epoch ms), with how to have no more."""
    numbers = sorted({each.reminder for each in deliveries})
    number = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    age, unit = show_span(max(now - min(map(observed_at, alerts)), 0))
    ago = f"{age:,} {unit}{'' if age == 1 else 's'}"
    them, ids = ("it", alerts[0].id) if len(alerts) == 1 else ("them", "--all")
    last = " This is the last one." if numbers[0] == MOST_REMINDERS else ""
    lines = [
        f"Reminder {number} of {MOST_REMINDERS}: observed {ago} ago, and nobody has acknowledged {them}.{last}",
        f"Acknowledge {them}: cryptowatcher alerts ack {ids}",
    ]
    return AlertText(f"Reminder {number}: {text.title}", "\n".join([text.body, *lines]))
