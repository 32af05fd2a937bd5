"""Rules as a file through the API: first what would be done, then all of it or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from cryptowatcher.domain.rules.exchange import MOST
from tests.web.world import World, rule, world

Act = Callable[[World, httpx.AsyncClient], Awaitable[None]]
GOOD = '[[rules]]\nname = "good"\npairs = ["bitcoin/usd"]\nwhen = "price > 1"\n'
BAD = '[[rules]]\nname = "bad"\npairs = ["bitcoin/usd"]\nwhen = "price >> 1"\n'


def play(tmp_path: Path, act: Act) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await act(here, client)

    asyncio.run(scenario())


async def taken(client: httpx.AsyncClient, text: str, **more: Any) -> Any:
    answer = await client.post("/api/v1/rules/import", json={"text": text, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def names(client: httpx.AsyncClient) -> list[str]:
    return [item["name"] for item in (await client.get("/api/v1/rules/overview")).json()["items"]]


def test_what_was_exported_is_the_same_when_it_comes_back(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        evil = 'a "quoted" \\ name ☂ \u202e [[rules]] # no'
        await client.put("/api/v1/watchlists/mine", json={"pairs": ["bitcoin/usd"]})
        for body in (rule(name=evil, cooldown="1h"), rule(name="on", pairs=["list(mine)"], paused=True)):
            assert (await client.post("/api/v1/rules", json=body)).status_code == 201
        before = (await client.get("/api/v1/rules")).json()["items"]
        answer = await client.get("/api/v1/rules/export")
        assert answer.headers["content-type"] == "application/toml; charset=utf-8"
        assert "rules.toml" in answer.headers["content-disposition"]
        assert [item["verdict"] for item in (await taken(client, answer.text))["items"]] == ["same", "same"]
        for each in before:
            await client.delete(f"/api/v1/rules/{each['id']}")
        await client.delete("/api/v1/watchlists/mine")
        found = await taken(client, answer.text, write=True)
        assert (found["done"], found["lists"]) == (True, ["mine"])
        after = (await client.get("/api/v1/rules")).json()["items"]
        assert [each["spec"] for each in after] == [each["spec"] for each in before]

    play(tmp_path, act)


def test_some_rules_are_exported_by_id(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        ids = [(await client.post("/api/v1/rules", json=rule(name=name))).json()["id"] for name in ("a", "b", "c")]
        text = (await client.get(f"/api/v1/rules/export?rule={ids[0]},{ids[2]}")).text
        assert [line for line in text.splitlines() if "name" in line] == ['name = "a"', 'name = "c"']

    play(tmp_path, act)


def test_nothing_is_written_before_it_is_asked_for_nor_while_one_is_refused(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        found = await taken(client, GOOD + BAD)
        assert [(item["verdict"], item["line"], item["where"]) for item in found["items"]] == [
            ("added", 1, ""),
            ("refused", 8, "when"),
        ]
        assert (found["done"], await names(client)) == (False, [])
        found = await taken(client, GOOD + BAD, write=True)
        assert (found["done"], await names(client)) == (False, [])
        found = await taken(client, GOOD + BAD, write=True, leave_out=True)
        assert (found["done"], await names(client)) == (True, ["good"])

    play(tmp_path, act)


def test_many_at_once_are_taken_in_one_transaction(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        head = await here.append()
        text = "".join(GOOD.replace('"good"', f'"good {number}"') for number in range(700))
        assert (await taken(client, text, write=True))["done"]
        changes = await here.store.run(lambda tx: tx.rule_changes(0))
        assert [change.number for change in changes] == list(range(1, 701))
        assert {change.head for change in changes} == {head}

    play(tmp_path, act)


def test_what_is_no_file_of_rules_is_a_mistake_of_the_request(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        for body in ({}, {"text": "[[rules]"}, {"text": "a = 1"}, {"text": GOOD, "rules": [rule()]}):
            answer = await client.post("/api/v1/rules/import", json=body)
            assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "text")
        large = {"text": "#" * 9_000_000}
        assert (await client.post("/api/v1/rules/import", json=large)).status_code == 413

    play(tmp_path, act)


def test_too_many_rules_are_refused_whichever_way_they_come(tmp_path: Path) -> None:
    text = "\n".join(["[[rules]]\nname = 'a'\npairs = ['all']\nwhen = 'price > 1'"] * (MOST + 1))
    bodies = ({"rules": [rule()] * (MOST + 1)}, {"text": text})

    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            for body in bodies:
                answer = await client.post("/api/v1/rules/import", json=body)
                assert answer.status_code == 422
                (error,) = answer.json()["errors"]
                assert (error["path"], "10,001 rules" in error["message"]) == (next(iter(body)), True)

    asyncio.run(scenario())
