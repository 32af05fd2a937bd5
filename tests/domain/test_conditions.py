"""When rules of several comparisons fire, told as stories; and those that time alone makes fire."""

from __future__ import annotations

import math
from math import nan

import pytest

from cryptowatcher.domain.alerts import Part
from cryptowatcher.domain.records import Beat, ClockStep, Verdict
from cryptowatcher.domain.ticks import one_instant
from tests.domain.journals import BEGIN, MINUTE
from tests.domain.test_lifecycle import HOUR, Story, fires

# --- and, or, not ----------------------------------------------------------------------------------


def test_and_fires_where_the_last_of_its_parts_turns_true() -> None:
    assert fires("price >= 100 and change(1m) > 0%", [90, 110, 110, 120, 130]) == [1, 3]
    assert fires("price >= 100 and price < 105", [90, 110, 103, 104, 110, 101]) == [2, 5]


def test_or_fires_once_while_one_of_its_parts_is_true() -> None:
    assert fires("price >= 110 or price <= 90", [100, 110, 120, 100, 90, 80, 120], rearm="0%") == [1, 4]


def test_not_turns_a_comparison_around() -> None:
    assert fires("not price < 100", [90, 100, 90, 100]) == [1, 3]
    assert fires("not (price < 100 or price > 110)", [90, 120, 105, 99, 100]) == [2, 4]


def test_two_numbers_are_compared_by_their_ratio_so_that_a_band_means_something() -> None:
    story = Story("market_cap > 1.5 * price", rearm="50%")
    assert not story.see(2, cap=2)
    (alert,) = story.see(2, cap=4)
    assert (alert.value, alert.constant, alert.previous) == (2.0, 1.5, 1.0)
    story.see(2, cap=2)
    assert story.state() == "inside", "1 is not below 0.75"
    story.see(2, cap=1)
    assert story.state() == "at rest"


def test_numbers_that_can_be_negative_are_compared_by_their_difference() -> None:
    story = Story("change(1m) > change(2m)")
    story.see(100, 100, 90)
    (alert,) = story.see(90)
    assert (alert.value, alert.constant, alert.previous) == (0.1, 0.0, 0.0)


def test_a_number_below_nothing_is_no_measure_for_another() -> None:
    """A quotient would turn the comparison round."""
    story = Story("change(1m) > -2 * range(2m)", fire_if_already_true=True)
    (alert,) = story.see(100, 80, 100)
    assert (alert.value, alert.constant) == (0.25 + 2 * 0.25, 0.0)


def test_a_constant_beside_a_number_belongs_to_the_other_constant() -> None:
    story = Story("price - 100 > 0", rearm="1%")
    story.see(90)
    (alert,) = story.see(101)
    assert (alert.value, alert.constant, alert.previous) == (101.0, 100.0, 90.0)
    assert not story.see(99.5, 101), "within the band of 100"
    assert len(story.see(98.9, 101)) == 1
    assert fires("price + 5 >= 105", [99, 100]) == [1]


def test_what_is_divided_by_nothing_is_unknown() -> None:
    assert fires("change(1m) / range(2m) > 0.5", [100, 100, 100, 110], fire_if_already_true=True) == [3]


# --- crossings -------------------------------------------------------------------------------------


def test_a_crossing_beside_another_condition_is_the_moment_and_not_the_side() -> None:
    when = "price crosses above 100 and market_cap > 5"
    story = Story(when)
    story.see(90, cap=1)
    assert not story.see(110, cap=1), "it crosses while the other is not true"
    assert not story.see(110, cap=9), "the other turns true, but nothing crosses"
    story.see(90, cap=9)
    assert len(story.see(110, cap=9)) == 1


def test_two_crossings_at_one_observation_meet() -> None:
    assert fires("price crosses above 100 and change(1m) crosses above 5%", [99, 99, 101, 99, 110]) == [4]


def test_a_crossing_is_seen_across_a_restart_and_against_what_was_known_last() -> None:
    story = Story("market_cap crosses above 5 and price > 1")
    story.see(10, cap=1)
    story.see(10, 10)
    story.restart()
    assert [alert.previous for alert in story.see(10, cap=9)] == [1.0]


