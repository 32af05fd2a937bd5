"""What is known of a condition, element by element: the axis may be rules, pairs or time.

Each value makes an atom known true, known false, or neither (unknown). `and` is known false where one part is,
`or` known true where one part is; else unknown stays unknown: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.rules.compiled import Each, Formula, Shape
from cryptowatcher.domain.ticks import Floats, Ints

Bools = NDArray[np.bool_]
Constants = Sequence[Floats | float]
"""For each atom of a shape one constant, or one an element."""


class Truth(NamedTuple):
    """fired: known to hold, crossings just now · holds, fails: known to (crossings count while on their side)
    · back: known to fail even with every constant a band further back"""

    fired: Bools
    holds: Bools
    fails: Bools
    back: Bools


def judge(
    shape: Shape, values: Sequence[Floats], before: Sequence[Floats | None], fire: Constants, rearm: Constants
) -> Truth:
    """The truth of a shape's rules, by the values of its numbers now and, where `crosses` asks, last known."""
    true: list[Bools] = []
    false: list[Bools] = []
    pulse: list[Bools] = []
    back: list[Bools] = []
    with np.errstate(invalid="ignore"):
        for look, value, last, at, again in zip(shape.looks, values, before, fire, rearm, strict=True):
            over, under = value >= at, value < at
            true.append(over if look.rises else under)
            false.append(under if look.rises else over)
            back.append(value < again if look.rises else value >= again)
            if look.pulse:
                assert last is not None, "a crossing is judged by what was before"
                pulse.append(true[-1] & (last < at if look.rises else last >= at))
            else:
                pulse.append(true[-1])
    return Truth(
        fired=_known(shape.formula, pulse, true=True),
        holds=_known(shape.formula, true, true=True),
        fails=_known(shape.formula, false, true=False),
        back=_known(shape.formula, back, true=False),
    )


class Atoms(NamedTuple):
    """All comparisons of some rules, rule after rule.

    Of each rule where its own `start`, how many `looks` it has, and how they are `joined` (the number of a
    formula); of each comparison which `rule` has it, the `seat` of what it looks at, whether it `rises` or is
    a `pulse` (see compiled.Look), and its constants.
    """

    start: Ints
    looks: NDArray[np.int32]
    joined: NDArray[np.int32]
    rule: Ints
    seat: NDArray[np.int32]
    rises: Bools
    pulse: Bools
    fire: Floats
    rearm: Floats


ALL, ANY = 0, 1
"""Formulas with these numbers: every comparison holds, one of them does."""


def judge_many(
    atoms: Atoms, formulas: Iterable[tuple[Formula, Ints]], values: Floats, before: Floats | None
) -> Truth:
    """What judge() says of each of these rules, whatever their shapes. `formulas`: those that are neither ALL nor
    ANY, and which of the rules have each."""
    at, rises = atoms.fire, atoms.rises
    with np.errstate(invalid="ignore"):
        over, under = values >= at, values < at
        true, false = np.where(rises, over, under), np.where(rises, under, over)
        back = np.where(rises, values < atoms.rearm, values >= atoms.rearm)
        crossed = true
        if before is not None:
            crossed = true & (~atoms.pulse | np.where(rises, before < at, before >= at))
    any_of, every = atoms.joined == ANY, atoms.looks
    # So many of a rule's comparisons make it hold, and so many make it fail.
    to_hold, to_fail = np.where(any_of, 1, every), np.where(any_of, every, 1)
    holds = _enough(atoms, true, to_hold)
    truth = Truth(
        fired=holds.copy() if crossed is true else _enough(atoms, crossed, to_hold),
        holds=holds,
        fails=_enough(atoms, false, to_fail),
        back=_enough(atoms, back, to_fail),
    )
    for formula, rules in formulas:
        places = atoms.start[rules] + np.arange(atoms.looks[rules[0]])[:, np.newaxis]
        for column, each in zip(truth, (crossed, true, false, back), strict=True):
            column[rules] = _known(formula, list(each[places]), true=each is crossed or each is true)
    return truth


def _enough(atoms: Atoms, each: Bools, needed: Ints) -> Bools:
    """Which rules have so many of their comparisons among these. Sums are differences of one sum over all: a sum
    rule by rule takes several times as long."""
    if len(atoms.start) == len(each):
        return each.copy()
    before = np.zeros(len(each) + 1, np.int32)
    np.cumsum(each, out=before[1:])
    enough: Bools = before.take(atoms.start + atoms.looks) - before.take(atoms.start) >= needed
    return enough


def _known(formula: Formula, atoms: Sequence[Bools], *, true: bool) -> Bools:
    """Where the formula is known to be true (or false), by where its atoms are."""
    if isinstance(formula, int):
        return atoms[formula]
    join: Callable[[Bools, Bools], Bools] = np.logical_and if isinstance(formula, Each) == true else np.logical_or
    first, *others = (_known(part, atoms, true=true) for part in formula.parts)
    for other in others:
        first = join(first, other)
    return first
