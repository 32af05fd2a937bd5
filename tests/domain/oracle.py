"""The rules of alerting once more, as plain as they can be said: no index, no shared state, no columns.

After every observation every rule looks at everything. The engine must agree with this, alert for alert. What is
shared with it: reading the text of a rule, and the id of an alert.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise

from msgspec.structs import replace as replace_struct

from cryptowatcher.domain import hours, intervals
from cryptowatcher.domain.alerts import Alert, AlertKind, Part, alert_id
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.records import ClockStep, Record, Ticks, Verdict
from cryptowatcher.domain.rules import language
from cryptowatcher.domain.rules.check import parse_percent, parse_top
from cryptowatcher.domain.rules.model import Firing, Lifecycle, LifecycleState, Rule, RuleChange
from cryptowatcher.domain.rules.tree import Comparison, Condition, Expression, calls
from cryptowatcher.domain.ticks import TickBatch
from tests.domain.plain import (
    DAY,
    Looked,
    Seen,
    World,
    after_alert,
    holds,
    leaves,
    looked,
    rank_of,
    spread,
    still_holds,
    truth,
    value_of,
)

parse = cache(language.parse)
parse_duration = cache(intervals.parse_duration)
parse_moment = cache(hours.parse_moment)
TWO_MINUTES = 120_000
LONGEST_BREATH = 60_000
"""Between two records the watcher counts as awake for no longer than this, ms."""
Key = tuple[str, str]
"""A rule's id and a pair."""


@dataclass(frozen=True)
class Place:
    """Where a (rule, pair) stands. One that is armed and waits has no place.

    held: while pending, the observed time (ms) for which the condition was known to hold at both ends
    blind: while pending, whether it was unknown at the observation before
    """

    state: LifecycleState
    since: int = 0
    held: int = 0
    blind: bool = False


@dataclass(frozen=True)
class Known:
    """What a rule last knew of a number."""

    value: float
    time: int
    valid_for: int


