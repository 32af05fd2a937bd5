"""The alert of a rule that fired: made here and nowhere else, whichever form of the evaluator found it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert, AlertKind, Part, alert_id, alert_ids
from cryptowatcher.domain.copies import Copies, some
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.model import Firing
from cryptowatcher.domain.rules.rows import Own
from cryptowatcher.domain.rules.truth import judge
from cryptowatcher.domain.rules.watched import Known


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
    """The known value of a number before the one that fired: NaN where there was none, its time (epoch ms), and
    for how long it stayed current (ms)."""

    value: float
    time: int
    valid_for: int


NEVER_KNOWN = LastKnown(math.nan, 0, 0)


def last_known(known: Known, col: int) -> LastKnown:
    """What was known of a number for a pair; somebody has looked whether that counts."""
    return LastKnown(float(known.value[col]), int(known.at[col]), int(known.valid_for[col]))


def build_alert(
    rule: CompiledRule,
    pair: str,
    values: Sequence[float],
    before: Sequence[LastKnown],
    moment: Moment,
    kind: AlertKind,
    last_firing: Firing | None,
) -> Alert:
    """The record of a firing. `values`, `before`: of the numbers that the rule's comparisons look at, in order.

    An edge after a stretch in which the condition was not known lies somewhere in that gap; but not before the
    rule fired last, because then it was known to hold.
    """
    fired_at = last_firing.last_fired_at if last_firing is not None and last_firing.fired else 0
    spec, version = rule.rule.spec, rule.rule.version
    last = last_decided(rule, before, "fails")
    begin = max(last.time, fired_at)
    stretch = moment.time - begin
    if kind == "edge" and not rule.hold and last.time and stretch > last.valid_for:
        kind = "gap"
    event_time = begin if kind == "gap" else moment.time
    shown = _first_true(rule, values)
    previous = _as_said(before[shown].value, rule.since[shown])
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
        value=_as_said(values[shown], rule.since[shown]) + 0.0,  # no -0.0: a database gives it back as 0.0
        constant=rule.constants[shown],
        previous=None if kind == "already" or math.isnan(previous) else previous + 0.0,
        price=moment.price,
        source=moment.source,
        received_at=moment.received_at,
        gap_ms=stretch if kind == "gap" else 0,
        advice=spec.advice,
        channels=spec.channels,
        suppressed=last_firing.suppressed if last_firing is not None else 0,
        parts=_parts(rule, values),
        urgent=spec.urgent,
    )


def copied(alert: Alert, own: Own, shown: int, constants: Sequence[tuple[float, ...]]) -> Copies[Alert]:
    """The alerts of rules that fired for the same pair and in the same way: they differ in what is each rule's
    own. `alert`: that of the first; `own`: of all of them, of one kind; `shown`: which of their comparisons the
    alerts show; `constants`: what those are compared with."""
    id_of = alert_ids(pair=alert.pair, kind=alert.kind, event_time=alert.event_time)
    columns: dict[str, list[Any]] = {
        "id": [*map(id_of, own.ids, own.versions)],
        "owner": own.owners,
        "rule": own.ids,
        "rule_name": own.names,
        "version": own.versions,
        "condition": own.texts,
        "constant": [each[shown] for each in constants],
    }
    if alert.parts:
        values = [part.value for part in alert.parts]
        both = zip(own.parts, constants, strict=True)
        columns["parts"] = [tuple(map(Part, texts, values, theirs)) for texts, theirs in both]
    # In the order of ids, in which they are stored, and their deliveries too.
    order = sorted(range(len(own.ids)), key=columns["id"].__getitem__)
    return Copies(alert, {name: some(column, order) for name, column in columns.items()})


def last_decided(rule: CompiledRule, before: Sequence[LastKnown], way: Literal["holds", "fails"]) -> LastKnown:
    """Where the condition was last known to hold, or to fail: when a number was last known, if what was known then
    decides. Otherwise where the one that was unknown for longest was known."""
    known = [last for last in before if last.time]
    newest = max(known, key=lambda last: last.time, default=NEVER_KNOWN)
    if len(before) == 1 or not known:
        return newest
    then = [np.array([last.value if last.time == newest.time else math.nan]) for last in before]
    if getattr(judge(rule.shape, then, then, rule.fire, rule.rearm), way)[0]:
        return newest
    return min(known, key=lambda last: last.time)


def _first_true(rule: CompiledRule, values: Sequence[float]) -> int:
    """Which comparison the alert shows: the first that holds."""
    for place, (look, value, fire) in enumerate(zip(rule.shape.looks, values, rule.fire, strict=True)):
        if (value >= fire) if look.rises else (value < fire):
            return place
    return 0


def _parts(rule: CompiledRule, values: Sequence[float]) -> tuple[Part, ...]:
    if len(values) == 1:
        return ()
    said = map(_as_said, values, rule.since)
    return tuple(
        Part(text, None if math.isnan(value) else value + 0.0, constant)
        for text, value, constant in zip(rule.parts, said, rule.constants, strict=True)
    )


def _as_said(value: float, since: float) -> float:
    """A price as the change that its comparison is about; others as they are."""
    return (value - since) / since if since else value
