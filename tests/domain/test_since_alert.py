"""Rules that count from their last firing: `change_since_alert(60000) >= 10%`."""

from __future__ import annotations

import math
import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.records import Verdict
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.mistakes import ConditionError
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.series import run_series
from cryptowatcher.domain.rules.since import both_ways, least_price
from cryptowatcher.domain.rules.tree import Call, Comparison, Number, Operator
from cryptowatcher.domain.rules.why import why
from cryptowatcher.domain.rules.why_words import say_why
from cryptowatcher.domain.rules.words import say
from cryptowatcher.domain.texts import alert_text
from cryptowatcher.domain.ticks import TickBatch, one_instant
from tests.domain.journals import BEGIN, MINUTE
from tests.domain.test_lifecycle import HOUR, Story, fires

UP = "change_since_alert(100) >= 10%"
BOTH = "abs(change_since_alert(100)) >= 10%"

# --- when it fires ---------------------------------------------------------------------------------


def test_after_each_alert_it_counts_from_the_price_of_that() -> None:
    assert fires(UP, [100, 109, 110, 112, 120, 121, 133, 134]) == [2, 5, 7]


def test_before_the_first_alert_it_is_the_change_since_that_price() -> None:
    prices = [90, 109.9, 110, 105, 110, 90]
    assert fires(UP, prices)[:1] == fires("change_since(100) >= 10%", prices)[:1] == [2]


def test_it_is_armed_again_at_once_and_sees_a_jump_right_after() -> None:
    assert fires(UP, [100, 110, 122, 150]) == [1, 2, 3]


def test_both_ways_are_one_rule() -> None:
    assert fires(BOTH, [100, 110, 105, 99, 95, 88, 96.8, 97]) == [1, 3, 5, 6]


def test_a_fall_that_goes_on_fires_at_every_step() -> None:
    assert fires("change_since_alert(100) <= -10%", [100, 91, 90, 82, 81, 95, 72.9]) == [2, 4, 6]


def test_what_still_holds_without_a_change_waits_until_it_is_over() -> None:
    prices = [80, 91, 80, 92, 83, 82.7, 95]
    assert fires("change_since_alert(100) >= -10%", prices) == [1, 3, 6]
    assert fires(f"{UP} or price >= 200", [100, 210, 220, 231, 199, 205]) == [1, 5]


def test_each_pair_counts_from_its_own() -> None:
    story = Story(UP, pairs=["a/usd", "b/usd"])
    story.see(100)
    story.see(100, pair="b/usd")
    assert story.see(120)
    assert story.see(110, pair="b/usd"), "20 % above the alert for the other would be 144"
    assert not story.see(125, 131)
    assert story.see(132)


def test_a_rule_on_all_pairs_counts_from_its_own_too() -> None:
    story = Story(UP, pairs=["all"])
    story.see(100)
    assert story.see(110)
    story.see(100, pair="new/usd")
    assert not story.see(120)
    assert story.see(110, pair="new/usd")
    assert story.see(121)


def test_it_counts_from_where_for_was_over() -> None:
    story = Story(UP, **{"for": "2m"})
    assert not story.see(100, 110, 111)
    assert story.see(112)
    assert not story.see(121, 122, 123)
    assert not story.see(123.2, 124)
    assert story.see(125)


def test_beside_a_crossing_what_was_before_is_held_against_the_new_price() -> None:
    when = "change_since_alert(100) crosses above 10% and market_cap > 1"
    story = Story(when)
    story.see(100, cap=2)
    assert story.see(110, cap=2)
    assert not story.see(120, cap=2)
    assert story.see(121, cap=2)


def test_once_is_once() -> None:
    assert fires(UP, [100, 110, 121, 140], repeat="once") == [1]


def test_a_first_observation_that_counts_is_counted_from() -> None:
    assert fires(UP, [150, 160, 165], fire_if_already_true=True) == [0, 2]
    assert fires(UP, [150, 160, 165]) == [], "it waits until that was over, as others do"


