"""kill -9 at random moments: the real program, real files, a flaky receiver. Run by `make chaos`.

CHAOS_KILLS sets how often (200).
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.records import Record, Ticks, Verdict
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleChange, TakeUp
from cryptowatcher.domain.watcher import Watcher
from cryptowatcher.ports import Tx

KILLS = int(os.environ.get("CHAOS_KILLS", "200"))
SECRET = "whsec_c2VjcmV0LWZvci1jaGFvcw=="

pytestmark = pytest.mark.chaos


def test_nothing_accepted_is_lost_and_nothing_is_doubled_by_kill_9(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    seen: dict[str, set[tuple[int, float]]] = {}
    with ExitStack() as stack:
        fake, hook, page = free_port(), free_port(), free_port()
        log = tmp_path / "received.jsonl"
        stack.enter_context(running("fake-coingecko", "--port", str(fake), "--seed", "3", "--speed", "30"))
        receiver = ("cryptowatcher.testing.receiver", "--port", str(hook), "--log", str(log), "--secret", SECRET)
        flaky = stack.enter_context(running_module(*receiver, "--flaky", "7"))
        config = write_config(tmp_path, fake=fake, hook=hook, page=page)
        for _ in range(KILLS):
            with running("run", "--config", str(config)) as watcher:
                look_until(time.monotonic() + chance.uniform(0.3, 8.0), page, seen)
                if chance.random() < 0.5:
                    os.killpg(watcher.pid, signal.SIGKILL)
                else:  # the page's process is left alone, and has to notice
                    watcher.kill()
                watcher.wait()
        with running("run", "--config", str(config)) as watcher:
            look_until(time.monotonic() + 10, page, seen)
            fall_silent(fake)  # or something new is always on its way
            flaky.kill()
            flaky.wait()
            stack.enter_context(running_module(*receiver))  # from now on it takes what it gets
            wait_until_delivered(page)
            watcher.send_signal(signal.SIGTERM)
            assert watcher.wait(30) == 0
    records, changes, take_ups, alerts, deliveries = asyncio.run(read_all(tmp_path / "data"))
    check_ticks(records, seen)
    assert encoded(alerts) == encoded(implied(records, changes, take_ups))
    check_deliveries(alerts, deliveries, log)
    counts = f"{KILLS} kills, {len(records)} records, {len(alerts)} alerts, {len(deliveries)} deliveries"
    sys.stderr.write(f"\n{counts}\n")


def check_ticks(records: list[Record], seen: dict[str, set[tuple[int, float]]]) -> None:
    """Whatever a reader was shown as accepted stands in the journal, which has no hole."""
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    journaled: dict[str, set[tuple[int, float]]] = {}
    for record in records:
        body = record.body
        if isinstance(body, Ticks) or (isinstance(body, Verdict) and body.accepted):
            batch = body.batch
            for pair, at, price in zip(
                batch.names(), batch.observed_at.tolist(), batch.price.tolist(), strict=True
            ):
                journaled.setdefault(pair, set()).add((at, price))
    assert sum(map(len, seen.values())) > 100
    for pair, prices in seen.items():
        assert prices <= journaled[pair]


def check_deliveries(alerts: list[Alert], deliveries: list[Delivery], log: Path) -> None:
    """Each alert arrived, under one id, and nothing arrived that is not an alert."""
    assert len(alerts) > 20
    expected = {f"{alert.id}~ops" for alert in alerts}
    assert {delivery.id for delivery in deliveries} == expected
    assert {delivery.state for delivery in deliveries} == {"sent"}
    arrived = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(message["verified"] for message in arrived)
    assert {message["id"] for message in arrived} == expected


def implied(records: list[Record], changes: list[RuleChange], take_ups: list[TakeUp]) -> list[Alert]:
    """The same journal through a watcher that never died."""
    watcher = Watcher(candles=False)
    by_number = {change.number: change for change in changes}
    for taken in take_ups:
        watcher.take_up(by_number[taken.number], taken.seq)
    alerts: list[Alert] = []
    for record in records:
        watcher.step(record)
        alerts += [alert for alert in watcher.effects().alerts if alert.owner == LOCAL_OWNER]
    return alerts


def encoded(alerts: list[Alert]) -> list[bytes]:
    return sorted(msgspec.json.encode(alert) for alert in alerts)


async def read_all(
    folder: Path,
) -> tuple[list[Record], list[RuleChange], list[TakeUp], list[Alert], list[Delivery]]:
    records: list[Record] = []
    async with (
        open_sqlite_journal(folder / "journal.db", clock=SystemClock()) as journal,
        open_sqlite_store(folder / "store.db") as store,
    ):
        while found := await journal.read(records[-1].seq if records else 0):
            records += found

        def read(tx: Tx) -> tuple[list[RuleChange], list[TakeUp], list[Alert], list[Delivery]]:
            return (
                tx.rule_changes(0),
                sorted(tx.take_ups(), key=lambda taken: taken.number),
                tx.alerts(LOCAL_OWNER, limit=1_000_000),
                tx.deliveries(LOCAL_OWNER, limit=1_000_000),
            )

        changes, take_ups, alerts, deliveries = await store.run(read)
    return records, changes, take_ups, alerts, deliveries


def write_config(folder: Path, *, fake: int, hook: int, page: int) -> Path:
    (folder / "hook.key").write_text(SECRET)
    path = folder / "cryptowatcher.toml"
    path.write_text(f"""
