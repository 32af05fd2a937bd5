"""Alerts on standard output: one line each, and a closed pipe is no reason to die."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import msgspec
import pytest

from cryptowatcher.adapters.channels.console import SETTINGS, ConsoleConfig
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.testing.contracts.channel import (
    OBSERVED,
    ChannelContract,
    Outside,
    sample_alert,
    sample_message,
)


class StoppedClock:
    def now(self) -> int:
        return OBSERVED + 1_000

    def monotonic(self) -> float:
        return 0.0


def no_secret(*, file: str | None, variable: str | None, where: str) -> str | None:
    return None


DEPS = Deps(clock=StoppedClock(), secret=no_secret, random=Random(1))


class Lines:
    """A console whose output is kept."""

    def __init__(self, channel: Channel, stream: io.StringIO) -> None:
        self.channel = channel
        self._stream = stream

    async def arrived(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    async def break_down(self) -> None:
        self._stream.close()


class TestConsole(ChannelContract):
    def outside(self) -> AbstractAsyncContextManager[Outside]:
        return kept_lines()


@asynccontextmanager
async def kept_lines() -> AsyncIterator[Outside]:
    stream = io.StringIO()
    async with ConsoleConfig().open(DEPS, stream) as channel:
        yield Lines(channel, stream)


def test_an_alert_is_one_line_with_time_value_and_reason() -> None:
    async def main() -> str:
        stream = io.StringIO()
        async with ConsoleConfig().open(DEPS, stream) as channel:
            await channel.send(sample_message(sample_alert()))
        return stream.getvalue()

    line = asyncio.run(main())
    assert line.count("\n") == 1
    assert line.startswith("2024-08-05 06:15:01 UTC  Buy: bitcoin/usd -5.23% (btc drops) | change(5m) <= -5%")


def test_a_pipe_that_nobody_reads_any_more_is_unavailable() -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        stream = os.fdopen(writing, "w")
        async with ConsoleConfig().open(DEPS, stream) as channel:
            with pytest.raises(Unavailable) as caught:
                await channel.send(sample_message(sample_alert()))
        assert caught.value.reason == "closed"
        with pytest.raises(BrokenPipeError):
            stream.close()  # it still holds the line

    asyncio.run(main())


def test_a_reader_that_stops_reading_stops_nothing_but_its_own_lines() -> None:
    async def send(channel: Channel, number: int, name: str) -> str:
        alert = sample_alert(number, rule_name=name)
        return await channel.send(sample_message(alert))

    async def main() -> bytes:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        while writing_fits(writing):
            pass
        os.set_blocking(writing, True)
        with os.fdopen(writing, "w") as stream:
            async with ConsoleConfig().open(DEPS, stream) as channel:
                held = [
                    asyncio.create_task(send(channel, n, name)) for n, name in enumerate(("first", "given-up"))
                ]
                await asyncio.sleep(0)
                held[1].cancel()
                last = asyncio.create_task(send(channel, 2, "last"))
                await asyncio.sleep(0)
                assert not held[0].done()  # and yet this line was reached: the loop goes on
                seen = await asyncio.to_thread(drained, reading, b"(last)")
                assert await held[0]
                assert await last
        os.close(reading)
        return seen

    seen = asyncio.run(main())
    assert b"(first)" in seen
    assert b"(given-up)" not in seen  # nobody waited for it any more: it comes again, once


def writing_fits(pipe: int) -> bool:
    try:
        return os.write(pipe, b"-" * 4096) > 0
    except BlockingIOError:
        return False


def drained(pipe: int, until: bytes) -> bytes:
    seen = b""
    while until not in seen:
        seen += os.read(pipe, 65_536)
    return seen


def test_a_terminal_that_knows_only_ascii_gets_escapes_instead_of_a_crash() -> None:
    async def main() -> bytes:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii")
        async with ConsoleConfig().open(DEPS, stream) as channel:
            alert = sample_alert(rule_name="ünï 🚀")
            await channel.send(sample_message(alert))
        return raw.getvalue()

    assert b"(\\xfcn\\xef \\U0001f680)" in asyncio.run(main())


def test_its_settings_refuse_what_they_do_not_know() -> None:
    assert msgspec.convert({"kind": "console"}, SETTINGS) == ConsoleConfig(name="console")
    with pytest.raises(msgspec.ValidationError, match="colour"):
        msgspec.convert({"kind": "console", "colour": True}, SETTINGS)
