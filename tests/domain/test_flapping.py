"""A rule that fires again and again is held back: thirty alerts at once, and then one for every two minutes."""

from __future__ import annotations

from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.rules.compiled import compile_rule
from cryptowatcher.domain.rules.lifecycle import AT_ONCE, EACH, record_firing, silent_until
from cryptowatcher.domain.rules.model import Firing, Rule, RuleSpec
from cryptowatcher.domain.rules.why import why
from cryptowatcher.domain.rules.why_words import say_why
from tests.domain.journals import MINUTE
from tests.domain.test_lifecycle import HOUR, Story

SECOND = 1_000
FLAPS = {"rearm": "0%"}


def flap(story: Story, times: int, *, every: int, pair: str = "a/usd") -> int:
    """So many crossings, each of two prices; how many alerts came of it."""
    return len(story.see(*[90, 110] * times, every=every, pair=pair))


def test_thirty_alerts_come_at_once_and_no_more() -> None:
    story = Story(**FLAPS)
    assert flap(story, 100, every=1) == AT_ONCE == 30
    (firing,) = story.firings.values()
    assert (firing.fired, firing.suppressed) == (30, 70)


def test_then_one_comes_for_every_two_minutes() -> None:
    story = Story(**FLAPS)
    flap(story, 30, every=1)
    assert flap(story, 90, every=20 * SECOND) == 30, "an hour"
    assert flap(story, 90, every=20 * SECOND) == 30, "and another"


def test_who_was_calm_for_an_hour_has_thirty_again() -> None:
    story = Story(**FLAPS)
    flap(story, 50, every=1)
    story.see(90, every=HOUR)
    assert flap(story, 50, every=1) == 30


def test_where_prices_come_once_a_minute_none_is_held_back() -> None:
    assert flap(Story(**FLAPS), 100, every=MINUTE) == 100


def test_each_rule_and_each_pair_is_counted_by_itself() -> None:
    story = Story(pairs=["a/usd", "b/usd"], **FLAPS)
    flap(story, 50, every=1)
    assert flap(story, 10, every=1, pair="b/usd") == 10
    story.rule("other", **FLAPS)
    found = story.see(*[90, 110] * 5, every=1)
    assert [alert.rule for alert in found] == ["other"] * 5


def test_the_next_alert_says_how_many_were_held_back() -> None:
    story = Story(**FLAPS)
    flap(story, 40, every=1)
    story.see(90, every=3 * MINUTE)
    (alert,) = story.see(110)
    assert alert.suppressed == 10


def test_once_that_was_held_back_is_still_owed() -> None:
    story = Story(**FLAPS)
    flap(story, 40, every=1)
    story.rule(repeat="once")
    assert not story.see(90, 110, every=1)
    story.see(90, every=HOUR)
    assert story.see(110)
    assert story.state() == "done"


def test_it_is_counted_over_restarts_and_edits() -> None:
    story = Story(**FLAPS)
    flap(story, 20, every=1)
    story.restart()
    story.rule(when="price >= 105")
    assert flap(story, 20, every=1) == 10


def test_why_says_that_it_is_for_firing_too_often() -> None:
    story = Story(**FLAPS)
    flap(story, 40, every=1)
    story.see(90)
    mine = story.rules["mine"]
    assert mine is not None
    found = why(story.watcher.engine, mine, "a/usd")
    assert found.flaps
    assert found.cooldown_until is not None
    assert found.cooldown_until <= story.time + EACH
    assert "because it fired so often. It has held back 10 crossings." in say_why(found)
    story.see(110, 90)
    story.rule(cooldown="1h")
    longer = story.rules["mine"]
    assert longer is not None
    story.see(91)
    assert not why(story.watcher.engine, longer, "a/usd").flaps, "its cooldown lasts longer"


def test_the_canary_fires_as_often_as_it_is_told() -> None:
    spec = RuleSpec(name="n", pairs=("a/usd",), when="price > 1")
    canary = compile_rule(Rule(id="r", owner=SYSTEM_OWNER, version=1, spec=spec))
    firing: Firing | None = None
    for time in range(1, 101):
        firing, held_back = record_firing(canary, firing, pair="a/usd", time=time, price=2.0)
        assert not held_back
    assert firing is not None
    assert silent_until(canary, firing) <= 100
