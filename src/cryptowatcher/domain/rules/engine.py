"""The engine: steps one instant through all rules and says which fired.

Only (rule, pair)s that are *not* at rest have an entry. What a value does to an entry is decided by
`lifecycle.advance` alone; the sorted constants only say which entries cannot have changed.

The engine is a deterministic function of the records and rule changes it was given: no clock, no chance, and
no value depends on when a feature was first asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.features.history import History, HistoryState
from cryptowatcher.domain.pairs import Universe
from cryptowatcher.domain.rules.compiled import CompiledRule, compile_rule
from cryptowatcher.domain.rules.firing import LastKnown, Moment, build_alert
from cryptowatcher.domain.rules.language import Feature
from cryptowatcher.domain.rules.lifecycle import UNARMED, Standing, advance, record_firing
from cryptowatcher.domain.rules.model import Firing, Lifecycle, Rule, RuleChange
from cryptowatcher.domain.rules.watched import Watched
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """An engine between two steps. `watched`: feature, last known values, their times and validity."""

    pairs: list[str]
    history: HistoryState
    observed: Ints
    rules: list[tuple[Rule, dict[int, Standing]]]
    firings: list[Firing]
    watched: list[tuple[Feature, Floats, Ints, Ints]]


class Engine:
    """Feed it `apply(change)` and `step(instant)` in journal order, and ask `changes()` at each commit."""

    def __init__(self, *, windows: Collection[int] | None = None) -> None:
        """`windows`: see History."""
        self.universe = Universe()
        self.history = History(windows)
        self._observed: Ints = np.zeros(0, np.int64)  # observed time of each pair, ms
        self._watched: dict[Feature, Watched] = {}
        self._rules: list[CompiledRule | None] = []  # by slot
        self._slot: dict[str, int] = {}  # rule id → slot
        self._standing: dict[int, dict[int, Standing]] = {}  # slot → column → standing, if not at rest
        self._pending: dict[int, set[int]] = {}  # column → slots
        self._firings: dict[tuple[str, int], Firing] = {}
        self._moved: set[tuple[str, int]] = set()  # (rule id, column) since the last changes()
        self._fired: set[tuple[str, int]] = set()

    # --- rules -----------------------------------------------------------------------------------

    def apply(self, change: RuleChange) -> None:
        """Add, edit, pause or delete a rule. It counts for the instants stepped after this."""
        slot = self._slot.get(change.rule_id)
        old = None if slot is None else self._at(slot)
        new = change.rule
        if slot is not None and old is not None and new is not None and old.rule.version == new.version:
            self._edit(slot, old, new)
            return
        if old is not None:
            self._drop(change.rule_id)
        if new is not None:
            self._add(new, {})

    def _edit(self, slot: int, old: CompiledRule, new: Rule) -> None:
        """The same version: where it stands stays. Pausing and resuming forget that, but not that `once` is done;
        only a rule that from now on fires at every edge begins again where it was done."""
        done = {c: s for c, s in self._standing.get(slot, {}).items() if s.state == "done"}
        if old.rule.spec.paused != new.spec.paused:
            self._drop(new.id)
            self._add(new, done if new.spec.repeat == "once" else {})
            return
        self._rules[slot] = compile_rule(new)
        if new.spec.repeat == "once":
            return
        for col in done:
            self._stand(slot, col, None if new.spec.paused else UNARMED)
            if not new.spec.paused:
                self._watched[old.feature].disarm(slot, col)

    def _add(self, rule: Rule, standing: dict[int, Standing], *, restored: bool = False) -> None:
        """A rule begins: unarmed for its pairs, but where `standing` says otherwise (restored: says all)."""
        compiled = compile_rule(rule)
        slot = len(self._rules)
        self._rules.append(compiled)
        self._slot[rule.id] = slot
        for col, there in standing.items():
            self._stand(slot, col, there)
        if rule.spec.paused:
            return
        watched = self._watched.get(compiled.feature)
        if watched is None:
            watched = self._watched[compiled.feature] = Watched(compiled.feature, len(self._observed))
        watched.add(slot)
        for col in self._columns(compiled):
            if not restored and col not in standing:
                self._stand(slot, col, UNARMED)
            if self._standing.get(slot, {}).get(col) == UNARMED:
                watched.disarm(slot, col)
        self._widen()

    def _drop(self, rule_id: str) -> None:
        slot = self._slot.pop(rule_id)
        rule = self._at(slot)
        for col in list(self._standing.get(slot, {})):
            self._stand(slot, col, None)
        self._rules[slot] = None
        watched = self._watched.get(rule.feature)
        if watched is None or slot not in watched.slots:
            return
        watched.remove(slot)
        if not watched.slots:
            # Nobody reads it: forget it, so that a later rule finds what a fresh process would find.
            del self._watched[rule.feature]

    def remember(self, firings: Iterable[Firing], lifecycle: Iterable[Lifecycle]) -> None:
        """What rules keep when the journal they lived in is gone: last firings, and that `once` is done."""
        for firing in firings:
            self._firings[firing.rule, self.universe.column(firing.pair)] = firing
        self._widen()
        for row in lifecycle:
            slot = self._slot.get(row.rule)
            if row.state != "done" or slot is None or self._at(slot).rule.version != row.version:
                continue
            col = self.universe.column(row.pair)
            self._stand(slot, col, Standing("done", row.since))
            watched = self._watched.get(self._at(slot).feature)
            if watched is not None:
                watched.arm(slot, col)

    def _at(self, slot: int) -> CompiledRule:
        rule = self._rules[slot]
        assert rule is not None, "a slot in use has a rule"
        return rule

    def _columns(self, rule: CompiledRule) -> list[int]:
        if rule.everywhere:
            return self.universe.everyones()
        return [self.universe.column(pair) for pair in rule.rule.spec.pairs]

    def _widen(self) -> None:
        """Make room for pairs that were just met; rules on all pairs have not seen them yet."""
        pairs, known = len(self.universe), len(self._observed)
        if pairs == known:
            return
        self.history.widen(pairs)
        self._observed = np.concatenate([self._observed, np.zeros(pairs - known, np.int64)])
        new = self.universe.everyones(known)
        for watched in self._watched.values():
            watched.widen(pairs)
            for slot in watched.slots:
                if self._at(slot).everywhere:
                    for col in new:
                        self._stand(slot, col, UNARMED)
                        watched.disarm(slot, col)

    def begin_anew(self, pairs: Iterable[str]) -> None:
        """What was seen of these pairs was wrong: forget it, and disarm their rules (but what is done is done)."""
        cols = np.asarray([self.universe.column(pair) for pair in pairs], np.int64)
        self._widen()
        self.history.forget(cols)
        for watched in self._watched.values():
            watched.forget(cols)
            for slot in watched.slots:
                for col in sorted(set(self._columns(self._at(slot))) & set(cols.tolist())):
                    standing = self._standing.get(slot, {}).get(col)
                    if standing is None or standing.state != "done":
                        self._stand(slot, col, UNARMED)
                        watched.disarm(slot, col)

    # --- stepping --------------------------------------------------------------------------------

    def step(self, instant: TickBatch, *, seq: int, at: int) -> tuple[list[Alert], TickBatch, Ints]:
        """All rules over one instant: the alerts in (rule, pair) order, and what of it counted, with columns.

        Observations that are not newer than what is known of their pair are passed over.
        """
        cols = self.universe.columns(instant.pairs)[instant.pair]
        self._widen()
        newer = self.history.newer(cols, instant.observed_at)
        if not newer.all():
            instant, cols = instant.rows(newer), cols[newer]
        if not len(cols):
            return [], instant, cols
        gaps = instant.observed_at - self.history.time[cols]
        self._observed[cols] += np.where(gaps <= self.history.valid_for[cols], gaps, 0)
        self.history.add(cols, instant.observed_at, instant.price, instant.valid_for)
        alerts: list[Alert] = []
        for watched in self._watched.values():
            self._evaluate(watched, cols, instant, seq, at, alerts)
        alerts.sort(key=lambda alert: (alert.rule, alert.pair))
        return alerts, instant, cols

    def _evaluate(
        self, watched: Watched, cols: Ints, instant: TickBatch, seq: int, at: int, alerts: list[Alert]
    ) -> None:
        """One feature: look at the rules whose standing may change, and remember its values."""
        values = watched.step(self.history, cols, watched.feature.window)
        known = np.flatnonzero(~np.isnan(values))
        cols, values, times = cols[known], values[known], instant.observed_at[known]
        touched = watched.touched(cols, values, pending=self._pending, rules=self._rules, universe=self.universe)
        for row, slots in touched.items():
            moment = Moment(
                seq=seq,
                at=at,
                time=int(times[row]),
                price=float(instant.price[known[row]]),
                source=instant.source,
                received_at=instant.received_at,
            )
            for slot in slots:
                alert = self._observe(watched, slot, int(cols[row]), float(values[row]), moment)
                if alert is not None:
                    alerts.append(alert)
        watched.remember(cols, values, times, instant.valid_for)

    def _observe(self, watched: Watched, slot: int, col: int, value: float, moment: Moment) -> Alert | None:
        """One known value of a (rule, pair): its next standing, and the alert if it fired."""
        rule = self._at(slot)
        before = self._standing.get(slot, {}).get(col)
        after, met = advance(rule, before, value, time=moment.time, clock=int(self._observed[col]))
        if before == UNARMED:
            watched.arm(slot, col)
        if met is None:
            if after != before:
                self._stand(slot, col, after)
            return None
        key = (rule.rule.id, col)
        firing, held_back = record_firing(
            rule, self._firings.get(key), pair=self.universe.names[col], time=moment.time
        )
        self._firings[key] = firing
        self._fired.add(key)
        self._stand(slot, col, Standing("inside", moment.time) if held_back else after)
        if held_back:
            return None
        last = LastKnown(float(watched.last[col]), int(watched.last_at[col]), int(watched.last_valid_for[col]))
        return build_alert(rule, self.universe.names[col], value, moment, met, last)

    def _stand(self, slot: int, col: int, standing: Standing | None) -> None:
        """Write down where a rule stands for a pair; None is at rest."""
        places = self._standing.setdefault(slot, {})
        before = places.pop(col, None)
        if before is not None and before.state == "pending":
            self._pending[col].discard(slot)
            if not self._pending[col]:
                del self._pending[col]
        if standing is not None:
            places[col] = standing
            if standing.state == "pending":
                self._pending.setdefault(col, set()).add(slot)
        if not places:
            del self._standing[slot]
        self._moved.add((self._at(slot).rule.id, col))

    # --- what to write down ----------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether changes() would give anything."""
        return bool(self._moved or self._fired)

    def changes(self) -> tuple[list[Lifecycle], list[tuple[str, str]], list[Firing]]:
        """Since the last call: standings to write, (rule, pair)s now at rest, and firings."""
        rows: list[Lifecycle] = []
        at_rest: list[tuple[str, str]] = []
        for rule_id, col in sorted(self._moved):
            pair = self.universe.names[col]
            slot = self._slot.get(rule_id)
            standing = None if slot is None else self._standing.get(slot, {}).get(col)
            if slot is None or standing is None:
                at_rest.append((rule_id, pair))
                continue
            version = self._at(slot).rule.version
            rows.append(
                Lifecycle(rule=rule_id, version=version, pair=pair, state=standing.state, since=standing.since)
            )
        firings = [self._firings[key] for key in sorted(self._fired)]
        self._moved.clear()
        self._fired.clear()
        return rows, at_rest, firings

    # --- checkpoints -----------------------------------------------------------------------------

    def state(self) -> EngineState:
        """Everything that a later step depends on, in an order that does not tell how it came about."""
        slots = sorted(self._slot.values())
        return EngineState(
            pairs=self.universe.names,
            history=self.history.state(),
            observed=self._observed,
            rules=[(self._at(slot).rule, dict(sorted(self._standing.get(slot, {}).items()))) for slot in slots],
            firings=[self._firings[key] for key in sorted(self._firings)],
            watched=[
                (watched.feature, watched.last, watched.last_at, watched.last_valid_for)
                for watched in self._watched.values()
            ],
        )

    def restore(self, state: EngineState) -> None:
        """The opposite of state(), into a fresh engine."""
        self.universe = Universe(state.pairs)
        self.history.restore(state.history)
        self._observed = state.observed
        for feature, last, last_at, last_valid_for in state.watched:
            watched = self._watched[feature] = Watched(feature, 0)
            watched.last, watched.last_at, watched.last_valid_for = last, last_at, last_valid_for
        for rule, standing in state.rules:
            self._add(rule, standing, restored=True)
        for firing in state.firings:
            self._firings[firing.rule, self.universe.column(firing.pair)] = firing
        self._moved.clear()
