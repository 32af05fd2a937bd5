"""The rules of alerting once more, as plain as they can be said: no index, no shared state, no columns.

Every value is computed by scanning everything that was ever observed. The engine must agree with this, alert
for alert. What is shared with the engine: reading the text of a condition, and the id of an alert.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from cryptowatcher.domain import intervals
from cryptowatcher.domain.alerts import Alert, AlertKind, alert_id
from cryptowatcher.domain.records import Record, Ticks, Verdict
from cryptowatcher.domain.rules import language
from cryptowatcher.domain.rules.language import Condition, Feature, parse_percent
from cryptowatcher.domain.rules.model import Firing, Lifecycle, LifecycleState, Rule, RuleChange
from cryptowatcher.domain.ticks import TickBatch

HOUR = 3_600_000
DAY = 24 * HOUR
SLACK = 1e-12
parse = cache(language.parse)
parse_duration = cache(intervals.parse_duration)


@dataclass(frozen=True)
class Seen:
    """One accepted observation of a pair."""

    time: int
    price: float
    valid_for: int


@dataclass(frozen=True)
class Place:
    """Where a (rule, pair) stands. One that is armed and waits has no place."""

    state: LifecycleState
    since: int = 0
    clock: int = 0


@dataclass
class Oracle:
    """Feed it what an engine is fed."""

    seen: dict[str, list[Seen]] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    firings: dict[tuple[str, str], Firing] = field(default_factory=dict)

    # --- rules -----------------------------------------------------------------------------------

    def apply(self, change: RuleChange) -> None:
        """A new version starts from nothing. Pausing and resuming too, except that done stays done."""
        old, new = self.rules.get(change.rule_id), change.rule
        same = old is not None and new is not None and old.version == new.version
        mine = {pair: place for (rule, pair), place in self.places.items() if rule == change.rule_id}
        if new is None:
            self.rules.pop(change.rule_id, None)
            kept: dict[str, Place] = {}
        else:
            self.rules[new.id] = new
            if same and old is not None and old.spec.paused == new.spec.paused:
                kept = mine
            elif same:
                kept = {pair: place for pair, place in mine.items() if place.state == "done"}
            else:
                kept = {}
        starts_over = new is not None and not new.spec.paused and kept is not mine
        if new is not None and new.spec.repeat == "every":
            # `once` became `every`: what was done begins again.
            again = {} if new.spec.paused else {p: Place("unarmed") for p, x in kept.items() if x.state == "done"}
            kept = {pair: place for pair, place in kept.items() if place.state != "done"} | again
        self.places = {key: place for key, place in self.places.items() if key[0] != change.rule_id}
        self.places |= {(change.rule_id, pair): place for pair, place in kept.items()}
        if new is None or new.spec.paused:
            return
        for pair in new.spec.pairs:
            if pair != "all":
                self._meet(pair)
        if starts_over:
            for pair in self.seen:
                if _covers(new, pair):
                    self.places.setdefault((new.id, pair), Place("unarmed"))

    def _meet(self, pair: str) -> None:
        """A pair that was never heard of: rules on all pairs begin to wait for it."""
        if pair in self.seen:
            return
        self.seen[pair] = []
        for rule in self.rules.values():
            if rule.spec.pairs == ("all",) and not rule.spec.paused:
                self.places[rule.id, pair] = Place("unarmed")

    # --- observations ----------------------------------------------------------------------------

    def step(self, record: Record) -> list[Alert]:
        """All instants of a record."""
        body = record.body
        if isinstance(body, Ticks) or (isinstance(body, Verdict) and body.accepted):
            return [alert for instant in body.batch.instants() for alert in self._instant(instant, record)]
        return []

    def _instant(self, instant: TickBatch, record: Record) -> list[Alert]:
        for pair in instant.pairs:
            self._meet(pair)
        fresh = []
        for pair, price, time in zip(
            instant.names(), instant.price.tolist(), instant.observed_at.tolist(), strict=True
        ):
            past = self.seen[pair]
            if past and time <= past[-1].time:
                continue  # not newer than what is known: passed over
            past.append(Seen(time, price, instant.valid_for))
            fresh.append(pair)
        alerts = []
        for rule in sorted(self.rules.values(), key=lambda rule: rule.id):
            for pair in sorted(fresh):
                if _covers(rule, pair) and not rule.spec.paused:
                    alert = self._look(rule, pair, instant, record)
                    if alert is not None:
                        alerts.append(alert)
        return alerts

    def _look(self, rule: Rule, pair: str, instant: TickBatch, record: Record) -> Alert | None:
        condition = parse(rule.spec.when)
        past = self.seen[pair]
        value = value_after(condition.feature, past)
        if value is None:
            return None
        time, key = past[-1].time, (rule.id, pair)
        kind = self._next(rule, condition, key, value, time)
        if kind is None:
            return None
        before = self.firings.get(key)
        cooldown = parse_duration(rule.spec.cooldown)
        if before is not None and time - before.last_fired_at < cooldown:
            suppressed = before.suppressed + 1
            self.firings[key] = Firing(
                rule=rule.id,
                pair=pair,
                last_fired_at=before.last_fired_at,
                fired=before.fired,
                suppressed=suppressed,
            )
            self.places[key] = Place("inside", time)  # nothing was sent, so `once` is still owed
            return None
        fired = before.fired + 1 if before is not None else 1
        self.firings[key] = Firing(rule=rule.id, pair=pair, last_fired_at=time, fired=fired, suppressed=0)
        return self._alert(rule, condition, pair, value, kind, instant, record)

    def _next(
        self, rule: Rule, condition: Condition, key: tuple[str, str], value: float, time: int
    ) -> AlertKind | None:
        """Move (rule, pair) by one known value; the kind of its firing if it fires."""
        place = self.places.get(key)
        hold = parse_duration(rule.spec.for_)
        clock = observed_time(self.seen[key[1]])
        after = Place("done" if rule.spec.repeat == "once" else "inside", time)
        true = is_true(condition, value)
        if place is None:
            if not true:
                return None
            if hold:
                self.places[key] = Place("pending", time, clock)
                return None
            self.places[key] = after
            return "edge"
        if place.state == "unarmed":
            del self.places[key]
            if not true:
                return None
            if not rule.spec.fire_if_already_true:
                self.places[key] = Place("inside", time)
                return None
            if hold:
                self.places[key] = Place("pending", time, clock)
                return None
            self.places[key] = after
            return "already"
        if place.state == "pending":
            if not true:
                del self.places[key]
                return None
            if clock - place.clock < hold:
                return None
            self.places[key] = after
            return "edge"
        if place.state == "inside" and is_back(condition, value, parse_percent(rule.spec.rearm, where="")):
            del self.places[key]
        return None

    def _alert(
        self,
        rule: Rule,
        condition: Condition,
        pair: str,
        value: float,
        kind: AlertKind,
        instant: TickBatch,
        record: Record,
    ) -> Alert:
        past = self.seen[pair]
        time, gap = past[-1].time, 0
        previous, previous_seen = last_known(condition.feature, past[:-1])
        if kind == "edge" and parse_duration(rule.spec.for_) == 0 and previous_seen is not None:
            away = time - previous_seen.time
            if away > previous_seen.valid_for:
                kind, gap = "gap", away
        event_time = time - gap
        return Alert(
            id=alert_id(rule=rule.id, version=rule.version, pair=pair, kind=kind, event_time=event_time),
            owner=rule.owner,
            rule=rule.id,
            rule_name=rule.spec.name,
            version=rule.version,
            pair=pair,
            kind=kind,
            event_time=event_time,
            at=record.at,
            seq=record.seq,
            condition=str(condition),
            value=value,
            constant=condition.constant,
            previous=None if kind == "already" else previous,
            price=past[-1].price,
            source=instant.source,
            received_at=instant.received_at,
            gap_ms=gap,
            advice=rule.spec.advice,
            channels=rule.spec.channels,
        )

    def rows(self) -> list[Lifecycle]:
        """What is not at rest, in (rule, pair) order."""
        return [
            Lifecycle(rule=rule, version=self.rules[rule].version, pair=pair, state=place.state, since=place.since)
            for (rule, pair), place in sorted(self.places.items(), key=lambda item: item[0])
        ]


def _covers(rule: Rule, pair: str) -> bool:
    return rule.spec.pairs == ("all",) or pair in rule.spec.pairs


def is_true(condition: Condition, value: float) -> bool:
    """A change that is equal to its constant but for rounding is equal."""
    return _compare(condition, value, condition.constant)


def is_back(condition: Condition, value: float, band: float) -> bool:
    """The same comparison with the constant moved back by the band does not hold any more."""
    back = abs(condition.constant) * band
    return not _compare(
        condition, value, condition.constant - back if condition.rises else condition.constant + back
    )


def _compare(condition: Condition, value: float, constant: float) -> bool:
    slack = SLACK if condition.feature.name == "change" else 0.0
    if condition.op in (">=", "crosses above"):
        return value >= constant - slack
    if condition.op in ("<=", "crosses below"):
        return value <= constant + slack
    if condition.op == ">":
        return value > constant + slack
    return value < constant - slack


def value_after(feature: Feature, past: list[Seen]) -> float | None:
    """The feature after the last of these observations of one pair; None where it is not known."""
    newest = past[-1]
    if feature.name == "price":
        return newest.price
    reference = reference_of(past, feature.window)
    return None if reference is None else (newest.price - reference) / reference


def reference_of(past: list[Seen], window: int) -> float | None:
    """The last observation at or before E = g·floor(t/g) − w, if it was current at E."""
    newest = past[-1]
    end = newest.time // grid(window) * grid(window) - window
    earlier = [seen for seen in past if seen.time <= end]
    if not earlier or end - earlier[-1].time > newest.valid_for:
        return None
    return earlier[-1].price


def grid(window: int) -> int:
    """1 s up to 2 h, 5 min up to 48 h, 1 h up to 30 d, 1 d beyond."""
    if window <= 2 * HOUR:
        return 1_000
    if window <= 48 * HOUR:
        return 300_000
    if window <= 30 * DAY:
        return HOUR
    return DAY


def last_known(feature: Feature, past: list[Seen]) -> tuple[float | None, Seen | None]:
    """The newest known value among these observations, and the observation after which it was known."""
    for end in range(len(past), 0, -1):
        value = value_after(feature, past[:end])
        if value is not None:
            return value, past[end - 1]
    return None, None


def observed_time(past: list[Seen]) -> int:
    """How long the pair was really observed: between observations that followed while the last was valid."""
    gaps = [(later.time - seen.time, seen.valid_for) for seen, later in pairwise(past)]
    return sum(gap for gap, valid_for in gaps if gap <= valid_for)