# --- what it survives ------------------------------------------------------------------------------


def test_after_a_while_without_an_alert_to_count_from_it_counts_from_the_next_alike() -> None:
    """A new version begins with the number it was given; meanwhile no price is followed on behalf of alerts."""
    story = Story(BOTH)
    story.rule("other", when="price >= 1000")
    assert len(story.see(100, 89, 90)) == 1, "from here on 80.1 and 97.9"
    story.rule(rearm="5%")
    assert len(story.see(100, 125)) == 1, "from here on 112.5 and 137.5"
    assert story.see(112)
    assert story.see(100)


def test_it_survives_a_restart_and_edits_that_make_no_new_version() -> None:
    story = Story(UP)
    story.see(100, 110)
    story.restart()
    story.rule(cooldown="1m", advice="buy")
    assert not story.see(111, 120)
    story.restart()
    assert story.see(121)


def test_it_survives_a_pause() -> None:
    story = Story(UP)
    story.see(100, 110)
    story.rule(paused=True)
    story.see(115)
    story.rule(paused=False)
    assert not story.see(111, 120)
    assert story.see(121)


def test_a_new_version_begins_with_the_number_it_was_given() -> None:
    story = Story(UP)
    story.see(100, 110)
    story.rule(when="change_since_alert(50) >= 10%")
    assert not story.see(50, 54)
    assert story.see(55)
    story.rule(rearm="5%")
    assert not story.see(50)
    assert story.see(55), "a new version counts from 50 again"


def test_it_survives_that_the_journal_is_gone() -> None:
    old, new = Story(UP), Story(UP)
    old.see(100, 110)
    new.see(100)
    new.watcher.engine.remember(list(old.firings.values()), list(old.rows.values()))
    assert not new.see(110, 120)
    assert new.see(121)


def test_a_price_that_was_wrong_is_none_to_count_from() -> None:
    story = Story(UP, fire_if_already_true=True)
    assert story.see(1000), "the first price of a pair counts at once"
    story.time += MINUTE
    batch = one_instant({"a/usd": 100.0}, observed_at=story.time, valid_for=5 * MINUTE)
    story.record(Verdict(batch, accepted=True, evidence="", anew=True), at=story.time)
    assert not story.see(109)
    assert story.see(110), "10 % above 100, and not above 1000"


def test_a_price_that_was_wrong_stays_forgotten_over_a_restart() -> None:
    story = Story(UP)
    assert story.see(100, 500)
    batch = one_instant({"a/usd": 100.0}, observed_at=story.time + 1, valid_for=5 * MINUTE)
    story.record(Verdict(batch, accepted=True, evidence="", anew=True), at=story.time + 1)
    story.restart()
    assert not story.see(101, 109)
    assert story.see(110), "10 % above 100, and not above 500"


def test_a_price_that_was_right_is_still_counted_from_though_a_later_one_was_wrong() -> None:
    story = Story(UP)
    assert len(story.see(100, 110)) == 1
    story.see(112)
    batch = one_instant({"a/usd": 105.0}, observed_at=story.time + 1, valid_for=5 * MINUTE)
    story.record(Verdict(batch, accepted=True, evidence="", anew=True), at=story.time + 1)
    assert not story.see(115)
    assert len(story.see(121)) == 1


def test_a_price_of_one_pair_that_was_wrong_takes_nothing_from_another() -> None:
    story = Story(UP, pairs=["a/usd", "b/usd"])
    assert len(story.see(100, 110, pair="a/usd") + story.see(100, 110, pair="b/usd")) == 2
    batch = one_instant({"a/usd": 50.0}, observed_at=story.time + 1, valid_for=5 * MINUTE)
    story.record(Verdict(batch, accepted=True, evidence="", anew=True), at=story.time + 1)
    assert not story.see(115, pair="b/usd"), "its price is that of its alert, and was not wrong"
    assert len(story.see(121, pair="b/usd")) == 1


