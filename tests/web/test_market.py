"""Prices and candles as the API answers them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptowatcher.domain.candles import Candle, roll_up
from cryptowatcher.domain.intervals import INTERVALS
from tests.web.world import MINUTE, NOW, candle, price, world

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
MIDNIGHT = NOW // DAY * DAY


def ask(tmp_path: Path, path: str, *, at: int = NOW, **effects: Any) -> httpx.Response:
    """What the API answers after these effects."""

    async def scenario() -> httpx.Response:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(**effects)
            here.clock.at = at
            return await client.get(path)

    return asyncio.run(scenario())


def test_prices_come_with_the_largest_market_first(tmp_path: Path) -> None:
    prices = [price("a/usd", 1.0, market_cap=1.0), price("b/usd", 2.0, market_cap=9.0), price("c/usd", 3.0)]
    answer = ask(tmp_path, "/api/v1/prices", prices=prices).json()
    assert [item["pair"] for item in answer["items"]] == ["b/usd", "a/usd", "c/usd"]
    assert answer["at_ms"] == NOW
    assert answer["items"][2]["market_cap"] is None


def test_a_pair_is_two_segments_of_the_path(tmp_path: Path) -> None:
    answer = ask(tmp_path, "/api/v1/prices/bitcoin/usd", prices=[price("bitcoin/usd", 70_000.5)])
    assert answer.status_code == 200
    assert answer.json() == {
        "pair": "bitcoin/usd",
        "price": 70_000.5,
        "volume_24h": None,
        "market_cap": None,
        "observed_at_ms": NOW,
        "received_at_ms": NOW,
        "valid_until_ms": NOW + 5 * MINUTE,
        "source": "coingecko",
    }


def test_ids_with_strange_letters_are_found(tmp_path: Path) -> None:
    answer = ask(tmp_path, "/api/v1/prices/caf%C3%A9-%F0%9F%8D%95/usd", prices=[price("café-🍕/usd", 1.5)])
    assert answer.json()["price"] == 1.5


@pytest.mark.parametrize("path", ["/api/v1/prices/btc/usd", "/api/v1/candles/btc/usd"])
def test_a_pair_that_is_not_watched_is_not_there(tmp_path: Path, path: str) -> None:
    answer = ask(tmp_path, path, prices=[price("bitcoin/usd", 1.0)])
    assert answer.status_code == 404
    assert "btc/usd" in answer.json()["detail"]


def test_candles_are_the_newest_of_the_range_oldest_first(tmp_path: Path) -> None:
    stored = [candle(NOW + n * MINUTE, ohlc=(n, n, n, n)) for n in range(1, 6)]
    path = f"/api/v1/candles/bitcoin/usd?interval=1m&from={NOW + 2 * MINUTE}&to={NOW + 5 * MINUTE}&limit=2"
    answer = ask(tmp_path, path, candles=stored).json()
    assert [item["open"] for item in answer["items"]] == [3, 4]
    assert (answer["from_ms"], answer["to_ms"]) == (NOW + 2 * MINUTE, NOW + 5 * MINUTE)


def test_times_may_be_written_as_dates(tmp_path: Path) -> None:
    path = "/api/v1/candles/bitcoin/usd?interval=1m&from=1970-01-01T00:01:00Z&to=1970-01-01T00:03:00"
    stored = [candle(n * MINUTE) for n in range(5)]
    items = ask(tmp_path, path, candles=stored).json()["items"]
    assert [item["start_ms"] for item in items] == [MINUTE, 2 * MINUTE]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("from=yesterday", "from"),
        ("to=1e9", "to"),
        ("from=-5", "from"),
        ("to=999999999999999", "to"),
        ("from=2000&to=1000", "from"),
        ("interval=2m", "interval"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(tmp_path: Path, query: str, name: str) -> None:
    answer = ask(tmp_path, f"/api/v1/candles/bitcoin/usd?{query}", candles=[candle(NOW)])
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["path"] for error in answer.json()["errors"]] == [name]


def test_the_forming_day_is_made_of_hours_and_minutes(tmp_path: Path) -> None:
    """Yesterday is stored; today stands in one closed hour, one closed five minutes and two minutes after it."""
    stored = [
        candle(MIDNIGHT - DAY, DAY, ohlc=(1, 2, 0.5, 1.5)),
        candle(MIDNIGHT, HOUR, ohlc=(10, 20, 9, 15), ticks=60),
        candle(MIDNIGHT + HOUR, 5 * MINUTE, ohlc=(15, 16, 4, 5), ticks=5),
        *(candle(MIDNIGHT + n * MINUTE, ohlc=(15, 16, 4, 5)) for n in range(60)),
        candle(MIDNIGHT + HOUR + 5 * MINUTE, 5 * MINUTE, ohlc=(5, 5, 5, 5), complete=False),
        candle(MIDNIGHT + HOUR + 5 * MINUTE, ohlc=(5, 30, 5, 6)),
        candle(MIDNIGHT + HOUR + 6 * MINUTE, ohlc=(6, 7, 6, 7), complete=False),
    ]
    at = MIDNIGHT + HOUR + 6 * MINUTE + 30_000
    items = ask(tmp_path, "/api/v1/candles/bitcoin/usd?interval=1d", at=at, candles=stored).json()["items"]
    assert [item["start_ms"] for item in items] == [MIDNIGHT - DAY, MIDNIGHT]
    today = items[1]
    assert [today[key] for key in ("open", "high", "low", "close")] == [10, 30, 4, 7]
    assert today["ticks"] == 67
    assert not today["complete"]
    assert items[0]["complete"]


def test_a_forming_candle_that_knows_more_is_kept(tmp_path: Path) -> None:
    stored = [
        candle(MIDNIGHT, HOUR, ohlc=(1, 9, 1, 9), ticks=9, complete=False),
        candle(MIDNIGHT, MINUTE, ohlc=(1, 2, 1, 2), ticks=2),
    ]
    path = "/api/v1/candles/bitcoin/usd?interval=1h"
    items = ask(tmp_path, path, at=MIDNIGHT + 2 * MINUTE, candles=stored).json()["items"]
    assert [(item["close"], item["ticks"]) for item in items] == [(9, 9)]


def test_no_candles_of_a_watched_pair_is_an_empty_list(tmp_path: Path) -> None:
    answer = ask(tmp_path, "/api/v1/candles/bitcoin/usd", prices=[price("bitcoin/usd", 1.0)])
    assert (answer.status_code, answer.json()["items"]) == (200, [])


def minutes(closes: list[float | None], start: int = MIDNIGHT) -> list[Candle]:
    """One candle a minute; None is a minute nobody saw."""
    return [candle(start + n * MINUTE, ohlc=(c, c + 1, c - 1, c)) for n, c in enumerate(closes) if c is not None]


def test_what_is_rolled_up_ends_complete_only_when_its_parts_reach_the_end() -> None:
    assert [c.complete for c in roll_up(minutes([1.0] * 10), 5 * MINUTE)] == [True, True]
    assert [c.complete for c in roll_up(minutes([1.0] * 9), 5 * MINUTE)] == [True, False]
    holes = minutes([1.0, None, None, None, None, 2.0])
    assert [c.complete for c in roll_up(holes, 5 * MINUTE)] == [True, False]


@given(st.lists(st.none() | st.floats(1, 100), max_size=200))
def test_rolling_up_in_two_steps_is_rolling_up_in_one(closes: list[float | None]) -> None:
    parts = minutes(closes)
    assert roll_up(roll_up(parts, 5 * MINUTE), HOUR) == roll_up(parts, HOUR)


@given(st.lists(st.none() | st.floats(1, 100), min_size=1, max_size=200))
def test_rolling_up_keeps_what_was_seen(closes: list[float | None]) -> None:
    parts = minutes(closes)
    hours = roll_up(parts, HOUR)
    assert sum(c.ticks for c in hours) == len(parts)
    assert sum(c.observed_ms for c in hours) == len(parts) * MINUTE
    assert max((c.high for c in hours), default=0) == max((c.high for c in parts), default=0)
    assert min((c.low for c in hours), default=0) == min((c.low for c in parts), default=0)


QUERIES = st.dictionaries(
    st.sampled_from(["interval", "from", "to", "limit", "before", "rule", "pair", "state", "alert"]),
    st.text(max_size=30)
    | st.integers(-(10**18), 10**18).map(str)
    | st.sampled_from(
        [*INTERVALS, "sent", "nan", "1e400", "0000-00-00", "9999-12-31T23:59:59+23:59", "\0", "\ud7ff"]
    ),
    max_size=4,
)
PATHS = st.sampled_from(
    ["/api/v1/candles/bitcoin/usd", "/api/v1/alerts", "/api/v1/deliveries", "/api/v1/prices", "/api/v1/sources"]
)


def test_no_query_makes_a_bug_of_itself(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(candles=[candle(NOW)], prices=[price("bitcoin/usd", 1.0)])
            for path, query in cases:
                answer = await client.get(path, params=query)
                assert answer.status_code in (200, 400), (path, query, answer.text)

    cases: list[tuple[str, dict[str, str]]] = []

    @settings(max_examples=150, deadline=None, database=None)
    @given(PATHS, QUERIES)
    def gather(path: str, query: dict[str, str]) -> None:
        cases.append((path, query))

    gather()
    asyncio.run(scenario())
