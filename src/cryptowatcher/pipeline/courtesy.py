"""What notify does for its owners' peace, inside its own transactions: it keeps back what they do not want to hear
now, and tells them in time that a rule ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import structlog

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.expiry import expiry_notice, next_notice, notice_deliveries
from cryptowatcher.domain.quiet import kept_back
from cryptowatcher.ports import Tx

ENDINGS_EVERY: Final = 60.0
"""Seconds between looks for rules that end."""

ENDINGS_AT_ONCE: Final = 64

log = structlog.get_logger()


def keep_back(
    tx: Tx, claimed: Sequence[tuple[Delivery, Alert]], *, in_hand: Collection[str], wall: int, now: int
) -> list[tuple[Delivery, Alert]]:
    """Those that may go out; the others are held or silenced. See quiet.kept_back for the times.

    in_hand: ids whose send may be in flight: they are what becomes of it
    """
    quiet = tx.quiet({delivery.rule for delivery, _ in claimed})
    free, kept = [], []
    for delivery, alert in claimed:
        theirs = None if delivery.id in in_hand else quiet.get(delivery.rule)
        instead = theirs and kept_back(delivery, alert, theirs, wall=wall, now=now)
        if instead:
            kept.append(instead)
        else:
            free.append((delivery, alert))
    tx.settle(kept)
    return free


def tell_of_endings(tx: Tx, channels: Sequence[str], *, wall: int, now: int) -> int:
    """Queue what is to be told of rules that end or have ended; how many rules that were, ENDINGS_AT_ONCE at most.

    A rule ends by the time of observations, as watch sees it. A clock that is a year ahead for a while ends none.
    channels: of the rules that name none
    """
    upto = min(wall, tx.newest_observation())
    rules = tx.ending(upto, ENDINGS_AT_ONCE)
    for rule in rules:
        notice = expiry_notice(rule, now=upto)
        deliveries = notice_deliveries(notice, channels, now=now)
        tx.announce(notice, deliveries, next_at=next_notice(rule.spec, upto))
        log.info("rule_ends", rule=rule.spec.name, notice=notice.kind, expires=rule.spec.expires)
    return len(rules)
