"""Keeping a checkpoint: what the store does not have of it is written, and then its head."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from cryptowatcher.domain.checkpoints import Cut, encode_head
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.ports import Cursor, Store, Tx
from cryptowatcher.recall import Work

_AT_ONCE = 8
_TRIES = 3


async def keep(cut: Cut, cursor: Cursor, store: Store, work: Work, *, anew: bool = False) -> bool:
    """The state at the cursor is stored when this returns True. A few parts in a transaction, so that others come
    in between; `work`: how they are hashed and compressed. False where others who saved one each time forgot what
    no checkpoint had named. `anew`: write what is there already too, because some of it is damaged."""
    await work(lambda: cut.head)
    names = list(dict.fromkeys(cut.head.names))
    for number in range(_TRIES):
        all_of_it = anew and number == 0
        missing = names if all_of_it else sorted(await store.run(partial(_missing, names=names)))
        for first in range(0, len(missing), _AT_ONCE):
            parts: dict[str, bytes] = {}
            await work(partial(_compress, cut, missing[first : first + _AT_ONCE], parts))
            await store.run(partial(_put, parts=parts))
        if await store.run(partial(_save, cursor=cursor, head=encode_head(cut.head), names=names)):
            return True
    return False


def _compress(cut: Cut, names: Collection[str], parts: dict[str, bytes]) -> None:
    parts.update((name, cut.part(name)) for name in names)


def _missing(tx: Tx, *, names: Collection[str]) -> set[str]:
    return tx.missing_parts(names)


def _put(tx: Tx, *, parts: Mapping[str, bytes]) -> None:
    tx.put_parts(parts)


def _save(tx: Tx, *, cursor: Cursor, head: bytes, names: Collection[str]) -> bool:
    return tx.save_checkpoint(cursor, CHECKPOINT_SCHEMA, head, names)
