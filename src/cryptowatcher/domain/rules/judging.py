"""Judging one instant: which rules' conditions may have changed sides, and what that does to each.

Each number that rules look at is computed once for all observations; the sorted constants say which rules'
comparisons may have changed sides; those are judged together, as columns; and what the truth of a condition does
to a rule is decided by `lifecycle.advance` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.alerts import Alert, AlertKind, Raised
from cryptowatcher.domain.copies import Copies
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.rules.anchors import Anchors, anchored
from cryptowatcher.domain.rules.book import Book
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.firing import NEVER_KNOWN, LastKnown, Moment, build_alert, last_known
from cryptowatcher.domain.rules.judged import by_number
from cryptowatcher.domain.rules.lifecycle import Seen, Standing, advance, counted_anew, record_firing
from cryptowatcher.domain.rules.model import Firing, LifecycleState
from cryptowatcher.domain.rules.numbers import Values
from cryptowatcher.domain.rules.over import build_notice, told_at
from cryptowatcher.domain.rules.since import PRICE
from cryptowatcher.domain.rules.together import Met, fire_together
from cryptowatcher.domain.rules.tops import Top
from cryptowatcher.domain.rules.truth import Atoms, Truth, judge_many
from cryptowatcher.domain.rules.watched import Watched, rows_of
from cryptowatcher.domain.ticks import Floats, Ints


class Scene(NamedTuple):
    """The observations that are judged: rows of columns.

    gained: how much observed time each brought, ms
    """

    seq: int
    at: int
    cols: Ints
    gained: Ints


class _Touched(NamedTuple):
    """Rules whose standing may change: a row of the scene and a slot each, every combination once. `pending`: they
    count the time for which they hold, and look at every observation, also at one that says nothing."""

    rows: Ints
    slots: Ints
    pending: NDArray[np.bool_]

    def some(self, which: Ints | slice) -> _Touched:
        """Those of them."""
        return _Touched(self.rows[which], self.slots[which], self.pending[which])


class Judging:
    """Over the engine's memory, rules, numbers and groups, which it shares and does not own."""

    def __init__(
        self,
        memory: Memory,
        book: Book,
        anchors: Anchors,
        tops: Mapping[int, Top],
    ) -> None:
        self._memory = memory
        self._book = book
        self._anchors = anchors
        self._tops = tops

    def judge(
        self,
        scene: Scene,
        changed: list[Watched],
        *,
        everything: bool,
        came: dict[int, set[int]] | None = None,
    ) -> Raised:
        """Look at the rules whose standing may change, and remember the numbers. `everything`: also at those that
        wait for an observation. `came`: column → rules that look at a pair again."""
        numbers = Values(self._memory, scene.cols)
        touched = self._touched(scene, changed, numbers, everything=everything, came=came or {})
        alerts: list[Alert] = []
        together: list[Copies[Alert]] = []
        for begin in range(0, len(touched.rows), _SOME):
            for told in self._judge_some(scene, touched.some(slice(begin, begin + _SOME)), numbers):
                if isinstance(told, Copies):
                    together.append(told)
                else:
                    alerts.append(told)
        alerts.sort(key=attrgetter("rule", "pair"))
        at = rows_of(scene.cols, len(self._memory))
        for watched in changed:
            watched.remember(scene.cols, numbers.of(watched.number), self._memory.history, scene.seq, at)
        return Raised(alerts, together)

    def _touched(
        self,
        scene: Scene,
        changed: list[Watched],
        numbers: Values,
        *,
        everything: bool,
        came: dict[int, set[int]],
    ) -> _Touched:
        """By what crossed a constant, what is known again after it was not, and what waits."""
        rows: list[Ints] = []
        slots: list[Ints] = []
        at = rows_of(scene.cols, len(self._memory))
        for watched in changed:
            values = numbers.of(watched.number)
            for crossed in watched.move(scene.cols, values, self._book.alive, at):
                rows.append(crossed.rows)
                slots.append(crossed.slots)
            if watched.number == PRICE:
                crossings = self._anchors.move(scene.cols, values, watched.known.value, self._book.alive)
                rows += [crossed.rows for crossed in crossings]
                slots += [crossed.slots for crossed in crossings]
            for again in watched.known_again(scene.cols, values, at) if everything else ():
                # A single comparison that is where it was when last known has not changed, if it was armed.
                open_ = self._book.judged.composite(again.slots) | self._book.awake(again.slots)
                rows.append(again.rows[open_])
                slots.append(again.slots[open_])
        row_of = _Rows(scene.cols)
        waiting = self._book.waiting
        for each in (waiting.timed, waiting.others) if everything else (waiting.timed,):
            for col in _gather(each, row_of, rows, slots):
                del each[col]
        _gather(came, row_of, rows, slots)
        others = sum(map(len, rows))
        if everything:
            _gather(self._book.pending, row_of, rows, slots)
        return self._once(scene, np.concatenate([*rows, _NONE]), np.concatenate([*slots, _NONE]), others)

    def _once(self, scene: Scene, rows: Ints, slots: Ints, others: int) -> _Touched:
        """Every (row, slot) once, without rules that are gone and without the canary for rules on all pairs. The
        pending come after so many others."""
        if not len(rows):
            return _Touched(rows, slots, np.zeros(0, np.bool_))
        every = slots * len(scene.cols) + rows
        key = np.sort(every)
        new = np.ones(len(key), np.bool_)
        np.not_equal(key[1:], key[:-1], out=new[1:])
        key = key[new]  # np.unique() takes ten times as long
        pending = np.zeros(len(key), np.bool_)
        pending[key.searchsorted(every[others:])] = True
        slots, rows = np.divmod(key, len(scene.cols))
        wanted = self._book.alive[slots]
        if CANARY in self._memory.universe:
            canary = scene.cols[rows] == self._memory.universe.column(CANARY)
            for place in np.flatnonzero(canary & wanted).tolist():
                wanted[place] = int(slots[place]) not in self._book.everywhere
        tops = self._book.top[slots]
        for n, top in self._tops.items():
            wanted &= (tops != n) | top.member[scene.cols[rows]]
        return _Touched(rows[wanted], slots[wanted], pending[wanted])

    def _judge_some(self, scene: Scene, touched: _Touched, numbers: Values) -> Iterator[Alert | Copies[Alert]]:
        """Touched rules all at once, then one by one those whose standing changes."""
        rows, slots = touched.rows, touched.slots
        cols, judged = scene.cols[rows], self._book.judged
        atoms = judged.atoms(slots)
        self._anchors.put_in(slots, cols, atoms)
        values, where = np.empty(len(atoms.rule)), rows[atoms.rule]
        for seat, mine in by_number(atoms.seat):
            values[mine] = numbers.of(judged.seated(seat).number)[where[mine]]
        truth = judge_many(atoms, judged.formulas(atoms), values, self._before(atoms, slots, cols))
        open_ = self._book.awake(slots)  # most are at rest
        left = truth.fired | ((truth.holds | truth.fails | touched.pending) & open_)
        fired, awake = np.flatnonzero(truth.fired), np.flatnonzero(open_)
        at_once = fired[self._book.fires_at_once(slots[fired], cols[fired])]
        left[at_once] = False
        moved = self._move_together(slots[awake], cols[awake], Truth(*(each[awake] for each in truth)))
        left[awake[moved]] = False
        if len(at_once):
            yield from self._fire_at_once(scene, slots[at_once], cols[at_once], values, atoms.start[at_once])
        there = np.flatnonzero(left)
        rows, slots, cols = rows[there], slots[there], cols[there]
        memory = self._memory
        when = memory.history.time[cols], memory.clock[cols], scene.gained[rows]
        seen = map(Seen, *(column.tolist() for column in (*when, *(column[there] for column in truth))))
        begin, end = atoms.start[there], atoms.start[there] + atoms.looks[there]
        compared = map(slice, begin.tolist(), end.tolist())
        for slot, col, each, theirs in zip(slots.tolist(), cols.tolist(), seen, compared, strict=True):
            alert = self._observe(scene, slot, col, each, values[theirs].tolist())
            if alert is not None:
                yield alert

    def _move_together(self, slots: Ints, cols: Ints, truth: Truth) -> NDArray[np.bool_]:
        """What lifecycle.advance() says of rules that are unarmed or inside, where it can be only that: all at
        once, for many come at once. Which of the rules these are."""
        quiet, inside = self._book.arms_quietly(slots, cols), self._book.only_rearms(slots, cols)
        moves: tuple[tuple[NDArray[np.bool_], LifecycleState | None], ...] = (
            (quiet & truth.holds & ~truth.fails, "inside"),
            (quiet & truth.fails, None),
            (inside & truth.back, None),
        )
        for which, state in moves:
            there = np.flatnonzero(which)
            if len(there):
                self._book.stand_many(slots[there], state, self._memory.history.time[cols[there]])
        return quiet | inside

    def _fire_at_once(
        self, scene: Scene, slots: Ints, cols: Ints, values: Floats, start: Ints
    ) -> Iterator[Alert | Copies[Alert]]:
        """What _observe() does with rules at rest, each on one pair, whose conditions turned true. `start`: where
        the values of each begin."""
        judged = self._book.judged
        for number, mine in by_number(judged.number[slots]):
            group, begin = judged.numbered(number), start[mine]
            met = Met(slots[mine], cols[mine], [values[begin + look] for look in range(len(group.watched))])
            yield from fire_together(self._book, group, met, lambda col: self._there(scene, col))

    def _before(self, atoms: Atoms, slots: Ints, cols: Ints) -> Floats | None:
        """What was last known of the numbers where a crossing asks, as these rules know it: what was before a rule
        does not count. None where none asks."""
        asks = np.flatnonzero(atoms.pulse)
        if not len(asks):
            return None
        rule = atoms.rule[asks]
        cols, after = cols[rule], self._book.counts_after(slots[rule], cols[rule])
        before = np.full(len(atoms.rule), np.nan)
        for seat, mine in by_number(atoms.seat[asks]):
            known, there = self._book.judged.seated(seat).known, cols[mine]
            before[asks[mine]] = np.where(known.seq[there] > after[mine], known.value[there], np.nan)
        return before

    def _observe(self, scene: Scene, slot: int, col: int, seen: Seen, values: Sequence[float]) -> Alert | None:
        """What is known of one (rule, pair): its next standing, and the alert if it fired."""
        kind, standing = self._book.kind(slot).rule, self._book.standing(slot, col)
        if kind.expires and seen.time >= kind.expires:
            return None
        after, met = advance(kind, standing, seen)
        if met is not None:
            return self._met(scene, slot, col, seen, values, after, met)
        if after == standing:
            return None
        self._book.stand(slot, col, after)
        return self._over(scene, slot, col, values, standing) if kind.rule.spec.resolved else None

    def _met(
        self,
        scene: Scene,
        slot: int,
        col: int,
        seen: Seen,
        values: Sequence[float],
        after: Standing | None,
        met: AlertKind,
    ) -> Alert | None:
        """The condition counts as met: the alert, unless it is held back."""
        rule, moment = self._book.rule(slot), self._moment(scene, col)
        known, held_back = self._record(rule, col, moment)
        after = Standing("inside", seen.time) if held_back else after
        if rule.reanchors:
            from_now_on = anchored(rule, self._book.memories.get((rule.rule.id, col)))
            self._anchors.put(slot, col, from_now_on)
            after = counted_anew(from_now_on, after, values)
        self._book.stand(slot, col, after)
        if held_back:
            return None
        pair, before = self._memory.universe.names[col], self._last_known(slot, col)
        return build_alert(anchored(rule, known), pair, values, before, moment, met, last_firing=known)

    def _over(
        self, scene: Scene, slot: int, col: int, values: Sequence[float], standing: Standing | None
    ) -> Alert | None:
        """The rule stands elsewhere: the notice, if it was told where it stood and that is over."""
        rule = self._book.rule(slot)
        began = told_at(standing, self._book.memories.get((rule.rule.id, col)))
        if began is None:
            return None
        pair, before = self._memory.universe.names[col], self._last_known(slot, col)
        return build_notice(rule, pair, values, before, self._moment(scene, col), began)

    def _last_known(self, slot: int, col: int) -> list[LastKnown]:
        """What was known of a rule's numbers at the observation before."""
        group = self._book.judged.numbered(int(self._book.judged.number[slot]))
        known, start = [watched.known for watched in group.watched], self._book.counts_after_one(slot, col)
        return [last_known(each, col) if each.seq[col] > start else NEVER_KNOWN for each in known]

    def _record(self, rule: CompiledRule, col: int, moment: Moment) -> tuple[Firing | None, bool]:
        """A rule fires for a pair: when it had fired before, and whether this is held back."""
        pair, place = self._memory.universe.names[col], (rule.rule.id, col)
        known = self._book.memories.get(place)
        firing, held_back = record_firing(rule, known, pair=pair, time=moment.time, price=moment.price)
        self._book.memories.put(place, firing)
        return known, held_back

    def _there(self, scene: Scene, col: int) -> tuple[str, Moment]:
        return self._memory.universe.names[col], self._moment(scene, col)

    def _moment(self, scene: Scene, col: int) -> Moment:
        memory = self._memory
        return Moment(
            seq=scene.seq,
            at=scene.at,
            time=int(memory.history.time[col]),
            price=float(memory.history.price[col]),
            source=memory.source_of(col),
            received_at=int(memory.received_at[col]),
        )


_NONE = np.zeros(0, np.int64)

_SOME = 1 << 17
"""So many rules are judged at a time: columns that are soon gone need not be as long as all rules."""


class _Rows:
    """Column → row of a scene. Made when first asked: most instants have nothing that waits."""

    def __init__(self, cols: Ints) -> None:
        self._cols = cols
        self._row_of: dict[int, int] | None = None

    def __call__(self) -> dict[int, int]:
        if self._row_of is None:
            self._row_of = {col: row for row, col in enumerate(self._cols.tolist())}
        return self._row_of


def _gather(waiting: Mapping[int, Iterable[int]], row_of: _Rows, rows: list[Ints], slots: list[Ints]) -> set[int]:
    """The rows and slots of what waits for these columns; for which of them something does."""
    if not waiting:
        return set()
    there = row_of()
    found = waiting.keys() & there.keys()
    each = [np.fromiter(waiting[col], np.int64) for col in found]
    rows.append(np.repeat(np.asarray([there[col] for col in found], np.int64), list(map(len, each))))
    slots += each
    return found
