"""The real program as a user starts it: processes, files, sockets and signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import psutil

from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.market import Market
from cryptowatcher.testing.receiver import Received, WebhookReceiver
from tests.processes import PATIENCE, killed, started, stopped

RUN = (sys.executable, "-m", "cryptowatcher", "run")
SECRET = "whsec_c2VjcmV0LWZvci10ZXN0cw=="


class Program:
    """A running `cryptowatcher run` and the address of its page."""

    def __init__(self, process: asyncio.subprocess.Process, page: str) -> None:
        self.process = process
        self.page = page

    async def until(self, path: str, wanted: Callable[[httpx.Response], bool]) -> httpx.Response:
        """Ask until the answer is as wanted."""
        async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.get(self.page + path)
                    if wanted(answer):
                        return answer
                await asyncio.sleep(0.1)

    async def stop(self) -> int:
        return await stopped(self.process)


@contextlib.asynccontextmanager
async def running(config: Path, port: int, **environ: str) -> AsyncIterator[Program]:
    """What it says is in the file `said` beside its configuration."""
    async with started(*RUN, "--config", config, said=config.with_name("said"), env=environ) as process:
        yield Program(process, f"http://127.0.0.1:{port}")


class Hook(WebhookReceiver):
    """It waits for messages, and not for ever."""

    async def wait_for(self, count: int) -> list[Received]:
        try:
            async with asyncio.timeout(PATIENCE):
                return await super().wait_for(count)
        except TimeoutError:
            raise AssertionError(f"{len(self.received)} of {count} messages came within {PATIENCE:g} s") from None


async def refused(config: Path) -> tuple[int, str]:
    """What one that cannot run ends with, and what it says."""
    said = config.with_name("refused")
    async with started(*RUN, "--config", config, said=said) as process, asyncio.timeout(PATIENCE):
        return await process.wait(), said.read_text()


def configuration(folder: Path, fake: FakeCoinGecko, hook: WebhookReceiver, port: int) -> Path:
    """As in the README: one source, one signed webhook, one rule."""
    (folder / "hook.key").write_text(SECRET)
    (folder / "hook.key").chmod(0o600)
    file = folder / "cryptowatcher.toml"
    file.write_text(f"""
data_dir = "data"
[web]
port = {port}
open = true
[[sources]]
kind = "coingecko"
base_url = "{fake.url}"
top = 20
every = "1s"
[[channels]]
name = "ops"
kind = "webhook"
url = "{hook.url}"
secret_file = "hook.key"
[outbound]
allow = ["127.0.0.0/8"]
[default_rules]
enabled = false
[[rules]]
name = "bitcoin above"
pairs = ["bitcoin/usd"]
when = "price > 64000"
channels = ["ops"]
""")
    return file


def with_world(
    story: Callable[[Path, int, FakeCoinGecko, WebhookReceiver], Awaitable[None]], folder: Path
) -> None:
    async def main() -> None:
        async with FakeCoinGecko(Market(3, 30)) as fake, Hook(SECRET) as hook:
            fake.set_price("bitcoin", 60_000.0)
            port = free_port()
            await story(configuration(folder, fake, hook, port), port, fake, hook)

    asyncio.run(main())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def shows(price: float) -> Callable[[httpx.Response], bool]:
    return lambda answer: answer.status_code == 200 and answer.json()["price"] == price


def test_a_rule_delivers_one_signed_message_and_the_program_stops_in_order(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        async with running(config, port) as program:
            await program.until("/api/v1/prices/bitcoin/usd", shows(60_000.0))
            fake.set_price("bitcoin", 65_000.0)
            await hook.wait_for(1)
            sent = await program.until("/api/v1/deliveries", lambda a: bool(a.json()["items"]))
            await program.until("/health/ready", lambda answer: answer.status_code == 200)
            await program.until("/api/v1/deliveries?state=sent", lambda a: len(a.json()["items"]) == 1)
            fake.set_price("bitcoin", 65_500.0)
            await program.until("/api/v1/prices/bitcoin/usd", shows(65_500.0))
            assert await program.stop() == 0
        assert len(sent.json()["items"]) == 1
        assert [message.verified for message in hook.received] == [True]

    with_world(story, tmp_path)


def test_after_kill_9_it_remembers_and_sends_nothing_twice(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        async with running(config, port) as program:
            await program.until("/api/v1/prices/bitcoin/usd", shows(60_000.0))
            fake.set_price("bitcoin", 65_000.0)
            await hook.wait_for(1)
            await program.until("/api/v1/deliveries?state=sent", lambda a: len(a.json()["items"]) == 1)
            await killed(program.process)
        async with running(config, port) as program:
            # It is still above: the rule has fired and waits to re-arm.
            fake.set_price("bitcoin", 65_100.0)
            await program.until("/api/v1/prices/bitcoin/usd", shows(65_100.0))
            assert len(hook.received) == 1
            # Below and above again: a new edge.
            fake.set_price("bitcoin", 60_000.0)
            await program.until("/api/v1/prices/bitcoin/usd", shows(60_000.0))
            fake.set_price("bitcoin", 65_200.0)
            await hook.wait_for(2)
            assert await program.stop() == 0
        assert hook.duplicates == 0

    with_world(story, tmp_path)


def test_a_second_instance_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        async with running(config, port) as program:
            await program.until("/health/live", lambda answer: answer.status_code == 200)
            code, said = await refused(config)
            assert code == 2
            assert f"process {program.process.pid}" in said
            assert await program.stop() == 0

    with_world(story, tmp_path)


def test_the_page_comes_back_when_its_process_dies_and_ends_with_the_pipeline(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        async with running(config, port) as program:
            await program.until("/health/live", lambda answer: answer.status_code == 200)
            (page,) = psutil.Process(program.process.pid).children()
            page.kill()
            await asyncio.to_thread(page.wait, PATIENCE)
            await program.until("/health/live", lambda answer: answer.status_code == 200)
            (page,) = psutil.Process(program.process.pid).children()
            program.process.kill()
            async with asyncio.timeout(PATIENCE):
                await program.process.wait()
            await asyncio.to_thread(page.wait, PATIENCE)

    with_world(story, tmp_path)


def test_a_taken_port_ends_the_program_with_a_sentence(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            code, said = await refused(config)
            assert code == 2
            assert str(port) in said
            assert "Traceback" not in said

    with_world(story, tmp_path)
