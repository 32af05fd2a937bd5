"""What a rule's owner does not want to hear now: outside its active hours, and while it is snoozed."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery, cancel, hold, silence
from cryptowatcher.domain.hours import parse_expires, parse_hours, show_moment
from cryptowatcher.errors import ConfigError


class Quiet(msgspec.Struct, frozen=True):
    """What counts for the messages of a rule: of its spec, and when its snooze ends (epoch ms, 0: none)."""

    active: str = ""
    expires: str = ""
    snoozed_until: int = 0


def kept_back(delivery: Delivery, alert: Alert, quiet: Quiet, *, wall: int, now: int) -> Delivery | None:
    """What becomes of a claimed delivery that must not go out now; None: it may.

    wall: what clocks on walls show, epoch ms: people mean those when they say how late it is
    now:  the outbox's own time, which never goes back
    """
    if delivery.kind == "expiry":
        if parse_expires(quiet.expires) != alert.event_time:
            return cancel(delivery, "the end of the rule was changed", now=now)
    elif wall < quiet.snoozed_until:
        return silence(delivery, f"snoozed until {show_moment(quiet.snoozed_until)}", now=now)
    begins = _next_active(quiet.active, wall)
    if begins > wall:
        return hold(delivery, until=now + begins - wall, why=f"active hours {quiet.active}", now=now)
    return None


@lru_cache(maxsize=256)
def _next_active(active: str, wall: int) -> int:
    try:
        return parse_hours(active).next_active(wall)
    except ConfigError:  # the machine has lost its time zones since: better at night than never
        return wall
