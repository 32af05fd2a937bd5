"""Where a rule would have fired, through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptowatcher.domain.hindsight import History
from cryptowatcher.domain.rules.model import RuleSpec, rule_id
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.previewing import Trial, try_rule
from cryptowatcher.web.preview import Turns
from cryptowatcher.web.problems import Problem
from tests.web.world import MINUTE, NOW, World, candle, rule, world

Act = Callable[[World, httpx.AsyncClient], Awaitable[None]]
ID = rule_id("local", "btc drops")
PATH = "/api/v1/rules/preview"
END = NOW - NOW % (60 * MINUTE)
N = 2_000
"""Minutes; in each hundredth the price was 3, else 1."""


def play(tmp_path: Path, act: Act) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            prices = [3.0 if number % 100 == 50 else 1.0 for number in range(N)]
            await here.watched(
                candles=[candle(END - (N - n) * MINUTE, ohlc=[price] * 4) for n, price in enumerate(prices)]
            )
            await act(here, client)

    asyncio.run(scenario())


async def ask(client: httpx.AsyncClient, when: str = "price >= 2", **more: Any) -> tuple[int, dict[str, Any]]:
    answer = await client.post(PATH, json={"when": when, "pair": "bitcoin/usd", **more})
    return answer.status_code, answer.json()


def test_a_rule_that_is_not_saved_is_tried_and_not_saved(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        status, body = await ask(client, advice="buy")
        assert (status, body["fired"], len(body["firings"]), body["unknown"]) == (200, 20, 20, "")
        assert (body["candles_ms"], body["observations"], body["to_ms"]) == (MINUTE, N, END)
        assert body["when"] == "price >= 2"
        assert body["words"].startswith("When the price of bitcoin/usd rises to 2 or above")
        first = body["firings"][0]
        assert first["price"] == 3.0
        assert first["after"] == [pytest.approx(1 / 3 - 1), pytest.approx(1 / 3 - 1), None]
        assert [score["horizon_ms"] for score in body["scores"]] == body["horizons_ms"]
        assert body["scores"][0]["label"] == "19 firings, too few to say"
        assert (await client.get("/api/v1/rules")).json() == {"items": []}

    play(tmp_path, act)


def test_how_far_back_and_what_else_a_rule_says_counts(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        assert (await ask(client, since="10h"))[1]["fired"] == 6
        assert (await ask(client, cooldown="24h"))[1]["fired"] == 2
        assert (await ask(client, repeat="once"))[1]["fired"] == 1
        assert (await ask(client, **{"for": "5m"}))[1]["fired"] == 0
        status, body = await ask(client, fee="1%", advice="sell")
        assert (status, body["scores"][0]["fee"]) == (200, 0.01)

    play(tmp_path, act)


def test_a_number_is_suggested_for_a_wished_number_of_alerts(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        assert (await ask(client))[1]["suggestion"] is None
        suggestion = (await ask(client, "price >= 7", a_week=100))[1]["suggestion"]
        assert (suggestion["when"], suggestion["constant"], suggestion["reason"]) == ("price >= 3", 3.0, "")

    play(tmp_path, act)


def test_the_chart_shows_every_extreme_and_how_near_it_came_to_firing(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        assert (await ask(client))[1]["chart"] is None
        body = (await ask(client, bars=40))[1]
        chart = body["chart"]
        assert (chart["interval_ms"], len(chart["close"])) == (60 * MINUTE, 34)  # of half an hour it were too many
        starts = chart["start_ms"]
        assert starts == [
            END - N * MINUTE + 20 * MINUTE - 60 * MINUTE + n * 60 * MINUTE for n in range(len(starts))
        ]
        highs = [3.0 if any(start <= at - 1 < start + 60 * MINUTE for at in jumps()) else 1.0 for start in starts]
        assert chart["high"] == highs
        assert (set(chart["low"]), set(chart["close"]), chart["value"]) == ({1.0}, {1.0}, [])
        assert body["threshold"] == {"name": "price", "constant": 2.0, "rises": True, "unit": "price"}

        moved = (await ask(client, "change(2m) >= 50%", bars=40))[1]
        assert moved["threshold"]["unit"] == "fraction"
        assert moved["chart"]["value"] == [pytest.approx(high - 1) for high in moved["chart"]["high"]]
        fell = (await ask(client, "change(2m) <= -50%", bars=40))[1]
        assert min(fell["chart"]["value"]) == pytest.approx(1 / 3 - 1)
        several = (await ask(client, "price >= 2 or price < 1", bars=40))[1]
        assert (several["threshold"], several["chart"]["value"]) == (None, [])
        assert (await ask(client, pair="nobody/usd", bars=40))[1]["chart"] is None

    play(tmp_path, act)


def jumps() -> list[int]:
    """When the minutes ended in which the price was 3."""
    return [END - (N - n - 1) * MINUTE for n in range(N) if n % 100 == 50]


def test_what_cannot_be_said_is_unknown(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        status, body = await ask(client, pair="nobody/usd")
        assert (status, body["unknown"]) == (200, "there are no prices of nobody/usd")
        assert (body["a_week"], body["from_ms"], body["scores"], body["fired"]) == (None, None, [], 0)

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"when": "price => 2"}, "when"),
        ({"pair": "bitcoin"}, "pair"),
        ({"for": "soon"}, "for"),
        ({"rearm": "lots"}, "rearm"),
        ({"since": "401d"}, "since"),
        ({"since": "0s"}, "since"),
        ({"fee": "5"}, "fee"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, more: dict[str, str], path: str) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        status, body = await ask(client, **{"when": "price > 1", **more})
        assert (status, body["errors"][0]["path"]) == (422, path)

    play(tmp_path, act)


@pytest.mark.parametrize("more", [{"name": "x"}, {"a_week": 0}, {"a_week": "many"}, {"pairs": ["a/usd"]}])
def test_what_cannot_be_read_is_a_bad_request(tmp_path: Path, more: dict[str, Any]) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        assert (await ask(client, **more))[0] == 400

    play(tmp_path, act)


def test_a_saved_rule_is_tried_even_if_it_is_paused(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/rules", json=rule(when="price >= 2", paused=True))
        found = (await client.get(f"/api/v1/rules/{ID}/preview?since=10h")).json()
        assert found["fired"] == 6
        assert (await client.get("/api/v1/rules/nothing/preview")).status_code == 404
        await client.put(f"/api/v1/rules/{ID}", json=rule(when="price >= 2", pairs=["all"]))
        which = await client.get(f"/api/v1/rules/{ID}/preview")
        assert (which.status_code, which.json()["errors"][0]["path"]) == (400, "pair")
        asked = await client.get(f"/api/v1/rules/{ID}/preview?pair=bitcoin/usd&a_week=50")
        assert (asked.json()["fired"], asked.json()["suggestion"]["when"]) == (20, "price >= 3")
        late = await client.get(f"/api/v1/rules/{ID}/preview?pair=bitcoin/usd&since=long")
        assert (late.status_code, late.json()["errors"][0]["path"]) == (400, "since")

    play(tmp_path, act)


# --- turns -----------------------------------------------------------------------------------------


def trial() -> Trial:
    history = History(one_instant({"a/usd": 1.0}, observed_at=1))
    return try_rule(RuleSpec(name="t", pairs=("a/usd",), when="price > 1"), history, "a/usd")


def test_only_so_many_at_once_and_who_waits_too_long_is_told_so() -> None:
    async def scenario() -> None:
        turns, go = Turns(at_once=1, patience=0.01), asyncio.Event()
        done = trial()

        async def work() -> Trial:
            await go.wait()
            return done

        first = asyncio.create_task(turns(work))
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await turns(work)
        assert (refused.value.status, refused.value.retry_after) == (503, 5)
        first.cancel()
        await asyncio.wait([first])
        with pytest.raises(Problem):  # its thread cannot be stopped, so it still has its place
            await turns(work)
        go.set()
        await asyncio.sleep(0)
        assert await turns(work) is done

    asyncio.run(scenario())


def test_work_that_fails_gives_its_place_back() -> None:
    async def scenario() -> None:
        turns = Turns(at_once=1, patience=0.01)

        async def fail() -> Trial:
            raise LookupError

        for _ in range(3):
            with pytest.raises(LookupError):
                await turns(fail)

    asyncio.run(scenario())
