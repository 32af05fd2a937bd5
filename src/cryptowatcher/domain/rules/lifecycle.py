"""Where a rule stands for a pair, and what the truth of its condition at an observation does to that.

    unarmed ──first known──► at rest ──turns true──► (pending ──held──►) inside ──back──► at rest
                                                                         └─ `once`: done

Unknown neither fires nor resolves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import AlertKind
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.model import Firing, LifecycleState
from cryptowatcher.domain.rules.truth import judge


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


def record_firing(
    rule: CompiledRule, before: Firing | None, *, pair: str, time: int, price: float
) -> tuple[Firing, bool]:
    """The rule's memory after it fired, and whether the alert is held back: by cooldown, or because it fires too
    often. AT_ONCE alerts are let through, and then one for each EACH ms that pass. `time` is the source's: a wall
    clock that was wrong for a while silences no rule. `price`: of the pair."""
    price, version = (price, rule.rule.version) if rule.reanchors else (0.0, 0)
    if before is not None and time < silent_until(rule, before):
        held_back = before.suppressed + 1
        return msgspec.structs.replace(before, suppressed=held_back, price=price, version=version), True
    firing = Firing(
        rule=rule.rule.id,
        pair=pair,
        last_fired_at=time,
        fired=1 if before is None else before.fired + 1,
        suppressed=0,
        busy_until=max(time, before.busy_until if before is not None else 0) + EACH,
        price=price,
        version=version,
    )
    return firing, False


AT_ONCE: Final = 30
EACH: Final = 120_000
"""ms. Where prices come once a minute no rule is held back: it fires every other minute at most."""


def silent_until(rule: CompiledRule, firing: Firing) -> int:
    """The source's time from which the rule may fire again for the pair, epoch ms."""
    return max(firing.last_fired_at + rule.cooldown if firing.fired else 0, flaps_until(rule, firing))


def flaps_until(rule: CompiledRule, firing: Firing) -> int:
    """The same, if it were only for how often it fired. The watcher's own canary fires as often as it is told."""
    return 0 if rule.rule.owner == SYSTEM_OWNER else firing.busy_until - (AT_ONCE - 1) * EACH


def counted_anew(rule: CompiledRule, standing: Standing | None, values: Sequence[float]) -> Standing | None:
    """Where a rule stands after a firing that its constants followed (`rule` is as it is from then on): armed at
    once, if its condition is over by them. `values`: of its numbers."""
    if standing is None or standing.state != "inside":
        return standing
    now = [np.asarray([value]) for value in values]
    return None if judge(rule.shape, now, now, rule.fire, rule.rearm).back[0] else standing
