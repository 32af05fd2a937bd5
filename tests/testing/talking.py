"""A conversation with the fake CoinGecko: a fake whose clock stands still, a client, and raw bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.market import Market

NOW = 1_790_000_000_000
AGENT = {"User-Agent": "cryptowatcher-tests/1 (+https://example.org)"}
MARKET = Market(seed=1, coins=300)
MARKETS = "/coins/markets?vs_currency=usd&precision=full&per_page=250"
PRICES = "/simple/price?ids=bitcoin,ethereum&vs_currencies=usd&precision=full&include_last_updated_at=true"

Client = httpx.AsyncClient
Talk = Callable[[FakeCoinGecko, Client], Awaitable[None]]


def talk(with_: Talk, **settings: Any) -> None:
    """One fake whose clock stands at NOW, and a client with a decent User-Agent."""

    async def main() -> None:
        async with (
            FakeCoinGecko(MARKET, **{"clock": lambda: NOW, **settings}) as fake,
            Client(base_url=fake.url, headers=AGENT, verify=False, timeout=60) as client,
        ):
            await with_(fake, client)

    asyncio.run(main())


async def raw(url: str, path: str) -> bytes:
    """All bytes until the server closes."""
    parts = urlsplit(url + path)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nUser-Agent: tests\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
