"""What watch does inside a transaction: the fence, the effects of a step, and what it starts from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cryptowatcher.adapters.stores.bulk import insert_columns, insert_rows, insert_structs, room_for
from cryptowatcher.adapters.stores.rows import Concern, alert_row, columns_of
from cryptowatcher.adapters.stores.rules import change_of
from cryptowatcher.adapters.stores.tables import (
    Conflict,
    alerts,
    candles,
    checkpoint_parts,
    checkpoints,
    counters,
    cursors,
    deliveries,
    firings,
    insert_into,
    lifecycle,
    or_keep,
    or_replace,
    prices,
    rule_changes,
    rules,
    take_ups,
)
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.rules.model import Firing, Lifecycle, LifecycleState, RuleChange, TakeUp
from cryptowatcher.ports import Cursor, Fenced, Step

ROLE = "watch"
_TABLES: Mapping[type, tuple[sa.Table, Conflict]] = {
    Alert: (alerts, or_keep),
    Delivery: (deliveries, or_keep),
    Lifecycle: (lifecycle, or_replace),
    Firing: (firings, or_replace),
}
_KEPT_CHECKPOINTS = 2


class Watch(Concern):
    """See ports.WatchTx."""

    def new_epoch(self, role: str) -> int:
        insert = insert_into(counters, self._db.dialect.name).values(name=f"epoch {role}", value=1)
        counted = insert.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + 1})
        return int(self._db.execute(counted.returning(counters.c.value)).scalar_one())

    def cursor(self) -> Cursor | None:
        row = self._db.execute(_CURSOR).one_or_none()
        return Cursor(*row) if row else None

    def commit_step(self, step: Step, *, epoch: int, before: Cursor | None) -> None:
        self._check_epoch(epoch)
        self._move_cursor(before, step.cursor)
        db = self._db
        insert_structs(db, alerts, step.alerts, or_keep, alert_row)
        insert_structs(db, deliveries, step.deliveries, or_keep)
        with room_for(db, sum(map(len, step.together))):
            for kind, (table, conflict) in _TABLES.items():
                if copies := [each for each in step.together if isinstance(each.first, kind)]:
                    insert_columns(db, table, *columns_of(copies), conflict)
        self._leave_lifecycle(step.at_rest)
        insert_structs(db, lifecycle, step.lifecycle, or_replace)
        insert_structs(db, firings, step.firings, or_replace)
        insert_structs(db, candles, step.candles, or_replace)
        insert_structs(db, prices, step.prices, or_replace)
        if before is not None and before.journal != step.cursor.journal:
            db.execute(sa.delete(take_ups))
        insert_structs(db, take_ups, step.take_ups, or_replace)

    def rule_changes(self, after: int, limit: int | None = None, *, newest: bool = False) -> list[RuleChange]:
        asked = _NEWEST if newest else _CHANGES
        asked = asked if limit is None else asked.limit(limit)
        return [change_of(row) for row in self._db.execute(asked, {"after": after})]

    def take_ups(self) -> list[TakeUp]:
        return self._all(TakeUp, sa.select(take_ups).order_by(take_ups.c.number))

    def taken_changes(self, after: int, upto: int, limit: int, *, settled: int) -> list[tuple[RuleChange, TakeUp]]:
        number, both = rule_changes.c.number, rule_changes.c.number == take_ups.c.number
        # Of a rule that has a later change by that position, only that one. (Joined in this order, all by key.)
        later, taken = rules.alias(), take_ups.alias()
        asked = sa.select(rule_changes, take_ups.c.seq).join_from(rule_changes, take_ups, both)
        asked = asked.outerjoin(later, _is_later(later)).outerjoin(
            taken, (taken.c.number == later.c.change) & (taken.c.seq <= settled)
        )
        asked = asked.where(number > after, number <= upto, taken.c.number.is_(None))
        rows = self._db.execute(asked.order_by(number).limit(limit))
        return [(change_of(row), TakeUp(row.number, row.seq)) for row in rows]

    def last_take_up(self) -> int:
        return self._db.execute(sa.select(sa.func.max(take_ups.c.number))).scalar_one() or 0

    def lifecycle(
        self,
        rule: str | None = None,
        *,
        state: LifecycleState | None = None,
        after: tuple[str, str] = ("", ""),
        limit: int | None = None,
    ) -> list[Lifecycle]:
        asked = _places(lifecycle, rule, after, limit)
        return self._all(Lifecycle, asked if state is None else asked.where(lifecycle.c.state == state))

    def firings(
        self, rule: str | None = None, *, after: tuple[str, str] = ("", ""), limit: int | None = None
    ) -> list[Firing]:
        return self._all(Firing, _places(firings, rule, after, limit))

    def missing_parts(self, names: Collection[str]) -> set[str]:
        return set(names) - set(self._db.execute(sa.select(checkpoint_parts.c.name)).scalars())

    def put_parts(self, parts: Mapping[str, bytes]) -> None:
        insert_rows(self._db, checkpoint_parts, parts.items(), or_replace)

    def parts(self, names: Collection[str]) -> dict[str, bytes]:
        asked = sa.select(checkpoint_parts).where(checkpoint_parts.c.name.in_(names))
        return {row.name: bytes(row.data) for row in self._db.execute(asked)}

    def save_checkpoint(self, cursor: Cursor, schema: int, head: bytes, parts: Collection[str] = ()) -> bool:
        """Two are kept of each schema, so that the release before finds its own."""
        self._lock_epoch()  # nobody else looks for parts without a checkpoint meanwhile
        if self.missing_parts(parts):
            return False
        insert = or_replace(insert_into(checkpoints, self._db.dialect.name), checkpoints)
        row = {"journal": cursor.journal, "schema": schema, "seq": cursor.seq, "at": cursor.at, "state": head}
        self._db.execute(insert, row | {"parts": " ".join(parts)})
        same = (checkpoints.c.journal == cursor.journal) & (checkpoints.c.schema == schema)
        seqs = sa.select(checkpoints.c.seq).where(same).order_by(checkpoints.c.seq.desc())
        old = self._db.execute(seqs.offset(_KEPT_CHECKPOINTS)).scalars().all()
        self._db.execute(sa.delete(checkpoints).where(same, checkpoints.c.seq.in_(old)))
        self._db.execute(sa.delete(checkpoints).where(checkpoints.c.journal != cursor.journal))
        self._drop_parts()
        return True

    def _drop_parts(self) -> None:
        """Those that no checkpoint names."""
        named = self._db.execute(sa.select(checkpoints.c.parts)).scalars()
        kept = {name for names in named for name in names.split()}
        gone = set(self._db.execute(sa.select(checkpoint_parts.c.name)).scalars()) - kept
        if gone:
            drop = sa.delete(checkpoint_parts).where(checkpoint_parts.c.name == sa.bindparam("gone"))
            self._db.execute(drop, [{"gone": name} for name in sorted(gone)])

    def checkpoint(self, journal: str, schema: int, upto: int) -> tuple[Cursor, bytes] | None:
        c = checkpoints.c
        asked = sa.select(c.journal, c.seq, c.at, c.state).where(
            c.journal == journal, c.schema == schema, c.seq <= upto
        )
        row = self._db.execute(asked.order_by(c.seq.desc()).limit(1)).one_or_none()
        return (Cursor(row.journal, row.seq, row.at), bytes(row.state)) if row else None

    def _lock_epoch(self) -> None:
        mine = sa.select(counters.c.value).where(counters.c.name == f"epoch {ROLE}").with_for_update()
        self._db.execute(mine).all()  # an answer that is not read to its end keeps its snapshot

    def _check_epoch(self, epoch: int) -> None:
        if self._db.execute(_EPOCH).scalar_one_or_none() != epoch:
            raise Fenced(f"epoch {epoch} is over")

    def _move_cursor(self, before: Cursor | None, to: Cursor) -> None:
        if before is None:
            place = {"role": ROLE, "journal": to.journal, "seq": to.seq, "at": to.at}
            first = or_keep(insert_into(cursors, self._db.dialect.name).values(place), cursors)
            moved = self._db.execute(first.returning(cursors.c.role))
        else:
            values = {"to_journal": to.journal, "to_seq": to.seq, "to_at": to.at}
            values |= {"was_journal": before.journal, "was_seq": before.seq, "was_at": before.at}
            moved = self._db.execute(_MOVE, values)
        if moved.one_or_none() is None:
            raise Fenced("someone else moved the cursor")

    def _leave_lifecycle(self, at_rest: Sequence[tuple[str, str]]) -> None:
        keys = [{"r": rule, "p": pair} for rule, pair in sorted(at_rest)]
        gone = (lifecycle.c.rule == sa.bindparam("r"), lifecycle.c.pair == sa.bindparam("p"))
        if keys:
            self._db.execute(sa.delete(lifecycle).where(*gone), keys)


def _is_later(of: sa.FromClause) -> sa.ColumnElement[bool]:
    """The row of `rules` that is known to stand for a later change of the same rule."""
    return (of.c.id == rule_changes.c.rule_id) & (of.c.change > rule_changes.c.number)


def _places(table: sa.Table, rule: str | None, after: tuple[str, str], limit: int | None) -> sa.Select[Any]:
    """Rows of a rule or of all rules, by (rule, pair)."""
    place = sa.tuple_(table.c.rule, table.c.pair)
    asked = sa.select(table).order_by(table.c.rule, table.c.pair).limit(limit)
    if after != ("", ""):
        asked = asked.where(place > sa.tuple_(sa.literal(after[0]), sa.literal(after[1])))
    return asked if rule is None else asked.where(table.c.rule == rule)


# Made once: SQLAlchemy takes longer to build such a statement than SQLite to answer it.
_CURSOR = sa.select(cursors.c.journal, cursors.c.seq, cursors.c.at).where(cursors.c.role == ROLE)
# The lock (PostgreSQL) keeps a new holder from taking over before this transaction has ended.
_EPOCH = sa.select(counters.c.value).where(counters.c.name == f"epoch {ROLE}").with_for_update(read=True)
_MOVE = (
    sa.update(cursors)
    .where(
        cursors.c.role == ROLE,
        cursors.c.journal == sa.bindparam("was_journal"),
        cursors.c.seq == sa.bindparam("was_seq"),
        cursors.c.at == sa.bindparam("was_at"),
    )
    .values({name: sa.bindparam(f"to_{name}") for name in ("journal", "seq", "at")})
    .returning(cursors.c.role)
)
_CHANGES = (
    sa.select(rule_changes).where(rule_changes.c.number > sa.bindparam("after")).order_by(rule_changes.c.number)
)
_LATER = rules.alias()
_NEWEST = _CHANGES.outerjoin(_LATER, _is_later(_LATER)).where(_LATER.c.id.is_(None))
