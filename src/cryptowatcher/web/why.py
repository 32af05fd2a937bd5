"""GET /api/v1/rules/{id}/why: why a rule has not fired, or will not fire now, for one of its pairs."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter, SkipValidation

from cryptowatcher.domain.rules.engine import Engine
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.why import asked_pair
from cryptowatcher.domain.rules.why_words import Explained, explain
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.recall import Recalled, recall
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.problems import Problem, bad_parameter, documented, not_found

FRESH_FOR = 3.0
"""Seconds for which one recalled watcher answers; then it is let go."""
PATIENCE = 10.0
"""Seconds that a request waits. What it waited for goes on, for those who ask again."""

RuleId = Annotated[str, PathParameter(description="a rule's id")]
Pair = Annotated[
    str | None,
    QueryParameter(max_length=300, description="asset/currency; may be left out for a rule on one pair alone"),
]


class Recollection:
    """Where the watcher stood some seconds ago. It takes time and memory, so there is one at a time, which
    everybody shares. One for an application."""

    def __init__(self, fresh_for: float = FRESH_FOR) -> None:
        self._fresh_for = fresh_for
        self._task: asyncio.Task[Recalled | None] | None = None

    async def __call__(self, deps: WebDeps) -> Engine:
        """Problem (503) where there is nothing to stand on yet, or it takes too long."""
        if self._task is None:
            self._task = asyncio.create_task(
                recall(deps.journal, deps.asked, candles=False, work=asyncio.to_thread)
            )
            self._task.add_done_callback(self._came)
        try:
            async with asyncio.timeout(PATIENCE):
                recalled = await asyncio.shield(self._task)
        except TimeoutError:
            raise Problem(
                503, "finding out where the watcher stands takes long; try again", retry_after=5
            ) from None
        if recalled is None:
            raise Problem(503, "the watcher has not begun yet; try again", retry_after=1)
        return recalled.watcher.engine

    def _came(self, task: asyncio.Task[Recalled | None]) -> None:
        """Keep what was found for a while, and a failure not at all."""
        if task.cancelled() or task.exception() is not None or task.result() is None:
            self._task = None
        else:
            asyncio.get_running_loop().call_later(self._fresh_for, self._forget)

    def _forget(self) -> None:
        self._task = None


Recollected = NamedDependency[SkipValidation[Recollection]]
"""How the route handler names it: `recollection: Recollected`."""


@get(
    "/rules/{rule:str}/why",
    needs="viewer",
    responses=documented(400, 404, 503),
    summary="Why a rule has not fired",
    description="Where the rule stands for a pair, what each comparison of its condition looks at now, how far "
    "that is from turning true, and what else is in its way; `says` is the same in words. It is as of "
    "`at_ms`, some seconds ago.",
    tags=["rules"],
)
async def why_not(deps: Deps, recollection: Recollected, rule: RuleId, pair: Pair = None) -> Explained:
    def read(tx: Tx) -> tuple[Rule | None, int | None]:
        return tx.rule(deps.owner, rule), tx.snoozes(deps.owner).get(rule)

    found, snoozed_until = await deps.asked.run(read)
    if found is None or found.id != rule:
        raise not_found(f"there is no rule {rule!r}")
    try:
        asked = asked_pair(found.spec, pair)
    except ConfigError as error:
        raise bad_parameter("pair", error.message, hint=error.hint) from None
    return explain(await recollection(deps), found, asked, snoozed_until=snoozed_until)
