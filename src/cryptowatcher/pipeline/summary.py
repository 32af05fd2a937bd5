"""The summary of a day or a week: formed once its stretch is over and watched to its end, and told like an alert.

The alert row, its deliveries and the mark up to which the owner was told are one transaction, and the id depends
on the owner and the end of the stretch alone: whenever this dies, a summary is told once. One whose time came
while nothing was running is told when there is something running again, if it is not too old by then. A plan that
is new tells nothing of the time before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from cryptowatcher.domain.expiry import notice_deliveries
from cryptowatcher.domain.summary import TOO_OLD, Mark, Plan, Summary, summary_notice
from cryptowatcher.pipeline.switchboard import Directory
from cryptowatcher.ports import Clock, Store, Tx
from cryptowatcher.summarizing import summarize

LOOK_EVERY: Final = 60.0
"""Seconds between looks at the clock, which may have jumped."""

WATCHED_WITHIN: Final = 1.0
"""Seconds between looks whether watch has come to the end of the stretch."""

log = structlog.get_logger()


class Summarizer:
    """Tells one owner what happened, by a plan."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        plan: Plan,
        *,
        owner: str,
        channels: Sequence[str],
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """channels: addresses where it goes. `told`: called after it was queued."""
        self._store = store
        self._clock = clock
        self._plan = plan
        self._owner = owner
        self._channels = tuple(channels)
        self._told = told
        self._upto = 0  # as the mark was when it was seen last

    async def look(self) -> bool:
        """Tell what is to be told now. False while that is not watched yet."""
        now = self._clock.now()
        end = self._plan.times.last(now)
        if not end <= self._upto <= now:
            self._upto = (await self._store.run(lambda tx: self._mark(tx, now))).upto
        if end <= self._upto:
            return True
        if now - end >= TOO_OLD:
            log.info("summary_too_old", end=end)
            await self._store.run(lambda tx: tx.mark_summary(self._owner, Mark(self._plan.words, end)))
            return True
        # Only then all alerts of the stretch are there.
        if await self._store.run(_watched_upto) < end:
            return False
        summary = await summarize(self._store, self._owner, self._plan.begin(end), end)
        if await self._store.run(lambda tx: self._tell(tx, summary)):
            log.info("summary", end=end, alerts=summary.alerts)
            self._told()
        return True

    def _mark(self, tx: Tx, now: int) -> Mark:
        """That of this plan. It begins now where there was none, where it was another plan's, and where the clock
        was ahead when it was set."""
        mark = tx.summary_mark(self._owner)
        if mark is None or mark.plan != self._plan.words or mark.upto > now:
            mark = Mark(self._plan.words, now)
            tx.mark_summary(self._owner, mark)
        return mark

    def _tell(self, tx: Tx, summary: Summary) -> bool:
        mark = tx.summary_mark(self._owner)
        if mark is None or mark.upto >= summary.end:  # another was faster
            return False
        now = max(self._clock.now(), _watched_upto(tx))
        notice = summary_notice(summary, self._plan, owner=self._owner, now=now)
        tx.tell_summary(notice, notice_deliveries(notice, self._channels, now=now, kind="summary"))
        tx.mark_summary(self._owner, Mark(self._plan.words, summary.end))
        return True


class Summaries:
    """Tells each owner, by the plan that they have."""

    def __init__(
        self, store: Store, clock: Clock, directory: Directory, *, told: Callable[[], None] = lambda: None
    ) -> None:
        """`told`: called after one was queued."""
        self._store = store
        self._clock = clock
        self._directory = directory
        self._told = told
        self._changed = asyncio.Event()
        self._known: dict[str, tuple[Plan, tuple[str, ...], Summarizer]] = {}

    def wake(self) -> None:
        """Somebody's plan may be another one. From the loop's own thread."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            plans = (await self._store.run(self._directory.at)).plans()
            self._known = {owner: self._of(owner, plan, to) for owner, (plan, to) in plans.items()}
            waits = [not await summarizer.look() for _, _, summarizer in self._known.values()]
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCHED_WITHIN if any(waits) else self._until_next()):
                    await self._changed.wait()

    def _of(self, owner: str, plan: Plan, to: tuple[str, ...]) -> tuple[Plan, tuple[str, ...], Summarizer]:
        """The one before, where nothing has changed."""
        before = self._known.get(owner)
        if before is not None and before[:2] == (plan, to):
            return before
        new = Summarizer(self._store, self._clock, plan, owner=owner, channels=to, told=self._told)
        return plan, to, new

    def _until_next(self) -> float:
        now = self._clock.now()
        dues = [(plan.times.next(now) - now) / 1000 for plan, _, _ in self._known.values()]
        return min([LOOK_EVERY, *dues])


def _watched_upto(tx: Tx) -> int:
    cursor = tx.cursor()
    return cursor.at if cursor else 0
