"""GET /api/v1/coverage: which stretches of the last hours were seen of each pair. Worked out at most once a minute
for each length, and shared."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from cryptowatcher.domain.coverage import Grid, cells, grid, share
from cryptowatcher.domain.status import Price
from cryptowatcher.ports import ReadTx
from cryptowatcher.web.answers import Millis, PairName
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.problems import documented

FRESH_MS = 60_000
AT_ONCE = 50
"""Pairs in one transaction: whoever else asks comes in between."""
LONGEST = 168

Hours = Annotated[int, QueryParameter(ge=1, le=LONGEST, description="how far back; at most 168, a week")]


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """Columns with an entry for each pair, what was seen least first.

    from_ms, step_ms: when the first cell begins, and how long each is; the last one is going on
    cells: for each pair a text with a letter for each cell. `w`: watched; `p`: watched partly; `t`: told by the
           source afterwards; `.`: nothing is known
    watched: the share of the time that was watched, 0 to 1
    """

    at_ms: Millis
    from_ms: Millis
    step_ms: int
    pairs: list[PairName]
    cells: list[str]
    watched: list[float]


class Coverages:
    """The newest answer for each number of hours. One for an application."""

    def __init__(self) -> None:
        self._answers: dict[int, Coverage] = {}
        self._turn = asyncio.Lock()

    async def __call__(self, deps: WebDeps, hours: int) -> Coverage:
        async with self._turn:  # who comes while it is worked out waits for the same answer
            now = deps.clock.now()
            known = self._answers.get(hours)
            if known is None or not 0 <= now - known.at_ms < FRESH_MS:
                self._answers = {each: old for each, old in self._answers.items() if now - old.at_ms < FRESH_MS}
                known = self._answers[hours] = await _look(deps, now, hours)
            return known


Covered = NamedDependency[SkipValidation[Coverages]]
"""How the route handler names them: `covered: Covered`."""


@get(
    "/coverage",
    needs="viewer",
    responses=documented(400),
    summary="What was seen of each pair, cell by cell",
    tags=["system"],
)
async def coverage(deps: Deps, covered: Covered, hours: Hours = 24) -> Coverage:
    return await covered(deps, hours)


async def _look(deps: WebDeps, now: int, hours: int) -> Coverage:
    known = await deps.asked.run(lambda tx: tx.prices())
    on = grid(now, hours, len(known))
    rows: list[str] = []
    for first in range(0, len(known), AT_ONCE):
        rows += await deps.asked.run(partial(_cells, known[first : first + AT_ONCE], on, now))
    order = sorted(range(len(known)), key=lambda at: share(rows[at]))  # of equals the largest stays first
    return Coverage(
        at_ms=now,
        from_ms=on.start,
        step_ms=on.step,
        pairs=[known[at].pair for at in order],
        cells=[rows[at] for at in order],
        watched=[round(share(rows[at]), 4) for at in order],
    )


def _cells(prices: Sequence[Price], on: Grid, now: int, tx: ReadTx) -> list[str]:
    found = []
    for price in prices:
        starts, observed = tx.watched(price.pair, on.interval, start=on.start, end=now)
        current = price.valid_until >= now
        found.append(cells(starts, observed, on, now=now, current=current, priced_at=price.observed_at))
    return found
