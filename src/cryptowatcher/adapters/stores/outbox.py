"""What notify does inside a transaction: claim what is due, settle what was tried."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.bulk import insert_rows, tuples
from cryptowatcher.adapters.stores.rows import Concern, alert_of, alert_row
from cryptowatcher.adapters.stores.rules import rule_of
from cryptowatcher.adapters.stores.tables import (
    BUNDLED,
    HAS_NOTICE,
    LEASED,
    UNFINISHED,
    alerts,
    deliveries,
    or_keep,
    or_replace,
    rules,
    snoozes,
)
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import BUNDLE_MOST, UNKNOWN, Delivery, DeliveryState, again
from cryptowatcher.domain.quiet import Quiet
from cryptowatcher.domain.rules.model import Rule

_D = deliveries.c
_COLUMNS = len(deliveries.columns)
_STOPPED = sa.case(
    (rules.c.id.is_(None), ""),
    (rules.c.spec.is_(None), "the rule was removed"),
    (rules.c.paused, "the rule is paused"),
    else_="",
)
"""Why nothing of a rule is sent; empty: it is."""

LOST: Final = "its alert is not in the store any more"
"""Why a delivery is given up that has nothing to tell. It would be due for ever otherwise."""


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
            due = self._with_bundles(self._due(channels, now, limit), now)
            lost = [row.id for row in due if row[_COLUMNS] is None]
            stopped = {row.id: row.stopped for row in due if row.stopped and row.id not in lost}
            if not stopped and not lost:
                return self._lease(due, holder=holder, until=now + lease)
            self._cancel(stopped, now)
            self._update(lost, {"state": "given_up", "finished_at": now, "leased_until": 0, "last_error": LOST})

    def settle(self, deliveries_: Sequence[Delivery]) -> None:
        rows = []
        for delivery in sorted(deliveries_, key=lambda each: each.id):
            new = {f"new_{name}": _storable(getattr(delivery, name)) for name in _NEW}
            rows.append(new | {"this": delivery.id, "by": delivery.holder})
        if rows:
            self._db.execute(_SETTLE, rows)

    def queue(self, deliveries_: Sequence[Delivery]) -> None:
        insert_rows(self._db, deliveries, tuples(deliveries_), or_keep)

    def form_bundles(self, channel: str, *, now: int, least: int, late: int) -> None:
        here = {"channel": channel, "now": now}
        head = [row for row in self._db.execute(_HEAD, here) if row.loose]
        if any(row.held_until for row in head):
            for group in self._db.execute(_RELEASED, here).all():
                self._bundle(here, 2, _D.owner == group.owner, _D.kind == group.kind, _D.held_until > 0)
        if any(row.created_at <= late for row in head):
            for group in self._db.execute(_LATE, here | {"late": late}).all():
                self._bundle(here, 2, _D.owner == group.owner, _D.kind == group.kind, _D.created_at <= late)
        times = sorted({row.due_at for row in head})
        for moment in self._db.execute(_AT_ONCE, here | {"least": least, "times": times}).all() if times else ():
            same = (_D.kind == moment.kind, _D.created_at == moment.created_at, _D.due_at == moment.due_at)
            self._bundle(here, least, _D.owner == moment.owner, _D.held_until == 0, *same)

    def _bundle(self, here: dict[str, Any], least: int, *same: sa.ColumnElement[bool]) -> None:
        """The first of these that no other transaction is about to name, as one message. The others come when the
        next claim is made: to name 100,000 at once would hold up whoever else writes."""
        asked = sa.select(_D.id).where(*_LOOSE, *same).order_by(_D.due_at, _D.id).limit(BUNDLE_MOST)
        mine = [row.id for row in self._db.execute(asked.with_for_update(skip_locked=True), here)]
        if len(mine) >= least:
            # By all that is in it: what leaves it may come again with others, under the same first and number.
            digest = hashlib.blake2b("\n".join(mine).encode(), digest_size=8).hexdigest()
            self._update(mine, {"bundle": f"{mine[0]}+{len(mine)}.{digest}"})

    def overdue(self, channel: str, *, since: int, now: int, after: tuple[int, str], limit: int) -> list[Delivery]:
        values = {"channel": channel, "since": since, "now": now, "at": after[0], "id": after[1], "most": limit}
        found = [_delivery(row) for row in self._db.execute(_OVERDUE, values)]
        there = {each.id for each in found}
        bundles = {each.bundle for each in found if each.bundle}
        rest = self._db.execute(_REST, {"bundles": sorted(bundles)}) if bundles else ()
        return found + [_delivery(row) for row in rest if row.id not in there]

    def note_fallback(self, ids: Sequence[str], channel: str) -> None:
        if ids:
            update = sa.update(deliveries).where(_D.id == sa.bindparam("this"), UNFINISHED)
            self._db.execute(update.values(fallback=channel), [{"this": each} for each in ids])

    def states(self, ids: Collection[str]) -> dict[str, DeliveryState]:
        found = self._db.execute(_STATES, {"ids": sorted(ids)}) if ids else ()
        return {row.id: row.state for row in found}

    def send_again(self, owner: str, *, ids: Collection[str] | None, now: int, limit: int) -> int:
        asked = sa.select(deliveries).where(_D.owner == owner, _D.state == "given_up")
        if ids is not None:
            asked = asked.where(_D.id.in_(sorted(ids)))
        rows = [_delivery(row) for row in self._db.execute(asked.order_by(_D.id).limit(limit))]
        insert_rows(self._db, deliveries, tuples(again(each, now=now) for each in rows), or_replace)
        return len(rows)

    def waiting_channels(self) -> list[str]:
        return self._channels(None, ())

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

    def _with_bundles(self, due: list[sa.Row[Any]], now: int) -> list[sa.Row[Any]]:
        """A bundle goes out whole, however little was asked for; one that another transaction holds a part of
        not now."""
        bundles = {"bundles": sorted({row.bundle for row in due if row.bundle})}
        if not bundles["bundles"]:
            return due
        whole = {row.id: row for row in (*due, *self._db.execute(_SIBLINGS, bundles | {"now": now}))}
        there = Counter(row.bundle for row in whole.values())
        cut = {row.bundle for row in self._db.execute(_SIZES, bundles) if row.size != there[row.bundle]}
        rows = [row for row in whole.values() if row.bundle not in cut]
        return sorted(rows, key=lambda row: (row.due_at, row.id))

    def _lease(self, due: list[sa.Row[Any]], *, holder: str, until: int) -> list[tuple[Delivery, Alert]]:
        new = {"state": "leased", "holder": holder, "leased_until": until}
        # Whoever held these has ended, and may have made an attempt before.
        unknown = {row.id: {"last_error": UNKNOWN} for row in due if row.state == "leased" and not row.last_error}
        self._update([row.id for row in due], new)
        self._update(list(unknown), {"last_error": UNKNOWN})
        claimed = []
        for row in due:
            values = dict(zip(Delivery.__struct_fields__, row[:_COLUMNS], strict=True))
            claimed.append((Delivery(**values | new | unknown.get(row.id, {})), alert_of(row[_COLUMNS:-1])))
        return claimed

    def _cancel(self, why: Mapping[str, str], now: int) -> None:
        """`why`: in words, by id."""
        for words in sorted(set(why.values())):
            new = {"state": "cancelled", "finished_at": now, "leased_until": 0, "receipt": words}
            self._update([id_ for id_, its in why.items() if its == words], new)

    def _update(self, ids: list[str], new: dict[str, Any]) -> None:
        if ids:
            values = {f"new_{name}": value for name, value in new.items()}
            self._db.execute(_update_of(tuple(new)), [values | {"this": each} for each in ids])


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(**dict(zip(Delivery.__struct_fields__, row, strict=True)))


def _storable(value: Any) -> Any:
    """Other sides answer with anything; PostgreSQL stores no NUL, and UTF-8 has no lone surrogates."""
    if not isinstance(value, str):
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


# Made once: SQLAlchemy takes longer to build such a statement than SQLite to answer it.
@lru_cache
def _update_of(columns: tuple[str, ...]) -> sa.Update:
    """Of the delivery `this`, to `new_…`."""
    new: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in columns}
    return sa.update(deliveries).where(_D.id == sa.bindparam("this")).values(new)


_NEW = tuple(column.name for column in deliveries.columns if column.name != "id")
_SETTLE = _update_of(_NEW).where(LEASED, _D.holder == sa.bindparam("by"))
_WAITING = (
    sa.select(_D.due_at)
    .where(UNFINISHED, _D.channel == sa.bindparam("channel"), _D.state != "leased")
    .order_by(_D.due_at, _D.id)
    .limit(1)
)
# Due, surely never tried, and not spoken for.
_LOOSE = (
    UNFINISHED,
    _D.channel == sa.bindparam("channel"),
    _D.due_at <= sa.bindparam("now"),
    _D.state == "queued",
    _D.attempts == 0,
    _D.last_error == "",
    _D.bundle == "",
    _D.kind.in_(["alert", "reminder", "resolved"]),
    sa.not_(_D.urgent),
)
# What the next claims take. Only of these it is asked whether they have others to go with: a long queue of single
# ones would otherwise be counted through for each claim.
_HEAD = (
    sa.select(_D.due_at, _D.created_at, _D.held_until, sa.and_(*_LOOSE).label("loose"))
    .where(
        UNFINISHED,
        _D.channel == sa.bindparam("channel"),
        _D.due_at <= sa.bindparam("now"),
        _D.state != "leased",
    )
    .order_by(_D.due_at, _D.id)
    .limit(BUNDLE_MOST)
)
# Bounded too: all of a storm would be counted once for each message of it.
_NEAR = (
    sa.select(_D.owner, _D.kind, _D.created_at, _D.due_at, _D.held_until)
    .where(*_LOOSE)
    .order_by(_D.due_at, _D.id)
    .limit(10 * BUNDLE_MOST)
    .subquery()
)
_N = _NEAR.c
_RELEASED = (
    sa.select(_N.owner, _N.kind).where(_N.held_until > 0).group_by(_N.owner, _N.kind).having(sa.func.count() > 1)
)
_AT_ONCE = (
    sa.select(_N.owner, _N.kind, _N.created_at, _N.due_at)
    .where(_N.held_until == 0, _N.due_at.in_(sa.bindparam("times", expanding=True)))
    .group_by(_N.owner, _N.kind, _N.created_at, _N.due_at)
    .having(sa.func.count() >= sa.bindparam("least"))
)
_LATE = (
    sa.select(_N.owner, _N.kind)
    .where(_N.created_at <= sa.bindparam("late"))
    .group_by(_N.owner, _N.kind)
    .having(sa.func.count() > 1)
)
_OVERDUE = (
    sa.select(deliveries)
    .where(
        UNFINISHED,
        _D.channel == sa.bindparam("channel"),
        _D.due_at <= sa.bindparam("now"),
        sa.tuple_(_D.due_at, _D.id) > sa.tuple_(sa.bindparam("at"), sa.bindparam("id")),
        _D.created_at <= sa.bindparam("since"),
        _D.held_until <= sa.bindparam("since"),
        _D.fallback == "",
        _D.state != "leased",
    )
    .order_by(_D.due_at, _D.id)
    .limit(sa.bindparam("most"))
)
_STATES = sa.select(_D.id, _D.state).where(_D.id.in_(sa.bindparam("ids", expanding=True)))
_LEASE_ENDS = sa.select(sa.func.min(_D.leased_until)).where(LEASED, _D.channel == sa.bindparam("channel"))
_QUIET = (
    sa.select(rules.c.id, rules.c.spec, sa.func.coalesce(snoozes.c.until, 0).label("until"))
    .outerjoin(snoozes, snoozes.c.rule == rules.c.id)
    .where(rules.c.spec.is_not(None), rules.c.id.in_(sa.bindparam("ids", expanding=True)))
)
_DUE = (
    sa.select(deliveries, alerts, _STOPPED.label("stopped"))
    .outerjoin(alerts, alerts.c.id == _D.alert)
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

_OF_BUNDLES = (UNFINISHED, BUNDLED, _D.bundle.in_(sa.bindparam("bundles", expanding=True)))
_SIBLINGS = (
    sa.select(deliveries, alerts, _STOPPED.label("stopped"))
    .outerjoin(alerts, alerts.c.id == _D.alert)
    .outerjoin(rules, rules.c.id == _D.rule)
    .where(*_OF_BUNDLES, (_D.state != "leased") | (_D.leased_until <= sa.bindparam("now")))
    .with_for_update(of=deliveries, skip_locked=True)
)
_SIZES = sa.select(_D.bundle, sa.func.count().label("size")).where(*_OF_BUNDLES).group_by(_D.bundle)
_REST = sa.select(deliveries).where(*_OF_BUNDLES, _D.fallback == "", _D.state != "leased")

assert tuple(_D.keys()) == Delivery.__struct_fields__, "rows are read by position"
assert tuple(alerts.c.keys()) == Alert.__struct_fields__, "rows are read by position"
