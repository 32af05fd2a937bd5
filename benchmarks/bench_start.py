"""A start with many stored rules: from opening the store to standing where the watcher stood.

    python -m benchmarks.bench_start [RULES] [FOLDER]

Rules are written into the tables as the store would have written them one by one. Then, each in a process of its
own: a watcher takes them all up and keeps a checkpoint; one starts from that; one starts after its newest
checkpoint was damaged; one has no checkpoint at all. Beside them: the same rows read bare, and the same parts.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import psutil

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.sqlite_file import connect
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.records import Draft, Ticks
from cryptowatcher.domain.rules.model import rule_id
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.pipeline.watch import Watch

RULES = 1_000_000
PAIRS = 1_000
UPDATES = 30
OWNER = "local"


class Took(msgspec.Struct, frozen=True):
    """Seconds by the wall and of CPU, and MB that the process takes afterwards."""

    wall: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.wall:8.2f} s   CPU {self.cpu:8.2f} s   {self.memory:8.0f} MB"


class Stopwatch:
    """From now on."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def took(self) -> Took:
        wall, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        return Took(wall, cpu, psutil.Process().memory_info().rss / 1e6)


def pairs() -> list[str]:
    return [f"coin-{number}/usd" for number in range(PAIRS)]


def prices(update: int) -> Ticks:
    """Nothing comes near the constants of the rules."""
    now = 1_700_000_000_000 + update * 60_000
    return Ticks(one_instant(dict.fromkeys(pairs(), 100.0 + update / 10), observed_at=now))


def rows(count: int) -> Iterator[tuple[str, str, str]]:
    """Id, name and text of one rule after the other."""
    for number in range(count):
        name = f"rule {number}"
        constant = 1_000 + number % 9_973
        text = (
            f'{{"name":"{name}","pairs":["coin-{number % PAIRS}/usd"],"when":"price >= {constant}","for":"0s",'
            '"rearm":"0.1%","cooldown":"0s","repeat":"every","fire_if_already_true":false,"advice":"info",'
            '"channels":[],"paused":false}'
        )
        yield rule_id(OWNER, name), name, text


def fill(store: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """A store with these rules: id, name and text of each."""
    number, db = 0, connect(store)
    db.execute("BEGIN IMMEDIATE")
    columns = "(id, owner, name, version, origin, paused, spec)"
    into_rules = f"INSERT INTO rules {columns} VALUES (?, ?, ?, 1, 'owner', 0, ?)"
    columns = "(number, rule_id, owner, head, saved_at, rule)"
    into_changes = f"INSERT INTO rule_changes {columns} VALUES (?, ?, ?, 0, 0, ?)"
    for number, (identity, name, text) in enumerate(rows, 1):
        rule = f'{{"id":"{identity}","owner":"{OWNER}","version":1,"spec":{text},"origin":"owner"}}'
        db.execute(into_rules, (identity, OWNER, name, text))
        db.execute(into_changes, (number, identity, OWNER, rule))
    db.execute("UPDATE counters SET value = ? WHERE name = 'rule changes'", (number,))
    db.execute("COMMIT")
    db.close()


async def make(folder: Path, count: int) -> None:
    """A store with rules and a journal with prices, that no watcher has met."""
    async with open_sqlite_store(folder / "store.db"):
        pass
    fill(folder / "store.db", rows(count))
    async with open_sqlite_journal(folder / "journal.db", clock=SystemClock()) as journal:
        for update in range(UPDATES):
            await journal.append([Draft("bench", update + 1, prices(update))])


async def first_life(folder: Path) -> list[tuple[str, Took]]:
    """Take everything up, keep a checkpoint, and another after one more observation of each pair."""
    seen = []
    async with open_store(folder) as store, open_journal(folder) as journal:
        watch = Watch(journal, store, SystemClock(), channels=(), work=asyncio.to_thread)
        clock = Stopwatch()
        await watch.recover()
        while await watch.advance():
            pass
        seen.append(("take all rules up and commit", clock.took()))
        clock = Stopwatch()
        await watch.checkpoint()
        seen.append(("keep the first checkpoint", clock.took()))
        await journal.append([Draft("bench", UPDATES + 1, prices(UPDATES))])
        while await watch.advance():
            pass
        clock = Stopwatch()
        await watch.close()
        seen.append(("keep the next one", clock.took()))
    return seen


async def next_life(folder: Path) -> list[tuple[str, Took]]:
    clock = Stopwatch()
    async with open_store(folder) as store, open_journal(folder) as journal:
        watch = Watch(journal, store, SystemClock(), channels=())
        await watch.recover()
        took = clock.took()
    return [("start", took)]


def open_store(folder: Path) -> Any:
    return open_sqlite_store(folder / "store.db")


def open_journal(folder: Path) -> Any:
    return open_sqlite_journal(folder / "journal.db", clock=SystemClock())


def live(life: Callable[[Path], Any], folder: Path) -> list[tuple[str, Took]]:
    return asyncio.run(life(folder))


def bare(folder: Path, sql: str) -> Took:
    """The same rows, by SQLite alone."""
    clock = Stopwatch()
    db = connect(folder / "store.db", readonly=True)
    for _ in db.execute(sql):
        pass
    db.close()
    return clock.took()


def harm(folder: Path, sql: str) -> None:
    db = connect(folder / "store.db")
    db.execute(sql)
    db.close()


def say(rows: list[tuple[str, Took]], name: str = "") -> None:
    for what, took in rows:
        print(f"  {name or what:34}{took}", flush=True)


def main() -> None:
    count = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else RULES
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as name:
        folder = Path(name)
        asyncio.run(make(folder, count))
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as apart:
            measure(apart, folder, count)


def measure(apart: ProcessPoolExecutor, folder: Path, count: int) -> None:
    print(f"{count:,} rules on {PAIRS:,} pairs")
    say(apart.submit(live, first_life, folder).result())
    say([("read their rows bare", apart.submit(bare, folder, "SELECT * FROM rule_changes").result())])
    say([("read the parts bare", apart.submit(bare, folder, "SELECT * FROM checkpoint_parts").result())])
    say(apart.submit(live, next_life, folder).result(), "start from a checkpoint")
    harm(folder, "UPDATE checkpoints SET state = x'00' WHERE seq = (SELECT max(seq) FROM checkpoints)")
    say(apart.submit(live, next_life, folder).result(), "… the newest is damaged")
    harm(folder, "DELETE FROM checkpoints")
    say(apart.submit(live, next_life, folder).result(), "… there is none")
    db = connect(folder / "store.db", readonly=True)
    number, size = db.execute("SELECT count(*), sum(length(data)) FROM checkpoint_parts").get
    db.close()
    print(f"  parts of two checkpoints: {number}, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
