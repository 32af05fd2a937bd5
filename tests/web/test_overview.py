"""GET /api/v1/market: what live prices are compared with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from cryptowatcher.web.overview import FRESH_MS
from tests.web.world import MINUTE, NOW, candle, price, world

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
FIVE = 5 * MINUTE


def closing(pair: str, ended: int, close: float, interval: int) -> Any:
    return candle(ended - interval, interval, pair=pair, ohlc=(close, close, close, close))


def test_columns_hold_what_each_pair_cost_and_the_shape_of_its_week(tmp_path: Path) -> None:
    candles = [
        closing("bitcoin/usd", NOW - HOUR, 99.0, FIVE),
        closing("bitcoin/usd", NOW - DAY, 80.0, FIVE),
        closing("bitcoin/usd", NOW - 7 * DAY, 50.0, HOUR),
        closing("bitcoin/usd", NOW - 4 * HOUR, 75.0, HOUR),
    ]

    async def scenario() -> Any:
        async with world(tmp_path) as here, here.client() as client:
            prices = [price("new/usd", 2.0, market_cap=1.0), price("bitcoin/usd", 100.0, market_cap=9.0)]
            await here.watched(prices=prices, candles=candles)
            return (await client.get("/api/v1/market")).json()

    told = asyncio.run(scenario())
    assert told["at_ms"] == NOW
    assert told["pairs"] == ["bitcoin/usd", "new/usd"]
    assert told["price_1h_ago"] == [99.0, None]
    assert told["price_24h_ago"] == [80.0, None]
    assert told["price_7d_ago"] == [50.0, None]
    known = [height for height in told["spark"][0] if height is not None]
    assert known == [0, 50, 100]
    assert told["spark"][0][0] == 0
    assert told["spark"][0][-2:] == [50, 100]
    assert told["spark"][1] == [None] * 42 + [50]


def test_it_is_worked_out_once_a_minute_for_everybody(tmp_path: Path) -> None:
    async def scenario() -> list[list[str]]:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(prices=[price("bitcoin/usd", 1.0)])
            first, same = await asyncio.gather(client.get("/api/v1/market"), client.get("/api/v1/market"))
            await here.watched(prices=[price("ethereum/usd", 1.0)])
            here.clock.at += FRESH_MS - 1
            kept = await client.get("/api/v1/market")
            here.clock.at += 1
            new = await client.get("/api/v1/market")
            return [answer.json()["pairs"] for answer in (first, same, kept, new)]

    one = ["bitcoin/usd"]
    assert asyncio.run(scenario()) == [one, one, one, ["bitcoin/usd", "ethereum/usd"]]
