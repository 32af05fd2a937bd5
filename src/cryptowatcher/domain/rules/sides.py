"""The comparisons of a rule for one pair: what each looks at now, how far it is from turning true, and why
something is unknown. A comparison is told by its two sides as they are written, whatever the engine makes of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import numpy as np

from cryptowatcher.domain.features import Unit, catalogue
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.rules.check import parse_percent
from cryptowatcher.domain.rules.compiled import CompiledRule, Look, read
from cryptowatcher.domain.rules.engine import Place
from cryptowatcher.domain.rules.numbers import Values
from cryptowatcher.domain.rules.tree import Apply, Arithmetic, Call, Comparison, Expression, Negative, Number
from cryptowatcher.domain.rules.units import constant, kind_of

Truth = Literal["holds", "fails", "unknown"]
Reason = Literal["unseen", "short", "gap", "unsaid", "other"]

NAMES = {
    name: f"{name}_ms"
    for name in ("at", "since", "missing", "cooldown_until", "quiet_until", "snoozed_until", "last_fired_at",
                 "observed_at", "age", "watched", "known_at", "needs")
}  # fmt: skip
"""Programs read times and stretches of time under names that end in `_ms`, as everywhere."""


class Input(msgspec.Struct, frozen=True, kw_only=True, rename=NAMES):
    """A feature that a comparison looks at.

    text:   as it is written: `sma(200, 1d)`
    unit:   what it is of; a `fraction` is written in percent, `time` is ms
    value:  None where it is unknown, and `reason` then says why:
            `unseen`: the pair was never observed · `short`: watched for less than the `needs_ms` it looks back
            on · `gap`: not enough of what it looks back on was watched · `unsaid`: the source does not say it ·
            `other`: another pair that it looks at is not observed, or not any more
    others: those pairs
    """

    text: str
    unit: Unit
    value: float | None
    reason: Reason | None = None
    needs: int = 0
    others: tuple[str, ...] = ()


class Side(msgspec.Struct, frozen=True, kw_only=True, rename=NAMES):
    """One comparison of a condition, `not` worked out.

    of, against: its sides as they are written, and `unit`: what they are of
    left, right: their values now, None where unknown
    fixed:       whether the right side is a constant
    rises:       whether it turns true by the left side going up; `strict`: beyond, not at the right side
    crossing:    whether it must turn true at the very observation (`crosses` among other comparisons)
    distance:    right - left: how far the left side has to go, or how far it is beyond
    relative:    that as a share of the left side, None where that is 0
    rearm:       the left side's value from which it is over, a band behind `right`
    known_at:    the source's time of the last observation at which it was known, epoch ms
    """

    text: str
    of: str
    against: str
    unit: Unit
    truth: Truth
    left: float | None
    right: float | None
    fixed: bool
    rises: bool
    strict: bool
    crossing: bool
    distance: float | None
    relative: float | None
    rearm: float | None
    known_at: int | None
    inputs: tuple[Input, ...]


class Glance:
    """At one pair of a memory. Without an observation every number is unknown; asking adds no pair."""

    def __init__(self, memory: Memory, pair: str) -> None:
        self.memory = memory
        self.col = memory.universe.column(pair) if pair in memory.universe else len(memory)
        seen = self.col < len(memory) and not math.isnan(memory.history.price[self.col])
        self.time = int(memory.history.time[self.col]) if seen else None
        self._values = Values(memory, np.asarray([self.col], np.int64))

    def newest(self) -> dict[str, Any]:
        """The fields of Why that tell of the newest observation."""
        if self.time is None:
            return {}
        return {
            "observed_at": self.time,
            "age": self.memory.now - self.time,
            "stale": self.memory.now - self.time > int(self.memory.history.valid_for[self.col]),
            "price": float(self.memory.history.price[self.col]),
            "source": self.memory.source_of(self.col),
            "watched": int(self.memory.clock[self.col]),
        }

    def value(self, expression: Expression) -> float | None:
        """None where it is unknown."""
        fixed = constant(expression)
        if fixed is not None:
            return fixed
        if self.time is None:
            return None
        value = float(self._values.of(expression)[0])
        return value if math.isfinite(value) else None

    def current(self, pair: str) -> bool:
        """Whether another pair was observed, and lately enough for this one."""
        other = Glance(self.memory, pair)
        if other.time is None or self.time is None:
            return False
        return self.time - other.time <= int(self.memory.history.valid_for[other.col])


def side_of(place: Place, number: int, glance: Glance) -> Side:
    """One of a rule's comparisons, by its place."""
    rule, look, known = place.rule, place.rule.shape.looks[number], place.known[number]
    comparison = read(rule.parts[number])
    assert isinstance(comparison, Comparison), "a part is a comparison"
    value = glance.value(look.number)
    left, right = glance.value(comparison.left), glance.value(comparison.right)
    over = value is not None and value >= rule.fire[number]
    distance = None if left is None or right is None else right - left
    return Side(
        text=rule.parts[number],
        of=str(comparison.left),
        against=str(comparison.right),
        unit=_unit(comparison),
        truth="unknown" if value is None else word(over == look.rises, over != look.rises),
        left=left,
        right=right,
        fixed=constant(comparison.right) is not None,
        rises=look.rises,
        strict=comparison.op in ("<", ">"),
        crossing=look.pulse,
        distance=distance,
        relative=distance / abs(left) if distance is not None and left else None,
        rearm=_rearm(rule, number, look, comparison, right),
        known_at=known.time or None,
        inputs=tuple(_input(call, glance) for call in dict.fromkeys(_features(comparison))),
    )


