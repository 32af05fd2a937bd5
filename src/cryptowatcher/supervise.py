"""Keeping things going: one instance a data folder, jobs that come back after Unavailable, a child process."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from cryptowatcher.errors import ConfigError, Unavailable

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
STOP_WITHIN = 10.0
CONFIG_ERROR_EXIT = 2

log = structlog.get_logger()


@contextlib.contextmanager
def only_instance(data_dir: Path) -> Iterator[None]:
    """Hold the data folder. ConfigError when another process does; the system lets go when a process dies."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"the folder cannot be used: {error.strerror}", where=str(data_dir)) from None
    try:
        if not _locked(file, fcntl.LOCK_EX):
            holder = os.read(file, 32).decode(errors="replace").strip() or "?"
            hint = "stop it first, or give this one another folder with --data-dir"
            message = f"another cryptowatcher (process {holder}) is using this folder"
            raise ConfigError(message, where=str(data_dir), hint=hint)
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(file)


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


async def keep_going(name: str, job: Callable[[], Awaitable[None]]) -> None:
    """Run a job that never ends; begin it anew after Unavailable, waiting longer each time it fails at once.
    Any other exception is a bug or a fence: it ends the process, and start-up is the recovery."""
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE
    while True:
        started = loop.time()
        try:
            await job()
        except Unavailable as error:
            if loop.time() - started > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            log.warning("job interrupted", job=name, reason=error.reason, error=str(error), again_in=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


class Child:
    """A process beside this one, started again when it ends. It waits on its standard input for the word to go,
    so it may be started early, and it sees that input close when we die."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """`env`: its environment instead of ours."""
        self._command = tuple(command)
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Let it load its code while we load ours."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=self._env)  # noqa: S603  our own program

    async def run(self) -> None:
        """Until cancelled; then it is asked to end, and ended after STOP_WITHIN seconds. That it cannot start as
        configured ends the program at the beginning; later the watcher goes on without it and tries again."""
        loop = asyncio.get_running_loop()
        pause, first = FIRST_PAUSE, True
        while True:
            began = loop.time()
            code = await self._life()
            if first and code == CONFIG_ERROR_EXIT:
                raise ConfigError("the page could not start, for the reason above")
            first = False
            if loop.time() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            log.error("the page's process ended", exit_code=code, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _life(self) -> int | None:
        """Say go, and wait for the process to end; returns its exit code, None when it could not be started."""
        try:
            if self._process is None:
                self.start()
        except OSError as error:
            log.error("the page's process cannot be started", error=error.strerror)
            return None
        process, self._process = self._process, None
        assert process is not None
        assert process.stdin is not None
        waiting = asyncio.create_task(asyncio.to_thread(process.wait))
        with process.stdin as stdin:
            try:
                with contextlib.suppress(BrokenPipeError):
                    stdin.write(b"go")
                    stdin.flush()
                return await asyncio.shield(waiting)
            finally:
                if process.poll() is None:
                    await _end(process, waiting)


async def _end(process: subprocess.Popen[bytes], waiting: asyncio.Task[int]) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN):
            await asyncio.shield(waiting)
    except TimeoutError:
        process.kill()
        await waiting
