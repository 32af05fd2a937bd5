"""Kinds of rules: what those have in common that differ in name, owner, pairs and the numbers they compare with.

People's rules differ in little else, so a kind is parsed once, and a rule is its kind and its numbers. A rule
whose numbers cannot be told apart from the rest of its text is a kind of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.check import parse_percent
from cryptowatcher.domain.rules.compiled import Atom, CompiledRule, atoms_of, compile_rule, read, thresholds
from cryptowatcher.domain.rules.model import Rule, RuleOrigin, RuleSpec
from cryptowatcher.domain.rules.tree import Comparison, Number, comparisons, show_number
from cryptowatcher.domain.ticks import Floats
from cryptowatcher.errors import ConfigError

HOLE = "\x00"
"""Stands for a number in the text of a kind. No condition holds one."""

_COMPARED_WITH = re.compile(
    r"((?:[<>]=?|above|below) *)(-?[0-9]{1,25}(?:\.[0-9]{1,25})?)(%?)(?= *(?:\)|and\b|or\b|$))"
)
_LARGEST = 1e300
"""A number has at most 25 digits before the point: with moves below this no constant is infinite."""


Sides = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""Of a rule, for each comparison: the constant, where it fires, and where it re-arms."""


class Form(msgspec.Struct, frozen=True):
    """How one comparison's constants come from a rule's numbers. `number`: which of them, -1 for none: always
    those of `atom`. `text`: the comparison without the number."""

    atom: Atom
    number: int
    text: str


class Kind(msgspec.Struct, frozen=True):
    """Parsed once.

    spec:    without name and pairs, and with HOLE for each number in the condition
    origin:  of all its rules
    percent: for each number, whether it is one of percent; its value is that of `Number`
    rule:    one of its rules, for all that does not depend on name, owner, pairs and numbers
    forms:   for each comparison
    pieces:  of the condition around the numbers, and `text` as alerts show it
    band:    see RuleSpec.rearm
    """

    spec: RuleSpec
    origin: RuleOrigin
    percent: tuple[bool, ...]
    rule: CompiledRule
    forms: tuple[Form, ...]
    pieces: tuple[str, ...]
    text: tuple[str, ...]
    band: float

    def value(self, number: int, text: str) -> float:
        """Of a number as it is written, without its %."""
        return 0.0 + (float(Decimal(text).scaleb(-2)) if self.percent[number] else float(text))

    def shown(self, number: int, value: float) -> str:
        """As people are shown it, without its %."""
        return show_plainly(value, self.percent[number])

    def constants(
        self, values: Sequence[Any], after: Callable[[Any, float], Any]
    ) -> Iterator[tuple[Any, Any, Any]]:
        """For each comparison the constant, and where it fires and re-arms: floats, by the values of the rule's
        numbers; or columns of many rules, by columns (what all rules of the kind share stays a float)."""
        for form in self.forms:
            atom = form.atom
            if form.number < 0:
                yield atom.constant, atom.fire, atom.rearm
                continue
            against = values[form.number]
            for move in atom.moves:
                against = against + move
            yield against, *thresholds(atom.op, against, self.band, atom.slack, after)

    def made(
        self, rule: Rule, shown: Sequence[str], sides: Sides, *, everywhere: bool, top: int, pairs: tuple[str, ...]
    ) -> CompiledRule:
        """What compile_rule(rule) gives. `shown`: its numbers as people are shown them."""
        constants, fire, rearm = sides
        common = self.rule
        return CompiledRule(
            rule=rule,
            text=filled(self.text, shown),
            shape=common.shape,
            fire=fire,
            rearm=rearm,
            constants=constants,
            parts=tuple([form.text if form.number < 0 else form.text + shown[form.number] for form in self.forms]),
            since=common.since,
            hold=common.hold,
            cooldown=common.cooldown,
            everywhere=everywhere,
            pairs=pairs,
            top=top,
            expires=common.expires,
        )

    def sides(self, values: Sequence[float]) -> Sides:
        """Of one rule, by its numbers."""
        constants, fire, rearm = zip(*self.constants(values, math.nextafter), strict=True)
        return constants, fire, rearm

    def said_many(
        self, values: Floats, rules: int
    ) -> tuple[list[str], list[tuple[str, ...]], list[tuple[float, ...]]]:
        """Of so many rules `text`, `parts` (none where there is one comparison) and `constants`: see CompiledRule.
        `values`: a column for each number."""
        shown = [self._shown_many(number, column) for number, column in enumerate(values)]
        texts = [filled(self.text, each) for each in zip(*shown, strict=True)] if shown else [self.text[0]] * rules
        sides = self.constants(list(values), np.nextafter)
        constants = [np.broadcast_to(constant, rules).tolist() for constant, _, _ in sides]
        parts = [
            [form.text] * rules if form.number < 0 else [form.text + text for text in shown[form.number]]
            for form in self.forms
        ]
        several: list[tuple[str, ...]] = [*zip(*parts, strict=True)] if len(parts) > 1 else [()] * rules
        return texts, several, [*zip(*constants, strict=True)]

    def _shown_many(self, number: int, column: Floats) -> list[str]:
        """With its %. People write the same numbers again and again."""
        sign = "%" if self.percent[number] else ""
        distinct, which = np.unique(column, return_inverse=True)
        texts = [self.shown(number, value) + sign for value in distinct.tolist()]
        return [texts[each] for each in which.tolist()]


