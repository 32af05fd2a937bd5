"""Takes deliveries from the store to their channels and writes down what became of them.

What it promises:

- Every delivery is tried until it is sent or given up. What a send led to is written within `SETTLE_WITHIN`;
  a crash before that makes the same delivery, with the same id, go out once more after its lease.
- A channel that hangs or fails holds up no other: each has its own lane, bounds and pauses.
- To one channel, the deliveries of one rule for one pair go out one after another, by (due_at, id), which is
  that of the alerts. One that must be tried again does not hold up those behind it: they overtake.
- When a channel does not take a delivery for long enough, the one that stands in gets it with the full content;
  whichever of the two is sent first is the only one, unless both were in flight.
- No channel gets more than its rate.
- Alerts that go out in one message do so under one id, whatever happens between: which they are is written down
  before. One receipt settles them all, and the channel that stands in gets them in one message too.
- What is to be told until somebody acknowledges it is queued again with what became of it: once, whatever ends.
- What its owner does not want to hear now is held until the rule's active hours, or marked as snoozed; what is in
  flight already goes on. That a rule ends is told in the same way as an alert.
- Channels come, change and go while it runs. What is in flight ends as it began; what waits for one that is gone,
  or that its owner may not use any more, is given up with the reason.
- At most HAND deliveries a channel are in memory, and a bundle, however many wait.
- Time never goes back here: the notifier's clock is the latest of the wall clock, the journal's time and
  its own past moved on by monotonic time. A clock that is set back delays nothing.

An error that a channel must not raise is a bug: `run` ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Final

import structlog

from cryptowatcher.domain.deliveries import (
    ChannelPolicy,
    Delivery,
    give_up,
    is_too_old,
    put_back,
    told_by,
    twin_id,
)
from cryptowatcher.domain.intervals import show_duration
from cryptowatcher.domain.reaching import Heard, Setting
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.attempts import Attempts
from cryptowatcher.pipeline.claiming import ORPHANS_AT_ONCE, Claims, Round, Rows, lease_ms
from cryptowatcher.pipeline.courtesy import ENDINGS_AT_ONCE, ENDINGS_EVERY, tell_of_endings
from cryptowatcher.pipeline.lanes import Claimed, Lane, Row
from cryptowatcher.pipeline.meters import REMOVED, Meters, label_of
from cryptowatcher.pipeline.pictures import Pictures
from cryptowatcher.pipeline.reminding import queue_reminders
from cryptowatcher.pipeline.standing_in import STAND_INS_EVERY, let_others_stand_in, passed_on
from cryptowatcher.pipeline.switchboard import Directory
from cryptowatcher.ports import Channel, Clock, Store, Traces, Tx

log = structlog.get_logger()

SETTLE_WITHIN: Final = 0.1
"""Seconds that a result may wait for others, so that a group of them is one transaction."""

LONGEST_SLEEP: Final = 5.0
"""Seconds after which the store is asked anyway: the wall clock may have jumped, another process written."""

STORE_PAUSE: Final = 1.0
"""Seconds between attempts while the store cannot be written."""

ORPHANS_EVERY: Final = 60.0
"""Seconds between looks for deliveries to channels that are not configured."""


class Notifier:
    """One for a process. `holder` must differ between processes and between starts of the same program.

    channels: those of the configuration; others are put in and dropped while it runs
    directory: who is reached where; None: the built-in owner, through all of these
    policies: how each channel may be used; a channel that is not named there gets the defaults
    grace:    seconds that sends in flight get to end after `run` is cancelled
    pictures: for those that want them, None: nobody draws
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
        directory: Directory | None = None,
        policies: Mapping[str, ChannelPolicy] | None = None,
        grace: float = 10.0,
        meters: Meters | None = None,
        traces: Traces | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        self._store = store
        self._directory = directory or Directory(Setting(channels=tuple(channels)))
        self._lanes = {
            name: Lane(channel, (policies or {}).get(name, ChannelPolicy()), address=name)
            for name, channel in channels.items()
        }
        self._unused: dict[str, Callable[[], None]] = {}  # address → who is told that nobody uses the channel
        self._heard: dict[str, Heard] = {}
        self._number = -1  # of the last change that orphans were looked for after
        self._meters = meters or Meters()
        self._traces = traces
        for name in self._lanes:
            self._meters.expect_channel(name)
        self._clock = clock
        self._random = random
        self._claims = Claims(clock, holder)
        self._grace = grace
        self._ahead = clock.now() - clock.monotonic() * 1000  # notifier's time minus monotonic time, ms
        self._awake = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._sends: set[asyncio.Task[None]] = set()
        self._results: list[Delivery] = []
        self._stand_ins: list[Delivery] = []
        self._in_hand: set[str] = set()
        self._orphans_at = self._endings_at = self._stand_ins_at = clock.monotonic()
        self._stopping = False
        self._attempts = Attempts(
            clock=clock, now=self._now, random=random, meters=self._meters, traces=self._traces, pictures=pictures,
            kindness=lambda owner: self._directory.newest.wishes(owner).kindness,
        )  # fmt: skip

    def wake(self) -> None:
        """There is something new in the outbox. From the loop's own thread."""
        self._awake.set()

    def put_lane(self, address: str, channel: Channel, policy: ChannelPolicy, unused: Callable[[], None]) -> None:
        """From now on this is what stands at that address. `unused`: called when nothing is in flight through it
        any more, and nothing more will be. From the loop's own thread."""
        lane, before = Lane(channel, policy, address=address), self._lanes.get(address)
        if before is not None:
            lane.after(before)
            self.drop_lane(address)
        self._lanes[address], self._unused[address] = lane, unused
        self._meters.expect_channel(label_of(address))
        self.wake()

    def drop_lane(self, address: str) -> None:
        """Nothing more goes there. What is in flight goes on; what was claimed and not tried is put back."""
        lane = self._lanes.pop(address, None)
        if lane is not None:
            self._put_back(lane)
            lane.retire(self._unused.pop(address, lambda: None))
            self._orphans_at = self._clock.monotonic()
            self.wake()

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
            for lane in [*self._lanes.values()]:
                self._start_sends(lane, group)
            await self._sleep(done.next_due)

    # --- the store ---------------------------------------------------------------------------------

    async def _transact_when_possible(self) -> Round:
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

    async def _transact(self) -> Round:
        """One transaction: write results, claim for each lane what it has room for."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        began = self._clock.monotonic()
        lanes = dict(self._lanes)  # others may come and go meanwhile
        for lane in lanes.values():
            self._drop_stale(lane, began)
        rooms = {lane: room for lane in lanes.values() if (room := lane.room(began))}
        results, stand_ins, heard = tuple(self._results), tuple(self._stand_ins), self._heard
        self._heard = {}
        in_hand = self._in_hand.difference(delivery.id for delivery in results)
        with_orphans, with_endings = began >= self._orphans_at, began >= self._endings_at

        def work(tx: Tx) -> Round:
            reach = self._directory.at(tx)
            now = self._write_down(tx, results, stand_ins, heard)
            told = tell_of_endings(tx, reach, wall=self._clock.now(), now=now) if with_endings else 0
            done = self._claims.due(tx, rooms, reach, in_hand=in_hand, now=now)
            if began >= self._stand_ins_at:
                done.looked_upto, done.more_stand_ins = let_others_stand_in(tx, lanes, now=now)
            done.endings = told
            done.orphans = self._claims.orphans(tx, lanes, reach, now=now) if with_orphans else []
            return done

        try:
            done = await self._store.run(work)
        except Unavailable:
            self._heard = heard | self._heard
            raise

        # Only now: had the transaction failed, the results would still be here for the next attempt.
        del self._results[: len(results)]
        del self._stand_ins[: len(stand_ins)]
        self._in_hand.difference_update(delivery.id for delivery in results)
        for name, lane in lanes.items():
            rows = done.claimed.get(name, [])
            lane.drained = lane in rooms and name not in done.full
            lane.looked_upto = done.looked_upto.get(name, lane.looked_upto)
            self._take(lane, rows, began)
            if self._lanes.get(name) is not lane:
                self._put_back(lane)
        if with_orphans:
            self._bury(done.orphans, began)
        if self._number != self._directory.newest.number:
            self._number, self._orphans_at = self._directory.newest.number, began
        if began >= self._stand_ins_at and not done.more_stand_ins:
            self._stand_ins_at = began + STAND_INS_EVERY
        if with_endings and done.endings < ENDINGS_AT_ONCE:
            self._endings_at = began + ENDINGS_EVERY
        return done

    def _write_down(
        self, tx: Tx, results: Sequence[Delivery], stand_ins: Sequence[Delivery], heard: Mapping[str, Heard]
    ) -> int:
        """What became of deliveries, and what follows from it. The outbox's time."""
        tx.settle(results)
        tx.queue(stand_ins)
        now = self._now(tx)
        tx.note_heard(list(heard.values()))
        queue_reminders(tx, results, self._directory.at(tx), now=now)
        return now

    def _now(self, tx: Tx | None = None) -> int:
        """Epoch ms. Deliveries are due by the journal's time, which may be ahead of a wall clock set back."""
        since = self._clock.monotonic() * 1000
        cursor = tx.cursor() if tx is not None else None
        known = max(self._clock.now(), cursor.at if cursor else 0)
        self._ahead = max(self._ahead, known - since)
        return round(self._ahead + since)

    def _take(self, lane: Lane, rows: Rows, began: float) -> None:
        """Puts claimed rows into the lane. A lease counts from before the transaction, to be sure."""
        sure_until = began + lease_ms(lane) / 1000
        now = self._now()
        messages: dict[str, list[Row]] = {}
        too_old: dict[str, list[Delivery]] = {}
        for delivery, alert in sorted(rows, key=lambda row: (row[0].due_at, row[0].id)):
            message = delivery.bundle or delivery.id
            if delivery.id in self._in_hand:  # its lease ran out in our own hands: the first claim still counts
                continue
            self._in_hand.add(delivery.id)
            if is_too_old(delivery, now=now, policy=lane.policy.retry):
                age = show_duration(lane.policy.retry.give_up_after)
                self._meters.given_up(label_of(lane.address), "too_old")
                words = f"not accepted within {age}: {delivery.last_error}"
                too_old.setdefault(message, []).append(give_up(delivery, words, now=now))
            else:
                messages.setdefault(message, []).append((delivery, alert))
        for results in too_old.values():
            self._record_for(lane, results)
        lane.waiting += [Claimed(tuple(together), sure_until) for together in messages.values()]

    def _bury(self, rows: Rows, began: float) -> None:
        """Gives up deliveries whose channel is not there (any more)."""
        for delivery, _ in rows:
            none = f"channel removed: there is no channel {delivery.channel!r} in the configuration"
            reason = self._directory.newest.refused(delivery.owner, delivery.channel) or none
            self._meters.given_up(REMOVED, "channel_removed")
            self._record(give_up(delivery, reason, now=self._now()))
        for name in sorted({delivery.channel for delivery, _ in rows}):
            log.warning("channel_removed", channel=name, given_up=sum(d.channel == name for d, _ in rows))
        if len(rows) < ORPHANS_AT_ONCE:
            self._orphans_at = began + ORPHANS_EVERY

    # --- sending -----------------------------------------------------------------------------------

    def _start_sends(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        now = self._clock.monotonic()
        self._drop_stale(lane, now)
        while not self._stopping and (claimed := lane.next(now)):
            task = group.create_task(self._send(lane, claimed, group))
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)

    def _drop_stale(self, lane: Lane, now: float) -> None:
        for claimed in lane.drop_stale(now):
            self._in_hand.difference_update(claimed.ids)

    async def _send(self, lane: Lane, claimed: Claimed, group: asyncio.TaskGroup) -> None:
        results = await self._attempts.make(lane, claimed)
        if self._clock.monotonic() < lane.resume_at:
            self._put_back(lane)
        lane.ended(claimed)
        said = "" if results[0].state == "sent" else results[0].last_error
        self._heard[lane.address] = Heard(channel=lane.address, at=self._now(), error=said)
        self._record_for(lane, results)
        self._start_sends(lane, group)
        if lane.hungry:
            self.wake()

    def _record_for(self, lane: Lane, results: Sequence[Delivery]) -> None:
        """Keeps what became of one message, and what the channel that stands in is to tell if this one has failed
        for long enough."""
        results, instead = passed_on(lane, self._lanes, results, now=self._now())
        self._stand_ins += instead
        for result in results:
            self._record(result)
        self._spare_others([result for result in results if result.state == "sent"])

    def _spare_others(self, told: Sequence[Delivery]) -> None:
        """What is in hand already of the channels that they stand in for, or that stand in for them."""
        others: dict[str, set[str]] = {}
        for each in told:
            for channel in {each.fallback, each.fallback_of} & self._lanes.keys():
                others.setdefault(channel, set()).add(twin_id(each, channel))
        for channel, ids in others.items():
            for other in self._lanes[channel].take_out(ids, told[0].channel):
                self._record(told_by(other, told[0].channel, now=self._now()))

    def _put_back(self, lane: Lane) -> None:
        for claimed in lane.give_back():
            for delivery, _ in claimed.rows:
                self._record(put_back(delivery))

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
        busy = [lane for lane in self._lanes.values() if lane.waiting or not lane.drained]
        ends += [opens for lane in busy if (opens := lane.opens_at(now)) > now]
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
        results, stand_ins = tuple(self._results), tuple(self._stand_ins)
        if results:
            with suppress(Unavailable):  # then the leases run out, as after a crash
                await self._store.run(lambda tx: self._write_down(tx, results, stand_ins, self._heard))
