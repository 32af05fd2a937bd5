"""The real program on a fake CoinGecko, on a thread of its own, for tests that drive a browser."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.market import Market
from cryptowatcher.testing.misbehaviour import Misbehaviour
from cryptowatcher.testing.wire import LocalService
from tests.processes import killed, last_of, stopped
from tests.program.test_run import free_port

T = TypeVar("T")
PATIENCE = 120
"""Seconds. Machines are slow when others use them too."""

CONFIGURATION = """
data_dir = "data"
[web]
port = {port}
open = {open}
[[sources]]
kind = "coingecko"
base_url = "{url}"
top = 120
every = "1s"
[[channels]]
name = "screen"
kind = "console"
[outbound]
allow = {allow}
[default_rules]
enabled = false
[[rules]]
name = "bitcoin above"
pairs = ["bitcoin/usd"]
when = "price > 64000"
advice = "sell"
"""


class Stage:
    """What happens behind the page."""

    def __init__(self, folder: Path, *, is_open: bool = True, allow: str = "") -> None:
        """allow: a network that channels may reach although it is private"""
        self.folder = folder
        self.is_open = is_open
        self.allow = [allow] if allow else []
        self.port = free_port()
        self.page = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._process: asyncio.subprocess.Process | None = None
        self._fake = FakeCoinGecko(Market(3, 120))

    def price(self, coin: str, price: float) -> None:
        """From now on the exchange says so."""

        async def say() -> None:
            self._fake.set_price(coin, price)

        self._do(say())

    def source(self, trouble: str = "", value: float | None = None) -> None:
        """From now on the exchange misbehaves in this way (a kind of testing.misbehaviour); "": no more."""

        async def say() -> None:
            self._fake.behave()
            if trouble:
                self._fake.misbehave(Misbehaviour(kind=trouble, value=value))

        self._do(say())

    def link(self) -> str:
        """To the first account, as the program has told it last."""
        said = (self.folder / "said").read_text()
        return str(re.findall(rf"{self.page}/setup#[\w-]+", said)[-1])

    def start(self) -> None:
        """The program; returns when it has prices."""
        self._do(self._start())

    def stop(self) -> None:
        self._do(self._stop())

    def kill(self) -> None:
        """All of the program at once and without a word, as a loss of power does."""
        self._do(self._kill())

    @contextlib.contextmanager
    def beside(self, service: LocalService) -> Iterator[None]:
        """A service of the world outside runs as long as this block."""
        self._do(service.__aenter__())
        try:
            yield
        finally:
            self._do(service.__aexit__(None, None, None))

    def until(self, work: Coroutine[Any, Any, T]) -> T:
        """What a service that runs beside says, once it has something to say."""
        return self._do(work)

    @contextlib.contextmanager
    def up(self) -> Iterator[Stage]:
        self._thread.start()
        try:
            self._do(self._fake.__aenter__())
            file = self.folder / "cryptowatcher.toml"
            is_open = str(self.is_open).lower()
            file.write_text(
                CONFIGURATION.format(port=self.port, url=self._fake.url, open=is_open, allow=self.allow)
            )
            self.price("bitcoin", 60_000.0)
            self.start()
            yield self
        finally:
            self._do(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)
        except TimeoutError:
            said = last_of(self.folder / "said")
            raise AssertionError(f"not within {PATIENCE} s; the program said at last:\n{said}") from None

    async def _start(self) -> None:
        command = (sys.executable, "-m", "cryptowatcher", "run", "--config", "cryptowatcher.toml")
        with (self.folder / "said").open("w") as said:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=self.folder, stdout=said, stderr=said, start_new_session=True
            )
        if self.is_open:
            await self._until("/api/v1/prices", lambda answer: len(answer.json()["items"]) > 100)
        else:
            await self._until("/health/ready", lambda answer: True)

    async def _until(self, path: str, wanted: Callable[[httpx.Response], bool]) -> None:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.get(f"{self.page}{path}")
                    if answer.status_code == 200 and wanted(answer):
                        return
                await asyncio.sleep(0.1)

    async def _stop(self) -> None:
        assert self._process is not None
        await stopped(self._process)

    async def _kill(self) -> None:
        assert self._process is not None
        await killed(self._process)

    async def _end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self._kill()
        await self._fake.__aexit__(None, None, None)


def browser_program() -> str | None:
    """A Chromium of this machine."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)
