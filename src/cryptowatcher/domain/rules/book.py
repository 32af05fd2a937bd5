"""The book of rules: each in its slot, where it stands for which pair, and when it fired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.pairs import Universe
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.groups import Group, Growing
from cryptowatcher.domain.rules.lifecycle import Standing
from cryptowatcher.domain.rules.model import Firing, Lifecycle
from cryptowatcher.domain.ticks import Ints

Place = tuple[str, int]
"""A rule's id and a pair's column."""


class Book:
    """Slots are numbered for good: a rule that begins anew gets another one."""

    def __init__(self) -> None:
        self._rules: list[CompiledRule | None] = []
        self._alive = Growing(bool)
        self._start = Growing(int)
        self._member = Growing(int)
        self._top = Growing(int)
        self._grew = Growing(bool)  # pairs came onto its list later
        self._joined: dict[int, dict[int, int]] = {}  # slot → column → the position after which it counts for that
        self._number = Growing(int)
        self._composite = Growing(bool)
        self._awake = Growing(bool)
        self._groups_met = 0
        self.everywhere: set[int] = set()  # slots of rules on all pairs, or on the largest
        self._slot: dict[str, int] = {}
        self._group: dict[int, Group] = {}
        self._standing: dict[int, dict[int, Standing]] = {}  # slot → column → standing, if not at rest
        self.pending: dict[int, set[int]] = {}  # column → slots
        self._firings: dict[Place, Firing] = {}
        self._moved: set[Place] = set()
        self._fired: set[Place] = set()

    # --- rules -----------------------------------------------------------------------------------

    def add(self, rule: CompiledRule, *, start: int, joined: dict[int, int]) -> int:
        """A slot for a rule that counts for records after position `start`, and for pairs that `joined` its list
        (columns) later after theirs. It takes the place of another of that id, which is to be dropped."""
        slot = len(self._rules)
        self._rules.append(rule)
        self._slot[rule.rule.id] = slot
        if rule.everywhere:
            self.everywhere.add(slot)
        self._alive.append(True)
        self._start.append(start)
        self._member.append(-1)
        self._top.append(rule.top)
        self._number.append(-1)
        self._composite.append(False)
        self._awake.append(False)
        self._grew.append(bool(joined))
        if joined:
            self._joined[slot] = dict(sorted(joined.items()))
        return slot

    def join(self, slot: int, group: Group) -> None:
        """The rule is judged, with those of its shape."""
        if group.number < 0:
            group.number = self._groups_met
            self._groups_met += 1
        self._group[slot] = group
        self._number.values[slot] = group.number
        self._composite.values[slot] = group.composite
        self._member.values[slot] = group.add(slot, self.rule(slot))

    def drop(self, slot: int) -> Group | None:
        """The rule is gone; the group it was judged with."""
        for col in list(self._standing.get(slot, {})):
            self.stand(slot, col, None)
        if self._slot[self.rule(slot).rule.id] == slot:
            del self._slot[self.rule(slot).rule.id]
        self._joined.pop(slot, None)
        self._rules[slot] = None
        self._alive.values[slot] = False
        self.everywhere.discard(slot)
        return self._group.pop(slot, None)

    def replace(self, slot: int, rule: CompiledRule) -> None:
        """The same version, with other settings around it."""
        self._rules[slot] = rule

    def rule(self, slot: int) -> CompiledRule:
        """The rule in a slot that is in use."""
        rule = self._rules[slot]
        assert rule is not None, "a slot in use has a rule"
        return rule

    def slot(self, rule_id: str) -> int | None:
        """Where a rule is, None when there is none."""
        return self._slot.get(rule_id)

    def slots(self) -> list[int]:
        """All in use, in the order in which rules came."""
        return sorted(self._slot.values())

    def group(self, slot: int) -> Group | None:
        """What a rule is judged with; None while it is paused."""
        return self._group.get(slot)

    @property
    def alive(self) -> NDArray[np.bool_]:
        """By slot, whether there still is a rule."""
        return self._alive.values

    @property
    def start(self) -> Ints:
        """By slot, the position after which the rule counts."""
        return self._start.values

    def joined(self, slot: int) -> dict[int, int]:
        """By column, the position after which the rule counts for a pair that came onto its list later."""
        return dict(self._joined.get(slot, {}))

    def counts_after(self, slots: Ints, cols: Ints) -> Ints:
        """For each rule and pair, the position after which that rule counts for that pair."""
        after = self._start.values[slots]
        for place in np.flatnonzero(self._grew.values[slots]).tolist():
            after[place] = self.counts_after_one(int(slots[place]), int(cols[place]))
        return after

    def counts_after_one(self, slot: int, col: int) -> int:
        """The same for one."""
        start = int(self._start.values[slot])
        joined = self._joined.get(slot)
        return start if joined is None else joined.get(col, start)

    @property
    def member(self) -> Ints:
        """By slot, the rule's row in its group."""
        return self._member.values

    @property
    def top(self) -> Ints:
        """By slot, of how many largest pairs the rule looks at each; 0 for others."""
        return self._top.values

    @property
    def number(self) -> Ints:
        """By slot, the number of the group the rule is judged with."""
        return self._number.values

    @property
    def composite(self) -> NDArray[np.bool_]:
        """By slot, whether more than one comparison decides."""
        return self._composite.values

    @property
    def awake(self) -> NDArray[np.bool_]:
        """By slot, whether the rule is not at rest for some pair."""
        return self._awake.values

    # --- where they stand ------------------------------------------------------------------------

    def standing(self, slot: int, col: int) -> Standing | None:
        """None: at rest."""
        return self._standing.get(slot, {}).get(col)

    def standings(self, slot: int) -> dict[int, Standing]:
        """By column, where the rule is not at rest."""
        return dict(sorted(self._standing.get(slot, {}).items()))

    def stand(self, slot: int, col: int, standing: Standing | None) -> None:
        """Write down where a rule stands for a pair; None is at rest."""
        places = self._standing.setdefault(slot, {})
        before = places.pop(col, None)
        if before is not None and before.state == "pending":
            self.pending[col].discard(slot)
            if not self.pending[col]:
                del self.pending[col]
        if standing is not None:
            places[col] = standing
            if standing.state == "pending":
                self.pending.setdefault(col, set()).add(slot)
        self._awake.values[slot] = bool(places)
        if not places:
            del self._standing[slot]
        self._moved.add((self.rule(slot).rule.id, col))

    # --- when they fired -------------------------------------------------------------------------

    def firing(self, place: Place) -> Firing | None:
        """A rule's memory for a pair, which survives edits."""
        return self._firings.get(place)

    def fired(self, place: Place, firing: Firing) -> None:
        """Write it down, to be stored."""
        self._firings[place] = firing
        self._fired.add(place)

    def recall(self, place: Place, firing: Firing) -> None:
        """It is stored already."""
        self._firings[place] = firing

    def firings(self) -> Iterator[Firing]:
        """All, in an order that does not tell how they came about."""
        return (self._firings[place] for place in sorted(self._firings))

    # --- what to write down ----------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether changes() would give anything."""
        return bool(self._moved or self._fired)

    def forget_changes(self) -> None:
        """Everything is stored as it is."""
        self._moved.clear()
        self._fired.clear()

    def changes(self, names: list[str]) -> tuple[list[Lifecycle], list[tuple[str, str]], list[Firing]]:
        """Since the last call: standings to write, (rule, pair)s now at rest, firings. `names`: of the pairs."""
        rows: list[Lifecycle] = []
        at_rest: list[tuple[str, str]] = []
        for rule_id, col in sorted(self._moved):
            slot = self._slot.get(rule_id)
            standing = None if slot is None else self.standing(slot, col)
            if slot is None or standing is None:
                at_rest.append((rule_id, names[col]))
                continue
            rows.append(
                Lifecycle(
                    rule=rule_id,
                    version=self.rule(slot).rule.version,
                    pair=names[col],
                    state=standing.state,
                    since=standing.since,
                )
            )
        firings = [self._firings[place] for place in sorted(self._fired)]
        self.forget_changes()
        return rows, at_rest, firings


def columns_of(rule: CompiledRule, universe: Universe) -> list[int]:
    """The pairs a rule covers."""
    if rule.everywhere:
        return universe.everyones()
    return [universe.column(pair) for pair in rule.pairs]


def slots_in(waiting: Iterable[set[int]]) -> Ints:
    """All slots of these sets, one after the other."""
    return np.asarray([slot for slots in waiting for slot in slots], np.int64)