@dataclass
class Oracle:
    """Feed it what an engine is fed.

    known: what each rule last knew of each number of each pair, since it began
    told:  for each rule and pair the times of its alerts
    looks: how often a rule was judged for a pair
    ranks: the places that each pair had, one after another
    left:  for each rule on the n largest, when a pair left them
    """

    world: World = field(default_factory=World)
    rules: dict[str, Rule] = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)
    firings: dict[Key, Firing] = field(default_factory=dict)
    known: dict[Key, dict[Expression, Known]] = field(default_factory=dict)
    told: dict[Key, list[int]] = field(default_factory=dict)
    ranks: dict[str, list[int]] = field(default_factory=dict)
    left: dict[Key, int] = field(default_factory=dict)
    stepped: int = 0
    at: int = 0
    instants: int = 0
    looks: int = 0

    # --- rules -----------------------------------------------------------------------------------

    def apply(self, change: RuleChange) -> None:
        """A rule that is new, of a new version, paused or resumed starts over; but what is done stays done."""
        old, new = self.rules.pop(change.rule_id, None), change.rule
        mine = {pair: place for (rule, pair), place in self.places.items() if rule == change.rule_id}
        same = old is not None and new is not None and old.version == new.version
        goes_on = same and old is not None and new is not None and old.spec.paused == new.spec.paused
        left = set(_pairs(old)) - set(_pairs(new)) if same and old is not None and new is not None else set()
        mine = {pair: place for pair, place in mine.items() if pair not in left}
        self.known = {
            key: known for key, known in self.known.items() if key[0] != change.rule_id or key[1] not in left
        }
        if not goes_on:
            mine = {pair: place for pair, place in mine.items() if same and place.state == "done"}
            self.known = {key: known for key, known in self.known.items() if key[0] != change.rule_id}
        if new is not None and new.spec.repeat == "every":
            # `once` became `every`: what was done begins again.
            waits = {} if new.spec.paused else {pair: Place("unarmed") for pair in mine}
            mine = {pair: waits.get(pair) if x.state == "done" else x for pair, x in mine.items()}  # type: ignore[misc]  # None: at rest
            mine = {pair: place for pair, place in mine.items() if place is not None}
        self.places = {key: place for key, place in self.places.items() if key[0] != change.rule_id}
        self.places |= {(change.rule_id, pair): place for pair, place in mine.items()}
        if new is None:
            return
        self.rules[new.id] = new
        if new.spec.paused:
            return
        for pair in () if _is_everywhere(new) else _pairs(new):
            self._meet(pair)
        for pair in self.world.seen:
            goes_on_there = goes_on and old is not None and _covers(old, pair)
            if _covers(new, pair) and not goes_on_there:
                self.places.setdefault((new.id, pair), Place("unarmed"))
            elif _covers(new, pair) and old is not None and old.spec.expires != new.spec.expires:
                self._renew(old, pair)

    def _renew(self, old: Rule, pair: str) -> None:
        """A rule that had come to its end by what was seen of a pair begins again, but what is done is done."""
        past, place = self.world.seen[pair], self.places.get((old.id, pair))
        if past and _is_over(old, past[-1].time) and (place is None or place.state != "done"):
            self.places[old.id, pair] = Place("unarmed")

    def _meet(self, pair: str) -> None:
        """A pair that was never heard of: rules on all pairs begin to wait for it."""
        if pair in self.world.seen:
            return
        self.world.seen[pair] = []
        for rule in self.rules.values():
            if _is_everywhere(rule) and not rule.spec.paused:
                self.places[rule.id, pair] = Place("unarmed")

    # --- records ---------------------------------------------------------------------------------

    def step(self, record: Record) -> list[Alert]:
        """All instants of a record, and then that its time has come."""
        body = record.body
        if isinstance(body, Verdict) and body.anew:
            self._begin_anew(body.batch.names())
        if isinstance(body, ClockStep):
            self.stepped += max(0, min(body.step, record.at - self.at))  # what the journal's time jumped by
        self.world.now = record.at - self.stepped
        self.world.awake += min(max(record.at - self.at, 0), LONGEST_BREATH) if self.at else 0
        self.at = record.at
        alerts = []
        if isinstance(body, Ticks) or (isinstance(body, Verdict) and body.accepted):
            for instant in body.batch.instants():
                fresh = self._see(instant)
                for pair in fresh:
                    self._settle(pair)
                alerts += self._judge(self.rules.values(), fresh, record)
        timed = [rule for rule in self.rules.values() if any(map(_is_timed, _numbers(rule)))]
        return alerts + self._judge(
            timed, [pair for pair, past in self.world.seen.items() if past], record, ticked=False
        )

    def _begin_anew(self, pairs: Iterable[str]) -> None:
        """What was seen of these pairs never was. Rules that looked at it wait again, but what is done is done."""
        for anew in pairs:
            self._meet(anew)
            for rule in self.rules.values():
                self._forget_alert(rule, anew)
            self.world.seen[anew] = []
            self.ranks.pop(anew, None)
            for rule in self.rules.values():
                self.left.pop((rule.id, anew), None)
                for pair in self.world.seen:
                    self._forget(rule, pair, anew)

    def _forget_alert(self, rule: Rule, anew: str) -> None:
        """What a rule told at a price that was wrong is nothing to count from."""
        told, past, key = self.firings.get((rule.id, anew)), self.world.seen[anew], (rule.id, anew)
        if rule.spec.paused or told is None or told.version != rule.version or not _covers(rule, anew):
            return
        if past and past[-1].price == told.price:
            self.firings[key] = replace_struct(told, price=0.0)

    def _forget(self, rule: Rule, pair: str, anew: str) -> None:
        if rule.spec.paused or not _covers(rule, pair):
            return
        lost = {number for number in _numbers(rule) if pair == anew or anew in _others(number)}
        known = self.known.get((rule.id, pair), {})
        self.known[rule.id, pair] = {number: last for number, last in known.items() if number not in lost}
        place = self.places.get((rule.id, pair))
        if lost and (place is None or place.state != "done"):
            self.places[rule.id, pair] = Place("unarmed")

    def _see(self, instant: TickBatch) -> list[str]:
        """The pairs with an observation newer than what was known of them; others are passed over."""
        self.instants += 1
        for pair in instant.pairs:
            self._meet(pair)
        fresh = []
        columns = (instant.price, instant.volume, instant.market_cap, instant.observed_at)
        for pair, price, volume, cap, time in zip(
            instant.names(), *(column.tolist() for column in columns), strict=True
        ):
            past = self.world.seen[pair]
            if past and time <= past[-1].time:
                continue
            past.append(
                Seen(
                    time,
                    price,
                    volume,
                    cap,
                    instant.valid_for,
                    self.world.now,
                    self.instants,
                    instant.source,
                    instant.received_at,
                    self.world.awake,
                )
            )
            fresh.append(pair)
        return fresh

    def _settle(self, pair: str) -> None:
        """Rules on the n largest: who comes, and who leaves."""
        rank = rank_of(pair, self.world)
        if rank is None:
            return
        was = {rule.id: self._among(rule, pair) for rule in self.rules.values()}
        self.ranks.setdefault(pair, []).append(rank)
        for rule in self.rules.values():
            if not _top(rule) or was[rule.id] == self._among(rule, pair):
                continue
            if was[rule.id]:
                self.left[rule.id, pair] = self.world.seen[pair][-1].time
            elif not rule.spec.paused:
                self._comes(rule, pair)

    def _among(self, rule: Rule, pair: str) -> bool:
        """It came in at n, and was not above 1.1 n since."""
        among = False
        for rank in self.ranks.get(pair, ()):
            among = rank <= _top(rule) or (among and 10 * rank <= 11 * _top(rule))
        return among

    def _comes(self, rule: Rule, pair: str) -> None:
        """It is among the largest again: within a day it goes on where it stood, but what waited begins anew."""
        key, time = (rule.id, pair), self.world.seen[pair][-1].time
        place = self.places.get(key)
        if key in self.left and time - self.left[key] <= DAY:
            if place is not None and place.state == "pending":
                del self.places[key]
        elif place is None or place.state != "done":
            self.places[key] = Place("unarmed")

    def _judge(
        self, rules: Iterable[Rule], pairs: Iterable[str], record: Record, *, ticked: bool = True
    ) -> list[Alert]:
        """These rules for these pairs; `ticked`: because they were observed, not because time passed."""
        alerts = []
        for rule in sorted(rules, key=lambda rule: rule.id):
            for pair in sorted(pairs):
                if _covers(rule, pair) and not rule.spec.paused:
                    self.looks += 1
                    if not _top(rule) or self._among(rule, pair):
                        alerts += self._look(rule, pair, record)
                    self._remember(rule, pair, ticked=ticked)
        return alerts

    def _remember(self, rule: Rule, pair: str, *, ticked: bool) -> None:
        newest = self.world.seen[pair][-1]
        known = self.known.setdefault((rule.id, pair), {})
        for number in _numbers(rule):
            value = value_of(number, pair, self.world)
            if value is not None and (ticked or _is_timed(number)):
                known[number] = Known(value, newest.time, newest.valid_for)

    # --- one rule, one pair ----------------------------------------------------------------------

    def _look(self, rule: Rule, pair: str, record: Record) -> list[Alert]:
        time, key = self.world.seen[pair][-1].time, (rule.id, pair)
        if _is_over(rule, time):
            return []
        place, kind = self.places.get(key), self._next(rule, key)
        if kind is None:
            if place is None or key in self.places or not rule.spec.resolved:
                return []
            return [self._over(rule, pair, place.since, record)] if self._told(key, place) else []
        before, told = self.firings.get(key), self.told.setdefault(key, [])
        cools = before is not None and time - before.last_fired_at < parse_duration(rule.spec.cooldown)
        if before is not None and (cools or _debt([*told, time]) > 30 * TWO_MINUTES):
            self.places[key] = Place("inside", time)  # nothing was sent, so `once` is still owed
            self._count_from_here(rule, key, replace_struct(before, suppressed=before.suppressed + 1))
            return []
        alert = self._alert(rule, pair, kind, record, before)
        told.append(time)
        busy, fired = time + _debt(told), len(told)
        firing = Firing(rule=rule.id, pair=pair, last_fired_at=time, fired=fired, suppressed=0, busy_until=busy)
        self._count_from_here(rule, key, firing)
        return [alert]

    def _count_from_here(self, rule: Rule, key: Key, firing: Firing) -> None:
        """It has fired: what it counts from its last firing begins here, and may be over by that."""
        counts = any(call.name == "change_since_alert" for call in calls(parse(rule.spec.when)))
        price, version = (self.world.seen[key[1]][-1].price, rule.version) if counts else (0.0, 0)
        self.firings[key] = replace_struct(firing, price=price, version=version)
        if counts and self.places[key].state == "inside" and self._is_over_now(rule, key):
            del self.places[key]

    def _condition(self, rule: Rule, pair: str) -> Condition:
        """As it stands for a pair: it may count from the rule's last alert for it."""
        told, condition = self.firings.get((rule.id, pair)), parse(rule.spec.when)
        if told is None or not told.price or told.version != rule.version:
            return condition
        return after_alert(condition, told.price)

    def _is_over_now(self, rule: Rule, key: Key) -> bool:
        band = parse_percent(rule.spec.rearm, where="")
        return still_holds(spread(self._condition(rule, key[1])), band, key[1], self.world) is False

    def _next(self, rule: Rule, key: Key) -> AlertKind | None:
        """Move (rule, pair) by what is known of its condition now; the kind of its firing if it fires."""
        pair, spec = key[1], rule.spec
        condition = spread(self._condition(rule, pair))
        time, hold = self.world.seen[pair][-1].time, parse_duration(spec.for_)
        after = Place("done" if spec.repeat == "once" else "inside", time)
        true = holds(condition, pair, self.world)
        match self.places.get(key):
            case None:
                if not self._turned_true(condition, key):
                    return None
                self.places[key] = Place("pending", time) if hold else after
                return None if hold else "edge"
            case Place(state="unarmed") if true is False:
                del self.places[key]
            case Place(state="unarmed") if true and not spec.fire_if_already_true:
                self.places[key] = Place("inside", time)
            case Place(state="unarmed") if true:
                self.places[key] = Place("pending", time) if hold else after
                return None if hold else "already"
            case Place(state="pending") if true is False:
                del self.places[key]
            case Place(state="pending") as place:
                held = place.held + (self._observed(pair) if true and not place.blind else 0)
                if true and held >= hold:
                    self.places[key] = after
                    return "edge"
                self.places[key] = replace(place, held=held, blind=true is None)
            case Place(state="inside"):
                if self._is_over_now(rule, key):
                    del self.places[key]
        return None

    def _observed(self, pair: str) -> int:
        """How much observed time the newest observation of a pair has brought."""
        before, newest = self.world.seen[pair][-2:]
        gap = newest.time - before.time
        return gap if gap <= before.valid_for else 0

    def _turned_true(self, condition: Condition, key: Key) -> bool:
        """Whether it is true now, crossings just now. One comparison alone crosses by turning true."""
        if isinstance(condition, Comparison):
            return holds(condition, key[1], self.world) is True
        return truth(condition, lambda comparison, _: self._now(comparison, key)) is True

    def _now(self, comparison: Comparison, key: Key) -> bool | None:
        it = looked(comparison)
        true = it.true(value_of(it.number, key[1], self.world))
        if true and it.op.startswith("crosses"):
            last = self.known.get(key, {}).get(it.number)
            return last is not None and it.true(last.value) is False
        return true

    def _alert(self, rule: Rule, pair: str, kind: AlertKind, record: Record, fired: Firing | None) -> Alert:
        """`fired`: when it fired before."""
        written, newest = self._condition(rule, pair), self.world.seen[pair][-1]
        condition = spread(written)
        said = [*leaves(condition)]
        values = [value_of(each.number, pair, self.world) for each in said]
        known = self.known.get((rule.id, pair), {})
        befores = [known.get(each.number) for each in said]
        gap = 0
        if kind == "edge" and not parse_duration(rule.spec.for_):
            gap = _gap(condition, newest.time, befores, fired.last_fired_at if fired is not None else 0)
            kind = "gap" if gap else "edge"
        first = next(n for n, each in enumerate(said) if each.true(values[n]))
        value, previous = values[first], befores[first]
        assert value is not None, "it is true"
        return Alert(
            id=alert_id(rule=rule.id, version=rule.version, pair=pair, kind=kind, event_time=newest.time - gap),
            owner=rule.owner,
            rule=rule.id,
            rule_name=rule.spec.name,
            version=rule.version,
            pair=pair,
            kind=kind,
            event_time=newest.time - gap,
            at=record.at,
            seq=record.seq,
            condition=str(written),
            value=said[first].said(value),
            constant=said[first].constant,
            previous=None if kind == "already" or previous is None else said[first].said(previous.value),
            price=newest.price,
            source=newest.source,
            received_at=newest.received_at,
            gap_ms=gap,
            advice=rule.spec.advice,
            channels=rule.spec.channels,
            suppressed=fired.suppressed if fired is not None else 0,
            parts=_parts(said, values) if len(said) > 1 else (),
        )

    def _told(self, key: Key, place: Place) -> bool:
        """Whether an alert told where a rule stood."""
        return place.state == "inside" and place.since in self.told.get(key, [])

    def _over(self, rule: Rule, pair: str, began: int, record: Record) -> Alert:
        """The notice that what was told is over. `began`: when the alert was."""
        condition, newest = spread(parse(rule.spec.when)), self.world.seen[pair][-1]
        said, band = [*leaves(condition)], parse_percent(rule.spec.rearm, where="")
        values = [value_of(each.number, pair, self.world) for each in said]
        known = self.known.get((rule.id, pair), {})
        befores = [known.get(each.number) for each in said]
        back = [each.constant + (-1 if each.rises else 1) * abs(each.constant) * band for each in said]
        first = next(n for n, each in enumerate(said) if each.true(values[n], band=band) is False)
        value, previous, time = values[first], befores[first], newest.time
        assert value is not None, "it is false"
        return Alert(
            id=alert_id(rule=rule.id, version=rule.version, pair=pair, kind="resolved", event_time=time),
            owner=rule.owner,
            rule=rule.id,
            rule_name=rule.spec.name,
            version=rule.version,
            pair=pair,
            kind="resolved",
            event_time=time,
            at=record.at,
            seq=record.seq,
            condition=str(parse(rule.spec.when)),
            value=value,
            constant=back[first],
            previous=None if previous is None else previous.value,
            price=newest.price,
            source=newest.source,
            received_at=newest.received_at,
            gap_ms=time - began + parse_duration(rule.spec.for_),
            advice="info",
            channels=rule.spec.channels,
            late=not any(map(_is_timed, _numbers(rule))) and _gap(condition, time, befores, began, holds=True) > 0,
            parts=tuple(map(Part, [each.text for each in said], values, back)) if len(said) > 1 else (),
        )

    def rows(self) -> list[Lifecycle]:
        """What is not at rest, in (rule, pair) order."""
        return [
            Lifecycle(rule=rule, version=self.rules[rule].version, pair=pair, state=place.state, since=place.since)
            for (rule, pair), place in sorted(self.places.items(), key=lambda item: item[0])
        ]


