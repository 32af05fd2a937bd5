"""The engine: steps one instant through all rules and says which fired.

enrolment.py says how rules come, change and go, judging.py what an instant does to them. Work does not grow with
the number of rules. The engine is a deterministic function of the records and rule changes it was given: no
clock, no chance, and no value depends on when a number was first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert, Raised
from cryptowatcher.domain.features.filling import Told
from cryptowatcher.domain.features.memory import Memory, MemoryState
from cryptowatcher.domain.pairs import CANARY, Universe
from cryptowatcher.domain.rules.anchors import Anchors, anchored
from cryptowatcher.domain.rules.book import Book, BookState, Changes
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.concerned import Concern, concerned
from cryptowatcher.domain.rules.enrolment import Enrolment, RuleState
from cryptowatcher.domain.rules.firing import NEVER_KNOWN, LastKnown
from cryptowatcher.domain.rules.judging import Judging, Scene
from cryptowatcher.domain.rules.late import Late, Telling
from cryptowatcher.domain.rules.lifecycle import Standing
from cryptowatcher.domain.rules.model import Firing, Lifecycle, RuleChange
from cryptowatcher.domain.rules.tops import Top, TopState, settle
from cryptowatcher.domain.rules.tree import Expression
from cryptowatcher.domain.rules.watched import Watched, WatchedState
from cryptowatcher.domain.ticks import Ints, TickBatch


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """An engine between two steps."""

    memory: MemoryState
    book: BookState
    unreadable: list[RuleState]
    firings: list[Firing]
    watched: list[WatchedState]
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
    """Feed it `apply_many(changes)` and `step(instant)` in journal order, and ask `changes()` at each commit."""

    def __init__(self) -> None:
        self.memory = Memory()
        self._book = Book()
        self._watched: dict[Expression, Watched] = {}
        self._tops: dict[int, Top] = {}
        anchors = Anchors()
        self._enrolment = Enrolment(self.memory, self._book, anchors, self._watched, self._tops)
        self._judging = Judging(self.memory, self._book, anchors, self._tops)
        self._late = Late(self.memory, self._book, self._watched)

    @property
    def universe(self) -> Universe:
        """The pairs that were met."""
        return self.memory.universe

    # --- rules -----------------------------------------------------------------------------------

    def apply_many(self, changes: Sequence[tuple[int, RuleChange]]) -> None:
        """Add, edit, pause or delete rules, one after the other: each counts for the records after its position.
        New rules come all at once."""
        self._enrolment.apply_many(changes)

    def remember(self, firings: Iterable[Firing], lifecycle: Iterable[Lifecycle]) -> None:
        """What rules keep when the journal they lived in is gone: last firings, and that `once` is done."""
        self._enrolment.remember(firings, lifecycle)

    def begin_anew(self, pairs: Iterable[str]) -> None:
        """What was seen of these pairs was wrong: forget it, and disarm the rules that looked at it, also those of
        other pairs (but what is done is done)."""
        self._enrolment.begin_anew(pairs)

    @property
    def misread(self) -> dict[str, str]:
        """By id of a rule that is not understood (any more), why; whoever has said so may clear it."""
        return self._enrolment.misread

    # --- stepping --------------------------------------------------------------------------------

    def step(self, instant: TickBatch, *, seq: int, at: int) -> tuple[Raised, TickBatch, Ints]:
        """All rules over one instant: the alerts, and what of it counted, with columns.

        Observations that are not newer than what is known of their pair are passed over.
        """
        cols = self.universe.columns(instant.pairs)[instant.pair]
        self._enrolment.widen()
        newer = self.memory.newer(cols, instant.observed_at)
        if not newer.all():
            instant, cols = instant.rows(newer), cols[newer]
        if not len(cols):
            return Raised(()), instant, cols
        clock = self.memory.clock[cols]
        self.memory.add(cols, instant, at=at, seq=seq)
        if not np.isnan(instant.market_cap).all():
            settle(self.memory, cols)
        scene = Scene(seq, at, cols, self.memory.clock[cols] - clock)
        alerts = self._judging.judge(scene, list(self._watched.values()), everything=True, came=self._came(cols))
        return alerts, instant, cols

    def fill(self, batch: TickBatch, *, seq: int, at: int) -> tuple[list[Alert], list[Told]]:
        """History of pairs that were met: late alerts, and what lies in gaps. Rules stand where they stood."""
        met = np.array([pair in self.universe for pair in batch.pairs], np.bool_)
        points = batch.rows(met[batch.pair]).compact()
        self._enrolment.widen()
        told = self.memory.fill(self.universe.columns(points.pairs)[points.pair], points)
        return self._late.judge(told, Telling(seq, at, batch.source, batch.received_at)), told

    def _came(self, cols: Ints) -> dict[int, set[int]]:
        """Column → rules on the n largest that look at this pair again: it came back among them."""
        came: dict[int, set[int]] = {}
        for top in self._tops.values():
            back, anew = top.update(self.memory, cols)
            for slot in top.slots if back or anew else ():
                for col in back:
                    self._came_back(slot, col)
                    came.setdefault(col, set()).add(slot)
                for col in anew:
                    self._enrolment.disarm(slot, col)
        return came

    def _came_back(self, slot: int, col: int) -> None:
        """It is looked at from where it stood; but what happened meanwhile was not held."""
        standing = self._book.standing(slot, col)
        if standing is not None and standing.state == "pending":
            self._book.stand(slot, col, None)

    def pass_time(self, *, seq: int, at: int) -> Raised:
        """A record's time, after what it brought was stepped: for what changes as time passes (`age`)."""
        self.memory.pass_to(at)
        timed = [watched for watched in self._watched.values() if watched.timed]
        if not timed:
            return Raised(())
        cols = np.flatnonzero(self.memory.seen_at > 0)
        scene = Scene(seq, at, cols, np.zeros(len(cols), np.int64))
        return self._judging.judge(scene, timed, everything=False)

    def clock_step(self, ms: int, *, passed: int) -> None:
        """The wall clock jumped: no time passed over it. `passed`: the journal's time since the record before; no
        more than that is taken back, so that no age ever shrinks but by a newer observation. A clock that is put
        back takes nothing: the journal's time does not go with it."""
        self.memory.seen_at[self.memory.seen_at > 0] += max(0, min(ms, passed))

    # --- what to write down ----------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether changes() would give anything."""
        return self._book.changed

    def changes(self, *, together: bool = False) -> Changes:
        """Since the last call. `together`: what is alike by itself."""
        return self._book.changes(self.universe.names, together=together)

    def forget_changes(self) -> None:
        """The same, for nobody."""
        self._book.forget_changes()

    # --- what people ask --------------------------------------------------------------------------

    def concerned(self, pairs: frozenset[str], *, everywhere: bool) -> list[Concern]:
        """See concerned.concerned."""
        return concerned(self._book, pairs, everywhere=everywhere)

    def looks(self) -> Iterator[tuple[Expression, list[str] | None]]:
        """The numbers that rules look at, each with the pairs for which; None: rules on all, or on the largest."""
        for watched in self._watched.values():
            if watched.on_all:
                yield watched.number, None
            yield watched.number, [self.universe.names[col] for col in watched.named_pairs().tolist()]

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
        firing = self._book.memories.get((rule_id, col))
        return Place(
            rule=anchored(rule, firing),
            standing=self._book.standing(slot, col),
            firing=firing,
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
        return EngineState(
            memory=self.memory.state(),
            book=self._book.state(),
            unreadable=self._enrolment.unreadable(),
            firings=list(self._book.memories),
            watched=[watched.state() for watched in self._watched.values()],
            tops=[top.state() for top in self._tops.values()],
        )

    def restore(self, state: EngineState) -> None:
        """The opposite of state(), into a fresh engine."""
        self.memory.restore(state.memory)
        for watched in state.watched:
            self._watched[watched.number] = Watched.of(watched)
        for top in state.tops:
            self._tops[top.n] = Top(top.n, self.memory)
            self._tops[top.n].restore(top)
        for firing in state.firings:
            self._book.memories.recall((firing.rule, self.universe.column(firing.pair)), firing)
        self._enrolment.restore(state.book, state.unreadable)
        self._book.forget_changes()