def _rearm(
    rule: CompiledRule, number: int, look: Look, comparison: Comparison, right: float | None
) -> float | None:
    """The engine may compare a ratio, or what is left after constants were moved over: said for the left side."""
    if right is None:
        return None
    fired = rule.constants[number]
    band = abs(fired) * parse_percent(rule.rule.spec.rearm, where="rearm")
    again = fired - band if look.rises else fired + band
    by_ratio = (
        isinstance(look.number, Arithmetic) and look.number.op == "/" and look.number.left == comparison.left
    )
    if constant(comparison.right) is None and by_ratio:
        return _rounded(right * again / fired)
    return _rounded(right + (again - fired))


def _rounded(value: float) -> float:
    """Without what binary makes of decimals."""
    return float(f"{value:.12g}")


def _features(node: Comparison | Expression) -> Iterator[Call]:
    """From left to right, without those inside the brackets of others."""
    match node:
        case Call():
            yield node
        case Comparison() | Arithmetic():
            yield from _features(node.left)
            yield from _features(node.right)
        case Negative():
            yield from _features(node.of)
        case Apply():
            for each in node.args:
                yield from _features(each)


def _unit(comparison: Comparison) -> Unit:
    """Of both sides. What is compared with a percentage is a share, whatever it was made of."""
    if isinstance(comparison.right, Number) and comparison.right.percent:
        return "fraction"
    kind = kind_of(comparison.left, catalogue())
    return kind if kind in ("price", "money", "fraction", "time") else "number"


def _input(call: Call, glance: Glance) -> Input:
    value = glance.value(call)
    reason, needs, others = (None, 0, ()) if value is not None else _reason(call, glance)
    unit = kind_of(call, catalogue())
    return Input(
        text=str(call),
        unit=unit if unit in ("price", "money", "fraction", "time") else "number",
        value=value,
        reason=reason,
        needs=needs,
        others=others,
    )


def _reason(call: Call, glance: Glance) -> tuple[Reason, int, tuple[str, ...]]:
    """Why it is unknown; how much of the past it needs, and which other pairs, where it is that."""
    if glance.time is None:
        return "unseen", 0, ()
    function = catalogue()[call.name]
    missed = tuple(pair for pair in function.reads(call.args) if not glance.current(pair))
    if missed:
        return "other", 0, missed
    if _is_unsaid(call, glance):
        return "unsaid", 0, ()
    needs = function.needs(call.args)
    if int(glance.memory.clock[glance.col]) < needs:
        return "short", needs, ()
    return ("gap", needs, ()) if needs else ("other", 0, ())


def _is_unsaid(call: Call, glance: Glance) -> bool:
    """Volumes and capitalisations are known as far as a source says them."""
    if call.name == "rank":
        return glance.value(Call("market_cap")) is None
    inner = [arg for arg in call.args if isinstance(arg, Call)]
    asked = inner[0] if inner else call
    return catalogue()[asked.name].unit == "money" and glance.value(asked) is None


def word(holds: bool, fails: bool) -> Truth:
    """Neither is unknown."""
    return "holds" if holds else "fails" if fails else "unknown"
