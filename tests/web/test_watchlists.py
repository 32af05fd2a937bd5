"""Lists of pairs through the API."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.web.test_rules import ID, changes, play
from tests.web.world import World, price, rule

LISTS = "/api/v1/watchlists"
A, B = "bitcoin/usd", "ethereum/usd"


async def put(client: httpx.AsyncClient, *pairs: str, name: str = "mine") -> httpx.Response:
    return await client.put(f"{LISTS}/{name}", json={"pairs": pairs})


def test_a_list_is_made_replaced_and_deleted(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await here.watched(prices=[price(A, 1.0)])
        made = await put(client, B, A)
        assert (made.status_code, made.json()) == (
            200,
            {"name": "mine", "pairs": [B, A], "origin": "owner", "rules": [], "unwatched_pairs": [B]},
        )
        assert (await put(client, A)).json()["pairs"] == [A]
        assert (await put(client, name="empty")).json()["pairs"] == []
        assert [each["name"] for each in (await client.get(LISTS)).json()["items"]] == ["empty", "mine"]
        assert (await client.delete(f"{LISTS}/mine")).status_code == 204
        assert (await client.delete(f"{LISTS}/mine")).status_code == 404
        assert [each["name"] for each in (await client.get(LISTS)).json()["items"]] == ["empty"]

    play(tmp_path, act)


def test_a_rule_on_a_list_takes_its_changes_from_the_journals_head(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await put(client, A)
        saved = await client.post("/api/v1/rules", json=rule(pairs=["list(mine)"]))
        assert (saved.status_code, saved.json()["unwatched_pairs"]) == (201, [A])
        head = await here.append()
        assert (await put(client, A, B)).json()["rules"] == ["btc drops"]
        first, second = await changes(here)
        assert first.rule is not None
        assert second.rule is not None
        assert (second.head, second.rule.version, second.rule.members) == (head, 1, (A, B))
        assert (await client.get(f"/api/v1/rules/{ID}")).json()["unwatched_pairs"] == [A, B]

    play(tmp_path, act)


def test_a_rule_on_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await put(client, A, name="yours")
        refused = await client.post("/api/v1/rules", json=rule(pairs=["list(mine)"]))
        assert refused.status_code == 422
        assert refused.json()["errors"] == [
            {"path": "pairs[0]", "message": "there is no list 'mine'", "hint": "there are: yours"}
        ]
        assert await changes(here) == []

    play(tmp_path, act)


def test_a_list_that_rules_are_on_is_not_deleted(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        del here
        await put(client, A)
        await client.post("/api/v1/rules", json=rule(pairs=["list(mine)"]))
        refused = await client.delete(f"{LISTS}/mine")
        assert (refused.status_code, "btc drops" in refused.json()["detail"]) == (409, True)
        await client.delete(f"/api/v1/rules/{ID}")
        assert (await client.delete(f"{LISTS}/mine")).status_code == 204

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("name", "body", "status", "path"),
    [
        ("Mine", {"pairs": []}, 422, "name"),
        ("mine", {"pairs": ["bitcoin"]}, 422, "pairs[0]"),
        ("mine", {"pairs": [A, A]}, 422, "pairs[1]"),
        ("mine", {"pairs": ["all"]}, 422, "pairs[0]"),
    ],
)
def test_a_wrong_list_is_not_saved(
    tmp_path: Path, name: str, body: dict[str, list[str]], status: int, path: str
) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        del here
        refused = await client.put(f"{LISTS}/{name}", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (status, path)
        assert (await client.get(LISTS)).json() == {"items": []}

    play(tmp_path, act)
