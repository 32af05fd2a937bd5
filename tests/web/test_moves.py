"""A move as the API and the command line tell it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.records import Held, Ticks, Verdict
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.ticks import TickBatch, one_instant
from cryptowatcher.explaining import MOST_RECORDS
from tests.web.world import MINUTE, NOW, alert, candle, price, world

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
END = NOW // HOUR * HOUR
PATH = "/api/v1/moves/bitcoin/usd"
COINS = {"bitcoin": 1.10, "ethereum": 1.02, "solana": 0.97, "cardano": 1.20, "aave": 1.01, "tether": 1.0}
"""By how much each of them stands higher after the last hour."""


def hours(coin: str, *, before: int = 200) -> list[Candle]:
    """Up and down by a hundredth, and in the last hour by what stands above."""
    closes = [100.0 + number % 2 for number in range(before)]
    closes.append(closes[-1] * COINS[coin])
    start = END - len(closes) * HOUR
    return [
        candle(start + n * HOUR, HOUR, ohlc=[close] * 4, pair=f"{coin}/usd", volume_24h=50.0)
        for n, close in enumerate(closes)
    ]


def market() -> dict[str, Any]:
    prices: list[Price] = [price(f"{coin}/usd", 1.0, at=END - 10 * MINUTE) for coin in COINS]
    return {"candles": [each for coin in COINS for each in hours(coin)], "prices": prices}


def ticks(at: int, pair: str = "bitcoin/usd", value: float = 100.0) -> TickBatch:
    return one_instant({pair: value}, observed_at=at, source="kraken")


async def asked(client: httpx.AsyncClient, path: str = PATH, begin: int = END - HOUR) -> httpx.Response:
    return await client.get(path, params={"from": begin, "to": END})


def play(
    tmp_path: Path, *, path: str = PATH, effects: dict[str, Any] | None = None, begin: int = END - HOUR
) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(**(effects or market()))
            here.clock.at = END
            return await asked(client, path, begin)

    return asyncio.run(scenario())


def test_a_move_is_held_against_its_past_the_market_and_bitcoin(tmp_path: Path) -> None:
    body = play(tmp_path, path="/api/v1/moves/ethereum/usd").json()
    assert body["change"] == pytest.approx(0.02)
    assert body["bitcoin"] == pytest.approx(0.10)
    assert (body["market"]["pairs"], body["market"]["up"], body["market"]["down"]) == (6, 4, 1)
    assert body["market"]["further"] == pytest.approx(2 / 5)
    assert body["usual"]["smaller"] == 1.0
    assert body["usual"]["median"] == pytest.approx(0.01, abs=1e-3)
    assert body["inside"]["watched"] == 1.0
    assert body["volume"]["times"] == 1.0
    assert body["says"][0] == {"about": "move", "says": body["says"][0]["says"]}
    assert "ethereum/usd rose 2%" in body["says"][0]["says"]


def test_bitcoin_is_not_held_against_itself(tmp_path: Path) -> None:
    assert play(tmp_path).json()["bitcoin"] is None


def test_only_pairs_in_the_same_currency_are_its_market(tmp_path: Path) -> None:
    effects = market()
    effects["prices"] += [price(f"{coin}/eur", 1.0, at=END - 10 * MINUTE) for coin in COINS]
    effects["candles"] += [
        msgspec.structs.replace(each, pair=f"{coin}/eur") for coin in COINS for each in hours(coin, before=5)
    ]
    assert play(tmp_path, effects=effects).json()["market"]["pairs"] == 6


def test_without_a_price_at_its_beginning_nothing_is_guessed(tmp_path: Path) -> None:
    body = play(tmp_path, begin=END - 300 * HOUR).json()
    assert (body["begin"], body["change"], body["usual"]["smaller"]) == (None, None, None)
    assert "is not known" in body["says"][0]["says"]


def test_who_saw_it_and_what_was_held_back_is_read_from_the_journal(tmp_path: Path) -> None:
    async def scenario() -> Any:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(**market())
            here.clock.at = END - 2 * HOUR
            await here.append(Ticks(ticks(END - 2 * HOUR)))
            for late in (50, 30, 10):
                here.clock.at = END - late * MINUTE
                await here.append(Ticks(ticks(here.clock.at)), Ticks(ticks(here.clock.at, "aave/usd")))
            await here.append(
                Held(ticks(here.clock.at), "jump"), Verdict(ticks(here.clock.at), True, "kraken agrees")
            )
            here.clock.at = END
            return (await asked(client)).json()["witnesses"]

    found = asyncio.run(scenario())
    assert found["seen"] == {"kraken": 3}
    assert (found["held"], found["believed"], found["dismissed"], found["unknown"]) == (1, 1, 0, "")
    assert found["from_ms"] == END - 50 * MINUTE


def test_a_stretch_that_is_too_long_to_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_RECORDS > 6 * 3600, "some hours of beats are read"
    monkeypatch.setattr("cryptowatcher.explaining.MOST_RECORDS", 3)

    async def scenario() -> Any:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(**market())
            here.clock.at = END - MINUTE
            for _ in range(5):
                await here.append()
            here.clock.at = END
            return (await asked(client)).json()["witnesses"]

    assert "too long" in asyncio.run(scenario())["unknown"]


def test_alerts_in_it_are_the_askers_own_of_that_pair_and_time(tmp_path: Path) -> None:
    inside, other, before = alert(END - MINUTE), alert(END - MINUTE, pair="aave/usd"), alert(END - 2 * HOUR)
    theirs = alert(END - 2 * MINUTE, rule="r2", owner="somebody")
    body = play(tmp_path, effects={**market(), "alerts": [inside, other, before, theirs]}).json()
    assert [each["id"] for each in body["alerts"]] == [inside.id]
    assert body["says"][-1]["says"] == "1 alert of yours fired for it."


def test_the_newest_price_is_its_end_while_it_goes_on(tmp_path: Path) -> None:
    effects = market()
    effects["prices"] = [price("bitcoin/usd", 202.0, at=END)]
    assert play(tmp_path, effects=effects).json()["end"] == 202.0


@pytest.mark.parametrize("begin", [END, END + HOUR, END - 2000 * DAY])
def test_a_stretch_that_is_none_is_refused(tmp_path: Path, begin: int) -> None:
    answer = play(tmp_path, begin=begin)
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["from"]


def test_a_length_that_is_none_is_refused(tmp_path: Path) -> None:
    answer = asyncio.run(by_last(tmp_path, "soon"))
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["last"]


async def by_last(tmp_path: Path, last: str) -> httpx.Response:
    async with world(tmp_path) as here, here.client() as client:
        await here.watched(**market())
        here.clock.at = END
        return await client.get(PATH, params={"last": last})


def test_without_times_it_is_the_last_day(tmp_path: Path) -> None:
    body = asyncio.run(by_last(tmp_path, "24h")).json()
    assert (body["from_ms"], body["to_ms"]) == (END - DAY, END)


def test_a_pair_that_is_not_watched_is_not_there(tmp_path: Path) -> None:
    assert play(tmp_path, path="/api/v1/moves/btc/usd").status_code == 404
