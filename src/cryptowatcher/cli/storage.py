"""Reading and changing the store from the command line, beside a running watcher or without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from cryptowatcher import app
from cryptowatcher.config import Config
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Store, Tx

T = TypeVar("T")


def read(config: Config, fn: Callable[[Tx], T]) -> T:
    """What `fn` finds in one read-only transaction. Unavailable while nothing has been stored."""

    async def look(store: Store) -> T:
        return await store.run(fn)

    return ask(config, look)


def ask(config: Config, questions: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """The same for questions that take several transactions."""

    async def work() -> T:
        async with config.store.open(app.deps(config), readonly=True) as store:
            return await questions(store)

    try:
        return asyncio.run(work())
    except Unavailable as error:
        if error.reason != "not_ready":
            raise
        message = f"nothing is stored in {config.data_dir} yet: start `cryptowatcher run`"
        raise Unavailable(message, reason=error.reason) from None


def change(config: Config, fn: Callable[[Tx, int], T], *, make: bool = False) -> T:
    """One transaction that is told the journal's head: what it changes counts from there.

    make: make folder and store where there are none; otherwise that is Unavailable
    """
    if not make:
        read(config, lambda tx: None)

    async def work() -> T:
        head = await _head(config)
        async with app.open_store(config) if make else config.store.open(app.deps(config)) as store:
            changed: T = await store.run(lambda tx: fn(tx, head))
            return changed

    return asyncio.run(work())


async def _head(config: Config) -> int:
    try:
        async with app.open_journal(config, readonly=True) as journal:
            return await journal.head()
    except Unavailable:  # no watcher has run yet: whatever is changed counts from the beginning
        return 0
