"""When a rule fires and when it does not, told as stories of one rule and a few prices."""

from __future__ import annotations

import math
from math import nan

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.checkpoints import encode
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.records import Body, Record, Ticks
from cryptowatcher.domain.rules.model import Firing, Lifecycle, Rule, RuleChange, RuleSpec, next_version
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import Watcher
from tests.domain.journals import BEGIN, MINUTE
from tests.domain.states import told
from tests.domain.test_engine import follow

HOUR = 60 * MINUTE


class Story:
    """A watcher, time that passes, and tables as a store would have them."""

    def __init__(self, when: str = "price >= 100", /, **spec: object) -> None:
        self.watcher = Watcher()
        self.seq = 0
        self.time = BEGIN
        self.changes: list[RuleChange] = []
        self.rules: dict[str, Rule | None] = {}
        self.rows: dict[tuple[str, str], Lifecycle] = {}
        self.firings: dict[tuple[str, str], Firing] = {}
        self.rule("mine", when=when, **spec)

    def rule(self, name: str = "mine", /, **spec: object) -> None:
        """Add a rule, or change these fields of it, from here on."""
        old = self.rules.get(name)
        fields = {"pairs": ["a/usd"], "when": "price >= 100"} if old is None else msgspec.to_builtins(old.spec)
        new = msgspec.convert({**fields, "name": name, **spec}, RuleSpec)
        self._change(name, Rule(id=name, owner="me", version=next_version(old, new), spec=new))

    def delete(self, name: str = "mine") -> None:
        """Delete it from here on."""
        self._change(name, None)

    def _change(self, name: str, rule: Rule | None) -> None:
        self.rules[name] = rule
        number = len(self.changes) + 1
        change = RuleChange(number=number, rule_id=name, owner="me", head=self.seq, saved_at=self.time, rule=rule)
        self.changes.append(change)
        self.watcher.take_up(change, self.seq)

    def see(
        self,
        *prices: float,
        every: int = MINUTE,
        pair: str = "a/usd",
        valid_for: int = 5 * MINUTE,
        cap: float = nan,
    ) -> list[Alert]:
        """These prices, one after another; the alerts."""
        found: list[Alert] = []
        for price in prices:
            self.time += every
            found += self.at(price, observed_at=self.time, pair=pair, valid_for=valid_for, cap=cap)
        return found

    def at(
        self,
        price: float,
        *,
        observed_at: int,
        at: int | None = None,
        pair: str = "a/usd",
        valid_for: int = 300_000,
        cap: float = nan,
    ) -> list[Alert]:
        """One price, at this time of the source and that of the journal."""
        batch = one_instant({pair: price}, observed_at=observed_at, valid_for=valid_for, market_cap=[cap])
        return self.record(Ticks(batch), at=observed_at if at is None else at)

    def record(self, body: Body, *, at: int) -> list[Alert]:
        """One record, written down at this time."""
        self.seq += 1
        self.watcher.step(Record(seq=self.seq, at=at, writer="w", number=self.seq, body=body))
        effects = self.watcher.effects()
        follow(effects, self.rows, self.firings)
        return [*effects.alerts]

    def restart(self) -> None:
        """The process dies and another takes over from the checkpoint."""
        self.watcher.effects()
        state = self.watcher.state()
        self.watcher = Watcher()
        self.watcher.restore(state)
        for change in self.changes:
            if change.head >= self.seq:
                self.watcher.take_up(change, change.head)

    def state(self, name: str = "mine", pair: str = "a/usd") -> str:
        """Where a rule stands, as the store has it."""
        row = self.rows.get((name, pair))
        return "at rest" if row is None else row.state


def fires(when: str, prices: list[float], **spec: object) -> list[int]:
    """At which of these prices, a minute apart, a rule fires."""
    story = Story(when, **spec)
    return [number for number, price in enumerate(prices) if story.see(price)]


# --- the edge --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "prices", "fired"),
    [
        ("price >= 100", [99, 100], [1]),
        ("price >= 100", [99, 99.99999999, 100, 101, 102], [2]),
        ("price > 100", [99, 100, 100.00000001], [2]),
        ("price <= 100", [101, 100], [1]),
        ("price < 100", [101, 100, 99.99999999], [2]),
        ("price crosses above 100", [99, 100], [1]),
        ("price crosses below 100", [101, 100], [1]),
        ("price >= 100", [101, 102, 103], []),
        ("price < 0.00000001", [0.00000002, 0.00000001, 0.000000009], [2]),
        ("price >= 100000000", [99_999_999.99, 100_000_000], [1]),
    ],
)
def test_a_rule_fires_where_its_condition_turns_true(when: str, prices: list[float], fired: list[int]) -> None:
    assert fires(when, prices) == fired


