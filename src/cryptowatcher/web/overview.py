"""GET /api/v1/market: what the live prices are compared with. Worked out at most once a minute, and shared."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from cryptowatcher.domain.overview import Glance, glance, stretches
from cryptowatcher.domain.status import Price
from cryptowatcher.ports import ReadTx
from cryptowatcher.web.answers import Millis, PairName
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.problems import documented

FRESH_MS = 60_000
AT_ONCE = 50
"""Pairs in one transaction: whoever else asks comes in between."""


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """Columns with an entry for each pair, the largest market capitalisation first. Prices of an hour, a day and
    seven days before `at_ms`; null: nothing near that time is known. `spark`: the last seven days every four
    hours, each as a height from 0 (the lowest) to 100, the newest last; null: unknown."""

    at_ms: Millis
    pairs: list[PairName]
    price_1h_ago: list[float | None]
    price_24h_ago: list[float | None]
    price_7d_ago: list[float | None]
    spark: list[list[int | None]]


class Overview:
    """The newest answer. One for an application."""

    def __init__(self) -> None:
        self._answer: Market | None = None
        self._turn = asyncio.Lock()

    async def __call__(self, deps: WebDeps) -> Market:
        async with self._turn:  # who comes while it is worked out waits for the same answer
            now = deps.clock.now()
            if self._answer is None or not 0 <= now - self._answer.at_ms < FRESH_MS:
                self._answer = await _look(deps, now)
            return self._answer


Looked = NamedDependency[SkipValidation[Overview]]
"""How the route handler names it: `overview: Looked`."""


@get(
    "/market",
    needs="viewer",
    responses=documented(400),
    summary="Past prices and the week's shape of every pair",
    tags=["market"],
)
async def market(deps: Deps, overview: Looked) -> Market:
    return await overview(deps)


async def _look(deps: WebDeps, now: int) -> Market:
    known = await deps.asked.run(lambda tx: tx.prices())
    glances: list[Glance] = []
    for first in range(0, len(known), AT_ONCE):
        glances += await deps.asked.run(partial(_glances, known[first : first + AT_ONCE], now))
    return Market(
        at_ms=now,
        pairs=[price.pair for price in known],
        price_1h_ago=[each.hour_ago for each in glances],
        price_24h_ago=[each.day_ago for each in glances],
        price_7d_ago=[each.week_ago for each in glances],
        spark=[each.spark for each in glances],
    )


def _glances(prices: Sequence[Price], now: int, tx: ReadTx) -> list[Glance]:
    return [_glance(tx, price, now) for price in prices]


def _glance(tx: ReadTx, price: Price, now: int) -> Glance:
    hour, day, week = (
        tx.candle_columns(price.pair, each.interval, start=each.start, end=each.end) for each in stretches(now)
    )
    return glance(hour, day, week, now=now, price=price.price)
