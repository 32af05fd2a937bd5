"""Durable append of batches of 2,000 ticks, beside a bare SQLite insert of the same bytes.

    python benchmarks/bench_journal.py [FOLDER]

Rounds of both alternate, so that a noisy disk hits both; the medians are compared.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import apsw
import numpy as np

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.journals.sqlite import SqliteJournal, open_sqlite_journal
from cryptowatcher.adapters.sqlite_file import connect
from cryptowatcher.domain.records import Draft, Ticks
from cryptowatcher.domain.ticks import TickBatch, one_instant
from cryptowatcher.domain.wire import encode_body

ROWS, PER_ROUND, ROUNDS = 2_000, 40, 9


def make_batches() -> list[TickBatch]:
    """Prices of 2,000 pairs that walk, with the digits that exchanges give."""
    random = np.random.default_rng(1)
    names = [f"coin-{n}/usd" for n in range(ROWS)]
    price, volume = random.lognormal(3, 4, ROWS), random.lognormal(12, 2, ROWS)
    batches = []
    for step in range(PER_ROUND):
        price = price * np.exp(random.normal(0, 1e-4, ROWS))
        seen = (1_700_000_000_000 + step * 1000 + random.integers(0, 1000, ROWS)).tolist()
        shown = [float(f"{value:.6g}") for value in price]
        cap = [float(round(value * 1e7)) for value in shown]
        prices = dict(zip(names, shown, strict=True))
        batches.append(one_instant(prices, observed_at=seen, volume=np.round(volume, 2).tolist(), market_cap=cap))
    return batches


def bare(db: apsw.Connection, bodies: Sequence[bytes]) -> float:
    started = time.perf_counter()
    for body in bodies:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t (body) VALUES (?)", (body,))
        db.execute("COMMIT")
    return time.perf_counter() - started


async def ours(journal: SqliteJournal, batches: Sequence[TickBatch], first: int) -> float:
    started = time.perf_counter()
    for number, batch in enumerate(batches, first):
        await journal.append([Draft("bench", number, Ticks(batch))])
    return time.perf_counter() - started


def synced(folder: Path) -> list[float]:
    """Milliseconds of writing and syncing 4 KB, over and over."""
    file = os.open(folder / "sync", os.O_RDWR | os.O_CREAT)
    times = []
    for _ in range(100):
        os.pwrite(file, bytes(4096), 0)
        started = time.perf_counter()
        os.fdatasync(file)
        times.append((time.perf_counter() - started) * 1000)
    os.close(file)
    return sorted(times)


async def measure(folder: Path) -> None:
    batches = make_batches()
    bodies = [encode_body(Ticks(batch)) for batch in batches]
    db = connect(folder / "bare.db", checkpoints=True)
    db.execute("CREATE TABLE t (seq INTEGER PRIMARY KEY, body BLOB)")
    rounds: list[tuple[float, float]] = []
    async with open_sqlite_journal(folder / "journal.db", clock=SystemClock()) as journal:
        for number in range(ROUNDS):
            floor = bare(db, bodies)
            rounds.append((floor, await ours(journal, batches, number * PER_ROUND + 1)))
    db.close()
    report(rounds, len(bodies[0]), synced(folder))


def report(rounds: Sequence[tuple[float, float]], size: int, syncs: Sequence[float]) -> None:
    ticks = ROWS * PER_ROUND
    bare_rate, our_rate = (ticks / statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"batches of {ROWS:,} ticks, {size / ROWS:.1f} bytes a tick, medians of {ROUNDS} rounds")
    print(f"  bare SQLite insert   {bare_rate / 1e6:6.2f} M ticks/s")
    print(f"  journal append       {our_rate / 1e6:6.2f} M ticks/s   (goal: at least 1)")
    print(f"  ratio                {our_rate / bare_rate:6.0%}             (goal: at least 50%)")
    print(f"  fdatasync, 4 KB      {syncs[50]:.2f} ms median, {syncs[-2]:.2f} ms p99")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
