"""Numbers along candles as the API answers them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptowatcher.domain.candles import Candle
from tests.web.world import MINUTE, NOW, candle, price, world

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
END = NOW // HOUR * HOUR
PATH = "/api/v1/series/bitcoin/usd"


def hours(closes: list[float | None], **changes: Any) -> list[Candle]:
    """The last of them has just ended; None is an hour that nobody saw."""
    start = END - len(closes) * HOUR
    return [
        candle(start + n * HOUR, HOUR, ohlc=[close] * 4, **changes)
        for n, close in enumerate(closes)
        if close is not None
    ]


def ask(tmp_path: Path, *values: str, candles: list[Candle], **query: Any) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(candles=candles)
            here.clock.at = END
            return await client.get(PATH, params={"value": list(values), "interval": "1h", **query})

    return asyncio.run(scenario())


def only(answer: httpx.Response) -> list[float | None]:
    (item,) = answer.json()["items"]
    found: list[float | None] = item["values"]
    return found


def test_an_average_counts_the_candle_it_stands_at_and_those_before(tmp_path: Path) -> None:
    answer = ask(tmp_path, "sma(3,1h)", candles=hours([1.0, 2.0, 3.0, 4.0, 8.0]))
    body = answer.json()
    assert body["start_ms"] == [END - n * HOUR for n in (5, 4, 3, 2, 1)]
    assert only(answer) == [None, None, None, 3.0, 5.0]
    item = body["items"][0]
    assert (item["value"], item["text"], item["unit"]) == ("sma(3,1h)", "sma(3, 1h)", "price")
    assert (item["candles_ms"], item["unknown"]) == (HOUR, "")


def test_what_needs_a_past_has_it_from_before_the_stretch_that_is_asked_for(tmp_path: Path) -> None:
    candles = hours([float(n % 7 + 1) for n in range(60)])
    whole = only(ask(tmp_path, "ema(5, 1h)", candles=candles))
    some = only(ask(tmp_path, "ema(5, 1h)", candles=candles, limit=3))
    assert some == whole[-3:]
    assert None not in some


def test_an_hour_that_nobody_saw_is_a_gap_and_not_a_guess(tmp_path: Path) -> None:
    closes: list[float | None] = [float(n) for n in range(1, 30)]
    closes[12:20] = [None] * 8
    body = ask(tmp_path, "sma(3, 1h)", "price", candles=hours(closes)).json()
    average, plain = (item["values"] for item in body["items"])
    assert len(body["start_ms"]) == 21
    assert plain == [close for close in closes if close is not None]
    assert average[11] == 11.0
    assert average[12:14] == [None, None]


def test_a_candle_that_is_not_over_has_no_value_yet(tmp_path: Path) -> None:
    candles = [*hours([1.0, 2.0]), candle(END, HOUR, ohlc=[9.0] * 4, complete=False)]
    body = ask(tmp_path, "price", candles=candles).json()
    assert body["start_ms"] == [END - 2 * HOUR, END - HOUR]


def test_bars_of_other_lengths_are_read_as_they_are(tmp_path: Path) -> None:
    midnight = END // DAY * DAY
    days = [candle(midnight - (5 - n) * DAY, DAY, ohlc=[close] * 4) for n, close in enumerate([1, 2, 3, 4, 5])]
    answer = ask(tmp_path, "sma(2, 1d)", candles=[*hours([7.0] * 3), *days])
    assert only(answer) == [4.5] * 3
    assert answer.json()["items"][0]["candles_ms"] == DAY


def test_what_a_long_bar_said_is_not_held_on_to_when_the_next_ones_are_missing(tmp_path: Path) -> None:
    midnight = END // DAY * DAY
    days = [candle(midnight - (9 - n) * DAY, DAY, ohlc=[5.0] * 4) for n in range(5)]
    assert only(ask(tmp_path, "sma(2, 1d)", candles=[*hours([7.0] * 3), *days])) == [None] * 3


def test_another_pair_may_be_in_it(tmp_path: Path) -> None:
    candles = [*hours([4.0, 6.0]), *hours([2.0, 2.0], pair="ethereum/usd")]
    assert only(ask(tmp_path, "ratio(ethereum/usd)", candles=candles)) == [2.0, 3.0]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("age", "cannot be told from the prices of one pair"),
        ("change(1m)", "cannot be judged on candles of 1m"),
        ("change_since_alert(5)", "begins at a rule's own alerts"),
    ],
)
def test_what_cannot_be_drawn_says_why(tmp_path: Path, value: str, why: str) -> None:
    answer = ask(tmp_path, value, candles=hours([1.0, 2.0]))
    assert only(answer) == [None, None]
    assert why in answer.json()["items"][0]["unknown"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("price > 5", "a number is drawn, not a condition\n    price > 5\n          ^ column 7"),
        ("price +", "something is missing here\n    price +\n           ^ column 8"),
        ("12", "always the same number"),
        ("bogus", "no feature `bogus`"),
        ("rsi(14", "something is missing here"),
        ("", "something is missing here"),
    ],
)
def test_what_is_no_number_is_shown_with_its_place(tmp_path: Path, value: str, why: str) -> None:
    answer = ask(tmp_path, "price", value, candles=hours([1.0]))
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["path"] == "value[1]"
    assert why in error["message"]


def test_a_pair_that_is_not_watched_is_not_there(tmp_path: Path) -> None:
    async def scenario() -> list[httpx.Response]:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(prices=[price("a/usd", 1.0)])
            asked = [f"/api/v1/series/{pair}?value=price" for pair in ("bitcoin/usd", "a/usd")]
            return [await client.get(path) for path in asked]

    missing, empty = asyncio.run(scenario())
    assert missing.status_code == 404
    assert empty.json()["items"][0]["values"] == []


def test_values_are_asked_for_one_to_twelve_at_once(tmp_path: Path) -> None:
    assert ask(tmp_path, candles=[]).status_code == 400
    assert ask(tmp_path, *["price"] * 13, candles=[]).status_code == 400


def test_a_few_series_are_worked_out_at_once_and_others_wait_their_turn(tmp_path: Path) -> None:
    """Each reads up to hundreds of thousands of candles: all that are asked for at once would take all memory."""

    class Counting:
        def __init__(self, store: Any) -> None:
            self.store, self.now, self.most = store, 0, 0

        async def run(self, work: Any) -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            try:
                return await self.store.run(work)
            finally:
                self.now -= 1

    async def scenario() -> None:
        async with world(tmp_path) as here:
            await here.watched(candles=hours([1.0, 2.0, 3.0]))
            counting: Any = Counting(here.store)
            async with here.client(reads=counting) as client:
                asked = [client.get(PATH, params={"value": "price", "interval": "1h"}) for _ in range(12)]
                answers = await asyncio.gather(*asked)
            assert [answer.status_code for answer in answers] == [200] * 12
            assert counting.most == 2

    asyncio.run(scenario())
