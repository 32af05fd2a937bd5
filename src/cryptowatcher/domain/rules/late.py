"""Late alerts: what rules would have said in a gap, found when history of it is told.

A rule is run over the points of a gap from where it stood at the gap's start. What fires first is told, once: its
id names the gap, as that of an alert which fired behind the gap does, unless it was over again inside the gap:
then what fires behind is another crossing. Where the rule stands now, and when it fired last, is not touched.

Where a rule stood then is not kept, but follows from the numbers at the gap's start: at rest where the condition
was known to fail with every constant a band further back; else as if it had fired, so that it must go back first.
Only numbers count that the points tell: the price, changes, and arithmetic over them. Others are unknown here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.features.filling import Told
from cryptowatcher.domain.features.finite import quotient
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.book import Book
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.firing import NEVER_KNOWN, LastKnown, Moment, build_alert
from cryptowatcher.domain.rules.lifecycle import Seen, Standing, advance, silent_until
from cryptowatcher.domain.rules.numbers import evaluate
from cryptowatcher.domain.rules.tree import Call, Expression, calls
from cryptowatcher.domain.rules.truth import Truth, judge
from cryptowatcher.domain.rules.watched import Watched
from cryptowatcher.domain.ticks import Floats, Ints

LONGEST_BACK: Final = 24 * MS["h"]
"""Of what happened longer ago nobody is told."""
_OF_PRICE: Final = frozenset({"price", "change_since"})
_TOLD: Final = _OF_PRICE | {"change"}


class Telling(NamedTuple):
    """The record that tells: its place, its journal time (epoch ms), its source, and when that answered."""

    seq: int
    at: int
    source: str
    received_at: int


class Late:
    """Over the engine's memory, rules and numbers, which it shares and does not own."""

    def __init__(self, memory: Memory, book: Book, watched: Mapping[Expression, Watched]) -> None:
        self._memory = memory
        self._book = book
        self._watched = watched

    def judge(self, told: Sequence[Told], telling: Telling) -> list[Alert]:
        """The alerts in (rule, pair) order. The memory has seen the points."""
        alerts: list[Alert] = []
        for each in told:
            if each.filled.gap.row and each.filled.time[-1] > telling.at - LONGEST_BACK:
                stretch = _Stretch(self._memory, each)
                for slot in self._touched(stretch):
                    alert = self._run(slot, stretch, telling)
                    if alert is not None:
                        alerts.append(alert)
        return sorted(alerts, key=lambda alert: (alert.rule, alert.pair))

    def _touched(self, stretch: _Stretch) -> list[int]:
        """The rules that the pair's numbers crossed a constant of, and that counted before the gap."""
        col, gap = stretch.filled.col, stretch.filled.gap
        found = [np.zeros(0, np.int64)]
        for watched in self._watched.values():
            values = stretch.of(watched.number)
            if not np.isnan(values).all():
                found.append(watched.constants.between(col, float(np.nanmin(values)), float(np.nanmax(values))))
        slots = np.unique(np.concatenate(found))
        slots = slots[self._book.alive[slots]]
        slots = slots[self._book.top[slots] == 0]  # who was among the largest then is not known
        there = self._book.counts_after(slots, np.full(len(slots), col)) < gap.seq
        return [int(slot) for slot in slots[there]]

    def _run(self, slot: int, stretch: _Stretch, telling: Telling) -> Alert | None:
        rule, now = self._book.rule(slot), self._book.standing(slot, stretch.filled.col)
        if self._book.group(slot) is None or rule.reanchors:
            return None
        if now is not None and now.state in ("done", "unarmed"):
            return None
        values = [stretch.of(look.number) for look in rule.shape.looks]
        truth = judge(rule.shape, values, [_last(each) for each in values], rule.fire, rule.rearm)
        if not (truth.holds[0] | truth.fails[0]) or not truth.fired[1:-1].any() or _is_told(rule, stretch, truth):
            return None
        name = self._memory.universe.names[stretch.filled.col]
        known = self._book.memories.get((rule.rule.id, stretch.filled.col))
        silent = silent_until(rule, known) if known is not None and known.last_fired_at <= stretch.time[0] else 0
        for row in _firings(rule, stretch, truth):
            if silent <= stretch.time[row] > telling.at - LONGEST_BACK:
                alert = _alert(rule, name, stretch, values, row, telling)
                return _by_itself(alert, stretch, row) if truth.back[row + 1 :].any() else alert
        return None


