"""A Telegram bot as a person has it: the whole pipeline, and a server that speaks as the Bot API does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptowatcher import app
from cryptowatcher.adapters.pictures import draw
from cryptowatcher.config import load
from cryptowatcher.domain import chat_words as words
from cryptowatcher.domain.chat import code_digest
from cryptowatcher.domain.records import Draft, Ticks
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.ports import Store
from cryptowatcher.testing.fake_telegram import TOKEN, FakeTelegram
from cryptowatcher.testing.wire import wall_time
from cryptowatcher.trying import try_channel

ME = 7_123_456_789
CONFIG = """
data_dir = "data"
sources = []
[outbound]
allow = ["127.0.0.0/8"]
[default_rules]
enabled = false
[canary]
enabled = false
[[channels]]
kind = "telegram"
name = "phone"
token_file = "token"
server = "{server}"
"""


@asynccontextmanager
async def watching(file: Path) -> AsyncIterator[Store]:
    """The pipeline, and its store as others see it."""
    config, stop = load(file, {}), asyncio.Event()
    async with app.open_pipeline(config, loop_lag=lambda: 0.0) as pipeline:
        job = asyncio.create_task(pipeline.run(stop))
        async with app.open_store(config) as store:
            yield store
        stop.set()
        await job


async def link(store: Store, server: FakeTelegram) -> None:
    now, digest = wall_time(), code_digest("CODE")
    await store.run(
        lambda tx: tx.keep_code(digest, channel="phone", owner=LOCAL_OWNER, expires_at=now + 60_000, now=now)
    )
    await server.write(ME, "/start CODE")


async def prices(folder: Path, *values: float) -> None:
    """As a source would bring them, a minute apart."""
    config = load(folder, {})
    async with app.open_journal(config) as journal:
        for number, price in enumerate(values, 1):
            observed_at = wall_time() - (len(values) - number) * 60_000
            body = Ticks(one_instant({"bitcoin/usd": price}, observed_at=observed_at))
            await journal.append([Draft("test", number, body)])


def test_linking_a_rule_an_alert_and_its_buttons(tmp_path: Path) -> None:
    async def main() -> None:
        async with FakeTelegram() as server:
            file = tmp_path / "cryptowatcher.toml"
            file.write_text(CONFIG.format(server=server.origin))
            (tmp_path / "token").write_text(TOKEN)
            async with asyncio.timeout(60), watching(file) as store:
                await server.write(8, "/list")
                await link(store, server)
                await server.write(ME, "/add bitcoin price > 70000")
                sent = await server.wait_for(3)
                assert [(each.chat, each.text) for each in sent[:2]] == [(8, words.STRANGER), (ME, words.LINKED)]
                await prices(file, 69_000.0, 69_200.0, 69_100.0, 71_000.0)
                alert = (await server.wait_for(4))[3]
                assert alert.chat == ME
                assert "bitcoin/usd" in alert.text
                assert alert.picture.startswith(b"\x89PNG")
                await server.press(alert, "Snooze 1 h", times=2)
                await server.press(alert, "Acknowledge")
                await server.press(alert, "Why")
                why = (await server.wait_for(5, nods=4))[4]
                assert "It fired at" in why.text
                assert [bool(text) for _, text in server.nods] == [True, False, True, False]
                found = await store.run(lambda tx: tx.alerts(LOCAL_OWNER, limit=9))
                assert len(await store.run(lambda tx: tx.acknowledged([found[0].id]))) == 1
                assert len(await store.run(lambda tx: tx.snoozes(LOCAL_OWNER))) == 1
                await server.confirmed()
            said = len(server.sent)
            async with asyncio.timeout(60), watching(file):
                await server.write(ME, "/test")
                assert (await server.wait_for(said + 1))[said].text == words.TEST
            config = load(file, {})
            tried = await try_channel(config.channels[0], app.deps(config), owner=LOCAL_OWNER, draw=draw)
            assert tried.outcome == "sent"
            assert server.sent[-1].chat == ME
            assert server.sent[-1].picture.startswith(b"\x89PNG")

    asyncio.run(main())
