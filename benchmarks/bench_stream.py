"""The live stream with thousands of clients: how long until the last one has a whole-market update.

    python -m benchmarks.bench_stream [CLIENTS]

The program's own web server runs on one core, its clients in processes on the others: real sockets, real requests.
Beside it, in the same run, a bare ASGI application that sends the same bytes with one task a client and does
nothing else. `packed` clients take gzip, as every browser does. Then one client that does not read at all, among
all the others. Time is from before the frame is encoded to when a client has all of it; the CPU is the server's.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks import stream_clients, stream_server
from benchmarks.stream_server import Told

CLIENTS = 5_000
UPDATES = 8
WARM = 2
PAUSE = 0.5
ASLEEP = 30
"""Updates that the slow client sleeps through."""
GOAL_MS = 200
apart = get_context("spawn")


class Crowd:
    """A server and its clients, in processes of their own."""

    def __init__(self, server: Connection, port: int, clients: list[Connection]) -> None:
        self.server = server
        self.port = port
        self.clients = clients

    def update(self, pairs: int) -> tuple[Told, list[float]]:
        """Milliseconds until each client had a whole-market update."""
        for pipe in self.clients:
            pipe.send(1)
        for pipe in self.clients:
            pipe.recv()
        self.server.send(pairs)
        told = self.server.recv()
        return told, sorted((at - told.at) / 1e6 for pipe in self.clients for at in pipe.recv())

    def now(self) -> Told:
        self.server.send(0)
        told: Told = self.server.recv()
        return told


@contextmanager
def crowd(kind: str, packed: bool, count: int) -> Iterator[Crowd]:
    cores = sorted(os.sched_getaffinity(0))
    mine, theirs = (cores[0], cores[1:]) if len(cores) > 1 else (None, [])
    processes, pipes = [], []

    def start(target: object, *given: object) -> Connection:
        ours, other = apart.Pipe()
        process = apart.Process(target=target, args=(other, *given), daemon=True)  # type: ignore[arg-type]
        process.start()
        processes.append(process)
        return ours

    server = start(stream_server.run, mine, kind, packed, count)
    try:
        port = server.recv()
        shares = [count // 2, count - count // 2]
        pipes = [start(stream_clients.run, theirs, port, share, packed) for share in shares if share]
        for pipe in pipes:
            pipe.recv()
        yield Crowd(server, port, pipes)
    finally:
        for pipe in pipes:
            pipe.send(0)
        for process in processes[1:]:
            process.join(20)
        server.send(-1)
        for process in processes:
            process.join(20)
            process.kill()


def measure(kind: str, packed: bool, count: int, pairs: int) -> float:
    """CPU ms an update."""
    with crowd(kind, packed, count) as people:
        lasts, p50s, p99s, size = [], [], [], 0
        for _ in range(WARM):
            people.update(pairs)
            time.sleep(PAUSE)
        before = people.now()
        for _ in range(UPDATES):
            told, took = people.update(pairs)
            size = told.size
            lasts.append(took[-1])
            p50s.append(took[len(took) // 2])
            p99s.append(took[len(took) * 99 // 100])
            time.sleep(PAUSE)
        after = people.now()
    cpu = (after.cpu - before.cpu) / UPDATES * 1000
    name = f"{kind}, {'packed' if packed else 'plain'}, {pairs:,} pairs, {size / 1000:.1f} kB"
    print(
        f"  {name:40} p50 {statistics.median(p50s):6.0f}  p99 {statistics.median(p99s):6.0f}"
        f"  last {statistics.median(lasts):6.0f} (max {max(lasts):.0f}) ms"
        f"   CPU {cpu:6.0f} ms an update   {after.rss:5.0f} MB",
        flush=True,
    )
    return cpu


def one_asleep(count: int, pairs: int) -> None:
    """All others get their updates meanwhile; when it wakes it gets the newest, not the backlog."""
    with crowd("ours", True, count) as people:
        alone = [people.update(pairs)[1][-1] for _ in range(WARM + 5)][WARM:]
        with socket.create_connection(("127.0.0.1", people.port)) as asleep:
            asleep.sendall(b"GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
            time.sleep(1)
            before = people.now()
            beside = [people.update(pairs)[1][-1] for _ in range(ASLEEP)]
            after = people.now()
            reader = stream_clients.Reader(asleep)
            asleep.settimeout(5)
            reading = time.monotonic()
            try:
                while True:  # at about 200 kB a second
                    reader.take(asleep.recv(4_096))
                    time.sleep(0.02)
            except TimeoutError:
                reading = time.monotonic() - reading - 5
    print(
        f"  one client asleep for {ASLEEP} updates of {pairs:,} pairs: the last of the others after "
        f"{statistics.median(beside):.0f} ms (before: {statistics.median(alone):.0f}); "
        f"the server grew by {after.rss - before.rss:.1f} MB;\n"
        f"  awake and slow it got {reader.frames} messages ({reader.bytes / 1000:.0f} kB) in {reading:.1f} s "
        "and then knew the newest"
    )


def main() -> None:
    count = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else CLIENTS
    print(f"{count:,} clients; goal: the last within {GOAL_MS} ms")
    for pairs, packed in ((250, True), (1_000, True), (250, False)):
        ours = measure("ours", packed, count, pairs)
        bare = measure("bare", packed, count, pairs)
        print(f"    CPU of ours / of bare ASGI: {ours / bare:.2f}", flush=True)
    one_asleep(count, 1_000)


if __name__ == "__main__":
    main()
