"""Where watch stands, computed from what it left: a checkpoint, and the journal from there to the cursor.

Watching is a deterministic function of (journal, rules), so whoever can read both can stand where the watcher
stands, in the watcher's own process after a start or in any other beside it. Nothing is written here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from cryptowatcher.domain.checkpoints import Damaged, Head, Whole, decode_head, decode_part
from cryptowatcher.domain.records import Record
from cryptowatcher.domain.rules.model import Firing, Lifecycle, RuleChange, TakeUp
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA, Watcher
from cryptowatcher.ports import Cursor, Journal, Store, Trimmed, Tx

CHUNK = 256
"""Records read and stepped at once."""
PAGE = 1_000
"""Rows of a table that grows, read at once."""
_PARTS = 8

Work = Callable[[Callable[[], object]], Awaitable[object]]
"""How the work that takes long is done: `asyncio.to_thread`, where others must not wait for it."""


async def at_once(fn: Callable[[], object]) -> object:
    """Here and now."""
    return fn()


class Recalled(NamedTuple):
    """A watcher that stands at the cursor.

    checkpoint:  the position from which it was stepped, 0 for the journal's beginning
    last_change: number of the last rule change that was taken up
    damaged:     positions of newer checkpoints that were passed over
    """

    watcher: Watcher
    cursor: Cursor
    checkpoint: int
    last_change: int
    damaged: tuple[int, ...]


class _Left(NamedTuple):
    """What the watcher left, as of one transaction. `start` is 0, and there is no head, without a checkpoint."""

    cursor: Cursor
    start: int
    head: Head | None
    last_change: int


async def recall(journal: Journal, store: Store, *, candles: bool = True, work: Work = at_once) -> Recalled | None:
    """The watcher as it was committed last; None when nothing was committed for this journal.

    candles: whether the candles that are forming are of interest
    """
    await journal.head()  # learns the journal's id anew, where it is another process that writes
    damaged: set[int] = set()
    tried = -1
    while True:
        left = await store.run(partial(_left, journal=journal.id, damaged=damaged))
        if left is None:
            return None
        watcher = Watcher(candles=candles)
        try:
            if left.head is not None:
                await _restore(watcher, left.head, store, work)
        except Damaged:
            damaged.add(left.start)
            continue
        whole = await _follow(watcher, journal, store, left, work)
        if whole or left.start == tried:
            newer = tuple(sorted(seq for seq in damaged if seq > left.start))
            return Recalled(watcher, left.cursor, left.start, left.last_change, newer)
        # What lies behind the newest checkpoint may be trimmed while another reads: there is a newer one then.
        tried = left.start


def _left(tx: Tx, *, journal: str, damaged: set[int]) -> _Left | None:
    """`damaged`: positions of checkpoints that are known not to be of use; more may be found."""
    cursor = tx.cursor()
    if cursor is None or cursor.journal != journal:
        return None
    upto = cursor.seq
    while (found := tx.checkpoint(journal, CHECKPOINT_SCHEMA, upto)) is not None:
        at, data = found
        upto = at.seq - 1
        try:
            head = decode_head(data)
        except Damaged:
            damaged.add(at.seq)
        if at.seq not in damaged:
            return _Left(cursor, at.seq, head, tx.last_take_up())
    return _Left(cursor, 0, None, tx.last_take_up())


async def _restore(watcher: Watcher, head: Head, store: Store, work: Work) -> None:
    """A few parts at a time, so that others use the store in between. Raises Damaged."""
    sealed: dict[str, bytes] = {}
    wanted = list(dict.fromkeys(head.names))
    for first in range(0, len(wanted), _PARTS):
        names = wanted[first : first + _PARTS]
        sealed |= await store.run(partial(_parts, names=names))
    if len(sealed) < len(wanted):
        raise Damaged("a part is not there")
    await work(partial(watcher.restore, Whole(head, _Opened(sealed, head.names))))


class _Opened(Mapping[str, bytes]):
    """Parts that are opened when somebody asks for them, which is as often as the head names them; then they are
    gone. Millions of rules in parts and as columns besides would take nearly twice the memory."""

    def __init__(self, sealed: dict[str, bytes], names: Sequence[str]) -> None:
        self._sealed = sealed
        self._left = Counter(names)

    def __getitem__(self, name: str) -> bytes:
        self._left[name] -= 1
        return decode_part(name, self._sealed[name] if self._left[name] else self._sealed.pop(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._sealed)

    def __len__(self) -> int:
        return len(self._sealed)


def _parts(tx: Tx, *, names: Collection[str]) -> dict[str, bytes]:
    return tx.parts(names)


async def _follow(watcher: Watcher, journal: Journal, store: Store, left: _Left, work: Work) -> bool:
    """To the cursor; whether no record was missing on the way from the checkpoint."""
    changes = _TakenUp(watcher, store, left.last_change, anew=left.head is None)
    whole = await step_silently(watcher, journal, left.start, left.cursor.seq, work=work, before=changes.load)
    await changes.load(left.cursor.seq, left.cursor.seq + 1)
    watcher.apply_changes(before=left.cursor.seq + 1)
    if left.head is None:
        # The journal may not reach back to where rules fired, but the store remembers that they did.
        await remember(watcher, store)
    watcher.forget_effects()
    return whole


class _TakenUp:
    """Changes that were taken up, handed to a watcher page by page in front of the records they came before."""

    def __init__(self, watcher: Watcher, store: Store, last: int, *, anew: bool) -> None:
        """`last`: the last of them. `anew`: the watcher knows of no rule yet."""
        self._watcher = watcher
        self._store = store
        self._last = last
        self._number = watcher.applied
        self._seq = -1
        self._settled = None if anew else -1

    async def load(self, after: int, before: int) -> None:
        """All that count for records before a position, where the watcher has come to `after`."""
        if self._settled is None:
            # Of what a rule was before the first record, only what became of it matters. Later even an edit that
            # was taken back does: a rule that was paused has forgotten where it stood.
            self._settled = after
        while self._number < self._last and self._seq < before:
            page = await self._store.run(partial(self._page, settled=self._settled))
            for change, taken in page:
                self._watcher.take_up(change, taken.seq)
                self._seq = taken.seq
            self._number = page[-1][0].number if page else self._last
            self._watcher.apply_changes(before=after + 1)
            self._watcher.forget_effects()

    def _page(self, tx: Tx, *, settled: int) -> list[tuple[RuleChange, TakeUp]]:
        return tx.taken_changes(self._number, self._last, PAGE, settled=settled)


async def remember(watcher: Watcher, store: Store) -> None:
    """What rules keep when the journal they lived in is gone: last firings, and that `once` is done."""
    place = "", ""
    while firings := await store.run(partial(_firings, after=place)):
        watcher.engine.remember(firings, ())
        place = firings[-1].rule, firings[-1].pair
    place = "", ""
    while done := await store.run(partial(_done, after=place)):
        watcher.engine.remember((), done)
        place = done[-1].rule, done[-1].pair


def _firings(tx: Tx, *, after: tuple[str, str]) -> list[Firing]:
    return tx.firings(after=after, limit=PAGE)


def _done(tx: Tx, *, after: tuple[str, str]) -> list[Lifecycle]:
    return tx.lifecycle(state="done", after=after, limit=PAGE)


async def step_silently(
    watcher: Watcher,
    journal: Journal,
    after: int,
    upto: int,
    *,
    work: Work = at_once,
    before: Callable[[int, int], Awaitable[None]] | None = None,
) -> bool:
    """Step the records after one up to another and forget their effects; whether none of them was missing.

    before: awaited with the position that was reached and that of the last record to be stepped next
    """
    whole = True
    while after < upto:
        records = [record for record in await read_on(journal, after, upto - after) if record.seq <= upto]
        if not records:  # trimmed beyond
            return False
        whole &= records[0].seq == after + 1
        if before is not None:
            await before(records[0].seq - 1, records[-1].seq)
        await work(partial(_step, watcher, records))
        after = records[-1].seq
    return whole


def _step(watcher: Watcher, records: Sequence[Record]) -> None:
    for record in records:
        watcher.step(record)
    watcher.forget_effects()


async def read_on(journal: Journal, after: int, limit: int) -> Sequence[Record]:
    """The next records after a position, a chunk at most; those that still stand, where it is trimmed beyond."""
    while True:
        try:
            return await journal.read(after, min(limit, CHUNK))
        except Trimmed as gone:
            after = gone.oldest - 1
