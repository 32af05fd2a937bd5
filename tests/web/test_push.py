"""What browsers need to take messages: the key to subscribe with, and the worker that shows them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from cryptowatcher.adapters.push_keys import push_key_in
from cryptowatcher.web.files import ASK_AGAIN
from tests.web.world import world


def test_the_key_is_made_once_and_only_its_public_half_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            changes = {"push_key": lambda: push_key_in(here.store)}
            async with here.client(**changes) as client:
                first, second = [(await client.get("/api/v1/push/key")).json() for _ in range(2)]
            kept = await here.store.run(lambda tx: tx.push_key())
            assert kept is not None
            assert first == second == {"key": kept.public}

    asyncio.run(scenario())


def test_the_worker_stands_at_the_root_and_may_ask_nobody_but_us(tmp_path: Path) -> None:
    page = tmp_path / "built"
    (page / "static").mkdir(parents=True)
    for name in ("index.html", "sw.js", "static/offline.html"):
        (page / name).write_text(name)

    async def scenario() -> list[httpx.Response]:
        async with world(tmp_path) as here, here.client(page_dir=page) as client:
            return [await client.get(path) for path in ("/sw.js", "/static/offline.html")]

    worker, alone = asyncio.run(scenario())
    assert worker.headers["content-type"].startswith("text/javascript")
    assert worker.headers["cache-control"] == ASK_AGAIN, "a new release must not wait for an old worker"
    policy = dict(part.split(" ", 1) for part in worker.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
    assert "script-src 'self'" in alone.headers["content-security-policy"]
