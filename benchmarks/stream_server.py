"""What bench_stream measures: the program's own web server with its live stream, and a bare ASGI application that
sends the same bytes. Each runs in a process of its own and does what it is told over a pipe."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import psutil

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.status import Price
from cryptowatcher.garbage import look_rarely
from cryptowatcher.listening import listen
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.web.api import build
from cryptowatcher.web.deps import Limits, WebDeps
from cryptowatcher.web.live import Hub
from cryptowatcher.web.packing import GZIP_HEAD
from cryptowatcher.web.server import room_for_streams, serve

PAIRS = 1_000
MINUTE = 60_000
START: Any = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


class Told(msgspec.Struct, frozen=True):
    """What a server says when it has done as it was told.

    at:   monotonic ns, before it began to write the frame
    cpu:  seconds of CPU since the process began
    rss:  MB it takes
    size: bytes of the newest frame
    """

    at: int
    cpu: float
    rss: float
    size: int = 0


class Bare:
    """The least that can be done with an ASGI server: one task a client, one event for all, nobody who looks
    whether the client has gone."""

    def __init__(self, hub: Hub, packed: bool) -> None:
        self._hub = hub
        self._packed = packed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        hub = self._hub
        await send(START)
        await send(
            {
                "type": "http.response.body",
                "body": GZIP_HEAD if self._packed else b": hello\n\n",
                "more_body": True,
            }
        )
        seen = hub.seq
        while not hub.closed:
            if seen == hub.seq:
                await hub.changed.wait()
                continue
            seen = hub.seq
            await send({"type": "http.response.body", "body": frame_of(hub, self._packed), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def frame_of(hub: Hub, packed: bool) -> bytes:
    """The newest changes."""
    frame = hub.after(hub.seq - 1, "") or b""
    return hub.packed(frame) if packed else frame


def prices(pairs: int, update: int, now: int) -> list[Price]:
    """All of them moved."""
    return [
        Price(
            pair=f"some-quite-ordinary-coin-{number}/usd",
            price=1.0 + (number * 7919 + update * 104_729) % 999_983 / 97.0,
            volume_24h=1e6 + (number * 7717 + update * 31) % 999_979 * 1.37,
            market_cap=1e9 + (number * 6421 + update * 37) % 999_961 * 7.13,
            observed_at=now - number % 700,
            received_at=now,
            valid_until=now - number % 700 + 300_000,
            source="coingecko",
            seq=update,
        )
        for number in range(pairs)
    ]


def fill(tx: Tx, journal: str, now: int) -> None:
    """A market of PAIRS, and some hours of one of its coins."""
    first = prices(PAIRS, 0, now)
    minutes = range(now // MINUTE * MINUTE - 300 * MINUTE, now // MINUTE * MINUTE, MINUTE)
    candles = [
        Candle(
            pair=first[0].pair,
            interval=MINUTE,
            start=start,
            open=100.0,
            high=103.0,
            low=98.0,
            close=101.0,
            volume_24h=1e6,
            ticks=60,
            observed_ms=MINUTE,
        )
        for start in minutes
    ]
    step = Step(cursor=Cursor(journal=journal, seq=0, at=now), prices=first, candles=candles)
    tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor())


def run(pipe: Connection, core: int | None, kind: str, packed: bool, clients: int) -> None:
    """A server process: `kind` is "ours" or "bare", or "page" for ours with a past to show. Says its port, then
    does as it is told: a number of pairs is an update, 0 asks how it is, -1 ends it."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    asyncio.run(_run(pipe, kind, packed, clients))


async def _run(pipe: Connection, kind: str, packed: bool, clients: int) -> None:
    room_for_streams(clients)
    stop, hub, updates = asyncio.Event(), Hub("bench"), 0
    process, clock = psutil.Process(), SystemClock()

    def told(at: int, size: int) -> Told:
        return Told(at, time.process_time(), process.memory_info().rss / 1e6, size)

    def started() -> None:
        look_rarely()  # as the program does
        pipe.send(sock.getsockname()[1])

    async with AsyncExitStack() as stack:
        app = await _application(stack, kind, hub, packed, clients)

        def heard() -> None:
            nonlocal updates
            try:
                pairs = pipe.recv()
            except EOFError:  # whoever measures is gone
                pairs = -1
            if pairs < 0:
                stop.set()
            elif pairs == 0:
                pipe.send(told(0, 0))
            else:
                updates += 1
                market = prices(pairs, updates, clock.now())
                at = time.monotonic_ns()
                hub.publish(market, at=market[0].received_at)
                pipe.send(told(at, len(frame_of(hub, packed))))

        asyncio.get_running_loop().add_reader(pipe.fileno(), heard)
        sock = listen("127.0.0.1", 0)
        await serve(app, sockets=[sock], stop=stop, hub=hub, started=started)
        asyncio.get_running_loop().remove_reader(pipe.fileno())


async def _application(stack: AsyncExitStack, kind: str, hub: Hub, packed: bool, clients: int) -> Any:
    if kind == "bare":
        return Bare(hub, packed)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    clock = SystemClock()
    store = await stack.enter_async_context(open_sqlite_store(folder / "store.db"))
    journal = await stack.enter_async_context(open_sqlite_journal(folder / "journal.db", clock=clock))
    limits = Limits(streams=clients + 10)
    if kind == "page":
        await store.run(lambda tx: fill(tx, journal.id, clock.now()))
    return build(
        WebDeps(store=store, journal=journal, clock=clock, hub=hub, version="bench", open=True, limits=limits)
    )
