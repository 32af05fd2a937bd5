"""What notify does inside a transaction: claim what is due, settle what was tried."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern, alert_of, alert_row, tuples
from cryptowatcher.adapters.stores.rules import rule_of
from cryptowatcher.adapters.stores.tables import (
    HAS_NOTICE,
    LEASED,
    UNFINISHED,
    alerts,
    deliveries,
    insert_rows,
    or_keep,
    rules,
    snoozes,
)
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.quiet import Quiet
from cryptowatcher.domain.rules.model import Rule

_D = deliveries.c
_COLUMNS = len(deliveries.columns)
_STOPPED = rules.c.id.is_not(None) & (rules.c.paused | rules.c.spec.is_(None))


class Outbox(Concern):
    """See ports.OutboxTx. The index of what is due begins with the channel, so that a channel with a long
    queue costs the others nothing; whoever wants all channels asks one after the other."""

    def claim(
        self,
        *,
        now: int,
        holder: str,
        lease: int,
        limit: int,
        only: Collection[str] | None = None,
        skip: Collection[str] = (),
    ) -> list[tuple[Delivery, Alert]]:
        channels = self._channels(only, skip)
        while True:
            due = self._due(channels, now, limit)
            stopped = [row for row in due if row.stopped]
            if not stopped:
                return self._lease(due, holder=holder, until=now + lease)
            self._cancel([row.id for row in stopped], now)

    def settle(self, deliveries_: Sequence[Delivery]) -> None:
        held = (_D.id == sa.bindparam("this"), LEASED, _D.holder == sa.bindparam("by"))
        columns = [column.name for column in deliveries.columns if column.name != "id"]
        update = sa.update(deliveries).where(*held).values({name: sa.bindparam(f"new_{name}") for name in columns})
        rows = []
        for delivery in sorted(deliveries_, key=lambda each: each.id):
            new = {f"new_{name}": _storable(getattr(delivery, name)) for name in columns}
            rows.append(new | {"this": delivery.id, "by": delivery.holder})
        if rows:
            self._db.execute(update, rows)

    def next_due(self, only: Collection[str] | None = None, skip: Collection[str] = ()) -> int | None:
        times = []
        for channel in self._channels(only, skip):
            mine = {"channel": channel}
            times += [self._db.execute(_WAITING, mine).scalar(), self._db.execute(_LEASE_ENDS, mine).scalar()]
        return min((int(time) for time in times if time is not None), default=None)

    def quiet(self, rules_: Collection[str]) -> dict[str, Quiet]:
        found = self._db.execute(_QUIET, {"ids": list(rules_)}) if rules_ else ()
        return {
            row.id: msgspec.structs.replace(msgspec.json.decode(row.spec, type=Quiet), snoozed_until=row.until)
            for row in found
        }

    def ending(self, upto: int, limit: int) -> list[Rule]:
        told = (HAS_NOTICE, rules.c.notice_at <= upto, rules.c.spec.is_not(None), sa.not_(rules.c.paused))
        asked = sa.select(rules).where(*told).order_by(rules.c.notice_at, rules.c.id).limit(limit)
        return [rule_of(row) for row in self._db.execute(asked)]

    def announce(self, notice: Alert, deliveries_: Sequence[Delivery], *, next_at: int) -> None:
        insert_rows(self._db, alerts, [alert_row(notice)], or_keep)
        insert_rows(self._db, deliveries, tuples(deliveries_), or_keep)
        self._db.execute(sa.update(rules).where(rules.c.id == notice.rule).values(notice_at=next_at))

    def _channels(self, only: Collection[str] | None, skip: Collection[str]) -> list[str]:
        """The channels asked for; without `only`, all that have something unfinished, by hops over the index."""
        if only is not None:
            return sorted(set(only) - set(skip))
        found: list[str] = []
        first = sa.select(sa.func.min(_D.channel)).where(UNFINISHED)
        channel = self._db.execute(first).scalar()
        while channel is not None:
            found.append(channel)
            channel = self._db.execute(first.where(_D.channel > channel)).scalar()
        return [name for name in found if name not in skip]

    def _due(self, channels: Iterable[str], now: int, limit: int) -> list[sa.Row[Any]]:
        """Up to `limit` due rows in (due_at, id) order: delivery, alert, and whether the rule is stopped."""
        rows: list[sa.Row[Any]] = []
        for channel in channels:
            rows += self._db.execute(_DUE, {"channel": channel, "now": now, "most": limit})
        rows.sort(key=lambda row: (row.due_at, row.id))
        return rows[:limit]

    def _lease(self, due: list[sa.Row[Any]], *, holder: str, until: int) -> list[tuple[Delivery, Alert]]:
        new = {"state": "leased", "holder": holder, "leased_until": until}
        self._update([row.id for row in due], new)
        claimed = []
        for row in due:
            values = dict(zip(Delivery.__struct_fields__, row[:_COLUMNS], strict=True))
            claimed.append((Delivery(**values | new), alert_of(row[_COLUMNS:-1])))
        return claimed

    def _cancel(self, ids: list[str], now: int) -> None:
        self._update(ids, {"state": "cancelled", "finished_at": now, "leased_until": 0})

    def _update(self, ids: list[str], new: dict[str, Any]) -> None:
        if ids:
            update = sa.update(deliveries).where(_D.id == sa.bindparam("this")).values(new)
            self._db.execute(update, [{"this": each} for each in ids])


def _storable(value: Any) -> Any:
    """Other sides answer with anything; PostgreSQL stores no NUL, and UTF-8 has no lone surrogates."""
    if not isinstance(value, str):
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


# Made once: SQLAlchemy takes longer to build such a statement than SQLite to answer it.
_WAITING = (
    sa.select(_D.due_at)
    .where(UNFINISHED, _D.channel == sa.bindparam("channel"), _D.state != "leased")
    .order_by(_D.due_at, _D.id)
    .limit(1)
)
_LEASE_ENDS = sa.select(sa.func.min(_D.leased_until)).where(LEASED, _D.channel == sa.bindparam("channel"))
_QUIET = (
    sa.select(rules.c.id, rules.c.spec, sa.func.coalesce(snoozes.c.until, 0).label("until"))
    .outerjoin(snoozes, snoozes.c.rule == rules.c.id)
    .where(rules.c.spec.is_not(None), rules.c.id.in_(sa.bindparam("ids", expanding=True)))
)
_DUE = (
    sa.select(deliveries, alerts, _STOPPED.label("stopped"))
    .join(alerts, alerts.c.id == _D.alert)
    .outerjoin(rules, rules.c.id == _D.rule)
    .where(
        UNFINISHED,
        _D.channel == sa.bindparam("channel"),
        _D.due_at <= sa.bindparam("now"),
        (_D.state != "leased") | (_D.leased_until <= sa.bindparam("now")),
    )
    .order_by(_D.due_at, _D.id)
    .limit(sa.bindparam("most"))
    # PostgreSQL: rows that another claim holds are passed over. SQLite has one writer and no such clause.
    .with_for_update(of=deliveries, skip_locked=True)
)

assert tuple(_D.keys()) == Delivery.__struct_fields__, "rows are read by position"
assert tuple(alerts.c.keys()) == Alert.__struct_fields__, "rows are read by position"
