"""backfill: with calls that the rounds leave over, ask a source for what was not watched, and journal it.

It never costs the rounds a call: see `Pacer.beside`. Asking twice is harmless, because what is filled in once
stays as it is; what was asked is kept beside the budget, so that a restart does not ask again. A crash between the
record and that note makes one call come twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec
import numpy as np
import structlog

from cryptowatcher.domain.backfill import Ask, Asked, Plan, Terms, deepest
from cryptowatcher.domain.past import Past, believable
from cryptowatcher.domain.records import Draft, Fill
from cryptowatcher.domain.rules.tree import Expression
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.pipeline.pacing import Pacer
from cryptowatcher.ports import Clock, HistorySource, Journal, Store

Looks = Callable[[], Iterable[tuple[Expression, Iterable[str] | None]]]
"""The numbers that rules look at now, each with the pairs they look at it for; None: all."""

LOOK_EVERY: Final = 30.0
"""Seconds between looks at what rules look at, and at what is to be asked for."""
_IDLE: Final = 5.0
_FASTEST: Final = 1.0
_FIRST_PAUSE: Final = 30.0
_LONGEST_PAUSE: Final = 1800.0
_PAIRS_A_SECOND: Final = 100
"""What was asked is written down at most so often that it costs this little: seconds apart for so many pairs."""
_OF_CHART: Final = frozenset({"plan"})
"""Refusals that mean this kind of chart, whatever the pair."""

log = structlog.get_logger()


class Backfill:
    """One source's history. `run` goes on until cancelled; what collect accepts is told to `saw`."""

    def __init__(
        self,
        source: HistorySource,
        journal: Journal,
        store: Store,
        pacer: Pacer,
        clock: Clock,
        *,
        terms: Terms,
        looks: Looks,
        schema: int,
        meters: Meters,
    ) -> None:
        """`schema`: of what watchers keep; what they make of the journal is made anew when it changes."""
        self._source = source
        self._journal = journal
        self._store = store
        self._pacer = pacer
        self._clock = clock
        self._terms = terms
        self._looks = looks
        self._schema = schema
        self._meters = meters
        self._plan = Plan(source.reaches, all_pairs=terms.all_pairs)
        self._writer = f"fill:{source.name}"
        self._key = f"history:{source.name}"
        self._waiting: list[Ask] = []
        self._looked_at = clock.monotonic() - LOOK_EVERY
        self._fresh = False  # there may be more to ask for than what waits
        self._kept_at = clock.monotonic()
        self._dirty = False
        self._month, self._credits = 0, 0
        self._failures = 0
        self._trouble = ""
        self._number = 0
        meters.expect_history(source.name)

    # --- what collect tells ------------------------------------------------------------------------

    def anchor(self, price: Price) -> None:
        """What the store last knew of one of the source's pairs."""
        self._plan.anchor(price.pair, price.price, price.observed_at)

    def saw(self, batch: TickBatch) -> None:
        """Observations of the source that stand in the journal."""
        self._fresh |= self._plan.saw(batch)

    def words(self) -> str:
        """How far it is, for people; "" when there is nothing to say."""
        if not self._waiting:
            return ""
        pair = self._waiting[0].pair
        more = f"history of {len({ask.pair for ask in self._waiting})} pairs is still to be asked for, next {pair}"
        if self._trouble:
            return f"{more}; {self._trouble}"
        if self._pacer.has_credits_over(pages=self._source.pages, allowed=self._credits_left()):
            return more if self._spacing() else f"{more}, but the rounds leave no calls over"
        return f"{more}, but the rounds need all credits of the month (`credits` in [history] allows some)"

    # --- the work ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        self._number = await self._journal.last_number(self._writer)
        await self._recall()
        try:
            while True:
                pause = await self._turn()
                await asyncio.sleep(pause)
        finally:
            if self._dirty:
                with contextlib.suppress(Unavailable):
                    await self._keep()

    async def _turn(self) -> float:
        """At most one call; how many seconds to wait then."""
        self._look()
        spacing = self._spacing()
        try:
            if self._dirty and self._clock.monotonic() - self._kept_at >= self._plan.pairs / _PAIRS_A_SECOND:
                await self._keep()
            if not self._waiting or not spacing:
                return _IDLE
            called = await self._ask(self._waiting[0])
        except (Unavailable, Refused) as error:
            return self._after_failure(error)
        if not called:
            return min(_FASTEST, spacing)
        self._failures, self._trouble = 0, ""
        return spacing

    def _look(self) -> None:
        """What rules look at, and what is to be asked for, as of now."""
        now = self._clock.monotonic()
        if now - self._looked_at >= LOOK_EVERY:
            self._plan.look(deepest(self._looks(), self._source.reaches))
            self._looked_at, self._fresh = now, True
        if not self._fresh:
            return
        self._fresh = False
        self._waiting = self._plan.waiting(self._clock.now())
        self._meters.history_waits(self._source.name, len(self._waiting))

    async def _ask(self, ask: Ask) -> bool:
        """One call, if there is room for one. Raises what it fails with, after taking note."""
        pages, allowed = self._source.pages, self._credits_left()
        try:
            async with self._pacer.beside(pages=pages, allowed=allowed) as seconds:
                if not seconds:
                    return False
                self._credits += 1
                past = await self._within(seconds, ask)
        except (Unavailable, Refused) as error:
            self._meters.asked_history(self._source.name, error.reason)
            self._note_failure(ask, error)
            raise
        await self._take(ask, past)
        return True

    async def _within(self, seconds: float, ask: Ask) -> Past:
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                return await self._source.past(ask.pair, ask.reach)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise Unavailable("the next round was due", reason="cut_short") from None

    async def _take(self, ask: Ask, past: Past) -> None:
        """Journal what can be believed of an answer."""
        newest, price = self._plan.last_seen(ask.pair)
        found = believable(past, newest=newest, price=price)
        if len(found):
            self._number += 1
            await self._journal.append([Draft(self._writer, self._number, as_fill(found, self._source.name))])
        self._meters.asked_history(self._source.name, "ok")
        self._meters.filled(self._source.name, len(found), found.dropped)
        self._plan.asked(ask, self._clock.now())
        self._waiting.pop(0)
        self._dirty = True

    # --- when it fails -----------------------------------------------------------------------------

    def _note_failure(self, ask: Ask, error: Unavailable | Refused) -> None:
        now = self._clock.now()
        if isinstance(error, Refused):
            self._plan.refused(ask, now, chart=error.reason in _OF_CHART)
        else:
            self._plan.failed(ask, now)
        self._dirty = self._fresh = True

    def _after_failure(self, error: Unavailable | Refused) -> float:
        """Seconds to wait. One coin that has no history says nothing about the next."""
        if isinstance(error, Refused) and error.reason == "no_such_coin":
            return self._spacing()
        self._failures += 1
        if str(error) != self._trouble:
            self._trouble = str(error)
            log.warning("history", source=self._source.name, reason=error.reason, why=str(error))
        asked = error.retry_after if isinstance(error, Unavailable) else None
        return max(asked or 0.0, min(_FIRST_PAUSE * 2.0 ** min(self._failures - 1, 20), _LONGEST_PAUSE))

    # --- how fast ----------------------------------------------------------------------------------

    def _spacing(self) -> float:
        """Seconds between two calls; 0.0: rounds leave nothing over."""
        pace = self._source.pace
        over = (pace.per_minute - 60 * self._source.pages / pace.every) * self._terms.share
        return max(60 / over, _FASTEST) if over > 0 else 0.0

    def _credits_left(self) -> int:
        """Of this month, what may still be taken from the rounds."""
        date = datetime.fromtimestamp(self._clock.now() / 1000, UTC)
        month = date.year * 12 + date.month - 1
        if month != self._month:
            self._month, self._credits = month, 0
        return max(self._terms.credits - self._credits, 0)

    # --- what is kept ------------------------------------------------------------------------------

    async def _recall(self) -> None:
        stored = await self._store.run(lambda tx: tx.budget(self._key))
        if stored is None:
            return
        try:
            asked = msgspec.msgpack.decode(stored, type=Asked)
        except (msgspec.DecodeError, msgspec.ValidationError):
            log.warning("what history was asked for is forgotten", source=self._source.name, reason="not readable")
            return
        self._month, self._credits = asked.month, asked.credits
        if (asked.journal, asked.schema) == (self._journal.id, self._schema):
            self._plan.recall(asked)

    async def _keep(self) -> None:
        """Write down what was asked."""
        asked = self._plan.kept(
            journal=self._journal.id,
            schema=self._schema,
            month=self._month,
            credits=self._credits,
        )
        state = msgspec.msgpack.encode(asked)
        await self._store.run(lambda tx: tx.save_budget(self._key, state))
        self._kept_at, self._dirty = self._clock.monotonic(), False


def as_fill(past: Past, source: str) -> Fill:
    """Points of the past as a body of the journal."""
    batch = TickBatch(
        source=source,
        pairs=(past.pair,),
        pair=np.zeros(len(past), np.int64),
        price=past.price,
        volume=past.volume,
        market_cap=past.market_cap,
        observed_at=past.observed_at,
        starts=np.zeros(1, np.int64),
        received_at=past.received_at,
        valid_for=2 * past.interval,
    )
    return Fill(batch, past.interval)
