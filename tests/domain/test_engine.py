"""The engine against an evaluator that is slow and plain: the same alerts, standings and firings, to the bit."""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec
from hypothesis import given

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.rules.model import Firing, Lifecycle
from cryptowatcher.domain.watcher import Effects, Watcher
from tests.domain.journals import Journey, examples, journey, journeys
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


def agree(journey: Journey) -> list[Alert]:
    """Both evaluators over a journal, compared after every record."""
    watcher, oracle = Watcher(candles=False), Oracle()
    rows: dict[Key, Lifecycle] = {}
    firings: dict[Key, Firing] = {}
    for change in journey.changes:
        watcher.take_up(change, change.head)
    waiting = list(journey.changes)
    alerts: list[Alert] = []
    for record in journey.records:
        while waiting and waiting[0].head < record.seq:
            oracle.apply(waiting.pop(0))
        expected = oracle.step(record)
        watcher.step(record)
        effects = watcher.effects()
        follow(effects, rows, firings)
        assert [*effects.alerts] == expected
        assert msgspec.json.encode([*effects.alerts]) == msgspec.json.encode(expected)
        assert [rows[key] for key in sorted(rows)] == oracle.rows()
        assert firings == oracle.firings
        alerts += effects.alerts
    assert len({alert.id for alert in alerts}) == len(alerts), "an id names one event"
    return alerts


@examples(150)
@given(journeys())
def test_the_engine_says_what_the_plain_evaluator_says(journey: Journey) -> None:
    agree(journey)


@examples(25)
@given(journeys(rules=60, records=15))
def test_many_rules_on_the_same_few_constants_are_told_apart(journey: Journey) -> None:
    agree(journey)


@examples(20)
@given(journeys(rules=3, records=60, most_instants=1))
def test_few_rules_over_a_longer_time_agree_too(journey: Journey) -> None:
    agree(journey)


def test_the_random_journals_make_rules_fire_in_every_way() -> None:
    """Guards the tests above: agreement about nothing would prove nothing."""
    found: Counter[str] = Counter()
    for seed in range(15):
        watcher = Watcher(candles=False)
        made = journey(Random(seed), records=40, rules=6, most_instants=3)
        for change in made.changes:
            watcher.take_up(change, change.head)
        for record in made.records:
            watcher.step(record)
            effects = watcher.effects()
            found.update(f"{alert.kind} {alert.condition.split('(')[0].split()[0]}" for alert in effects.alerts)
            found["suppressed"] += sum(firing.suppressed > 0 for firing in effects.firings)
            found.update(row.state for row in effects.lifecycle)
    ways = ("edge price", "edge change", "gap price", "gap change", "already price", "already change")
    assert all(found[way] >= 3 for way in ways), found
    assert all(found[state] >= 3 for state in ("suppressed", "unarmed", "inside", "done", "pending")), found


@examples(20)
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
