"""Rules of many kinds as columns: how many are dealt with at once.

People's rules are of few kinds, but a page of them has a rule or two of each: so they are not dealt with kind by
kind, but all comparisons of all of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.pairs import Universe
from cryptowatcher.domain.rules.compiled import BEYOND
from cryptowatcher.domain.rules.kinds import Form, Kind
from cryptowatcher.domain.rules.roll import Segment, distinct
from cryptowatcher.domain.rules.rows import Pools
from cryptowatcher.domain.rules.singles import Singles
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import ConfigError

Living = tuple[Ints, Segment, Ints]
"""Slots of rules that are there, their segment, and their rows in it."""


class Comparisons(NamedTuple):
    """All comparisons of some rules, rule after rule: which rule, at which place of its formula, and where it
    fires and re-arms."""

    rule: Ints
    place: Ints
    fire: Floats
    rearm: Floats


class Many(NamedTuple):
    """Rules of one segment, none of them paused: their slots, the columns of the only pair that each is on
    (SEVERAL: it is not on one), and which of the kinds each is of."""

    slots: Ints
    cols: Ints
    kinds: list[Kind]
    which: Ints
    rows: Ints
    segment: Segment

    def only(self, rules: NDArray[np.bool_]) -> Many:
        """Those of them."""
        used, which = distinct(self.which[rules])
        kinds = [self.kinds[kind] for kind in used.tolist()]
        return Many(self.slots[rules], self.cols[rules], kinds, which, self.rows[rules], self.segment)

    def comparisons(self) -> Comparisons:
        """Where they fire and re-arm: what Kind.sides() says of each, bit for bit."""
        forms = [form for kind in self.kinds for form in kind.forms]
        bands = [kind.band for kind in self.kinds for _ in kind.forms]
        count = np.asarray([len(kind.forms) for kind in self.kinds])
        rule = np.repeat(np.arange(len(self.which)), count[self.which])
        place = np.arange(len(rule)) - (np.cumsum(count[self.which]) - count[self.which])[rule]
        form = (np.cumsum(count) - count)[self.which][rule] + place
        fire, rearm = _sides(forms, np.asarray(bands), form, self._numbers(forms, rule, form))
        return Comparisons(rule, place, fire, rearm)

    def _numbers(self, forms: Sequence[Form], rule: Ints, form: Ints) -> Floats:
        """What each comparison compares with; anything where no number of the rule's is that."""
        number = np.asarray([form.number for form in forms])[form]
        there = np.flatnonzero(number >= 0)
        numbers = np.zeros(len(rule))
        numbers[there] = self.segment.numbers(self.rows[rule[there]], number[there])
        return numbers


def _sides(forms: Sequence[Form], band: Floats, form: Ints, against: Floats) -> tuple[Floats, Floats]:
    """Where comparisons of these forms fire and re-arm that compare with these numbers: compiled.thresholds()."""
    atoms = [each.atom for each in forms]
    for moves in zip_longest(*(atom.moves for atom in atoms), fillvalue=0.0):
        against = against + np.asarray(moves)[form]
    back = abs(against) * band[form]
    rises, beyond, fixed = (
        np.asarray(column)[form]
        for column in (
            [atom.look.rises for atom in atoms],
            [atom.op in BEYOND for atom in atoms],
            [each.number < 0 for each in forms],
        )
    )
    slack, fire, rearm = np.asarray([(atom.slack, atom.fire, atom.rearm) for atom in atoms]).reshape(-1, 3).T
    over = np.where(rises, against - back, against + back)
    at, again = (np.where(beyond, np.nextafter(x + slack[form], np.inf), x - slack[form]) for x in (against, over))
    return np.where(fixed, fire[form], at), np.where(fixed, rearm[form], again)


def many(pools: Pools, singles: Singles, living: Iterable[Living], universe: Universe) -> Iterator[Many]:
    """Rules by segment, without those that are paused. Their kinds are understood: see misread()."""
    for mine, segment, rows in living:
        numbers, which = distinct(segment.kind[rows])
        kinds = list(map(pools.kind, numbers.tolist()))
        goes = np.flatnonzero(~np.asarray([kind.spec.paused for kind in kinds], np.bool_)[which])
        if len(goes):
            rows = rows[goes]
            yield Many(mine[goes], singles.cols(segment.on[rows], universe), kinds, which[goes], rows, segment)


def misread(pools: Pools, kinds: Iterable[int], living: Callable[[], Iterable[Living]]) -> dict[int, str]:
    """By slot, the rules that are not understood any more, and why. `kinds`: of all that are `living`, and perhaps
    of others."""
    wrong: dict[int, str] = {}
    for kind in sorted(kinds):
        try:
            pools.kind(kind)
        except ConfigError as error:
            wrong[kind] = error.message
    found: dict[int, str] = {}
    for slots, segment, rows in living() if wrong else ():
        theirs = np.isin(segment.kind[rows], [*wrong])
        for slot, row in zip(slots[theirs].tolist(), rows[theirs].tolist(), strict=True):
            found[slot] = wrong[int(segment.kind[row])]
    return found
