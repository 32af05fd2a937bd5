"""A fresh program with no rule of its own, against a real server and a real client on one virtual clock: what the
default rules say, and that the owner has the last word about them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.sources.coingecko import CoinGeckoConfig
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.configured import sync_defaults
from cryptowatcher.domain.defaults import DEFAULT_RULES
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.ports import Deps, Store
from cryptowatcher.program import Pipeline
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.coins import Coin, list_coins
from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.market import Snapshot
from cryptowatcher.testing.virtual_time import VirtualClock

MINUTE = 60.0

Floats = NDArray[np.float64]
Story = Callable[["Life"], Awaitable[None]]


class Calm:
    """A tape on which every coin breathes by half a percent, and dollars by a tenth."""

    coins: tuple[Coin, ...] = list_coins(1, 40)
    speed = 1.0

    def at(self, ms: int) -> Snapshot:
        price = self._prices(ms)
        volume = np.array([coin.volume for coin in self.coins])
        return Snapshot(at=ms, price=price, volume=volume, day_ago=price, high=price, low=price)

    def chart(self, coin: int, times: NDArray[np.int64]) -> Floats:
        return np.array([self._prices(at)[coin] for at in times.tolist()])

    def _prices(self, ms: int) -> Floats:
        place = np.arange(len(self.coins))
        size = np.array([0.001 if coin.volatility < 0.002 else 0.005 for coin in self.coins])
        breath = np.sin(ms / (600_000 + 60_000 * place)) * 0.7 + np.sin(ms / (90_000 + 7_000 * place)) * 0.3
        moved: Floats = np.array([coin.price for coin in self.coins]) * (1 + size * breath)
        return moved


class Life:
    """A running program on this market. `clock` is real for it."""

    def __init__(self, store: Store, fake: FakeCoinGecko, clock: VirtualClock) -> None:
        self.store = store
        self.fake = fake
        self.clock = clock

    async def alerts(self) -> list[tuple[str, str]]:
        """Rule and pair of each, oldest first."""
        found = await self.store.run(lambda tx: tx.alerts(LOCAL_OWNER, limit=1000))
        return [(alert.rule_name, alert.pair) for alert in reversed(found)]


class Silent:
    """A channel that keeps nothing: the alerts themselves are looked at."""

    name = "silent"

    async def send(self, message: Message) -> str:
        return "ok"


def lived(folder: Path, story: Story) -> None:
    """A life of the program, from its start to its stop."""

    async def life() -> None:
        clock = VirtualClock()
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            fake = await enter(FakeCoinGecko(Calm(), clock=clock.now))
            store = await enter(open_sqlite_store(folder / "store.db", inline=Inline()))
            journal = await enter(open_sqlite_journal(folder / "journal.db", clock=clock, inline=Inline()))
            settings = CoinGeckoConfig(base_url=fake.url, top=40, every="2m", per_minute=30)
            source = await enter(
                settings.open(Deps(clock=clock, secret=lambda **_: None, random=Random(1), data_dir=folder))
            )
            await sync_defaults(store, journal, DEFAULT_RULES, clock)
            pipeline = Pipeline(
                store=store,
                journal=journal,
                channels={"silent": Silent()},
                policies={},
                sources=[source],
                clock=clock,
                random=Random(2),
                holder="test",
                beat_every=60.0,
            )
            stop = asyncio.Event()
            running = asyncio.create_task(pipeline.run(stop))
            await story(Life(store, fake, clock))
            stop.set()
            await running

    virtual_time.run(life, socket_wait=0.0005)


def test_a_fresh_program_tells_of_the_coin_that_jumps_and_of_nothing_else(tmp_path: Path) -> None:
    async def story(life: Life) -> None:
        await asyncio.sleep(64 * MINUTE)
        assert await life.alerts() == []
        life.fake.set_price("solana", 150 * 1.2)
        life.fake.set_price("tether", 0.98)
        await asyncio.sleep(11 * MINUTE)
        assert sorted(await life.alerts()) == [("depeg", "tether/usd"), ("significant move", "solana/usd")]

    lived(tmp_path, story)


@pytest.mark.chaos
def test_on_a_calm_day_only_the_coin_that_jumps_is_told_and_once(tmp_path: Path) -> None:
    async def story(life: Life) -> None:
        await asyncio.sleep((24 * 60 + 25) * MINUTE)
        assert await life.alerts() == []
        life.fake.set_price("solana", 150 * 1.06)
        life.fake.set_price("tether", 0.98)
        await asyncio.sleep(90 * MINUTE)
        assert sorted(await life.alerts()) == [("depeg", "tether/usd"), ("significant move", "solana/usd")]

    lived(tmp_path, story)


def test_a_default_that_was_removed_says_nothing_after_a_restart(tmp_path: Path) -> None:
    async def remove(life: Life) -> None:
        await asyncio.sleep(MINUTE)
        await life.store.run(lambda tx: tx.remove_rule(LOCAL_OWNER, "depeg", head=0, now=life.clock.now()))

    async def depeg(life: Life) -> None:
        life.fake.set_price("tether", 0.98)
        await asyncio.sleep(11 * MINUTE)
        rules = await life.store.run(lambda tx: tx.rules(LOCAL_OWNER))
        assert [rule.spec.name for rule in rules] == ["significant move"]
        assert await life.alerts() == []

    lived(tmp_path, remove)
    lived(tmp_path, depeg)
