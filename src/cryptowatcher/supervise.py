"""Keeping things going: one instance a data folder, jobs that come back after Unavailable, a child process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from cryptowatcher.errors import ConfigError, Unavailable

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 5.0
"""A disk that has room again, or a database that is back, is used again within this."""
WELL_AFTER = 3.0
"""A job that has run for so long since it failed is out of trouble."""
STOP_WITHIN = 10.0
GO = b"go"
READY = b"ready\n"
MOST_SOCKETS = 16
LONGEST_LINE = 16 * 1024 * 1024
CONFIG_ERROR_EXIT = 2

log = structlog.get_logger()


@contextlib.contextmanager
def only_instance(data_dir: Path) -> Iterator[None]:
    """Hold the data folder. ConfigError when another process does; the system lets go when a process dies."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(data_dir, error) from None
    try:
        if not _locked(file, fcntl.LOCK_EX):
            holder = os.read(file, 32).decode(errors="replace").strip() or "?"
            hint = "stop it first, or give this one another folder with --data-dir"
            message = f"another cryptowatcher (process {holder}) is using this folder"
            raise ConfigError(message, where=str(data_dir), hint=hint)
        try:
            os.ftruncate(file, 0)
            os.write(file, f"{os.getpid()}\n".encode())
        except OSError as error:
            raise _unusable(data_dir, error) from None
        yield
    finally:
        os.close(file)


def _unusable(folder: Path, error: OSError) -> ConfigError | Unavailable:
    """A disk that fails or is full may be well again: then whoever starts us should go on trying."""
    said = f"{folder}: the folder cannot be used: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(said, reason="disk_full")
    if error.errno in (errno.EROFS, errno.EIO):
        return Unavailable(said, reason="disk_error")
    return ConfigError(f"the folder cannot be used: {error.strerror}", where=str(folder))


def is_watched(data_dir: Path) -> bool:
    """Whether a watcher holds this folder; True also where that cannot be found out."""
    try:
        file = os.open(data_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)


def _locked(file: int, kind: int) -> bool:
    """Whether the lock was got. Tried twice: `is_watched` holds it for an instant."""
    for pause in (0.1, 0.0):
        with contextlib.suppress(OSError):
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        time.sleep(pause)
    return False


