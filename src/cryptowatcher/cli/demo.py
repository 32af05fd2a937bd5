"""`cryptowatcher demo`: the whole program on a simulated market that speaks CoinGecko's API."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from cryptowatcher.cli.options import DataDir, new_app
from cryptowatcher.cli.output import note
from cryptowatcher.cli.process import ASKED, page_beside, until_stopped
from cryptowatcher.cli.run import greeting
from cryptowatcher.config import Config, Log, load
from cryptowatcher.config.environment import PREFIX
from cryptowatcher.domain.texts import show_price
from cryptowatcher.errors import ConfigError
from cryptowatcher.listening import listening
from cryptowatcher.service import Service
from cryptowatcher.supervise import only_instance

app = new_app()

SPEED = 60.0
"""Market seconds in a second: an hour of market a minute, so that something happens while one looks."""

SHOW_EVERY = 5.0
SHOWN = ("bitcoin/usd", "ethereum/usd", "solana/usd", "dogecoin/usd")

CONFIGURATION = """\
# Written by `cryptowatcher demo`; it is an ordinary configuration.
data_dir = "."

[web]
port = {port}
open = true  # whoever is on this machine may look, without an account

[[sources]]
kind = "coingecko"
base_url = "{url}"
every = "5s"

[[channels]]
name = "screen"
kind = "console"

[default_rules]
enabled = false  # its hours are real ones, in which this market lives for days

[[rules]]
name = "bitcoin is watched"
pairs = ["bitcoin/usd"]
when = "price > 0.01"
fire_if_already_true = true
repeat = "once"

[[rules]]
name = "a coin rises fast"
pairs = ["all"]
when = "change(20s) >= 3%"
cooldown = "2m"
advice = "sell"

[[rules]]
name = "a coin falls fast"
pairs = ["all"]
when = "change(20s) <= -3%"
cooldown = "2m"
advice = "buy"
"""


@app.command()
def demo(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the page; 0 takes a free one.")] = 8000,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another market.")] = 1,
    data_dir: DataDir = None,
) -> None:
    """The same as `run` on a simulated market: no internet, no key, no set-up.

    Without --data-dir everything is forgotten at the end. CRYPTOWATCHER_… variables do not count here.
    """
    with ExitStack() as stack:
        if data_dir is None:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cryptowatcher-demo-")))
        folder = _folder(data_dir)

        async def work(stop: asyncio.Event) -> None:
            await _demo(folder, port, seed, stop)

        until_stopped(work, log=Log(level="warning"), signals=(*ASKED, signal.SIGHUP))


def _folder(data_dir: Path) -> Path:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder cannot be used: {error.strerror}", where=str(data_dir)) from None
    return data_dir.resolve()


def configured(file: Path) -> tuple[Config, dict[str, str]]:
    """What the demo's file says, and an environment in which no more is said than that: what is set for a real
    watcher must not send simulated prices into its data."""
    return load(file, {}), {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}


async def _demo(folder: Path, port: int, seed: int, stop: asyncio.Event) -> None:
    from cryptowatcher import app as program
    from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
    from cryptowatcher.testing.market import Market

    async with FakeCoinGecko(Market(seed, speed=SPEED)) as fake:
        file = folder / "demo.toml"
        file.write_text(CONFIGURATION.format(port=port, url=fake.url))
        config, env = configured(file)
        page = page_beside(file, None, env=env)
        page.start()
        with only_instance(folder), listening(config.web.host, config.web.port, {}) as door:
            note(f"A simulated market, an hour a minute.\n{greeting(config, door.port)}")
            note(f"Other commands beside it: cryptowatcher prices --data-dir {shlex.quote(str(folder))}")
            showing = asyncio.create_task(_show_prices(config))
            try:
                await program.run(config, stop, page, door, Service(os.environ))
            finally:
                showing.cancel()


async def _show_prices(config: Config) -> None:
    """A line of prices every few seconds, so that the market is seen to move without opening the page."""
    from cryptowatcher.app import open_store

    before: dict[str, float] = {}
    await asyncio.sleep(SHOW_EVERY)  # by then the pipeline has made the store
    async with open_store(config) as store:
        while True:
            prices = await store.run(lambda tx: tx.prices(SHOWN))
            now = {price.pair: price.price for price in prices}
            note("  ".join(_shown(pair, price, before.get(pair, price)) for pair, price in now.items()))
            before = now
            await asyncio.sleep(SHOW_EVERY)


def _shown(pair: str, price: float, before: float) -> str:
    arrow = "▲" if price > before else "▼" if price < before else "·"
    return f"{pair} {show_price(price)} {arrow}"
