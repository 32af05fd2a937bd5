"""That what an alert told is over: when it is told, when it is not, and what is said then."""

from __future__ import annotations

from math import nan
from typing import Any

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert, Part, alert_id
from cryptowatcher.domain.hindsight import History
from cryptowatcher.domain.preview import preview
from cryptowatcher.domain.rules.lifecycle import Standing
from cryptowatcher.domain.rules.model import Firing
from cryptowatcher.domain.rules.over import told_at
from cryptowatcher.domain.texts import alert_text, observed_at
from cryptowatcher.errors import ConfigError
from tests.domain.journals import BEGIN, MINUTE
from tests.domain.test_lifecycle import HOUR, Story
from tests.domain.test_preview import COIN, batch, rule


def kinds(alerts: list[Alert]) -> list[str]:
    return [alert.kind for alert in alerts]


def told(*prices: float, when: str = "price >= 100", **spec: object) -> list[tuple[int, str]]:
    """At which of these prices, a minute apart, a rule says what."""
    story = Story(when, **{"rearm": "10%", "resolved": True, **spec})
    return [(number, alert.kind) for number, price in enumerate(prices) for alert in story.see(price)]


@pytest.mark.parametrize(
    ("prices", "spec", "said"),
    [
        ((99, 100, 89), {}, [(1, "edge"), (2, "resolved")]),
        ((99, 100, 89), {"resolved": False}, [(1, "edge")]),
        ((99, 100, 89), {"resolved": False, "pairs": ["all"]}, [(1, "edge")]),
        ((99, 100, 99, 90, 89.9, 80), {}, [(1, "edge"), (4, "resolved")]),
        ((99, 100, 89, 100, 89), {}, [(1, "edge"), (2, "resolved"), (3, "edge"), (4, "resolved")]),
        ((99, 100, 89, 100, 89, 88), {"cooldown": "1h"}, [(1, "edge"), (2, "resolved")]),
        ((101, 89), {}, []),
        ((101, 89), {"fire_if_already_true": True}, [(0, "already"), (1, "resolved")]),
        ((99, 100, 89), {"for": "2m"}, []),
        ((99, 100, 100, 100, 89), {"for": "2m"}, [(3, "edge"), (4, "resolved")]),
        ((99, 100, 89), {"pairs": ["all"]}, [(1, "edge"), (2, "resolved")]),
        ((101, 100, 111), {"when": "price <= 100"}, [(1, "edge"), (2, "resolved")]),
        ((99, 100, 89), {"when": "price crosses above 100"}, [(1, "edge"), (2, "resolved")]),
        ((99, 100, 89), {"when": "price >= 100 and price < 200"}, [(1, "edge"), (2, "resolved")]),
        ((99, 100, 89), {"expires": "2030-01-31"}, [(1, "edge"), (2, "resolved")]),
    ],
)
def test_it_is_told_once_that_it_is_over_and_only_of_what_was_told(
    prices: tuple[float, ...], spec: dict[str, Any], said: list[tuple[int, str]]
) -> None:
    assert told(*prices, **spec) == said


def test_after_a_cooldown_it_is_told_again() -> None:
    story = Story(cooldown="10m", resolved=True)
    assert kinds(story.see(99, 100, 50, 100, 50)) == ["edge", "resolved"]
    assert kinds(story.see(50, 100, 50, every=5 * MINUTE)) == ["edge", "resolved"]
    assert [firing.suppressed for firing in story.firings.values()] == [0]


def test_it_is_no_firing() -> None:
    plain, asks = Story(), Story(resolved=True)
    for story in (plain, asks):
        story.see(99, 100, 50, 100, 50)
    assert (asks.firings, asks.rows) == (plain.firings, plain.rows)


def test_what_is_not_known_is_not_over() -> None:
    story = Story("volume >= 700", resolved=True)
    assert kinds(story.see(99)) == []
    story = Story("market_cap >= 100", resolved=True)
    assert kinds([*story.see(1, cap=99), *story.see(1, cap=100)]) == ["edge"]
    assert kinds(story.see(1, 1, 1, cap=nan)) == []
    assert kinds(story.see(1, cap=50)) == ["resolved"]


def test_a_process_that_died_in_between_tells_it_too() -> None:
    story, other = Story(resolved=True), Story(resolved=True)
    for each in (story, other):
        each.see(99, 100)
    story.restart()
    (over,) = story.see(50)
    assert [over] == other.see(50)


@pytest.mark.parametrize(
    "change",
    [{"rearm": "1%"}, {"when": "price >= 99"}, {"paused": True}, {"resolved": False}, {"repeat": "once"}],
    ids=str,
)
def test_a_rule_that_is_another_one_now_or_does_not_ask_any_more_tells_nothing(change: dict[str, object]) -> None:
    story = Story(resolved=True)
    story.see(99, 100)
    story.rule(**({"resolved": False} if "repeat" in change else {}), **change)
    assert story.see(100, 50, 49) == []


