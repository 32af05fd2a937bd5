"""What rules are judged with: by slot, the group of their shape, and where each of their comparisons fires and
re-arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.rules.groups import Group
from cryptowatcher.domain.rules.growing import Growing
from cryptowatcher.domain.ticks import Floats, Ints


class Judged:
    """Groups have numbers, which others get when they are gone."""

    def __init__(self) -> None:
        self._number = Growing(np.int32)
        self._first = Growing(np.int32)
        self._fire = Growing(np.float64)
        self._rearm = Growing(np.float64)
        self._groups: list[Group | None] = []
        self._composite = Growing(np.bool_)  # by number of a group

    def widen(self, more: int) -> None:
        """So many slots more, of rules that are not judged."""
        self._number.extend(more)[:] = -1
        self._first.extend(more)

    def put(self, slot: int, group: Group, fire: Sequence[float], rearm: Sequence[float]) -> None:
        """The rule is judged with those of its shape, from these constants."""
        self._number.values[slot] = self._number_of(group)
        self._first.values[slot] = len(self._fire)
        for column, constants in ((self._fire, fire), (self._rearm, rearm)):
            column.extend(len(constants))[:] = constants
        group.rules += 1

    def put_many(self, slots: Ints, group: Group, fire: Sequence[Floats], rearm: Sequence[Floats]) -> None:
        """The same for many rules of one shape. `fire`, `rearm`: of each comparison a column."""
        looks = len(fire)
        self._number.values[slots] = self._number_of(group)
        self._first.values[slots] = len(self._fire) + looks * np.arange(len(slots))
        for column, constants in ((self._fire, fire), (self._rearm, rearm)):
            column.extend(looks * len(slots))[:] = np.stack(constants, axis=1).reshape(-1)
        group.rules += len(slots)

    def _number_of(self, group: Group) -> int:
        if group.number < 0:
            free = next((number for number, there in enumerate(self._groups) if there is None), len(self._groups))
            if free == len(self._groups):
                self._groups.append(group)
                self._composite.append(False)
            group.number, self._groups[free] = free, group
            self._composite.values[free] = group.composite
        return group.number

    def leave(self, group: Group) -> bool:
        """One rule less. Whether it was the last: then the group is forgotten."""
        group.rules -= 1
        if not group.rules:
            self._groups[group.number] = None
        return not group.rules

    def groups(self) -> list[Group]:
        """All that have rules."""
        return [group for group in self._groups if group is not None]

    def group(self, slot: int) -> Group | None:
        """What a rule is judged with; None while it is paused."""
        number = self._number.values[slot]
        return None if number < 0 else self._groups[number]

    def numbered(self, number: int) -> Group:
        """The group with a number."""
        group = self._groups[number]
        assert group is not None, "a number in use has a group"
        return group

    @property
    def number(self) -> NDArray[np.int32]:
        """By slot, the number of the group the rule is judged with; -1 for none."""
        return self._number.values

    def composite(self, slots: Ints) -> NDArray[np.bool_]:
        """Whether more than one comparison decides. Of rules that are gone, anything."""
        composite: NDArray[np.bool_] = self._composite.values[self._number.values[slots]]
        return composite

    def constants(self, slots: Ints, looks: int) -> tuple[list[Floats], list[Floats]]:
        """For each look of these rules, all of one shape: where they fire, and where they re-arm."""
        first = self._first.values[slots].astype(np.int64)
        both = self._fire.values, self._rearm.values
        fire, rearm = ([column[first + look] for look in range(looks)] for column in both)
        return fire, rearm