def test_what_crossed_before_there_was_the_rule_is_no_crossing_of_it() -> None:
    story = Story("price > 1000")
    story.rule("watching", when="market_cap > 50")
    story.see(90, cap=1)
    story.rule("late", when="price >= 80 and market_cap crosses above 5")
    story.see(70)
    assert not story.see(90, cap=9), "it never saw the cap below 5"
    story.see(70, cap=1)
    assert [alert.rule for alert in story.see(90, cap=9)] == ["late"]


# --- unknown ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "armed"),
    [
        ("price >= 100 and market_cap > 5", True),
        ("price < 100 and market_cap > 5", False),
        ("price >= 100 or market_cap > 5", False),
        ("not (price < 100 or market_cap > 5)", True),
    ],
)
def test_one_part_decides_where_the_other_is_unknown_only_if_that_is_enough(when: str, armed: bool) -> None:
    story = Story(when)
    story.see(90)
    assert story.state() == ("at rest" if armed else "unarmed")


def test_a_part_that_becomes_unknown_does_not_resolve() -> None:
    story = Story("price >= 100 and market_cap > 5")
    story.see(90, cap=9)
    assert len(story.see(110, cap=9)) == 1
    assert not story.see(110, 110)
    assert story.state() == "inside"
    assert not story.see(110, cap=9), "known again, and still true"
    story.see(110, cap=1)
    assert story.state() == "at rest"


def test_what_moved_while_the_rest_was_unknown_counts_when_that_is_known_again() -> None:
    story = Story("price >= 100 and market_cap > 5")
    story.see(90, cap=9)
    assert not story.see(110)
    (alert,) = story.see(110, cap=9)
    assert alert.parts == (Part("price >= 100", 110.0, 100.0), Part("market_cap > 5", 9.0, 5.0))


def test_for_does_not_count_time_at_whose_ends_it_was_not_known() -> None:
    story = Story("price >= 100 and market_cap > 5", **{"for": "3m"})
    story.see(90, cap=9)
    story.see(110, 110, cap=9)  # a minute
    story.see(110)
    assert not story.see(110, 110, cap=9), "another, and two that do not count"
    assert story.state() == "pending"
    assert len(story.see(110, cap=9)) == 1


def test_a_rule_needs_nine_tenths_of_its_window() -> None:
    story = Story("drawdown(20m) >= 10%", fire_if_already_true=True)
    story.see(*[100.0] * 20)
    assert not story.see(80, every=6 * MINUTE)
    assert story.state() == "unarmed", "nobody knows how high the price was in those six minutes"
    assert [alert.kind for alert in story.see(*[80.0] * 25)] == []
    assert story.state() == "at rest"


# --- re-arm ----------------------------------------------------------------------------------------


def test_the_whole_must_be_false_with_every_constant_a_band_further_back() -> None:
    story = Story("price >= 100 and price <= 110", rearm="5%")
    story.see(90)
    assert len(story.see(105)) == 1
    assert not story.see(112, 105), "within the band above"
    assert not story.see(96, 105), "within the band below"
    assert len(story.see(94, 105)) == 1
    assert len(story.see(116, 105)) == 1


def test_an_or_is_over_when_both_of_its_parts_are() -> None:
    story = Story("price >= 100 or market_cap > 5", rearm="0%")
    story.see(90, cap=1)
    assert len(story.see(110, cap=9)) == 1
    story.see(90, cap=9)
    assert story.state() == "inside"
    story.see(90)
    assert story.state() == "inside", "unknown does not resolve"
    story.see(90, cap=1)
    assert story.state() == "at rest"


# --- what an alert says ----------------------------------------------------------------------------


def test_an_alert_tells_all_parts_and_shows_the_first_that_is_true() -> None:
    story = Story("(price >= 200 or market_cap > 5 and price < 150) and (price > 1 or change(1d) > 5%)")
    story.see(90, cap=1)
    (alert,) = story.see(91, cap=9)
    assert (alert.value, alert.constant, alert.previous) == (9.0, 5.0, 1.0)
    assert alert.parts == (
        Part("price >= 200", 91.0, 200.0),
        Part("market_cap > 5", 9.0, 5.0),
        Part("price < 150", 91.0, 150.0),
        Part("price > 1", 91.0, 1.0),
        Part("change(1d) > 5%", None, 0.05),
    )


