"""What tidy does inside a transaction: forget old rows, a few at a time, so that watch comes in between."""

from __future__ import annotations

from itertools import takewhile

import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern
from cryptowatcher.adapters.stores.tables import (
    SETTLED,
    UNFINISHED,
    acks,
    alerts,
    candles,
    counters,
    deliveries,
    insert_into,
    or_replace,
    rule_changes,
    scores,
    take_ups,
)
from cryptowatcher.domain.alerts import first_id_at
from cryptowatcher.ports import Slice

_PAIRS_AT_ONCE = 50
_END = "\x7f"
"""Ids of an alert's deliveries lie between `ID~` and this after the id."""


class Tidy(Concern):
    """See ports.TidyTx."""

    def trim_candles(self, interval: int, before: int, *, after: str = "", limit: int = 1000) -> Slice:
        gone, done = 0, after
        for _ in range(_PAIRS_AT_ONCE):
            pair = self._db.execute(_NEXT_PAIR, {"after": done}).scalar()
            if pair is None:
                return Slice(gone=gone, upto=done, more=False)
            row = {"pair": pair, "interval": interval, "before": before, "most": limit - gone}
            gone += self._db.execute(_TRIM_CANDLES, row).rowcount
            if gone >= limit:  # there may be more of this pair
                return Slice(gone=gone, upto=done, more=True)
            done = pair
        return Slice(gone=gone, upto=done, more=True)

    def trim_alerts(self, before: int, *, after: str = "", limit: int = 500, owner: str | None = None) -> Slice:
        # Ids begin with the time of the event, so age needs no index of its own.
        a = alerts.c
        asked = sa.select(a.id, a.owner, a.rule, a.version, a.advice).where(
            a.id > after, a.id < first_id_at(max(before, 0))
        )
        rows = self._db.execute(asked.order_by(a.id).limit(limit)).all()
        if not rows:
            return Slice(gone=0, upto=after, more=False)
        busy = self._unfinished(rows[0].id, rows[-1].id)
        old = [row for row in rows if owner in (None, row.owner) and row.id not in busy]
        if old:
            self._db.execute(_DROP_DELIVERIES, [{"first": f"{row.id}~", "last": row.id + _END} for row in old])
            self._db.execute(_DROP_ALERT, [{"this": row.id} for row in old])
            self._db.execute(_DROP_ACK, [{"this": row.id} for row in old])
        signals = [{"r": row.rule, "v": row.version, "a": row.id} for row in old if row.advice != "info"]
        if signals:
            self._db.execute(_DROP_SCORES, signals)
        return Slice(gone=len(old), upto=rows[-1].id, more=len(rows) == limit)

    def trim_changes(self, before: int, *, limit: int = 500) -> Slice:
        # Take-ups are positions that grow with the numbers, so what is settled comes first.
        rows = self._db.execute(_TAKEN_UP, {"limit": limit}).all()
        settled = [*takewhile(lambda row: row.seq < before, rows)]
        earlier = self._db.execute(_EARLIER, {"numbers": sorted({row.before for row in settled})}).scalars()
        old = [{"this": number} for number in earlier]
        if old:
            self._db.execute(_DROP_CHANGE, old)
            self._db.execute(_DROP_TAKE_UP, old)
        if settled:
            upto = or_replace(insert_into(counters, self._db.dialect.name), counters)
            self._db.execute(upto, {"name": SETTLED, "value": settled[-1].number})
        return Slice(gone=len(old), upto="", more=len(settled) == limit)

    def _unfinished(self, first: str, last: str) -> set[str]:
        """Alerts from one id to another with a delivery that is still on its way."""
        inside = (deliveries.c.id > first, deliveries.c.id < last + _END)
        return set(self._db.execute(sa.select(deliveries.c.alert).where(*inside, UNFINISHED)).scalars())


_NEXT_PAIR = sa.select(sa.func.min(candles.c.pair)).where(candles.c.pair > sa.bindparam("after"))
_OLD = (
    candles.c.pair == sa.bindparam("pair"),
    candles.c.interval == sa.bindparam("interval"),
    candles.c.start < sa.bindparam("before"),
)
_TRIM_CANDLES = sa.delete(candles).where(
    *_OLD,
    candles.c.start.in_(
        sa.select(candles.c.start)
        .where(*_OLD)
        .order_by(candles.c.start)
        .limit(sa.bindparam("most"))
        .correlate(None)
    ),
)
_DROP_DELIVERIES = sa.delete(deliveries).where(
    deliveries.c.id >= sa.bindparam("first"), deliveries.c.id < sa.bindparam("last")
)
_SETTLED_UPTO = sa.func.coalesce(
    sa.select(counters.c.value).where(counters.c.name == SETTLED).scalar_subquery(), 0
)
_TAKEN_UP = (
    sa.select(take_ups.c.number, take_ups.c.seq, rule_changes.c.before)
    .join_from(take_ups, rule_changes, take_ups.c.number == rule_changes.c.number)
    .where(take_ups.c.number > _SETTLED_UPTO)
    .order_by(take_ups.c.number)
    .limit(sa.bindparam("limit"))
)
_BEFORE = sa.select(rule_changes.c.number, rule_changes.c.before)
_FIRST = _BEFORE.where(rule_changes.c.number.in_(sa.bindparam("numbers", expanding=True))).cte(recursive=True)
# And what is left before them: in a journal that was replaced some were never taken up.
_EARLIER = sa.select(_FIRST.union(_BEFORE.join(_FIRST, rule_changes.c.number == _FIRST.c.before)).c.number)
_DROP_CHANGE = sa.delete(rule_changes).where(rule_changes.c.number == sa.bindparam("this"))
_DROP_TAKE_UP = sa.delete(take_ups).where(take_ups.c.number == sa.bindparam("this"))
_DROP_ALERT = sa.delete(alerts).where(alerts.c.id == sa.bindparam("this"))
_DROP_ACK = sa.delete(acks).where(acks.c.alert == sa.bindparam("this"))
_DROP_SCORES = sa.delete(scores).where(
    scores.c.rule == sa.bindparam("r"), scores.c.version == sa.bindparam("v"), scores.c.alert == sa.bindparam("a")
)
