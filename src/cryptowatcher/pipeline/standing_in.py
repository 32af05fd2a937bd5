"""What another channel tells, because the one that was asked does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog

from cryptowatcher.domain.deliveries import BUNDLE_MOST, Delivery, stand_ins
from cryptowatcher.pipeline.lanes import Lane
from cryptowatcher.ports import Tx

STAND_INS_EVERY: Final = 5.0
"""Seconds between looks for deliveries that another channel should take over."""

STAND_INS_AT_ONCE: Final = BUNDLE_MOST

log = structlog.get_logger()


def passed_on(
    lane: Lane, lanes: Mapping[str, Lane], results: Sequence[Delivery], *, now: int
) -> tuple[list[Delivery], list[Delivery]]:
    """Results of one message, with a note of the channel that stands in now; and what that channel is to tell."""
    instead = _instead(lane, lanes, results, now=now)
    if not instead:
        return list(results), []
    first = next(iter(instead.values()))
    log.warning(
        "channel_stands_in",
        channel=first.channel,
        for_=lane.address,
        alert=first.alert,
        alerts=len(instead),
    )
    channel = lane.policy.fallback
    noted = [msgspec.structs.replace(each, fallback=channel) if each.id in instead else each for each in results]
    return noted, list(instead.values())


def let_others_stand_in(tx: Tx, lanes: Mapping[str, Lane], *, now: int) -> tuple[dict[str, tuple[int, str]], bool]:
    """For what waits for a channel that does not come to it: it is down, or has too much to say. Upto where each
    channel's queue was looked through, and whether there may be more."""
    looked_upto: dict[str, tuple[int, str]] = {}
    more = False
    for name, lane in lanes.items():
        if not lane.policy.fallback or lane.drained:
            continue
        before, after = now - lane.policy.fallback_after, lane.looked_upto
        found = tx.overdue(name, since=before, now=now, after=after, limit=STAND_INS_AT_ONCE)
        instead = _instead(lane, lanes, found, now=now)
        tx.queue(list(instead.values()))
        tx.note_fallback(list(instead), lane.policy.fallback)
        if instead:
            log.warning("channel_stands_in", channel=lane.policy.fallback, for_=name, alerts=len(instead))
        full = len(found) >= STAND_INS_AT_ONCE
        more |= full
        # Beyond `before` there are others, not old enough yet, between those that were tried.
        end = found[STAND_INS_AT_ONCE - 1] if full else None
        last = (end.due_at, end.id) if end else (before, "")
        looked_upto[name] = max(after, min(last, (before, "")))
    return looked_upto, more


def _instead(
    lane: Lane, lanes: Mapping[str, Lane], deliveries: Sequence[Delivery], *, now: int
) -> dict[str, Delivery]:
    other = lanes.get(lane.policy.fallback)
    together = other is not None and other.policy.bundle
    return stand_ins(deliveries, lane.policy, now=now, together=together)
