"""A steady stream of requests from outside, and what became of each."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import httpx

PATIENCE = 60.0


class Load:
    """What became of the requests: counts of status codes, and of the names of errors."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0

    @property
    def failed(self) -> dict[str, int]:
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != "200"}


@contextlib.asynccontextmanager
async def load(port: int, path: str, *, a_second: int) -> AsyncIterator[Load]:
    """Ask for a path so many times a second, whether or not the answers come: three quarters on connections of
    their own, a quarter as browsers do, on connections that are kept. When the context ends, all are answered."""
    seen = Load()
    ask = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    kept = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False)

    async def alone() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(ask)
            answer = await reader.read()
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return head.split()[1].decode() if body else "cut off"

    async def together() -> str:
        return str((await kept.get(path)).status_code)

    async def one(number: int) -> None:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE):
                outcome = await (together() if number % 4 == 0 else alone())
        except (OSError, httpx.HTTPError, IndexError) as error:
            outcome = type(error).__name__
        seen.outcomes[outcome] += 1
        seen.slowest = max(seen.slowest, asyncio.get_running_loop().time() - began)

    async def ask_on(group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        due, number = loop.time(), 0
        while True:
            group.create_task(one(number))
            due, number = due + 1 / a_second, number + 1
            await asyncio.sleep(max(0.0, due - loop.time()))

    async with kept, asyncio.TaskGroup() as group:
        asking = group.create_task(ask_on(group))
        yield seen
        asking.cancel()
