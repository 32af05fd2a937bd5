"""One channel at work: what was claimed for it, what is in flight, and whether it answers."""

from __future__ import annotations

from typing import Final

import msgspec

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery, wait_after
from cryptowatcher.ports import Channel

HAND: Final = 64
"""Deliveries claimed for a channel at most; the rest of a storm stays in the store."""

TRIP: Final = 5
"""Failures in a row after which a channel is only probed, with one delivery at a time."""

LONGEST_PAUSE: Final = 60_000
"""Milliseconds between probes at most: how soon after an outage alerts leave again."""


class Claimed(msgspec.Struct, frozen=True):
    """A delivery that is leased to us. `sure_until` is a monotonic time: after it another may hold it."""

    delivery: Delivery
    alert: Alert
    sure_until: float

    @property
    def order(self) -> tuple[str, str]:
        """Deliveries of the same order never overlap within a channel: those of one rule for one pair. A rule on
        all pairs would otherwise send a market-wide move one message after another."""
        return self.delivery.rule, self.alert.pair


class Lane:
    """Times are monotonic seconds. Holds no time and asks no clock: the notifier tells it."""

    def __init__(self, channel: Channel, policy: ChannelPolicy) -> None:
        self.channel = channel
        self.policy = policy
        self.waiting: list[Claimed] = []
        self.in_flight: dict[tuple[str, str], str] = {}  # order → delivery id
        self.failures = 0
        self.pauses = 0
        self.resume_at = 0.0
        self.refused = False  # by the last answer
        self.drained = True  # the last claim had room for all that was due

    @property
    def tripped(self) -> bool:
        return self.failures >= TRIP

    def room(self, now: float) -> int:
        """How many more to claim. Nothing while more than half is still there: claims come in groups."""
        if now < self.resume_at:
            return 0
        held = len(self.waiting) + len(self.in_flight)
        if self.tripped:
            return max(1 - held, 0)
        return HAND - held if held <= HAND // 2 else 0

    @property
    def hungry(self) -> bool:
        """The store may have more for it, and half of the last group is gone."""
        return not self.drained and len(self.waiting) + len(self.in_flight) <= HAND // 2

    def next(self, now: float) -> Claimed | None:
        """Takes the first that may be sent now: not beside another of the same order, not while pausing."""
        width = 1 if self.tripped else self.policy.at_once
        if now < self.resume_at or len(self.in_flight) >= width:
            return None
        for index, claimed in enumerate(self.waiting):
            if claimed.order not in self.in_flight:
                del self.waiting[index]
                self.in_flight[claimed.order] = claimed.delivery.id
                return claimed
        return None

    def ended(self, claimed: Claimed) -> None:
        del self.in_flight[claimed.order]

    def drop_stale(self, now: float) -> list[Claimed]:
        """Takes out what could not end before its lease does: another may claim it then."""
        stale = [claimed for claimed in self.waiting if now + self.policy.deadline > claimed.sure_until]
        if stale:
            self.waiting = [claimed for claimed in self.waiting if claimed not in stale]
        return stale

    def give_back(self) -> list[Claimed]:
        """Takes out everything that is not in flight."""
        waiting, self.waiting = self.waiting, []
        return waiting

    def answered(self, *, refused: bool) -> None:
        """The other side is there, whatever it said."""
        self.refused = refused
        self.failures = 0
        self.pauses = 0

    def failed(self, now: float, *, retry_after: float | None, jitter: float) -> None:
        """It did not answer usefully. After TRIP times in a row, or when it says so itself, the channel pauses."""
        self.failures += 1
        retry = self.policy.retry
        if retry_after is not None:
            asked = min(retry_after, retry.longest_retry_after / 1000)
            self.resume_at = max(self.resume_at, now + asked)
        if self.tripped and now >= self.resume_at:
            self.pauses += 1
            probing = msgspec.structs.replace(retry, cap=min(retry.cap, LONGEST_PAUSE))
            pause = wait_after(self.pauses, retry_after=None, jitter=jitter, policy=probing)
            self.resume_at = now + pause / 1000
