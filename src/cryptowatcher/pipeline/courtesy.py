"""What notify does for its owners' peace, inside its own transactions: it keeps back what they do not want to hear
now, and tells them in time that a rule ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import structlog

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.deliveries import Delivery, give_up, told_by, twin_id
from cryptowatcher.domain.expiry import expiry_notice, next_notice, notice_deliveries
from cryptowatcher.domain.quiet import Quiet, kept_back, still_together
from cryptowatcher.domain.reaching import Reach
from cryptowatcher.pipeline.reminding import queue_reminders
from cryptowatcher.ports import Tx

ENDINGS_EVERY: Final = 60.0
"""Seconds between looks for rules that end."""

ENDINGS_AT_ONCE: Final = 64

log = structlog.get_logger()


def keep_back(
    tx: Tx,
    claimed: Sequence[tuple[Delivery, Alert]],
    *,
    hours: str,
    reach: Reach,
    in_hand: Collection[str],
    wall: int,
    now: int,
) -> list[tuple[Delivery, Alert]]:
    """Those that may go out; the others are held or silenced. See quiet.kept_back for the times.

    hours:   in which the channel is quiet; none: those of whose alert it is
    in_hand: ids whose send may be in flight: they are what becomes of it
    """
    quiet = tx.quiet({delivery.rule for delivery, _ in claimed})
    nothing = Quiet()
    free, kept = [], []
    for delivery, alert in claimed:
        wishes = reach.wishes(delivery.owner)
        own = hours or wishes.quiet if delivery.owner != SYSTEM_OWNER else ""
        theirs = quiet.get(delivery.rule, nothing if own else None)
        if theirs is None or delivery.id in in_hand:
            free.append((delivery, alert))
            continue
        instead = kept_back(delivery, alert, theirs, hours=own, zone=wishes.time_zone, wall=wall, now=now)
        if instead:
            kept.append(instead)
        else:
            free.append((delivery, alert))
    tx.settle(still_together(kept, [delivery for delivery, _ in free]))
    return free


def only_theirs(
    tx: Tx, claimed: Sequence[tuple[Delivery, Alert]], *, reach: Reach, in_hand: Collection[str], now: int
) -> list[tuple[Delivery, Alert]]:
    """Those that may go where they are to go; the others are given up: the channel was removed, or is not their
    owner's to use any more. Their reminders come as of any that was given up.

    in_hand: ids whose send may be in flight: they are what becomes of it
    """
    refused = {
        delivery.id: why
        for delivery, _ in claimed
        if delivery.id not in in_hand and (why := reach.refused(delivery.owner, delivery.channel))
    }
    if not refused:
        return list(claimed)
    over = [give_up(each, refused[each.id], now=now) for each, _ in claimed if each.id in refused]
    tx.settle(over)
    queue_reminders(tx, over, reach, now=now)
    return [row for row in claimed if row[0].id not in refused]


def only_once(
    tx: Tx,
    claimed: Sequence[tuple[Delivery, Alert]],
    *,
    in_hand: Collection[str],
    reach: Reach,
    now: int,
) -> list[tuple[Delivery, Alert]]:
    """Those of which the owner was not told through another channel meanwhile; the others are cancelled, and their
    reminders come as if they had been sent."""
    others = {
        (delivery.id, channel): twin_id(delivery, channel)
        for delivery, _ in claimed
        for channel in (delivery.fallback, delivery.fallback_of)
        if channel and delivery.id not in in_hand
    }
    states = tx.states(set(others.values()))
    told = {this: channel for (this, channel), other in others.items() if states.get(other) == "sent"}
    over = [told_by(each, told[each.id], now=now) for each, _ in claimed if each.id in told]
    tx.settle(over)
    queue_reminders(tx, over, reach, now=now)
    return [row for row in claimed if row[0].id not in told]


def tell_of_endings(tx: Tx, reach: Reach, *, wall: int, now: int) -> int:
    """Queue what is to be told of rules that end or have ended; how many rules that were, ENDINGS_AT_ONCE at most.

    A rule ends by the time of observations, as watch sees it. A clock that is a year ahead for a while ends none.
    """
    upto = min(wall, tx.newest_observation())
    rules = tx.ending(upto, ENDINGS_AT_ONCE)
    for rule in rules:
        notice = expiry_notice(rule, now=upto)
        deliveries = notice_deliveries(notice, reach.told(rule.owner, notice.channels), now=now)
        tx.announce(notice, deliveries, next_at=next_notice(rule.spec, upto))
        log.info("rule_ends", rule=rule.spec.name, notice=notice.kind, expires=rule.spec.expires)
    return len(rules)