def test_the_first_observation_only_arms() -> None:
    story = Story("price >= 100")
    assert story.state() == "at rest"
    assert not story.see(150)
    assert story.state() == "inside"
    assert not story.see(160)
    assert not story.see(99)
    assert len(story.see(100)) == 1


def test_a_rule_that_asks_for_it_also_fires_when_it_is_already_true() -> None:
    story = Story("price >= 100", fire_if_already_true=True)
    (alert,) = story.see(150)
    assert (alert.kind, alert.previous, alert.gap_ms) == ("already", None, 0)
    assert not story.see(151)


def test_a_rule_added_later_arms_at_the_next_observation_and_not_by_what_was_seen_before() -> None:
    story = Story("price >= 1000")
    story.see(90)
    story.rule("late", when="price >= 100")
    assert not story.see(110), "it never saw the price below 100"
    assert not story.see(90)
    assert [alert.rule for alert in story.see(110)] == ["late"]


def test_a_spike_of_a_single_tick_fires() -> None:
    assert fires("price >= 100", [90, 150, 90]) == [1]


def test_a_rule_that_recurs_recurs() -> None:
    assert fires("price >= 100", [90, 110, 90, 110, 90, 110]) == [1, 3, 5]


def test_a_rule_on_falling_prices_fires_more_than_the_first_time() -> None:
    assert fires("price <= 100", [110, 90, 110, 90]) == [1, 3]


def test_once_means_once_for_each_pair() -> None:
    story = Story("price >= 100", repeat="once", pairs=["all"])
    first = story.see(90, 110, 90, 110, pair="a/usd")
    second = story.see(90, 110, 90, 110, pair="b/usd")
    assert [alert.pair for alert in (*first, *second)] == ["a/usd", "b/usd"]
    assert story.state() == "done"


def test_a_price_of_one_pair_says_nothing_about_another() -> None:
    story = Story("price >= 100")
    story.see(90)
    assert not story.see(500, pair="b/usd")
    assert story.state() == "at rest"
    assert len(story.see(100)) == 1


def test_two_rules_on_the_same_constant_have_each_their_own_memory() -> None:
    story = Story("price >= 100", cooldown="1h")
    story.rule("eager", when="price >= 100")
    story.rule("once", when="price >= 100", repeat="once")
    story.rule("patient", when="price >= 100", **{"for": "2m"})
    story.see(90)
    assert [alert.rule for alert in story.see(110)] == ["eager", "mine", "once"]
    assert not story.see(110)
    assert [alert.rule for alert in story.see(110)] == ["patient"]
    story.see(90)
    assert [alert.rule for alert in story.see(110)] == ["eager"]


def test_rules_on_all_pairs_only_arm_on_the_first_sight_of_a_pair_that_appears_later() -> None:
    story = Story("price >= 100", pairs=["all"])
    story.see(90, 110)
    assert not story.see(500, pair="new/usd")
    assert story.state(pair="new/usd") == "inside"
    story.see(90, pair="new/usd")
    assert [alert.pair for alert in story.see(100, pair="new/usd")] == ["new/usd"]


# --- event time ------------------------------------------------------------------------------------


def test_the_time_of_an_alert_is_the_time_of_the_source() -> None:
    story = Story()
    story.see(90)
    (alert,) = story.at(110, observed_at=BEGIN + 90_000, at=BEGIN + 200_000)
    assert (alert.event_time, alert.at) == (BEGIN + 90_000, BEGIN + 200_000)


@pytest.mark.parametrize("away", [0, -1, -60_000, -(10**9)])
def test_what_is_not_newer_than_what_is_known_is_passed_over(away: int) -> None:
    story = Story()
    story.see(90)
    assert not story.at(500, observed_at=story.time + away)
    assert story.state() == "at rest"
    (alert,) = story.see(110)
    assert alert.previous == 90


# --- gaps ------------------------------------------------------------------------------------------


def test_a_side_that_differs_after_a_gap_fires_once_and_says_so() -> None:
    story = Story()
    story.see(90, 91)
    seen_at = story.time
    (alert,) = story.see(110, every=37 * MINUTE)
    assert (alert.kind, alert.gap_ms, alert.event_time, alert.previous) == ("gap", 37 * MINUTE, seen_at, 91)
    assert alert.id == alert_id(rule="mine", version=1, pair="a/usd", kind="gap", event_time=seen_at)
    assert not story.see(111, 112)


