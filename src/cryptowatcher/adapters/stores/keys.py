"""Keys of the installation itself."""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern
from cryptowatcher.adapters.stores.tables import insert_into, keys, or_keep
from cryptowatcher.ports.keys import PushKey

_PUSH: Final = "push"


class Keys(Concern):
    """See ports.KeyTx."""

    def push_key(self) -> PushKey | None:
        kept = self._db.execute(sa.select(keys.c.value).where(keys.c.name == _PUSH)).scalar_one_or_none()
        return None if kept is None else msgspec.json.decode(kept, type=PushKey)

    def keep_push_key(self, key: PushKey) -> PushKey:
        row = {"name": _PUSH, "value": msgspec.json.encode(key).decode()}
        self._db.execute(or_keep(insert_into(keys, self._db.dialect.name), keys), row)
        return self.push_key() or key