def test_what_cooldown_holds_back_is_counted_from_too() -> None:
    """Else a price that goes on after it would leave the rule waiting for its return for ever."""
    story = Story(UP, cooldown="1h")
    assert len(story.see(100, 110, 121)) == 1
    assert [firing.suppressed for firing in story.firings.values()] == [1]
    assert not story.see(130, every=HOUR)
    (alert,) = story.see(134)
    assert alert.suppressed == 1


# --- what it says ----------------------------------------------------------------------------------


def test_an_alert_says_the_change_and_the_price_it_is_counted_from() -> None:
    story = Story(UP)
    story.see(100)
    (first,) = story.see(110)
    assert (first.condition, first.value, first.constant, first.previous) == (UP, 0.1, 0.1, 0.0)
    story.see(115.5)
    (second,) = story.see(132)
    assert second.condition == "change_since_alert(110) >= 10%"
    assert (second.value, second.constant, second.price) == (0.2, 0.1, 132.0)
    assert second.previous == pytest.approx(0.05)
    assert "change_since_alert(110) >= 10%: now +20%, before +5%." in alert_text(second, now=second.at).body


def test_why_counts_from_there_too() -> None:
    story = Story(UP)
    story.see(100, 110, 115.5)
    mine = story.rules["mine"]
    assert mine is not None
    found = why(story.watcher.engine, mine, "a/usd")
    assert (found.state, found.text) == ("waiting", "change_since_alert(110) >= 10%")
    assert [side.left for side in found.parts] == [pytest.approx(0.05)]
    assert "change_since_alert(110) is 5% and must rise to 10%" in say_why(found)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (UP, "When a/usd rises by 10% or more since its last alert (at first since 100), it tells you. "
             "Whenever it has come true, the change counts from the price at that moment."),
        ("change_since_alert(100) >= -10%", "It tells you again only after the change since its last alert"),
    ],
)  # fmt: skip
def test_it_is_said_in_words(when: str, words: str) -> None:
    assert words in say(RuleSpec(name="n", pairs=("a/usd",), when=when))


def test_a_cooldown_is_said_beside_it() -> None:
    said = say(RuleSpec(name="n", pairs=("all",), when=UP, cooldown="1h"))
    assert said.endswith("at that moment. It tells you at most once in 1h for each pair.")


@pytest.mark.parametrize(
    ("when", "column"),
    [
        ("change_since_alert(100) - 1% > 5%", 1),
        ("change_since_alert(100) > change(1h)", 1),
        ("change(1h) > change_since_alert(100)", 14),
        ("price > 5 and -change_since_alert(100) > 5%", 15),
        ("abs(change_since_alert(100)) crosses above 5%", 1),
        ("max(change_since_alert(100), change(1h)) > 5%", 1),
    ],
)
def test_it_stands_alone_before_a_percentage(when: str, column: int) -> None:
    with pytest.raises(ConditionError) as error:
        parse(when)
    assert error.value.column == column


def test_the_constant_may_stand_on_the_left() -> None:
    assert fires("10% <= change_since_alert(100)", [100, 110, 121]) == [1, 2]
    assert fires("not (abs(change_since_alert(100)) < 10%)", [100, 110, 121, 105]) == [1, 2, 3]


# --- the same numbers everywhere -------------------------------------------------------------------

_PRICES = st.floats(1e-9, 1e9)


@given(_PRICES, st.floats(-0.9999, 1e6), st.integers(-3, 3))
@example(60_000.0, 0.1, 0)
@example(1.0, -1.0, 0)
@example(1.0, -0.9999999999999999, 0)
def test_the_price_it_compares_with_decides_as_the_change_does_to_the_last_bit(
    since: float, change: float, away: int
) -> None:
    least = least_price(since, change)
    bits = struct.unpack(">q", struct.pack(">d", least))[0] + away
    price = struct.unpack(">d", struct.pack(">q", max(0, bits)))[0]
    assert (price >= least) == ((price - since) / since >= change)


