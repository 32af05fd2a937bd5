"""What watch does inside a transaction: the fence, the effects of a step, and what it starts from."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern, alert_row, tuples
from cryptowatcher.adapters.stores.rules import change_of
from cryptowatcher.adapters.stores.tables import (
    alerts,
    candles,
    checkpoints,
    counters,
    cursors,
    deliveries,
    firings,
    insert_into,
    insert_rows,
    lifecycle,
    or_keep,
    or_replace,
    prices,
    rule_changes,
    take_ups,
)
from cryptowatcher.domain.rules.model import Firing, Lifecycle, RuleChange, TakeUp
from cryptowatcher.ports import Cursor, Fenced, Step

ROLE = "watch"
_KEPT_CHECKPOINTS = 2


class Watch(Concern):
    """See ports.WatchTx."""

    def new_epoch(self, role: str) -> int:
        insert = insert_into(counters, self._db.dialect.name).values(name=f"epoch {role}", value=1)
        counted = insert.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + 1})
        return int(self._db.execute(counted.returning(counters.c.value)).scalar_one())

    def cursor(self) -> Cursor | None:
        mine = sa.select(cursors.c.journal, cursors.c.seq, cursors.c.at).where(cursors.c.role == ROLE)
        row = self._db.execute(mine).one_or_none()
        return Cursor(*row) if row else None

    def commit_step(self, step: Step, *, epoch: int, before: Cursor | None) -> None:
        self._check_epoch(epoch)
        self._move_cursor(before, step.cursor)
        db = self._db
        insert_rows(db, alerts, map(alert_row, step.alerts), or_keep)
        insert_rows(db, deliveries, tuples(step.deliveries), or_keep)
        self._leave_lifecycle(step.at_rest)
        insert_rows(db, lifecycle, tuples(step.lifecycle), or_replace)
        insert_rows(db, firings, tuples(step.firings), or_replace)
        insert_rows(db, candles, tuples(step.candles), or_replace)
        insert_rows(db, prices, tuples(step.prices), or_replace)
        insert_rows(db, take_ups, tuples(step.take_ups), or_replace)

    def rule_changes(self, after: int) -> list[RuleChange]:
        newer = sa.select(rule_changes).where(rule_changes.c.number > after).order_by(rule_changes.c.number)
        return [change_of(row) for row in self._db.execute(newer)]

    def take_ups(self) -> list[TakeUp]:
        return self._all(TakeUp, sa.select(take_ups).order_by(take_ups.c.number))

    def lifecycle(self, rule: str | None = None) -> list[Lifecycle]:
        """In order of (rule, pair)."""
        asked = sa.select(lifecycle).order_by(lifecycle.c.rule, lifecycle.c.pair)
        return self._all(Lifecycle, asked if rule is None else asked.where(lifecycle.c.rule == rule))

    def firings(self, rule: str | None = None) -> list[Firing]:
        """In order of (rule, pair)."""
        asked = sa.select(firings).order_by(firings.c.rule, firings.c.pair)
        return self._all(Firing, asked if rule is None else asked.where(firings.c.rule == rule))

    def save_checkpoint(self, cursor: Cursor, schema: int, state: bytes) -> None:
        """Two are kept of each journal and schema, so that the release before finds its own."""
        insert = or_replace(insert_into(checkpoints, self._db.dialect.name), checkpoints)
        row = {"journal": cursor.journal, "schema": schema, "seq": cursor.seq, "at": cursor.at, "state": state}
        self._db.execute(insert, row)
        same = (checkpoints.c.journal == cursor.journal) & (checkpoints.c.schema == schema)
        seqs = sa.select(checkpoints.c.seq).where(same).order_by(checkpoints.c.seq.desc())
        old = self._db.execute(seqs.offset(_KEPT_CHECKPOINTS)).scalars().all()
        self._db.execute(sa.delete(checkpoints).where(same, checkpoints.c.seq.in_(old)))

    def checkpoint(self, journal: str, schema: int, upto: int) -> tuple[Cursor, bytes] | None:
        c = checkpoints.c
        asked = sa.select(c.journal, c.seq, c.at, c.state).where(
            c.journal == journal, c.schema == schema, c.seq <= upto
        )
        row = self._db.execute(asked.order_by(c.seq.desc()).limit(1)).one_or_none()
        return (Cursor(row.journal, row.seq, row.at), bytes(row.state)) if row else None

    def _check_epoch(self, epoch: int) -> None:
        # The lock (PostgreSQL) keeps a new holder from taking over before this transaction has ended.
        current = sa.select(counters.c.value).where(counters.c.name == f"epoch {ROLE}").with_for_update(read=True)
        if self._db.execute(current).scalar_one_or_none() != epoch:
            raise Fenced(f"epoch {epoch} is over")

    def _move_cursor(self, before: Cursor | None, to: Cursor) -> None:
        values = {"journal": to.journal, "seq": to.seq, "at": to.at}
        if before is None:
            move = or_keep(insert_into(cursors, self._db.dialect.name).values(role=ROLE, **values), cursors)
        else:
            c = cursors.c
            here = (c.role == ROLE, c.journal == before.journal, c.seq == before.seq, c.at == before.at)
            move = sa.update(cursors).where(*here).values(values)
        if self._db.execute(move.returning(cursors.c.role)).one_or_none() is None:
            raise Fenced("someone else moved the cursor")

    def _leave_lifecycle(self, at_rest: Sequence[tuple[str, str]]) -> None:
        keys = [{"r": rule, "p": pair} for rule, pair in sorted(at_rest)]
        gone = (lifecycle.c.rule == sa.bindparam("r"), lifecycle.c.pair == sa.bindparam("p"))
        if keys:
            self._db.execute(sa.delete(lifecycle).where(*gone), keys)