def test_a_rule_that_was_paused_in_between_tells_nothing() -> None:
    story = Story(resolved=True)
    story.see(99, 100)
    story.rule(paused=True)
    story.see(100)
    story.rule(paused=False)
    assert story.see(100, 50) == []


def test_a_rule_that_is_gone_or_has_ended_tells_nothing() -> None:
    story = Story(resolved=True)
    story.see(99, 100)
    story.delete()
    assert story.see(50) == []
    story = Story(resolved=True, expires="2024-08-05T00:03Z")
    assert kinds(story.see(99, 100)) == ["edge"]
    assert story.see(50) == []


def test_a_rule_that_asks_for_it_later_tells_it_of_what_was_told_before() -> None:
    story = Story()
    story.see(99, 100)
    story.rule(resolved=True)
    assert story.rules["mine"] is not None
    assert story.rules["mine"].version == 1
    assert kinds(story.see(50)) == ["resolved"]


def test_the_notice_says_what_was_compared_and_for_how_long_it_had_been_so() -> None:
    story = Story("price >= 100", rearm="10%", resolved=True, advice="buy", channels=["ops"], urgent=True)
    story.see(99, 101, 95)
    (over,) = story.see(89, every=58 * MINUTE, valid_for=HOUR)
    at = BEGIN + 61 * MINUTE
    assert over == Alert(
        id=alert_id(rule="mine", version=1, pair="a/usd", kind="resolved", event_time=at),
        owner="me",
        rule="mine",
        rule_name="mine",
        version=1,
        pair="a/usd",
        kind="resolved",
        event_time=at,
        at=at,
        seq=4,
        condition="price >= 100",
        value=89.0,
        constant=90.0,
        previous=95.0,
        price=89.0,
        source=over.source,
        received_at=over.received_at,
        gap_ms=59 * MINUTE,
        advice="info",
        channels=("ops",),
        late=True,
        urgent=True,
    )
    assert observed_at(over) == at


@pytest.mark.parametrize(
    ("when", "prices", "value", "constant"),
    [
        ("price <= 100", (101, 100, 110, 111), 111.0, 110.0),
        ("price - 10 > -5", (4, 6, 4.6, 4), 4.0, 4.5),
        ("change_since(100) < -50%", (60, 49, 51, 56), -0.44, -0.45),
        ("price > 200 or price < 100", (150, 99, 150), 150.0, 180.0),
    ],
)
def test_it_shows_what_was_compared_with_the_constant_a_band_back(
    when: str, prices: tuple[float, ...], value: float, constant: float
) -> None:
    story = Story(when, rearm="10%", resolved=True)
    assert kinds(story.see(*prices[:-1])) == ["edge"]
    (over,) = story.see(prices[-1])
    assert [over.value, over.constant] == pytest.approx([value, constant])


def test_what_had_to_hold_before_it_was_told_had_been_so_for_longer() -> None:
    story = Story(resolved=True, **{"for": "2m"})
    (edge, over) = story.see(99, 100, 100, 100, 50)
    assert (over.event_time - edge.event_time, over.gap_ms) == (MINUTE, 3 * MINUTE)


def test_what_was_held_back_at_the_very_time_of_the_alert_before_was_not_told() -> None:
    firing = Firing(rule="mine", pair="a/usd", last_fired_at=5, fired=1, suppressed=0)
    assert told_at(Standing("inside", 5), firing) == 5
    assert told_at(Standing("inside", 5), msgspec.structs.replace(firing, suppressed=1)) is None
    assert told_at(Standing("inside", 6), firing) is None
    assert told_at(Standing("pending", 5), firing) is None
    assert told_at(Standing("inside", 5), None) is told_at(None, firing) is None


@pytest.mark.parametrize(
    ("when", "every", "late"),
    [
        ("price >= 100", MINUTE, False),
        ("price >= 100", 5 * MINUTE, False),
        ("price >= 100", 6 * MINUTE, True),
        ("price >= 100 and age < 1h", 6 * MINUTE, False),
    ],
)
def test_it_says_that_it_ended_where_nobody_looked(when: str, every: int, late: bool) -> None:
    story = Story(when, resolved=True)
    story.see(99, 100)
    assert [over.late for over in story.see(50, every=every)] == [late]


