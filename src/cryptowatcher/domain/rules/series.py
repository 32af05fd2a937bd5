"""The engine's other form: one pair after the other, each over all its observations at once. For a replay.

It gives exactly the alerts that the engine gives when it steps the same instants with the same rules, all of
them there from the beginning. The numbers come from the features' series form; the truth of a condition, what it
does to a rule, and what an alert says are decided by the very functions that the engine calls. Here it is only
found out faster which observations cannot change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.alerts import Alert, AlertKind
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.rules.anchors import anchored
from cryptowatcher.domain.rules.compiled import CompiledRule, compile_rule
from cryptowatcher.domain.rules.firing import NEVER_KNOWN, LastKnown, Moment, build_alert
from cryptowatcher.domain.rules.lifecycle import UNARMED, Seen, Standing, advance, counted_anew, record_firing
from cryptowatcher.domain.rules.model import Firing, Rule
from cryptowatcher.domain.rules.numbers import evaluate, series_of
from cryptowatcher.domain.rules.over import build_notice, told_at
from cryptowatcher.domain.rules.tree import Call, Expression
from cryptowatcher.domain.rules.truth import Truth, judge
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch
from cryptowatcher.errors import ConfigError

_NONE = -1
_Mark = Literal["fired", "back", "known", "unheld"]


class Journal(msgspec.Struct, frozen=True, eq=False):
    """A batch whose instants count as records. `at`: when each was written down, epoch ms."""

    batch: TickBatch
    at: Ints


def run_series(
    rules: Sequence[Rule],
    batch: TickBatch,
    *,
    traded: Floats | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Alert]:
    """The alerts of these rules over a batch whose instants are the records of a journal: see `journal_times`.

    Rules have different ids. Alerts come in (record, rule, pair) order. `traded`: what was traded since the
    observation before, for each tick, where the data says so. `progress` is told the number of ticks done, and of
    how many. ConfigError for a rule that one pair's observations do not decide.
    """
    everywhere, named = _sorted_out(compile_rule(rule) for rule in rules if not rule.spec.paused)
    alerts: list[Alert] = []
    done = 0
    journal = Journal(batch, journal_times(batch))
    for line, ticks in lines_of(batch, traded=traded):
        numbers = _Numbers(line)
        for rule in [*everywhere, *named.get(line.pair, ())]:
            alerts += _along(rule, line, numbers, journal)
        done += ticks
        if progress is not None:
            progress(done, len(batch))
    return sorted(alerts, key=attrgetter("seq", "rule", "pair"))


class OnePair:
    """One pair of a batch, to run one rule after another along it: what one of them asks for, the next finds.

    line:    its observations; None where there are none
    numbers: along it
    """

    def __init__(self, batch: TickBatch, pair: str, *, traded: Floats | None = None) -> None:
        """`traded` as for `run_series`."""
        self.line = next((line for line, _ in lines_of(batch, traded=traded) if line.pair == pair), None)
        self._journal = Journal(batch, journal_times(batch))
        self._numbers = None if self.line is None else _Numbers(self.line)

    def number(self, expression: Expression) -> Floats:
        """Its values at each observation, NaN where they are not known."""
        return self._numbers[expression].values if self._numbers is not None else np.zeros(0)

    def alerts(self, rule: Rule) -> list[Alert]:
        """What a rule that counts for this pair would have said."""
        if self.line is None or self._numbers is None:
            return []
        return [*_along(compile_rule(rule), self.line, self._numbers, self._journal)]


def journal_times(batch: TickBatch) -> Ints:
    """When each instant was written down, epoch ms, if that was when its first observation was made; as in any
    journal, time does not go back."""
    return np.maximum.accumulate(batch.observed_at[batch.starts])


def _sorted_out(rules: Iterable[CompiledRule]) -> tuple[list[CompiledRule], dict[str, list[CompiledRule]]]:
    """Rules on all pairs, and rules on named ones by pair."""
    everywhere: list[CompiledRule] = []
    named: dict[str, list[CompiledRule]] = {}
    for rule in rules:
        if rule.top:
            hint = "name the pairs, or write all"
            raise ConfigError("recorded prices do not tell which pairs were the largest", where="pairs", hint=hint)
        if rule.everywhere:
            everywhere.append(rule)
            continue
        for pair in rule.pairs:
            named.setdefault(pair, []).append(rule)
    return everywhere, named


def lines_of(batch: TickBatch, *, traded: Floats | None = None) -> list[tuple[Line, int]]:
    """Each pair's line, and how many ticks of the batch it is made of."""
    unsaid = np.full(len(batch), np.nan) if traded is None else traded
    lengths = np.diff(batch.starts, append=len(batch))
    seq = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    lines: dict[str, Line] = {}
    ticks: list[int] = []
    for pair, rows in zip(batch.pairs, _rows_of_pairs(batch), strict=True):
        time = batch.observed_at[rows]
        newer = np.diff(np.maximum.accumulate(time), prepend=np.iinfo(np.int64).min // 2) > 0
        counted: Ints | slice = rows
        if not newer.all():
            time, counted = time[newer], np.arange(len(batch))[rows][newer]
        gaps = np.diff(time, prepend=time[:1])
        lines[pair] = Line(
            pair=pair,
            seq=seq[counted],
            time=time,
            price=batch.price[counted],
            volume=batch.volume[counted],
            market_cap=batch.market_cap[counted],
            clock=np.cumsum(np.where(gaps <= batch.valid_for, gaps, 0)),
            valid_for=batch.valid_for,
            traded=unsaid[counted],
            other=lines.get,
        )
        ticks.append(len(newer))
    return list(zip(lines.values(), ticks, strict=True))


def _rows_of_pairs(batch: TickBatch) -> Sequence[Ints | slice]:
    """Of each pair, in their order."""
    if len(batch.pairs) <= 1:
        return [slice(None) for _ in batch.pairs]
    # Sorting 16-bit numbers stably takes a tenth of the time.
    code = batch.pair.astype(np.uint16) if len(batch.pairs) <= 1 << 16 else batch.pair
    order = np.argsort(code, kind="stable")
    ends = np.cumsum(np.bincount(batch.pair, minlength=len(batch.pairs)))
    return np.split(order, ends[:-1])


class _Number:
    """A number along a line: its values, and where it was known."""

    def __init__(self, values: Floats) -> None:
        self.values = values
        self.known = ~np.isnan(values)
        self.lowest, self.highest = (
            (float(np.nanmin(values)), float(np.nanmax(values))) if self.known.any() else (np.nan, np.nan)
        )
        self._before: Ints | None = None

    @property
    def before(self) -> Ints:
        """For each row the last one before it where the number was known; _NONE for none."""
        if self._before is None:
            rows = np.where(self.known, np.arange(len(self.values)), _NONE)
            self._before = np.concatenate([[_NONE], np.maximum.accumulate(rows)[:-1]]).astype(np.int64)
        return self._before

    def last(self) -> Floats:
        """For each row the value last known before it."""
        return np.where(self.before == _NONE, np.nan, self.values[self.before])


class _Numbers:
    """All numbers that are asked for along a line. Each is computed once."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._known: dict[Expression, _Number] = {}

    def __getitem__(self, expression: Expression) -> _Number:
        number = self._known.get(expression)
        if number is None:
            number = self._known[expression] = _Number(self._values(expression))
        return number

    def _values(self, expression: Expression) -> Floats:
        if isinstance(expression, Call):
            return series_of(expression, self._line)
        return evaluate(expression, lambda call: self[call].values)


def _along(rule: CompiledRule, line: Line, numbers: _Numbers, journal: Journal) -> Iterator[Alert]:
    """The alerts of one rule along one line."""
    if not len(line):
        return
    looks = rule.shape.looks
    there = [numbers[look.number] for look in looks]
    if len(there) == 1:
        # Most rules are never true for most pairs.
        most = there[0].highest if looks[0].rises else there[0].lowest
        if not ((most >= rule.fire[0]) if looks[0].rises else (most < rule.fire[0])):
            return
    walk = _Walk(rule, line, there, journal)
    if walk.turns.ever or rule.rule.spec.fire_if_already_true:
        yield from walk


class _Walk:
    """The alerts of one rule along one line: from each row at which its standing may change to the next."""

    def __init__(self, rule: CompiledRule, line: Line, numbers: Sequence[_Number], journal: Journal) -> None:
        self._line = line
        self._numbers = numbers
        self._journal = journal
        self._from(rule, 0)

    def _from(self, rule: CompiledRule, row: int) -> None:
        """The rule is this one from a row on."""
        self._rule = rule
        self.turns = _Turns(rule, self._line, self._numbers, row)

    def __iter__(self) -> Iterator[Alert]:
        standing: Standing | None = UNARMED
        firing: Firing | None = None
        row = self.turns.after(_NONE, standing)
        while row != _NONE:
            rule, line = self._rule, self._line
            time = line.time.item(row)
            if rule.expires and time >= rule.expires:
                return
            stood = standing
            standing, met = advance(rule, stood, self._seen(row))
            if rule.rule.spec.resolved and standing is None:
                yield from self._over(row, told_at(stood, firing))
            if met is not None:
                known, price = firing, line.price.item(row)
                firing, held_back = record_firing(rule, known, pair=line.pair, time=time, price=price)
                if held_back:
                    standing = Standing("inside", time)
                else:
                    yield self._alert(row, met, known)
                if rule.reanchors:
                    self._from(anchored(rule, firing), row + 1)
                    standing = counted_anew(self._rule, standing, self._values(row))
            row = self.turns.after(row, standing)

    def _values(self, row: int) -> list[float]:
        return [number.values.item(row) for number in self._numbers]

    def _alert(self, row: int, met: AlertKind, known: Firing | None) -> Alert:
        pair, moment = self._line.pair, _moment(self._line, row, self._journal)
        return build_alert(self._rule, pair, self._values(row), self._before(row), moment, met, last_firing=known)

    def _over(self, row: int, began: int | None) -> Iterator[Alert]:
        """The notice that what was told is over, if it was told."""
        if began is not None:
            pair, moment = self._line.pair, _moment(self._line, row, self._journal)
            yield build_notice(self._rule, pair, self._values(row), self._before(row), moment, began)

    def _before(self, row: int) -> list[LastKnown]:
        return [_last_known(self._line, number, row) for number in self._numbers]

    def _seen(self, row: int) -> Seen:
        clock = self._line.clock.item(row)
        gained = clock - self._line.clock.item(row - 1) if row else 0
        return Seen(self._line.time.item(row), clock, gained, *self.turns.truth(row))


def _moment(line: Line, row: int, journal: Journal) -> Moment:
    seq, batch = line.seq.item(row), journal.batch
    return Moment(
        seq=seq,
        at=journal.at.item(seq - 1),
        time=line.time.item(row),
        price=line.price.item(row),
        source=batch.source,
        received_at=batch.received_at,
    )


def _last_known(line: Line, number: _Number, row: int) -> LastKnown:
    """What was known of a number before this row."""
    before = number.before.item(row)
    if before == _NONE:
        return NEVER_KNOWN
    return LastKnown(number.values.item(before), line.time.item(before), line.valid_for)


_FIRST_STRETCH = 256
"""Rows of which the truth is worked out at first for a rule that another will follow."""


class _Turns:
    """At which row of a line, from `begin` on, the standing of a rule may change next.

    Of a rule that becomes another with its next alert, the rest of the line is of no interest: the truth is worked
    out in stretches that double. Of others it is one stretch.
    """

    def __init__(self, rule: CompiledRule, line: Line, numbers: Sequence[_Number], begin: int) -> None:
        self._rule = rule
        self._line = line
        self._numbers = numbers
        self._stretches: list[_Stretch] = []
        self._end = begin
        self._next = _FIRST_STRETCH if rule.reanchors else len(line)

    @property
    def ever(self) -> bool:
        """Whether it fires at some row, were it armed."""
        return self._find("fired", 0) != _NONE

    def truth(self, row: int) -> tuple[bool, bool, bool, bool]:
        """What `advance` asks for, at a row."""
        stretch = next(each for each in self._all() if row < each.end)
        fired, holds, fails, back = (column.item(row - stretch.begin) for column in stretch.truth)
        return fired, holds, fails, back

    def after(self, row: int, standing: Standing | None) -> int:
        """The first row after this one that `advance` must see; _NONE if it need see no more."""
        first = row + 1
        if standing is None:
            return self._find("fired", first)
        match standing.state:
            case "inside":
                return self._find("back", first)
            case "unarmed":
                return self._find("known", first)
            case "pending":
                return self._pending(first, standing)
            case _:
                return _NONE

    def _pending(self, first: int, standing: Standing) -> int:
        """Where it no longer holds, or has held for long enough; after a blind row, the very next one."""
        if standing.blind:
            return first if first < len(self._line) else _NONE
        held = max(first, int(np.searchsorted(self._line.clock, standing.clock + self._rule.hold)))
        either = self._find("unheld", first), held if held < len(self._line) else _NONE
        return min((row for row in either if row != _NONE), default=_NONE)

    def _find(self, name: _Mark, first: int) -> int:
        """The first row from there on that is marked."""
        found = (each.find(name, first) for each in self._all() if first < each.end)
        return next((row for row in found if row != _NONE), _NONE)

    def _all(self) -> Iterator[_Stretch]:
        yield from self._stretches
        while self._end < len(self._line):
            begin, self._end = self._end, min(self._end + self._next, len(self._line))
            self._next *= 2
            self._stretches.append(_Stretch(begin, self._end, self._judged(begin, self._end)))
            yield self._stretches[-1]

    def _judged(self, begin: int, end: int) -> Truth:
        shape, rows = self._rule.shape, slice(begin, end)
        before = [
            number.last()[rows] if look.pulse else None
            for number, look in zip(self._numbers, shape.looks, strict=True)
        ]
        values = [number.values[rows] for number in self._numbers]
        return judge(shape, values, before, self._rule.fire, self._rule.rearm)


class _Stretch:
    """Some rows, and what is known of the condition at each."""

    def __init__(self, begin: int, end: int, truth: Truth) -> None:
        self.begin = begin
        self.end = end
        self.truth = truth
        self._bytes: dict[_Mark, bytes] = {}

    def find(self, name: _Mark, first: int) -> int:
        """The first row from there on that is marked; _NONE for none. To find one is to find a byte."""
        found = self._bytes.get(name)
        if found is None:
            found = self._bytes[name] = self._marks(name).tobytes()
        place = found.find(True, max(first - self.begin, 0))
        return _NONE if place == _NONE else place + self.begin

    def _marks(self, name: _Mark) -> NDArray[np.bool_]:
        match name:
            case "fired":
                return self.truth.fired
            case "back":
                return self.truth.back
            case "known":
                return self.truth.holds | self.truth.fails
            case "unheld":
                return ~self.truth.holds
