"""A feature that some rule reads: its last known values, and the constants it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cryptowatcher.domain.features import StepForm, step_form
from cryptowatcher.domain.pairs import CANARY, Universe
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.constants import Constants
from cryptowatcher.domain.rules.language import Feature
from cryptowatcher.domain.ticks import Floats, Ints


class Watched:
    """Columns over all pairs: last known value, its time, and for how long it stayed current."""

    def __init__(self, feature: Feature, pairs: int) -> None:
        self.feature = feature
        self.step: StepForm = step_form(feature.name)
        self.last: Floats = np.full(pairs, np.nan)
        self.last_at: Ints = np.zeros(pairs, np.int64)
        self.last_valid_for: Ints = np.zeros(pairs, np.int64)
        self.slots: set[int] = set()
        self.unarmed: dict[int, set[int]] = {}  # column → slots that have seen no known value yet
        self._named = Constants((), shared=False)
        self._shared = Constants((), shared=True)
        self._sorted = False

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        more = pairs - len(self.last)
        self.last = np.concatenate([self.last, np.full(more, np.nan)])
        self.last_at = np.concatenate([self.last_at, np.zeros(more, np.int64)])
        self.last_valid_for = np.concatenate([self.last_valid_for, np.zeros(more, np.int64)])
        for constants in (self._named, self._shared):
            constants.widen(pairs)

    def forget(self, cols: Ints) -> None:
        """No value of these pairs was ever known."""
        self.last[cols] = np.nan
        self._sorted = False

    def add(self, slot: int) -> None:
        """A rule reads this feature from now on."""
        self.slots.add(slot)
        self._sorted = False

    def remove(self, slot: int) -> None:
        """A rule does not read it any more."""
        self.slots.discard(slot)
        self._sorted = False
        for col in list(self.unarmed):
            self.arm(slot, col)

    def disarm(self, slot: int, col: int) -> None:
        """The next known value of the pair only arms the rule."""
        self.unarmed.setdefault(col, set()).add(slot)

    def arm(self, slot: int, col: int) -> None:
        """The rule has seen a known value of the pair."""
        waiting = self.unarmed.get(col)
        if waiting is None:
            return
        waiting.discard(slot)
        if not waiting:
            del self.unarmed[col]

    def touched(
        self,
        cols: Ints,
        values: Floats,
        *,
        pending: Mapping[int, set[int]],
        rules: Sequence[CompiledRule | None],
        universe: Universe,
    ) -> dict[int, set[int]]:
        """Row → slots whose standing may change by these known values: unarmed, pending, or crossed."""
        if not self._sorted:
            self._sort(rules, universe)
        touched: dict[int, set[int]] = {}
        row_of = {col: row for row, col in enumerate(cols.tolist())} if self.unarmed or pending else {}
        for waiting in (self.unarmed, pending):
            for col in waiting.keys() & row_of.keys():
                mine = waiting[col] & self.slots
                if mine:
                    touched.setdefault(row_of[col], set()).update(mine)
        for crossing in self._named.move(cols, values):
            touched.setdefault(crossing.row, set()).update(crossing.slots)
        for crossing in self._shared.move(cols, values):
            if universe.names[int(cols[crossing.row])] != CANARY:
                touched.setdefault(crossing.row, set()).update(crossing.slots)
        return touched

    def remember(self, cols: Ints, values: Floats, times: Ints, valid_for: int) -> None:
        """These are the last known values now."""
        self.last[cols] = values
        self.last_at[cols] = times
        self.last_valid_for[cols] = valid_for

    def _sort(self, rules: Sequence[CompiledRule | None], universe: Universe) -> None:
        named: list[tuple[int, float, int]] = []
        shared: list[tuple[int, float, int]] = []
        for slot in self.slots:
            rule = rules[slot]
            assert rule is not None
            for constant in {rule.fire, rule.rearm}:
                if rule.everywhere:
                    shared.append((0, constant, slot))
                else:
                    named += [(universe.column(pair), constant, slot) for pair in rule.rule.spec.pairs]
        self._named = Constants(named, shared=False)
        self._shared = Constants(shared, shared=True)
        for constants in (self._named, self._shared):
            constants.locate(self.last)
        self._sorted = True
