"""What is read to tell a move from what is usual: the pair's candles, those of all others, and the journal.

Reading is cut into slices, so that a long one keeps nobody waiting who asks the same store for a little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert, first_id_at
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.move_words import say_move
from cryptowatcher.domain.moves import (
    FEWEST,
    AlertThen,
    PairMove,
    Usual,
    Witnesses,
    breadth,
    finest,
    inside,
    ladder,
    pasts_of,
    usual,
    volume_against,
)
from cryptowatcher.domain.overview import closes_at
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.records import Held, Record, Ticks, Verdict
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.ports import Journal, ReadTx, Store, Trimmed
from cryptowatcher.previewing import read_candles

BITCOIN = "bitcoin"
SHORTEST = MS["m"]
LONGEST = 1_830 * MS["d"]
"""ms that a move may take."""
MOST_PAIRS = 1_000
"""Pairs that are the market, the largest first."""
MOST_ALERTS = 100
MOST_RECORDS = 30_000
"""Of the journal: some hours of them."""
_AT_ONCE = 50
_PLENTY = 5 * FEWEST
_CHUNK = 100
"""Records read at once: whoever follows the same journal comes in between."""
_AWAKE = MS["m"]
"""A beat comes each second: where there is none for so long, nobody wrote anything down."""
_VOLUME_PAST = 30 * MS["d"]
_FRESH = 2 * MS["m"]


async def explain_move(
    store: Store, journal: Journal | None, pair: str, *, start: int, end: int, owner: str, now: int
) -> PairMove:
    """The move from `start` to `end`, epoch ms, the latter not after `now`. Without a journal it is not told who
    saw it."""
    length = end - start
    begin, final = await store.run(partial(_Ends(start, end, now).of, pair=pair))
    change = final / begin - 1 if begin is not None and final is not None else None
    candles = await _candles(store, pair, start, end)
    seen = await asyncio.to_thread(inside, candles, start=start, end=end, begin=begin)
    hours = await read_candles(store, pair, MS["h"], start=start - _VOLUME_PAST, end=start - MS["h"] + 1)
    others = await _others(store, pair, start, end, now)
    alerts = await store.run(partial(_alerts, owner=owner, pair=pair, start=start, end=end))
    move = PairMove(
        pair=pair,
        from_ms=start,
        to_ms=end,
        begin=begin,
        end=final,
        change=change,
        inside=seen,
        usual=await _usual(store, pair, start, length, change),
        bitcoin=others.get(f"{BITCOIN}/{pair.rpartition('/')[2]}"),
        market=breadth(np.array([np.nan if each is None else each for each in others.values()]), change),
        volume=volume_against(hours, seen.volume),
        witnesses=_untold("there is no journal here")
        if journal is None
        else await witnesses(journal, pair, start, end),
        alerts=[_then(alert) for alert in alerts],
        says=[],
    )
    return msgspec.structs.replace(move, says=say_move(move))


class _Ends:
    """The prices at both ends of a stretch, pair by pair: at its end the newest, if that is now."""

    def __init__(self, start: int, end: int, now: int) -> None:
        self._start, self._end, self._now = start, end, now
        self._first, self._last = ladder(end - start), ladder(end - start)

    def of(self, tx: ReadTx, pair: str) -> tuple[float | None, float | None]:
        begin = _price_at(tx, pair, self._start, self._first)
        newest = tx.prices([pair]) if self._now - self._end < _FRESH else []
        if newest and newest[0].valid_until >= self._end:
            return begin, newest[0].price
        return begin, _price_at(tx, pair, self._end, self._last)


def _price_at(tx: ReadTx, pair: str, at: int, steps: list[tuple[int, int]]) -> float | None:
    """By the first candles that tell it. They are put first, for the next pair is mostly known by the same."""
    for place, (interval, old) in enumerate(steps):
        near = tx.candle_columns(pair, interval, start=at - old - interval, end=at)
        found = float(closes_at(near, np.array([at], np.int64), interval, old)[0])
        if found == found:
            steps.insert(0, steps.pop(place))
            return found
    return None


async def _candles(store: Store, pair: str, start: int, end: int) -> list[Candle]:
    """By the finest candles that suit the length, or by coarser ones if they are all there is."""
    for each in (each for each in INTERVALS.values() if each >= finest(end - start)):
        found: list[Candle] = await store.run(
            lambda tx, each=each: tx.candles(  # type: ignore[misc]  # a lambda's default has no type
                pair, each, start=start // each * each, end=end, limit=(end - start) // each + 2
            )
        )
        if found:
            return found
    return []


async def _usual(store: Store, pair: str, start: int, length: int, change: float | None) -> Usual:
    """By the first kind of candles of which enough is there, or by that of which there is most."""
    found: list[Usual] = []
    for interval, back in pasts_of(length):
        past = await read_candles(store, pair, interval, start=start - back, end=start - interval + 1)
        found.append(await asyncio.to_thread(usual, past, change, length=length, interval=interval))
        if found[-1].apart >= _PLENTY:
            break
    return max(found, key=lambda each: each.apart)


async def _others(store: Store, pair: str, start: int, end: int, now: int) -> dict[str, float | None]:
    """Pair → its change, of the other pairs in this currency."""
    currency = pair.rpartition("/")[2]
    known = await store.run(lambda tx: tx.prices())
    names = [each.pair for each in known if each.pair.rpartition("/")[2] == currency]
    names = [each for each in names if each not in (pair, CANARY)][:MOST_PAIRS]
    found: dict[str, float | None] = {}
    ends = _Ends(start, end, now)
    for first in range(0, len(names), _AT_ONCE):
        found |= await store.run(partial(_changes, pairs=names[first : first + _AT_ONCE], ends=ends))
    return found


def _changes(tx: ReadTx, *, pairs: Sequence[str], ends: _Ends) -> dict[str, float | None]:
    changes: dict[str, float | None] = {}
    for pair in pairs:
        begin, last = ends.of(tx, pair)
        changes[pair] = last / begin - 1 if begin is not None and last is not None else None
    return changes


def _alerts(tx: ReadTx, *, owner: str, pair: str, start: int, end: int) -> list[Alert]:
    found = tx.alerts(owner, limit=MOST_ALERTS, before=first_id_at(end), pair=pair)
    return [alert for alert in found if alert.event_time >= start]


def _then(alert: Alert) -> AlertThen:
    return AlertThen(
        id=alert.id,
        rule_name=alert.rule_name,
        condition=alert.condition,
        advice=alert.advice,
        event_time_ms=alert.event_time,
        price=alert.price,
    )


async def witnesses(journal: Journal, pair: str, start: int, end: int) -> Witnesses:
    """Whose observations of the pair stand in the journal from then to then."""
    after, upto = await journal.seek(start), await journal.seek(end)
    if upto - after > MOST_RECORDS:
        return _untold("the stretch is too long to read what was written down in it")
    seen: dict[str, int] = {}
    counts = {"held": 0, "believed": 0, "dismissed": 0}
    first: int | None = None
    while after < upto:
        try:
            records = await journal.read(after, min(_CHUNK, upto - after))
        except Trimmed:
            return _untold("the journal does not reach back so far any more")
        if not records:
            break
        first = records[0].at if first is None else first
        for record in records:
            _count(record, pair, seen, counts)
        after = records[-1].seq
    late = first is not None and first - start > _AWAKE
    return Witnesses(from_ms=first if late else None, seen=seen, **counts, unknown="")


def _count(record: Record, pair: str, seen: dict[str, int], counts: dict[str, int]) -> None:
    match record.body:
        case Ticks(batch=batch):
            here = _ticks(batch, pair)
            if here:
                seen[batch.source] = seen.get(batch.source, 0) + here
        case Held(batch=batch):
            counts["held"] += _ticks(batch, pair)
        case Verdict(batch=batch, accepted=accepted):
            counts["believed" if accepted else "dismissed"] += _ticks(batch, pair)


def _ticks(batch: TickBatch, pair: str) -> int:
    """How many of a batch are of this pair."""
    if pair not in batch.pairs:
        return 0
    return int((batch.pair == batch.pairs.index(pair)).sum())


def _untold(why: str) -> Witnesses:
    return Witnesses(from_ms=None, seen={}, held=0, believed=0, dismissed=0, unknown=why)