def test_an_alert_of_what_is_true_already_says_nothing_of_before() -> None:
    """Whether numbers of it were known before or not: the rule crossed nothing."""
    for prices in ((), (90.0,)):
        story = Story("price > 5 and market_cap > 5", fire_if_already_true=True)
        story.see(*prices)
        (alert,) = story.see(95, cap=9.0)
        assert (alert.kind, alert.previous, alert.gap_ms) == ("already", None, 0)


def test_the_gap_begins_where_what_was_known_was_known_last_though_another_number_never_was() -> None:
    story = Story("price >= 100 and market_cap > 5")
    story.see(90, 110)
    (alert,) = story.see(110, cap=9.0, every=HOUR)
    assert (alert.kind, alert.gap_ms) == ("gap", HOUR)


def test_an_alert_does_not_show_a_part_that_is_only_just_not_true() -> None:
    story = Story("price < 100 or market_cap > 5")
    story.see(100, cap=1.0)
    (alert,) = story.see(100, cap=9.0)
    assert (alert.value, alert.constant, alert.previous) == (9.0, 5.0, 1.0)


def test_a_database_gives_back_every_number_of_an_alert_as_it_was() -> None:
    """It has no 0 below 0."""
    story = Story("-change(1m) >= 0%", fire_if_already_true=True)
    (alert,) = story.see(100, 100)
    assert (alert.value, math.copysign(1, alert.value)) == (0.0, 1.0)
    story = Story("-change(1m) > 0% and price > 5")
    story.see(100, 100)
    (alert,) = story.see(99)
    assert alert.previous is not None
    assert (alert.previous, math.copysign(1, alert.previous)) == (0.0, 1.0)
    story = Story("price > 5 and -change(1m) < 1%", fire_if_already_true=True)
    (alert,) = story.see(100, 100)
    assert alert.parts[1].value is not None
    assert (alert.parts[1].value, math.copysign(1, alert.parts[1].value)) == (0.0, 1.0)


def test_an_alert_of_one_comparison_has_no_parts() -> None:
    for when in ("price >= 100", "not price < 100"):
        story = Story(when)
        story.see(90)
        assert [alert.parts for alert in story.see(110)] == [()]


def test_an_alert_says_how_many_a_cooldown_held_back_before_it() -> None:
    story = Story("price >= 100", cooldown="10m")
    assert [alert.suppressed for alert in story.see(*[90, 110] * 12)] == [0, 4, 4]


def test_the_gap_of_several_numbers_begins_where_the_first_of_them_was_lost() -> None:
    story = Story("price >= 100 and market_cap > 5")
    story.see(110, cap=1)
    lost = story.time
    story.see(*[110.0] * 7)
    (alert,) = story.see(110, cap=9)
    assert (alert.kind, alert.event_time, alert.gap_ms) == ("gap", lost, 8 * MINUTE)


def test_a_number_that_was_lost_makes_no_gap_where_the_others_say_that_the_condition_failed() -> None:
    story = Story("price >= 100 and market_cap > 5")
    story.see(90, cap=9)
    story.see(*[90.0] * 700)
    (alert,) = story.see(110, cap=9)
    assert (alert.kind, alert.event_time, alert.gap_ms) == ("edge", story.time, 0)


def test_what_was_never_known_neither_makes_a_gap_nor_hides_one() -> None:
    for every, kind in ((MINUTE, "edge"), (HOUR, "gap")):
        story = Story("price >= 100 and market_cap > 5")
        story.see(90)
        assert [alert.kind for alert in story.see(110, cap=9, every=every)] == [kind]


def test_no_two_alerts_are_the_same_event_however_long_a_number_is_missing() -> None:
    story = Story("price >= 100 and (price >= 99 or market_cap > 1)")
    story.see(90, cap=5)
    story.see(*[90.0] * 7)
    alerts = story.see(110, 90, 110, 90, 110)
    assert [alert.kind for alert in alerts] == ["edge", "edge", "edge"]
    assert len({alert.id for alert in alerts}) == 3