def test_the_same_side_after_a_gap_is_no_event() -> None:
    story = Story()
    assert not story.see(90, 91)
    assert not story.see(92, every=37 * MINUTE)
    assert [alert.kind for alert in story.see(110)] == ["edge"]


@pytest.mark.parametrize(("away", "kind"), [(5 * MINUTE, "edge"), (5 * MINUTE + 1, "gap")])
def test_a_gap_begins_when_the_observation_before_is_no_longer_valid(away: int, kind: str) -> None:
    story = Story()
    story.see(90)
    assert [alert.kind for alert in story.see(110, every=away)] == [kind]


def test_how_long_an_observation_is_valid_is_its_own_matter_and_not_that_of_the_next() -> None:
    story = Story()
    story.see(90, valid_for=HOUR)
    assert [alert.kind for alert in story.see(110, every=30 * MINUTE, valid_for=1_000)] == ["edge"]
    assert not story.see(90)
    story.see(90, valid_for=1_000)
    assert [alert.kind for alert in story.see(110, every=30 * MINUTE, valid_for=HOUR)] == ["gap"]


# --- unknown ---------------------------------------------------------------------------------------


def test_a_window_is_not_compared_across_a_gap() -> None:
    story = Story("change(5m) <= -5%")
    assert not story.see(100, 100, 100, 100, 100, 100, 100)
    assert not story.see(50, every=3 * HOUR), "nobody knows what the price was five minutes before"
    assert story.state() == "at rest"


def test_a_window_that_is_younger_than_itself_is_unknown() -> None:
    story = Story("change(5m) <= -5%", fire_if_already_true=True)
    assert not story.see(100, 90, 80, 70, 60)
    assert story.state() == "unarmed"
    assert [alert.value for alert in story.see(50)] == [(50 - 100) / 100]


def test_unknown_does_not_resolve() -> None:
    story = Story("change(2m) <= -5%", repeat="every")
    story.see(100, 100, 100)
    assert len(story.see(90)) == 1
    story.see(80, every=3 * HOUR)  # unknown, twice
    story.see(79)
    assert story.state() == "inside"
    assert not story.see(70), "known again, and still down: nothing turned true"
    assert not story.see(70, 70), "now it is over"
    assert len(story.see(60)) == 1


def test_unknown_holds_a_rule_that_waits() -> None:
    story = Story("change(2m) <= -5%")
    story.see(100, 100, 100, 100)
    assert story.state() == "at rest"
    story.see(90, every=3 * HOUR)
    story.see(90)
    (alert,) = story.see(80)
    assert alert.kind == "gap", "it crossed after a stretch in which the change was not known"


def test_a_move_across_any_inner_boundary_of_the_window_fires() -> None:
    for start in range(0, 24 * HOUR, 3 * HOUR):
        story = Story("change(1h) <= -5%")
        story.time = BEGIN + start - 30 * MINUTE
        assert not story.see(*[100.0] * 61)
        assert not story.see(*[96.0] * 30)
        assert len(story.see(95)) == 1


# --- for -------------------------------------------------------------------------------------------


def test_for_fires_at_the_first_observation_at_which_it_has_held_long_enough() -> None:
    assert fires("price >= 100", [90, 110, 110, 110, 110], **{"for": "2m"}) == [3]
    assert fires("price >= 100", [90, 110, 110, 110, 110], **{"for": "121s"}) == [4]


def test_for_begins_again_when_the_condition_breaks() -> None:
    assert fires("price >= 100", [90, 110, 110, 99.99, 110, 110, 110], **{"for": "2m"}) == [6]


def test_time_that_was_not_observed_does_not_count_for_for() -> None:
    story = Story("price >= 100", **{"for": "5m"})
    story.see(90, 110)
    assert not story.see(110, every=6 * MINUTE), "true before and after, but nobody looked in between"
    assert story.state() == "pending"
    assert not story.see(110, 110, 110, 110)
    (alert,) = story.see(110)
    assert (alert.kind, alert.gap_ms) == ("edge", 0)


def test_for_also_holds_for_what_is_already_true() -> None:
    assert fires("price >= 100", [110, 110, 110], fire_if_already_true=True, **{"for": "2m"}) == [2]


def test_waiting_survives_a_restart() -> None:
    story = Story("price >= 100", **{"for": "3m"})
    story.see(90, 110, 110)
    story.restart()
    assert not story.see(110)
    story.restart()
    assert len(story.see(110)) == 1


