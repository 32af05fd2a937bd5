"""What people and programs ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, get_args

import numpy as np
import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern, alert_of
from cryptowatcher.adapters.stores.tables import (
    ADVISED,
    OTHERS_ALERTS,
    OTHERS_DELIVERIES,
    acks,
    alerts,
    candles,
    deliveries,
    prices,
)
from cryptowatcher.domain.alerts import NOTICES, Advice, Alert, AlertKind, NoticeKind
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.candles import Candle, CandleColumns
from cryptowatcher.domain.deliveries import Delivery, DeliveryState
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.ticks import Ints

_MANY = 1000
"""More names than this are picked out here: databases bound the parameters of a statement."""

_UNSAID = -1.0
"""Stands for a volume that is not known, where there is no place for nothing."""

_CONDITION = alerts.c.kind.not_in(NOTICES)
"""A notice stands among the alerts because it goes their way, but it is none."""


class Reads(Concern):
    """See ports.ReadTx."""

    def prices(self, pairs: Sequence[str] | None = None) -> list[Price]:
        asked = sa.select(prices).order_by(prices.c.market_cap.desc().nulls_last(), prices.c.pair)
        if pairs is None:
            return self._all(Price, asked)
        if len(pairs) <= _MANY:
            return self._all(Price, asked.where(prices.c.pair.in_(pairs)))
        wanted = set(pairs)
        return [price for price in self._all(Price, asked) if price.pair in wanted]

    def newest_observation(self) -> int:
        return int(self._db.execute(sa.select(sa.func.max(prices.c.observed_at))).scalar() or 0)

    def candles(self, pair: str, interval: int, *, start: int, end: int, limit: int) -> list[Candle]:
        c = candles.c
        inside = (c.pair == pair, c.interval == interval, c.start >= start, c.start < end)
        newest_first = sa.select(candles).where(*inside).order_by(c.start.desc()).limit(limit)
        return self._all(Candle, newest_first)[::-1]

    def candle_columns(self, pair: str, interval: int, *, start: int, end: int) -> CandleColumns:
        c = candles.c
        volume = sa.func.coalesce(c.volume_24h, _UNSAID)
        asked = sa.select(c.start, c.high, c.low, c.close, volume).where(
            c.pair == pair, c.interval == interval, c.start >= start, c.start < end
        )
        found = self._db.execute(asked.order_by(c.start))
        assert found.cursor is not None, "a select has rows"
        # The driver's own tuples: to make rows of them takes longer than the query.
        rows = found.cursor.fetchall()
        found.close()
        whole = np.fromiter(chain.from_iterable(rows), np.float64, 5 * len(rows)).reshape(-1, 5)
        starts, high, low, close, volumes = (np.ascontiguousarray(column) for column in whole.T)
        return CandleColumns(
            starts.astype(np.int64), high, low, close, np.where(volumes == _UNSAID, np.nan, volumes)
        )

    def watched(self, pair: str, interval: int, *, start: int, end: int) -> tuple[Ints, Ints]:
        c = candles.c
        asked = sa.select(c.start, c.observed_ms).where(
            c.pair == pair, c.interval == interval, c.start >= start, c.start < end
        )
        found = self._db.execute(asked)
        assert found.cursor is not None, "a select has rows"
        rows = np.fromiter(chain.from_iterable(found.cursor.fetchall()), np.int64).reshape(-1, 2)
        found.close()
        return rows[:, 0], rows[:, 1]

    def oldest_candle(self, pair: str, interval: int, *, start: int) -> int | None:
        c = candles.c
        found = sa.select(sa.func.min(c.start)).where(c.pair == pair, c.interval == interval, c.start >= start)
        return self._db.execute(found).scalar()

    def alerts(
        self,
        owner: str,
        *,
        limit: int,
        before: str | None = None,
        since: str | None = None,
        rule: str | None = None,
        pair: str | None = None,
        advice: Collection[Advice] | None = None,
        kinds: Collection[AlertKind | NoticeKind] | None = None,
        acknowledged: bool | None = None,
    ) -> list[Alert]:
        asked = _newest_first(alerts, owner, before, limit, rule=rule, pair=pair)
        asked = asked.where(_CONDITION if kinds is None else alerts.c.kind.in_(sorted(kinds)))
        if since is not None:
            asked = asked.where(alerts.c.id >= since)
        if advice is not None:
            asked = asked.where(alerts.c.advice.in_(sorted(advice)))
        if advice is not None and "info" not in advice:  # said word for word, so that their index serves
            asked = asked.where(ADVISED)
        if acknowledged is not None:
            asked = asked.where(alerts.c.id.in_(_seen_by(owner)) if acknowledged else ~_ACKNOWLEDGED)
        return [alert_of(row) for row in self._db.execute(asked)]

    def deliveries(
        self,
        owner: str,
        *,
        limit: int,
        before: str | None = None,
        state: DeliveryState | None = None,
        alert: str | None = None,
    ) -> list[Delivery]:
        asked = _newest_first(deliveries, owner, before, limit, state=state, alert=alert)
        if alert is not None:  # ids begin with the alert's, which narrows the search to a few rows
            asked = asked.where(deliveries.c.id > f"{alert}~", deliveries.c.id < f"{alert}\x7f")
        return self._all(Delivery, asked)

    def outbox_counts(self) -> dict[DeliveryState, int]:
        """All states, those without deliveries too; the watcher's own are not counted."""
        state = deliveries.c.state
        asked = sa.select(state, sa.func.count().label("n")).where(deliveries.c.owner != SYSTEM_OWNER)
        rows = self._db.execute(asked.group_by(state))
        counted = {row.state: row.n for row in rows}
        return {name: counted.get(name, 0) for name in get_args(DeliveryState)}

    def alert_count(self) -> int:
        """The watcher's own are not counted."""
        people = (alerts.c.owner != SYSTEM_OWNER, _CONDITION)
        counted = sa.select(sa.func.count()).select_from(alerts).where(*people)
        return int(self._db.execute(counted).scalar_one())


_ACKNOWLEDGED = sa.exists().where(acks.c.alert == alerts.c.id)


def _seen_by(owner: str) -> sa.Select[tuple[str]]:
    """What the owner has acknowledged: of many alerts these are few."""
    return sa.select(acks.c.alert).where(acks.c.owner == owner)


def _newest_first(
    table: sa.Table, owner: str, before: str | None, limit: int, **equal: str | None
) -> sa.Select[Any]:
    asked = sa.select(table).where(table.c.owner == owner).order_by(table.c.id.desc()).limit(limit)
    if owner != LOCAL_OWNER:  # said word for word, so that their index serves
        asked = asked.where(OTHERS_ALERTS if table is alerts else OTHERS_DELIVERIES)
    if before is not None:
        asked = asked.where(table.c.id < before)
    return asked.where(*(table.c[name] == value for name, value in equal.items() if value is not None))
