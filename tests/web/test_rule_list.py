"""The light list of rules, and one thing done to several."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from cryptowatcher.domain.rules.model import Firing, Lifecycle, rule_id
from tests.web.people import by_cookie, guarded, owner_of, person
from tests.web.world import MINUTE, NOW, World, alert, price, rule, world

Act = Callable[[World, httpx.AsyncClient], Awaitable[None]]
ID = rule_id("local", "btc drops")


def play(tmp_path: Path, act: Act) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await act(here, client)

    asyncio.run(scenario())


async def added(client: httpx.AsyncClient, name: str = "btc drops", **more: Any) -> str:
    answer = await client.post("/api/v1/rules", json=rule(name=name, **more))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def listed(client: httpx.AsyncClient, name: str = "btc drops") -> dict[str, Any]:
    items = (await client.get("/api/v1/rules/overview")).json()["items"]
    return dict(next(item for item in items if item["name"] == name))


async def many(client: httpx.AsyncClient, do: str, *ids: str, **more: str) -> Any:
    answer = await client.post("/api/v1/rules/many", json={"do": do, "ids": ids, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def stands(state: Any, pair: str = "bitcoin/usd", since: int = NOW) -> Lifecycle:
    return Lifecycle(rule=ID, version=1, pair=pair, state=state, since=since)


def test_the_state_is_the_first_that_is_so(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await here.append()
        await added(client, cooldown="1h", expires="2100-01-01")
        assert (await listed(client))["state"] == "unknown"
        seen = price("bitcoin/usd", 1.0)
        await here.watched(prices=[seen])
        assert (await listed(client))["state"] == "watching"
        await here.watched(lifecycle=[stands("pending", since=NOW - MINUTE)])
        now = await listed(client)
        assert (now["state"], now["since_ms"], now["pairs_holding"]) == ("holding", NOW - MINUTE, 1)
        await here.watched(lifecycle=[stands("inside")])
        assert (await listed(client))["state"] == "rearming"
        firing = Firing(rule=ID, pair="bitcoin/usd", last_fired_at=NOW, fired=3, suppressed=0)
        await here.watched(firings=[firing], alerts=[alert(NOW, rule=ID), alert(NOW - 8 * 86_400_000, rule=ID)])
        now = await listed(client)
        assert (now["state"], now["until_ms"]) == ("cooling", NOW + 60 * MINUTE)
        assert (now["last_fired_at_ms"], now["fired"], now["alerts_week"]) == (NOW, 3, 1)
        await many(client, "snooze", ID, **{"for": "2h"})
        now = await listed(client)
        assert (now["state"], now["until_ms"]) == ("snoozed", NOW + 120 * MINUTE)
        await many(client, "pause", ID)
        assert (await listed(client))["state"] == "paused"
        here.clock.at += 100 * 366 * 86_400_000
        await many(client, "resume", ID)
        assert (await listed(client))["state"] == "expired"

    play(tmp_path, act)


def test_of_a_rule_on_the_market_the_pairs_are_counted(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await here.append()
        await added(client, pairs=["all"])
        await here.watched(lifecycle=[stands("inside"), stands("inside", "b/usd"), stands("unarmed", "c/usd")])
        now = await listed(client)
        assert (now["state"], now["pairs_rearming"]) == ("watching", 2)

    play(tmp_path, act)


def test_a_rule_whose_channel_is_gone_says_so(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await added(client)
        async with here.client(channels=("phone",)) as later:
            now = await listed(later)
            assert (now["state"], now["problem"]) == ("broken", "there is no channel 'ops'")
            await many(later, "pause", ID)
            answer = await many(later, "resume", ID)
        assert (answer["done"], answer["not_done"][0]["name"]) == ([], "btc drops")
        assert "ops" in answer["not_done"][0]["problem"]

    play(tmp_path, act)


def test_several_are_changed_and_those_that_cannot_be_are_named(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        rules = [rule(name=f"rule {number:03d}") for number in range(120)]
        assert (await client.post("/api/v1/rules/import", json={"rules": rules, "write": True})).json()["done"]
        ids = [item["id"] for item in (await client.get("/api/v1/rules/overview")).json()["items"]]
        ending = await added(client, "ends", expires="2100-01-01")
        answer = await many(client, "pause", *ids, ids[0], "nobody's")
        assert (sorted(answer["done"]), answer["not_done"][0]["id"]) == (sorted(ids), "nobody's")
        assert (await listed(client, "rule 119"))["state"] == "paused"
        answer = await many(client, "renew", ending, ids[0], **{"for": "30d"})
        assert (answer["done"], [each["id"] for each in answer["not_done"]]) == ([ending], [ids[0]])

    play(tmp_path, act)


def test_what_was_removed_can_be_taken_in_again(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        ids = [await added(client, name, cooldown="5m") for name in ("one", "two")]
        removed = (await many(client, "remove", *ids))["removed"]
        assert (await client.get("/api/v1/rules/overview")).json()["items"] == []
        answer = await client.post("/api/v1/rules/import", json={"rules": removed, "write": True})
        assert [item["verdict"] for item in answer.json()["items"]] == ["added", "added"]
        assert (await client.get(f"/api/v1/rules/{ids[0]}")).json()["spec"]["cooldown"] == "5m"

    play(tmp_path, act)


def test_what_cannot_be_done_at_all_is_a_mistake_of_the_request(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        for body, path in (
            ({"do": "snooze", "for": "1h", "until": "2100-01-01"}, "for"),
            ({"do": "snooze", "until": "1999-01-01"}, "until"),
            ({"do": "renew", "for": "soon"}, "for"),
        ):
            answer = await client.post("/api/v1/rules/many", json={"ids": [], **body})
            assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)

    play(tmp_path, act)


def test_rules_of_others_are_not_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            anna, ben = await owner_of(here), await person(here, "ben", "user")
            async with guarded(here) as client:
                made = await client.post("/api/v1/rules", json=rule(), headers=by_cookie(anna))
                for do in ("pause", "remove", "wake"):
                    body = {"do": do, "ids": [made.json()["id"]]}
                    answer = await client.post("/api/v1/rules/many", json=body, headers=by_cookie(ben))
                    assert answer.json()["done"] == answer.json()["removed"] == []
                assert (await client.get("/api/v1/rules/overview", headers=by_cookie(ben))).json()["items"] == []
                assert (await client.get("/api/v1/rules/export", headers=by_cookie(ben))).text == ""
                (mine,) = (await client.get("/api/v1/rules/overview", headers=by_cookie(anna))).json()["items"]
                assert mine["state"] == "unknown"

    asyncio.run(scenario())


def test_rules_of_a_pair_are_those_that_look_at_it(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.put("/api/v1/watchlists/mine", json={"pairs": ["bitcoin/usd"]})
        for name, pairs in (
            ("own", ["bitcoin/usd"]),
            ("other", ["a/usd"]),
            ("all", ["all"]),
            ("on", ["list(mine)"]),
        ):
            await added(client, name, pairs=pairs)
        items = (await client.get("/api/v1/rules?pair=bitcoin/usd")).json()["items"]
        assert [item["spec"]["name"] for item in items] == ["all", "on", "own"]
        assert items[0]["origin"] == "owner"

    play(tmp_path, act)
