"""A rule made ready for the engine: comparisons become `x >= t` on numbers that all rules share, and a formula.

An atom that rises is true where x >= fire; one that falls is true where x < fire. Its side with a band (`rearm`)
is the same comparison with the constant a band further back. `not` goes down into the comparisons.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from cryptowatcher.domain.hours import parse_expires
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.check import parse_percent, parse_top
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.numbers import is_fraction, never_negative
from cryptowatcher.domain.rules.since import PRICE, both_ways, counted_from, counts_from, least_price
from cryptowatcher.domain.rules.tree import (
    And,
    Arithmetic,
    Comparison,
    Condition,
    Expression,
    Not,
    Number,
    Operator,
    Or,
)
from cryptowatcher.domain.rules.units import constant, factor_of
from cryptowatcher.domain.rules.watchlists import pairs_of
from cryptowatcher.domain.ticks import Floats

# (price - reference) / reference misses exactly 5 % for many decimal prices by the last bit of a float.
SLACK = 1e-12
_RISING: Final = (">", ">=", "crosses above")
BEYOND: Final = (">", "<=", "crosses below")
"""These change sides at the next float above the constant: `<=` is true where x < that."""
_OPPOSITE: dict[Operator, Operator] = {"<": ">=", ">=": "<", ">": "<=", "<=": ">"}


class Look(msgspec.Struct, frozen=True):
    """What an atom looks at, and which way it becomes true. `pulse`: true only as it does (`crosses`)."""

    number: Expression
    rises: bool
    pulse: bool


class Each(msgspec.Struct, frozen=True):
    """True where all parts are."""

    parts: tuple[Formula, ...]


class Either(msgspec.Struct, frozen=True):
    """True where one part is."""

    parts: tuple[Formula, ...]


Formula = int | Each | Either
"""An int is an atom, by its place."""


class Shape(msgspec.Struct, frozen=True):
    """What rules have in common that differ in their constants only: they are evaluated together."""

    looks: tuple[Look, ...]
    formula: Formula


class CompiledRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with everything parsed. Durations in ms.

    text:       the condition as alerts show it
    shape:      what it looks at
    fire:       for each atom of the shape the constant t of `x >= t`
    rearm:      the same a band further back
    constants:  the same as people know it, and `parts` as they know the comparisons
    since:      for each atom the price from which it counts the change, 0.0 where it compares the number itself
    everywhere: whether it is on all pairs, or on the `top` largest of them (0: not)
    pairs:      those that it is on, where it is not everywhere
    expires:    epoch ms from which on it does not fire, 0 for never
    """

    rule: Rule
    text: str
    shape: Shape
    fire: tuple[float, ...]
    rearm: tuple[float, ...]
    constants: tuple[float, ...]
    parts: tuple[str, ...]
    since: tuple[float, ...]
    hold: int
    cooldown: int
    everywhere: bool
    pairs: tuple[str, ...]
    top: int
    expires: int

    @property
    def reanchors(self) -> bool:
        """Whether each of its alerts moves its constants."""
        return any(self.since)


class Atom(msgspec.Struct, frozen=True):
    """One comparison made ready. Fields: see CompiledRule.

    op, slack: how it is compared, and by how much a share may miss the constant
    moves:     what was added to the number on the right, in turn, to get the constant
    """

    look: Look
    fire: float
    rearm: float
    constant: float
    text: str
    op: Operator
    slack: float
    moves: tuple[float, ...]
    since: float = 0.0


def read(text: str) -> Condition:
    """What `parse` gives for a text that it has accepted before, in a tenth of the time where only the last number
    is new: people's rules differ in little else, and a start reads them all."""
    match = _ENDS_IN_A_NUMBER.fullmatch(text)
    if match is None or float(match[2]) == 0:  # 0 goes with everything, 1 does not
        return _parsed(text)
    condition = _parsed(f"{match[1]}1{match[3]}")
    if not isinstance(condition, Comparison) or condition.right != Number(
        1.0 / (100 if match[3] else 1), bool(match[3])
    ):
        return _parsed(text)
    value = float(Decimal(match[2]).scaleb(-2)) if match[3] else float(match[2])
    return Comparison(condition.op, condition.left, Number(0.0 + value, percent=bool(match[3])))


_ENDS_IN_A_NUMBER = re.compile(r"(.*(?:[<>]=?|above|below) *)(-?[0-9]{1,25}(?:\.[0-9]{1,25})?)(%?)")
_parsed = lru_cache(4096)(parse)


