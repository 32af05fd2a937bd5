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
HANG_UP = {signal.SIGHUP}


def program_with(command: str, config_file: Path | None, data_dir: Path | None, *options: str) -> list[str]:
    """Another command of this program, with the same configuration."""
    given = [sys.executable, "-m", "cryptowatcher", command, *options]
    given += ["--config", str(config_file)] if config_file else []
    given += ["--data-dir", str(data_dir)] if data_dir else []
    return given


def page_beside(config_file: Path | None, data_dir: Path | None, *, env: Mapping[str, str] | None = None) -> Child:
    """`serve` as a child of this process, with the same configuration; `env` instead of our environment."""
    given = [str(path or "") for path in (config_file, data_dir)]
    return Child([sys.executable, "-m", "cryptowatcher.cli.beside", *given], env=env)


def until_stopped(
    work: Work, *, log: Log | None = None, signals: Signals = ASKED, renew: Renewal | None = None
) -> bool:
    """Run `work` with the event that is set when the process is asked to stop by one of the signals; after SIGINT
    the exit code is 130. Nothing that was accepted can be lost by stopping at once: starting again is recovery.

    With `renew`, SIGHUP asks it whether to begin anew; when it says yes, work is stopped and True returned, with
    SIGHUP blocked: one that comes until the next life listens must wait for it, not end it.
    """
    if log is None:
        logs.set_up()
    else:
        logs.set_up(format=log.format, level=log.level)
    asked = asyncio.run(_Signals(signals, renew).during(work))
    if asked == signal.SIGINT:
        raise typer.Exit(128 + signal.SIGINT)
    return renew is not None and asked == signal.SIGHUP


class _Signals:
    """What the process is asked while some work runs."""

    def __init__(self, signals: Signals, renew: Renewal | None) -> None:
        self._signals = signals
        self._renew = renew
        self._stop = asyncio.Event()
        self._asked: signal.Signals | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._once_more = False

    async def during(self, work: Work) -> signal.Signals | None:
        """Returns the signal that asked to stop, None when the work ended by itself."""
        loop = asyncio.get_running_loop()
        for number in self._signals:
            loop.add_signal_handler(number, self._end, number)
        if self._renew is not None:
            loop.add_signal_handler(signal.SIGHUP, self._hang_up, self._renew)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANG_UP)
        try:
            await work(self._stop)
        finally:
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.wait((self._renewing,))
            if self._asked == signal.SIGHUP:
                signal.pthread_sigmask(signal.SIG_BLOCK, HANG_UP)
        return self._asked

    def _end(self, number: signal.Signals) -> None:
        # Stopping for good while we stop to begin anew is a first wish, not a second.
        if self._asked not in (None, signal.SIGHUP):
            os._exit(128 + number)
        self._asked = number
        self._stop.set()

    def _hang_up(self, renew: Renewal) -> None:
        if self._asked is not None:
            return
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._ask(renew))
        else:
            self._once_more = True  # what is being looked at may have changed meanwhile

    async def _ask(self, renew: Renewal) -> None:
        again = True
        while again:
            self._once_more = False
            try:
                if await renew() and self._asked is None:
                    self._end(signal.SIGHUP)
                    return
            except Exception:  # a failed wish to begin anew must not end what runs
                log.exception("it goes on as it was")
            again = self._once_more
