"""What a stretch of time brought, read from the store.

Reading is cut into slices, so that a long one keeps nobody waiting who asks the same store for a little.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Final

from cryptowatcher.domain.alerts import first_id_at
from cryptowatcher.domain.deliveries import RetryPolicy
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.summary import (
    Ended,
    Move,
    Summary,
    Tally,
    Unseen,
    add_tallies,
    fired,
    is_missed,
    most_fired,
    moved_most,
    told_since,
    unseen,
)
from cryptowatcher.ports import Store, Tx

LOOK_BACK: Final = 8 * MS["d"]
"""By so many ms an alert or its delivery may be older than the moment at which it counts: it was found late, or
waited for a week's quiet hours."""

SLICE: Final = 3 * MS["h"]
"""Of the stretch's events (ms), read in one transaction; of what came before it, where little counts, a day."""

FAR: Final = 2**43
"""Later than every event, epoch ms."""

MOST_RULES: Final = 2_000
"""Rules whose pairs are looked at, and MOST_PAIRS of those."""

MOST_PAIRS: Final = 1_000
LARGEST: Final = 100

INTERVAL: Final = MS["m"] * 5
"""Of the candles that prices at both ends are taken from."""


async def summarize(store: Store, owner: str, begin: int, end: int) -> Summary:
    """What happened in begin <= time < end, epoch ms, as far as it has been watched."""
    tallies: dict[str, Tally] = {}
    ended = Ended()
    for ids in _slices(begin, end):
        counted, more = await store.run(partial(_count, owner=owner, ids=ids, begin=begin, end=end))
        add_tallies(tallies, counted)
        ended = Ended(
            sent=ended.sent + more.sent,
            late=ended.late + more.late,
            reminders=ended.reminders + more.reminders,
        )
    moves, missed = await store.run(partial(_market, owner=owner, begin=begin, end=end))

    def put_together(tx: Tx) -> Summary:
        shown = most_fired(tallies)
        last = tx.alerts_named([each.last for each in shown])
        return Summary(
            begin=begin,
            end=end,
            alerts=sum(each.alerts for each in tallies.values()),
            buys=sum(each.buys for each in tallies.values()),
            sells=sum(each.sells for each in tallies.values()),
            late=sum(each.late for each in tallies.values()),
            rules=tuple(fired(each, last[each.last]) for each in shown if each.last in last),
            all_rules=len(tallies),
            moves=moves,
            given_up=tuple(tx.given_up(owner, begin, end)),
            unseen=missed,
            ended=ended,
        )

    return await store.run(put_together)


def _slices(begin: int, end: int) -> Iterator[tuple[str, str]]:
    """Ids of the events from long before the stretch to its end; the last slice has all that are later."""
    starts = [*range(max(begin - LOOK_BACK, 0), begin, MS["d"]), *range(begin, max(end, begin + 1), SLICE), FAR]
    return ((first_id_at(one), first_id_at(next_)) for one, next_ in pairwise(starts))


def _count(tx: Tx, *, owner: str, ids: tuple[str, str], begin: int, end: int) -> tuple[list[Tally], Ended]:
    late_after = RetryPolicy().late_after
    return (
        tx.tally(owner, ids=ids, begin=begin, end=end),
        tx.ended(owner, ids=ids, begin=begin, end=end, late_after=late_after),
    )


def _market(tx: Tx, *, owner: str, begin: int, end: int) -> tuple[tuple[Move, ...], tuple[Unseen, ...]]:
    """What moved most, and who was not seen: of the pairs that rules name. Where rules are on the market as a
    whole, or name none, its largest move too."""
    named, wide = tx.looked_at(owner, MOST_RULES)
    missing = [price for price in tx.prices(named[:MOST_PAIRS]) if is_missed(price, end)]
    since = min([begin - LOOK_BACK, *map(told_since, missing)])
    missed = unseen(tx.sightings(owner, since, end), missing, begin=begin, end=end)
    largest = [price.pair for price in tx.largest(LARGEST)] if wide or not named else []
    pairs = {*named[:MOST_PAIRS], *largest} - {CANARY}
    before, after = (tx.closes_by(pairs, at, interval=INTERVAL, within=MS["h"]) for at in (begin, end))
    return moved_most(before, after), missed