class _Stretch:
    """A gap as rows: the observation at its start, the points inside, the observation at its end."""

    def __init__(self, memory: Memory, told: Told) -> None:
        self.filled = filled = told.filled
        gap = filled.gap
        self.time: Ints = np.concatenate([[gap.start], filled.time, [gap.end]])
        self.price: Floats = np.concatenate([[gap.before], filled.price, [gap.after]])
        self.clock: Ints = np.concatenate([[gap.clock - filled.observed], filled.clock, [gap.clock]])
        self._told = told
        self._history = memory.history
        self._known: dict[Expression, Floats] = {}

    def of(self, number: Expression) -> Floats:
        """The values of a number, NaN where the points do not tell."""
        values = self._known.get(number)
        if values is None:
            if all(call.name in _TOLD for call in calls(number)):
                values = evaluate(number, self._of_call)
            else:
                values = np.full(len(self.time), np.nan)
            self._known[number] = values
        return values

    def _of_call(self, call: Call) -> Floats:
        if call.name == "price":
            return self.price
        (given,) = call.args
        assert isinstance(given, int | float), "a window or a price"
        against: Floats | float = given
        if call.name == "change":
            against = self._history.references(self._told, self.time, int(given))
        return quotient(self.price - against, against)


def _last(values: Floats) -> Floats:
    """For each row the value last known before it."""
    rows = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
    before = np.append(-1, rows[:-1])
    return np.where(before < 0, np.nan, values[before])


def _is_told(rule: CompiledRule, stretch: _Stretch, truth: Truth) -> bool:
    """Whether the rule fired at the end of the gap, at once and by the price alone: that was told, of this gap."""
    of_price = all(call.name in _OF_PRICE for look in rule.shape.looks for call in calls(look.number))
    over = bool(rule.expires) and stretch.time[-1] >= rule.expires
    return of_price and not rule.hold and not over and bool(truth.back[0] & truth.fired[-1])


def _by_itself(alert: Alert, stretch: _Stretch, row: int) -> Alert:
    """It was over again inside the gap: what fires behind the gap is another crossing, and has the gap's id."""
    time = int(stretch.time[row])
    its = alert_id(rule=alert.rule, version=alert.version, pair=alert.pair, kind="edge", event_time=time)
    return msgspec.structs.replace(alert, id=its)


def _firings(rule: CompiledRule, stretch: _Stretch, truth: Truth) -> Iterator[int]:
    """The points at which the rule would have fired."""
    standing = None if truth.back[0] else Standing("inside", int(stretch.time[0]))
    gained = np.diff(stretch.clock, prepend=stretch.clock[0])
    columns = [column.tolist() for column in (stretch.time, stretch.clock, gained, *truth)]
    for row, seen in enumerate(map(Seen, *columns)):
        if row == len(gained) - 1 or (rule.expires and seen.time >= rule.expires):
            return
        if row:
            standing, met = advance(rule, standing, seen)
            if met is not None:
                yield row


def _alert(
    rule: CompiledRule, pair: str, stretch: _Stretch, values: Sequence[Floats], row: int, telling: Telling
) -> Alert:
    start = int(stretch.time[0])
    before = [NEVER_KNOWN if np.isnan(each[0]) else LastKnown(float(each[0]), start, 0) for each in values]
    moment = Moment(
        seq=telling.seq,
        at=telling.at,
        time=int(stretch.time[row]),
        price=float(stretch.price[row]),
        source=telling.source,
        received_at=telling.received_at,
    )
    there = [float(each[row]) for each in values]
    alert = build_alert(rule, pair, there, before, moment, "gap", last_firing=None)
    return msgspec.structs.replace(alert, late=True)
