"""What a summary is made of, and the mark up to which its owner was told."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.bulk import insert_rows, tuples
from cryptowatcher.adapters.stores.rows import Concern, alert_of, alert_row
from cryptowatcher.adapters.stores.tables import (
    GIVEN_UP,
    SIGHTED,
    alerts,
    candles,
    deliveries,
    insert_into,
    or_keep,
    or_replace,
    prices,
    rules,
    summaries,
    watchlists,
)
from cryptowatcher.domain.alerts import NOTICES, Alert, first_id_at
from cryptowatcher.domain.channel_names import name_in
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.summary import Ended, GivenUp, Mark, Tally

_A, _D = alerts.c, deliveries.c
_MOST_SIGHTINGS = 1_000
_LIST = "list("


class _On(msgspec.Struct):
    """Of a rule's spec."""

    pairs: tuple[str, ...]


class Summaries(Concern):
    """See ports.SummaryTx."""

    def summary_mark(self, owner: str) -> Mark | None:
        asked = sa.select(summaries.c.plan, summaries.c.upto).where(summaries.c.owner == owner)
        row = self._db.execute(asked).one_or_none()
        return None if row is None else Mark(row.plan, row.upto)

    def mark_summary(self, owner: str, mark: Mark) -> None:
        row = {"owner": owner, "plan": mark.plan, "upto": mark.upto}
        self._db.execute(or_replace(insert_into(summaries, self._db.dialect.name), summaries), row)

    def tell_summary(self, notice: Alert, deliveries_: Sequence[Delivery]) -> None:
        if not self.alerts_named([notice.id]):
            insert_rows(self._db, alerts, [alert_row(notice)], or_keep)
            insert_rows(self._db, deliveries, tuples(deliveries_), or_keep)

    def tally(self, owner: str, *, ids: tuple[str, str], begin: int, end: int) -> list[Tally]:
        inside = {"first": ids[0], "behind": ids[1], "owner": owner, "begin": begin, "end": end}
        rows = self._db.execute(_TALLY, inside)
        return [Tally(**dict(zip(Tally.__struct_fields__, row, strict=True))) for row in rows]

    def ended(self, owner: str, *, ids: tuple[str, str], begin: int, end: int, late_after: int) -> Ended:
        inside = {"first": ids[0], "behind": ids[1], "owner": owner, "begin": begin, "end": end}
        row = self._db.execute(_ENDED, inside | {"late": late_after}).one()
        return Ended(**dict(zip(Ended.__struct_fields__, row, strict=True)))

    def given_up(self, owner: str, begin: int, end: int) -> list[GivenUp]:
        inside = (GIVEN_UP, _D.finished_at >= begin, _D.finished_at < end, _D.owner == owner)
        asked = sa.select(_D.channel, _D.last_error).where(*inside).order_by(_D.finished_at, _D.id)
        newest: dict[str, GivenUp] = {}
        for address, why in self._db.execute(asked):
            channel = name_in(address)
            before = newest.get(channel)
            newest[channel] = GivenUp(channel=channel, count=before.count + 1 if before else 1, why=why)
        return [newest[channel] for channel in sorted(newest)]

    def sightings(self, owner: str, since: int, end: int) -> list[Alert]:
        told = (SIGHTED, _A.id >= first_id_at(max(since, 0)), _A.owner == owner, _A.at < end)
        newest = sa.select(alerts).where(*told).order_by(_A.id.desc()).limit(_MOST_SIGHTINGS)
        return [alert_of(row) for row in self._db.execute(newest)][::-1]

    def alerts_named(self, ids: Collection[str]) -> dict[str, Alert]:
        rows = self._db.execute(sa.select(alerts).where(_A.id.in_(sorted(ids)))) if ids else ()
        return {row.id: alert_of(row) for row in rows}

    def looked_at(self, owner: str, most: int) -> tuple[list[str], bool]:
        active = (rules.c.owner == owner, rules.c.spec.is_not(None), sa.not_(rules.c.paused))
        asked = sa.select(rules.c.spec).where(*active).order_by(rules.c.id).limit(most)
        named = {pair for row in self._db.execute(asked) for pair in msgspec.json.decode(row.spec, type=_On).pairs}
        lists = {each[len(_LIST) : -1].strip() for each in named if each.startswith(_LIST)}
        pairs = {each for each in named if "/" in each}
        members = sa.select(watchlists.c.pairs).where(watchlists.c.owner == owner, watchlists.c.name.in_(lists))
        for row in self._db.execute(members) if lists else ():
            pairs.update(msgspec.json.decode(row.pairs, type=tuple[str, ...]))
        return sorted(pairs), any("/" not in each and not each.startswith(_LIST) for each in named)

    def largest(self, limit: int) -> list[Price]:
        capped = sa.select(prices).where(prices.c.market_cap > 0)
        return self._all(Price, capped.order_by(prices.c.market_cap.desc(), prices.c.pair).limit(limit))

    def closes_by(self, pairs: Collection[str], at: int, *, interval: int, within: int) -> dict[str, float]:
        c = candles.c
        asked = sa.select(c.pair, c.close).where(
            c.pair.in_(sorted(pairs)),
            c.interval == interval,
            c.start <= at - interval,
            c.start >= at - interval - within,
        )
        rows = self._db.execute(asked.order_by(c.pair, c.start)) if pairs else ()
        return {row.pair: row.close for row in rows}  # the newest comes last


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _inside(table: sa.Table, time: sa.ColumnElement[int]) -> tuple[sa.ColumnElement[bool], ...]:
    ids = (table.c.id >= sa.bindparam("first"), table.c.id < sa.bindparam("behind"))
    return (
        *ids,
        table.c.owner == sa.bindparam("owner"),
        time >= sa.bindparam("begin"),
        time < sa.bindparam("end"),
    )


# Made once: a long stretch asks them many times.
_TALLY = (
    sa.select(
        _A.rule,
        sa.func.count(),
        _count(_A.advice == "buy"),
        _count(_A.advice == "sell"),
        _count(_A.late),
        sa.func.max(_A.id),
    )
    .where(*_inside(alerts, _A.at), _A.kind.not_in(NOTICES))
    .group_by(_A.rule)
)
_SINCE = sa.case((_D.held_until > _D.created_at, _D.held_until), else_=_D.created_at)
_ENDED = sa.select(
    sa.func.count(),
    _count(_D.finished_at - _SINCE >= sa.bindparam("late", type_=sa.BigInteger)),
    _count(_D.kind == "reminder"),
).where(*_inside(deliveries, _D.finished_at), _D.state == "sent")
