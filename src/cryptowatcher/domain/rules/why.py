"""Why a rule has not fired, or will not fire now: where it stands for a pair, and what is missing.

Numbers are those of the pair's newest observation; `rank` and what looks at other pairs are as of now.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
import numpy as np

from cryptowatcher.domain.hours import parse_hours
from cryptowatcher.domain.pairs import check_pair
from cryptowatcher.domain.rules.check import is_pair
from cryptowatcher.domain.rules.compiled import CompiledRule, Either, Formula
from cryptowatcher.domain.rules.engine import Engine, Place
from cryptowatcher.domain.rules.lifecycle import flaps_until, silent_until
from cryptowatcher.domain.rules.model import Firing, Rule, RuleSpec
from cryptowatcher.domain.rules.sides import NAMES, Glance, Side, Truth, side_of, word
from cryptowatcher.domain.rules.tree import Call
from cryptowatcher.domain.rules.truth import judge
from cryptowatcher.domain.ticks import Floats
from cryptowatcher.errors import ConfigError

State = Literal[
    "new", "paused", "expired", "not covered", "not among", "unarmed", "waiting", "pending", "inside", "done"
]
Met = Literal["fired", "held back", "already"]


class Why(msgspec.Struct, frozen=True, kw_only=True, rename=NAMES):
    """Where a rule stands for a pair. Times are epoch ms, stretches of time are ms.

    at:        the journal's time up to which this is so
    state:     `new`: the watcher has not come to it yet · `waiting`: armed, and the condition has not turned true
               · `not among`: not one of the n of `top(n)` · the others are those of the life-cycle, or say it
    since:     the source's time of the state, None where that is not kept
    met:       how a rule came to be inside: it fired, was held back by cooldown, or found the condition true
    missing:   pending: for how much observed time the condition must still hold
    condition: what is known of the whole condition, crossings counting while on their side
    any_part:  whether one of the parts is enough (`or`); None where `and` and `or` are mixed
    cooldown_until: it is silent until then, because it fired; `flaps`: that was too often. `quiet_until`: what it
               says waits until then, for its active hours; `snoozed_until`: what it says is recorded and not
               sent. None when that is not so
    suppressed: crossings that were held back since it last fired
    observed_at, age, price, source: of the pair's newest observation, None and "" where there is none; `stale`: it
               does not count as current any more
    watched:   for how long the pair was observed in all
    rank:      the pair's place by market cap, for a rule on `top`
    """

    rule: str
    name: str
    version: int
    pair: str
    at: int
    state: State
    since: int | None = None
    met: Met | None = None
    missing: int | None = None
    text: str
    condition: Truth = "unknown"
    any_part: bool | None = False
    parts: tuple[Side, ...] = ()
    cooldown_until: int | None = None
    flaps: bool = False
    quiet_until: int | None = None
    snoozed_until: int | None = None
    suppressed: int = 0
    fired: int = 0
    last_fired_at: int | None = None
    observed_at: int | None = None
    age: int | None = None
    stale: bool = False
    price: float | None = None
    source: str = ""
    watched: int = 0
    top: int = 0
    rank: float | None = None


def asked_pair(spec: RuleSpec, pair: str | None) -> str:
    """The pair that is asked about: the rule's only one, if none is named. ConfigError says that one must be."""
    if pair is not None:
        return check_pair(pair, where="pair")
    if len(spec.pairs) == 1 and is_pair(spec.pairs[0]):
        return spec.pairs[0]
    hint = "for example bitcoin/usd" if len(spec.pairs) == 1 else f"it looks at {', '.join(spec.pairs)}"
    raise ConfigError(f"the rule {spec.name!r} looks at several pairs: name one", where="pair", hint=hint)


def why(engine: Engine, rule: Rule, pair: str, *, snoozed_until: int | None = None) -> Why:
    """Asks an engine, and changes nothing. `rule`: as it is kept; the engine may not have come to it yet, and then
    answers for the version that it has."""
    place, now = engine.place(rule.id, pair), engine.memory.now
    if place is None:
        spec = rule.spec
        return Why(
            rule=rule.id, name=spec.name, version=rule.version, pair=pair, at=now, state="new", text=spec.when
        )
    compiled, glance = place.rule, Glance(engine.memory, pair)
    spec = compiled.rule.spec
    state, since = _state(place, glance)
    speaks = parse_hours(spec.active).next_active(now)
    return Why(
        rule=rule.id,
        name=spec.name,
        version=compiled.rule.version,
        pair=pair,
        at=now,
        state=state,
        since=since,
        met=_met(compiled, place.firing, since) if state in ("inside", "done") else None,
        missing=_missing(place, glance) if state == "pending" else None,
        text=compiled.text,
        condition=_truth(place, glance),
        any_part=_any_part(compiled.shape.formula),
        parts=tuple(side_of(place, number, glance) for number in range(len(compiled.parts))),
        quiet_until=speaks if speaks > now else None,
        snoozed_until=snoozed_until if snoozed_until and snoozed_until > now else None,
        top=compiled.top,
        rank=glance.value(Call("rank")) if compiled.top else None,
        **_firings(place, now),
        **glance.newest(),
    )


def _firings(place: Place, now: int) -> dict[str, Any]:
    """The fields of Why that tell when it fired."""
    firing = place.firing
    if firing is None or not firing.fired:
        return {}
    until = silent_until(place.rule, firing)
    return {
        "cooldown_until": until if until > now else None,
        "flaps": now < flaps_until(place.rule, firing) == until,
        "suppressed": firing.suppressed,
        "fired": firing.fired,
        "last_fired_at": firing.last_fired_at,
    }


def _state(place: Place, glance: Glance) -> tuple[State, int | None]:
    rule, standing = place.rule, place.standing
    if standing is not None and standing.state == "done":
        return "done", standing.since
    if rule.rule.spec.paused:
        return "paused", None
    if rule.expires and glance.memory.now > rule.expires:
        return "expired", rule.expires
    if not place.covered:
        return "not covered", None
    if not place.among:
        return "not among", None
    if standing is None:
        # A pair that is named and was never met has no entry yet.
        return ("unarmed" if glance.time is None else "waiting"), None
    return standing.state, standing.since or None


def _met(rule: CompiledRule, firing: Firing | None, since: int | None) -> Met:
    if firing is None or not firing.fired or since is None:
        return "already"
    if since == firing.last_fired_at:
        return "fired"
    silent = firing.last_fired_at < since < silent_until(rule, firing)
    return "held back" if firing.suppressed and silent else "already"


def _missing(place: Place, glance: Glance) -> int:
    standing = place.standing
    assert standing is not None, "it is pending"
    return max(0, place.rule.hold - (int(glance.memory.clock[glance.col]) - standing.clock))


def _truth(place: Place, glance: Glance) -> Truth:
    """Of the whole condition."""
    rule = place.rule
    values = [_array(glance.value(look.number)) for look in rule.shape.looks]
    before = [_array(known.value) for known in place.known]
    truth = judge(rule.shape, values, before, rule.fire, rule.rearm)
    return word(bool(truth.holds[0]), bool(truth.fails[0]))


def _any_part(formula: Formula) -> bool | None:
    if isinstance(formula, int):
        return False
    mixed = not all(isinstance(part, int) for part in formula.parts)
    return None if mixed else isinstance(formula, Either)


def _array(value: float | None) -> Floats:
    return np.asarray([math.nan if value is None else value])
