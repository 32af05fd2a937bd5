"""When a source may be asked: the budget of domain/budget.py, kept over restarts and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import msgspec
import structlog

from cryptowatcher.domain import budget as rules
from cryptowatcher.domain.budget import MINUTE, Budget
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.ports import Clock, Pace, Store

_SLICE = 5.0
"""Seconds slept at most before looking at the clock again."""
_STEP = 1_000
"""ms by which the wall clock must leave the steady one to count as having jumped."""
_MARGIN = 1.0
"""Seconds before the next round in which no side call may still be under way."""
_SHORTEST = 3.0
"""Seconds that a side call must have, or half a round where that is less."""
_ADDRESS = frozenset({"rate_limited", "banned"})
"""Failures that mean this address, whatever was asked: rounds wait them out as well."""

log = structlog.get_logger()


class Pacer:
    """One source's budget. One call at a time: `turn`, then the call, then `answered` or `failed`; after the last
    call of a round `round_over`. Between rounds there may be room for a call `beside` them."""

    def __init__(self, source: str, pace: Pace, store: Store, clock: Clock, random: Random) -> None:
        self._source = source
        self._pace = pace
        self._store = store
        self._clock = clock
        self._random = random
        self._budget = Budget()
        self._seen = (clock.now(), clock.monotonic())
        self._line = asyncio.Lock()
        self._resting = False

    async def load(self) -> None:
        """Go on where the last process stopped. A first round may begin at once, limits permitting."""
        stored = await self._store.run(lambda tx: tx.budget(self._source))
        if stored is None:
            return
        try:
            kept = msgspec.msgpack.decode(stored, type=Budget)
        except (msgspec.DecodeError, msgspec.ValidationError):
            log.warning("budget forgotten", source=self._source, reason="not readable")
            return
        # Written while the clock was ahead, it is moved back once, now. Moved back at each look instead, its times
        # would stay as far away as they are until the clock is there again.
        self._budget = rules.at(msgspec.structs.replace(kept, round_at=0), self._now())

    async def turn(self, *, first: bool = True) -> None:
        """Returns when the next call may be made; it is durably counted by then. `first`: this call begins a
        round, and rounds begin at most every `pace.every` seconds."""
        while True:
            while (wait := self._wait(first)) > 0:  # noqa: ASYNC110  it is the clock that is waited for
                await asyncio.sleep(min(wait, _SLICE))
            async with self._line:
                if self._wait(first) <= 0:
                    self._resting = False
                    await self._keep(rules.after_call_started(self._budget, self._now(), first=first))
                    return

    def round_over(self) -> None:
        """All calls of a round were answered."""
        self._resting = True

    @asynccontextmanager
    async def beside(self, *, pages: int, allowed: int = 0) -> AsyncIterator[float]:
        """One call that rounds of `pages` calls lose nothing by: the seconds it may take, or 0.0: not now.

        What it fails with goes through here: only what is meant for this address as a whole shuts the gate.
        """
        async with self._line:
            seconds = self._room(pages, allowed)
            if not seconds:
                yield 0.0
                return
            await self._keep(rules.after_side_call(self._budget, self._now()))
            try:
                yield seconds
            except (Unavailable, Refused) as error:
                if isinstance(error, Refused) or error.reason in rules.FREE_OF_CHARGE:
                    await self._keep(rules.after_free_side_call(self._budget, self._now()))
                if error.reason in _ADDRESS:
                    await self.failed(error)
                raise

    def has_credits_over(self, *, pages: int, allowed: int = 0) -> bool:
        """Whether the month has any for a call beside the rounds."""
        return rules.month_to_spare(self._budget, self._pace, self._now(), pages=pages, allowed=allowed)

    def _room(self, pages: int, allowed: int) -> float:
        """Seconds until the next round, less a margin; 0.0 where the rounds would miss the call."""
        now = self._now()
        if not self._resting or not rules.spare(self._budget, self._pace, now, pages=pages, allowed=allowed):
            return 0.0
        seconds = self._wait(first=True) - _MARGIN
        return seconds if seconds >= min(_SHORTEST, self._pace.every / 2) else 0.0

    async def answered(self, ok: bool) -> None:
        """The call brought an answer (it costs a credit); only a usable one (`ok`) ends the back-off."""
        await self._keep(rules.after_answer(self._budget, self._now(), ok=ok))

    async def failed(self, error: Unavailable | Refused) -> None:
        """The call failed: nobody calls before the gate opens again."""
        asked = error.retry_after if isinstance(error, Unavailable) else None
        after = rules.after_failure(
            self._budget,
            error.reason,
            self._now(),
            retry_after=asked,
            jitter=self._random.random(),
            refused=isinstance(error, Refused),
        )
        await self._keep(after)

    @property
    def calls_this_minute(self) -> int:
        now = self._now()
        return sum(time > now - MINUTE for time in self._budget.minute)

    @property
    def per_minute(self) -> int:
        return self._pace.per_minute

    @property
    def calls_this_month(self) -> int:
        """Credits charged, and the call under way."""
        budget = rules.at(self._budget, self._now())
        return budget.used + budget.pending

    @property
    def per_month(self) -> int | None:
        return self._pace.per_month

    @property
    def next_call_at(self) -> int:
        """When the next round may begin, epoch ms."""
        return rules.next_call_at(self._budget, self._pace, self._now())

    @property
    def closed_reason(self) -> str:
        """The stable word for why nobody may call now; "" when the gate is open."""
        return self._budget.closed_by if self._now() < self._budget.closed_until else ""

    def _wait(self, first: bool) -> float:
        now = self._now()
        return (rules.next_call_at(self._budget, self._pace, now, first=first) - now) / 1000

    def _now(self) -> int:
        """Wall time. When it jumped against the steady clock, what is remembered jumps with it, so waits
        stay as long as they were."""
        wall, steady = self._clock.now(), self._clock.monotonic()
        step = (wall - self._seen[0]) - round((steady - self._seen[1]) * 1000)
        self._seen = (wall, steady)
        if abs(step) > _STEP:
            self._budget = rules.shifted(self._budget, step)
        return wall

    async def _keep(self, budget: Budget) -> None:
        state = msgspec.msgpack.encode(budget)
        await self._store.run(lambda tx: tx.save_budget(self._source, state))
        self._budget = budget
