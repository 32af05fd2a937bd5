"""Owners' lists of pairs, and what a change of one means for the rules on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.rules import Rules
from cryptowatcher.adapters.stores.tables import insert_into, or_replace, rules, watchlists
from cryptowatcher.domain.rules.model import Rule, RuleOrigin
from cryptowatcher.domain.rules.watchlists import Watchlist, in_use, list_of
from cryptowatcher.errors import ConfigError


class Watchlists(Rules):
    """See ports.WatchlistTx."""

    def watchlists(self, owner: str) -> list[Watchlist]:
        asked = sa.select(watchlists).where(watchlists.c.owner == owner).order_by(watchlists.c.name)
        return [_list_of(row) for row in self._db.execute(asked)]

    def save_watchlist(
        self, owner: str, name: str, pairs: Sequence[str], *, head: int, now: int, origin: RuleOrigin = "owner"
    ) -> Watchlist:
        self._next_change()  # whoever saves a rule at the same time waits, and finds the list as it is then
        wanted = Watchlist(name=name, owner=owner, pairs=tuple(pairs), origin=origin)
        mine = sa.select(watchlists).where(watchlists.c.owner == owner, watchlists.c.name == name)
        row = self._db.execute(mine).one_or_none()
        before = None if row is None else _list_of(row)
        if before == wanted:
            return wanted
        columns = msgspec.structs.asdict(wanted) | {"pairs": msgspec.json.encode(wanted.pairs).decode()}
        self._db.execute(or_replace(insert_into(watchlists, self._db.dialect.name), watchlists), columns)
        if before is not None and before.pairs != wanted.pairs:
            self._again(self.rules_on(owner, name), head=head, now=now)
        return wanted

    def remove_watchlist(self, owner: str, name: str) -> bool:
        self._next_change()
        used_by = self.rules_on(owner, name)
        if used_by:
            raise ConfigError(in_use(name, used_by), where="name", hint="change or remove those rules first")
        mine = (watchlists.c.owner == owner, watchlists.c.name == name)
        return self._db.execute(sa.delete(watchlists).where(*mine)).rowcount > 0

    def rules_on(self, owner: str, name: str) -> list[Rule]:
        asked = sa.select(rules).where(rules.c.owner == owner, rules.c.spec.contains('["list('))
        found = self._with_members(self._db.execute(asked.order_by(rules.c.name)).all())
        return [rule for rule in found if list_of(rule.spec) == name]


def _list_of(row: sa.Row[Any]) -> Watchlist:
    """A row of `watchlists`."""
    pairs = msgspec.json.decode(row.pairs, type=tuple[str, ...])
    return Watchlist(name=row.name, owner=row.owner, pairs=pairs, origin=row.origin)
