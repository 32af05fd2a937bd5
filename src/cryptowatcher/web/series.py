"""GET /api/v1/series: numbers of the language along the candles of one pair."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
import numpy as np
from litestar import get
from litestar.params import QueryParameter

from cryptowatcher.domain.candles import CandleColumns
from cryptowatcher.domain.curves import Curve, curve_along, read_curve
from cryptowatcher.domain.intervals import INTERVALS
from cryptowatcher.domain.pairs import pair_of
from cryptowatcher.domain.rules.series import OnePair
from cryptowatcher.domain.rules.tree import Comparison, Number
from cryptowatcher.domain.rules.units import Kind
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Store
from cryptowatcher.previewing import MOST, closes_of, pairs_needed, read_candles
from cryptowatcher.web.answers import IntervalName, Millis, PairName
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.market import AssetId, Currency, From, Interval, To, parse_instant
from cryptowatcher.web.preview import GivenTurns
from cryptowatcher.web.problems import bad_parameter, documented, not_found

MOST_CANDLES = 10_000
MOST_VALUES = 12

Values = Annotated[
    list[str],
    QueryParameter(
        name="value",
        min_items=1,
        max_items=MOST_VALUES,
        description="a number as conditions have them, once or more: rsi(14, 1h), price - sma(20, 1h)",
    ),
]
Limit = Annotated[int, QueryParameter(ge=1, le=MOST_CANDLES, description="candles at most")]


class CurveAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One number.

    value:      as it was asked for, `text` as the program writes it
    unit:       price, money (volume, market cap), fraction (0.05 is 5 %), number, time (ms), or plain
    candles_ms: how long the candles are over whose closes it was computed
    values:     one for each of `start_ms`: as of the end of that candle; null: not known
    unknown:    why it is not known at all; empty where it is
    """

    value: str
    text: str
    unit: Kind
    candles_ms: int
    values: list[float | None]
    unknown: str


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Columns over the closed candles of [from, to), the newest `limit` of them, oldest first."""

    pair: PairName
    interval: IntervalName
    start_ms: list[Millis]
    items: list[CurveAnswer]


@get(
    "/series/{asset:str}/{currency:str}",
    needs="viewer",
    responses=documented(400, 404, 503),
    summary="Indicators and other numbers along the candles of one pair",
    description="What a rule would look at, at the end of each candle: computed by the functions that rules use. "
    "What they do not know is null.",
    tags=["market"],
)
async def series(
    deps: Deps,
    looks: GivenTurns,
    asset: AssetId,
    currency: Currency,
    value: Values,
    interval: Interval = "1h",
    begin: From = None,
    until: To = None,
    limit: Limit = 500,
) -> Series:
    pair, ms, now = pair_of(asset, currency), INTERVALS[interval], deps.clock.now()
    curves = [_curve(text, ms, number) for number, text in enumerate(value)]
    end = now if until is None else min(now, parse_instant(until, "to"))
    start = end - (limit + 1) * ms if begin is None else parse_instant(begin, "from")
    start = max(0, start, end - (limit + 1) * ms)

    async def work() -> Series:
        shown = await read_candles(deps.asked, pair, ms, start=start, end=end)
        starts = shown.start[shown.start + ms <= now][-limit:]
        if not len(starts) and not await deps.asked.run(lambda tx: tx.prices([pair])):
            raise not_found(f"{pair} is not watched; pairs are written with CoinGecko ids, as in bitcoin/usd")
        found = await curves_along(deps.asked, pair, curves, starts, ms)
        items = [_answer(*each) for each in zip(value, curves, found, strict=True)]
        return Series(pair=pair, interval=interval, start_ms=starts.tolist(), items=items)

    return await looks(work)


def _answer(asked: str, curve: Curve, values: Floats) -> CurveAnswer:
    return CurveAnswer(
        value=asked,
        text=curve.text,
        unit=curve.unit,
        candles_ms=curve.interval,
        values=[None if each != each else each for each in values.tolist()],
        unknown=curve.unknown,
    )


async def curves_along(
    store: Store, pair: str, curves: Sequence[Curve], starts: Ints, interval: int
) -> list[Floats]:
    """The values of each curve at the ends of candles of `interval` ms that begin at `starts`, ascending."""
    if not len(starts):
        return [np.zeros(0) for _ in curves]
    first, end = int(starts[0]), int(starts[-1]) + interval
    past: dict[int, dict[str, CandleColumns]] = {}
    for each in {curve.interval for curve in curves if not curve.unknown}:
        mine = [curve for curve in curves if curve.interval == each and not curve.unknown]
        since = first - max(curve.before for curve in mine) - each
        since = max(0, since, end - MOST * each) // each * each
        pairs = {name for curve in mine for name in pairs_needed(_asked(curve), pair)}
        past[each] = {
            name: await read_candles(store, name, each, start=since, end=end - each + 1) for name in sorted(pairs)
        }
    return await asyncio.to_thread(_computed, pair, curves, past, starts + interval, interval)


def _computed(
    pair: str,
    curves: Sequence[Curve],
    past: Mapping[int, Mapping[str, CandleColumns]],
    ends: Ints,
    interval: int,
) -> list[Floats]:
    seen = {each: OnePair(closes_of(columns, each), pair) for each, columns in past.items()}
    nothing = OnePair(closes_of({}, interval), pair)
    return [curve_along(curve, seen.get(curve.interval, nothing), ends, interval) for curve in curves]


def _asked(curve: Curve) -> Comparison:
    return Comparison(">", curve.number, Number(0.0))


def _curve(text: str, interval: int, number: int) -> Curve:
    where = f"value[{number}]"
    try:
        return read_curve(text, interval, where=where)
    except ConfigError as error:
        raise bad_parameter(where, error.message, hint=error.hint) from None