# --- what a rule knows -----------------------------------------------------------------------------


@pytest.mark.parametrize("watched", [False, True])
def test_a_resumed_rule_knows_nothing_of_before_whoever_else_looked(watched: bool) -> None:
    story = Story("price >= 100 and market_cap > 1")
    if watched:
        story.rule("other", when="market_cap > 50")
    story.see(90, cap=5)
    story.rule(paused=True)
    story.see(90, cap=5)
    story.rule(paused=False)
    story.see(*[90.0] * 7)
    assert [alert.kind for alert in story.see(110, cap=5)] == ["edge"]


def test_rules_that_looked_at_a_pair_that_begins_anew_wait_again_and_forget_the_lie() -> None:
    story = Story("price >= 100 and ratio(b/usd) > 1")
    story.see(10_000, pair="b/usd")
    story.see(90)
    assert story.state() == "at rest"
    story.time += MINUTE
    true = one_instant({"b/usd": 50.0}, observed_at=story.time)
    story.record(Verdict(true, accepted=True, evidence="", anew=True), at=story.time)
    assert story.state() == "unarmed"
    story.see(*[90.0] * 7)
    story.see(50, pair="b/usd")
    (alert,) = story.see(110)
    assert (alert.kind, alert.parts[1].value) == ("edge", 2.2), "the ratio to the lie was never known"


def anew(story: Story, pair: str, price: float) -> None:
    """What was seen of this pair was wrong; this is its price."""
    story.time += MINUTE
    batch = one_instant({pair: price}, observed_at=story.time)
    assert not story.record(Verdict(batch, accepted=True, evidence="", anew=True), at=story.time)


def test_a_rule_whose_other_pairs_were_seen_rightly_goes_on_there() -> None:
    story = Story(pairs=["a/usd", "b/usd"])
    for pair in ("a/usd", "b/usd"):
        story.see(90, pair=pair)
    anew(story, "a/usd", 110)
    assert len(story.see(110, pair="b/usd")) == 1
    assert not story.see(120, pair="a/usd")


def test_a_pair_may_begin_anew_that_was_never_seen() -> None:
    story = Story(pairs=["all"])
    story.see(90)
    anew(story, "b/usd", 90)
    assert len(story.see(110, pair="b/usd")) == 1


def test_a_rule_that_is_done_stays_done_when_a_pair_begins_anew() -> None:
    story = Story("price >= 100", repeat="once")
    story.see(90, 110)
    anew = one_instant({"a/usd": 90.0}, observed_at=story.time + 1)
    story.record(Verdict(anew, accepted=True, evidence="", anew=True), at=story.time + 1)
    assert not story.see(90, 110)
    assert story.state() == "done"


@pytest.mark.parametrize(("end", "fired"), [("00:01", 0), ("00:02", 0), ("00:03", 1)])
def test_from_its_end_on_by_the_time_of_the_source_a_rule_does_not_move(end: str, fired: int) -> None:
    story = Story("price >= 100", expires=f"2024-08-05T{end}Z")
    assert BEGIN % (24 * HOUR) == 0
    story.see(90)
    assert len(story.see(110)) == fired
    assert not story.see(90, 110)
    assert story.state() == ("inside" if fired else "unarmed" if end == "00:01" else "at rest")


@pytest.mark.parametrize("before", [[90, 110], [90], []])
@pytest.mark.parametrize("while_over", [[90], [110]])
def test_a_rule_that_is_renewed_after_its_end_only_arms_and_then_fires(
    before: list[float], while_over: list[float]
) -> None:
    for first in (90, 110):
        story = Story("price >= 100", expires="2024-08-05T00:03Z")
        story.see(*before)
        story.time = BEGIN + 3 * MINUTE
        assert not story.see(*while_over), "it is over"
        story.rule(expires="2025-01-01")
        assert not story.see(first), "nobody looked when it crossed"
        assert len(story.see(*([] if first == 90 else [90]), 110)) == 1


