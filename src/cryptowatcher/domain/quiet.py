"""What a rule's owner does not want to hear now: outside its active hours, and while it is snoozed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery, cancel, hold, silence
from cryptowatcher.domain.hours import parse_expires, parse_hours, show_moment
from cryptowatcher.errors import ConfigError

_SAME: Final = 1_000
"""Milliseconds by which two clocks may differ that are read one after the other: what is held until seven o'clock
is then due at seven for all, and comes in one message."""


class Quiet(msgspec.Struct, frozen=True):
    """What counts for the messages of a rule: of its spec, and when its snooze ends (epoch ms, 0: none)."""

    active: str = ""
    expires: str = ""
    channels: tuple[str, ...] = ()
    remind: str = ""
    escalate: tuple[str, ...] = ()
    snoozed_until: int = 0


class Kindness(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner wants of all channels.

    quiet:      hours in which nothing comes but what is urgent; what waits meanwhile comes in one message then
    group_from: from how many alerts at once on they come in one message
    time_zone:  of the clocks that they look at, also for quiet hours that name no place
    link:       the page's public address, for links to alerts; empty: none
    """

    quiet: str = ""
    group_from: int = 5
    time_zone: str = "UTC"
    link: str = ""


def kept_back(
    delivery: Delivery, alert: Alert, quiet: Quiet, *, hours: str = "", zone: str = "UTC", wall: int, now: int
) -> Delivery | None:
    """What becomes of a claimed delivery that must not go out now; None: it may.

    hours: in which the channel is quiet, but for what is urgent; those without a place are of `zone`
    wall: what clocks on walls show, epoch ms: people mean those when they say how late it is
    now:  the outbox's own time, which never goes back
    """
    if delivery.kind == "expiry":
        if parse_expires(quiet.expires) != alert.event_time:
            return cancel(delivery, "the end of the rule was changed", now=now)
    elif delivery.kind == "reminder" and not quiet.remind:
        return cancel(delivery, "the rule asks for no reminders any more", now=now)
    elif wall < quiet.snoozed_until:
        return silence(delivery, f"snoozed until {show_moment(quiet.snoozed_until)}", now=now)
    ahead = now - wall if abs(now - wall) >= _SAME else 0
    begins = _next_active(quiet.active, wall)
    if begins > wall:
        return hold(delivery, until=begins + ahead, why=f"active hours {quiet.active}", now=now)
    ends = wall if delivery.urgent else _quiet_until(hours, zone, wall)
    if ends > wall:
        return hold(delivery, until=ends + ahead, why=f"quiet hours {hours}", now=now)
    return None


def still_together(kept: Sequence[Delivery], free: Sequence[Delivery]) -> list[Delivery]:
    """What was kept back, as it will come. A bundle that may have arrived stays one if all of it waits for the
    same time; otherwise those that wait leave it, to go out with all that waits until then. What is left of it
    goes out under its name now: nothing else may later."""
    waits: dict[str, set[int]] = {each.bundle: {0} for each in free}
    for each in kept:
        if each.state in ("queued", "retrying"):
            waits.setdefault(each.bundle, set()).add(each.due_at)
    tried = {each.bundle for each in kept if each.may_have_arrived}
    stay = {bundle for bundle, times in waits.items() if len(times) == 1 and bundle in tried}
    return [each if each.bundle in stay else msgspec.structs.replace(each, bundle="") for each in kept]


@lru_cache(maxsize=256)
def _quiet_until(hours: str, zone: str, wall: int) -> int:
    try:
        return parse_hours(hours, zone=zone).next_inactive(wall) if hours else wall
    except ConfigError:  # as below
        return wall


@lru_cache(maxsize=256)
def _next_active(active: str, wall: int) -> int:
    try:
        return parse_hours(active).next_active(wall)
    except ConfigError:  # the machine has lost its time zones since: better at night than never
        return wall
