"""What bench_latency measures in: rules, the ticks that cross some of them, an exchange, and a receiver.

Exchange and receiver are processes of their own. All times are nanoseconds of the machine's monotonic clock, which
its processes share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

import msgspec
import numpy as np

from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.testing.receiver import Received, WebhookReceiver

PAIRS = 2_000
NAMES = tuple(f"coin-{number}/usd" for number in range(PAIRS))
TRIP, BURST = 1.02, 1.06
"""The share of its usual price at which a pair's own rule fires, and the rules of a burst do."""
SECRET = "whsec_bm90IGEgc2VjcmV0IGF0IGFsbA=="
SLICE = 0.002
"""Seconds between two writes of the exchange."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What comes: `rate` ticks a second, each pair in its turn. After `warm` seconds, for `steady` seconds, about
    `alerts` of them a second cross the own rule of their pair; after that and `calm` seconds, one crosses `burst`
    rules, and ticks go on for `calm` seconds more."""

    rules: int
    rate: int
    alerts: float
    burst: int
    warm: float = 5.0
    steady: float = 30.0
    calm: float = 5.0

    @property
    def crossing(self) -> frozenset[int]:
        """Numbers of the ticks that cross the rule of their pair, at most one for each but the first."""
        rng = np.random.default_rng(11)
        first, last = self.warm * self.rate, (self.warm + self.steady) * self.rate
        found: dict[int, int] = {}
        for number in rng.integers(int(first), int(last), round(self.alerts * self.steady)).tolist():
            found.setdefault(self.pair(number), number)
        found.pop(0, None)
        return frozenset(found.values())

    @property
    def bursting(self) -> int:
        """The number of the tick that fires the burst."""
        number = int((self.warm + self.steady + self.calm) * self.rate)
        return number + (-number % PAIRS)

    @property
    def ticks(self) -> int:
        """How many there are."""
        return self.bursting + int(self.calm * self.rate)

    @property
    def seconds(self) -> float:
        """How long they take."""
        return self.ticks / self.rate

    @property
    def messages(self) -> int:
        """How many are due. The tick of the burst crosses the rule of its pair too."""
        return len(self.crossing) + self.burst + 1

    @staticmethod
    def pair(tick: int) -> int:
        """In an order that is not that of their names."""
        return tick % PAIRS * 7 % PAIRS


def usual(pair: int) -> float:
    return 100.0 + pair / 10


def specs(plan: Plan) -> Iterator[RuleSpec]:
    """One rule for each pair that a jump of its price reaches, those of the burst, and many that nothing reaches:
    half on prices, half on changes."""
    for pair, name in enumerate(NAMES):
        yield RuleSpec(name=f"trip {pair}", pairs=(name,), when=f"price >= {TRIP * usual(pair):.6f}")
    for number in range(plan.burst):
        constant = BURST * usual(0) * (1 - number / plan.burst / 100)
        yield RuleSpec(name=f"burst {number}", pairs=(NAMES[0],), when=f"price >= {constant:.6f}")
    away = np.random.default_rng(4).uniform(0.3, 0.8, max(0, plan.rules - PAIRS - plan.burst)).tolist()
    for number, far in enumerate(away):
        pair, up = number // 4 % PAIRS, number % 2 == 0
        if number % 4 < 2:
            when = f"price {'>=' if up else '<='} {usual(pair) * (1 + far if up else 1 - far):.6f}"
        else:
            when = f"change(5m) {'>= ' if up else '<= -'}{100 * far:.6f}%"
        yield RuleSpec(name=f"far {number}", pairs=(NAMES[pair],), when=when)


class Tick(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of the exchange: the pair's number, its price, when it was observed (epoch ms)."""

    pair: int
    price: float
    at: int


@contextmanager
def exchange(plan: Plan) -> Iterator[tuple[int, Connection]]:
    """Its port. After the last tick the connection gives when crossing ones were sent: by (pair, observed at)."""
    mine, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_trade, args=(plan, theirs), daemon=True)
    process.start()
    try:
        yield mine.recv(), mine
    finally:
        process.terminate()
        process.join()


def _trade(plan: Plan, told: Connection) -> None:
    asyncio.run(_listen(plan, told))


async def _listen(plan: Plan, told: Connection) -> None:
    done = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = await _send(plan, writer)
        writer.close()
        told.send(sent)
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    told.send(server.sockets[0].getsockname()[1])
    await done.wait()
    await asyncio.Event().wait()


async def _send(plan: Plan, writer: asyncio.StreamWriter) -> dict[tuple[int, int], int]:
    """All ticks in their time; when those were sent that cross something."""
    crossing, sent = plan.crossing | {plan.bursting}, {}
    noise = (1 + np.random.default_rng(12).normal(0, 0.0002, 65_536)).tolist()
    began, number = time.monotonic(), 0
    while number < plan.ticks:
        due = min(plan.ticks, int((time.monotonic() - began) * plan.rate))
        at, lines = time.time_ns() // 1_000_000, []
        for tick in range(number, due):
            pair = plan.pair(tick)
            price = usual(pair) * noise[tick & 65_535]
            if tick in crossing:
                price *= 1.1 if tick == plan.bursting else 1.03
                sent[pair, at] = time.monotonic_ns()
            lines.append(f"[{pair},{price:.6f},{at}]\n")
        writer.write("".join(lines).encode())
        number = due
        await asyncio.sleep(SLICE)
    await writer.drain()
    return sent


@contextmanager
def receiver() -> Iterator[tuple[str, Connection]]:
    """Its address. Whatever is sent to the connection, it answers with all that was received so far."""
    mine, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_receive, args=(theirs,), daemon=True)
    process.start()
    try:
        yield mine.recv(), mine
    finally:
        process.terminate()
        process.join()


def _receive(asked: Connection) -> None:
    asyncio.run(_hear(asked))


async def _hear(asked: Connection) -> None:
    async with WebhookReceiver(SECRET, clock=time.monotonic_ns) as hook:
        asked.send(hook.url)
        while True:
            await asyncio.to_thread(asked.recv)
            asked.send(hook.received)


def heard(told: Connection) -> list[Received]:
    """What a receiver has received so far; `at` is the monotonic clock."""
    told.send("what?")
    received: list[Received] = told.recv()
    return received