def show_plainly(value: float, percent: bool) -> str:
    """A number as people are shown it, without its %."""
    text = repr(value)
    if not percent and "e" not in text:
        return text.removesuffix(".0")
    return show_number(Number(value, percent=percent)).removesuffix("%")


def filled(pieces: Sequence[str], texts: Sequence[str]) -> str:
    """A text with these numbers between its pieces."""
    both = [""] * (2 * len(texts) + 1)
    both[::2], both[1::2] = pieces, texts
    return "".join(both)


def cut(spec: RuleSpec) -> tuple[RuleSpec, tuple[str, ...]]:
    """What a rule has in common with others, and the numbers of its condition."""
    parts = _COMPARED_WITH.split(spec.when)
    texts = tuple(parts[2::4])
    parts[2::4] = [HOLE] * len(texts)
    return msgspec.structs.replace(spec, name="", pairs=(), when="".join(parts)), texts


def whole(spec: RuleSpec) -> RuleSpec:
    """The same with the numbers left in."""
    return msgspec.structs.replace(spec, name="", pairs=())


@lru_cache(4096)
def kind_of(spec: RuleSpec, origin: RuleOrigin) -> Kind | None:
    """The kind of rules that this is left of. None where numbers cannot be told apart from the rest: then it is
    to be made of the whole text. ConfigError for a text that is not understood."""
    pieces = spec.when.split(HOLE)
    percent = tuple(piece.startswith("%") for piece in pieces[1:])
    one = msgspec.structs.replace(spec, when="1".join(pieces), pairs=(ALL,))
    try:
        rule = compile_rule(Rule(id="", owner="", version=0, spec=one, origin=origin))
    except ConfigError:
        if percent:
            return None
        raise
    condition = read(one.when)
    band = parse_percent(spec.rearm, where="rearm")
    atoms, said = atoms_of(condition, band)[1], list(comparisons(condition))
    numbers = _numbers(said, percent) if percent else [-1] * len(atoms)
    if numbers is None or (percent and not _told_apart(atoms, said)):
        return None
    ones = [str(each.right) for each in said] if percent else []
    forms = tuple(
        Form(atom, number, atom.text if number < 0 else atom.text.removesuffix(one))
        for atom, number, one in zip(atoms, numbers, ones or [""] * len(atoms), strict=True)
    )
    return Kind(spec, origin, percent, rule, forms, tuple(pieces), _pieces(rule.text, said, numbers), band)


def _numbers(said: Sequence[Comparison], percent: Sequence[bool]) -> list[int] | None:
    """For each comparison, which of the numbers that were cut out it has on its right side; -1 for none. None
    where others look the same."""
    ones = [Number(1.0), Number(0.01, percent=True)]
    holes = [comparison.right for comparison in said if comparison.right in ones]
    if holes != [ones[each] for each in percent]:
        return None
    found = iter(range(len(holes)))
    return [next(found) if comparison.right in ones else -1 for comparison in said]


def _told_apart(atoms: Sequence[Atom], said: Sequence[Comparison]) -> bool:
    """Whether a number on the right makes one constant and nothing else."""
    if len(atoms) != len(said):
        return False
    return all(not atom.since and sum(map(abs, atom.moves)) < _LARGEST for atom in atoms)


def _pieces(text: str, said: Sequence[Comparison], numbers: Sequence[int]) -> tuple[str, ...]:
    """The text of a condition without the numbers that were cut out of it."""
    pieces, start, place = [], 0, 0
    for comparison, number in zip(said, numbers, strict=False):
        place = text.index(str(comparison), place) + len(str(comparison))
        if number >= 0:
            pieces.append(text[start : place - len(str(comparison.right))])
            start = place
    return (*pieces, text[start:])
