"""Programs that tests start: none outlives its test, none is waited for without an end, and where a test fails
meanwhile it says what they said last and where each of their threads stood."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

PATIENCE = 60.0
"""Seconds. Machines are slow when others use them too."""
_LAST = 8_000
_TOLD = {"PYTHONFAULTHANDLER": "1"}
"""A program of ours that is sent SIGABRT then says where its threads stand."""


@contextlib.asynccontextmanager
async def started(
    *command: str | Path,
    said: Path,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> AsyncIterator[Process]:
    """A program until the block ends; then it is killed with all that it has started, unless it has ended.

    said: the file behind which its words are put, of both kinds
    env:  besides ours
    """
    with said.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, **_TOLD, **(env or {})},
            pass_fds=pass_fds,
            start_new_session=True,
        )
    try:
        yield process
    except BaseException as error:
        if process.returncode is None:
            await killed(process, signal.SIGABRT)
        error.add_note(f"{' '.join(map(str, command))} said at last:\n{last_of(said)}")
        raise
    finally:
        await killed(process)


async def killed(process: Process, by: signal.Signals = signal.SIGKILL) -> None:
    """It and all that it has started, unless it has ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended, and we have not been told yet
            os.killpg(process.pid, by)
        async with asyncio.timeout(PATIENCE):
            await process.wait()


async def stopped(process: Process) -> int:
    """It is asked to end; what it ended with."""
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(PATIENCE):
            return await process.wait()
    except TimeoutError:
        raise AssertionError(f"it was asked to end and has not within {PATIENCE:g} s") from None


def last_of(said: Path) -> str:
    return said.read_text(errors="replace")[-_LAST:]


def ran(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str | None = None,  # noqa: A002  as subprocess has it
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """A program that has been run to its end, which must come. `env`: besides ours."""
    try:
        return subprocess.run(
            [*map(str, command)],
            cwd=cwd,
            env={**os.environ, **_TOLD, **(env or {})},
            input=input,
            pass_fds=pass_fds,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )
    except subprocess.TimeoutExpired as late:
        said = b"".join(each for each in (late.stdout, late.stderr) if each)
        pytest.fail(f"{late.cmd} has not ended within {2 * PATIENCE:g} s; it said {said.decode(errors='replace')}")
