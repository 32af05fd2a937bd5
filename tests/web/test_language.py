"""What whoever writes a rule is told while they write, through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.rules.language import parse
from tests.web.world import rule, world

Act = Callable[[httpx.AsyncClient], Awaitable[None]]


def play(tmp_path: Path, act: Act) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await act(client)

    asyncio.run(scenario())


async def check(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/api/v1/rules/check", json=rule(**changes))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_every_function_is_told_with_its_arguments_and_an_example_that_can_be_read(tmp_path: Path) -> None:
    async def act(client: httpx.AsyncClient) -> None:
        told = (await client.get("/api/v1/language")).json()
        assert {each["name"] for each in told["functions"]} == set(catalogue())
        by_name = {each["name"]: each for each in told["functions"]}
        numbers = {"%": "5%", "a duration": "5m"}
        for each in told["functions"]:
            parse(f"{each['example']} > {numbers.get(each['written'], '5')}")
        volatility = by_name["volatility"]
        assert volatility["signature"] == "volatility(window, interval)"
        assert volatility["arguments"][1] == {
            "name": "interval", "kind": "interval", "what": "an interval", "default": "1h"
        }  # fmt: skip
        assert by_name["rsi"]["arguments"][0]["what"] == "2 to 250"
        assert by_name["rsi"]["help"] == "the RSI of n interval candles"
        assert by_name["price"]["signature"] == "price"
        assert told["intervals"] == ["1m", "5m", "1h", "1d"]

    play(tmp_path, act)


def test_a_good_rule_is_said_in_words_and_not_saved(tmp_path: Path) -> None:
    async def act(client: httpx.AsyncClient) -> None:
        found = await check(client, pairs=["bitcoin/usd"], when="PRICE>70_000", cooldown="1h")
        assert (found["when"], found["errors"]) == ("price > 70000", [])
        assert found["words"].startswith("When the price of bitcoin/usd rises above 70000, it tells you")
        assert "at most once in 1h" in found["words"]
        assert (await client.get("/api/v1/rules")).json()["items"] == []

    play(tmp_path, act)


def test_a_name_that_is_still_missing_takes_no_words_away(tmp_path: Path) -> None:
    async def act(client: httpx.AsyncClient) -> None:
        found = await check(client, name="")
        assert [each["path"] for each in found["errors"]] == ["name"]
        assert found["words"]

    play(tmp_path, act)


def test_every_field_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    async def act(client: httpx.AsyncClient) -> None:
        wrong = {
            "name": " ",
            "pairs": ["bitcoin"],
            "when": "price >",
            "for": "soon",
            "rearm": "lots",
            "cooldown": "ever",
            "expires": "never",
            "active": "mornings",
            "remind": "1s",
            "escalate": ["phone"],
        }
        found = await check(client, **wrong)
        assert {each["path"] for each in found["errors"]} == {*wrong, "pairs[0]"} - {"pairs", "escalate"}
        assert (found["words"], found["when"]) == ("", "")
        assert all(each["column"] is None for each in found["errors"] if each["path"] != "when")

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("when", "column", "instead"),
    [
        ("price => 5", 7, "price >= 5"),
        ("rsj(14, 1h) < 30", 1, "rsi(14, 1h) < 30"),
        ("price > 5 and chnge(5m) < -5%", 15, "price > 5 and change(5m) < -5%"),
        ("price > ", 8, ""),
        ("price > (5", 9, ""),
        ("rsi < 30", 4, ""),  # what to write is told, but that is no condition
        ("drawdown(24h) < -5%", 1, "drawdown(1d) > 5%"),
    ],
)
def test_a_wrong_condition_shows_where_and_what_was_probably_meant(
    tmp_path: Path, when: str, column: int, instead: str
) -> None:
    async def act(client: httpx.AsyncClient) -> None:
        (error,) = (await check(client, when=when))["errors"]
        assert (error["path"], error["column"], error["instead"]) == ("when", column, instead)
        assert "\n" not in error["message"]

    play(tmp_path, act)


def test_what_is_no_rule_at_all_is_a_bad_request(tmp_path: Path) -> None:
    async def act(client: httpx.AsyncClient) -> None:
        for body in ({}, {**rule(), "colour": "red"}, {**rule(), "pairs": 5}):
            assert (await client.post("/api/v1/rules/check", json=body)).status_code == 400

    play(tmp_path, act)
