"""A rule that fires with many others tells the same as it would alone, and is remembered in the same way."""

from __future__ import annotations

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.rules.model import Firing, Lifecycle
from tests.domain.journals import MINUTE
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