# --- re-arm ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "rearm", "prices", "fired"),
    [
        ("price >= 100", "0%", [90, 100, 99.9999, 100, 99.9999, 100], [1, 3, 5]),
        ("price >= 100", "1%", [90, 100, 99.5, 100, 99.0, 100, 98.9, 100], [1, 7]),
        ("price <= 100", "1%", [110, 100, 100.5, 100, 101.0, 100, 101.1, 100], [1, 7]),
        ("price >= 100", "0.1%", [90, 100, 99.95, 100, 99.89, 100], [1, 5]),
        ("price >= 100", "50%", [90, 100, 51, 100, 49, 100], [1, 5]),
        # At the very edge of the band a strict comparison is over, and one that is not is not.
        ("price > 100", "1%", [90, 101, 99, 101], [1, 3]),
        ("price < 100", "1%", [110, 99, 101, 99], [1, 3]),
        ("price < 100", "1%", [110, 99, math.nextafter(101, 0), 99], [1]),
        ("price <= 100", "1%", [110, 99, 101, 99], [1]),
        ("price <= 100", "1%", [110, 99, math.nextafter(101, 200), 99], [1, 3]),
    ],
)
def test_a_rule_fires_again_only_after_the_price_went_back_by_the_band(
    when: str, rearm: str, prices: list[float], fired: list[int]
) -> None:
    assert fires(when, prices, rearm=rearm) == fired


# --- cooldown --------------------------------------------------------------------------------------


