"""Where a rule stands for a pair, and what the truth of its condition at an observation does to that.

    unarmed ──first known──► at rest ──turns true──► (pending ──held──►) inside ──back──► at rest
                                                                         └─ `once`: done

Unknown neither fires nor resolves.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from cryptowatcher.domain.alerts import AlertKind
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.model import Firing, LifecycleState


class Standing(msgspec.Struct, frozen=True):
    """What is kept of a (rule, pair) that is not at rest.

    since: the source's time of the state, epoch ms
    clock: while pending, the pair's observed time (ms) from which on the condition counts as held
    blind: while pending, whether the condition was unknown at the observation before
    """

    state: LifecycleState
    since: int
    clock: int = 0
    blind: bool = False


UNARMED = Standing("unarmed", 0)


class Seen(NamedTuple):
    """What is known of a rule's condition at an observation, and when that was.

    time:   the source's, epoch ms
    clock:  the pair's observed time, ms: it grows only between observations that follow one another closely
    gained: how much of it this observation brought
    fired, holds, fails, back: see truth.Truth
    """

    time: int
    clock: int
    gained: int
    fired: bool
    holds: bool
    fails: bool
    back: bool


def advance(rule: CompiledRule, standing: Standing | None, seen: Seen) -> tuple[Standing | None, AlertKind | None]:
    """The next standing (None: at rest), and whether the rule's condition counts as met now."""
    if standing is None:
        return _met(rule, "edge", seen) if seen.fired else (None, None)
    match standing.state:
        case "unarmed":
            if seen.fails:
                return None, None
            if seen.holds and rule.rule.spec.fire_if_already_true:
                return _met(rule, "already", seen)
            if seen.holds:
                return Standing("inside", seen.time), None
        case "pending":
            return _held(rule, standing, seen)
        case "inside":
            if seen.back:
                return None, None
        case "done":
            pass
    return standing, None


def _met(rule: CompiledRule, kind: AlertKind, seen: Seen) -> tuple[Standing | None, AlertKind | None]:
    """The condition turned true: fire at once, or first see whether it holds."""
    if rule.hold:
        return Standing("pending", seen.time, seen.clock), None
    return _after_firing(rule, seen.time), kind


def _held(rule: CompiledRule, standing: Standing, seen: Seen) -> tuple[Standing | None, AlertKind | None]:
    """Time counts between two observations at both of which the condition was known to hold."""
    if seen.fails:
        return None, None
    if not seen.holds:
        return Standing("pending", standing.since, standing.clock + seen.gained, blind=True), None
    begun = standing.clock + seen.gained if standing.blind else standing.clock
    if seen.clock - begun >= rule.hold:
        return _after_firing(rule, seen.time), "edge"
    return (Standing("pending", standing.since, begun), None) if standing.blind else (standing, None)


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
