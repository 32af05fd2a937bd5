"""What collect keeps over restarts."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern
from cryptowatcher.adapters.stores.tables import budgets, insert_into, or_replace, source_statuses
from cryptowatcher.domain import canary
from cryptowatcher.domain.status import SourceStatus


class Sources(Concern):
    """See ports.SourceTx."""

    def source_statuses(self) -> list[SourceStatus]:
        """In order of name."""
        people = sa.select(source_statuses.c.status).where(source_statuses.c.source != canary.NAME)
        rows = self._db.execute(people.order_by(source_statuses.c.source))
        return [msgspec.json.decode(text, type=SourceStatus) for text in rows.scalars()]

    def save_source_status(self, status: SourceStatus) -> None:
        row = {"source": status.source, "status": msgspec.json.encode(status).decode()}
        self._db.execute(or_replace(insert_into(source_statuses, self._db.dialect.name), source_statuses), row)

    def forget_sources(self, keep: Collection[str]) -> None:
        self._db.execute(sa.delete(source_statuses).where(source_statuses.c.source.not_in(list(keep))))

    def budget(self, source: str) -> bytes | None:
        state = self._db.execute(sa.select(budgets.c.state).where(budgets.c.source == source)).scalar_one_or_none()
        return None if state is None else bytes(state)

    def save_budget(self, source: str, state: bytes) -> None:
        row = {"source": source, "state": state}
        self._db.execute(or_replace(insert_into(budgets, self._db.dialect.name), budgets), row)