def _pairs(rule: Rule) -> tuple[str, ...]:
    return rule.members if rule.spec.pairs == ("list(mine)",) else rule.spec.pairs


def _covers(rule: Rule, pair: str) -> bool:
    return _is_everywhere(rule) or pair in _pairs(rule)


def _is_everywhere(rule: Rule) -> bool:
    return rule.spec.pairs == ("all",) or _top(rule) > 0


def _top(rule: Rule) -> int:
    """The n of `top(n)`, 0 for a rule on other pairs."""
    return parse_top(rule.spec.pairs[0]) or 0


def _is_over(rule: Rule, time: int) -> bool:
    return rule.spec.expires != "" and time >= (parse_moment(rule.spec.expires) or 0)


def _gap(
    condition: Condition, time: int, befores: list[Known | None], fired_at: int, *, holds: bool = False
) -> int:
    """For how long the condition was not known to fail (or to hold) before, if that was too long. It fired not
    before that."""
    there = [last for last in befores if last is not None]
    if not there:
        return 0
    newest = max(last.time for last in there)
    then = iter([last.value if last is not None and last.time == newest else None for last in befores])
    so = truth(condition, lambda comparison, _: looked(comparison).true(next(then))) is holds
    begin = newest if so else min(last.time for last in there)
    away = time - max(begin, fired_at)
    return away if away > next(last.valid_for for last in there if last.time == begin) else 0


def _debt(told: list[int]) -> int:
    """Two minutes for each alert; what passed since the one before is paid back."""
    debt = TWO_MINUTES if told else 0
    for before, time in pairwise(told):
        debt = max(0, debt - (time - before)) + TWO_MINUTES
    return debt


def _parts(said: list[Looked], values: list[float | None]) -> tuple[Part, ...]:
    return tuple(
        Part(each.text, None if value is None else each.said(value), each.constant)
        for each, value in zip(said, values, strict=True)
    )


def _numbers(rule: Rule) -> list[Expression]:
    return _numbers_of(rule.spec.when)


@cache
def _numbers_of(when: str) -> list[Expression]:
    return [each.number for each in leaves(spread(parse(when)))]


def _is_timed(number: Expression) -> bool:
    return any(call.name == "age" for call in calls(number))


def _others(number: Expression) -> set[str]:
    """The other pairs that a number looks at."""
    return {pair for call in calls(number) for pair in catalogue()[call.name].reads(call.args)}
