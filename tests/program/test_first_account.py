"""The first start of the real program: nobody gets in but by the link that it shows."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.receiver import WebhookReceiver
from tests.program.test_run import running, with_world

MADE = {"name": "anna", "password": "tall green ladder"}


def ask_for_accounts(config: Path) -> None:
    config.write_text(config.read_text().replace("open = true\n", ""))


def links_shown(config: Path) -> list[str]:
    """What stands behind the # of each line that is a link."""
    return re.findall(r"^http\S+/setup#(\S+)$", config.with_name("said").read_text(), re.MULTILINE)


def test_the_first_start_shows_a_link_that_makes_the_first_account_and_later_ones_do_not(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        ask_for_accounts(config)
        async with running(config, port) as program:
            await program.until("/health/ready", lambda answer: answer.status_code == 200)
            (secret,) = links_shown(config)
            async with httpx.AsyncClient(base_url=program.page, timeout=10) as client:
                assert (await client.get("/api/v1/prices")).status_code == 401
                made = await client.post("/api/v1/links/use", json={"token": secret, **MADE})
                assert made.status_code == 200
                assert (await client.get("/api/v1/rules")).json()["items"][0]["spec"]["name"] == "bitcoin above"
                assert (await client.post("/api/v1/links/use", json={"token": secret, **MADE})).status_code == 404
                session = client.cookies
            assert await program.stop() == 0
        async with running(config, port) as program:
            await program.until("/health/ready", lambda answer: answer.status_code == 200)
            async with httpx.AsyncClient(base_url=program.page, timeout=10, cookies=session) as client:
                assert (await client.get("/api/v1/rules")).status_code == 200, "the session outlives the program"
            assert await program.stop() == 0
        assert links_shown(config) == [secret], "it is shown once"

    with_world(story, tmp_path)
