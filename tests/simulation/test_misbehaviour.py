"""Everything the fake CoinGecko can do wrong, against the whole pipeline: a real server and a real client on one
virtual clock. Whatever happens, no false alert, no crash, the source says why, and it recovers by itself."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from random import Random

import msgspec
import pytest

from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.sources.coingecko import CoinGeckoConfig
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.domain.status import Price, SourceStatus
from cryptowatcher.ports import Clock, Deps, Source, Store
from cryptowatcher.program import Pipeline
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.market import Market
from cryptowatcher.testing.misbehaviour import MISBEHAVIOURS, Misbehaviour
from cryptowatcher.testing.virtual_time import VirtualClock

MINUTE = 60.0

# What the market itself never does within ten minutes: whatever fires here is false.
FALSE = (
    "change(1m) <= -33%",
    "change(1m) >= 50%",
    "change(10m) <= -40%",
    "change(10m) >= 70%",
    "price <= 1000000",
)
RULES = tuple(RuleSpec(name=when, pairs=("all",), when=when) for when in FALSE)

# What is wrong in charts alone is tried in tests/pipeline/test_backfill.py.
# Wrongs that leave the answer usable, or that cannot be told from a quiet market.
HARMLESS = {"duplicates", "strangers", "stuck_price", "millisecond_time"}
NAMED = ("bitcoin", "ethereum", "solana")
WRONGS = [
    *(Misbehaviour(kind=kind) for kind in sorted(MISBEHAVIOURS) if not kind.startswith("chart_")),
    Misbehaviour(kind="spike", coins=("bitcoin",), times=1),
    Misbehaviour(kind="collapse", coins=("bitcoin", "ethereum"), times=1),
    Misbehaviour(kind="null_price", coins=("bitcoin",)),
    Misbehaviour(kind="missing_ids", coins=("bitcoin",)),
]


class Outcome(msgspec.Struct, frozen=True):
    """What was seen: the source's status while it misbehaved and afterwards, alerts, prices at the end."""

    during: tuple[SourceStatus, ...]
    after: SourceStatus
    alerts: tuple[Alert, ...]
    prices: tuple[Price, ...]
    now: int


class Silent:
    """A channel that keeps nothing: the alerts themselves are looked at."""

    name = "silent"

    async def send(self, message: Message) -> str:
        return "ok"


async def live_through(wrong: Misbehaviour, folder: Path, *, good: float = 5 * MINUTE) -> Outcome:
    """Five good minutes, eight bad ones, and up to two hours to recover."""
    clock = VirtualClock()
    market = Market(4, 70)
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(FakeCoinGecko(market, clock=clock.now, seed=4))
        store = await stack.enter_async_context(open_sqlite_store(folder / "store.db", inline=Inline()))
        journal = await stack.enter_async_context(
            open_sqlite_journal(folder / "journal.db", clock=clock, inline=Inline())
        )
        source = await stack.enter_async_context(open_source(fake, clock))
        for rule in RULES:
            await store.run(lambda tx, rule=rule: tx.save_rule(LOCAL_OWNER, rule, head=0, now=clock.now()))  # type: ignore[misc]
        pipeline = new_pipeline(store, journal, source, clock)
        if not good:
            fake.misbehave(wrong)
        stop = asyncio.Event()
        running = asyncio.create_task(pipeline.run(stop))
        await asyncio.sleep(good)
        if good:
            fake.misbehave(wrong)
        during = []
        for _ in range(8):
            await asyncio.sleep(MINUTE)
            during.append(await status(store))
        fake.behave()
        after = await recovered(store, clock)
        stop.set()
        await running
        return Outcome(
            tuple(during),
            after,
            tuple(await store.run(lambda tx: tx.alerts(LOCAL_OWNER, limit=1000))),
            tuple(await store.run(lambda tx: tx.prices())),
            clock.now(),
        )


def open_source(fake: FakeCoinGecko, clock: Clock) -> AbstractAsyncContextManager[Source]:
    """Both ways of asking: a page of the largest, and coins by name."""
    small = fake.tape.coins[-1].id
    config = CoinGeckoConfig(base_url=fake.url, top=60, ids=(small, *NAMED), per_minute=30)
    return config.open(Deps(clock=clock, secret=lambda **_: None, random=Random(1)))


def new_pipeline(store: Store, journal: object, source: Source, clock: Clock) -> Pipeline:
    return Pipeline(
        store=store,
        journal=journal,  # type: ignore[arg-type]
        channels={"silent": Silent()},
        policies={},
        sources=[source],
        clock=clock,
        random=Random(2),
        holder="test",
        beat_every=20.0,
    )


async def status(store: Store) -> SourceStatus:
    (found,) = await store.run(lambda tx: tx.source_statuses())
    return found


async def recovered(store: Store, clock: Clock) -> SourceStatus:
    """The status once every pair is seen again, or after two hours."""
    for _ in range(120):
        await asyncio.sleep(MINUTE)
        now = await status(store)
        if now.state == "ok" and not now.blind_pairs and not now.held:
            return now
    return await status(store)


def named(wrong: Misbehaviour) -> str:
    return wrong.kind + "".join(f" {coin}" for coin in wrong.coins)


@pytest.mark.parametrize("wrong", WRONGS, ids=named)
def test_a_misbehaving_source_fires_nothing_says_why_and_comes_back(wrong: Misbehaviour, tmp_path: Path) -> None:
    outcome = virtual_time.run(lambda: live_through(wrong, tmp_path), socket_wait=0.0005)
    assert [(alert.condition, alert.pair, alert.value) for alert in outcome.alerts] == []
    assert outcome.after.state == "ok"
    assert outcome.after.blind_pairs == ()
    assert len(outcome.prices) >= 60
    current = [price for price in outcome.prices if price.valid_until >= outcome.now]
    assert len(current) >= 60
    reasons = {status.reason for status in outcome.during} | {
        blind.reason for status in outcome.during for blind in status.blind_pairs
    }
    held = any(status.held for status in outcome.during)
    assert wrong.kind in HARMLESS or held or reasons - {""}, "the source did not say why it cannot see"


@pytest.mark.parametrize("kind", ["spike", "collapse", "absurd", "null_price", "old"])
def test_a_source_that_lies_in_its_very_first_answer_fires_nothing(kind: str, tmp_path: Path) -> None:
    wrong = Misbehaviour(kind=kind, times=2)  # both calls of the first round
    outcome = virtual_time.run(lambda: live_through(wrong, tmp_path, good=0), socket_wait=0.0005)
    assert [(alert.condition, alert.pair, alert.value) for alert in outcome.alerts] == []
    assert outcome.after.state == "ok"
    assert len(outcome.prices) >= 60
