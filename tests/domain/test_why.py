"""Why a rule has not fired: the state, the numbers and the words, for every way in which a rule can stand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given

from cryptowatcher.domain.checkpoints import encode
from cryptowatcher.domain.records import Beat, Record, Ticks
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.rules.why import Why, asked_pair, why
from cryptowatcher.domain.rules.why_words import explain, say_why
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import Watcher
from cryptowatcher.errors import ConfigError
from tests.domain.journals import BEGIN, MINUTE, Journey, examples, journeys
from tests.domain.test_lifecycle import Story

HOUR = 60 * MINUTE


def rule(when: str, **more: object) -> Rule:
    spec = msgspec.convert({"name": "mine", "pairs": ["a/usd"], "when": when, **more}, RuleSpec)
    return Rule(id="r1", owner="me", version=1, spec=spec)


def change(to: Rule, number: int = 1, *, head: int = 0) -> RuleChange:
    return RuleChange(number=number, rule_id=to.id, owner=to.owner, head=head, saved_at=BEGIN, rule=to)


def watched(mine: Rule, *prices: float | dict[str, float], after: int = 0, caps: bool = False) -> Watcher:
    """After a price a minute from 00:01 on, and `after` ms more."""
    watcher = Watcher(candles=False)
    watcher.take_up(change(mine), 0)
    at = BEGIN
    for seq, price in enumerate(prices, 1):
        at = BEGIN + seq * MINUTE
        given_ = price if isinstance(price, dict) else {"a/usd": price}
        market_cap = [*given_.values()] if caps else None
        batch = one_instant(given_, observed_at=at, source="coingecko", market_cap=market_cap)
        watcher.step(Record(seq, at, "w", seq, Ticks(batch)))
    seq = len(prices) + 1
    watcher.step(Record(seq, at + after, "w", seq, Beat()))
    return watcher


def asked(mine: Rule, *prices: float | dict[str, float], pair: str = "a/usd", after: int = 0) -> Why:
    return why(watched(mine, *prices, after=after).engine, mine, pair)


ABOVE = "price >= 100"
WAVES = [90 + number % 2 for number in range(30)]
NOT_LONG = "`rsi(14, 1h) < 30` is unknown: rsi(14, 1h) looks back on 15h, and a/usd was watched for 29m"
SILENT = "After it fired at 2024-08-05 00:02:00 UTC it is silent until 2024-08-05 01:02:00 UTC."
TABLE: list[tuple[Rule, Sequence[float], str, str]] = [
    (rule(ABOVE), [], "unarmed", "It has not fired because a/usd was never observed."),
    (
        rule(ABOVE),
        [90, 95],
        "waiting",
        "It has not fired because the price is 95 and must rise to 100 (5 or 5.26% to go).",
    ),
    (
        rule("price < 90"),
        [90],
        "waiting",
        "It has not fired because the price is 90 and must fall below 90 (0 or 0% to go).",
    ),
    (
        rule("rsi(14, 1m) < 30"),
        WAVES,
        "waiting",
        "It has not fired because rsi(14, 1m) is 51.1957 and must fall below 30 (21.1957 to go).",
    ),
    (
        rule("rsi(14, 1h) < 30"),
        WAVES,
        "unarmed",
        f"It has not fired because its first look is still to come: {NOT_LONG}.",
    ),
    (
        rule("change(5m) <= -5%"),
        WAVES,
        "waiting",
        "It has not fired because change(5m) is 1.11% and must fall to -5% (6.11 percentage points to go).",
    ),
    (
        rule("abs(price - 1) > 0.5%"),
        [1.001],
        "waiting",
        "It has not fired because abs(price - 1) is 0.1% and must rise above 0.5% (0.4 percentage points to go).",
    ),
    (
        rule("price > 3 * sma(5, 1m)"),
        WAVES,
        "waiting",
        "It has not fired because the price is 91 and must rise above 3 * sma(5, 1m), now 271.8, (180.8 or 199% "
        "to go).",
    ),
    (
        rule("price >= 100 and volume > 5"),
        [90],
        "waiting",
        "It has not fired because the price is 90 and must rise to 100 (10 or 11.1% to go) and `volume > 5` is "
        "unknown: coingecko does not say what volume needs.",
    ),
    (
        rule("price >= 100 or price < 80"),
        [90],
        "waiting",
        "It has not fired because the price is 90 and must rise to 100 (10 or 11.1% to go) or the price is 90 and "
        "must fall below 80 (10 or 11.1% to go).",
    ),
    (
        rule("price >= 100 and (price < 80 or change(1m) > 5%)"),
        [90, 90],
        "waiting",
        "It has not fired because not enough of `price >= 100 and (price < 80 or change(1m) > 5%)` is so: the "
        "price is 90 and must rise to 100 (10 or 11.1% to go); the price is 90 and must fall below 80 (10 or "
        "11.1% to go); change(1m) is 0% and must rise above 5% (5 percentage points to go).",
    ),
    (
        rule("price >= 100 and (price > 80 or change(1m) > 500%)"),
        [90, 101],
        "inside",
        "It fired at 2024-08-05 00:02:00 UTC. It can fire again after its condition is no longer so (the price "
        "was below 99.9 (now 101); the price was at or below 79.92 (now 101); change(1m) was at or below 499.5% "
        "(now 12.2%)).",
    ),
    (
        rule("price crosses above 90 and change(1m) > -50%"),
        [89, 95, 95],
        "inside",
        "It fired at 2024-08-05 00:02:00 UTC. It can fire again after one of its comparisons is over (the price "
        "was below 89.91 (now 95); change(1m) was at or below -50.05% (now 0%)).",
    ),
    (
        rule("price crosses above 90 and change(1m) < 1%"),
        [80, 95, 95],
        "waiting",
        "It has not fired because the price is 95, above 90 already, and must cross it anew.",
    ),
    (
        rule("ratio(b/usd) > 5"),
        [90],
        "unarmed",
        "It has not fired because its first look is still to come: `ratio(b/usd) > 5` is unknown: ratio(b/usd) "
        "needs a current price of b/usd.",
    ),
    (
        rule(ABOVE, **{"for": "5m"}),
        [90, 101, 101],
        "pending",
        "Its condition has held since 2024-08-05 00:02:00 UTC, and it fires when that was so for another 4m of "
        "observed time.",
    ),
    (
        rule(ABOVE),
        [90, 101],
        "inside",
        "It fired at 2024-08-05 00:02:00 UTC. It can fire again after the price was below 99.9 (now 101).",
    ),
    (
        rule(ABOVE),
        [101],
        "inside",
        "Its condition was true already when it was first looked at, at 2024-08-05 00:01:00 UTC. It can fire "
        "again after the price was below 99.9 (now 101).",
    ),
    (
        rule(ABOVE, cooldown="1h"),
        [90, 101, 90, 101],
        "inside",
        "Its condition turned true at 2024-08-05 00:04:00 UTC, while it was silent after it had fired. It can "
        f"fire again after the price was below 99.9 (now 101). {SILENT} It has held back one crossing.",
    ),
    (
        rule(ABOVE, cooldown="1h"),
        [90, 101, 90],
        "waiting",
        f"It has not fired again because the price is 90 and must rise to 100 (10 or 11.1% to go). {SILENT}",
    ),
    (rule(ABOVE, repeat="once"), [90, 101, 90], "done", "It fired at 2024-08-05 00:02:00 UTC, and it tells once."),
    (rule(ABOVE, paused=True), [90], "paused", "It is paused."),
    (rule(ABOVE, expires="2024-08-05T00:01Z"), [90, 91], "expired", "It ended at 2024-08-05 00:01:00 UTC."),
    (rule(ABOVE, pairs=["b/usd"]), [90], "not covered", "It does not look at a/usd."),
    (
        rule(ABOVE, pairs=["top(3)"]),
        [90],
        "not among",
        "a/usd is not among the 3 largest pairs now: its rank is not known.",
    ),
    (
        rule(ABOVE, active="08:00-22:00"),
        [90],
        "waiting",
        "It has not fired because the price is 90 and must rise to 100 (10 or 11.1% to go). Its active hours "
        "begin at 2024-08-05 08:00:00 UTC: what it has to say waits until then.",
    ),
]


@pytest.mark.parametrize(("mine", "prices", "state", "says"), TABLE)
def test_every_state_is_said_with_its_numbers(mine: Rule, prices: Sequence[float], state: str, says: str) -> None:
    found = asked(mine, *prices)
    assert (found.state, say_why(found)) == (state, says)


def test_what_was_not_observed_for_long_is_said_to_be_old() -> None:
    fresh, old = asked(rule(ABOVE), 90, after=5 * MINUTE), asked(rule(ABOVE), 90, after=8 * HOUR)
    assert (fresh.stale, old.stale, old.age, old.source) == (False, True, 8 * HOUR, "coingecko")
    assert "is 8h old (coingecko): nothing is judged until the next one." in say_why(old)


def test_a_rule_on_all_pairs_waits_for_one_that_was_never_seen() -> None:
    assert asked(rule(ABOVE, pairs=["all"]), 90, pair="b/usd").state == "unarmed"


def test_a_snooze_is_said_while_it_lasts() -> None:
    mine = rule(ABOVE)
    engine = watched(mine, 90).engine
    until = BEGIN + HOUR
    assert "It is snoozed until 2024-08-05 01:00:00 UTC" in say_why(
        why(engine, mine, "a/usd", snoozed_until=until)
    )
    assert why(engine, mine, "a/usd", snoozed_until=BEGIN).snoozed_until is None


def test_a_rule_that_the_watcher_has_not_come_to_is_new() -> None:
    engine = watched(rule(ABOVE), 90).engine
    new = Rule(id="r2", owner="me", version=1, spec=rule("price > 5").spec)
    found = explain(engine, new, "a/usd")
    assert (found.state, found.text, found.says) == ("new", "price > 5", "The watcher has not come to it yet.")


def test_of_a_rule_that_is_new_nothing_else_is_said() -> None:
    new = Rule(id="r2", owner="me", version=1, spec=rule("price > 5").spec)
    said = msgspec.to_builtins(why(watched(rule(ABOVE), 90).engine, new, "a/usd"))
    assert {name: value for name, value in said.items() if value is not None} == {
        "rule": "r2", "name": "mine", "version": 1, "pair": "a/usd", "at_ms": BEGIN + MINUTE, "state": "new",
        "text": "price > 5", "condition": "unknown", "any_part": False, "parts": (), "flaps": False,
        "suppressed": 0, "fired": 0, "stale": False, "source": "", "watched_ms": 0, "top": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("later", "until"), [(HOUR - 1, BEGIN + 2 * MINUTE + HOUR), (HOUR, None)])
def test_it_is_silent_until_its_cooldown_ends_to_the_millisecond(later: int, until: int | None) -> None:
    mine = rule(ABOVE, cooldown="1h")
    found = why(watched(mine, 90, 101, after=later).engine, mine, "a/usd")
    assert (found.cooldown_until, found.fired, found.last_fired_at) == (until, 1, BEGIN + 2 * MINUTE)


@pytest.mark.parametrize(("later", "flaps"), [(2 * MINUTE - 1, True), (2 * MINUTE, False)])
def test_what_fired_too_often_flaps_until_the_very_moment_at_which_it_may_fire_again(
    later: int, flaps: bool
) -> None:
    story = Story(ABOVE)
    story.see(90)
    first = story.time + 1_000
    story.see(*[110, 90] * 30, every=1_000)
    story.record(Beat(), at=first + later)
    mine = story.rules["mine"]
    assert mine is not None
    found = why(story.watcher.engine, mine, "a/usd")
    assert (found.fired, found.flaps, found.cooldown_until) == (30, flaps, first + 2 * MINUTE if flaps else None)


@pytest.mark.parametrize("later", [MINUTE, 2 * MINUTE])
def test_what_was_true_when_a_rule_went_on_after_its_silence_was_not_held_back(later: int) -> None:
    """However many crossings were held back before it was paused."""
    story = Story(ABOVE, cooldown="3m")
    story.see(90, 110, 90, 110)
    story.rule(paused=True)
    story.record(Beat(), at=story.time)
    story.rule(paused=False)
    story.see(110, every=later)
    mine = story.rules["mine"]
    assert mine is not None
    found = why(story.watcher.engine, mine, "a/usd")
    assert (found.state, found.suppressed, found.met) == ("inside", 1, "already")


def test_a_distance_is_what_the_left_side_has_to_go_and_has_a_sign() -> None:
    (up,) = asked(rule("price >= 100"), 80).parts
    (down,) = asked(rule("price <= 60"), 80).parts
    assert (up.truth, up.rises, up.distance, up.relative) == ("fails", True, 20, 0.25)
    assert (down.truth, down.rises, down.distance, down.relative) == ("fails", False, -20, -0.25)
    (beyond,) = asked(rule("price >= 100"), 80, 125).parts
    assert (beyond.truth, beyond.distance, beyond.relative) == ("holds", -25, -0.2)


def test_a_comparison_of_two_features_tells_what_each_of_them_is() -> None:
    (side,) = asked(rule("price > 105% * sma(2, 1m)", rearm="1%"), 90, 92, 94).parts
    assert [(each.text, each.value) for each in side.inputs] == [("price", 94.0), ("sma(2, 1m)", 93.0)]
    assert (side.of, side.against, side.fixed) == ("price", "105% * sma(2, 1m)", False)
    assert side.left == 94.0
    assert side.right == pytest.approx(97.65)
    assert side.rearm == pytest.approx(97.65 * 0.99)


@pytest.mark.parametrize(
    ("when", "rearm"),
    [
        ("price >= 200", 198.0),
        ("price <= 50", 50.5),
        ("price + 100 >= 300", 298.0),  # the engine compares the price with 200
        ("change(1m) <= -5%", -0.0495),
        ("price - sma(2, 1m) > 50", 49.5),
        ("price >= 1.1", 1.089),  # without what binary makes of it
    ],
)
def test_where_a_rule_is_armed_again_is_said_of_the_left_side_as_it_is_written(when: str, rearm: float) -> None:
    (side,) = asked(rule(when, rearm="1%"), 100, 100, 100).parts
    assert side.rearm == rearm


@pytest.mark.parametrize(
    ("when", "inputs"),
    [
        ("abs(change(1m)) > 5%", ["change(1m)"]),
        ("-change(1m) > 5%", ["change(1m)"]),
        ("max(change(1m), change(2m)) > 5%", ["change(1m)", "change(2m)"]),
        ("price - sma(2, 1m) > price - low(1m)", ["price", "sma(2, 1m)", "low(1m)"]),
    ],
)
def test_every_feature_of_a_comparison_is_told_once(when: str, inputs: list[str]) -> None:
    (side,) = asked(rule(when), 90, 90, 90, 90).parts
    assert [each.text for each in side.inputs] == inputs
    assert [(each.reason, each.needs) for each in side.inputs] == [(None, 0)] * len(inputs)


def test_how_old_a_price_is_is_a_time() -> None:
    (side,) = asked(rule("age > 5m"), 90).parts
    assert [(each.text, each.unit) for each in side.inputs] == [("age", "time")]


def test_not_is_worked_out_so_that_each_part_is_what_must_be_so() -> None:
    found = asked(rule("not (price < 100 or change(1m) > 1%)"), 90, 91)
    assert [(side.text, side.truth) for side in found.parts] == [
        ("price >= 100", "fails"),
        ("change(1m) <= 1%", "fails"),
    ]
    assert (found.any_part, found.condition) == (False, "fails")


@pytest.mark.parametrize(
    ("when", "prices", "reason"),
    [
        ("price > 5", [], "unseen"),
        ("change(5m) > 5%", [90.0], "short"),
        ("sma(50, 1m) > 5", [90.0] * 20, "short"),
        ("volume > 5", [90.0], "unsaid"),
        ("volume(1m) > 5", [90.0] * 5, "unsaid"),
        ("average(volume, 1h) > 5", [90.0] * 5, "unsaid"),
        ("rank <= 5", [90.0], "unsaid"),
        ("ratio(b/usd) > 5", [90.0], "other"),
    ],
)
def test_what_is_unknown_has_a_reason(when: str, prices: list[float], reason: str) -> None:
    (side,) = asked(rule(when), *prices).parts
    assert side.truth == "unknown"
    assert [each.reason for each in side.inputs if each.value is None] == [reason]
    if reason != "short":
        assert [each.needs for each in side.inputs] == [0] * len(side.inputs)


def test_a_window_with_a_hole_in_it_is_not_too_short_but_has_a_gap() -> None:
    mine = rule("change(5m) > 5%")
    watcher = watched(mine, *[90.0] * 20)
    at = BEGIN + 10 * HOUR
    watcher.step(Record(22, at, "w", 22, Ticks(one_instant({"a/usd": 90.0}, observed_at=at))))
    (side,) = why(watcher.engine, mine, "a/usd").parts
    assert (side.truth, side.inputs[0].reason, side.known_at) == ("unknown", "gap", BEGIN + 20 * MINUTE)
    assert "(last known at 2024-08-05 00:20:00 UTC)" in say_why(why(watcher.engine, mine, "a/usd"))


def test_a_pair_outside_the_largest_is_told_its_rank() -> None:
    mine = rule(ABOVE, pairs=["top(1)"])
    engine = watched(mine, {"a/usd": 50.0, "b/usd": 60.0}, caps=True).engine
    assert (why(engine, mine, "b/usd").state, why(engine, mine, "a/usd").state) == ("waiting", "not among")
    assert "its rank is 2" in say_why(why(engine, mine, "a/usd"))


def test_programs_read_times_under_names_that_say_so() -> None:
    mine = rule(ABOVE)
    document = msgspec.to_builtins(explain(watched(mine, 90).engine, mine, "a/usd"))
    assert {"at_ms", "since_ms", "age_ms", "observed_at_ms", "cooldown_until_ms", "says"} <= document.keys()
    assert {
        "missing_ms",
        "last_fired_at_ms",
        "quiet_until_ms",
        "snoozed_until_ms",
        "watched_ms",
    } <= document.keys()
    assert {"known_at_ms", "distance", "left"} <= document["parts"][0].keys()
    assert "needs_ms" in document["parts"][0]["inputs"][0]


@pytest.mark.parametrize(
    ("pairs", "pair", "asked_for"),
    [(["a/usd"], None, "a/usd"), (["a/usd", "b/usd"], "b/usd", "b/usd"), (["all"], "c/usd", "c/usd")],
)
def test_the_pair_may_be_left_out_where_there_is_only_one(
    pairs: list[str], pair: str | None, asked_for: str
) -> None:
    assert asked_pair(rule(ABOVE, pairs=pairs).spec, pair) == asked_for


@pytest.mark.parametrize(
    ("pairs", "hint"),
    [
        (["all"], "for example bitcoin/usd"),
        (["top(10)"], "for example bitcoin/usd"),
        (["a/usd", "b/usd"], "it looks at a/usd, b/usd"),
    ],
)
def test_of_several_pairs_one_must_be_named(pairs: list[str], hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        asked_pair(rule(ABOVE, pairs=pairs).spec, None)
    assert refused.value.message == "the rule 'mine' looks at several pairs: name one"
    assert (refused.value.where, refused.value.hint) == ("pair", hint)


def test_a_pair_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        asked_pair(rule(ABOVE).spec, "nonsense")
    assert refused.value.where == "pair"


@examples(15)
@given(journeys(most_instants=1))
def test_asking_changes_nothing_and_agrees_with_what_the_rule_does(journey: Journey) -> None:
    """A twin that nobody asks stays the same to the byte, and what is said fits what happens next."""
    watcher, twin = Watcher(candles=False), Watcher(candles=False)
    rules: dict[str, Rule] = {}
    waiting = list(journey.changes)
    for each in journey.changes:
        watcher.take_up(each, each.head)
        twin.take_up(each, each.head)
    for record in journey.records:
        while waiting and waiting[0].head < record.seq:
            due = waiting.pop(0)
            rules.pop(due.rule_id, None)
            if due.rule is not None:
                rules[due.rule_id] = due.rule
        watcher.step(record)
        twin.step(record)
        told = watcher.effects().alerts
        fired = {(alert.rule, alert.pair) for alert in told if alert.kind != "resolved"}
        twin.effects()
        for each_rule in rules.values():
            for pair in ("a/usd", "b/usd", "never/seen"):
                found = explain(watcher.engine, each_rule, pair)
                assert found.says
                # What counts from its alert is over at once, as a rule.
                if (each_rule.id, pair) in fired and "change_since_alert" not in each_rule.spec.when:
                    assert (found.state, found.met, found.condition) in (
                        ("inside", "fired", "holds"),
                        ("done", "fired", "holds"),
                    )
                if found.state == "pending":
                    assert found.missing is not None
                    assert found.missing > 0
                assert all(side.left is None or math.isfinite(side.left) for side in found.parts)
    assert encode(watcher.engine.state()) == encode(twin.engine.state())
