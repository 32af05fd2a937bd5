"""What rules are judged with: by slot, the group of their shape, and where each of their comparisons fires and
re-arms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.rules.compiled import Either, Formula
from cryptowatcher.domain.rules.groups import Group
from cryptowatcher.domain.rules.growing import Growing
from cryptowatcher.domain.rules.runs import AnyInts
from cryptowatcher.domain.rules.truth import ALL, ANY, Atoms
from cryptowatcher.domain.rules.watched import Watched
from cryptowatcher.domain.ticks import Floats, Ints

V = TypeVar("V")


class Judged:
    """Groups, the numbers they look at and their formulas have numbers; those of groups and of what they look at
    (there: seats) others get when they are gone."""

    def __init__(self) -> None:
        self._number = Growing(np.int16)
        # Where a comparison fires is the real part, where it re-arms the imaginary: to look up both costs as much
        # as one of them.
        self._first = Growing(np.complex128)  # by slot, of the first comparison
        self._others = Growing(np.int32)  # by slot, where among `_more` its others begin, less 1
        self._more = Growing(np.complex128)
        self._groups: _Numbered[Group] = _Numbered()
        self._seats: _Numbered[Watched] = _Numbered()
        self._seat_of: dict[Watched, int] = {}
        self._seated: dict[Watched, int] = {}  # how many looks of groups
        self._formulas: dict[Formula, int] = {}
        self._joined = Growing(np.int32)  # by number of a group, as those that follow: the number of its formula
        self._count = Growing(np.int32)  # of its looks
        self._looks = np.zeros((0, 1), np.int32)  # by place: 4 * the seat, + 2 if it rises, + 1 if it is a pulse

    def widen(self, more: int) -> None:
        """So many slots more, of rules that are not judged."""
        self._number.extend(more)[:] = -1
        for column in (self._first, self._others):
            column.extend(more)

    def put(self, slot: int, group: Group, fire: Sequence[float], rearm: Sequence[float]) -> None:
        """The rule is judged with those of its shape, from these constants."""
        number = self._number_of(group)  # may make room for it
        self._number.values[slot] = number
        first, *others = map(complex, fire, rearm)
        self._first.values[slot] = first
        if others:
            self._others.values[slot] = len(self._more) - 1
            self._more.extend(len(others))[:] = others
        group.rules += 1

    def put_many(self, slots: Ints, groups: Sequence[Group], which: Ints, fire: Floats, rearm: Floats) -> None:
        """The same for many rules: which of the groups each is judged with, and all their constants, rule after
        rule."""
        looks = np.asarray([len(group.watched) for group in groups])[which]
        numbers = np.asarray([self._number_of(group) for group in groups])
        self._number.values[slots] = numbers[which]
        begin = np.cumsum(looks) - looks
        later = np.ones(len(fire), np.bool_)
        later[begin] = False
        several = np.flatnonzero(looks > 1)
        self._others.values[slots[several]] = len(self._more) - 1 + (begin - np.arange(len(slots)))[several]
        both = np.empty(len(fire), np.complex128)
        both.real, both.imag = fire, rearm
        self._first.values[slots] = both[begin]
        self._more.extend(len(fire) - len(slots))[:] = both[later]
        for group, rules in zip(groups, np.bincount(which, minlength=len(groups)).tolist(), strict=True):
            group.rules += rules

    def _number_of(self, group: Group) -> int:
        if group.number < 0:
            group.number = self._groups.give(group)
            if group.number > np.iinfo(np.int16).max:
                self._number = self._number.of(np.int32)
            _at(self._joined, group.number, self._joined_by(group.shape.formula))
            _at(self._count, group.number, len(group.watched))
            self._make_room(group.number + 1, len(group.watched))
            for place, (look, watched) in enumerate(zip(group.shape.looks, group.watched, strict=True)):
                self._looks[group.number, place] = 4 * self._sit(watched) + 2 * look.rises + look.pulse
        return group.number

    def _make_room(self, groups: int, looks: int) -> None:
        high, wide = self._looks.shape
        if groups > high or looks > wide:
            more = 2 * groups - high if groups > high else 0
            self._looks = np.pad(self._looks, ((0, more), (0, max(0, looks - wide))))

    def _joined_by(self, formula: Formula) -> int:
        if isinstance(formula, int) or all(isinstance(part, int) for part in formula.parts):
            return ANY if isinstance(formula, Either) else ALL
        return self._formulas.setdefault(formula, len(self._formulas) + ANY + 1)

    def _sit(self, watched: Watched) -> int:
        if watched not in self._seat_of:
            self._seat_of[watched] = self._seats.give(watched)
        self._seated[watched] = self._seated.get(watched, 0) + 1
        return self._seat_of[watched]

    def leave(self, group: Group) -> bool:
        """One rule less. Whether it was the last: then the group is forgotten."""
        group.rules -= 1
        if group.rules:
            return False
        self._groups.take_back(group.number)
        for watched in group.watched:
            self._seated[watched] -= 1
            if not self._seated[watched]:
                self._seats.take_back(self._seat_of.pop(watched))
                del self._seated[watched]
        return True

    def groups(self) -> list[Group]:
        """All that have rules."""
        return list(self._groups)

    def group(self, slot: int) -> Group | None:
        """What a rule is judged with; None while it is paused."""
        number = self._number.values[slot]
        return None if number < 0 else self._groups.find(number)

    def numbered(self, number: int) -> Group:
        """The group with a number that is in use."""
        return self._groups[number]

    @property
    def number(self) -> AnyInts:
        """By slot, the number of the group the rule is judged with; -1 for none."""
        return self._number.values

    def composite(self, slots: Ints) -> NDArray[np.bool_]:
        """Whether more than one comparison decides. Of rules that are gone, anything."""
        composite: NDArray[np.bool_] = self._count.values[self._number.values[slots]] > 1
        return composite

    def atoms(self, slots: Ints) -> Atoms:
        """All comparisons of these rules."""
        group = self._number.values[slots]
        count = self._count.values[group]
        start = np.cumsum(count) - count
        rule = np.repeat(np.arange(len(slots)), count)
        place = np.arange(len(rule)) - start.take(rule)
        row = group.astype(np.int64) * self._looks.shape[1]
        looks = self._looks.reshape(-1).take(row.take(rule) + place)
        both = np.empty(len(rule), np.complex128)
        both[start] = self._first.values.take(slots)
        if len(rule) > len(slots):
            later = np.flatnonzero(place != 0)
            there = self._others.values.take(slots).take(rule.take(later)) + place.take(later)
            both[later] = self._more.values.take(there)
        rises, pulse = (looks & 2) != 0, (looks & 1) != 0
        joined = self._joined.values[group]
        return Atoms(start, count, joined, rule, looks >> 2, rises, pulse, both.real.copy(), both.imag.copy())

    def constants(self, slots: Ints, looks: int) -> tuple[list[Floats], list[Floats]]:
        """For each look of these rules, all of one shape: where they fire, and where they re-arm."""
        others = self._others.values[slots]
        both = [self._first.values[slots], *(self._more.values[others + look] for look in range(1, looks))]
        return [each.real for each in both], [each.imag for each in both]

    def formulas(self, atoms: Atoms) -> Iterator[tuple[Formula, Ints]]:
        """Those of these rules that are neither ALL nor ANY, and which of the rules have each."""
        others = np.flatnonzero(atoms.joined > ANY)
        formulas = list(self._formulas)
        for number, mine in by_number(atoms.joined[others]):
            yield formulas[number - ANY - 1], others[mine]

    def seat(self, watched: Watched) -> int:
        """Of a number that rules of a group look at."""
        return self._seat_of[watched]

    def seated(self, seat: int) -> Watched:
        """The number in a seat."""
        return self._seats[seat]


def by_number(numbers: AnyInts) -> Iterator[tuple[int, Ints]]:
    """Each of these numbers once, and where it is."""
    if len(numbers) and int(numbers.max()) < 1 << 16:  # a stable sort of so few bits takes no comparisons
        numbers = numbers.astype(np.uint8 if int(numbers.max()) < 1 << 8 else np.uint16)
    order = np.argsort(numbers, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else ():
        yield int(numbers[mine[0]]), mine


class _Numbered(Generic[V]):
    """Things with small numbers."""

    def __init__(self) -> None:
        self._things: list[V | None] = []
        self._free: list[int] = []

    def __iter__(self) -> Iterator[V]:
        return (thing for thing in self._things if thing is not None)

    def __getitem__(self, number: int) -> V:
        thing = self._things[number]
        assert thing is not None, "a number in use is something's"
        return thing

    def find(self, number: int) -> V | None:
        """None for a number that is not in use any more."""
        return self._things[number]

    def give(self, thing: V) -> int:
        """A number for one more."""
        if not self._free:
            self._things.append(thing)
            return len(self._things) - 1
        number = self._free.pop()
        self._things[number] = thing
        return number

    def take_back(self, number: int) -> None:
        """From now on it is nothing's."""
        self._things[number] = None
        self._free.append(number)


def _at(column: Growing, place: int, value: float) -> None:
    """Write there, making room."""
    column.extend(max(0, place + 1 - len(column)))
    column.values[place] = value
