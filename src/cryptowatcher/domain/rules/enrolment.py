"""How rules come, change and go.

One that comes is a row of the book, and its constants lie among those of the numbers it looks at. Many that come
at once, or come back at a start, are dealt with as columns, kind by kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from cryptowatcher.domain.features.change import SINCE_ALERT
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.pairs import Universe
from cryptowatcher.domain.rules.alike import Comparisons, Many
from cryptowatcher.domain.rules.anchors import Anchors, anchored
from cryptowatcher.domain.rules.book import Book, BookState
from cryptowatcher.domain.rules.check import is_pair
from cryptowatcher.domain.rules.compiled import Shape
from cryptowatcher.domain.rules.groups import Group
from cryptowatcher.domain.rules.judged import by_number
from cryptowatcher.domain.rules.lifecycle import UNARMED, Standing
from cryptowatcher.domain.rules.model import Firing, Lifecycle, Rule, RuleChange
from cryptowatcher.domain.rules.rows import Terms
from cryptowatcher.domain.rules.singles import columns_of
from cryptowatcher.domain.rules.standings import SEVERAL
from cryptowatcher.domain.rules.tops import Top
from cryptowatcher.domain.rules.tree import Expression
from cryptowatcher.domain.rules.watched import Known, Watched
from cryptowatcher.domain.ticks import Ints
from cryptowatcher.errors import ConfigError

_MANY = 8
"""From so many on they are sooner dealt with as columns."""


class RuleState(msgspec.Struct, frozen=True):
    """A rule, the position after which it counts, and by column where it is not at rest, and after which position
    it counts for pairs that `joined` its list later."""

    rule: Rule
    start: int
    standing: dict[int, Standing]
    joined: dict[int, int] = {}


class Enrolment:
    """Over the engine's memory, book, numbers and tops, which it shares and does not own."""

    def __init__(
        self,
        memory: Memory,
        book: Book,
        anchors: Anchors,
        watched: dict[Expression, Watched],
        tops: dict[int, Top],
    ) -> None:
        self._memory = memory
        self._book = book
        self._anchors = anchors
        self._watched = watched
        self._tops = tops
        self._groups: dict[Shape, Group] = {}
        self._unreadable: dict[str, RuleState] = {}
        self.misread: dict[str, str] = {}

    @property
    def _universe(self) -> Universe:
        return self._memory.universe

    # --- one by one ------------------------------------------------------------------------------

    def _apply(self, change: RuleChange, *, seq: int) -> None:
        slot = self._book.slot(change.rule_id)
        new = change.rule
        self._unreadable.pop(change.rule_id, None)
        if slot is not None and new is not None and self._book.version(slot) == new.version:
            if self._book.plain(slot).members != new.members:
                self._relist(slot, new, seq=seq)
                self._apply(change, seq=seq)  # what else is new
            else:
                self._edit(slot, new, seq=seq)
            return
        if slot is not None:
            self._drop(slot)
        if new is not None:
            self._add(RuleState(new, seq, {}))

    def _edit(self, slot: int, new: Rule, *, seq: int) -> None:
        """The same version: where it stands stays. Pausing and resuming forget that, but not that `once` is done;
        only a rule that from now on fires at every edge begins again where it was done."""
        old = self._book.plain(slot)
        done = {col: there for col, there in self._book.standings(slot).items() if there.state == "done"}
        if old.spec.paused != new.spec.paused:
            self._drop(slot)
            self._add(RuleState(new, seq, done if new.spec.repeat == "once" else {}))
            return
        before = self._book.kind(slot).rule.expires
        self._book.replace(slot, new)
        if before and before != self._book.kind(slot).rule.expires:
            self._renew(slot, before)
        if new.spec.repeat == "once":
            return
        for col in done:
            if new.spec.paused:
                self._book.stand(slot, col, None)
            else:
                self._book.disarm(slot, col)

    def _relist(self, slot: int, new: Rule, *, seq: int) -> None:
        """Its list has other pairs now: those that stay stand where they stood, new ones begin unarmed, those that
        left are forgotten. It gets another slot, because the constants it had for those that left stay behind; and
        that before it leaves the old one, so that the numbers it looks at are not forgotten in between."""
        book, names, old = self._book, self._universe.names, self._book.plain(slot)
        before, after, start = set(old.members), set(new.members), book.start(slot)
        standing = {col: there for col, there in book.standings(slot).items() if names[col] in after}
        joined = {col: at for col, at in book.joined(slot).items() if names[col] in after}
        if not old.spec.paused:
            for col in [self._universe.column(pair) for pair in new.members if pair not in before]:
                standing[col] = UNARMED
                if seq > start:
                    joined[col] = seq
        again = msgspec.structs.replace(old, members=new.members)
        self._add(RuleState(again, start, standing, joined), restored=True)
        self._drop(slot)

    def _renew(self, slot: int, end: int) -> None:
        """It was over for pairs observed since its end: for them it begins again, but what is done is done."""
        if self._book.group(slot) is None:
            return
        for col in columns_of(self._book.where(slot), self._universe):
            if self._memory.history.time[col] >= end:
                self.disarm(slot, col)

    def _add(self, state: RuleState, *, restored: bool = False) -> None:
        """A rule begins: unarmed for its pairs, but where the state says otherwise (restored: says all). One that
        was stored and is not understood (any more) waits for a release that does, or for its owner."""
        try:
            slot, row = self._book.add(state.rule, start=state.start, joined=state.joined)
        except ConfigError as error:
            self._leave_out(state, error.message)
            return
        for col, there in state.standing.items():
            self._book.stand(slot, col, there)
        if state.rule.spec.paused:
            return
        terms = self._book.terms(slot, row)
        cols = columns_of(terms.where, self._universe)
        self.widen()
        self._judge(slot, terms, cols)
        for col in cols:
            if not restored and col not in state.standing:
                self._book.disarm(slot, col)
            elif self._book.standing(slot, col) == UNARMED:
                self._book.wait(slot, col)

    def _judge(self, slot: int, terms: Terms, cols: Sequence[int], *, restored: bool = False) -> None:
        """From now on it is looked at for these pairs. `restored`: its constants are there."""
        top = terms.where.top
        if top:
            if top not in self._tops:
                self._tops[top] = Top(top, self._memory)
            self._tops[top].slots.add(slot)
        group = self._group_of(terms.kind.rule.shape)
        self._book.join(slot, group, terms, cols)
        if not restored:
            for watched in set(group.watched):
                watched.add(slot, terms, cols)
        for col in cols if terms.kind.rule.reanchors else ():
            self._anchor(slot, col)

    def _leave_out(self, state: RuleState, why: str) -> None:
        self._unreadable[state.rule.id] = state
        self.misread[state.rule.id] = why

    def _anchor(self, slot: int, col: int) -> None:
        """The rule counts from its last alert for a pair, if there was one."""
        rule = self._book.rule(slot)
        since_then = anchored(rule, self._book.memories.get((rule.rule.id, col)))
        if since_then is not rule:
            self._anchors.put(slot, col, since_then)

    def _group_of(self, shape: Shape) -> Group:
        group = self._groups.get(shape)
        if group is None:
            for look in shape.looks:
                if look.number not in self._watched:
                    self._watched[look.number] = Watched(look.number, Known.of_nothing(len(self._memory)))
            watched = [self._watched[look.number] for look in shape.looks]
            group = self._groups[shape] = Group(shape, watched)
        return group

    def _drop(self, slot: int) -> None:
        everywhere = slot in self._book.everywhere
        group = self._book.drop(slot)
        if group is None:
            return
        self._anchors.drop(slot)
        for top in list(self._tops.values()):
            top.slots.discard(slot)
            if not top.slots:
                del self._tops[top.n]
        if self._book.judged.leave(group):
            del self._groups[group.shape]
        for watched in set(group.watched):
            watched.remove(slot, everywhere=everywhere)
            if not watched.rules:
                # Nobody looks at it: forget it, so that a later rule finds what a fresh process would find.
                del self._watched[watched.number]

    # --- many at once ----------------------------------------------------------------------------

    def apply_many(self, changes: Sequence[tuple[int, RuleChange]]) -> None:
        """See Engine.apply_many()."""
        new: dict[str, tuple[int, Rule]] = {}
        for seq, change in changes:
            rule = change.rule
            if change.rule_id in new:
                self._add_many(new)
                new = {}
            if rule is None or not _alone(rule) or self._book.slot(change.rule_id) is not None:
                self._apply(change, seq=seq)
            else:
                self._unreadable.pop(change.rule_id, None)
                new[change.rule_id] = seq, rule
        self._add_many(new)

    def _add_many(self, rules: dict[str, tuple[int, Rule]]) -> None:
        if len(rules) < _MANY:
            for start, rule in rules.values():
                self._add(RuleState(rule, start, {}))
            return
        slots, wrong = self._book.add_many(rules.values(), self._universe, self.widen)
        for start, rule, why in wrong:
            self._leave_out(RuleState(rule, start, {}), why)
        for many in self._book.many(slots, self._universe):
            self._judge_many(many)

    def _judge_many(self, many: Many, *, restored: bool = False) -> None:
        """From now on these rules are looked at. `restored`: their constants and standings are there."""
        anchored = np.asarray([kind.rule.reanchors for kind in many.kinds])[many.which]
        alone = (many.cols != SEVERAL) & ~anchored
        for slot in many.slots[~alone].tolist():
            terms = self._book.terms(slot)
            self._judge(slot, terms, columns_of(terms.where, self._universe), restored=restored)
        many = many.only(alone)
        if not len(many.slots):
            return
        groups = [self._group_of(kind.rule.shape) for kind in many.kinds]
        comparisons = many.comparisons()
        self._book.judge(many, groups, comparisons)
        if not restored:
            self._look(many, groups, comparisons)
            self._book.begin(many, groups)

    def _look(self, many: Many, groups: Sequence[Group], comparisons: Comparisons) -> None:
        """Their constants lie among the others, in the order in which they would come one by one."""
        judged, rule = self._book.judged, comparisons.rule
        constant = np.stack([comparisons.fire, comparisons.rearm], axis=1).reshape(-1)
        kept = np.ones(len(constant), np.bool_)
        kept[1::2] = comparisons.rearm != comparisons.fire  # one that re-arms where it fires needs no second
        first = np.cumsum([0, *(len(group.watched) for group in groups)])[many.which]
        seats = np.asarray([judged.seat(watched) for group in groups for watched in group.watched], np.int32)
        seat = np.repeat(seats[first[rule] + comparisons.place], 2)[kept]
        rule, constant = np.repeat(rule, 2)[kept], constant[kept]
        for number, mine in by_number(seat):
            who = rule[mine]
            rules = 1 + int(np.count_nonzero(np.diff(who)))
            judged.seated(number).add_many(many.cols[who], constant[mine], many.slots[who], rules)

    def restore(self, book: BookState, unreadable: Iterable[RuleState]) -> None:
        """All rules as they were, after memory, numbers, tops and firings."""
        self._book.restore(book)
        for slot, why in self._book.misread().items():
            self._leave_out(RuleState(*self._book.taken_out(slot)), why)
        for many in self._book.many(self._book.all_slots, self._universe):
            self._judge_many(many, restored=True)
        self._book.wait_again()
        looked_at = {look.number for shape in self._groups for look in shape.looks}
        for number in self._watched.keys() - looked_at:  # of rules that are not understood any more
            del self._watched[number]
        for state in unreadable:
            self._add(state, restored=True)

    def unreadable(self) -> list[RuleState]:
        """Rules that are not understood, as they were."""
        return [self._unreadable[rule_id] for rule_id in sorted(self._unreadable)]

    # --- what is forgotten -----------------------------------------------------------------------

    def remember(self, firings: Iterable[Firing], lifecycle: Iterable[Lifecycle]) -> None:
        """See Engine.remember()."""
        for firing in firings:
            place = firing.rule, self._universe.column(firing.pair)
            self._book.memories.put(place, firing)
            slot = self._book.slot(firing.rule) if firing.price else None
            if slot is not None and self._book.group(slot) is not None:
                self._anchor(slot, place[1])
        self.widen()
        for row in lifecycle:
            slot = self._book.slot(row.rule)
            if row.state == "done" and slot is not None and self._book.version(slot) == row.version:
                self._book.stand(slot, self._universe.column(row.pair), Standing("done", row.since))

    def widen(self) -> None:
        """Make room for pairs that were just met; rules on all pairs have not seen them yet."""
        known = len(self._memory)
        if len(self._universe) == known:
            return
        self._memory.widen()
        for watched in self._watched.values():
            watched.widen(len(self._memory))
        for top in self._tops.values():
            top.widen(len(self._memory))
        new = self._universe.everyones(known)
        for slot in self._book.everywhere:
            for col in new:
                self.disarm(slot, col)

    def begin_anew(self, pairs: Iterable[str]) -> None:
        """See Engine.begin_anew()."""
        ordered = dict.fromkeys(pairs)  # some may be new: they get their columns in this order, and in no other
        cols, names = np.asarray(sorted(map(self._universe.column, ordered)), np.int64), frozenset(ordered)
        self.widen()
        self._lift_anchors(cols)
        self._memory.forget(cols)
        for watched in self._watched.values():
            watched.forget(np.arange(len(self._memory)) if watched.reads & names else cols)
        for top in self._tops.values():
            top.forget(cols)
        slots = [watched.slots_of(cols, names) for watched in self._watched.values()]
        looking = np.unique(np.concatenate([*slots, np.zeros(0, np.int64)]))
        for slot in looking[self._book.alive[looking]].tolist():
            self._disarm_all(slot, names)

    def _lift_anchors(self, cols: Ints) -> None:
        """A price that was wrong is none to count from: rules that fired at it count from their number again."""
        self._anchors.unsettle()
        for slot, col in self._anchors.at(cols.tolist()):
            place = self._book.id(slot), col
            firing = self._book.memories.get(place)
            if firing is not None and firing.price == self._memory.history.price[col]:
                self._anchors.lift(slot, col)
                self._book.memories.put(place, msgspec.structs.replace(firing, price=0.0))

    def _disarm_all(self, slot: int, names: frozenset[str]) -> None:
        """For these pairs; for all that it is on, if it looks at one of these beside them."""
        group = self._book.group(slot)
        looked_at = group is not None and any(watched.reads & names for watched in group.watched)
        for col in columns_of(self._book.where(slot), self._universe):
            if looked_at or self._universe.names[col] in names:
                self.disarm(slot, col)

    def disarm(self, slot: int, col: int) -> None:
        """The next observation at which the condition is known only arms the rule, unless it is paused. What is
        done is done."""
        if self._book.group(slot) is None:
            return
        standing = self._book.standing(slot, col)
        if standing is None or standing.state != "done":
            self._book.disarm(slot, col)


def _alone(rule: Rule) -> bool:
    """Whether it is on one pair that it names, and nothing else has to be known to judge it."""
    spec = rule.spec
    return len(spec.pairs) == 1 and is_pair(spec.pairs[0]) and SINCE_ALERT not in spec.when.lower()