def compile_rule(rule: Rule, *, since: float = 0.0) -> CompiledRule:
    """Parse everything. The spec has passed check_spec. `since`: the price of its last alert, 0.0 for none yet."""
    spec = rule.spec
    condition = counted_from(read(spec.when), since) if since else read(spec.when)
    formula, atoms = atoms_of(condition, parse_percent(spec.rearm, where="rearm"))
    top = parse_top(spec.pairs[0]) or 0
    return CompiledRule(
        rule=rule,
        text=str(condition),
        shape=Shape(tuple(atom.look for atom in atoms), formula),
        fire=tuple(atom.fire for atom in atoms),
        rearm=tuple(atom.rearm for atom in atoms),
        constants=tuple(atom.constant for atom in atoms),
        parts=tuple(atom.text for atom in atoms),
        since=tuple(atom.since for atom in atoms),
        hold=parse_duration(spec.for_, where="for"),
        cooldown=parse_duration(spec.cooldown, where="cooldown"),
        everywhere=spec.pairs == (ALL,) or bool(top),
        pairs=pairs_of(rule),
        top=top,
        expires=parse_expires(spec.expires) or 0,
    )


def atoms_of(condition: Condition, band: float) -> tuple[Formula, list[Atom]]:
    """The formula, and its atoms from left to right."""
    atoms: list[Atom] = []
    alone = isinstance(condition, Comparison)
    return _formula(condition, lambda comparison: _atom(comparison, band, alone=alone), atoms), atoms


def _formula(condition: Condition, atom: Callable[[Comparison], Atom], atoms: list[Atom]) -> Formula:
    """The formula; its atoms are added."""
    if isinstance(condition, Not):
        return _formula(_denied(condition.of), atom, atoms)
    if isinstance(condition, Comparison):
        ways = both_ways(condition)
        if ways != condition:
            return _formula(ways, atom, atoms)
        atoms.append(atom(condition))
        return len(atoms) - 1
    parts = tuple(_formula(part, atom, atoms) for part in condition.parts)
    return Each(parts) if isinstance(condition, And) else Either(parts)


def _denied(condition: Condition) -> Condition:
    """The opposite, without `not`. There is no `crosses` below one."""
    match condition:
        case Not():
            return condition.of
        case Comparison():
            return Comparison(_OPPOSITE[condition.op], condition.left, condition.right)
        case And():
            return Or(tuple(map(_denied, condition.parts)))
        case _:
            return And(tuple(map(_denied, condition.parts)))


def _atom(comparison: Comparison, band: float, *, alone: bool) -> Atom:
    """A comparison on its own fires when it turns true anyway, so there `crosses` is no more than a comparison."""
    number, against, moves = _sides(comparison)
    slack = SLACK if is_fraction(number) or _in_percent(comparison) else 0.0
    rises = comparison.rises
    fire, rearm = thresholds(comparison.op, against, band, slack)
    since = counts_from(number)
    if since:
        number, fire, rearm = PRICE, least_price(since, fire), least_price(since, rearm)
    return Atom(
        look=Look(number, rises, pulse=comparison.op.startswith("crosses") and not alone),
        fire=fire,
        rearm=rearm,
        constant=against,
        text=str(comparison),
        op=comparison.op,
        slack=slack,
        moves=moves,
        since=since,
    )


def _sides(comparison: Comparison) -> tuple[Expression, float, tuple[float, ...]]:
    """The number it looks at, the constant that is compared with, and what was added to that.

    Two features are compared by their ratio where the right one is never negative (unknown where it is 0), so that
    a band means something; for floats above 0, a >= b is a / b >= 1 exactly. Else by their difference.
    """
    left, against = comparison.left, constant(comparison.right)
    if against is None:
        factor, right = factor_of(comparison.right)
        if never_negative(right) and factor > 0:
            return Arithmetic("/", left, right), factor, ()
        return Arithmetic("-", left, comparison.right), 0.0, ()
    moves: tuple[float, ...] = ()
    while isinstance(left, Arithmetic) and left.op in "+-" and (moved := constant(left.right)) is not None:
        move = -moved if left.op == "+" else moved
        if not math.isfinite(against + move):
            break
        left, against, moves = left.left, against + move, (*moves, move)
    return left, against, moves


def _in_percent(comparison: Comparison) -> bool:
    return isinstance(comparison.right, Number) and comparison.right.percent


Sided = TypeVar("Sided", float, Floats)


def thresholds(
    op: Operator,
    against: Sided,
    band: float,
    slack: float,
    after: Callable[[Any, float], Any] = math.nextafter,
) -> tuple[Sided, Sided]:
    """Where a comparison with this constant fires, and where it re-arms. For columns `after` is np.nextafter."""
    back = abs(against) * band
    fire = _side(op, against, slack, after)
    return fire, _side(op, against - back if op in _RISING else against + back, slack, after)


def _side(op: Operator, against: Sided, slack: float, after: Callable[[Any, float], Any]) -> Sided:
    """The t of `x >= t` at which the comparison with this constant changes sides.

    A share that misses the constant by no more than the slack is equal to it: `<=` holds, `<` does not.
    """
    if op in BEYOND:
        beyond: Sided = after(against + slack, math.inf)
        return beyond
    return against - slack
