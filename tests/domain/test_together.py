"""A rule that fires with many others tells the same as it would alone, and is remembered in the same way."""

from __future__ import annotations

from operator import attrgetter

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.copies import FEW, each_of
from cryptowatcher.domain.records import Record, Ticks
from cryptowatcher.domain.rules.model import Firing, Lifecycle, Rule, RuleChange, RuleSpec, rule_id
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import Watcher
from tests.domain.journals import BEGIN, MINUTE
from tests.domain.test_lifecycle import Story

PAIRS = ("a/usd", "b/usd")
ONE = ("price >= {}", (100, 100.5, 101, 100, 99.25))
SHARE = ("change(3m) >= {}%", (5, 2.5, 1, 5, 9))
BOTH = ("price >= {} and change(3m) >= 5%", (100, 100.5, 90, 101, 99.25))
ANY = ("price >= {} or change(3m) >= 6%", (100, 500, 101, 104, 102))
SETTINGS: tuple[dict[str, object], ...] = (
    {},
    {"advice": "buy", "channels": ["ops", "phone"]},
    {"cooldown": "1h", "urgent": True},
    {"repeat": "once"},
    {"channels": ["phone"], "cooldown": "3m"},
)
SPECS = {
    f"{when} {constant} {pair} {number}": {"when": when.format(constant), "pairs": [pair], **settings}
    for when, constants in (ONE, SHARE, BOTH, ANY)
    for pair in PAIRS
    for number, (constant, settings) in enumerate(zip(constants, SETTINGS, strict=True))
}
LATER = {f"later {name}": spec for name, spec in SPECS.items() if name.endswith(("0", "4"))}
EDITED = [name for name in SPECS if name.endswith("1")]


def lived(named: list[str]) -> tuple[list[Alert], dict[tuple[str, str], Lifecycle], dict[tuple[str, str], Firing]]:
    """These rules see prices go up and down, with a gap, others that come later, and edits: the alerts, where the
    rules stand, and what they remember."""
    story = Story("volume > 0")
    for name in named:
        if name in SPECS:
            story.rule(name, **SPECS[name])
    found = both(story, 90, 90, 90, 90, 91, 107, 92)
    for name in named:
        if name in LATER:
            story.rule(name, **LATER[name])
        if name in EDITED:
            story.rule(name, rearm="1%")
    found += both(story, 108, 90)
    found += both(story, 109, every=30 * MINUTE)  # the condition turned true somewhere in between
    found += both(story, 90, 110, 90, 110)
    return [alert for alert in found if alert.rule != "mine"], story.rows, story.firings


def both(story: Story, *prices: float, every: int = MINUTE) -> list[Alert]:
    """Both pairs go the same way."""
    return [
        alert
        for price in prices
        for number, pair in enumerate(PAIRS)
        for alert in story.see(price + number, every=0 if number else every, pair=pair)
    ]


def test_it_is_the_same_whether_a_rule_fires_alone_or_with_others() -> None:
    alerts, standings, firings = lived([*SPECS, *LATER])
    for name in [*SPECS, *LATER][::3]:  # of each form, setting and pair some
        alone, stood, fired = lived([name])
        assert [alert for alert in alerts if alert.rule == name] == alone
        assert {place: there for place, there in standings.items() if place[0] == name} == {
            place: there for place, there in stood.items() if place[0] == name
        }
        assert {place: there for place, there in firings.items() if place[0] == name} == fired


def test_the_storm_above_has_what_can_differ() -> None:
    alerts, _, _ = lived([*SPECS, *LATER])
    assert {alert.kind for alert in alerts} == {"edge", "gap"}
    assert {alert.version for alert in alerts} == {1, 2}
    assert any(alert.suppressed for alert in alerts)
    assert {len(alert.parts) for alert in alerts} == {0, 2}
    shown = {alert.value < 1 for alert in alerts if " or " in alert.condition}
    assert shown == {True, False}, "of an `or` the first that holds"


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("when", ["price >= {}", "price >= {} and change(1m) >= 5%"])
def test_many_that_fire_alike_are_told_by_columns_and_say_what_each_would(
    when: str, settings: dict[str, object]
) -> None:
    specs = [spec(number, when, **settings) for number in range(4 * FEW)]
    one, other = watched(specs), watched(specs)
    told = 0
    for seq, price in (
        (2, 90.0),
        (3, 120.0),
        (4, 90.0),
        (5, 121.0),
        (6, 90.0),
        (9, 122.0),
    ):  # they fire, and again
        for watcher in (one, other):
            watcher.step(record(seq, price))
        each, many = one.effects(), other.effects(together=True)
        told += len(each.alerts)
        assert all(alert.rule == rule_id(alert.owner, alert.rule_name) for alert in each.alerts)
        assert not many.alerts
        alerts = each_of(many.alerts_together)
        assert sorted(alerts, key=attrgetter("rule")) == sorted(each.alerts, key=attrgetter("rule"))
        stood = [*many.lifecycle, *each_of(many.lifecycle_together)]
        assert sorted(stood, key=attrgetter("rule")) == [*each.lifecycle]
        assert sorted([*many.firings, *each_of(many.firings_together)], key=attrgetter("rule")) == [*each.firings]
        assert many.at_rest == each.at_rest
        state, other = other.state(), Watcher()
        assert state == one.state()
        other.restore(state)
    fewer = {"once": 1, "1h": 1, "3m": 2}  # those that are done, and those that are held back
    often = fewer.get(str(settings.get("cooldown", settings.get("repeat"))), 3)
    assert told == often * len(specs)


def test_one_that_fires_twice_before_it_is_written_down_is_remembered_once() -> None:
    specs = [spec(number) for number in range(2 * FEW)]
    watcher = watched(specs)
    for seq, price in enumerate((120.0, 90.0, 120.0), 2):
        watcher.step(record(seq, price))
    effects = watcher.effects(together=True)
    assert [firing.fired for firing in (*effects.firings, *each_of(effects.firings_together))] == [2] * len(specs)
    assert sum(map(len, effects.alerts_together)) == 2 * len(specs)


def spec(number: int, when: str = "price >= {}", **settings: object) -> RuleSpec:
    mine = {"name": f"number {number}", "pairs": PAIRS[number % 2 :][:1], "when": when.format(100 + number / 8)}
    return msgspec.convert(mine | settings, RuleSpec)


def record(seq: int, price: float) -> Record:
    at = BEGIN + seq * MINUTE
    return Record(
        seq=seq,
        at=at,
        writer="w",
        number=seq,
        body=Ticks(one_instant(dict.fromkeys(PAIRS, price), observed_at=at)),
    )


def watched(specs: list[RuleSpec]) -> Watcher:
    """By rules that are armed."""
    watcher = Watcher()
    for number, each in enumerate(specs, 1):
        owner = f"owner {number % 3}"
        rule = Rule(id=rule_id(owner, each.name), owner=owner, version=1, spec=each)
        change = RuleChange(number=number, rule_id=rule.id, owner=owner, head=0, saved_at=0, rule=rule)
        watcher.take_up(change, 0)
    watcher.step(record(1, 90.0))
    watcher.effects()
    return watcher
