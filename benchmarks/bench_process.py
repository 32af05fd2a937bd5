"""The program as a whole on a fake CoinGecko: start to first price, memory idle with 250 coins, `--help`.

Goals of the plan: first price <= 3 s after start, <= 150 MB idle, `--help` <= 0.4 s. Memory is given as RSS
(pages two processes share count twice) and as PSS (they count once), summed over both processes.

Python's bytecode is there, as after an installation: a first start that is not counted writes it where it is
missing. Without it (PYTHONDONTWRITEBYTECODE, and code that nobody compiled) each start compiles all code anew: it
takes twice the time and leaves more memory behind.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

IDLE_SECONDS = 30
STARTS = 3


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    port, page = _free_port(), _free_port()
    fake = subprocess.Popen(
        [sys.executable, "-m", "cryptowatcher", "fake-coingecko", "--port", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_control")
        firsts = [_life(port, page, idle=0)[0] for _ in range(STARTS)][1:]
        first, (rss, pss), names = _life(port, page, idle=IDLE_SECONDS)
        print(
            f"start to first price on the page: {statistics.median([*firsts, first]):.2f} s (median of {STARTS})"
        )
        print(f"idle with 250 coins after {IDLE_SECONDS} s: RSS {rss:.0f} MB, PSS {pss:.0f} MB ({names})")
    finally:
        fake.terminate()
        fake.wait()
    print(f"--help: {_help():.2f} s (median of 7)")


def _life(port: int, page: int, *, idle: float) -> tuple[float, tuple[float, float], str]:
    """Seconds to the first price, (RSS, PSS) in MB after idling, and what the processes hold each."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "cryptowatcher.toml"
        config.write_text(
            f'data_dir = "data"\n[web]\nport = {page}\nopen = true\n[log]\nlevel = "error"\n'
            '[[sources]]\nkind = "coingecko"\n'
            f'base_url = "http://127.0.0.1:{port}/api/v3"\nevery = "60s"\n'
        )
        began = time.perf_counter()
        program = subprocess.Popen(
            [sys.executable, "-m", "cryptowatcher", "run", "-c", str(config)], stderr=subprocess.DEVNULL
        )
        try:
            while not _prices(page):
                time.sleep(0.02)
            first = time.perf_counter() - began
            time.sleep(idle)
            return first, *_memory(program.pid)
        finally:
            program.send_signal(signal.SIGTERM)
            program.wait()


def _memory(pid: int) -> tuple[tuple[float, float], str]:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    full = [process.memory_full_info() for process in family]
    names = ", ".join(f"{one.rss / 1e6:.0f} RSS" for one in full)
    return (sum(one.rss for one in full) / 1e6, sum(one.pss for one in full) / 1e6), names


def _help() -> float:
    times = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cryptowatcher", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _prices(page: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/api/v1/prices", timeout=2) as answer:
            return len(json.load(answer)["items"])
    except OSError:
        return 0


def _wait_for(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.1)
            continue
        return
    raise RuntimeError(f"{url} does not answer")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
