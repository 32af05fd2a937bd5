"""Takes deliveries from the store to their channels and writes down what became of them.

What it promises:

- Every delivery is tried until it is sent or given up. What a send led to is written within `SETTLE_WITHIN`;
  a crash before that makes the same delivery, with the same id, go out once more after its lease.
- A channel that hangs or fails holds up no other: each has its own lane, bounds and pauses.
- To one channel, the deliveries of one rule for one pair go out one after another, by (due_at, id), which is
  that of the alerts. One that must be tried again does not hold up those behind it: they overtake.
- What its owner does not want to hear now is held until the rule's active hours, or marked as snoozed; what is in
  flight already goes on. That a rule ends is told in the same way as an alert.
- At most HAND deliveries a channel are in memory, however many wait.
- Time never goes back here: the notifier's clock is the latest of the wall clock, the journal's time and
  its own past moved on by monotonic time. A clock that is set back delays nothing.

An error that a channel must not raise is a bug: `run` ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Final

import structlog

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.deliveries import (
    ChannelPolicy,
    Delivery,
    after_failure,
    after_refusal,
    after_success,
    give_up,
    is_too_old,
    put_back,
)
from cryptowatcher.domain.intervals import show_duration
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.pipeline.courtesy import ENDINGS_AT_ONCE, ENDINGS_EVERY, keep_back, tell_of_endings
from cryptowatcher.pipeline.lanes import Claimed, Lane
from cryptowatcher.pipeline.meters import REMOVED, Meters
from cryptowatcher.ports import Answer, Channel, Clock, Store, Traces, Tx

log = structlog.get_logger()

SETTLE_WITHIN: Final = 0.1
"""Seconds that a result may wait for others, so that a group of them is one transaction."""

LEASE_MARGIN: Final = 30.0
"""Seconds that a lease is longer than the channel's deadline: for waiting in the lane and being settled."""

LONGEST_SLEEP: Final = 5.0
"""Seconds after which the store is asked anyway: the wall clock may have jumped, another process written."""

STORE_PAUSE: Final = 1.0
"""Seconds between attempts while the store cannot be written."""

ORPHANS_EVERY: Final = 60.0
"""Seconds between looks for deliveries to channels that are not configured."""

ORPHANS_AT_ONCE: Final = 256

_Rows = list[tuple[Delivery, Alert]]


class _Round:
    """What one transaction did: rows claimed for each lane, those lanes for which there may be more, orphans, how
    many rules were told to end, and when the next will be due."""

    def __init__(self) -> None:
        self.claimed: dict[str, _Rows] = {}
        self.full: set[str] = set()
        self.orphans: _Rows = []
        self.endings = 0
        self.next_due: int | None = None


