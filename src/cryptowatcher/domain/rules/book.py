"""The book of rules: each in its slot, where it stands for which pair, and when it fired.

Longer than 400 lines because everything that is known of a rule by its slot is asked here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.checkpoints import Part
from cryptowatcher.domain.pairs import Universe
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.groups import Group, Waiting
from cryptowatcher.domain.rules.growing import Growing
from cryptowatcher.domain.rules.ids import Ids
from cryptowatcher.domain.rules.kinds import Kind
from cryptowatcher.domain.rules.lifecycle import UNARMED, Standing
from cryptowatcher.domain.rules.model import Firing, Lifecycle, Rule
from cryptowatcher.domain.rules.roll import Roll, RollState, Segment
from cryptowatcher.domain.rules.rows import Where
from cryptowatcher.domain.rules.standings import SEVERAL, Standings, Stood
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import ConfigError

Place = tuple[str, int]
"""A rule's id and a pair's column."""


class Joined(msgspec.Struct, frozen=True):
    """Pairs that came onto a rule's list later (columns `slot`, `col`), and `after` which position it counts for
    them."""

    slot: NDArray[np.int32]
    col: NDArray[np.int32]
    after: Ints


class BookState(msgspec.Struct, frozen=True):
    """All rules that are understood, and where they stand: a part for each segment of slots."""

    roll: RollState
    stood: tuple[Part[Stood], ...]
    joined: Joined


_UNKNOWN, _SINGLE = 0, 2


class Alike(NamedTuple):
    """Rules of one kind: their slots, the columns of the only pair that each is on (SEVERAL: it is not on one;
    None: they are paused), and columns of their numbers."""

    kind: Kind
    slots: Ints
    cols: Ints | None
    values: list[Floats]

    def constants(self, rows: NDArray[np.bool_]) -> tuple[list[Floats], list[Floats]]:
        """For each comparison, where these of the rules fire, and where they re-arm."""
        columns = self.kind.columns([values[rows] for values in self.values], int(rows.sum()))
        return [fire for fire, _ in columns], [rearm for _, rearm in columns]


class Book:
    """Slots are numbered for good: a rule that begins anew gets another one."""

    def __init__(self) -> None:
        self._roll = Roll()
        self._ids = Ids(self._roll.code, lambda: self.alive)
        self._standings = Standings()
        self._alive = Growing(np.bool_)
        self._top = Growing(np.int16)
        self._number = Growing(np.int32)
        self._first = Growing(np.int32)
        self._quiet = Growing(np.bool_)  # arming it never fires it, and it does not end
        self._fire = Growing(np.float64)
        self._rearm = Growing(np.float64)
        self._joined: dict[int, dict[int, int]] = {}  # slot → column → the position after which it counts for that
        self._groups: list[Group | None] = []
        self._composite = Growing(np.bool_)  # by number of a group
        self.everywhere: set[int] = set()  # slots of rules on all pairs, or on the largest
        self.waiting = Waiting()
        self._firings: dict[Place, Firing] = {}
        self._single = Growing(np.int32)  # by number of what rules are on, the column of the only pair, + _SINGLE
        self._many: list[Ints] = []
        self._moved: set[Place] = set()
        self._fired: set[Place] = set()

    # --- rules -----------------------------------------------------------------------------------

    def add(self, rule: Rule, *, start: int, joined: dict[int, int]) -> int:
        """A slot for a rule that counts for records after position `start`, and for pairs that `joined` its list
        (columns) later after theirs. It takes the place of another of that id, which is to be dropped.
        ConfigError for a condition that is not understood."""
        row = self._roll.pools.row(rule, start)
        slot = self._roll.add(row)
        self._widen(slot + 1)
        self._alive.values[slot] = True
        self._ids.put(row.code, slot)
        if joined:
            self._joined[slot] = dict(sorted(joined.items()))
        return slot

    def _widen(self, slots: int) -> None:
        more = slots - len(self._alive)
        self._alive.extend(more)
        self._top.extend(more)
        self._number.extend(more)[:] = -1
        self._first.extend(more)
        self._quiet.extend(more)
        self._standings.add(more)

    def join(self, slot: int, group: Group, rule: CompiledRule, cols: Sequence[int]) -> None:
        """The rule is judged, with those of its shape, for these pairs."""
        self._number.values[slot] = self._number_of(group)
        self._quiet.values[slot] = _is_quiet(self.kind(slot))
        self._first.values[slot] = len(self._fire)
        for fire, rearm in zip(rule.fire, rule.rearm, strict=True):
            self._fire.append(fire)
            self._rearm.append(rearm)
        if rule.everywhere:
            self.everywhere.add(slot)
            self._top.values[slot] = rule.top
        elif len(cols) == 1:
            self._standings.col[slot] = cols[0]
        group.rules += 1

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
        """One rule less. Whether it was the last: then it is forgotten."""
        group.rules -= 1
        if not group.rules:
            self._groups[group.number] = None
        return not group.rules

    def drop(self, slot: int) -> Group | None:
        """The rule is gone; the group it was judged with."""
        for col in list(self._standings.of(slot)):
            self.stand(slot, col, None)
        self._note_many()  # by the next changes() it has no id any more
        group = self.group(slot)
        self._ids.drop(self._roll.code(slot), slot)
        self._joined.pop(slot, None)
        self._roll.forget(slot)
        self._alive.values[slot] = False
        self.everywhere.discard(slot)
        return group

    def replace(self, slot: int, rule: Rule) -> None:
        """The same version, with other settings around it."""
        row = self._roll.pools.row(rule, self.start(slot))
        self._roll.replace(slot, row)
        self._quiet.values[slot] = _is_quiet(self.kind(slot))

    def rule(self, slot: int) -> CompiledRule:
        """The rule in a slot that is in use. It is made anew each time."""
        return self._roll.pools.compiled(self._roll.row(slot))

    def kind(self, slot: int) -> Kind:
        """What the rule has in common with others of its settings."""
        return self._roll.pools.kind(self._roll.kind(slot))

    def where(self, slot: int) -> Where:
        """What the rule covers."""
        return self._roll.pools.where(self._roll.row(slot).on)

    def where_on(self, on: int) -> Where:
        """What rules with this number of `on` cover."""
        return self._roll.pools.where(on)

    def slot(self, rule_id: str) -> int | None:
        """Where a rule is, None when there is none."""
        code = self._roll.pools.code_if_known(rule_id)
        return None if code is None else self._ids.find(code)

    def id(self, slot: int) -> str:
        """Of the rule in a slot that is in use."""
        return self._roll.pools.id(self._roll.code(slot))

    def group(self, slot: int) -> Group | None:
        """What a rule is judged with; None while it is paused."""
        number = self._number.values[slot]
        return None if number < 0 else self._groups[number]

    def numbered(self, number: int) -> Group:
        """The group with a number."""
        group = self._groups[number]
        assert group is not None, "a number in use has a group"
        return group

    def slots(self, groups: Sequence[Group]) -> Ints:
        """The rules that are judged with one of these."""
        mine = np.isin(self._number.values, [group.number for group in groups]) & self.alive
        return np.flatnonzero(mine)

    @property
    def alive(self) -> NDArray[np.bool_]:
        """By slot, whether there still is a rule."""
        return self._alive.values

    @property
    def top(self) -> NDArray[np.int16]:
        """By slot, of how many largest pairs the rule looks at each; 0 for others."""
        return self._top.values

    @property
    def number(self) -> NDArray[np.int32]:
        """By slot, the number of the group the rule is judged with."""
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

    # --- after which position they count ---------------------------------------------------------

    def version(self, slot: int) -> int:
        """Of the rule in a slot that is in use."""
        return self._roll.version(slot)

    def start(self, slot: int) -> int:
        """The position after which the rule counts."""
        return self._roll.start(slot)

    def joined(self, slot: int) -> dict[int, int]:
        """By column, the position after which the rule counts for a pair that came onto its list later."""
        return dict(self._joined.get(slot, {}))

    def counts_after(self, slots: Ints, cols: Ints) -> Ints:
        """For each rule and pair, the position after which that rule counts for that pair."""
        after = self._roll.starts(slots)
        for place in np.flatnonzero(np.isin(slots, [*self._joined])).tolist() if self._joined else ():
            after[place] = self.counts_after_one(int(slots[place]), int(cols[place]))
        return after

    def counts_after_one(self, slot: int, col: int) -> int:
        """The same for one."""
        start = self.start(slot)
        joined = self._joined.get(slot)
        return start if joined is None else joined.get(col, start)

    # --- where they stand ------------------------------------------------------------------------

    def awake(self, slots: Ints) -> NDArray[np.bool_]:
        """Whether these rules are not at rest for some pair."""
        return self._standings.awake(slots)

    def arms_quietly(self, slots: Ints, cols: Ints) -> NDArray[np.bool_]:
        """Where a rule is unarmed for its only pair, and nothing but that can change."""
        quiet: NDArray[np.bool_] = self._quiet.values[slots]
        return self._standings.are_unarmed(slots, cols) & quiet

    def armed(self, slots: Ints, times: Ints, *, rest: bool) -> None:
        """Rules on one pair each are armed: they are at rest, or inside since these times."""
        self._standings.arm(slots, times, rest=rest)
        self._many.append(slots)

    @property
    def pending(self) -> dict[int, set[int]]:
        """Column → slots."""
        return self._standings.pending

    def standing(self, slot: int, col: int) -> Standing | None:
        """None: at rest."""
        return self._standings.get(slot, col)

    def standings(self, slot: int) -> dict[int, Standing]:
        """By column, where the rule is not at rest."""
        return self._standings.of(slot)

    def stand(self, slot: int, col: int, standing: Standing | None) -> None:
        """Write down where a rule stands for a pair; None is at rest."""
        self._standings.put(slot, col, standing)
        self._moved.add((self.id(slot), col))

    def disarm(self, slot: int, col: int) -> None:
        """The next observation at which the condition is known only arms the rule."""
        self.stand(slot, col, UNARMED)
        self.wait(slot, col)

    def wait(self, slot: int, col: int) -> None:
        """The rule is looked at at the next observation in any case, unless it is paused."""
        group = self.group(slot)
        if group is not None:
            self.waiting.add(slot, col, timed=group.timed)

    def wait_many(self, slots: Ints, cols: Ints, group: Group) -> None:
        """The same for rules of one group on one pair each."""
        self.waiting.add_many(slots, cols, timed=group.timed)

    def wait_again(self) -> None:
        """All that are unarmed wait."""
        slots, several = self._standings.unarmed()
        for slot, col in several:
            self.wait(slot, col)
        for group in self._groups:
            if group is not None and len(slots):
                mine = slots[self._number.values[slots] == group.number]
                self.wait_many(mine, self._standings.col[mine].astype(np.int64), group)

    # --- many at once ----------------------------------------------------------------------------

    def add_many(
        self, rules: Iterable[tuple[int, Rule]], universe: Universe, widen: Callable[[], None]
    ) -> tuple[range, list[tuple[int, Rule, str]]]:
        """Rules with other ids than those there are, and the positions after which they count. Their slots; and
        those that are not understood, with why. `widen`: makes room for pairs that were just met."""
        pools, begin = self._roll.pools, len(self._roll)
        codes: list[int] = []
        wrong: list[tuple[int, Rule, str]] = []
        for start, rule in rules:
            try:
                row = pools.row(rule, start)
            except ConfigError as error:
                wrong.append((start, rule, error.message))
                continue
            codes.append(row.code)
            self._roll.add(row)
            if not rule.spec.paused:
                self._single_of(row.on, universe)
                widen()
        self._widen(len(self._roll))
        self._alive.values[begin:] = True
        for slot, code in enumerate(codes, start=begin):
            self._ids.put(code, slot)
        return range(begin, len(self._roll)), wrong

    @property
    def all_slots(self) -> range:
        """Those that were given out."""
        return range(len(self._roll))

    def taken_out(self, slot: int) -> tuple[Rule, int, dict[int, Standing], dict[int, int]]:
        """A rule that is not judged leaves: itself, after which position it counts, where it stands, joined()."""
        left = self.plain(slot), self.start(slot), self.standings(slot), self.joined(slot)
        self.drop(slot)
        return left

    def alike(self, slots: range, universe: Universe) -> Iterator[Alike]:
        """The rules of these slots, by segment and kind. Their kinds are understood: see misread()."""
        for mine, segment, rows in self.living(slots):
            order = np.argsort(segment.kind[rows], kind="stable")
            kinds = segment.kind[rows[order]]
            for each in np.split(order, np.flatnonzero(np.diff(kinds)) + 1) if len(order) else ():
                kind = self._roll.pools.kind(int(segment.kind[rows[each[0]]]))
                values = segment.numbers(rows[each], len(kind.percent))
                cols = None if kind.spec.paused else self._singles(segment.on[rows[each]], universe)
                yield Alike(kind, mine[each], cols, values)

    def misread(self) -> dict[int, str]:
        """By slot, the rules that are not understood any more, and why."""
        kinds = {kind for _, segment, rows in self.living() for kind in np.unique(segment.kind[rows]).tolist()}
        wrong: dict[int, str] = {}
        for kind in sorted(kinds):
            try:
                self._roll.pools.kind(kind)
            except ConfigError as error:
                wrong[kind] = error.message
        found: dict[int, str] = {}
        for slots, segment, rows in self.living() if wrong else ():
            theirs = np.isin(segment.kind[rows], [*wrong])
            for slot, row in zip(slots[theirs].tolist(), rows[theirs].tolist(), strict=True):
                found[slot] = wrong[int(segment.kind[row])]
        return found

    def plain(self, slot: int) -> Rule:
        """The rule in a slot that is in use, whether it is understood or not."""
        return self._roll.pools.rule(self._roll.row(slot))

    def living(self, slots: range | None = None) -> Iterator[tuple[Ints, Segment, Ints]]:
        """Slots of rules that are there, by segment, with the segment and their rows in it."""
        for mine, segment, rows in self._roll.stretches(range(len(self._roll)) if slots is None else slots):
            there = self.alive[mine]
            yield mine[there], segment, rows[there]

    def kinds(self, slots: Ints, segment: Segment, rows: Ints) -> NDArray[np.int32]:
        """Of rules as living() gives them, as they are now."""
        return self._roll.kinds(slots, segment, rows)

    def _singles(self, on: NDArray[np.int32], universe: Universe) -> Ints:
        """For each number of what a rule is on, the column of its only pair; SEVERAL for others."""
        self._single.extend(max(0, len(self._roll.pools.on.values) - len(self._single)))
        single = self._single.values
        for number in np.unique(on[single[on] == _UNKNOWN]).tolist():
            self._single_of(number, universe)
        return self._single.values[on].astype(np.int64) - _SINGLE

    def _single_of(self, on: int, universe: Universe) -> None:
        """Make room for it, and find out."""
        self._single.extend(max(0, on + 1 - len(self._single)))
        if self._single.values[on] == _UNKNOWN:
            cols = columns_of(self._roll.pools.where(on), universe)
            one = len(cols) == 1 and not self._roll.pools.where(on).everywhere
            self._single.values[on] = (cols[0] if one else SEVERAL) + _SINGLE

    def judge(self, alike: Alike, rows: NDArray[np.bool_], group: Group) -> None:
        """These of the rules, each on one pair, are judged with others of their shape."""
        assert alike.cols is not None, "rules that are judged are not paused"
        slots, (fire, rearm) = alike.slots[rows], alike.constants(rows)
        self._quiet.values[slots] = _is_quiet(alike.kind)
        self._number.values[slots] = self._number_of(group)
        looks = len(fire)
        self._first.values[slots] = len(self._fire) + looks * np.arange(len(slots))
        for column, constants in ((self._fire, fire), (self._rearm, rearm)):
            column.extend(looks * len(slots))[:] = np.stack(constants, axis=1).reshape(-1)
        self._standings.col[slots] = alike.cols[rows]
        group.rules += len(slots)

    def begin(self, slots: Ints) -> None:
        """These rules, each on one pair, are unarmed."""
        self._standings.begin(slots)
        self._many.append(slots)

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
        return bool(self._moved or self._many or self._fired)

    def forget_changes(self) -> None:
        """Everything is stored as it is."""
        self._moved.clear()
        self._many.clear()
        self._fired.clear()

    def _note_many(self) -> None:
        """Of rules that moved together: which, one by one."""
        for slots in self._many:
            self._moved.update(zip(map(self.id, slots.tolist()), self._standings.col[slots].tolist(), strict=True))
        self._many.clear()

    def changes(self, names: list[str]) -> tuple[list[Lifecycle], list[tuple[str, str]], list[Firing]]:
        """Since the last call: standings to write, (rule, pair)s now at rest, firings. `names`: of the pairs."""
        self._note_many()
        rows: list[Lifecycle] = []
        at_rest: list[tuple[str, str]] = []
        for rule_id, col in sorted(self._moved):
            slot = self.slot(rule_id)
            standing = None if slot is None else self.standing(slot, col)
            if slot is None or standing is None:
                at_rest.append((rule_id, names[col]))
                continue
            rows.append(
                Lifecycle(
                    rule=rule_id,
                    version=self.version(slot),
                    pair=names[col],
                    state=standing.state,
                    since=standing.since,
                )
            )
        firings = [self._firings[place] for place in sorted(self._fired)]
        self.forget_changes()
        return rows, at_rest, firings

    # --- checkpoints -----------------------------------------------------------------------------

    def state(self) -> BookState:
        """Everything but groups and firings."""
        joined = [(slot, *both) for slot, cols in sorted(self._joined.items()) for both in cols.items()]
        return BookState(
            self._roll.state(self.alive),
            self._standings.state(),
            Joined(
                np.asarray([each[0] for each in joined], np.int32),
                np.asarray([each[1] for each in joined], np.int32),
                np.asarray([each[2] for each in joined], np.int64),
            ),
        )

    def restore(self, state: BookState) -> None:
        """The opposite of state(), into a fresh book, in which no rule is judged yet."""
        self._roll.restore(state.roll)
        self._widen(len(self._roll))
        slots, codes = zip(*state.roll.living(), strict=True)
        for mine in slots:
            self._alive.values[mine] = True
        self._ids.fill(codes, slots)
        self._standings.restore(state.stood)
        joined = (column.tolist() for column in (state.joined.slot, state.joined.col, state.joined.after))
        for slot, col, after in zip(*joined, strict=True):
            self._joined.setdefault(slot, {})[col] = after


def _is_quiet(kind: Kind) -> bool:
    return not kind.spec.fire_if_already_true and not kind.rule.expires


def columns_of(where: Where, universe: Universe) -> list[int]:
    """The pairs a rule covers."""
    if where.everywhere:
        return universe.everyones()
    return [universe.column(pair) for pair in where.pairs]
