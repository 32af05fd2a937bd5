"""The first start of the real program: nobody gets in but by the link that it shows."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx

from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.receiver import WebhookReceiver
from tests.program.test_run import PATIENCE, Program, with_world

MADE = {"name": "anna", "password": "tall green ladder"}


def ask_for_accounts(config: Path) -> None:
    config.write_text(config.read_text().replace("open = true\n", ""))


async def started(config: Path, port: int) -> Program:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cryptowatcher", "run", "--config", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    return Program(process, f"http://127.0.0.1:{port}")


async def link_shown(program: Program) -> str:
    """What stands behind the # of the first link on standard error."""
    assert program.process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        async for line in program.process.stderr:
            if b"/setup#" in line and line.startswith(b"http"):
                return line.decode().strip().partition("#")[2]
    raise AssertionError("it ended without showing a link")


async def said_until_its_end(program: Program) -> bytes:
    program.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        _, said = await program.process.communicate()
    return said


def test_the_first_start_shows_a_link_that_makes_the_first_account_and_later_ones_do_not(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        ask_for_accounts(config)
        program = await started(config, port)
        try:
            secret = await link_shown(program)
            await program.until("/health/ready", lambda answer: answer.status_code == 200)
            async with httpx.AsyncClient(base_url=program.page, timeout=10) as client:
                assert (await client.get("/api/v1/prices")).status_code == 401
                made = await client.post("/api/v1/links/use", json={"token": secret, **MADE})
                assert made.status_code == 200
                assert (await client.get("/api/v1/rules")).json()["items"][0]["spec"]["name"] == "bitcoin above"
                assert (await client.post("/api/v1/links/use", json={"token": secret, **MADE})).status_code == 404
                assert secret.encode() not in await said_until_its_end(program), "it is shown once"
                program = await started(config, port)
                await program.until("/health/ready", lambda answer: answer.status_code == 200)
                assert (await client.get("/api/v1/rules")).status_code == 200, "the session outlives the program"
            assert b"/setup#" not in await said_until_its_end(program)
        finally:
            if program.process.returncode is None:
                os.killpg(program.process.pid, signal.SIGKILL)
                await program.process.wait()

    with_world(story, tmp_path)
