"""The key that push services know this installation by: made when it is first asked for."""

from __future__ import annotations

from cryptowatcher.ports import Store
from cryptowatcher.ports.keys import PushKey


async def push_key_in(store: Store) -> PushKey:
    """The one that is kept, else a new one."""
    if kept := await store.run(lambda tx: tx.push_key()):
        return kept
    from cryptowatcher.adapters.pushing import new_push_key  # 12 MB that seldom anybody needs

    fresh = new_push_key()
    return await store.run(lambda tx: tx.keep_push_key(fresh))
