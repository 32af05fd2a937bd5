"""The end of a rule, and what its owner is told of it: once a day before, once when it has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptowatcher.domain.alerts import Alert, NoticeKind, alert_id
from cryptowatcher.domain.deliveries import Delivery, DeliveryKind, delivery_id
from cryptowatcher.domain.hours import parse_expires
from cryptowatcher.domain.rules.model import Rule, RuleSpec

NOTICE_BEFORE: Final = 24 * 3_600_000
"""Milliseconds before the end at which the owner is told that it comes."""


def first_notice(spec: RuleSpec, now: int) -> int:
    """When the owner of a rule that gets its end at `now` is told first (epoch ms): a day before the end, or at
    the end where less than a day is left. 0: there is no end, or it has passed, and whoever set it knows that."""
    end = parse_expires(spec.expires)
    if end is None or end <= now:
        return 0
    return end - NOTICE_BEFORE if end - NOTICE_BEFORE > now else end


def next_notice(spec: RuleSpec, told_at: int) -> int:
    """When the owner is told after that, 0 never."""
    end = parse_expires(spec.expires) or 0
    return end if end > told_at else 0


def expiry_notice(rule: Rule, *, now: int) -> Alert:
    """What is told at `now` (epoch ms) of a rule that has an end. Its id depends on the rule, the end and what is
    told alone. Its event is the end; it has no pair and no values."""
    end = parse_expires(rule.spec.expires) or 0
    kind: NoticeKind = "expired" if now >= end else "expiring"
    return Alert(
        id=alert_id(rule=rule.id, version=0, pair="", kind=kind, event_time=end),
        owner=rule.owner,
        rule=rule.id,
        rule_name=rule.spec.name,
        version=rule.version,
        pair="",
        kind=kind,
        event_time=end,
        at=now,
        seq=0,
        condition=rule.spec.when,
        value=0.0,
        constant=0.0,
        previous=None,
        price=0.0,
        source="",
        received_at=now,
        gap_ms=0,
        advice="info",
        channels=rule.spec.channels,
    )


def notice_deliveries(
    notice: Alert, channels: Sequence[str], *, now: int, kind: DeliveryKind = "expiry"
) -> list[Delivery]:
    """To these (addresses), due at once."""
    return [
        Delivery(
            id=delivery_id(notice.id, channel),
            alert=notice.id,
            owner=notice.owner,
            rule=notice.rule,
            channel=channel,
            created_at=now,
            due_at=now,
            kind=kind,
        )
        for channel in channels
    ]
