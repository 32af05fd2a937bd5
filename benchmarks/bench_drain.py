"""100,000 deliveries that are queued at once: the real outbox, the real webhook adapter, local receivers.

    python -m benchmarks drain                     all of it, some minutes
    python benchmarks/bench_drain.py 0.1           a tenth of everything

Six channels: three with rates, one without, one that answers 503 and one that never answers. Alerts of one moment
go out one by one here: webhooks take no bundles. The receivers are one process beside it, and take what CPU time
they need from the same machine.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec

from cryptowatcher.adapters.channels.webhook import WebhookConfig
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.deliveries import Delivery, delivery_id
from cryptowatcher.domain.rules.model import rule_id
from cryptowatcher.logs import set_up
from cryptowatcher.pipeline.notify import Notifier
from cryptowatcher.ports import Channel, Cursor, Deps, Step, Store, Tx
from cryptowatcher.testing.contracts.channel import sample_alert

COUNTS = {"fast": 24_000, "middle": 12_000, "slow": 2_400, "free": 41_600, "down": 10_000, "silent": 10_000}
RATES = {"fast": "200/s", "middle": "100/s", "slow": "20/s"}
FAILING = ("down", "silent")


async def fill(path: Path, counts: Mapping[str, int]) -> None:
    """A store with the storm in it."""
    async with open_sqlite_store(path) as store:
        await queue(store, counts, SystemClock().now())


async def queue(store: Store, counts: Mapping[str, int], at: int) -> None:
    """As watch does: all of it in one transaction."""
    alerts: list[Alert] = []
    deliveries: list[Delivery] = []
    for channel, count in counts.items():
        for number in range(count):
            alert = make_alert(rule_id("local", f"{channel} {number}"), at)
            alerts.append(alert)
            deliveries.append(
                Delivery(
                    id=delivery_id(alert.id, channel),
                    alert=alert.id,
                    owner=alert.owner,
                    rule=alert.rule,
                    channel=channel,
                    created_at=at,
                    due_at=at,
                )
            )
    step = Step(cursor=Cursor("j", 1, at), alerts=alerts, deliveries=deliveries)
    await store.run(lambda tx: tx.commit_step(step, epoch=tx.new_epoch("watch"), before=None))


async def drain(folder: Path, counts: Mapping[str, int], ports: Mapping[str, int]) -> tuple[float, float, int]:
    """Seconds by the wall and of CPU until every working channel has all of its own, and how many that were."""
    clock = SystemClock()
    outbound = Outbound(allow=("127.0.0.0/8",))
    deps = Deps(clock=clock, secret=lambda **_: None, random=Random(1), data_dir=folder, outbound=outbound)
    settings = [
        WebhookConfig(name=name, url=f"http://127.0.0.1:{ports[name]}/", rate=RATES.get(name, ""))
        for name in counts
    ]
    working = sum(count for name, count in counts.items() if name not in FAILING)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_sqlite_store(folder / "store.db"))
        channels: dict[str, Channel] = {s.name: await stack.enter_async_context(s.open(deps)) for s in settings}
        notifier = Notifier(
            store,
            channels,
            clock=clock,
            random=Random(1),
            holder="bench",
            policies={each.name: each.policy() for each in settings},
            grace=0,
        )
        began = time.perf_counter(), time.process_time()
        task = asyncio.create_task(notifier.run())
        while await store.run(_sent) < working:  # noqa: ASYNC110  it tells nobody when it is done
            await asyncio.sleep(2)
        took = time.perf_counter() - began[0], time.process_time() - began[1]
        task.cancel()
        await asyncio.wait([task])
    return *took, working


def make_alert(rule: str, event_time: int) -> Alert:
    identity = alert_id(rule=rule, version=1, pair="bitcoin/usd", kind="edge", event_time=event_time)
    return msgspec.structs.replace(
        sample_alert(),
        id=identity,
        rule=rule,
        event_time=event_time,
        at=event_time + 700,
        received_at=event_time + 500,
        advice="info",
    )


def _sent(tx: Tx) -> int:
    return tx.outbox_counts().get("sent", 0)


# --- the receivers, in a process of their own ----------------------------------------------------------


class Receiver(asyncio.Protocol):
    """Answers each request, whatever it says, and notes when it came."""

    def __init__(self, name: str, times: list[float]) -> None:
        self._name = name
        self._times = times
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = int(self._buffer[:end].lower().rpartition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._answer()

    def _answer(self) -> None:
        self._times.append(time.monotonic())
        if self._name == "down":
            self._transport.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
        elif self._name != "silent":
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def receive(names: Sequence[str]) -> None:
    """Says its ports, and when it is ended when what came."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    times: dict[str, list[float]] = {name: [] for name in names}
    servers = {
        name: await loop.create_server(lambda name=name: Receiver(name, times[name]), "127.0.0.1", 0)  # type: ignore[misc]
        for name in names
    }
    print(json.dumps({name: server.sockets[0].getsockname()[1] for name, server in servers.items()}), flush=True)
    await stop.wait()
    print(json.dumps(times), flush=True)


# --- what came of it -----------------------------------------------------------------------------------


class Seen(msgspec.Struct, frozen=True):
    """What one receiver saw: from the first to the last message (s), and the longest without one (s)."""

    count: int
    took: float
    longest_gap: float


def seen(times: Sequence[float]) -> Seen:
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return Seen(len(times), times[-1] - times[0], max(gaps, default=0.0))


def run(counts: Mapping[str, int]) -> tuple[tuple[float, float, int], dict[str, Seen]]:
    this = [sys.executable, "-m", "benchmarks.bench_drain"]
    receivers = subprocess.Popen([*this, "--receive", *counts], stdout=subprocess.PIPE)
    with receivers as process, tempfile.TemporaryDirectory() as folder:
        assert process.stdout is not None
        # By another process too: its memory is none of the notifier's.
        subprocess.run([*this, "--fill", str(Path(folder) / "store.db"), json.dumps(dict(counts))], check=True)
        took = asyncio.run(drain(Path(folder), counts, json.loads(process.stdout.readline())))
        process.terminate()
        times = json.loads(process.stdout.readline())
    return took, {name: seen(each) for name, each in times.items() if each}


def show(took: tuple[float, float, int], found: Mapping[str, Seen]) -> None:
    wall, cpu, working = took
    each_cpu = cpu / working * 1e6
    print(f"{working:,} deliveries sent in {wall:.0f} s: {working / wall:.0f}/s, CPU {each_cpu:.0f} µs each")
    for name, each in found.items():
        rate = int(RATES[name].partition("/")[0]) if name in RATES else 0
        # After a rest all of a second's share may go at once.
        share = f", {(each.count - rate) / each.took / rate:.1%} of its rate" if rate else ""
        gap = f"longest gap {each.longest_gap * 1000:.0f} ms"
        print(f"  {name:7} {each.count:6,} calls in {each.took:5.1f} s{share}; {gap}")


def main() -> None:
    if sys.argv[1:2] == ["--receive"]:
        asyncio.run(receive(sys.argv[2:]))
        return
    if sys.argv[1:2] == ["--fill"]:
        asyncio.run(fill(Path(sys.argv[2]), json.loads(sys.argv[3])))
        return
    set_up(level="error")
    size = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    counts = {name: round(count * size) for name, count in COUNTS.items()}
    sound = {name: count for name, count in counts.items() if name not in FAILING}
    print(f"{sum(counts.values()):,} deliveries queued at once; two of six channels fail")
    show(*run(counts))
    print("the same without those two")
    show(*run(sound))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the notifier's process: {peak:.0f} MB")


if __name__ == "__main__":
    main()
