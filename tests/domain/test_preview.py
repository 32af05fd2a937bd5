"""Where a rule would have fired, and which constant would have made it fire as often as somebody wishes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.hindsight import WEEK, Extremes, History
from cryptowatcher.domain.preview import Preview, preview
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.domain.rules.series import run_series
from cryptowatcher.domain.suggestion import suggest_threshold
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.replay import read_candles, rules_of
from tests.domain.journals import examples

CANDLES = Path(__file__).parents[3] / "shared/data/candles"
RECORDED = "binance_BTCUSDT_5m_2024-01_2024-09.parquet"
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
COIN = "coin/usd"


def rule(when: str, **changes: Any) -> Rule:
    given: dict[str, Any] = {"name": "r", "pairs": ("somewhere/usd",), "when": when}
    return rules_of([RuleSpec(**given | changes)])[0]


def batch(prices: Sequence[float], *, every: int = HOUR, times: Sequence[int] | None = None) -> TickBatch:
    """Observations of one pair."""
    n = len(prices)
    at = every * np.arange(1, n + 1) if times is None else np.asarray(times)
    return TickBatch(
        source="replay",
        pairs=(COIN,),
        pair=np.zeros(n, np.int64),
        price=np.asarray(prices, np.float64),
        volume=np.full(n, np.nan),
        market_cap=np.full(n, np.nan),
        observed_at=at.astype(np.int64),
        starts=np.arange(n, dtype=np.int64),
        received_at=0,
        valid_for=3 * every,
    )


def wandering(seed: int, hours: int) -> TickBatch:
    steps = np.random.default_rng(seed).standard_t(4, hours) * 0.01
    return batch(np.exp(np.cumsum(steps)).tolist())


def shown(when: str, history: History, **changes: Any) -> Preview:
    return preview(rule(when, **changes), history, COIN)


# --- firings ---------------------------------------------------------------------------------------


def test_firings_are_the_alerts_of_the_evaluator_for_this_pair_alone() -> None:
    seen = wandering(1, 2_000)
    drops = rule("change(6h) <= -4%", cooldown="12h")
    named = msgspec.structs.replace(drops, spec=msgspec.structs.replace(drops.spec, pairs=(COIN,)))
    alerts = run_series([named], seen)
    assert len(alerts) > 10
    found = preview(drops, History(seen), COIN)
    assert [(each.time, each.price, each.value) for each in found.firings] == [
        (alert.event_time, alert.price, alert.value) for alert in alerts
    ]
    assert found.when == "change(6h) <= -4%"


def test_a_paused_rule_can_be_tried() -> None:
    assert len(shown("price >= 2", History(batch([1, 3, 1, 3])), paused=True).firings) == 2


def test_each_firing_says_what_the_price_did_after_it() -> None:
    prices = [1.0, 2.0, 3.0] + [4.0] * 23 + [1.0] * 2
    (fired,) = shown("price >= 2", History(batch(prices))).firings
    assert (fired.time, fired.price) == (2 * HOUR, 2.0)
    assert fired.after == (0.5, 1.0, None)


def test_how_many_a_week_and_the_longest_silence() -> None:
    prices = np.ones(14 * 24 + 1)
    prices[[48, 72, 240]] = 2.0
    found = shown("price >= 2", History(batch(prices.tolist())))
    assert found.a_week == pytest.approx(1.5)
    assert found.longest_silence == (240 - 72) * HOUR
    assert (found.start, found.end, found.observed, found.observations) == (HOUR, (14 * 24 + 1) * HOUR, 1.0, 337)


def test_without_a_firing_the_silence_is_the_whole_stretch() -> None:
    found = shown("price >= 2", History(batch([1.0] * 200)))
    assert (found.firings, found.a_week, found.longest_silence) == ((), 0.0, 199 * HOUR)
    assert [scored.label for scored in found.scores] == ["no firings to judge"] * 3


def test_time_that_was_not_observed_is_said_and_counts_for_no_week() -> None:
    times = [*range(1, 85), *range(253, 337)]
    prices = [1.0] * len(times)
    prices[-10] = 2.0
    found = shown("price >= 2", History(batch(prices, times=[HOUR * at for at in times])))
    assert found.observed == pytest.approx(166 / 335)
    assert found.a_week == pytest.approx(WEEK / (166 * HOUR))
    assert any(warning.startswith("50% of the time was observed") for warning in found.warnings)
    assert any(warning.startswith("less than a week could be judged") for warning in found.warnings)


def test_a_firing_in_a_gap_counts_from_the_moment_it_was_known() -> None:
    """Nobody could have acted at the gap's begin: to count from there would be to know what comes."""
    times = [1, 2, 3, 50, 51, 52]
    found = shown("price >= 2", History(batch([1, 1, 1, 4, 2, 2], times=[HOUR * at for at in times])))
    (fired,) = found.firings
    assert (fired.time, fired.price, fired.after[0]) == (50 * HOUR, 4.0, -0.5)
    assert "1 of the firings lie somewhere in a gap, and count from its end" in found.warnings


