"""The alert of a rule that fired: made here and nowhere else, whichever form of the evaluator found it."""

from __future__ import annotations

import math

import msgspec

from cryptowatcher.domain.alerts import Alert, AlertKind, alert_id
from cryptowatcher.domain.rules.compiled import CompiledRule


class Moment(msgspec.Struct, frozen=True):
    """One pair's observation in the instant that is being stepped.

    seq, at: place and journal time (epoch ms) of its record
    time:    the source's time of the observation, epoch ms
    """

    seq: int
    at: int
    time: int
    price: float
    source: str
    received_at: int


class LastKnown(msgspec.Struct, frozen=True):
    """The known value of a feature before the one that fired: NaN where there was none, its time (epoch ms),
    and for how long it stayed current (ms)."""

    value: float
    time: int
    valid_for: int


def build_alert(
    rule: CompiledRule, pair: str, value: float, moment: Moment, kind: AlertKind, before: LastKnown
) -> Alert:
    """The record of a firing. An edge after a stretch without known values lies somewhere in that gap."""
    spec, version = rule.rule.spec, rule.rule.version
    if kind == "edge" and not rule.hold and moment.time - before.time > before.valid_for:
        kind = "gap"
    event_time = before.time if kind == "gap" else moment.time
    return Alert(
        id=alert_id(rule=rule.rule.id, version=version, pair=pair, kind=kind, event_time=event_time),
        owner=rule.rule.owner,
        rule=rule.rule.id,
        rule_name=spec.name,
        version=version,
        pair=pair,
        kind=kind,
        event_time=event_time,
        at=moment.at,
        seq=moment.seq,
        condition=rule.text,
        value=value,
        constant=rule.condition.constant,
        previous=None if kind == "already" or math.isnan(before.value) else before.value,
        price=moment.price,
        source=moment.source,
        received_at=moment.received_at,
        gap_ms=moment.time - before.time if kind == "gap" else 0,
        advice=spec.advice,
        channels=spec.channels,
    )
