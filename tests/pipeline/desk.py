"""A desk on which a test has one store, one journal and a Watch when it asks for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from cryptowatcher.domain.records import Ticks
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Cursor, Journal, Store
from cryptowatcher.testing import virtual_time
from tests.domain.journals import BEGIN
from tests.pipeline.inline import Around, Hands, opened, put
from tests.pipeline.lives import CHANNELS, EVER, OWNER


class Desk:
    """One store, one journal, and a Watch when asked for."""

    def __init__(self, store: Store, journal: Journal, clock: Hands, around: Around) -> None:
        self.store = store
        self.journal = journal
        self.clock = clock
        self.around = around
        self.meters = Meters()

    def new_watch(self, journal: Journal | None = None, queueing: Callable[[], None] = lambda: None) -> Watch:
        return Watch(
            journal or self.journal,
            self.store,
            self.clock,
            channels=CHANNELS,
            queueing=queueing,
            meters=self.meters,
        )

    async def watch(self) -> Watch:
        """One that has recovered."""
        watch = self.new_watch()
        await watch.recover()
        return watch

    async def caught_up(self) -> Watch:
        """One that has reached the head, and stopped."""
        watch = await self.watch()
        await to_the_head(watch)
        await watch.close()
        return watch

    async def price(self, *prices: float, pair: str = "a/usd") -> None:
        """A record each, a minute apart."""
        for price in prices:
            self.clock.pass_by(60)
            await put(self.journal, Ticks(one_instant({pair: price}, observed_at=self.clock.wall)))

    async def rule(self, when: str = "price >= 100", *, owner: str = OWNER, **more: object) -> None:
        head = await self.journal.head()
        spec = msgspec.convert({"name": "mine", "pairs": ["a/usd"], "when": when, **more}, RuleSpec)
        await self.store.run(lambda tx: tx.save_rule(owner, spec, head=head, now=self.clock.wall))

    async def alerts(self) -> list[int]:
        """Positions of all alerts, oldest first."""
        found = await self.store.run(lambda tx: tx.alerts(OWNER, limit=EVER))
        return [alert.seq for alert in reversed(found)]

    async def cursor(self) -> Cursor | None:
        return await self.store.run(lambda tx: tx.cursor())


async def to_the_head(watch: Watch) -> None:
    while await watch.advance():
        pass


def at_a_desk(folder: Path, main: Callable[[Desk], Awaitable[None]], *, journal_file: str = "journal.db") -> None:
    async def run() -> None:
        clock, around = Hands(BEGIN), Around()
        async with opened(folder, clock, around, journal_file=journal_file) as (store, journal):
            await main(Desk(store, journal, clock, around))

    virtual_time.run(run)
