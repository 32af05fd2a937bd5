"""That what an alert told is over: the notice of it, made here and nowhere else, for rules that ask for it.

Only what was told is over. An alert that was held back was not, nor was what held when the rule began; and where
the condition is not known, nothing is over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from cryptowatcher.domain.alerts import Alert, Part, alert_id
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.rules.check import parse_percent
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.firing import LastKnown, Moment, last_decided
from cryptowatcher.domain.rules.lifecycle import Standing
from cryptowatcher.domain.rules.model import Firing
from cryptowatcher.domain.rules.tree import calls


def told_at(before: Standing | None, firing: Firing | None) -> int | None:
    """When the alert was (epoch ms, the source's time) that is over now that the rule stands elsewhere for a pair;
    None where none was told. `before`: where it stood, `firing`: its memory for the pair."""
    if before is None or before.state != "inside" or firing is None or firing.suppressed:
        return None
    return before.since if firing.last_fired_at == before.since else None


def build_notice(
    rule: CompiledRule,
    pair: str,
    values: Sequence[float],
    before: Sequence[LastKnown],
    moment: Moment,
    began: int,
) -> Alert:
    """`values`, `before`: of the numbers that the rule's comparisons look at, in order. `began`: see told_at."""
    spec, version = rule.rule.spec, rule.rule.version
    shown, back = _first_back(rule, values), _constants(rule)
    previous = before[shown].value
    return Alert(
        id=alert_id(rule=rule.rule.id, version=version, pair=pair, kind="resolved", event_time=moment.time),
        owner=rule.rule.owner,
        rule=rule.rule.id,
        rule_name=spec.name,
        version=version,
        pair=pair,
        kind="resolved",
        event_time=moment.time,
        at=moment.at,
        seq=moment.seq,
        condition=rule.text,
        value=values[shown] + 0.0,  # no -0.0: a database gives it back as 0.0
        constant=back[shown],
        previous=None if math.isnan(previous) else previous + 0.0,
        price=moment.price,
        source=moment.source,
        received_at=moment.received_at,
        gap_ms=moment.time - began + rule.hold,
        advice="info",
        channels=spec.channels,
        late=_ended_unseen(rule, before, began, moment.time),
        parts=_parts(rule, values, back),
        urgent=spec.urgent,
    )


def _first_back(rule: CompiledRule, values: Sequence[float]) -> int:
    """Which comparison the notice shows: the first that is over."""
    sides = zip(rule.shape.looks, values, rule.rearm, strict=True)
    return next(n for n, (look, value, at) in enumerate(sides) if (value < at if look.rises else value >= at))


def _constants(rule: CompiledRule) -> list[float]:
    """For each comparison where it is over, as people know it."""
    band = _band(rule.rule.spec.rearm)
    both = zip(rule.shape.looks, rule.constants, strict=True)
    return [at - abs(at) * band if look.rises else at + abs(at) * band for look, at in both]


@lru_cache
def _band(text: str) -> float:
    return parse_percent(text, where="rearm")


def _parts(rule: CompiledRule, values: Sequence[float], back: Sequence[float]) -> tuple[Part, ...]:
    if len(values) == 1:
        return ()
    three = zip(rule.parts, values, back, strict=True)
    return tuple(Part(text, None if math.isnan(value) else value + 0.0, at) for text, value, at in three)


def _ended_unseen(rule: CompiledRule, before: Sequence[LastKnown], began: int, time: int) -> bool:
    """Whether the condition was not known for longer than an observation stays current. What changes as time
    passes is known all the while."""
    last = last_decided(rule, before, "holds")
    if time - max(last.time, began) <= last.valid_for:
        return False
    return not any(catalogue()[call.name].timed for look in rule.shape.looks for call in calls(look.number))
