"""What the price did after an alert."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.outcomes import Outcome, outcomes
from cryptowatcher.domain.samples import sample_alert
from cryptowatcher.domain.ticks import Floats, Ints

NOW = 1_800_000_000_000
MINUTE, HOUR = 60_000, 3_600_000
DAY, WEEK = 24 * HOUR, 168 * HOUR


def at(**changes: Any) -> Alert:
    given = {"event_time": NOW, "gap_ms": 0, "price": 100.0, "advice": "info", "pair": "a/usd", "kind": "edge"}
    return msgspec.structs.replace(sample_alert(owner="local", now=NOW), **{**given, **changes})


def minutes(*prices: tuple[int, float]) -> Any:
    """Candles by when they end and close."""
    ends = np.array([end for end, _ in prices], np.int64)
    closes = np.array([price for _, price in prices])

    def between(pair: str, interval: int, start: int, end: int) -> tuple[Ints, Floats]:
        assert (pair, interval) == ("a/usd", MINUTE)
        inside = (ends - MINUTE >= start) & (ends - MINUTE < end)
        return ends[inside], closes[inside]

    return between


def states(found: list[Outcome]) -> list[str]:
    return [each.state for each in found]


def test_each_horizon_is_known_when_it_is_over() -> None:
    closes = minutes((NOW + HOUR - MINUTE, 90.0), (NOW + HOUR, 102.0), (NOW + HOUR + MINUTE, 500.0))
    hour, day, week = outcomes(at(), closes, seen=NOW + 2 * HOUR, now=NOW + 2 * HOUR)
    assert (hour.after, hour.at, hour.price, hour.worth) == (HOUR, NOW + HOUR, 102.0, None)
    assert hour.move == pytest.approx(0.02)
    assert states([hour, day, week]) == ["known", "waiting", "waiting"]
    assert (day.at, week.at, day.price) == (NOW + DAY, NOW + WEEK, None)


def test_what_was_not_observed_then_is_not_guessed() -> None:
    gone = minutes((NOW + HOUR - 16 * MINUTE, 90.0))
    assert states(outcomes(at(), gone, seen=NOW + DAY - 1, now=NOW + DAY - 1)) == ["unknown", "waiting", "waiting"]


def test_a_pair_that_is_late_is_waited_for_and_one_that_is_gone_is_not() -> None:
    closes = minutes((NOW + HOUR, 102.0))
    assert states(outcomes(at(), closes, seen=NOW + HOUR - 1, now=NOW + HOUR + 1))[0] == "waiting"
    assert states(outcomes(at(), closes, seen=NOW + HOUR - 1, now=NOW + 2 * HOUR))[0] == "unknown"
    assert states(outcomes(at(), closes, seen=NOW + HOUR, now=NOW + HOUR))[0] == "known"


@pytest.mark.parametrize(("advice", "worth"), [("buy", 0.01798), ("sell", -0.02202)])
def test_following_the_advice_is_counted_after_fees(advice: str, worth: float) -> None:
    closes = minutes((NOW + HOUR, 102.0))
    first = outcomes(at(advice=advice), closes, seen=NOW + HOUR, now=NOW + HOUR)[0]
    assert first.worth == pytest.approx(worth)


def test_what_happened_in_a_gap_counts_from_its_end() -> None:
    closes = minutes((NOW + HOUR, 1.0), (NOW + 4 * HOUR, 102.0))
    first = outcomes(at(kind="gap", gap_ms=3 * HOUR), closes, seen=NOW + DAY, now=NOW + DAY - 1)[0]
    assert (first.at, first.price) == (NOW + 4 * HOUR, 102.0)
