"""What signals were worth: which are to be scored, and what is kept of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from cryptowatcher.adapters.stores.bulk import insert_rows, tuples
from cryptowatcher.adapters.stores.rows import Concern, alert_of
from cryptowatcher.adapters.stores.tables import ADVISED, alerts, candles, or_keep, rules, scores
from cryptowatcher.domain.alerts import NOTICES, Alert, first_id_at
from cryptowatcher.domain.signals import Signal
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.ports.scores import Scored


class Scores(Concern):
    """See ports.ScoreTx."""

    def unscored(self, horizon: int, *, after: str, upto: int, limit: int) -> list[Alert]:
        a, s = alerts.c, scores.c
        there = sa.exists().where(s.rule == a.rule, s.version == a.version, s.horizon == horizon, s.alert == a.id)
        due = (a.id > after, a.id < first_id_at(max(upto, 0)), a.event_time + a.gap_ms + horizon <= upto)
        asked = sa.select(alerts).where(ADVISED, a.kind.not_in(NOTICES), *due, ~there)
        return [alert_of(row) for row in self._db.execute(asked.order_by(a.id).limit(limit))]

    def save_signals(self, signals: Sequence[Signal]) -> None:
        insert_rows(self._db, scores, tuples(signals), or_keep)

    def signals(self, rule: str, version: int) -> list[Signal]:
        asked = sa.select(scores).where(scores.c.rule == rule, scores.c.version == version)
        return self._all(Signal, asked.order_by(scores.c.alert, scores.c.horizon))

    def scored(self, owner: str) -> dict[str, Scored]:
        s, r = scores.c, rules.c
        mine = (r.owner == owner, r.spec.is_not(None), s.rule == r.id, s.version == r.version)
        asked = sa.select(s.rule, sa.func.count(), sa.func.max(s.scored_at)).where(*mine).group_by(s.rule)
        return {rule: Scored(rows, newest) for rule, rows, newest in self._db.execute(asked)}

    def closes(self, pair: str, interval: int, start: int, end: int) -> tuple[Ints, Floats]:
        c = candles.c
        inside = (c.pair == pair, c.interval == interval, c.start >= start, c.start < end)
        rows = self._db.execute(sa.select(c.start, c.close).where(*inside).order_by(c.start)).all()
        starts = np.array([row[0] for row in rows], np.int64)
        return starts + interval, np.array([row[1] for row in rows], np.float64)
