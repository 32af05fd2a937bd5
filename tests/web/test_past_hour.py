"""What the pipeline's counts grew by within about an hour."""

from __future__ import annotations

from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.web.past_hour import SNAPSHOT_MS, SNAPSHOTS, Duration, PastHour

AT = 1_800_000_000_000


def test_only_what_came_since_counts_and_labels_are_told_apart() -> None:
    hour, meters = PastHour(), Meters(started_at=AT)
    meters.asked("coingecko", "ok", 0.1)
    hour.take(AT, meters.exposition())
    assert hour.grown("source_requests_total", source="coingecko") == {}
    for outcome in ("ok", "ok", "rate_limited"):
        meters.asked("coingecko", outcome, 0.1)
    meters.asked("another", "ok", 0.1)
    hour.take(AT + 1_000, meters.exposition())
    assert hour.grown("source_requests_total", source="coingecko") == {"ok": 2, "rate_limited": 1}


def test_durations_are_the_edges_that_half_and_nearly_all_stay_below() -> None:
    hour, meters = PastHour(), Meters(started_at=AT)
    hour.take(AT, meters.exposition())
    assert hour.duration("tick_lag_seconds") is None
    for lag in (0.003,) * 50 + (0.2,) * 49 + (400.0,) * 2:
        meters.accepted("coingecko", 1, lag)
    hour.take(AT + 1, meters.exposition())
    assert hour.duration("tick_lag_seconds") == Duration(count=101, p50=0.25, p99=None)
    assert hour.duration("tick_lag_seconds", source="another") is None


def test_what_is_more_than_an_hour_ago_is_forgotten() -> None:
    hour, meters = PastHour(), Meters(started_at=AT)
    hour.take(AT, meters.exposition())
    meters.asked("coingecko", "timeout", 0.1)
    for number in range(1, SNAPSHOTS + 1):
        hour.take(AT + number * SNAPSHOT_MS, meters.exposition())
    assert hour.grown("source_requests_total", source="coingecko") == {}


def test_a_pipeline_that_began_anew_counts_from_nothing() -> None:
    hour, before, after = PastHour(), Meters(started_at=AT), Meters(started_at=AT + 1)
    for _ in range(5):
        before.asked("coingecko", "ok", 0.1)
    hour.take(AT, before.exposition())
    hour.take(AT + 1_000, after.exposition())
    after.asked("coingecko", "ok", 0.1)
    hour.take(AT + 2_000, after.exposition())
    assert hour.grown("source_requests_total", source="coingecko") == {"ok": 1}
    assert hour.latest("pipeline_start_timestamp_seconds") == (AT + 1) / 1000


def test_what_is_not_known_is_none() -> None:
    hour = PastHour()
    assert hour.latest("canary_last_success_timestamp_seconds") is None
    hour.take(AT, Meters(started_at=AT).exposition())
    assert hour.latest("canary_last_success_timestamp_seconds") is None, "it is NaN before the first round"
