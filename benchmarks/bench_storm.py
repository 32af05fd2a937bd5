"""One tick that fires 100,000 rules: a step with 100,000 alerts and 100,000 deliveries in one transaction.

    python benchmarks/bench_storm.py [FOLDER]

The store already holds a storm of another time. Beside it: a bare insert of the same rows, one by one, into tables
without more than their keys. `with what the rules remember`: where each of the rules stands, and when it fired, in
the same transaction, as a tick brings it. What it takes to make all that is in `bench_rules storm`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cryptowatcher.adapters.sqlite_file import connect
from cryptowatcher.adapters.stores.bulk import tuples
from cryptowatcher.adapters.stores.rows import alert_row
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.deliveries import Delivery, delivery_id
from cryptowatcher.domain.rules.model import Firing, Lifecycle, rule_id
from cryptowatcher.ports import Cursor, Step

COUNT = 100_000


def make_storm(event_time: int) -> list[Alert]:
    return [make_alert(rule_id("local", str(number)), event_time) for number in range(COUNT)]


def make_alert(rule: str, event_time: int) -> Alert:
    return Alert(
        id=alert_id(rule=rule, version=1, pair="bitcoin/usd", kind="edge", event_time=event_time),
        owner="local",
        rule=rule,
        rule_name="btc drops",
        version=1,
        pair="bitcoin/usd",
        kind="edge",
        event_time=event_time,
        at=event_time + 700,
        seq=12,
        condition="change(5m) <= -5%",
        value=-0.05234,
        constant=-0.05,
        previous=-0.041,
        price=50_123.456,
        source="coingecko",
        received_at=event_time + 500,
        gap_ms=0,
        advice="info",
        channels=("ops",),
    )


def make_delivery(alert: Alert) -> Delivery:
    return Delivery(
        id=delivery_id(alert.id, "ops"),
        alert=alert.id,
        owner=alert.owner,
        rule=alert.rule,
        channel="ops",
        created_at=alert.at,
        due_at=alert.at,
    )


def remembered(step: Step) -> Step:
    """With where its rules stand, and when they fired."""
    stand = [
        Lifecycle(rule=alert.rule, version=1, pair=alert.pair, state="inside", since=alert.event_time)
        for alert in step.alerts
    ]
    fired = [
        Firing(rule=alert.rule, pair=alert.pair, last_fired_at=alert.event_time, fired=1, suppressed=0)
        for alert in step.alerts
    ]
    return msgspec.structs.replace(step, lifecycle=stand, firings=fired)


async def commit(path: Path, storms: Sequence[list[Alert]], *, rules: bool) -> tuple[float, float]:
    """Seconds for the last of the storms, by the wall and of CPU. `rules`: see remembered()."""
    took = 0.0, 0.0
    async with open_sqlite_store(path) as store:
        epoch = await store.run(lambda tx: tx.new_epoch("watch"))
        before = None
        for seq, alerts in enumerate(storms, 1):
            step = Step(cursor=Cursor("j", seq, seq), alerts=alerts, deliveries=list(map(make_delivery, alerts)))
            step = remembered(step) if rules else step
            started = time.perf_counter(), time.process_time()
            await store.run(lambda tx, s=step, b=before: tx.commit_step(s, epoch=epoch, before=b))  # type: ignore[misc]
            took = since(started)
            before = step.cursor
    return took


def bare(path: Path, alerts: list[Alert]) -> tuple[float, float]:
    db = connect(path)
    rows = [sorted(map(alert_row, alerts)), sorted(tuples(map(make_delivery, alerts)))]
    for number, table in enumerate(rows):
        columns = ", ".join(f"c{n}" for n in range(1, len(table[0])))
        db.execute(f"CREATE TABLE t{number} (id TEXT PRIMARY KEY, {columns}) WITHOUT ROWID")
    started = time.perf_counter(), time.process_time()
    db.execute("BEGIN IMMEDIATE")
    for number, table in enumerate(rows):
        db.executemany(f"INSERT INTO t{number} VALUES ({', '.join('?' * len(table[0]))})", table)
    db.execute("COMMIT")
    took = since(started)
    db.close()
    return took


def since(started: tuple[float, float]) -> tuple[float, float]:
    """Seconds by the wall and of CPU."""
    return time.perf_counter() - started[0], time.process_time() - started[1]


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        older, newer = make_storm(1_722_838_500_000), make_storm(1_722_838_560_000)
        ours = asyncio.run(commit(Path(folder) / "store.db", [older, newer], rules=False))
        whole = asyncio.run(commit(Path(folder) / "whole.db", [older, newer], rules=True))
        floor = bare(Path(folder) / "bare.db", newer)
    print(f"{COUNT:,} alerts and {COUNT:,} deliveries in one transaction")
    print(f"  bare SQLite insert   {floor[0]:5.2f} s, CPU {floor[1]:5.2f} s")
    print(f"  commit_step          {ours[0]:5.2f} s, CPU {ours[1]:5.2f} s   (goal: at most 1)")
    print(f"  with what the rules remember {whole[0]:5.2f} s, CPU {whole[1]:5.2f} s")


if __name__ == "__main__":
    main()