def test_one_of_several_parts_that_was_not_known_meanwhile_may_have_ended_any_time() -> None:
    together, either = (Story(f"market_cap >= 100 {word} price >= 100", resolved=True) for word in ("and", "or"))
    for story in (together, either):
        story.see(99, cap=99)
        story.see(100, cap=100)
        story.see(*[100] * 6)
    (over,) = together.see(100, cap=50)
    assert (over.late, over.value, over.constant, over.previous) == (True, 50.0, 99.9, 100.0)
    assert over.parts == (Part("market_cap >= 100", 50.0, 99.9), Part("price >= 100", 100.0, 99.9))
    (over,) = either.see(50, cap=50)
    assert (over.late, over.value) == (False, 50.0)


def test_it_did_not_end_before_the_alert() -> None:
    story = Story("market_cap >= 100 or price >= 100", resolved=True)
    story.see(99, cap=99)
    assert kinds(story.see(*[99] * 6, 100)) == ["gap"]
    assert story.see(99.95) == []
    assert [over.late for over in story.see(50, cap=50)] == [False]


def test_of_several_parts_the_one_that_went_back_is_shown() -> None:
    story = Story("price >= 100 and market_cap >= 100", rearm="10%", resolved=True)
    story.see(99, cap=99)
    story.see(100, cap=100)
    (over,) = story.see(90, cap=80)
    assert (over.value, over.constant) == (80.0, 90.0)


def test_an_age_that_is_over_was_known_all_the_while() -> None:
    story = Story("age > 10m", resolved=True)
    story.see(1)
    (edge, *_), at = [alert for n in range(1, 30) for alert in _beat(story, n)], story.time
    assert (edge.kind, edge.event_time) == ("edge", at)
    (over,) = story.see(1, every=HOUR)
    assert (over.kind, over.late, over.gap_ms) == ("resolved", False, HOUR)


def _beat(story: Story, minutes: int) -> list[Alert]:
    return story.at(1, observed_at=story.time, at=story.time + minutes * MINUTE)


def test_a_rule_that_counts_from_its_alerts_cannot_be_over() -> None:
    with pytest.raises(ConfigError) as caught:
        rule("price > 1 and abs(change_since_alert(60000)) > 1%", resolved=True)
    assert (caught.value.where, caught.value.message, caught.value.hint) == (
        "resolved",
        "`change_since_alert(60000)` counts anew from each alert, so none of them is ever over",
        "leave `resolved` out, or write change_since(60000)",
    )
    assert rule("change_since(60000) > 1%", resolved=True).spec.resolved


# --- preview ---------------------------------------------------------------------------------------


def test_a_preview_counts_only_what_it_would_have_fired() -> None:
    spoken = rule("price >= 100", resolved=True)
    shown = preview(spoken, History(batch([99, 100, 50, 100, 50])), COIN)
    assert [fired.price for fired in shown.firings] == [100.0, 100.0]


# --- words -----------------------------------------------------------------------------------------

OVER = Alert(
    id=alert_id(rule="r1", version=1, pair="bitcoin/usd", kind="resolved", event_time=BEGIN),
    owner="local",
    rule="r1",
    rule_name="btc high",
    version=1,
    pair="bitcoin/usd",
    kind="resolved",
    event_time=BEGIN,
    at=BEGIN + 700,
    seq=12,
    condition="price >= 70000",
    value=69_900.0,
    constant=69_930.0,
    previous=70_100.0,
    price=69_900.0,
    source="coingecko",
    received_at=BEGIN + 500,
    gap_ms=2 * HOUR,
    advice="info",
    channels=(),
)


def test_the_words_of_it() -> None:
    text = alert_text(OVER, now=BEGIN + MINUTE)
    assert text.title == "Over: bitcoin/usd 69,900 usd (btc high)"
    assert text.body.splitlines() == [
        "It had been so for 2 hours.",
        "price >= 70000: now 69,900 usd, before 70,100 usd (-0.285%).",
        "It counts as over once it is back at 69,930 usd.",
        "Observed 2024-08-05 00:00:00 UTC by coingecko.",
        f'Rule "btc high", alert {OVER.id[12:20]}.',
    ]


def test_the_words_of_one_of_several_parts_that_ended_unseen_and_comes_late() -> None:
    both = "price >= 70000 and change(5m) > 1%"
    parts = (Part("price >= 70000", None, 69_930.0), Part("change(5m) > 1%", 0.005, 0.00999))
    notice = msgspec.structs.replace(OVER, condition=both, parts=parts, value=0.005, late=True)
    assert alert_text(notice, now=BEGIN + HOUR).body.splitlines() == [
        "It had been so for up to 2 hours, and ended some time while that was not known.",
        "price >= 70000 and change(5m) > 1%.",
        "price >= 70000: now unknown.",
        "change(5m) > 1%: now +0.5%.",
        "Price 69,900 usd.",
        "Observed 2024-08-05 00:00:00 UTC by coingecko.",
        "Late: sent 60 minutes after it was observed.",
        f'Rule "btc high", alert {OVER.id[12:20]}.',
    ]
