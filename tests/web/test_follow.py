"""Following the journal and the store into the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.domain.records import Draft, Held, Ticks, Verdict
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.errors import Unavailable
from cryptowatcher.web.live import NEWEST_ALERTS, follow
from tests.processes import PATIENCE
from tests.web.people import owner_of
from tests.web.serving import until
from tests.web.world import NOW, World, alert, price, world


def play(
    tmp_path: Path, act: Callable[[World], Coroutine[Any, Any, None]], **parts: Callable[[World], Any]
) -> None:
    """Act while the hub is being kept up to date from (parts of) a world."""

    async def scenario() -> None:
        async with world(tmp_path) as here:
            journal = parts["journal"](here) if "journal" in parts else here.journal
            store = parts["store"](here) if "store" in parts else here.store
            here.hub.follow(LOCAL_OWNER, [])
            following = asyncio.create_task(
                follow(journal, store, here.hub, clock=here.clock, every=0, pulse_every=3600)
            )
            acting = asyncio.create_task(act(here))
            await asyncio.wait((following, acting), return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                await following
            await acting
            following.cancel()
            await asyncio.wait((following,))

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


def ticks(**prices: float) -> Ticks:
    return Ticks(one_instant({f"{asset}/usd": value for asset, value in prices.items()}, observed_at=NOW))


def known(here: World) -> dict[str, float]:
    return {pair: held.price for pair, held in here.hub.prices.items()}


def test_accepted_ticks_are_prices_at_once(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        await here.append(ticks(a=1.0, b=2.0), ticks(a=3.0))
        await until(lambda: known(here) == {"a/usd": 3.0, "b/usd": 2.0})
        held = here.hub.prices["a/usd"]
        assert (held.observed_at, held.valid_until, held.volume_24h) == (NOW, NOW + 300_000, None)

    play(tmp_path, act)


def test_held_ticks_are_no_prices_until_they_are_accepted(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        jump = ticks(a=1e9).batch
        await here.append(Held(jump, "jump"), Verdict(ticks(b=1e9).batch, False, "alone"), ticks(c=1.0))
        await until(lambda: "c/usd" in known(here))
        assert known(here) == {"c/usd": 1.0}
        await here.append(Verdict(jump, True, "confirmed"))
        await until(lambda: known(here) == {"a/usd": 1e9, "c/usd": 1.0})

    play(tmp_path, act)


def test_it_begins_with_what_the_store_knows(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        await until(lambda: here.hub.seq)
        await here.append()
        await here.watched(alerts=[alert()], prices=[price("old/usd", 5.0)])
        here.hub.prices.clear()
        async with asyncio.TaskGroup() as jobs:
            again = jobs.create_task(follow(here.journal, here.store, here.hub, clock=here.clock, every=0))
            await until(lambda: known(here) == {"old/usd": 5.0})
            again.cancel()

    play(tmp_path, act)


def test_each_alert_appears_once_even_a_late_one(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        published: list[str] = []
        publish = here.hub.publish

        def listening(prices: Any, alerts: Any = (), **more: Any) -> None:
            published.extend(a.id for a in alerts)
            publish(prices, alerts, **more)

        def published_at_least(number: int) -> bool:
            return len(published) >= number

        here.hub.publish = listening  # type: ignore[method-assign]  # a spy: what was published cannot be read back
        for number, found in enumerate([alert(NOW + 9), alert(NOW - 9, late=True), alert(NOW + 10)], 1):
            await here.append()
            await here.watched(alerts=[found])
            await until(partial(published_at_least, number))
        await here.append(ticks(a=1.0))
        await until(lambda: known(here))
        assert published == [alert(NOW + 9).id, alert(NOW - 9).id, alert(NOW + 10).id]

    play(tmp_path, act)


def test_a_storm_says_that_there_is_more(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        await until(lambda: here.hub.seq)
        await here.append()
        await here.watched(alerts=[alert(NOW + n) for n in range(NEWEST_ALERTS + 5)])
        await until(lambda: here.hub.alerts[LOCAL_OWNER])
        frame = here.hub.after(here.hub.seq - 1, LOCAL_OWNER)
        assert frame is not None
        assert b'"more":true' in frame

    play(tmp_path, act)


def test_alerts_of_everybody_who_looks_are_followed_and_of_nobody_else(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        here.hub.follow("ben", [])
        await here.append()
        await here.watched(
            alerts=[alert(NOW + n, owner=owner) for n, owner in enumerate(("ben", LOCAL_OWNER, "eve"))]
        )
        await until(lambda: all(here.hub.alerts.values()))
        owners = {owner: [each.owner for each in alerts] for owner, alerts in here.hub.alerts.items()}
        assert owners == {"ben": ["ben"], LOCAL_OWNER: [LOCAL_OWNER]}
        sent = here.hub.after(-1, "ben")
        assert sent is not None
        assert alert(NOW, owner="ben").id.encode() in sent
        assert alert(NOW + 1).id.encode() not in sent

    play(tmp_path, act)


def test_a_session_that_ends_elsewhere_ends_its_streams_at_the_next_pulse(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            anna = await owner_of(here)
            following = follow(here.journal, here.store, here.hub, clock=here.clock, every=3600, pulse_every=0)
            with here.hub.serving(LOCAL_OWNER, anna.session), here.hub.serving(LOCAL_OWNER, ""):
                job = asyncio.create_task(following)
                await until(lambda: here.hub.pulses > 2)
                assert not here.hub.is_over(anna.session)
                await here.store.run(lambda tx: tx.end_session(anna.session))
                await until(lambda: here.hub.is_over(anna.session))
                assert not here.hub.is_over("")
            job.cancel()
            await asyncio.wait((job,))
            assert here.hub.proofs() == set()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


def test_a_trimmed_journal_is_picked_up_from_the_store(tmp_path: Path) -> None:
    class Trimming:
        """The journal loses its beginning between two reads."""

        def __init__(self, here: World) -> None:
            self.here = here
            self.trimmed = False

        @property
        def id(self) -> str:
            return self.here.journal.id

        async def head(self) -> int:
            return await self.here.journal.head()

        async def read(self, after: int, limit: int) -> Any:
            if not self.trimmed and await self.head() > 3:
                self.trimmed = True
                await self.here.journal.trim(3)
            return await self.here.journal.read(after, limit)

    async def act(here: World) -> None:
        await until(lambda: here.hub.seq)
        drafts = [Draft("x", n, ticks(**{f"n{n}": float(n)})) for n in range(1, 6)]
        await here.journal.append(drafts)
        await until(lambda: {"n4/usd", "n5/usd"} <= set(known(here)))
        assert "n1/usd" not in known(here)

    play(tmp_path, act, journal=Trimming)


def test_a_recreated_journal_is_followed_from_its_beginning(tmp_path: Path) -> None:
    class Replaceable:
        """What stands behind the name changes, as when a file is restored."""

        def __init__(self, here: World) -> None:
            self.behind = here.journal

        def __getattr__(self, name: str) -> Any:
            return getattr(self.behind, name)

    made: list[Replaceable] = []

    def replaceable(here: World) -> Replaceable:
        made.append(Replaceable(here))
        return made[0]

    async def act(here: World) -> None:
        await here.append(ticks(a=1.0), ticks(a=2.0), ticks(a=3.0))
        await until(lambda: known(here) == {"a/usd": 3.0})
        new = open_sqlite_journal(tmp_path / "new.db", clock=here.clock, inline=Inline())
        async with new as journal:
            await journal.append([Draft("x", 1, ticks(a=7.0))])
            made[0].behind = journal
            await until(lambda: known(here) == {"a/usd": 7.0})
            made[0].behind = here.journal

    play(tmp_path, act, journal=replaceable)


def test_a_store_that_cannot_answer_for_a_while_only_delays(tmp_path: Path) -> None:
    class Flaky:
        """Every second question fails."""

        def __init__(self, here: World) -> None:
            self.here = here
            self.asked = 0

        async def run(self, fn: Any) -> Any:
            self.asked += 1
            if self.asked % 2:
                raise Unavailable("busy", reason="busy")
            return await self.here.store.run(fn)

    async def act(here: World) -> None:
        await until(lambda: here.hub.seq)
        await here.append(ticks(a=1.0))
        await here.watched(alerts=[alert()])
        await until(lambda: known(here) == {"a/usd": 1.0} and here.hub.alerts[LOCAL_OWNER])

    play(tmp_path, act, store=Flaky)