def test_other_pairs_of_the_batch_are_left_out() -> None:
    seen = batch([1, 3, 1, 3, 1, 3])
    two = msgspec.structs.replace(seen, pairs=("other/usd", COIN), pair=np.array([0, 0, 1, 1, 1, 1]))
    assert [fired.time for fired in shown("price >= 2", History(two)).firings] == [4 * HOUR, 6 * HOUR]


@examples(60)
@given(st.integers(0, 10_000), st.integers(200, 700))
def test_what_comes_later_changes_no_firing(seed: int, cut: int) -> None:
    seen = wandering(seed, 700)
    later = np.where(np.arange(700) >= cut, seen.price * 1.7, seen.price)
    changed = msgspec.structs.replace(seen, price=later)
    firings = [
        [
            (fired.time, fired.value, [move for move, h in zip(fired.after, found.horizons, strict=True)
                                       if fired.time + h <= cut * HOUR])
            for fired in found.firings if fired.time <= cut * HOUR
        ]
        for found in (shown("change(12h) >= 3%", History(each)) for each in (seen, changed))
    ]  # fmt: skip
    assert firings[0] == firings[1]


# --- candles ---------------------------------------------------------------------------------------


def test_a_preview_over_candles_says_so() -> None:
    found = shown("change(6h) <= -4%", History(wandering(1, 500), candles=HOUR))
    assert found.warnings[0] == "seen as candles of 1h: only their closes count, not what was between"


def test_a_window_shorter_than_two_candles_is_unknown_and_not_silent() -> None:
    found = shown("change(1h) <= -4%", History(wandering(1, 500), candles=HOUR))
    assert found.unknown == "change(1h) cannot be judged on candles of 1h: its window must hold two"
    assert (found.firings, found.a_week, found.longest_silence, found.scores) == ((), None, None, ())
    assert not shown("change(2h) <= -4%", History(wandering(1, 500), candles=HOUR)).unknown


def test_a_pair_that_was_never_seen_is_unknown() -> None:
    found = preview(rule("price >= 2"), History(batch([1, 3])), "elsewhere/usd")
    assert found.unknown == "there are no prices of elsewhere/usd"
    assert (found.a_week, found.start, found.observed) == (None, 0, 0.0)


def test_a_plain_price_threshold_that_was_touched_inside_a_candle_is_found() -> None:
    closes = batch([1.0, 1.0, 1.1, 1.0])
    extremes = Extremes(high=np.array([1.0, 1.0, 2.5, 1.2]), low=np.array([1.0, 1.0, 1.0, 0.4]))
    inside = History(closes, candles=HOUR, extremes=extremes)
    assert shown("price >= 2", History(closes, candles=HOUR)).firings == ()
    (high,) = shown("price >= 2", inside).firings
    assert high.price == 2.5
    assert high.time == 3 * HOUR - HOUR // 3, "the candle rose: its low came first"
    (low,) = shown("price <= 0.5", inside).firings
    assert low.time == 4 * HOUR - HOUR // 3, "the candle fell: its high came first"
    assert shown("price >= 2", inside).warnings[0].startswith("seen as candles of 1h: touches inside count")


