"""The real journal and store on files, without threads, and what goes wrong with them at the word of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.records import Body, Draft, Record
from cryptowatcher.domain.rules.model import RuleChange
from cryptowatcher.domain.rules.watchlists import list_of
from cryptowatcher.ports import Clock, Journal, Store, Tx

Hook = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """What usually happens beside a transaction."""


class Hands:
    """ports.Clock whose hands a test moves."""

    def __init__(self, wall: int) -> None:
        self.wall = wall
        self.steady = 0.0

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def pass_by(self, seconds: float) -> None:
        self.wall += round(seconds * 1000)
        self.steady += seconds


class Around:
    """What happens around the store's commits: `before`, when nothing is durable, and `after`, when it is."""

    def __init__(self) -> None:
        self.before: Hook = nothing
        self.after: Hook = nothing

    def inline(self) -> Inline:
        async def before() -> None:
            await self.before()

        async def after() -> None:
            await self.after()

        return Inline(before_commit=before, after_commit=after)


class Reading:
    """A journal whose reads a test shortens, fails, or does something beside, and whose appends it counts."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.before_read: Hook = nothing
        self.after_read: Hook = nothing
        self.most: Callable[[], int] = lambda: 1000
        self.appended: list[int] = []  # records of each append

    @property
    def id(self) -> str:
        return self._journal.id

    async def read(self, after: int, limit: int = 1000) -> Sequence[Record]:
        await self.before_read()
        records = await self._journal.read(after, min(limit, self.most()))
        await self.after_read()
        return records

    async def append(self, drafts: Sequence[Draft]) -> int:
        self.appended.append(len(drafts))
        return await self._journal.append(drafts)

    async def head(self) -> int:
        return await self._journal.head()

    async def wait(self, after: int) -> None:
        await self._journal.wait(after)

    async def seek(self, at: int) -> int:
        return await self._journal.seek(at)

    async def last_number(self, writer: str) -> int:
        return await self._journal.last_number(writer)

    async def renew(self) -> None:
        await self._journal.renew()

    async def trim(self, upto: int) -> int:
        return await self._journal.trim(upto)

    async def fit(self, size: int) -> int:
        return await self._journal.fit(size)


@asynccontextmanager
async def opened(
    folder: Path, clock: Clock, around: Around | None = None, *, journal_file: str = "journal.db"
) -> AsyncIterator[tuple[Store, Journal]]:
    """The store and the journal of that folder."""
    numbers = count(1)
    async with (
        open_sqlite_store(folder / "store.db", inline=(around or Around()).inline()) as store,
        open_sqlite_journal(
            folder / journal_file,
            clock=clock,
            inline=Inline(),
            new_id=lambda: f"{journal_file} {next(numbers)}",
        ) as journal,
    ):
        yield store, journal


async def all_records(journal: Journal, after: int = 0) -> list[Record]:
    """From there to the head."""
    found: list[Record] = []
    while more := await journal.read(found[-1].seq if found else after):
        found += more
    return found


def save_change(tx: Tx, owner: str, change: RuleChange, *, head: int) -> None:
    """A change of a random journey, by its rule's owner. Other pairs on a list are a change of all rules on it."""
    rule, at = change.rule, change.saved_at
    if rule is None:
        tx.remove_rule(owner, change.rule_id.removeprefix("id-"), head=head, now=at)
        return
    name = list_of(rule.spec)
    if name is not None:
        tx.save_watchlist(owner, name, rule.members, head=head, now=at)
    tx.save_rule(owner, rule.spec, head=head, now=at)


async def put(journal: Journal, *bodies: Body, writer: str = "w") -> int:
    """Append as a writer that goes on where it was; returns the head."""
    first = await journal.last_number(writer) + 1
    return await journal.append([Draft(writer, number, body) for number, body in enumerate(bodies, first)])
