"""The message of an alert as a channel is given it, through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.messages import wording_of
from cryptowatcher.domain.quiet import Kindness
from tests.web.world import World, alert, world

Act = Callable[[World, httpx.AsyncClient], Awaitable[None]]
PATH = "/api/v1/channels/ops/preview"
OPS = wording_of(ChannelPolicy(title="{coin} {price:4}"), Kindness(link="https://watch.example.org"))


def play(tmp_path: Path, act: Act) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client(wordings={"ops": OPS}) as client:
            await act(here, client)

    asyncio.run(scenario())


def test_a_sample_and_a_stored_alert_are_told_in_the_channel_s_words(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        sample = (await client.post(PATH, json={})).json()
        assert sample["title"] == "bitcoin 50,123"
        assert sample["link"].startswith("https://watch.example.org/alerts/")
        this = alert()
        await here.append()
        await here.watched(alerts=[this])
        stored = (await client.post(PATH, json={"alert": this.id, "body": "{id} {rule}"})).json()
        assert stored["body"] == f"{this.id.rpartition('-')[2][:8]} {this.rule_name}"
        assert stored["link"] == f"https://watch.example.org/alerts/{this.id}"
        usual = (await client.post(PATH, json={"title": ""})).json()
        assert usual["title"] == "Buy: bitcoin/usd -5.23% (btc drops)"

    play(tmp_path, act)


def test_what_cannot_be_shown_is_a_problem_that_says_why(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        del here
        wrong = await client.post(PATH, json={"body": "{alert.__init__.__globals__}"})
        assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (422, "body")
        assert (await client.post(PATH, json={"title": "x" * 201})).status_code == 422
        assert (await client.post(PATH, json={"alert": "0"})).status_code == 404
        assert (await client.post("/api/v1/channels/nobody/preview", json={})).status_code == 404

    play(tmp_path, act)