@pytest.mark.parametrize(
    ("since", "change", "price"),
    [(100.0, 0.0, 100.0), (50.0, 1.0, 100.0), (100.0, -0.5, 50.0), (100.0, 0.25, 125.0), (8.0, -1.0, 0.0)],
)
def test_a_price_that_is_exactly_so_far_away_is_far_enough(since: float, change: float, price: float) -> None:
    assert least_price(since, change) == price


@pytest.mark.parametrize("change", [-0.9999999999999999, -0.99999999999999, -0.999999, -0.1, 0.1, 1e6])
@pytest.mark.parametrize("since", [1.0, 3e-9, 60_000.0])
def test_the_next_lower_price_is_not_far_enough(since: float, change: float) -> None:
    least = least_price(since, change)
    assert (least - since) / since >= change
    assert (math.nextafter(least, -math.inf) - since) / since < change


@pytest.mark.parametrize(
    ("op", "ways"),
    [
        (">", "change_since_alert(5) > 10% or change_since_alert(5) < -10%"),
        (">=", "change_since_alert(5) >= 10% or change_since_alert(5) <= -10%"),
        ("<", "change_since_alert(5) < 10% and change_since_alert(5) > -10%"),
        ("<=", "change_since_alert(5) <= 10% and change_since_alert(5) >= -10%"),
    ],
)
def test_as_far_in_one_way_or_the_other_is_two_comparisons(op: Operator, ways: str) -> None:
    comparison = parse(f"abs(change_since_alert(5)) {op} 10%")
    assert isinstance(comparison, Comparison)
    assert str(both_ways(comparison)) == ways
    other = Comparison(op, Call("price"), Number(5.0))
    assert both_ways(other) is other


def test_no_price_is_beyond_what_cannot_be_reached() -> None:
    assert least_price(100.0, math.inf) == math.inf
    assert least_price(100.0, -2.0) == 0.0


RULES: tuple[tuple[str, dict[str, object]], ...] = (
    (UP, {}),
    (BOTH, {"cooldown": "10m"}),
    ("abs(change_since_alert(100)) >= 2%", {"for": "3m"}),
    ("change_since_alert(100) <= -3% or change_since_alert(105) > 4%", {"rearm": "1%"}),
    ("change_since_alert(100) crosses above 2% and change(1m) > 0%", {}),
    ("change_since_alert(100) >= -1%", {"fire_if_already_true": True}),
    ("abs(change_since_alert(100)) >= 0.5%", {}),
)


def test_a_replay_gives_what_stepping_gives() -> None:
    random = np.random.default_rng(7)
    rows = np.arange(600)
    prices = 100 * np.exp(0.3 * np.sin(rows / 30) + random.normal(0, 0.005, 600))
    story = Story("price < 0.1")
    for number, (when, more) in enumerate(RULES):
        story.rule(f"rule {number}", when=when, **more)
    found = story.see(*prices.tolist())
    batch = TickBatch(
        source="test",
        pairs=("a/usd",),
        pair=np.zeros(len(prices), np.int64),
        price=prices,
        volume=np.full(len(prices), np.nan),
        market_cap=np.full(len(prices), np.nan),
        observed_at=BEGIN + (rows + 1) * MINUTE,
        starts=rows,
        received_at=0,
        valid_for=5 * MINUTE,
    )
    replayed = run_series([rule for rule in story.rules.values() if rule is not None], batch)
    assert [told(alert) for alert in replayed] == [told(alert) for alert in found]
    assert min(Counter(alert.rule for alert in found).values()) > 1
    assert len({alert.rule for alert in found}) == len(RULES)


def told(alert: Alert) -> tuple[object, ...]:
    return alert.id, alert.condition, alert.value, alert.previous, alert.parts, alert.suppressed
