"""The dead-man's switch: the outside is told while the whole way is open, and never of a time that is over.

First the pipeline on virtual time; at the end the real program with a real service beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from random import Random

import httpx
import psutil

from cryptowatcher.adapters.channels.ping import Ping, Rounds
from cryptowatcher.adapters.http import Http
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.config.canary import Canary, life_begins
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.canary import NAME, RULE, SYSTEM_OWNER
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.reaching import Setting
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Deps, Store, Tx
from cryptowatcher.program import Pipeline
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.market import Market
from cryptowatcher.testing.virtual_time import VirtualClock
from cryptowatcher.testing.wire import LocalServer, Reply, Request, wall_time
from tests.pipeline.inline import Around, Reading, opened
from tests.processes import PATIENCE, killed
from tests.program.test_run import Program, free_port, running

HERE = Outbound(allow=("127.0.0.0/8",))

MINUTE = 60_000
HOUR = 60 * MINUTE
EVER = 10**6
EVERYBODYS = RuleSpec(name="everything", pairs=("all",), when="price > 0.000001", fire_if_already_true=True)


class Killed(BaseException):
    """The process ends here."""


class World:
    """What outlives a process: the files, the clock, and the service outside.

    pings:  when it was told that all is well, epoch ms
    asked:  how often it was asked, whatever it answered
    rounds: seconds that each round took, and when it ended
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.status = 200
        self.asked = 0
        self.pings: list[int] = []
        self.rounds: list[tuple[float, int]] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.status < 300:
            self.pings.append(self.clock.now())
        return httpx.Response(self.status, stream=httpx.ByteStream(b"OK"))

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Life]:
        """A process, as app.py puts it together; it ends in order unless it was killed."""
        around, settings = Around(), Canary()
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        async with client, opened(self.folder, self.clock, around) as (store, journal):
            since = await store.run(lambda tx: life_begins(tx, self.clock.now()))
            ping = Ping(
                (Http(client), "https://outside.test/ping"),
                rounds=Rounds(every=MINUTE, since=since),
                clock=self.clock,
                on_round_trip=lambda seconds, at: self.rounds.append((seconds, at)),
            )
            deps = Deps(clock=self.clock, secret=lambda **named: None, random=Random(1), outbound=HERE)
            reading = Reading(journal)
            pipeline = Pipeline(
                store=store,
                journal=reading,
                channels={NAME: ping, "people": Nobody()},
                policies={NAME: settings.policy()},
                sources=[settings.open_source(deps, since=since)],
                clock=self.clock,
                random=Random(1),
                holder=f"since {self.clock.now()}",
                setting=Setting(channels=("people",)),
                beat_every=15.0,
            )
            await store.run(lambda tx: _save_rules(tx, self.clock.now()))
            stop = asyncio.Event()
            life = Life(store, reading, around, asyncio.create_task(pipeline.run(stop)))
            try:
                yield life
            finally:
                stop.set()
                with contextlib.suppress(Killed):
                    await life.pipeline

    async def minutes(self, count: float) -> None:
        await asyncio.sleep(count * 60)

    async def since(self, moment: int) -> list[int]:
        return [at for at in self.pings if at >= moment]


class Life:
    def __init__(self, store: Store, journal: Reading, around: Around, pipeline: asyncio.Task[None]) -> None:
        self.store = store
        self.journal = journal
        self.around = around
        self.pipeline = pipeline

    async def kill(self) -> None:
        """At its next commit; nothing is written after that."""

        async def die() -> None:
            raise Killed

        self.around.before = die
        await asyncio.wait([self.pipeline])

    async def deliveries(self) -> list[Delivery]:
        """The canary's, oldest first."""
        return (await self.store.run(lambda tx: tx.deliveries(SYSTEM_OWNER, limit=EVER)))[::-1]


class Nobody:
    """A channel that must never be used here."""

    name = "people"

    async def send(self, message: Message) -> str:
        raise AssertionError(f"told people {message.alert.id}")


def _save_rules(tx: Tx, now: int) -> None:
    tx.save_rule(SYSTEM_OWNER, RULE, head=0, now=now, origin="config")
    tx.save_rule(LOCAL_OWNER, EVERYBODYS, head=0, now=now)


