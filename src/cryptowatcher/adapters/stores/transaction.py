"""ports.Store and ports.Tx over SQLAlchemy, put together from their concerns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cryptowatcher.adapters.runner import Runner
from cryptowatcher.adapters.stores.accounts import Accounts
from cryptowatcher.adapters.stores.channels import Reaching
from cryptowatcher.adapters.stores.chats import Chats
from cryptowatcher.adapters.stores.keys import Keys
from cryptowatcher.adapters.stores.outbox import Outbox
from cryptowatcher.adapters.stores.reads import Reads
from cryptowatcher.adapters.stores.rule_facts import RuleFacts
from cryptowatcher.adapters.stores.scores import Scores
from cryptowatcher.adapters.stores.sources import Sources
from cryptowatcher.adapters.stores.summaries import Summaries
from cryptowatcher.adapters.stores.tidy import Tidy
from cryptowatcher.adapters.stores.watch import Watch
from cryptowatcher.adapters.stores.watchlists import Watchlists
from cryptowatcher.ports import Tx

T = TypeVar("T")


class Transaction(
    Watch, Outbox, Watchlists, Sources, Tidy, Reads, Scores, RuleFacts, Chats, Summaries, Accounts, Reaching, Keys
):
    """All queries, on the transaction that stands open on the connection."""


class SqlStore:
    """See ports.Store. Open it with `open_sqlite_store` or `open_postgres_store`."""

    def __init__(self, runner: Runner[Transaction]) -> None:
        self._runner = runner

    async def run(self, fn: Callable[[Tx], T]) -> T:
        """Also raises Unavailable, with nothing done, when the disk is full or the database does not answer."""
        return await self._runner(fn)
