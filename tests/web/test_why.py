"""Why a rule has not fired, through the API: beside a watcher, from what it left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptowatcher.domain.records import Ticks
from cryptowatcher.domain.rules.model import rule_id
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.web.problems import Problem
from cryptowatcher.web.why import Recollection
from tests.pipeline.inline import Reading
from tests.web.world import MINUTE, NOW, World, alert, rule, world

Act = Callable[[World, httpx.AsyncClient], Awaitable[None]]
ID = rule_id("local", "btc drops")
PATH = f"/api/v1/rules/{ID}/why"


def play(tmp_path: Path, act: Act) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await act(here, client)

    asyncio.run(scenario())


async def prices(here: World, *values: float, pair: str = "bitcoin/usd") -> None:
    """A record each, a minute apart."""
    for value in values:
        here.clock.at += MINUTE
        await here.append(Ticks(one_instant({pair: value}, observed_at=here.clock.at, source="coingecko")))


async def watch(here: World) -> None:
    """A watcher comes, follows to the head, and goes."""
    watch = Watch(here.journal, here.store, here.clock, channels=())
    await watch.recover()
    while await watch.advance():
        pass
    await watch.close()


async def added(client: httpx.AsyncClient, **more: Any) -> None:
    assert (await client.post("/api/v1/rules", json=rule(**more))).status_code == 201


def test_what_is_missing_is_told_in_numbers_and_words(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await added(client, when="price >= 70000")
        await prices(here, 60_000, 61_200)
        await watch(here)
        answer = (await client.get(PATH)).json()
        assert (answer["rule"], answer["pair"], answer["state"]) == (ID, "bitcoin/usd", "waiting")
        assert answer["says"] == (
            "It has not fired because the price is 61,200 and must rise to 70,000 (8,800 or 14.4% to go)."
        )
        (part,) = answer["parts"]
        assert (part["left"], part["right"], part["distance"], part["truth"]) == (61_200, 70_000, 8_800, "fails")
        assert (answer["observed_at_ms"], answer["at_ms"]) == (NOW + 2 * MINUTE, NOW + 2 * MINUTE)
        assert answer["source"] == "coingecko"

    play(tmp_path, act)


def test_where_it_fired_and_a_snooze_are_told_too(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await added(client, when="price >= 70000")
        await prices(here, 60_000, 71_000)
        await watch(here)
        assert (await client.post(f"/api/v1/rules/{ID}/snooze", json={"for": "1h"})).status_code == 200
        answer = (await client.get(PATH)).json()
        assert (answer["state"], answer["met"], answer["fired"]) == ("inside", "fired", 1)
        assert answer["last_fired_at_ms"] == answer["since_ms"] == NOW + 2 * MINUTE
        assert answer["snoozed_until_ms"] == here.clock.at + 60 * MINUTE

    play(tmp_path, act)


@pytest.mark.parametrize("pairs", [["bitcoin/usd", "ethereum/usd"], ["all"], ["top(5)"]])
def test_of_several_pairs_one_must_be_named(tmp_path: Path, pairs: list[str]) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await added(client, when="price >= 70000", pairs=pairs)
        await prices(here, 60_000)
        await watch(here)
        answer = await client.get(PATH)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["path"] == "pair"
        assert (await client.get(PATH, params={"pair": "bitcoin/usd"})).json()["pair"] == "bitcoin/usd"

    play(tmp_path, act)


def test_what_cannot_be_asked_is_said_to_be_so(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        assert (await client.get(PATH)).status_code == 404
        await added(client, when="price >= 70000")
        assert (await client.get(PATH, params={"pair": "no pair"})).status_code == 400
        assert (await client.get("/api/v1/rules/btc drops/why")).status_code == 404, "names are no addresses"
        before = await client.get(PATH)
        assert (before.status_code, before.headers["retry-after"]) == (503, "1")
        async with here.client(owner="somebody") as stranger:
            assert (await stranger.get(PATH)).status_code == 404

    play(tmp_path, act)


def test_a_rule_that_was_just_added_is_new_until_the_watcher_comes_to_it(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await prices(here, 60_000)
        await watch(here)
        await added(client, when="price >= 70000")
        assert (await client.get(PATH)).json()["state"] == "new"

    play(tmp_path, act)


def test_ten_rules_cost_one_recall(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            for number in range(10):
                await added(client, name=f"rule {number}", when=f"price >= {70_000 + number}")
            await prices(here, 60_000)
            await watch(here)
            await prices(here, 61_000, 62_000)
            journal = Reading(here.journal)
            reads = 0

            async def count() -> None:
                nonlocal reads
                reads += 1

            journal.before_read = count
            # A watcher that is ahead of its checkpoint, so that a recall has something to read.
            ahead = Watch(here.journal, here.store, here.clock, channels=())
            await ahead.recover()
            await ahead.advance()
            async with here.client(journal=journal) as asking:
                paths = [f"/api/v1/rules/{rule_id('local', f'rule {number}')}/why" for number in range(10)]
                answers = await asyncio.gather(*map(asking.get, paths))
            assert [answer.json()["parts"][0]["right"] for answer in answers] == [70_000 + n for n in range(10)]
            assert {answer.json()["price"] for answer in answers} == {62_000}
            assert reads == 1

    asyncio.run(scenario())


def test_a_recall_is_let_go_and_a_failed_one_is_not_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            recollection = Recollection(fresh_for=0.0)
            with pytest.raises(Problem):
                await recollection(here.deps())
            await prices(here, 60_000)
            await watch(here)
            first = await recollection(here.deps())
            await prices(here, 61_000)
            await watch(here)
            while (second := await recollection(here.deps())) is first:  # noqa: ASYNC110  the loop lets it go
                await asyncio.sleep(0)
            assert [engine.memory.history.price[0] for engine in (first, second)] == [60_000, 61_000]

    asyncio.run(scenario())


# --- what happened the last times ------------------------------------------------------------------


def test_an_alert_tells_of_those_before_it_for_its_rule_and_pair(tmp_path: Path) -> None:
    mine = [alert(NOW + n, price=100.0 + n, value=1.0 + n) for n in range(14)]
    others = [alert(NOW + 5, rule="r2"), alert(NOW + 5, pair="ethereum/usd")]

    async def act(here: World, client: httpx.AsyncClient) -> None:
        await here.watched(alerts=[*mine, *others])
        answer = (await client.get(f"/api/v1/alerts/{mine[12].id}")).json()
        assert answer["id"] == mine[12].id
        assert [each["id"] for each in answer["earlier"]] == [each.id for each in reversed(mine[2:12])]
        newest = answer["earlier"][0]
        assert (newest["event_time_ms"], newest["price"], newest["value"]) == (NOW + 11, 111.0, 12.0)
        assert (await client.get(f"/api/v1/alerts/{mine[0].id}")).json()["earlier"] == []

    play(tmp_path, act)