def in_world(folder: Path, story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        await story(World(folder))

    virtual_time.run(main)


def test_the_outside_is_told_once_a_minute_and_people_never_notice(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        began = world.clock.now()
        async with world.life() as life:
            await world.minutes(10)
            seen = await life.store.run(_what_people_see)
            sent = await life.deliveries()
        assert world.pings[0] - began < 0.6 * MINUTE
        assert len(world.pings) == 10
        assert all(after - before < 1.1 * MINUTE for before, after in pairwise(world.pings))
        assert [at for _, at in world.rounds] == world.pings
        assert all(0 <= seconds < 1 for seconds, _ in world.rounds)
        assert {delivery.channel for delivery in sent} == {NAME}
        assert seen == ([], [], [], [], 0, 0, [EVERYBODYS.name])

    in_world(tmp_path, story)


def _what_people_see(tx: Tx) -> tuple[object, ...]:
    return (
        tx.prices(),
        tx.alerts(LOCAL_OWNER, limit=EVER),
        tx.deliveries(LOCAL_OWNER, limit=EVER),
        tx.candles("cryptowatcher/canary", MINUTE, start=0, end=10**15, limit=EVER),
        tx.alert_count(),
        sum(tx.outbox_counts().values()),
        [rule.spec.name for rule in tx.rules()],
    )


def test_an_outside_that_fails_is_asked_again_for_a_while_and_the_watcher_goes_on(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async with world.life() as life:
            world.status = 500
            await world.minutes(8)
            assert not world.pings
            failing = [delivery for delivery in await life.deliveries() if delivery.state == "given_up"]
            assert len(failing) >= 4
            assert all(delivery.finished_at - delivery.created_at <= 2 * MINUTE + 15_000 for delivery in failing)
            assert max(delivery.attempts for delivery in failing) >= 3
            assert len(world.rounds) >= 4
            assert world.asked < 8 * 12
            back = world.clock.now()
            world.status = 200
            await world.minutes(3)
            assert world.pings[0] - back < 1.5 * MINUTE
            _none_is_late(await life.deliveries())

    in_world(tmp_path, story)


def test_while_watch_cannot_read_nobody_is_told_and_what_it_reads_afterwards_is_over(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async with world.life() as life:
            await world.minutes(2)
            before = len(world.pings)

            async def fail() -> None:
                raise Unavailable("the disk does not answer", reason="timeout")

            life.journal.before_read = fail
            await world.minutes(10)
            assert len(world.pings) - before <= 1
            life.journal.before_read = nothing
            back = world.clock.now()
            await world.minutes(5)
            late = [delivery for delivery in await life.deliveries() if delivery.last_error.startswith("late")]
            assert len(late) >= 6
            assert 4 <= len(await world.since(back)) <= 8
            _none_is_late(await life.deliveries())

    in_world(tmp_path, story)


async def nothing() -> None:
    """Nothing happens."""


def _none_is_late(deliveries: list[Delivery]) -> None:
    sent = [delivery for delivery in deliveries if delivery.state == "sent"]
    assert sent
    assert all(delivery.finished_at - delivery.created_at <= 2 * MINUTE + 1_000 for delivery in sent)


def test_after_a_kill_no_ping_stands_for_a_round_of_the_life_before(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async with world.life() as life:
            world.status = 503
            await world.minutes(2.1)
            await life.kill()
        await world.minutes(0.2)
        world.status = 200
        began = world.clock.now()
        async with world.life() as life:
            await world.minutes(5)
            deliveries = await life.deliveries()
        older = [delivery for delivery in deliveries if delivery.created_at <= began]
        assert older
        assert {delivery.state for delivery in older} == {"given_up"}
        assert 25_000 < world.pings[0] - began < 35_000
        assert len(world.pings) == 5

    in_world(tmp_path, story)


def test_a_wall_clock_that_jumps_silences_it_for_two_minutes_at_most(tmp_path: Path) -> None:
    """In a life, and from one life to the next."""

    async def story(world: World) -> None:
        for step in (HOUR, -HOUR, -24 * HOUR, 365 * 24 * HOUR):
            async with world.life():
                await world.minutes(1)
                before = len(world.pings)
                world.clock.step(step)
                await world.minutes(5)
                assert len(world.pings) - before >= 3
            for _ in range(2):
                before = len(world.pings)
                world.clock.step(-HOUR)
                async with world.life():
                    await world.minutes(3)
                    assert len(world.pings) - before >= 2

    in_world(tmp_path, story)


# --- the real program ------------------------------------------------------------------------------


class Outside:
    """A service of the kind of healthchecks.io: every GET of its address says that all is well."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[Request] = []
        self.pings = 0
        self._arrived = asyncio.Condition()

    async def answer(self, request: Request) -> Reply:
        async with self._arrived:
            self.asked.append(request)
            self.pings += self.status < 300
            self._arrived.notify_all()
        return Reply(status=self.status)

    async def more(self, count: int) -> None:
        """So many further requests."""
        wanted = len(self.asked) + count
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.asked) >= wanted)


def with_outside(folder: Path, story: Callable[[Path, int, Outside], Awaitable[None]]) -> None:
    async def main() -> None:
        outside = Outside()
        async with FakeCoinGecko(Market(3, 30)) as fake, LocalServer(outside.answer) as server:
            port = free_port()
            (folder / "ping.url").write_text(f"{server.origin}/ping/abc")
            (folder / "ping.url").chmod(0o600)
            config = folder / "cryptowatcher.toml"
            config.write_text(f"""
data_dir = "data"
[web]
port = {port}
open = true
[canary]
every = "1s"
url_file = "ping.url"
[outbound]
allow = ["127.0.0.0/8"]
[[sources]]
kind = "coingecko"
base_url = "{fake.url}"
top = 5
every = "1s"
[[channels]]
name = "screen"
kind = "console"
[default_rules]
enabled = false
[[rules]]
name = "everything"
pairs = ["all"]
when = "price > 0.000001"
fire_if_already_true = true
""")
            await story(config, port, outside)

    asyncio.run(main())


async def own_deliveries(config: Path) -> list[Delivery]:
    async with open_sqlite_store(config.parent / "data" / "store.db", readonly=True) as store:
        return await store.run(lambda tx: tx.deliveries(SYSTEM_OWNER, limit=EVER))


async def stand_still(process: psutil.Process, seconds: float) -> int:
    """Stop it as a debugger does, and let it go on after so long; returns when that was, epoch ms."""
    process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(PATIENCE):
        while process.status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110  the system says it no other way
            await asyncio.sleep(0.01)
    await asyncio.sleep(seconds)  # not for synchronisation: rounds are to grow too old meanwhile
    process.send_signal(signal.SIGCONT)
    return wall_time()


def test_the_program_tells_the_outside_and_hides_its_canary_from_people(tmp_path: Path) -> None:
    async def story(config: Path, port: int, outside: Outside) -> None:
        async with running(config, port) as program:
            await outside.more(3)
            await program.until("/health/ready", lambda answer: answer.status_code == 200)
            await program.until("/api/v1/deliveries", lambda answer: len(answer.json()["items"]) == 5)
            for path in ("prices", "alerts", "deliveries", "rules", "sources"):
                text = (await program.until(f"/api/v1/{path}", lambda answer: answer.is_success)).text
                assert "canary" not in text
            assert await first_frame(program) == {"prices": 5, "alerts": 5}
            metrics = (await program.until("/metrics", lambda answer: answer.is_success)).text
            assert "cryptowatcher_prices_known 5.0" in metrics
            assert "cryptowatcher_alerts_kept 5.0" in metrics
            assert await program.stop() == 0
        assert {(request.method, request.path) for request in outside.asked} == {("GET", "/ping/abc")}
        assert len([each for each in await own_deliveries(config) if each.state == "sent"]) == outside.pings

    with_outside(tmp_path, story)


async def first_frame(program: Program) -> dict[str, int]:
    """How many prices and alerts a client of the live stream is given, and that the canary is not among them."""
    async with (
        httpx.AsyncClient(timeout=PATIENCE) as client,
        client.stream("GET", f"{program.page}/api/v1/stream") as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("data: ") and '"alerts"' in line:
                assert "canary" not in line
                snapshot = httpx.Response(200, text=line.removeprefix("data: ")).json()
                return {name: len(snapshot[name]) for name in ("prices", "alerts")}
    raise AssertionError("the stream ended")


def test_a_program_that_stood_still_or_was_killed_tells_nothing_of_the_time_before(tmp_path: Path) -> None:
    async def story(config: Path, port: int, outside: Outside) -> None:
        async with running(config, port) as program:
            await outside.more(2)
            went_on_at = await stand_still(psutil.Process(program.process.pid), 3.0)
            pings = outside.pings
            await outside.more(2)
            outside.status = 500
            await outside.more(4)
            await program.until("/health/ready", lambda answer: answer.status_code == 200)
            await killed(program.process)
        first_life = await own_deliveries(config)
        assert len([each for each in first_life if each.created_at < went_on_at and each.state == "sent"]) == pings
        outside.status = 200
        async with running(config, port) as program:
            await outside.more(3)
            assert await program.stop() == 0
        sent = {each.id for each in await own_deliveries(config) if each.state == "sent"}
        assert len(sent - {each.id for each in first_life}) >= 3
        assert {each.id for each in first_life if each.state == "sent"} == sent & {each.id for each in first_life}

    with_outside(tmp_path, story)
