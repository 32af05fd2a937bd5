"""The engine: steps one instant through all rules and says which fired.

Here rules come, change and go; judging.py says what an instant does to them. Work does not grow with the number
of rules. The engine is a deterministic function of the records and rule changes it was given: no clock, no chance,
and no value depends on when a number was first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.features.memory import Memory, MemoryState
from cryptowatcher.domain.pairs import CANARY, Universe
from cryptowatcher.domain.rules.book import Book, columns_of
from cryptowatcher.domain.rules.compiled import CompiledRule, Shape, compile_rule
from cryptowatcher.domain.rules.firing import NEVER_KNOWN, LastKnown
from cryptowatcher.domain.rules.groups import Group
from cryptowatcher.domain.rules.judging import Judging, Scene
from cryptowatcher.domain.rules.lifecycle import UNARMED, Standing
from cryptowatcher.domain.rules.model import Firing, Lifecycle, Rule, RuleChange
from cryptowatcher.domain.rules.tops import Top, TopState, settle
from cryptowatcher.domain.rules.tree import Expression
from cryptowatcher.domain.rules.watched import Known, Watched
from cryptowatcher.domain.ticks import Ints, TickBatch
from cryptowatcher.errors import ConfigError


class RuleState(msgspec.Struct, frozen=True):
    """A rule, the position after which it counts, and by column where it is not at rest, and after which position
    it counts for pairs that `joined` its list later."""

    rule: Rule
    start: int
    standing: dict[int, Standing]
    joined: dict[int, int] = {}


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """An engine between two steps."""

    memory: MemoryState
    rules: list[RuleState]
    firings: list[Firing]
    watched: list[tuple[Expression, Known]]
    tops: list[TopState]


class Place(NamedTuple):
    """A rule and a pair, as the engine has them.

    standing: None: at rest, or the rule does not look at the pair
    firing:   the rule's memory for the pair, if it ever was to fire
    covered:  whether the rule's pairs include this one, and `among`: whether it is one of the n of `top(n)` now
    known:    for each number that the rule looks at, what was last known
    """

    rule: CompiledRule
    standing: Standing | None
    firing: Firing | None
    covered: bool
    among: bool
    known: tuple[LastKnown, ...]


class Engine:
    """Feed it `apply(change)` and `step(instant)` in journal order, and ask `changes()` at each commit."""

    def __init__(self) -> None:
        self.memory = Memory()
        self._book = Book()
        self._watched: dict[Expression, Watched] = {}
        self._groups: dict[Shape, Group] = {}
        self._tops: dict[int, Top] = {}
        self._unreadable: dict[str, RuleState] = {}
        self.misread: dict[str, str] = {}  # by id of such a rule, why; whoever has said so may clear it
        self._judging = Judging(self.memory, self._book, self._groups, self._tops)

    @property
    def universe(self) -> Universe:
        """The pairs that were met."""
        return self.memory.universe

    # --- rules -----------------------------------------------------------------------------------

    def apply(self, change: RuleChange, *, seq: int) -> None:
        """Add, edit, pause or delete a rule. It counts for the records after position `seq`."""
        slot = self._book.slot(change.rule_id)
        new = change.rule
        self._unreadable.pop(change.rule_id, None)
        if slot is not None and new is not None and self._book.rule(slot).rule.version == new.version:
            if self._book.rule(slot).rule.members != new.members:
                self._relist(slot, new, seq=seq)
                self.apply(change, seq=seq)  # what else is new
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
        old = self._book.rule(slot).rule
        done = {col: there for col, there in self._book.standings(slot).items() if there.state == "done"}
        if old.spec.paused != new.spec.paused:
            self._drop(slot)
            self._add(RuleState(new, seq, done if new.spec.repeat == "once" else {}))
            return
        before, after = self._book.rule(slot), compile_rule(new)
        self._book.replace(slot, after)
        if before.expires and before.expires != after.expires:
            self._renew(slot, before.expires)
        if new.spec.repeat == "once":
            return
        for col in done:
            self._book.stand(slot, col, None if new.spec.paused else UNARMED)
            group = self._book.group(slot)
            if group is not None:
                group.disarm(slot, col)

    def _relist(self, slot: int, new: Rule, *, seq: int) -> None:
        """Its list has other pairs now: those that stay stand where they stood, new ones begin unarmed, those that
        left are forgotten. It gets another slot, because the constants it had for those that left stay behind; and
        that before it leaves the old one, so that the numbers it looks at are not forgotten in between."""
        book, names, old = self._book, self.universe.names, self._book.rule(slot).rule
        before, after = set(old.members), set(new.members)
        standing = {col: there for col, there in book.standings(slot).items() if names[col] in after}
        joined = {col: at for col, at in book.joined(slot).items() if names[col] in after}
        if not old.spec.paused:
            for col in [self.universe.column(pair) for pair in new.members if pair not in before]:
                standing[col], joined[col] = UNARMED, seq
        again = msgspec.structs.replace(old, members=new.members)
        self._add(RuleState(again, int(book.start[slot]), standing, joined), restored=True)
        self._drop(slot)

    def _renew(self, slot: int, end: int) -> None:
        """It was over for pairs observed since its end: for them it begins again, but what is done is done."""
        group = self._book.group(slot)
        if group is None:
            return
        for col in columns_of(self._book.rule(slot), self.universe):
            if self.memory.history.time[col] >= end:
                self._disarm(group, slot, col)

    def _add(self, state: RuleState, *, restored: bool = False) -> None:
        """A rule begins: unarmed for its pairs, but where the state says otherwise (restored: says all). One that
        was stored and is not understood (any more) waits for a release that does, or for its owner."""
        try:
            rule = compile_rule(state.rule)
        except ConfigError as error:
            self._unreadable[state.rule.id] = state
            self.misread[state.rule.id] = error.message
            return
        slot = self._book.add(rule, start=state.start, joined=state.joined)
        for col, there in state.standing.items():
            self._book.stand(slot, col, there)
        if state.rule.spec.paused:
            return
        cols = columns_of(rule, self.universe)
        self._widen()
        if rule.top:
            if rule.top not in self._tops:
                self._tops[rule.top] = Top(rule.top, self.memory)
            self._tops[rule.top].slots.add(slot)
        group = self._group_of(rule.shape)
        self._book.join(slot, group)
        for watched in set(group.watched):
            watched.add(slot, rule, cols)
        for col in cols:
            if not restored and col not in state.standing:
                self._book.stand(slot, col, UNARMED)
            if self._book.standing(slot, col) == UNARMED:
                group.disarm(slot, col)

    def _group_of(self, shape: Shape) -> Group:
        group = self._groups.get(shape)
        if group is None:
            for look in shape.looks:
                if look.number not in self._watched:
                    self._watched[look.number] = Watched(look.number, Known.of_nothing(len(self.memory)))
            watched = [self._watched[look.number] for look in shape.looks]
            group = self._groups[shape] = Group(shape, watched)
        return group

    def _drop(self, slot: int) -> None:
        group = self._book.drop(slot)
        if group is None:
            return
        group.remove(slot)
        for top in list(self._tops.values()):
            top.slots.discard(slot)
            if not top.slots:
                del self._tops[top.n]
        if not group.slots:
            del self._groups[group.shape]
        for watched in set(group.watched):
            watched.remove(slot)
            if not watched.slots:
                # Nobody looks at it: forget it, so that a later rule finds what a fresh process would find.
                del self._watched[watched.number]

    def remember(self, firings: Iterable[Firing], lifecycle: Iterable[Lifecycle]) -> None:
        """What rules keep when the journal they lived in is gone: last firings, and that `once` is done."""
        for firing in firings:
            place = firing.rule, self.universe.column(firing.pair)
            self._book.fired(place, firing)
        self._widen()
        for row in lifecycle:
            slot = self._book.slot(row.rule)
            if row.state != "done" or slot is None or self._book.rule(slot).rule.version != row.version:
                continue
            col = self.universe.column(row.pair)
            self._book.stand(slot, col, Standing("done", row.since))
            group = self._book.group(slot)
            if group is not None:
                group.arm(slot, col)

    def _widen(self) -> None:
        """Make room for pairs that were just met; rules on all pairs have not seen them yet."""
        known = len(self.memory)
        if len(self.universe) == known:
            return
        self.memory.widen()
        for watched in self._watched.values():
            watched.widen(len(self.memory))
        for top in self._tops.values():
            top.widen(len(self.memory))
        new = self.universe.everyones(known)
        for slot in self._book.everywhere:
            group = self._book.group(slot)
            if group is None:
                continue
            for col in new:
                self._disarm(group, slot, col)

    def begin_anew(self, pairs: Iterable[str]) -> None:
        """What was seen of these pairs was wrong: forget it, and disarm the rules that looked at it, also those of
        other pairs (but what is done is done)."""
        names = frozenset(pairs)
        cols = np.asarray(sorted(self.universe.column(pair) for pair in names), np.int64)
        self._widen()
        self.memory.forget(cols)
        for watched in self._watched.values():
            watched.forget(np.arange(len(self.memory)) if watched.reads & names else cols)
        for top in self._tops.values():
            top.forget(cols)
        for slot in sorted({slot for watched in self._watched.values() for slot in watched.slots_of(cols, names)}):
            self._disarm_all(slot, names)

    def _disarm_all(self, slot: int, names: frozenset[str]) -> None:
        """For these pairs; for all that it is on, if it looks at one of these beside them."""
        group = self._book.group(slot)
        if group is None:
            return
        looked_at = any(watched.reads & names for watched in group.watched)
        for col in columns_of(self._book.rule(slot), self.universe):
            if looked_at or self.universe.names[col] in names:
                self._disarm(group, slot, col)

    def _disarm(self, group: Group, slot: int, col: int) -> None:
        """The next observation at which the condition is known only arms the rule. What is done is done."""
        standing = self._book.standing(slot, col)
        if standing is None or standing.state != "done":
            self._book.stand(slot, col, UNARMED)
            group.disarm(slot, col)

    # --- stepping --------------------------------------------------------------------------------

    def step(self, instant: TickBatch, *, seq: int, at: int) -> tuple[list[Alert], TickBatch, Ints]:
        """All rules over one instant: the alerts in (rule, pair) order, and what of it counted, with columns.

        Observations that are not newer than what is known of their pair are passed over.
        """
        cols = self.universe.columns(instant.pairs)[instant.pair]
        self._widen()
        newer = self.memory.newer(cols, instant.observed_at)
        if not newer.all():
            instant, cols = instant.rows(newer), cols[newer]
        if not len(cols):
            return [], instant, cols
        clock = self.memory.clock[cols]
        self.memory.add(cols, instant, at=at)
        if not np.isnan(instant.market_cap).all():
            settle(self.memory, cols)
        scene = Scene(seq, at, cols, self.memory.clock[cols] - clock)
        alerts = self._judging.judge(scene, list(self._watched.values()), everything=True, came=self._came(cols))
        return alerts, instant, cols

    def _came(self, cols: Ints) -> dict[int, set[int]]:
        """Column → rules on the n largest that look at this pair again: it came back among them."""
        came: dict[int, set[int]] = {}
        for top in self._tops.values():
            back, anew = top.update(self.memory, cols)
            for slot in top.slots if back or anew else ():
                group = self._book.group(slot)
                if group is None:
                    continue
                for col in back:
                    self._came_back(slot, col)
                    came.setdefault(col, set()).add(slot)
                for col in anew:
                    self._disarm(group, slot, col)
        return came

    def _came_back(self, slot: int, col: int) -> None:
        """It is looked at from where it stood; but what happened meanwhile was not held."""
        standing = self._book.standing(slot, col)
        if standing is not None and standing.state == "pending":
            self._book.stand(slot, col, None)

    def pass_time(self, *, seq: int, at: int) -> list[Alert]:
        """A record's time, after what it brought was stepped: for what changes as time passes (`age`)."""
        self.memory.pass_to(at)
        timed = [watched for watched in self._watched.values() if watched.timed]
        if not timed:
            return []
        cols = np.flatnonzero(self.memory.seen_at > 0)
        scene = Scene(seq, at, cols, np.zeros(len(cols), np.int64))
        return self._judging.judge(scene, timed, everything=False)

    def clock_step(self, ms: int) -> None:
        """The wall clock jumped: no time passed over it."""
        self.memory.seen_at[self.memory.seen_at > 0] += ms

    # --- what to write down ----------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether changes() would give anything."""
        return self._book.changed

    def changes(self) -> tuple[list[Lifecycle], list[tuple[str, str]], list[Firing]]:
        """Since the last call: standings to write, (rule, pair)s now at rest, and firings."""
        return self._book.changes(self.universe.names)

    # --- what people ask --------------------------------------------------------------------------

    def place(self, rule_id: str, pair: str) -> Place | None:
        """Where a rule stands for a pair; None when there is no such rule. Asking changes nothing."""
        slot = self._book.slot(rule_id)
        if slot is None:
            return None
        rule = self._book.rule(slot)
        covered = pair != CANARY if rule.everywhere else pair in rule.pairs
        if pair not in self.universe or (col := self.universe.column(pair)) >= len(self.memory):
            return Place(rule, None, None, covered, not rule.top, (NEVER_KNOWN,) * len(rule.shape.looks))
        top = self._tops.get(rule.top)
        return Place(
            rule=rule,
            standing=self._book.standing(slot, col),
            firing=self._book.firing((rule_id, col)),
            covered=covered,
            among=not rule.top or (top is not None and bool(top.member[col])),
            known=tuple(self._last_known(look.number, col) for look in rule.shape.looks),
        )

    def _last_known(self, number: Expression, col: int) -> LastKnown:
        watched = self._watched.get(number)
        if watched is None or not watched.known.seq[col]:
            return NEVER_KNOWN
        known = watched.known
        return LastKnown(float(known.value[col]), int(known.at[col]), int(known.valid_for[col]))

    # --- checkpoints -----------------------------------------------------------------------------

    def state(self) -> EngineState:
        """Everything that a later step depends on, in an order that does not tell how it came about."""
        book = self._book
        return EngineState(
            memory=self.memory.state(),
            rules=[
                RuleState(book.rule(slot).rule, int(book.start[slot]), book.standings(slot), book.joined(slot))
                for slot in book.slots()
            ]
            + [self._unreadable[rule_id] for rule_id in sorted(self._unreadable)],
            firings=list(book.firings()),
            watched=[(watched.number, watched.known) for watched in self._watched.values()],
            tops=[top.state() for top in self._tops.values()],
        )

    def restore(self, state: EngineState) -> None:
        """The opposite of state(), into a fresh engine."""
        self.memory.restore(state.memory)
        for number, known in state.watched:
            self._watched[number] = Watched(number, known)
        for top in state.tops:
            self._tops[top.n] = Top(top.n, self.memory)
            self._tops[top.n].restore(top)
        for rule in state.rules:
            self._add(rule, restored=True)
        for firing in state.firings:
            self._book.recall((firing.rule, self.universe.column(firing.pair)), firing)
        self._book.forget_changes()
