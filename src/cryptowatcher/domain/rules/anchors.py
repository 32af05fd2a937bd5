"""Where the constants of rules lie that count from their last alert: for each (rule, pair) that fired, its own.

Few rules are so, and of those only pairs that fired stand here. What the price crosses is found as for other
rules, by sorted constants; those that an alert has left behind are swept out when they are more than those that
count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.rules.compiled import CompiledRule, compile_rule
from cryptowatcher.domain.rules.constants import Constants
from cryptowatcher.domain.rules.model import Firing
from cryptowatcher.domain.rules.tables import Crossed
from cryptowatcher.domain.rules.truth import Atoms
from cryptowatcher.domain.ticks import Floats, Ints

_SMALL = 1_000
"""Entries that are left where they are, whether they count or not."""


class Anchor(NamedTuple):
    """The constants of a rule for a pair since its last alert for it: see CompiledRule."""

    fire: tuple[float, ...]
    rearm: tuple[float, ...]
    levels: tuple[float, ...]
    """Those of them that moved: the prices at which something may change."""


def anchored(rule: CompiledRule, firing: Firing | None) -> CompiledRule:
    """The rule as it stands for a pair, by its memory for that pair."""
    if firing is None or not rule.reanchors or not firing.price or firing.version != rule.rule.version:
        return rule
    return compile_rule(rule.rule, since=firing.price)


class Anchors:
    """By slot and column. What a rule compares beside the price is where it always is."""

    def __init__(self) -> None:
        self._anchors: dict[int, dict[int, Anchor]] = {}
        self._constants = Constants(0)
        self._needed = 0  # entries that count
        self._last: Floats | None = None

    def put(self, slot: int, col: int, rule: CompiledRule) -> None:
        """A rule as it stands for a pair since its last alert for it."""
        self.lift(slot, col)
        moved = [both for since, *both in zip(rule.since, rule.fire, rule.rearm, strict=True) if since]
        levels = tuple(sorted({level for both in moved for level in both}))
        anchor = self._anchors.setdefault(slot, {})[col] = Anchor(rule.fire, rule.rearm, levels)
        self._needed += len(levels)
        self._add(slot, col, anchor)

    def lift(self, slot: int, col: int) -> None:
        """The rule counts from the number it was given, for this pair."""
        anchor = self._anchors.get(slot, {}).pop(col, None)
        if anchor is not None:
            self._needed -= len(anchor.levels)

    def drop(self, slot: int) -> None:
        """The rule is gone."""
        for col in list(self._anchors.get(slot, ())):
            self.lift(slot, col)
        self._anchors.pop(slot, None)

    def unsettle(self) -> None:
        """Prices that were known are not known any more."""
        self._last = None

    def at(self, cols: Iterable[int]) -> list[tuple[int, int]]:
        """The (slot, column)s that have an anchor, for these columns."""
        there = set(cols)
        return [(slot, col) for slot, places in self._anchors.items() for col in sorted(there & places.keys())]

    def move(self, cols: Ints, values: Floats, last: Floats, alive: NDArray[np.bool_]) -> Sequence[Crossed]:
        """What these prices crossed. `last`: by column, the prices last known before; `alive`: see Constants."""
        if not self._anchors:
            self._last = None  # what lies there does not follow the prices meanwhile
            return ()
        if last is not self._last or len(self._constants) > max(_SMALL, 2 * self._needed):
            self._constants, self._last = Constants(len(last)), last
            for slot, places in self._anchors.items():
                for col, anchor in places.items():
                    self._add(slot, col, anchor)
        self._constants.settle(last, alive)
        return self._constants.move(cols, values)

    def put_in(self, slots: Ints, cols: Ints, atoms: Atoms) -> None:
        """Write the constants that count into those of these rules for these pairs."""
        if not self._anchors:
            return
        for slot, col, start in zip(slots.tolist(), cols.tolist(), atoms.start.tolist(), strict=True):
            anchor = self._anchors.get(slot, {}).get(col)
            if anchor is not None:
                mine = slice(start, start + len(anchor.fire))
                atoms.fire[mine], atoms.rearm[mine] = anchor.fire, anchor.rearm

    def _add(self, slot: int, col: int, anchor: Anchor) -> None:
        for level in anchor.levels:
            self._constants.add(col, level, slot)