data_dir = "data"
[web]
port = {page}
open = true
[log]
level = "error"
[[sources]]
kind = "coingecko"
base_url = "http://127.0.0.1:{fake}/api/v3"
top = 250
every = "1s"
per_minute = 100000
[[channels]]
name = "ops"
kind = "webhook"
url = "http://127.0.0.1:{hook}/"
secret_file = "hook.key"
[outbound]
allow = ["127.0.0.0/8"]
[default_rules]
enabled = false
[[rules]]
name = "up"
pairs = ["all"]
when = "change(10s) >= 1%"
[[rules]]
name = "down"
pairs = ["all"]
when = "change(10s) <= -1%"
cooldown = "20s"
""")
    return path


def look_until(end: float, page: int, seen: dict[str, set[tuple[int, float]]]) -> None:
    """Ask for prices now and then, and remember what was shown."""
    while time.monotonic() < end:
        for price in get_prices(page):
            seen.setdefault(price.pair, set()).add((price.observed_at_ms, price.price))
        time.sleep(0.2)


def wait_until_delivered(page: int, patience: float = 1200) -> None:
    """Until everything in the outbox has arrived, as the metrics say. Back-off may have come to minutes."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        counts = outbox(page)
        if counts and not sum(counts.get(state, 0) for state in ("queued", "leased", "retrying")):
            return
        time.sleep(0.2)
    raise AssertionError(f"deliveries still wait: {outbox(page)}")


def fall_silent(fake: int) -> None:
    """From now on the market answers nothing but errors."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{fake}/_control/misbehave",
        data=b'{"kind": "unavailable"}',
        headers={"content-type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=5).close()


def outbox(page: int) -> dict[str, float]:
    """Deliveries by state."""
    text = (ask(page, "/metrics") or b"").decode()
    name = "cryptowatcher_outbox_deliveries"
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.labels["state"]: sample.value for sample in samples if sample.name == name}


class Shown(msgspec.Struct):
    """A price as the API shows it."""

    pair: str
    price: float
    observed_at_ms: int


class ShownPrices(msgspec.Struct):
    items: list[Shown]


def get_prices(page: int) -> list[Shown]:
    """Nothing while the page is not there."""
    body = ask(page, "/api/v1/prices")
    return msgspec.json.decode(body, type=ShownPrices).items if body else []


def ask(page: int, path: str) -> bytes | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}{path}", timeout=2) as answer:
            body: bytes = answer.read()
            return body
    except (OSError, http.client.HTTPException):
        return None


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with running_module("cryptowatcher", *arguments) as process:
        yield process


@contextmanager
def running_module(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, so that kill -9 reaches its children too."""
    command = [sys.executable, "-m", *arguments]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