class Notifier:
    """One for a process. `holder` must differ between processes and between starts of the same program.

    defaults: channels that are told of the end of a rule that names none; None: all
    policies: how each channel may be used; a channel that is not named there gets the defaults
    grace:    seconds that sends in flight get to end after `run` is cancelled
    meters:   are told what becomes of each send, and so are `traces`
    """

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        *,
        clock: Clock,
        random: Random,
        holder: str,
        defaults: Sequence[str] | None = None,
        policies: Mapping[str, ChannelPolicy] | None = None,
        grace: float = 10.0,
        meters: Meters | None = None,
        traces: Traces | None = None,
    ) -> None:
        policies = policies or {}
        self._store = store
        self._lanes = {
            name: Lane(channel, policies.get(name, ChannelPolicy())) for name, channel in channels.items()
        }
        self._defaults = tuple(channels if defaults is None else defaults)
        self._meters = meters or Meters()
        self._traces = traces
        for name in self._lanes:
            self._meters.expect_channel(name)
        self._clock = clock
        self._random = random
        self._holder = holder
        self._grace = grace
        self._ahead = clock.now() - clock.monotonic() * 1000  # notifier's time minus monotonic time, ms
        self._awake = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._sends: set[asyncio.Task[None]] = set()
        self._results: list[Delivery] = []
        self._in_hand: set[str] = set()
        self._orphans_at = self._endings_at = clock.monotonic()
        self._stopping = False

    def wake(self) -> None:
        """There is something new in the outbox. From the loop's own thread."""
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled: then what is in flight may end for `grace` seconds, what was claimed and not tried
        is put back, and everything known is written. What still hangs then keeps its lease until that ends."""
        async with asyncio.TaskGroup() as group:
            try:
                await self._work(group)
            except asyncio.CancelledError:
                await self._stop()
                raise

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._awake.clear()
            done = await self._transact_when_possible()
            for lane in self._lanes.values():
                self._start_sends(lane, group)
            await self._sleep(done.next_due)

    # --- the store ---------------------------------------------------------------------------------

    async def _transact_when_possible(self) -> _Round:
        """What is in flight goes on while the store cannot be written, and no result is forgotten."""
        failures = 0
        while True:
            try:
                done = await self._transact()
            except Unavailable as error:
                failures += 1
                if failures == 1:
                    log.warning("outbox_unavailable", reason=error.reason, why=str(error))
                await asyncio.sleep(STORE_PAUSE)
            else:
                if failures:
                    log.info("outbox_back", failures=failures)
                return done

    async def _transact(self) -> _Round:
        """One transaction: write results, claim for each lane what it has room for."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        began = self._clock.monotonic()
        for lane in self._lanes.values():
            self._in_hand.difference_update(c.delivery.id for c in lane.drop_stale(began))
        rooms = {name: room for name, lane in self._lanes.items() if (room := lane.room(began))}
        results = tuple(self._results)
        in_hand = self._in_hand.difference(delivery.id for delivery in results)
        with_orphans, with_endings = began >= self._orphans_at, began >= self._endings_at

        def work(tx: Tx) -> _Round:
            if results:
                tx.settle(results)
            now = self._now(tx)
            told = tell_of_endings(tx, self._defaults, wall=self._clock.now(), now=now) if with_endings else 0
            done = self._claim(tx, rooms, in_hand, now)
            done.endings = told
            done.orphans = self._claim_orphans(tx, now) if with_orphans else []
            return done

        done = await self._store.run(work)

        # Only now: had the transaction failed, the results would still be here for the next attempt.
        del self._results[: len(results)]
        self._in_hand.difference_update(delivery.id for delivery in results)
        for name, lane in self._lanes.items():
            rows = done.claimed.get(name, [])
            lane.drained = name in rooms and name not in done.full
            self._take(lane, rows, began)
        if with_orphans:
            self._bury(done.orphans, began)
        if with_endings and done.endings < ENDINGS_AT_ONCE:
            self._endings_at = began + ENDINGS_EVERY
        return done

    def _claim(self, tx: Tx, rooms: Mapping[str, int], in_hand: Collection[str], now: int) -> _Round:
        done = _Round()
        wall = self._clock.now()
        dues: list[int] = []
        for name, room in rooms.items():
            due = tx.next_due(only=(name,))
            if due is not None and due <= now:
                lease = self._lease_ms(self._lanes[name])
                claimed = tx.claim(now=now, holder=self._holder, lease=lease, limit=room, only=(name,))
                rows = keep_back(tx, claimed, in_hand=in_hand, wall=wall, now=now)
                done.claimed[name] = rows
                if len(claimed) < room:
                    due = tx.next_due(only=(name,))
                else:
                    done.full.add(name)
                    due = now if len(rows) < room else None  # more may be due, and there is room again
            if due is not None:
                dues.append(due)
        done.next_due = min(dues, default=None)
        return done

    def _claim_orphans(self, tx: Tx, now: int) -> _Rows:
        lease = round(LEASE_MARGIN * 1000)
        skip = tuple(self._lanes)
        return tx.claim(now=now, holder=self._holder, lease=lease, limit=ORPHANS_AT_ONCE, skip=skip)

    def _now(self, tx: Tx | None = None) -> int:
        """Epoch ms. Deliveries are due by the journal's time, which may be ahead of a wall clock set back."""
        since = self._clock.monotonic() * 1000
        cursor = tx.cursor() if tx is not None else None
        known = max(self._clock.now(), cursor.at if cursor else 0)
        self._ahead = max(self._ahead, known - since)
        return round(self._ahead + since)

    @staticmethod
    def _lease_ms(lane: Lane) -> int:
        return round((lane.policy.deadline + LEASE_MARGIN) * 1000)

    def _take(self, lane: Lane, rows: _Rows, began: float) -> None:
        """Puts claimed rows into the lane. A lease counts from before the transaction, to be sure."""
        sure_until = began + self._lease_ms(lane) / 1000
        now = self._now()
        for delivery, alert in rows:
            if delivery.id in self._in_hand:  # its lease ran out in our own hands: the first claim still counts
                continue
            self._in_hand.add(delivery.id)
            if is_too_old(delivery, now=now, policy=lane.policy.retry):
                age = show_duration(lane.policy.retry.give_up_after)
                self._meters.given_up(lane.channel.name, "too_old")
                self._record(give_up(delivery, f"not accepted within {age}: {delivery.last_error}", now=now))
            else:
                lane.waiting.append(Claimed(delivery, alert, sure_until))

    def _bury(self, rows: _Rows, began: float) -> None:
        """Gives up deliveries whose channel is not configured (any more)."""
        for delivery, _ in rows:
            reason = f"channel removed: there is no channel {delivery.channel!r} in the configuration"
            self._meters.given_up(REMOVED, "channel_removed")
            self._record(give_up(delivery, reason, now=self._now()))
        for name in sorted({delivery.channel for delivery, _ in rows}):
            log.warning("channel_removed", channel=name, given_up=sum(d.channel == name for d, _ in rows))
        if len(rows) < ORPHANS_AT_ONCE:
            self._orphans_at = began + ORPHANS_EVERY

    # --- sending -----------------------------------------------------------------------------------

    def _start_sends(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        now = self._clock.monotonic()
        self._in_hand.difference_update(c.delivery.id for c in lane.drop_stale(now))
        while not self._stopping and (claimed := lane.next(now)):
            task = group.create_task(self._send(lane, claimed, group))
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)

    async def _send(self, lane: Lane, claimed: Claimed, group: asyncio.TaskGroup) -> None:
        began, at = self._clock.monotonic(), self._clock.now()
        result, outcome = await self._attempt(lane, claimed)
        self._count(claimed, result, outcome, self._clock.monotonic() - began)
        self._trace(claimed, result, outcome, at)
        lane.ended(claimed)
        self._record(result)
        self._start_sends(lane, group)
        if lane.hungry:
            self.wake()

    def _count(self, claimed: Claimed, result: Delivery, outcome: str, seconds: float) -> None:
        channel = result.channel
        self._meters.attempted(channel, outcome, seconds)
        if result.state == "given_up":
            self._meters.given_up(channel, outcome)
        waited = claimed.alert.late or result.held_until or result.kind != "alert"  # not for us
        if result.state == "sent" and result.attempts == 1 and not waited:
            self._meters.reached(channel, (result.finished_at - claimed.alert.at) / 1000)

    def _trace(self, claimed: Claimed, result: Delivery, outcome: str, began: int) -> None:
        if self._traces:
            answer = Answer(claimed.alert.source, claimed.alert.received_at)
            said: dict[str, str | int | float] = {
                "channel": result.channel,
                "delivery": result.id,
                "attempt": result.attempts,
            }
            error = "" if outcome == "sent" else outcome
            self._traces.span("deliver", answer, began, self._clock.now(), said, error=error)

    async def _attempt(self, lane: Lane, claimed: Claimed) -> tuple[Delivery, str]:
        """One call: what it makes of the delivery, and `sent` or the stable word for why not."""
        deadline = asyncio.timeout(lane.policy.deadline)
        try:
            async with deadline:
                receipt = await lane.channel.send(claimed.delivery, claimed.alert)
        except Refused as error:
            self._answered(lane, f"{error.reason}: {error}")
            log.warning(
                "delivery_refused", channel=lane.channel.name, delivery=claimed.delivery.id, why=str(error)
            )
            refused = after_refusal(claimed.delivery, f"{error.reason}: {error}", now=self._now())
            return refused, error.reason
        except Unavailable as error:
            return self._failed(lane, claimed, error), error.reason
        except TimeoutError:
            if not deadline.expired():
                raise  # the channel's own, which it should have translated
            words = f"no answer within {lane.policy.deadline:g} s"
            return self._failed(lane, claimed, Unavailable(words, reason="timeout")), "timeout"
        self._answered(lane)
        if claimed.delivery.owner != SYSTEM_OWNER:  # each minute the same
            log.info(
                "delivered", delivery=claimed.delivery.id, attempt=claimed.delivery.attempts + 1, receipt=receipt
            )
        return after_success(claimed.delivery, now=self._now(), receipt=receipt), "sent"

    def _answered(self, lane: Lane, refused: str = "") -> None:
        if lane.tripped:
            log.info("channel_back", channel=lane.channel.name, failures=lane.failures)
        if refused and not lane.refused:
            log.warning("channel_refuses", channel=lane.channel.name, why=refused)
        lane.answered(refused=bool(refused))

    def _failed(self, lane: Lane, claimed: Claimed, error: Unavailable) -> Delivery:
        was_tripped, now = lane.tripped, self._clock.monotonic()
        lane.failed(now, retry_after=error.retry_after, jitter=self._random.random())
        if lane.tripped and not was_tripped:
            log.warning("channel_down", channel=lane.channel.name, reason=error.reason, why=str(error))
        if now < lane.resume_at:
            self._put_back(lane)
        return after_failure(
            claimed.delivery,
            f"{error.reason}: {error}",
            now=self._now(),
            retry_after=error.retry_after,
            jitter=self._random.random(),
            policy=lane.policy.retry,
        )

    def _put_back(self, lane: Lane) -> None:
        for claimed in lane.give_back():
            self._record(put_back(claimed.delivery))

    def _record(self, result: Delivery) -> None:
        """Keeps a result for the next transaction, and sees to it that this comes soon."""
        self._results.append(result)
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(SETTLE_WITHIN, self.wake)

    # --- waiting and ending ------------------------------------------------------------------------

    async def _sleep(self, next_due: int | None) -> None:
        """Until woken, or something is due, or a lane's pause is over; never longer than LONGEST_SLEEP."""
        now = self._clock.monotonic()
        ends = [now + LONGEST_SLEEP, self._orphans_at]
        ends += [lane.resume_at for lane in self._lanes.values() if lane.resume_at > now]
        if next_due is not None:
            ends.append(now + (next_due - self._now()) / 1000)
        try:
            # At least a moment, so that a due time that is never reached could not make this spin.
            async with asyncio.timeout(max(min(ends) - now, 0.001)):
                await self._awake.wait()
        except TimeoutError:
            pass

    async def _stop(self) -> None:
        self._stopping = True
        for lane in self._lanes.values():
            self._put_back(lane)
        if self._sends:
            await asyncio.wait(self._sends, timeout=self._grace)
        if self._alarm is not None:
            self._alarm.cancel()
        results = tuple(self._results)
        if results:
            with suppress(Unavailable):  # then the leases run out, as after a crash
                await self._store.run(lambda tx: tx.settle(results))
