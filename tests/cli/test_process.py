"""Signals: the first asks, the second ends; a reader who leaves is no error."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal, something
from tests.processes import PATIENCE

WORK = """
import asyncio
from cryptowatcher.cli.process import until_stopped

async def work(stop):
    print("ready", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    {after}

import typer
try:
    until_stopped(work)
except typer.Exit as end:
    raise SystemExit(end.exit_code)
"""


def start(after: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORK.format(after=after)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_first_signal_asks_to_stop_in_order(number: signal.Signals, code: int) -> None:
    with start("print('in order')") as process:
        process.send_signal(number)
        output, _ = process.communicate(timeout=PATIENCE)
    assert output == "stopping\nin order\n"
    assert process.returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_stops_at_once(number: signal.Signals) -> None:
    with start("await asyncio.Event().wait()") as process:
        process.send_signal(number)
        assert process.stdout
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE) == 128 + number


def test_a_reader_who_has_enough_is_no_error(terminal: Terminal) -> None:
    terminal.store(something())
    command = [str(Path(sys.executable).parent / "cryptowatcher"), "prices", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.close()
        process.stdout = None
        assert process.communicate(timeout=PATIENCE)[1] == ""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_said_in_a_sentence(terminal: Terminal) -> None:
    terminal.store(something())
    command = [str(Path(sys.executable).parent / "cryptowatcher"), "prices", "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the answer cannot be written")
    assert len(done.stderr.splitlines()) == 1
