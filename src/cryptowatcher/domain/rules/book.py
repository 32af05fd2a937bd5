"""The book of rules: each in its slot, where it stands for which pair, and when it fired.

Everything that is known of a rule by its slot is asked here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.checkpoints import Part
from cryptowatcher.domain.copies import Copies
from cryptowatcher.domain.pairs import Universe
from cryptowatcher.domain.rules.alike import Comparisons, Many, many, misread
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.groups import Group, Waiting
from cryptowatcher.domain.rules.growing import Growing
from cryptowatcher.domain.rules.ids import Ids
from cryptowatcher.domain.rules.joins import Joined, Joins
from cryptowatcher.domain.rules.judged import Judged
from cryptowatcher.domain.rules.kinds import Kind
from cryptowatcher.domain.rules.lifecycle import UNARMED, Standing
from cryptowatcher.domain.rules.memories import Memories
from cryptowatcher.domain.rules.model import Firing, Lifecycle, LifecycleState, Rule
from cryptowatcher.domain.rules.moves import Moves
from cryptowatcher.domain.rules.roll import Roll, RollState, Segment
from cryptowatcher.domain.rules.rows import Own, Row, Terms, Where
from cryptowatcher.domain.rules.singles import Singles
from cryptowatcher.domain.rules.standings import Standings, Stood
from cryptowatcher.domain.rules.traits import AT_ONCE, QUIET, SILENT, traits_of
from cryptowatcher.domain.ticks import Ints
from cryptowatcher.errors import ConfigError

_SOME = 32_768
"""Rules that are looked at a time."""


class BookState(msgspec.Struct, frozen=True):
    """All rules that are understood, and where they stand: a part for each segment of slots."""

    roll: RollState
    stood: tuple[Part[Stood], ...]
    joined: Joined


class Changes(NamedTuple):
    """What is to be written down: standings, (rule, pair)s now at rest, and firings; and those of rules that are
    alike, because they moved together."""

    lifecycle: list[Lifecycle]
    at_rest: list[tuple[str, str]]
    firings: list[Firing]
    fired_together: list[Copies[Firing]]
    moved_together: list[Copies[Lifecycle]]


class Book:
    """Slots are numbered for good: a rule that begins anew gets another one."""

    def __init__(self) -> None:
        self._roll = Roll()
        self._ids = Ids(self._roll.code, lambda: self.alive)
        self._standings = Standings()
        self._alive = Growing(np.bool_)
        self._top = Growing(np.int16)
        self._traits = Growing(np.uint8)
        self.judged = Judged()
        self._joins = Joins()
        self._singles = Singles(self._roll.pools)
        self.everywhere: set[int] = set()  # slots of rules on all pairs, or on the largest
        self.waiting = Waiting()
        self.memories = Memories()
        self._moves = Moves(self._roll, self._standings, self.slot)

    # --- rules -----------------------------------------------------------------------------------

    def add(self, rule: Rule, *, start: int, joined: dict[int, int]) -> tuple[int, Row]:
        """A slot and a row for a rule that counts for records after position `start`, and for pairs that `joined`
        its list (columns) later after theirs. It takes the place of another of that id, which is to be dropped.
        ConfigError for a condition that is not understood."""
        row = self._roll.pools.row(rule, start)
        slot = self._roll.add(row)
        self._widen(slot + 1)
        self._alive.values[slot] = True
        self._ids.put(row.code, slot)
        self._joins.put(slot, joined)
        return slot, row

    def _widen(self, slots: int) -> None:
        more = slots - len(self._alive)
        for column in (self._alive, self._top, self._traits):
            column.extend(more)
        self.judged.widen(more)
        self._standings.add(more)

    def join(self, slot: int, group: Group, terms: Terms, cols: Sequence[int]) -> None:
        """The rule is judged, with those of its shape, for these pairs."""
        self.judged.put(slot, group, terms.fire, terms.rearm)
        self._traits.values[slot] = traits_of(terms.kind)
        if terms.where.everywhere:
            self.everywhere.add(slot)
            self._top.values[slot] = terms.where.top
        elif len(cols) == 1:
            self._standings.place(slot, cols[0])

    def drop(self, slot: int) -> Group | None:
        """The rule is gone; the group it was judged with."""
        for col in list(self._standings.of(slot)):
            self.stand(slot, col, None)
        self._moves.name_them()  # by the next changes() it has no id any more
        group = self.group(slot)
        self._ids.drop(self._roll.code(slot), slot)
        self._joins.drop(slot)
        self._roll.forget(slot)
        self._alive.values[slot] = False
        self.everywhere.discard(slot)
        return group

    def replace(self, slot: int, rule: Rule) -> None:
        """The same version, with other settings around it."""
        row = self._roll.pools.row(rule, self.start(slot))
        self._roll.replace(slot, row)
        self._traits.values[slot] = traits_of(self.kind(slot))

    def rule(self, slot: int) -> CompiledRule:
        """The rule in a slot that is in use. It is made anew each time."""
        return self._roll.pools.compiled(self._roll.row(slot))

    def own(self, slots: Ints) -> Iterator[tuple[Ints, Kind, Own]]:
        """What is their own of many rules, some at a time and by kind: which of the slots, and theirs."""
        for begin in range(0, len(slots), _SOME):
            rows = self._roll.rows(slots[begin : begin + _SOME])
            kinds = np.fromiter((row.kind for row in rows), np.int64, len(rows))
            for kind in sorted(set(kinds.tolist())):
                mine = np.flatnonzero(kinds == kind)
                own = self._roll.pools.own_many([rows[place] for place in mine.tolist()])
                yield begin + mine, self._roll.pools.kind(kind), own

    def terms(self, slot: int, row: Row | None = None) -> Terms:
        """What the rule is judged by. `row`: the rule's, where it is at hand."""
        return self._roll.pools.terms(row or self._roll.row(slot))

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
        return self._roll.id(slot)

    def group(self, slot: int) -> Group | None:
        """What a rule is judged with; None while it is paused."""
        return self.judged.group(slot)

    @property
    def alive(self) -> NDArray[np.bool_]:
        """By slot, whether there still is a rule."""
        return self._alive.values

    @property
    def top(self) -> NDArray[np.int16]:
        """By slot, of how many largest pairs the rule looks at each; 0 for others."""
        return self._top.values

    # --- after which position they count ---------------------------------------------------------

    def version(self, slot: int) -> int:
        """Of the rule in a slot that is in use."""
        return self._roll.version(slot)

    def start(self, slot: int) -> int:
        """The position after which the rule counts."""
        return self._roll.start(slot)

    def joined(self, slot: int) -> dict[int, int]:
        """By column, the position after which the rule counts for a pair that came onto its list later."""
        return dict(self._joins.of(slot))

    def counts_after(self, slots: Ints, cols: Ints) -> Ints:
        """For each rule and pair, the position after which that rule counts for that pair."""
        after = self._roll.starts(slots)
        self._joins.put_in(slots, cols, after)
        return after

    def counts_after_one(self, slot: int, col: int) -> int:
        """The same for one."""
        return self._joins.of(slot).get(col, self.start(slot))

    # --- where they stand ------------------------------------------------------------------------

    def awake(self, slots: Ints) -> NDArray[np.bool_]:
        """Whether these rules are not at rest for some pair."""
        return self._standings.awake(slots)

    def arms_quietly(self, slots: Ints, cols: Ints) -> NDArray[np.bool_]:
        """Where a rule is unarmed for its only pair, and nothing but that can change."""
        return self._standings.are(slots, cols, "unarmed") & self._have(slots, QUIET)

    def only_rearms(self, slots: Ints, cols: Ints) -> NDArray[np.bool_]:
        """Where a rule is inside for its only pair, and can only re-arm."""
        return self._standings.are(slots, cols, "inside") & self._have(slots, SILENT)

    def fires_at_once(self, slots: Ints, cols: Ints) -> NDArray[np.bool_]:
        """Where a rule is at rest for its only pair, and fires when its condition turns true."""
        return self._standings.are(slots, cols, None) & self._have(slots, AT_ONCE)

    def _have(self, slots: Ints, trait: int) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (self._traits.values[slots] & trait) != 0
        return found

    def stand_many(self, slots: Ints, state: LifecycleState | None, times: Ints) -> None:
        """Rules on one pair each, none of them pending, are in this state since these times (None: at rest)."""
        self._standings.move(slots, state, times)
        self._moves.note_many(slots)

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
        self._moves.note((self.id(slot), col))

    def disarm(self, slot: int, col: int) -> None:
        """The next observation at which the condition is known only arms the rule."""
        self.stand(slot, col, UNARMED)
        self.wait(slot, col)

    def wait(self, slot: int, col: int) -> None:
        """The rule is looked at at the next observation in any case, unless it is paused."""
        group = self.group(slot)
        if group is not None:
            self.waiting.add(slot, col, timed=group.timed)

    def wait_again(self) -> None:
        """All that are unarmed wait."""
        slots, several = self._standings.unarmed()
        for slot, col in several:
            self.wait(slot, col)
        for group in self.judged.groups() if len(slots) else ():
            mine = slots[self.judged.number[slots] == group.number]
            self.waiting.add_many(mine, self._standings.col[mine].astype(np.int64), timed=group.timed)

    # --- many at once ----------------------------------------------------------------------------

    def add_many(
        self, rules: Iterable[tuple[int, Rule]], universe: Universe, widen: Callable[[], None]
    ) -> tuple[range, list[tuple[int, Rule, str]]]:
        """Rules with other ids than those there are, and the positions after which they count. Their slots; and
        those that are not understood, with why. `widen`: makes room for pairs that were just met."""
        pools, begin = self._roll.pools, len(self._roll)
        codes: list[int] = []
        on: dict[int, None] = {}
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
                on[row.on] = None
        for number in on:
            self._singles.find(number, universe)
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

    def many(self, slots: range, universe: Universe) -> Iterator[Many]:
        """See alike.many()."""
        return many(self._roll.pools, self._singles, self.living(slots), universe)

    def misread(self) -> dict[int, str]:
        """By slot, the rules that are not understood any more, and why."""
        return misread(self._roll.pools, self._roll.all_kinds(), self.living)

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

    def judge(self, many: Many, groups: Sequence[Group], comparisons: Comparisons) -> None:
        """These rules, each on one pair, are judged with others of their shapes. `groups`: for each kind."""
        slots = many.slots
        self._traits.values[slots] = np.asarray([traits_of(kind) for kind in many.kinds], np.uint8)[many.which]
        self.judged.put_many(slots, groups, many.which, comparisons.fire, comparisons.rearm)
        self._standings.place(slots, many.cols)

    def begin(self, many: Many, groups: Sequence[Group]) -> None:
        """They are unarmed, and looked at at the next observation in any case."""
        slots, cols = many.slots, many.cols
        self._standings.move(slots, "unarmed", np.zeros(len(slots), np.int64))
        self._moves.note_many(slots)
        timed = np.asarray([group.timed for group in groups])[many.which]
        for each in (False, True):
            mine = timed == each
            self.waiting.add_many(slots[mine], cols[mine], timed=each)

    # --- what to write down ----------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether changes() would give anything."""
        return bool(self._moves or self.memories)

    def forget_changes(self) -> None:
        """Everything is stored as it is."""
        self._moves.clear()
        self.memories.clear()

    def changes(self, names: list[str], *, together: bool = False) -> Changes:
        """Since the last call. `names`: of the pairs; `together`: what is alike by itself."""
        rows, at_rest, stand = self._moves.take(self.alive, names, together=together)
        return Changes(rows, at_rest, *self.memories.take(together=together), stand)

    # --- checkpoints -----------------------------------------------------------------------------

    def state(self) -> BookState:
        """Everything but groups and firings."""
        return BookState(self._roll.state(self.alive), self._standings.state(), self._joins.state())

    def restore(self, state: BookState) -> None:
        """The opposite of state(), into a fresh book, in which no rule is judged yet."""
        self._roll.restore(state.roll)
        self._widen(len(self._roll))
        slots, codes = zip(*state.roll.living(), strict=True)
        for mine in slots:
            self._alive.values[mine] = True
        self._ids.fill(codes, slots)
        self._standings.restore(state.stood)
        self._joins.restore(state.joined)