def test_a_touch_is_judged_from_the_end_of_its_candle() -> None:
    """Neither from the extreme, which nobody could be sure to get, nor from the close before it."""
    extremes = Extremes(high=np.array([1.0, 3.0, 1.5, 1.5]), low=np.ones(4))
    found = shown("price >= 2", History(batch([1.0, 1.2, 1.5, 1.5]), candles=HOUR, extremes=extremes))
    (fired,) = found.firings
    assert fired.after[0] == pytest.approx(1.5 / 1.2 - 1)


def test_only_plain_price_thresholds_look_inside_candles() -> None:
    seen = wandering(4, 800)
    inside = History(seen, candles=HOUR, extremes=Extremes(high=seen.price * 2, low=seen.price / 2))
    assert shown("change(6h) <= -4%", inside).firings == shown("change(6h) <= -4%", History(seen)).firings


# --- suggestions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wished", [0.5, 1, 2])
@pytest.mark.parametrize(
    "when",
    ["change(6h) <= -40%", "change(6h) >= 0.1%", "change(24h) < -3%", "price >= 70000", "price crosses below 1"],
)
def test_the_constant_that_is_suggested_gives_what_is_said(when: str, wished: float) -> None:
    history = History(wandering(7, 24 * 7 * 20))
    found = suggest_threshold(rule(when, cooldown="1h"), history, COIN, wished)
    assert found.when is not None, found.reason
    given = shown(found.when, history, cooldown="1h")
    assert found.a_week == pytest.approx(given.a_week)
    assert found.a_week == pytest.approx(wished, rel=0.5)
    assert found.when.split()[:2] == when.replace("24h", "1d").split()[:2]


def test_a_suggestion_is_a_number_a_person_would_write() -> None:
    found = suggest_threshold(rule("change(6h) <= -1%"), History(wandering(7, 24 * 7 * 50)), COIN, 0.2)
    assert found.when is not None
    assert len(found.when) <= len("change(6h) <= -12.34%")


def test_for_and_cooldown_count_in_a_suggestion() -> None:
    history = History(wandering(7, 24 * 7 * 20))
    plain, slow = (
        suggest_threshold(rule("change(6h) <= -1%", cooldown=cooldown), history, COIN, 2)
        for cooldown in ("0s", "2d")
    )
    assert plain.constant is not None
    assert slow.constant is not None
    assert slow.constant > plain.constant, "it may ask for less, because most are held back"


def test_where_no_constant_gives_so_many_the_reason_is_said() -> None:
    steady = History(batch(np.linspace(1, 2, 24 * 7 * 4).tolist()))
    found = suggest_threshold(rule("price >= 1.5"), steady, COIN, 5)
    assert (found.when, found.constant, found.a_week) == (None, None, None)
    assert found.reason.startswith("no constant was found that gives so many")


@pytest.mark.parametrize(
    ("when", "changes", "hours", "wished", "reason"),
    [
        ("price >= 2", {"repeat": "once"}, 700, 1, "it fires once: that is no number a week"),
        ("price >= 2", {}, 50, 1, "0.292 weeks of data do not show what happens 1 times a week"),
        ("change(1h) >= 2%", {}, 700, 1, "change(1h) cannot be judged on candles of 1h: its window must hold two"),
        ("change(60d) >= 2%", {}, 700, 1, "it takes 60d before it can be known, and there are 29d3h"),
    ],
)
def test_why_there_is_no_suggestion_is_said(
    when: str, changes: dict[str, Any], hours: int, wished: float, reason: str
) -> None:
    history = History(wandering(1, hours), candles=HOUR)
    assert suggest_threshold(rule(when, **changes), history, COIN, wished).reason == reason


# --- recorded data ---------------------------------------------------------------------------------


@pytest.mark.skipif(not CANDLES.exists(), reason="no recorded data")
def test_suggestions_hold_on_recorded_candles() -> None:
    seen = read_candles([CANDLES / RECORDED], pair=COIN)
    history = History(seen, candles=5 * MINUTE)
    for when in ("change(1h) <= -9%", "change(24h) >= 0.5%"):
        found = suggest_threshold(rule(when), history, COIN, 1)
        assert found.when is not None
        assert found.a_week == pytest.approx(1, abs=0.05)
        assert shown(found.when, history).a_week == pytest.approx(found.a_week)
