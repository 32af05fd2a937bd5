"""Rules of one shape: they differ in their constants only, and are judged together as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.rules.compiled import CompiledRule, Shape
from cryptowatcher.domain.rules.watched import Watched
from cryptowatcher.domain.ticks import Floats, Ints


class Growing:
    """A column that rows are added to, one by one."""

    def __init__(self, kind: type) -> None:
        self._column: NDArray[Any] = np.zeros(16, kind)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, value: float) -> None:
        """One row more."""
        if self._rows == len(self._column):
            self._column = np.concatenate([self._column, np.zeros_like(self._column)])
        self._column[self._rows] = value
        self._rows += 1

    @property
    def values(self) -> NDArray[Any]:
        """All rows, to read and to write."""
        return self._column[: self._rows]


class Group:
    """The rules of one shape. A rule is a row here, its member number."""

    def __init__(self, shape: Shape, watched: list[Watched]) -> None:
        self.shape = shape
        self.watched = watched  # for each look of the shape
        self.number = -1  # given by the book
        self.slots: set[int] = set()
        self.fresh: dict[int, set[int]] = {}  # column → slots that were not looked at since they were disarmed
        self._fire = [Growing(float) for _ in shape.looks]
        self._rearm = [Growing(float) for _ in shape.looks]

    @property
    def timed(self) -> bool:
        """Whether its rules may change as time passes, without an observation."""
        return any(watched.timed for watched in self.watched)

    @property
    def composite(self) -> bool:
        """Whether more than one comparison decides."""
        return len(self.watched) > 1

    def add(self, slot: int, rule: CompiledRule) -> int:
        """One rule more; its member number."""
        self.slots.add(slot)
        for column, constant in zip([*self._fire, *self._rearm], [*rule.fire, *rule.rearm], strict=True):
            column.append(constant)
        return len(self._fire[0]) - 1

    def remove(self, slot: int) -> None:
        """A rule is gone. Its row stays: there are not many, and members are numbered for good."""
        self.slots.discard(slot)
        for col in list(self.fresh):
            self.arm(slot, col)

    def constants(self, members: Ints) -> tuple[list[Floats], list[Floats]]:
        """For each look the constants of these members: where they fire, and where they re-arm."""
        return [each.values[members] for each in self._fire], [each.values[members] for each in self._rearm]

    def disarm(self, slot: int, col: int) -> None:
        """The next observation at which the condition is known only arms the rule. It is looked at once in any
        case, from then on when one of its numbers is known again or crosses a constant: else it stays unknown."""
        self.fresh.setdefault(col, set()).add(slot)

    def arm(self, slot: int, col: int) -> None:
        """Nothing is to be armed for this pair any more."""
        waiting = self.fresh.get(col)
        if waiting is None:
            return
        waiting.discard(slot)
        if not waiting:
            del self.fresh[col]
