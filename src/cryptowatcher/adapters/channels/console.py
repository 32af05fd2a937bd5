"""Alerts as lines on standard output."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from queue import SimpleQueue
from typing import Final, TextIO

from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.texts import show_time
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.ports.channel_settings import ChannelSettings

RECEIPT: Final = "printed"


class ConsoleConfig(ChannelSettings, frozen=True, kw_only=True, tag="console", tag_field="kind"):
    """Prints each alert as one line."""

    name: str = "console"
    timeout: str = "5s"
    bundle: bool = False

    AT_ONCE = 1
    ADDED_BY = None

    @asynccontextmanager
    async def open(self, deps: Deps, stream: TextIO | None = None) -> AsyncIterator[Channel]:
        """`stream`: where to print, standard output when None. It is not closed."""
        printer = Printer(sys.stdout if stream is None else stream)
        try:
            yield Console(self.name, printer)
        finally:
            printer.stop()


class Printer:
    """Prints from a thread of its own: a terminal that is held (Ctrl-S) or a pipe that nobody reads must not
    stop the watcher. The thread is a daemon, so it does not keep a finished program alive either."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: SimpleQueue[tuple[str, asyncio.Future[None]] | None] = SimpleQueue()
        threading.Thread(target=self._work, name="console", daemon=True).start()

    async def print(self, line: str) -> None:
        """Returns when the line has left the program; raises what the stream raised."""
        done = asyncio.get_running_loop().create_future()
        self._lines.put((line, done))
        await done

    def stop(self) -> None:
        self._lines.put(None)

    def _work(self) -> None:
        while (item := self._lines.get()) is not None:
            line, done = item
            if done.cancelled():  # nobody waits for it any more: it will come again
                continue
            error = self._write(line)
            with suppress(RuntimeError):  # the loop has closed meanwhile: nobody waits any more
                done.get_loop().call_soon_threadsafe(_answer, done, error)

    def _write(self, line: str) -> Exception | None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            return error
        return None


def _answer(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


class Console:
    """One line an alert. No promise beyond: the line was handed to the operating system."""

    def __init__(self, name: str, printer: Printer) -> None:
        self._name = name
        self._printer = printer

    @property
    def name(self) -> str:
        return self._name

    async def send(self, message: Message) -> str:
        """Unavailable when the output is closed: it may be opened again after a restart."""
        try:
            await self._printer.print(f"{show_time(message.at, message.zone)}  {message.text.one_line()}")
        except (OSError, ValueError) as error:
            raise Unavailable("the output is closed", reason="closed") from error
        return RECEIPT


SETTINGS = ConsoleConfig
