"""Long-running commands: the first signal asks to stop in order, the second stops at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence

from cryptowatcher import logs
from cryptowatcher.config import Config

Signals = Sequence[signal.Signals]


def run_until_stopped(
    config: Config, work: Callable[[asyncio.Event], Awaitable[None]], *, signals: Signals | None = None
) -> None:
    """Run `work` with the event that is set when the process is asked to stop: by SIGINT or SIGTERM, or by the
    given signals. Nothing that was accepted can be lost by stopping at once: starting again is recovery."""
    logs.set_up(format=config.log.format, level=config.log.level)
    asyncio.run(_with_signals(work, signals or (signal.SIGINT, signal.SIGTERM)))


async def _with_signals(work: Callable[[asyncio.Event], Awaitable[None]], signals: Signals) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in signals:
        loop.add_signal_handler(number, asked, number)
    await work(stop)