def test_a_cooldown_lets_one_alert_an_hour_through_and_counts_the_rest() -> None:
    story, hours = Story("price >= 100", cooldown="1h"), []
    for minute in range(180):
        alerts = story.see(90 if minute % 2 == 0 else 110)
        hours += [(alert.at - BEGIN) // HOUR for alert in alerts]
        if minute == 58:
            assert story.firings["mine", "a/usd"].suppressed == 28
    assert hours == [0, 1, 2], "what is held back does not prolong the cooldown"
    assert story.firings["mine", "a/usd"].fired == 3


@pytest.mark.parametrize(("later", "count"), [(HOUR - 1, 0), (HOUR, 1)])
def test_a_cooldown_ends_to_the_millisecond_by_the_time_of_the_source(later: int, count: int) -> None:
    """A wall clock that was a year ahead for a moment keeps the journal's time there, and silences nothing."""
    story, year = Story("price >= 100", cooldown="1h"), BEGIN + 365 * 24 * HOUR
    story.see(90)
    first = BEGIN + 2 * MINUTE
    assert len(story.at(110, observed_at=first, at=year)) == 1
    story.at(90, observed_at=first + MINUTE, at=year)
    assert len(story.at(110, observed_at=first + later, at=year)) == count


def test_of_a_firing_is_kept_when_it_was_and_how_often() -> None:
    story = Story()
    story.see(90, 110, 90, 110)
    at = BEGIN + 4 * MINUTE
    assert story.firings["mine", "a/usd"] == Firing(
        rule="mine",
        pair="a/usd",
        last_fired_at=at,
        fired=2,
        suppressed=0,
        busy_until=at + 2 * MINUTE,  # two minutes for each alert, and the first one's had passed
        price=0.0,
        version=0,
    )


def test_a_cooldown_survives_a_restart_and_an_edit() -> None:
    story = Story("price >= 100", cooldown="1h")
    story.see(90, 110)
    story.restart()
    assert not story.see(90, 110)
    story.rule(when="price >= 101")
    assert not story.see(90, 110)
    story.rule(paused=True)
    story.see(90)
    story.rule(paused=False)
    assert not story.see(90, 110)
    assert story.firings["mine", "a/usd"].suppressed == 3


def test_a_cooldown_of_one_pair_does_not_silence_another() -> None:
    story = Story("price >= 100", cooldown="1h", pairs=["all"])
    story.see(90, 110, pair="a/usd")
    assert len(story.see(90, 110, pair="b/usd")) == 1


# --- changes of rules ------------------------------------------------------------------------------


def test_a_new_version_only_arms_and_forgets_where_the_old_one_stood() -> None:
    for change in ({"when": "price >= 105"}, {"rearm": "2%"}, {"for": "0ms"}, {"pairs": ["a/usd", "b/usd"]}):
        story = Story("price >= 100")
        story.see(90)
        story.rule(**change)
        assert not story.see(110), "its first observation"
        assert not story.see(90)
        (alert,) = story.see(110)
        assert alert.version == 2


def test_an_edit_of_words_and_channels_keeps_where_the_rule_stands() -> None:
    story = Story("price >= 100")
    story.see(90)
    story.rule(advice="buy", channels=["ops"], cooldown="1m")
    (alert,) = story.see(110)
    assert (alert.version, alert.advice, alert.channels) == (1, "buy", ("ops",))


def test_a_paused_rule_does_not_fire_and_a_resumed_one_only_arms() -> None:
    story = Story("price >= 100")
    story.see(90)
    story.rule(paused=True)
    assert not story.see(110, 90)
    story.rule(paused=False)
    assert not story.see(110)
    assert not story.see(90)
    assert len(story.see(110)) == 1


def test_a_deleted_rule_is_gone_and_comes_back_as_a_new_one() -> None:
    story = Story("price >= 100")
    story.see(90)
    story.delete()
    assert not story.see(110, 90)
    assert story.state() == "at rest"
    story.rule()
    assert not story.see(110)
    story.see(90)
    assert len(story.see(110)) == 1


def test_the_canary_is_no_pair_of_theirs_for_rules_on_all() -> None:
    story = Story(pairs=["all"], fire_if_already_true=True)
    assert not story.see(90, 110, 90, 110, pair=CANARY)
    assert [alert.pair for alert in story.see(110)] == ["a/usd"]


def test_that_a_rule_stands_elsewhere_is_urgent_though_nothing_is_told() -> None:
    story = Story()
    story.see(90)
    story.at(91, observed_at=story.time + 1)
    assert not story.watcher.urgent
    story.watcher.step(
        Record(9, story.time, "w", 9, Ticks(one_instant({"a/usd": 92.0}, observed_at=story.time + 2)))
    )
    assert not story.watcher.urgent, "a price alone can wait"
    again = Story(**{"for": "5m"})
    again.see(90)
    batch = one_instant({"a/usd": 110.0}, observed_at=again.time + MINUTE)
    again.watcher.step(Record(9, again.time, "w", 9, Ticks(batch)))
    assert again.watcher.urgent


def test_why_a_rule_is_not_understood_is_told_and_the_others_go_on() -> None:
    story = Story("nonsense > 1")
    story.rule("other")
    assert [alert.rule for alert in story.see(90, 110)] == ["other"]
    ((rule, why),) = story.watcher.engine.misread.items()
    assert rule == "mine"
    assert "nonsense" in why
    story.restart()
    assert list(story.watcher.engine.misread) == ["mine"]
    story.rule(when="price >= 100")
    assert [alert.rule for alert in story.see(90, 110)] == ["mine", "other"]
    assert not story.watcher.engine.state().unreadable


def test_a_rule_that_was_not_understood_and_is_gone_is_not_kept() -> None:
    story = Story("nonsense > 1")
    story.see(90)
    assert len(story.watcher.engine.state().unreadable) == 1
    story.delete()
    story.see(90)
    assert not story.watcher.engine.state().unreadable


def test_the_numbers_that_rules_look_at_are_told_with_their_pairs() -> None:
    story = Story("price > 5 and change(1m) > 1%", pairs=["b/usd", "a/usd"])
    story.rule("every", when="price > 7", pairs=["all"])
    story.see(90)
    looks = [(str(number), pairs) for number, pairs in story.watcher.engine.looks()]
    assert ("price", None) in looks, "by the rule on all"
    assert {number: sorted(pairs) for number, pairs in looks if pairs is not None} == {
        "price": ["a/usd", "b/usd"],
        "change(1m)": ["a/usd", "b/usd"],
    }
    assert [number for number, pairs in looks if pairs is None] == ["price"]


def test_a_rule_that_was_deleted_leaves_no_work_behind() -> None:
    with_it, without = Story("price >= 100"), Story("price >= 100")
    for story in (with_it, without):
        story.see(90)
        if story is with_it:
            story.rule("short", when="change(1m) >= 900%", pairs=["all"])
        story.see(91, 92)
        if story is with_it:
            story.delete("short")
        story.see(93)
    states = [encode(told(story.watcher.engine.state())) for story in (with_it, without)]
    assert states[0] == states[1]


def test_deleting_one_rule_leaves_its_neighbours_on_the_same_constant_alone() -> None:
    story = Story("price >= 100")
    story.rule("other", when="price >= 100")
    story.see(90)
    story.delete()
    assert [alert.rule for alert in story.see(110)] == ["other"]


def test_a_rule_that_is_done_stays_done_over_pause_edit_and_restart() -> None:
    story = Story("price >= 100", repeat="once")
    story.see(90, 110)
    story.rule(paused=True)
    story.rule(paused=False, cooldown="1m")
    story.restart()
    assert not story.see(90, 110)
    assert story.state() == "done"


def test_a_rule_that_is_done_and_edited_in_place_stays_done() -> None:
    story = Story(repeat="once")
    story.see(90, 110)
    story.rule(cooldown="1m")
    assert not story.see(90, 110)
    assert story.state() == "done"


def test_a_rule_that_was_done_is_at_rest_when_it_becomes_one_for_every_time_while_paused() -> None:
    story = Story(repeat="once")
    story.see(90, 110)
    story.rule(paused=True)
    story.see(90)
    story.rule(repeat="every")
    story.see(90)
    assert story.state() == "at rest"
    story.rule(paused=False)
    assert len(story.see(90, 110)) == 1


def test_rules_that_come_together_and_are_edited_at_once_are_all_there() -> None:
    story = Story()
    story.rule("other")
    story.rule(cooldown="1m")
    assert [alert.rule for alert in story.see(90, 110)] == ["mine", "other"]


def test_a_rule_that_is_done_begins_again_when_it_shall_fire_every_time() -> None:
    for pausing in (False, True):
        story = Story("price >= 100", repeat="once")
        story.see(90, 110, 90)
        story.rule(repeat="every", paused=pausing)
        story.see(90)
        story.rule(paused=False)
        assert not story.see(90)
        assert len(story.see(110)) == 1


def test_a_rule_that_is_done_fires_again_in_a_new_version() -> None:
    story = Story("price >= 100", repeat="once")
    story.see(90, 110)
    story.rule(when="price >= 101")
    assert len(story.see(90, 110)) == 1


# --- restarts --------------------------------------------------------------------------------------


def test_a_restart_at_any_place_neither_loses_nor_doubles_nor_invents() -> None:
    prices = [90, 110, 110, 90, 110, 99.95, 110, 90, 110]
    for restart in range(len(prices)):
        story, fired = Story("price >= 100"), []
        for number, price in enumerate(prices):
            if number == restart:
                story.restart()
            fired += [number] * len(story.see(price))
        assert fired == [1, 4, 8]


def test_a_restart_does_not_take_what_is_already_true_for_new() -> None:
    story = Story("price >= 100", fire_if_already_true=True)
    assert len(story.see(110)) == 1
    story.restart()
    assert not story.see(110)


def test_what_crossed_while_the_process_was_dead_fires_with_the_first_price_after() -> None:
    story = Story("price >= 100")
    story.see(90)
    story.restart()
    assert [alert.kind for alert in story.see(110, every=9 * MINUTE)] == ["gap"]


def test_when_the_journal_is_replaced_done_and_cooldown_are_remembered() -> None:
    story = Story("price >= 100", repeat="once", pairs=["all"])
    story.rule("calm", when="price >= 100", cooldown="1d")
    story.see(90, 110)
    after = Story("price >= 100", repeat="once", pairs=["all"])
    after.rule("calm", when="price >= 100", cooldown="1d")
    after.time = story.time
    after.watcher.apply_changes(before=1)
    after.watcher.engine.remember(story.firings.values(), story.rows.values())
    assert not after.see(90, 110)


# --- identity --------------------------------------------------------------------------------------


def test_an_id_comes_from_what_happened_and_from_nothing_else() -> None:
    known = alert_id(rule="r1", version=1, pair="a/usd", kind="edge", event_time=BEGIN)
    assert known == "1911fd5f000-568ebbbdebab7e183322", "ids of alerts that are stored already must not change"
    one, other = Story(), Story(cooldown="5m", advice="sell")
    other.rule("noise", when="price >= 1")
    ids = [[alert.id for alert in story.see(90, 110) if alert.rule == "mine"] for story in (one, other)]
    assert ids[0] == ids[1]


def test_ids_differ_in_rule_version_pair_kind_and_time_and_sort_by_time() -> None:
    base = {"rule": "r1", "version": 1, "pair": "a/usd", "kind": "edge", "event_time": BEGIN}
    others = ({"rule": "r2"}, {"version": 2}, {"pair": "b/usd"}, {"kind": "gap"}, {"event_time": BEGIN + 1})
    ids = [alert_id(**{**base, **other}) for other in ({}, *others)]  # type: ignore[arg-type]  # a table
    assert len(set(ids)) == len(ids)
    assert max(ids) == ids[-1]
