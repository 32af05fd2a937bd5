"""GET /api/v1/prices and /api/v1/candles. In a path a pair is two segments, exactly as it is written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from litestar import get
from litestar.params import PathParameter, QueryParameter

from cryptowatcher.domain.candles import Candle, roll_up
from cryptowatcher.domain.intervals import INTERVALS
from cryptowatcher.domain.pairs import pair_of
from cryptowatcher.domain.status import Price
from cryptowatcher.ports import ReadTx
from cryptowatcher.web.answers import (
    CandleAnswer,
    Candles,
    IntervalName,
    PriceAnswer,
    Prices,
    candle_answer,
    price_answer,
)
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import bad_parameter, documented, not_found

AssetId = Annotated[str, PathParameter(description="CoinGecko id: bitcoin")]
Currency = Annotated[str, PathParameter(description="usd, eur, bitcoin, …")]
Limit = Annotated[int, QueryParameter(ge=1, le=1_000, description="candles at most")]
From = Annotated[
    str | None,
    QueryParameter(
        name="from",
        max_length=64,
        description="ISO 8601 (UTC where it names no zone) or epoch ms; default: `limit` intervals before `to`",
    ),
]
To = Annotated[str | None, QueryParameter(name="to", max_length=64, description="as `from`; default: now")]
Interval = Annotated[IntervalName, QueryParameter(description="of each candle")]

_DIGITS = re.compile(r"[0-9]{1,15}")
_LAST_MS = 253_402_300_799_000  # the end of the year 9999: what dates can say


@get(
    "/prices", needs="viewer", responses=documented(400), summary="The newest price of every pair", tags=["market"]
)
async def prices(deps: Deps) -> Prices:
    known = await deps.asked.run(lambda tx: tx.prices())
    return Prices(at_ms=deps.clock.now(), items=[price_answer(price) for price in known])


@get(
    "/prices/{asset:str}/{currency:str}",
    needs="viewer",
    responses=documented(400, 404),
    summary="The newest price of one pair",
    tags=["market"],
)
async def price(deps: Deps, asset: AssetId, currency: Currency) -> PriceAnswer:
    pair = pair_of(asset, currency)
    known = await deps.asked.run(lambda tx: tx.prices([pair]))
    if not known:
        raise not_found(f"no price of {pair} is known; pairs are written with CoinGecko ids, as in bitcoin/usd")
    return price_answer(known[0])


@get(
    "/candles/{asset:str}/{currency:str}",
    needs="viewer",
    responses=documented(400, 404),
    summary="Candles of one pair, with the one that is still forming",
    tags=["market"],
)
async def candles(
    deps: Deps,
    asset: AssetId,
    currency: Currency,
    interval: Interval = "1h",
    begin: From = None,
    until: To = None,
    limit: Limit = 500,
) -> Candles:
    pair, ms = pair_of(asset, currency), INTERVALS[interval]
    end = deps.clock.now() + 1 if until is None else parse_instant(until, "to")
    start = max(0, end - limit * ms) if begin is None else parse_instant(begin, "from")
    if start >= end:
        raise bad_parameter("from", "`from` must lie before `to`")

    def read(tx: ReadTx) -> tuple[list[Candle], list[Price]]:
        return candles_between(tx, pair, ms, start=start, end=end, limit=limit), tx.prices([pair])

    found, known = await deps.asked.run(read)
    if not found and not known:
        raise not_found(f"{pair} is not watched; pairs are written with CoinGecko ids, as in bitcoin/usd")
    items: list[CandleAnswer] = [candle_answer(candle) for candle in found]
    return Candles(pair=pair, interval=interval, from_ms=start, to_ms=end, items=items)


def candles_between(tx: ReadTx, pair: str, interval: int, *, start: int, end: int, limit: int) -> list[Candle]:
    """Stored candles with start <= candle.start < end, and after them what finer ones already say."""
    stored = tx.candles(pair, interval, start=start, end=end, limit=limit)
    forming = stored.pop() if stored and not stored[-1].complete else None
    begin = stored[-1].start + interval if stored else -(-start // interval) * interval
    tail = roll_up(_finer(tx, pair, interval, begin, -(-end // interval) * interval), interval)
    if forming and not any(c.start == forming.start and c.ticks >= forming.ticks for c in tail):
        tail = [c for c in tail if c.start < forming.start] + [forming]
    return (stored + tail)[-limit:]


def _finer(tx: ReadTx, pair: str, interval: int, begin: int, end: int) -> list[Candle]:
    """What finer intervals know of [begin, end): the coarsest closed candles first, then finer ones to the end."""
    parts: list[Candle] = []
    for ms in sorted((ms for ms in INTERVALS.values() if ms < interval), reverse=True):
        found = tx.candles(pair, ms, start=begin, end=end, limit=2 * interval // ms)
        closed = [candle for candle in found if candle.complete or ms == min(INTERVALS.values())]
        parts += closed
        begin = closed[-1].start + ms if closed else begin
    return parts


def parse_instant(text: str, name: str) -> int:
    """Epoch ms; a 400 that says how one is written."""
    hint = "write 2026-01-31T12:00:00Z or epoch milliseconds"
    try:
        ms = int(text) if _DIGITS.fullmatch(text) else _from_iso(text)
    except (ValueError, OverflowError):
        raise bad_parameter(name, f"{text!r} is not a time", hint=hint) from None
    if not 0 <= ms <= _LAST_MS:
        raise bad_parameter(name, "the time lies outside 1970 to 9999", hint=hint)
    return ms


def _from_iso(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
