"""CoinGecko's charts as the past of a pair: whatever comes, points are points."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.adapters.sources.coingecko.charts import REACHES, read_chart
from cryptowatcher.errors import Refused, Unavailable

HOUR = 3_600_000
NOW = 1_779_092_300_000
MARK = NOW // HOUR * HOUR
HOURLY = REACHES[1]


def read(prices: list[Any], **beside: Any) -> list[tuple[int, float]]:
    body = json.dumps({"prices": prices, "market_caps": [], "total_volumes": []} | beside).encode()
    past = read_chart(body, "bitcoin/usd", HOURLY, NOW)
    return list(zip(past.observed_at.tolist(), past.price.tolist(), strict=True))


def test_points_come_sorted_once_each_and_without_the_one_of_now() -> None:
    honest = [[MARK - hours * HOUR, 100.0 + hours] for hours in range(5, -1, -1)]
    told = [(MARK - hours * HOUR, 100.0 + hours) for hours in range(5, -1, -1)]
    assert read([*honest, [NOW, 99.0]]) == told
    assert read([[NOW, 99.0], *reversed(honest), [MARK, 5.0]]) == told


def test_a_point_some_seconds_after_the_hour_is_of_the_hour() -> None:
    late = [[MARK - hours * HOUR + 45_000, 100.0] for hours in range(3, 0, -1)]
    assert [at for at, _ in read([*late, [MARK - HOUR // 2, 100.0]])] == [
        MARK - hours * HOUR for hours in (3, 2, 1)
    ]


def test_points_after_now_and_from_before_the_chart_are_none() -> None:
    times = [NOW - HOURLY.back - 2 * HOUR, MARK - 2 * HOUR, MARK - HOUR, NOW + HOUR]
    assert [at for at, _ in read([[at, 1.0] for at in times])] == [MARK - 2 * HOUR, MARK - HOUR]


def test_volumes_and_capitalisations_stand_beside_the_price_of_their_time() -> None:
    times = [MARK - 3 * HOUR, MARK - 2 * HOUR, MARK - HOUR]
    body = {
        "prices": [[at, 10.0] for at in times],
        "market_caps": [[times[0], 5.0], [times[1], 0], [times[2], None]],
        "total_volumes": [[times[2], 7.0], [times[0], "8"], [times[1], 0]],
    }
    past = read_chart(json.dumps(body).encode(), "bitcoin/usd", HOURLY, NOW)
    assert np.array_equal(past.market_cap, [5.0, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(past.volume, [np.nan, 0.0, 7.0], equal_nan=True)


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        (b"<html>", Unavailable, "not_json"),
        (b'{"prices": [[1, ', Unavailable, "truncated"),
        (b"[]", Unavailable, "wrong_shape"),
        (b"{}", Unavailable, "wrong_shape"),
        (b'{"prices": null}', Unavailable, "wrong_shape"),
        (b'{"prices": [1, 2]}', Unavailable, "wrong_shape"),
        (b'{"status": {"error_code": 429}}', Unavailable, "rate_limited"),
        (b'{"error": {"status": {"error_code": 10012}}}', Refused, "plan"),
        (b"", Unavailable, "empty"),
    ],
)
def test_what_is_no_chart_is_an_error_with_a_word(body: bytes, error: type[Exception], reason: str) -> None:
    with pytest.raises(error) as caught:
        read_chart(body, "bitcoin/usd", HOURLY, NOW)
    assert getattr(caught.value, "reason", "") == reason


ODD = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=3)
)
TIMES = st.integers(NOW - 100 * 24 * HOUR, NOW + HOUR)
POINTS = st.lists(st.one_of(ODD, st.tuples(TIMES, st.floats(0, 1e12)), st.tuples(ODD, ODD)), max_size=20)


@given(POINTS, POINTS, POINTS)
def test_whatever_the_lists_hold_only_points_come_out(prices: Any, caps: Any, volumes: Any) -> None:
    body = json.dumps({"prices": prices, "market_caps": caps, "total_volumes": volumes}).encode()
    try:
        past = read_chart(body, "bitcoin/usd", HOURLY, NOW)
    except Unavailable:
        return
    times = past.observed_at
    assert np.all(np.diff(times) > 0)
    assert np.all((times <= NOW) & (times > NOW - HOURLY.back - 2 * HOUR))
    assert np.all(np.isfinite(past.price) & (past.price > 0))
    assert len(past.volume) == len(past.market_cap) == len(past)
    assert not np.any((past.volume < 0) | (past.market_cap <= 0))
