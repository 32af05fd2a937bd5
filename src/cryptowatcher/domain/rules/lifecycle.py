"""Where a rule stands for a pair, and what a known value does to that.

    unarmed ──first known value──► at rest ──turns true──► (pending ──held──►) inside ──back──► at rest
                                                                               └─ `once`: done

Unknown values never come here: they neither fire nor resolve.
"""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.alerts import AlertKind
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.model import Firing, LifecycleState


class Standing(msgspec.Struct, frozen=True):
    """What is kept of a (rule, pair) that is not at rest. `since` is the source's time, epoch ms; `clock` the
    pair's observed time when it became pending, ms."""

    state: LifecycleState
    since: int
    clock: int = 0


UNARMED = Standing("unarmed", 0)


def advance(
    rule: CompiledRule, standing: Standing | None, value: float, *, time: int, clock: int
) -> tuple[Standing | None, AlertKind | None]:
    """The next standing (None: at rest), and whether the rule's condition counts as met now.

    time:  the source's time of the observation, epoch ms
    clock: the pair's observed time, ms: it grows only between observations that follow one another closely
    """
    true = rule.is_true(value)
    if standing is None:
        return _met(rule, "edge", time=time, clock=clock) if true else (None, None)
    match standing.state:
        case "unarmed":
            if not true:
                return None, None
            if not rule.rule.spec.fire_if_already_true:
                return Standing("inside", time), None
            return _met(rule, "already", time=time, clock=clock)
        case "pending":
            if not true:
                return None, None
            if clock - standing.clock >= rule.hold:
                return _after_firing(rule, time), "edge"
        case "inside":
            if rule.is_back(value):
                return None, None
        case "done":
            pass
    return standing, None


def _met(
    rule: CompiledRule, kind: AlertKind, *, time: int, clock: int
) -> tuple[Standing | None, AlertKind | None]:
    """The condition turned true: fire at once, or first see whether it holds."""
    if rule.hold:
        return Standing("pending", time, clock), None
    return _after_firing(rule, time), kind


def _after_firing(rule: CompiledRule, time: int) -> Standing:
    return Standing("done" if rule.rule.spec.repeat == "once" else "inside", time)


def record_firing(rule: CompiledRule, before: Firing | None, *, pair: str, time: int) -> tuple[Firing, bool]:
    """The rule's memory after it fired, and whether cooldown held the alert back. `time` is the source's: a wall
    clock that was wrong for a while silences no rule."""
    if before is not None and before.fired and time - before.last_fired_at < rule.cooldown:
        return msgspec.structs.replace(before, suppressed=before.suppressed + 1), True
    fired = 1 if before is None else before.fired + 1
    firing = Firing(rule=rule.rule.id, pair=pair, last_fired_at=time, fired=fired, suppressed=0)
    return firing, False
