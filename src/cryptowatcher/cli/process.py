"""Long-running commands: the first signal asks to stop in order, the second stops at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cryptowatcher import logs
from cryptowatcher.supervise import Child

if TYPE_CHECKING:
    from cryptowatcher.config import Log

Work = Callable[[asyncio.Event], Awaitable[None]]
Signals = Sequence[signal.Signals]

ASKED = (signal.SIGINT, signal.SIGTERM)


def page_beside(config_file: Path | None, data_dir: Path | None, *, env: Mapping[str, str] | None = None) -> Child:
    """`serve` as a child of this process, with the same configuration; `env` instead of our environment."""
    command = [sys.executable, "-m", "cryptowatcher", "serve", "--beside-pipeline"]
    command += ["--config", str(config_file)] if config_file else []
    command += ["--data-dir", str(data_dir)] if data_dir else []
    return Child(command, env=env)


def until_stopped(work: Work, *, log: Log | None = None, signals: Signals = ASKED) -> None:
    """Run `work` with the event that is set when the process is asked to stop by one of the signals; after SIGINT
    the exit code is 130. Nothing that was accepted can be lost by stopping at once: starting again is recovery."""
    if log is None:
        logs.set_up()
    else:
        logs.set_up(format=log.format, level=log.level)
    if asyncio.run(_with_signals(work, signals)) == signal.SIGINT:
        raise typer.Exit(128 + signal.SIGINT)


async def _with_signals(work: Work, signals: Signals) -> signal.Signals | None:
    """Returns the signal that asked to stop, None when the work ended by itself."""
    stop = asyncio.Event()
    first: list[signal.Signals] = []
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        if first:
            os._exit(128 + number)
        first.append(number)
        stop.set()

    for number in signals:
        loop.add_signal_handler(number, asked, number)
    await work(stop)
    return first[0] if first else None