class Jobs:
    """Jobs that never end. One that raises Unavailable is begun anew, after a pause that grows each time it fails
    at once; any other exception is a bug or a fence: it ends the process, and start-up is the recovery."""

    def __init__(self, restarted: Callable[[str], None] = lambda job: None) -> None:
        """`restarted` is told the name of each job that begins anew."""
        self._restarted = restarted
        self._failed: dict[str, tuple[str, float]] = {}  # job → why, and when it began anew (inf: not yet)

    async def keep(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        """Run a job until cancelled."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            started = loop.time()
            try:
                await job()
            except Unavailable as error:
                if loop.time() - started > 2 * LONGEST_PAUSE:
                    pause = FIRST_PAUSE
                if name not in self.troubles():
                    log.warning("job interrupted", job=name, reason=error.reason, error=str(error))
                self._failed[name] = error.reason, float("inf")
            await asyncio.sleep(pause)
            self._restarted(name)
            if name in self._failed:
                self._failed[name] = self._failed[name][0], loop.time()
            pause = min(2 * pause, LONGEST_PAUSE)

    def troubles(self) -> dict[str, str]:
        """Job → a stable word for why it cannot go on, of those that fail now."""
        now = asyncio.get_running_loop().time()
        for name, (_, began) in list(self._failed.items()):
            if now - began > WELL_AFTER:
                del self._failed[name]
                log.info("job goes on", job=name)
        return {name: why for name, (why, _) in self._failed.items()}


class Child:
    """A process beside this one, started again when it ends. Its standard input is a socket to us: there it waits
    for the word to go, which comes with the sockets it shall listen on, so it may be started early; there it says
    when it is ready, and hears what we tell it; and it sees that socket close when we die."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """`env`: its environment instead of ours."""
        self._command = tuple(command)
        self._env = env
        self._started: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._writer: asyncio.StreamWriter | None = None

    def start(self) -> None:
        """Let it load its code while we load ours."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(self._command, stdin=theirs.fileno(), env=self._env)  # noqa: S603  our own program
        self._started = process, ours

    def tell(self, line: bytes) -> None:
        """A line to the process; nothing while it does not run or has not taken what was told before."""
        writer = self._writer
        if writer is not None and not writer.is_closing() and writer.transport.get_write_buffer_size() == 0:
            writer.write(line)

    async def run(
        self,
        sockets: Sequence[int],
        *,
        ready: Callable[[], None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Until cancelled; then it is asked to end, and ended after STOP_WITHIN seconds. That it cannot start as
        configured ends the program at the beginning; once it was ready the watcher goes on without it and tries
        again.

        sockets: descriptors for it to listen on
        ready:   called each time it says that it is; `ended`: each time it ends by itself
        """
        loop = asyncio.get_running_loop()
        pause, first, answered = FIRST_PAUSE, True, False

        def heard() -> None:
            nonlocal answered
            answered = True
            ready()

        while True:
            began = loop.time()
            code = await self._life(sockets, heard)
            if first and not answered and code == CONFIG_ERROR_EXIT:
                raise ConfigError("the page could not start, for the reason above")
            first = False
            if loop.time() - began > 2 * LONGEST_PAUSE:
                pause = FIRST_PAUSE
            log.error("the page's process ended", exit_code=code, again_in=pause)
            ended()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _life(self, sockets: Sequence[int], ready: Callable[[], None]) -> int | None:
        """Say go, and wait for the process to end; returns its exit code, None when it could not be started."""
        try:
            if self._started is None:
                self.start()
        except OSError as error:
            log.error("the page's process cannot be started", error=error.strerror)
            return None
        assert self._started is not None
        process, ours = self._started
        self._started = None
        waiting = asyncio.create_task(asyncio.to_thread(process.wait))
        try:
            with contextlib.suppress(OSError):  # it has ended already
                socket.send_fds(ours, [GO], list(sockets))
            reader, self._writer = await asyncio.open_unix_connection(sock=ours)
            hearing = asyncio.create_task(_hear(reader, ready))
            try:
                return await asyncio.shield(waiting)
            finally:
                await _cancelled(hearing)
        finally:
            if process.poll() is None:
                await _end(process, waiting)
            if self._writer is not None:
                self._writer.close()
                self._writer = None


async def _hear(reader: asyncio.StreamReader, ready: Callable[[], None]) -> None:
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            if line == READY:
                ready()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


async def _end(process: subprocess.Popen[bytes], waiting: asyncio.Task[int]) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN):
            await asyncio.shield(waiting)
    except TimeoutError:
        process.kill()
        await waiting


class Parent:
    """The child's end of the line that Child holds: its standard input."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._writer: asyncio.StreamWriter | None = None
        self._is_ready = False

    @classmethod
    def when_told(cls) -> tuple[Parent, tuple[socket.socket, ...]] | None:
        """Wait for the word, and take the sockets to listen on. None when our parent ended without saying it; it
        has said why."""
        line = socket.socket(fileno=os.dup(0))
        word, descriptors, *_ = socket.recv_fds(line, len(GO), MOST_SOCKETS)
        if word != GO:
            return None
        sockets = tuple(socket.socket(fileno=fd) for fd in descriptors)
        for sock in sockets:
            sock.setblocking(False)
        return cls(line), sockets

    def ready(self) -> None:
        """Say that requests are answered; at once, or as soon as `follow` runs."""
        self._is_ready = True
        if self._writer is not None:
            self._writer.write(READY)

    async def follow(self, hear: Callable[[bytes], None]) -> None:
        """Hand over each line we are told. When the parent dies, end at once, so that its place is free for the
        next; whatever was being written is one transaction or none."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._line, limit=LONGEST_LINE)
        if self._is_ready:
            self._writer.write(READY)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                hear(line)
        os._exit(0)