# --- time alone ------------------------------------------------------------------------------------


def beats(story: Story, minutes: int) -> list[int]:
    """A record a minute in which nothing is observed: at which of them a rule fires."""
    return [minute for minute in range(1, minutes + 1) if story.record(Beat(), at=story.time + minute * MINUTE)]


def test_silence_fires_without_an_observation_and_once() -> None:
    story = Story("age > 5m")
    story.see(90)
    assert beats(story, 10) == [6]
    story.time += 10 * MINUTE
    assert not story.see(90), "it is back"
    assert story.state() == "at rest"
    assert beats(story, 10) == [6]


def test_the_alert_of_a_silence_is_of_the_last_observation() -> None:
    story = Story("age >= 5m")
    story.see(90)
    (alert,) = story.record(Beat(), at=story.time + 7 * MINUTE)
    assert (alert.kind, alert.event_time, alert.at) == ("edge", story.time, story.time + 7 * MINUTE)
    assert (alert.value, alert.constant, alert.price) == (7.0 * MINUTE, 5.0 * MINUTE, 90.0)


def test_a_rule_on_silence_that_comes_after_the_last_observation_fires_too() -> None:
    story = Story("price > 1000")
    story.see(90)
    story.rule("silence", when="age > 5m")
    story.rule("both", when="age > 7m and price < 100")
    assert beats(story, 10) == [6, 8]


def test_a_pair_that_was_never_seen_is_not_silent() -> None:
    assert beats(Story("age > 5m"), 10) == []


def test_a_silence_survives_restarts() -> None:
    story = Story("age > 5m")
    story.see(90)
    fired = []
    for minute in range(1, 11):
        story.restart()
        fired += [minute] * len(story.record(Beat(), at=story.time + minute * MINUTE))
    assert fired == [6]


def test_a_clock_that_is_put_forward_makes_nobody_silent() -> None:
    story = Story("age > 5m")
    story.see(90)
    assert not story.record(ClockStep(HOUR), at=story.time + HOUR)
    story.time += HOUR
    assert beats(story, 7) == [6]


def test_an_unknown_cap_says_nothing_about_silence() -> None:
    story = Story("age > 5m and market_cap > 5")
    story.see(90, cap=nan)
    assert beats(story, 10) == []


def test_a_clock_that_is_put_forward_makes_nobody_seen() -> None:
    story = Story("age > 5m", fire_if_already_true=True)
    story.record(ClockStep(MINUTE), at=BEGIN + MINUTE)
    assert not story.record(Beat(), at=BEGIN + HOUR)
    assert story.state() == "unarmed"


def test_a_clock_that_is_put_back_makes_nobody_silent() -> None:
    story = Story("age > 5m")
    story.see(90)
    assert not story.record(ClockStep(-HOUR), at=story.time + 1_000)
    assert beats(story, 7) == [6]


def test_a_clock_that_is_right_again_after_it_was_ahead_hides_no_silence() -> None:
    """The journal's time stays ahead, and goes on from there."""
    story = Story("age > 5m")
    story.see(90)
    for step, passed in ((HOUR, HOUR), (-HOUR, 0), (HOUR, 0)):
        story.time += passed
        assert not story.record(ClockStep(step), at=story.time)
    assert beats(story, 7) == [6]


def test_a_clock_step_that_is_told_late_hides_no_silence_of_what_was_seen_after_it() -> None:
    story = Story("age > 5m")
    story.time += HOUR
    story.see(90)
    story.record(ClockStep(HOUR), at=story.time + 1_000)
    assert beats(story, 7) == [6]


def test_a_silence_is_told_once_whatever_the_clock_does() -> None:
    """An age shrinks by a newer observation alone: a rule that fired for one does not begin again by a clock."""
    story = Story("age > 5m", resolved=True)
    story.see(90)
    assert beats(story, 7) == [6]
    story.time += 7 * MINUTE
    for step in (HOUR, -HOUR, HOUR):
        assert not story.record(ClockStep(step), at=story.time)
    assert beats(story, 30) == []
    story.time += 30 * MINUTE
    (over,) = story.see(91)
    assert over.kind == "resolved"
