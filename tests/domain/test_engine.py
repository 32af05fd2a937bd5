"""The engine against an evaluator that is slow and plain: the same alerts, standings and firings, to the bit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.records import Record
from cryptowatcher.domain.rules.model import Firing, Lifecycle
from cryptowatcher.domain.watcher import Effects, Watcher
from tests.domain.journals import EXAMPLES, MINE, MINE_AT_FIRST, Journey, examples, journey, journeys
from tests.domain.oracle import Oracle

Key = tuple[str, str]


def follow(effects: Effects, rows: dict[Key, Lifecycle], firings: dict[Key, Firing]) -> None:
    """Do to these tables what a store would do."""
    keys = [(row.rule, row.pair) for row in effects.lifecycle]
    assert len({*keys, *effects.at_rest}) == len(keys) + len(effects.at_rest), "each (rule, pair) once a commit"
    for row in effects.lifecycle:
        rows[row.rule, row.pair] = row
    for key in effects.at_rest:
        rows.pop(key, None)
    for firing in effects.firings:
        firings[firing.rule, firing.pair] = firing


class Pair:
    """The engine and the oracle on the same journal, and what a store would hold."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.watcher, self.oracle = Watcher(candles=False), Oracle()
        self.rows: dict[Key, Lifecycle] = {}
        self.firings: dict[Key, Firing] = {}
        self.alerts: list[Alert] = []
        self._waiting = list(journey.changes)
        self._tell(0)

    def _tell(self, head: int) -> None:
        """What the watcher has still to be told after so many records."""
        for change in self.journey.changes:
            if change.head >= head:
                self.watcher.take_up(change, change.head)

    def step(self, record: Record) -> None:
        """One record through both."""
        while self._waiting and self._waiting[0].head < record.seq:
            self.oracle.apply(self._waiting.pop(0))
        expected = self.oracle.step(record)
        self.watcher.step(record)
        effects = self.watcher.effects()
        follow(effects, self.rows, self.firings)
        assert [*effects.alerts] == expected
        assert [self.rows[key] for key in sorted(self.rows)] == self.oracle.rows()
        assert self.firings == self.oracle.firings
        self.alerts += effects.alerts

    def restart(self, seq: int) -> None:
        """The watcher dies after this record, and another comes back from the bytes of its checkpoint."""
        state, self.watcher = self.watcher.state(), Watcher(candles=False)
        self.watcher.restore(state)
        self._tell(seq)


def agree(journey: Journey, restarts: Random | None = None) -> Pair:
    """Both evaluators over a journal, compared after every record."""
    both = Pair(journey)
    for record in journey.records:
        both.step(record)
        if restarts is not None and restarts.random() < 0.1:
            both.restart(record.seq)
    # A clock that was set back makes the same observation too old for a second time, which is no other event.
    ids = [alert.id for alert in both.alerts if "age" not in alert.condition]
    assert len({*ids}) == len(ids), "an id names one event"
    return both


@examples(40)
@given(journeys(), st.randoms(use_true_random=False))
def test_the_engine_says_what_the_plain_evaluator_says(journey: Journey, restarts: Random) -> None:
    agree(journey, restarts)


@examples(10)
@given(journeys(rules=60, records=15))
def test_many_rules_on_the_same_few_constants_are_told_apart(journey: Journey) -> None:
    agree(journey)


@examples(15)
@given(journeys(rules=3, records=60, most_instants=1))
def test_few_rules_over_a_longer_time_agree_too(journey: Journey) -> None:
    agree(journey)


@pytest.mark.chaos
def test_two_hundred_thousand_steps_agree() -> None:
    """A step is a rule that is judged for a pair because it was observed, or because time passed."""
    steps = 0

    @settings(max_examples=1_000, deadline=None, database=None)
    @given(journeys(rules=12), st.randoms(use_true_random=False))
    def more(journey: Journey, restarts: Random) -> None:
        nonlocal steps
        steps += agree(journey, restarts).oracle.looks

    while steps < 200_000 * EXAMPLES:
        more()


def test_the_random_journals_make_rules_fire_in_every_way() -> None:
    """Guards the tests above: agreement about nothing would prove nothing."""
    found: Counter[str] = Counter()
    for seed in range(40):
        watcher = Watcher(candles=False)
        made = journey(Random(seed), records=30, rules=12, most_instants=3)
        rules = [change.rule for change in made.changes if change.rule is not None]
        listed = {(rule.id, rule.version) for rule in rules if rule.spec.pairs == (MINE,)}
        largest = {(rule.id, rule.version) for rule in rules if rule.spec.pairs[0].startswith("top")}
        for change in made.changes:
            watcher.take_up(change, change.head)
        for record in made.records:
            watcher.step(record)
            effects = watcher.effects()
            for alert in effects.alerts:
                found.update(ways_of(alert))
                found["of one of the largest"] += (alert.rule, alert.version) in largest
                on_mine = (alert.rule, alert.version) in listed
                found["of a pair that came onto the list"] += on_mine and alert.pair not in MINE_AT_FIRST
                found["ended unseen"] += alert.kind == "resolved" and alert.late
            again = [firing for firing in effects.firings if firing.price and firing.fired > 1]
            found["counted from an alert"] += len(again)
            found["suppressed"] += sum(firing.suppressed > 0 for firing in effects.firings)
            found.update(row.state for row in effects.lifecycle)
    ways = ("edge", "gap", "already", "resolved")
    kinds = [f"{kind} {number}" for kind in ways for number in ("one", "several")]
    words = (
        *("and", "or", "not", "crosses", "price", "change", "high"),
        *("drawdown", "ratio", "market_cap", "age", "rank"),
    )
    states = ("suppressed", "unarmed", "inside", "done", "pending")
    others = (
        *("after some were held back", "with a part unknown", "of a pair that came onto the list"),
        *("counted from an alert", "change_since_alert", "ended unseen"),
    )
    wanted = (*kinds, *words, *states, *others)
    assert all(found[way] >= 3 for way in wanted), found


def ways_of(alert: Alert) -> Iterator[str]:
    """In which ways this is a special alert."""
    yield f"{alert.kind} {'several' if alert.parts else 'one'}"
    yield from re.findall(r"[a-z_]+", alert.condition)
    if alert.suppressed:
        yield "after some were held back"
    if any(part.value is None for part in alert.parts):
        yield "with a part unknown"


@examples(15)
@given(journeys())
def test_what_a_rule_does_is_the_same_whatever_other_rules_there_are(journey: Journey) -> None:
    together = _by_rule(journey)
    for rule in {change.rule_id for change in journey.changes}:
        mine = tuple(change for change in journey.changes if change.rule_id == rule)
        assert _by_rule(Journey(journey.records, mine)).get(rule) == together.get(rule)


def _by_rule(journey: Journey) -> dict[str, list[Alert]]:
    watcher = Watcher(candles=False)
    for change in journey.changes:
        watcher.take_up(change, change.head)
    for record in journey.records:
        watcher.step(record)
    found: dict[str, list[Alert]] = {}
    for alert in watcher.effects().alerts:
        found.setdefault(alert.rule, []).append(alert)
    return found
