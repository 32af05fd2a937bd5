"""Where watch stands, computed from what it left: a checkpoint, and the journal from there to the cursor.

Watching is a deterministic function of (journal, rules), so whoever can read both can stand where the watcher
stands, in the watcher's own process after a start or in any other beside it. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from cryptowatcher.domain.records import Record
from cryptowatcher.domain.rules.model import Firing, Lifecycle, TakeUp
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA, Watcher
from cryptowatcher.ports import Cursor, Journal, Store, Trimmed, Tx

CHUNK = 256
"""Records read and stepped at once."""

Work = Callable[[Callable[[], object]], Awaitable[object]]
"""How the work that takes long is done: `asyncio.to_thread`, where others must not wait for it."""


async def at_once(fn: Callable[[], object]) -> object:
    """Here and now."""
    return fn()


class Recalled(NamedTuple):
    """A watcher that stands at the cursor.

    checkpoint:  the position from which it was stepped, 0 for the journal's beginning
    last_change: number of the last rule change that was taken up
    """

    watcher: Watcher
    cursor: Cursor
    checkpoint: int
    last_change: int


class _Left(NamedTuple):
    """What the watcher left, as of one transaction. `firings` and `lifecycle` only without a checkpoint: the
    journal may not reach back to where rules fired, but the store remembers that they did."""

    cursor: Cursor
    checkpoint: tuple[Cursor, bytes] | None
    take_ups: list[TakeUp]
    firings: list[Firing]
    lifecycle: list[Lifecycle]


async def recall(journal: Journal, store: Store, *, candles: bool = True, work: Work = at_once) -> Recalled | None:
    """The watcher as it was committed last; None when nothing was committed for this journal.

    candles: whether the candles that are forming are of interest
    """
    await journal.head()  # learns the journal's id anew, where it is another process that writes
    tried = -1
    while True:
        left = await store.run(partial(_left, journal=journal.id))
        if left is None:
            return None
        recalled, whole = await _stand(journal, store, left, candles=candles, work=work)
        if whole or recalled.checkpoint == tried:
            return recalled
        # What lies behind the newest checkpoint may be trimmed while another reads: there is a newer one then.
        tried = recalled.checkpoint


async def _stand(
    journal: Journal, store: Store, left: _Left, *, candles: bool, work: Work
) -> tuple[Recalled, bool]:
    """A watcher at the cursor, and whether no record was missing on the way from the checkpoint."""
    watcher = Watcher(candles=candles)
    start = 0
    if left.checkpoint is not None:
        at, state = left.checkpoint
        start = at.seq
        await work(partial(watcher.restore, state))
    # The list only grows, so that what was taken up by then stands in it now.
    applied = watcher.applied
    changes = {change.number: change for change in await store.run(lambda tx: tx.rule_changes(applied))}
    for taken in left.take_ups:
        if taken.number > applied:
            watcher.take_up(changes[taken.number], taken.seq)
    whole = await step_silently(watcher, journal, start, left.cursor.seq, work=work)
    watcher.apply_changes(before=left.cursor.seq + 1)
    watcher.engine.remember(left.firings, left.lifecycle)
    watcher.effects()
    last_change = max((taken.number for taken in left.take_ups), default=0)
    return Recalled(watcher, left.cursor, start, last_change), whole


def _left(tx: Tx, *, journal: str) -> _Left | None:
    cursor = tx.cursor()
    if cursor is None or cursor.journal != journal:
        return None
    found = tx.checkpoint(journal, CHECKPOINT_SCHEMA, cursor.seq)
    if found is not None:
        return _Left(cursor, found, tx.take_ups(), [], [])
    return _Left(cursor, None, tx.take_ups(), tx.firings(), tx.lifecycle())


async def step_silently(
    watcher: Watcher, journal: Journal, after: int, upto: int, *, work: Work = at_once
) -> bool:
    """Step the records after one up to another and forget their effects; whether none of them was missing."""
    whole = True
    while after < upto:
        records = [record for record in await read_on(journal, after, upto - after) if record.seq <= upto]
        if not records:  # trimmed beyond
            return False
        whole &= records[0].seq == after + 1
        await work(partial(_step, watcher, records))
        after = records[-1].seq
    return whole


def _step(watcher: Watcher, records: Sequence[Record]) -> None:
    for record in records:
        watcher.step(record)
    watcher.effects()


async def read_on(journal: Journal, after: int, limit: int) -> Sequence[Record]:
    """The next records after a position, a chunk at most; those that still stand, where it is trimmed beyond."""
    while True:
        try:
            return await journal.read(after, min(limit, CHUNK))
        except Trimmed as gone:
            after = gone.oldest - 1
