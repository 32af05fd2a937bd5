"""Rules through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptowatcher.domain.rules.model import Firing, Lifecycle, RuleChange, rule_id
from tests.web.world import NOW, World, price, rule, world

Act = Callable[[World, httpx.AsyncClient], Awaitable[None]]
ID = rule_id("local", "btc drops")


def play(tmp_path: Path, act: Act) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await act(here, client)

    asyncio.run(scenario())


async def changes(here: World) -> list[RuleChange]:
    return await here.store.run(lambda tx: tx.rule_changes(0))


def test_a_rule_counts_from_the_journals_head_when_it_was_saved(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await here.append()
        head = await here.append()
        answer = await client.post("/api/v1/rules", json=rule())
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/api/v1/rules/{ID}"
        assert answer.json()["id"] == ID
        assert answer.json()["version"] == 1
        assert answer.json()["spec"]["for"] == "0s"
        (change,) = await changes(here)
        assert (change.head, change.saved_at, change.owner) == (head, NOW, "local")
        assert (await client.get(answer.headers["location"])).json() == answer.json()
        assert (await client.get("/api/v1/rules")).json() == {"items": [answer.json()]}

    play(tmp_path, act)


def test_adding_the_same_rule_twice_is_adding_it_once(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        first = await client.post("/api/v1/rules", json=rule())
        again = await client.post("/api/v1/rules", json=rule())
        assert (again.status_code, again.json()) == (201, first.json())
        other = await client.post("/api/v1/rules", json=rule(when="price > 1"))
        assert other.status_code == 409
        assert f"PUT /api/v1/rules/{ID}" in other.json()["detail"]
        assert len(await changes(here)) == 1

    play(tmp_path, act)


def test_replacing_a_rules_condition_makes_a_new_version(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/rules", json=rule())
        answer = await client.put(f"/api/v1/rules/{ID}", json=rule(when="price > 1"))
        assert (answer.status_code, answer.json()["version"]) == (200, 2)
        assert (await client.get(f"/api/v1/rules/{ID}")).json()["spec"]["when"] == "price > 1"
        renamed = await client.put(f"/api/v1/rules/{ID}", json=rule(name="other"))
        assert renamed.status_code == 422
        assert renamed.json()["errors"][0]["path"] == "name"
        assert len(await changes(here)) == 2

    play(tmp_path, act)


def test_a_rule_is_paused_and_resumed_without_a_new_version(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        del here
        await client.post("/api/v1/rules", json=rule())
        paused = await client.post(f"/api/v1/rules/{ID}/pause")
        assert (paused.status_code, paused.json()["spec"]["paused"], paused.json()["version"]) == (200, True, 1)
        resumed = await client.post(f"/api/v1/rules/{ID}/resume")
        assert (resumed.status_code, resumed.json()["spec"]["paused"]) == (200, False)

    play(tmp_path, act)


def test_a_deleted_rule_is_gone(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/rules", json=rule())
        answer = await client.delete(f"/api/v1/rules/{ID}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await client.get("/api/v1/rules")).json() == {"items": []}
        assert (await changes(here))[-1].rule is None

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/rules/{}"),
        ("PUT", "/api/v1/rules/{}"),
        ("DELETE", "/api/v1/rules/{}"),
        ("POST", "/api/v1/rules/{}/pause"),
        ("POST", "/api/v1/rules/{}/resume"),
    ],
)
@pytest.mark.parametrize("address", ["r000000000000", "btc drops"])
def test_a_rule_that_is_not_there_is_a_404_and_names_are_no_addresses(
    tmp_path: Path, method: str, path: str, address: str
) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/rules", json=rule())
        body = rule() if method == "PUT" else None
        answer = await client.request(method, path.format(address), json=body)
        assert answer.status_code == 404
        assert len(await changes(here)) == 1

    play(tmp_path, act)


def test_another_owners_rule_is_not_there(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/rules", json=rule())
        async with here.client(owner="somebody") as stranger:
            assert (await stranger.get("/api/v1/rules")).json() == {"items": []}
            assert (await stranger.get(f"/api/v1/rules/{ID}")).status_code == 404
            assert (await stranger.delete(f"/api/v1/rules/{ID}")).status_code == 404

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("wrong", "path", "words"),
    [
        ({"when": "prise > 1"}, "when", "price"),
        ({"when": "price > 1 or so"}, "when", "column"),
        ({"when": "change(5m) < -5"}, "when", "percent"),
        ({"for": "soon"}, "for", "30s"),
        ({"cooldown": "1"}, "cooldown", "30s"),
        ({"pairs": []}, "pairs", "bitcoin/usd"),
        ({"pairs": ["bitcoin/usd", "btcusd"]}, "pairs[1]", "asset/currency"),
        ({"name": " "}, "name", "name"),
        ({"channels": ["ops", "phon"]}, "channels[1]", "did you mean 'phone'"),
        ({"channels": ["zzz"]}, "channels[0]", "ops, phone"),
    ],
)
def test_a_rule_that_cannot_be_says_where_and_what_to_do(
    tmp_path: Path, wrong: dict[str, Any], path: str, words: str
) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/v1/rules", json=rule(**wrong))
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        (error,) = answer.json()["errors"]
        assert error["path"] == path
        assert words in error["message"] + error["hint"]
        assert await changes(here) == []

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (b"{", []),
        (b"[]", None),
        (b'{"name": "x"}', None),
        (b'{"name": 5, "pairs": ["a/b"], "when": "price > 1"}', ["name"]),
        (b'{"name": "x", "pairs": ["a/b", 1], "when": "price > 1"}', ["pairs[1]"]),
        (b'{"name": "x", "pairs": ["a/b"], "when": "price > 1", "advise": "buy"}', None),
        (b'{"name": "x", "pairs": ["a/b"], "when": "price > 1", "advice": "hold"}', ["advice"]),
        (b"\xff", []),
        (b"", None),
    ],
)
def test_a_body_of_the_wrong_shape_is_a_400(tmp_path: Path, body: bytes, paths: list[str] | None) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.post(
            "/api/v1/rules", content=body, headers={"content-type": "application/json; charset=utf-8"}
        )
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        if paths is not None:
            assert [error["path"] for error in answer.json()["errors"]] == paths, answer.text
        assert await changes(here) == []

    play(tmp_path, act)


def test_a_rule_says_where_it_stands(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/rules", json=rule())
        await client.post("/api/v1/rules", json=rule(name="a quiet one"))
        await here.watched(
            lifecycle=[
                Lifecycle(rule=ID, version=1, pair="a/usd", state="inside", since=NOW),
                Lifecycle(rule=ID, version=1, pair="b/usd", state="inside", since=NOW),
                Lifecycle(rule=ID, version=1, pair="c/usd", state="unarmed", since=NOW),
            ],
            firings=[
                Firing(rule=ID, pair="a/usd", last_fired_at=NOW - 5, fired=2, suppressed=1),
                Firing(rule=ID, pair="b/usd", last_fired_at=NOW - 3, fired=1, suppressed=4),
            ],
        )
        quiet, loud = (await client.get("/api/v1/rules")).json()["items"]
        assert loud["lifecycle"] == {"unarmed": 1, "pending": 0, "inside": 2, "done": 0}
        assert (loud["last_fired_at_ms"], loud["last_fired_pair"]) == (NOW - 3, "b/usd")
        assert (loud["fired"], loud["suppressed"]) == (3, 5)
        assert (quiet["last_fired_at_ms"], quiet["fired"]) == (None, 0)
        assert (await client.get(f"/api/v1/rules/{ID}")).json() == loud

    play(tmp_path, act)


def test_a_rule_on_pairs_that_no_source_has_shown_is_accepted_and_names_them(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await here.watched(prices=[price("bitcoin/usd", 1.0)])
        named = rule(pairs=["btc/usd", "bitcoin/usd", "new/eur"])
        added = await client.post("/api/v1/rules", json=named)
        assert (added.status_code, added.json()["unwatched_pairs"]) == (201, ["btc/usd", "new/eur"])
        everything = await client.post("/api/v1/rules", json=rule(name="on all", pairs=["all"]))
        assert everything.json()["unwatched_pairs"] == []
        await here.watched(prices=[price("new/eur", 1.0)])
        (listed, _) = (await client.get("/api/v1/rules")).json()["items"]
        assert listed["unwatched_pairs"] == ["btc/usd"]
        changed = await client.put(f"/api/v1/rules/{ID}", json={**named, "pairs": ["new/usd"]})
        assert (changed.status_code, changed.json()["unwatched_pairs"]) == (200, ["new/usd"])

    play(tmp_path, act)


def test_a_rule_is_snoozed_and_woken(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/rules", json=rule())
        for body, until in [
            ({"for": "1h"}, NOW + 3_600_000),
            ({"until": "2027-01-16T00:00Z"}, 1_800_057_600_000),
        ]:
            answer = await client.post(f"/api/v1/rules/{ID}/snooze", json=body)
            assert (answer.status_code, answer.json()["snoozed_until_ms"]) == (200, until)
            assert (await client.get(f"/api/v1/rules/{ID}")).json() == answer.json()
            assert (await client.get("/api/v1/rules")).json()["items"] == [answer.json()]
        assert len(await changes(here)) == 1, "watch has nothing to do with it"
        assert (await client.delete(f"/api/v1/rules/{ID}/snooze")).status_code == 204
        assert (await client.get(f"/api/v1/rules/{ID}")).json()["snoozed_until_ms"] is None

    play(tmp_path, act)


def test_a_snooze_that_is_over_is_none(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/rules", json=rule())
        await client.post(f"/api/v1/rules/{ID}/snooze", json={"for": "1h"})
        here.clock.at += 3_600_000
        assert (await client.get(f"/api/v1/rules/{ID}")).json()["snoozed_until_ms"] is None

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("path", "body", "status", "where"),
    [
        ("snooze", {}, 422, "for"),
        ("snooze", {"for": "1h", "until": "2027-02-01"}, 422, "for"),
        ("snooze", {"for": "soon"}, 422, "for"),
        ("snooze", {"until": "2020-01-01"}, 422, "until"),
        ("snooze", {"untill": "2027-02-01"}, 400, ""),
        ("renew", {"for": "a while"}, 422, "for"),
        ("renew", {"for": "0s"}, 422, "for"),
        ("renew", {}, 400, ""),
    ],
)
def test_a_wrong_snooze_or_renewal_says_which_field(
    tmp_path: Path, path: str, body: dict[str, str], status: int, where: str
) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/rules", json=rule(expires="2027-02-01"))
        answer = await client.post(f"/api/v1/rules/{ID}/{path}", json=body)
        assert answer.status_code == status, answer.text
        assert where in [error["path"] for error in answer.json()["errors"]] or not where
        assert (await client.post(f"/api/v1/rules/nope/{path}", json={"for": "1h"})).status_code == 404

    play(tmp_path, act)


def test_a_renewed_rule_ends_later_and_is_the_same(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        added = await client.post("/api/v1/rules", json=rule(expires="2027-01-16"))
        assert added.json()["expires_at_ms"] == 1_800_057_600_000
        answer = await client.post(f"/api/v1/rules/{ID}/renew", json={"for": "30d"})
        assert answer.status_code == 200
        assert answer.json()["expires_at_ms"] == NOW + 30 * 86_400_000
        assert answer.json()["version"] == 1
        expires = answer.json()["spec"]["expires"]
        assert answer.json()["spec"] == {**added.json()["spec"], "expires": expires}

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("expires", "next year", "2027-01-31T12:00Z"),
        ("active", "mon-fri 08:00-22:00 Berlin", "did you mean Europe/Berlin?"),
        ("remind", "10s", "10m"),
        ("escalate", ["phone"], 'remind = "10m"'),
    ],
)
def test_a_wrong_end_wrong_hours_or_reminders_say_what_to_write(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/v1/rules", json=rule(**{field: value}))
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["path"] == field
        assert words in error["hint"]

    play(tmp_path, act)


def test_a_rule_that_reminds_names_channels_that_there_are(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        added = await client.post("/api/v1/rules", json=rule(remind="10m", escalate=["phone"]))
        assert (added.status_code, added.json()["spec"]["escalate"]) == (201, ["phone"])
        body = rule(remind="10m", escalate=["ops", "phome"])
        refused = await client.put(f"/api/v1/rules/{added.json()['id']}", json=body)
        assert refused.status_code == 422
        (error,) = refused.json()["errors"]
        assert (error["path"], error["hint"]) == ("escalate[1]", "did you mean 'phone'?")
        changed = await client.put(f"/api/v1/rules/{added.json()['id']}", json=rule(remind="1h"))
        assert (changed.status_code, changed.json()["version"]) == (200, 1)

    play(tmp_path, act)
