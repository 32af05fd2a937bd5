"""Runs a fake CoinGecko until it is cancelled: what `cryptowatcher fake-coingecko` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.market import Tape
from cryptowatcher.testing.misbehaviour import Misbehaviour


async def serve(
    host: str,
    port: int,
    tape: Tape,
    *,
    seed: int = 0,
    cache: float = 0.0,
    per_minute: int | None = None,
    misbehaviours: Sequence[Misbehaviour] = (),
    ready: Callable[[FakeCoinGecko], None] = lambda _: None,
) -> None:
    """`ready` is called once it listens; with port 0 its `url` says where."""
    fake = FakeCoinGecko(tape, seed=seed, host=host, port=port, cache=cache, per_minute=per_minute)
    async with fake:
        for misbehaviour in misbehaviours:
            fake.misbehave(misbehaviour)
        ready(fake)
        await asyncio.Event().wait()
