"""Long-running commands: the first signal asks to stop in order, the second stops at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import typer

from cryptowatcher import logs
from cryptowatcher.supervise import Child

if TYPE_CHECKING:
    from cryptowatcher.config import Log

Work = Callable[[asyncio.Event], Awaitable[None]]
Signals = Sequence[signal.Signals]
Renewal = Callable[[], Awaitable[bool]]

log = structlog.get_logger()

ASKED = (signal.SIGINT, signal.SIGTERM)


def program_with(command: str, config_file: Path | None, data_dir: Path | None, *options: str) -> list[str]:
    """Another command of this program, with the same configuration."""
    given = [sys.executable, "-m", "cryptowatcher", command, *options]
    given += ["--config", str(config_file)] if config_file else []
    given += ["--data-dir", str(data_dir)] if data_dir else []
    return given


def page_beside(config_file: Path | None, data_dir: Path | None, *, env: Mapping[str, str] | None = None) -> Child:
    """`serve` as a child of this process, with the same configuration; `env` instead of our environment."""
    return Child(program_with("serve", config_file, data_dir, "--beside-pipeline"), env=env)


def until_stopped(
    work: Work, *, log: Log | None = None, signals: Signals = ASKED, renew: Renewal | None = None
) -> bool:
    """Run `work` with the event that is set when the process is asked to stop by one of the signals; after SIGINT
    the exit code is 130. Nothing that was accepted can be lost by stopping at once: starting again is recovery.

    With `renew`, SIGHUP asks it whether to begin anew; when it says yes, work is stopped and True returned.
    """
    if log is None:
        logs.set_up()
    else:
        logs.set_up(format=log.format, level=log.level)
    asked = asyncio.run(_with_signals(work, signals, renew))
    if asked == signal.SIGINT:
        raise typer.Exit(128 + signal.SIGINT)
    return asked == signal.SIGHUP


async def _with_signals(work: Work, signals: Signals, renew: Renewal | None) -> signal.Signals | None:
    """Returns the signal that asked to stop, None when the work ended by itself."""
    stop = asyncio.Event()
    first: list[signal.Signals] = []
    renewing: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        if first:
            os._exit(128 + number)
        first.append(number)
        stop.set()

    async def ask(renew: Renewal) -> None:
        try:
            if await renew() and not first:
                asked(signal.SIGHUP)
        except Exception:  # a failed wish to begin anew must not end what runs
            log.exception("it goes on as it was")

    def hang_up(renew: Renewal) -> None:
        if not first and all(task.done() for task in renewing):
            renewing[:] = [loop.create_task(ask(renew))]

    for number in signals:
        loop.add_signal_handler(number, asked, number)
    if renew is not None:
        loop.add_signal_handler(signal.SIGHUP, hang_up, renew)
    try:
        await work(stop)
    finally:
        for task in renewing:
            task.cancel()
        await asyncio.gather(*renewing, return_exceptions=True)
    return first[0] if first else None
