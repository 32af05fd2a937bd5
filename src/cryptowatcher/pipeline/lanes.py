"""One channel at work: what was claimed for it, what is in flight, how much it may send, whether it answers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery, wait_after
from cryptowatcher.domain.messages import Wording, wording_of
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.domain.rates import Bucket
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Channel

HAND: Final = 64
"""Deliveries claimed for a channel at most, but that a bundle is claimed whole; the rest of a storm stays in the
store."""

TRIP: Final = 5
"""Failures in a row after which a channel is only probed, with one delivery at a time."""

LONGEST_PAUSE: Final = 60_000
"""Milliseconds between probes at most: how soon after an outage alerts leave again."""

LOOK_AHEAD: Final = 5.0
"""Seconds: no more is claimed for a channel with a rate than it may send in that time. The rest may be claimed by
another, and it is judged when it goes whether it still should."""

Row = tuple[Delivery, Alert]


class Claimed(msgspec.Struct, frozen=True):
    """What is leased to us and goes out in one message: a delivery, or those of a bundle. `sure_until` is a
    monotonic time: after it another may hold them."""

    rows: tuple[Row, ...]
    sure_until: float

    @property
    def orders(self) -> frozenset[tuple[str, str]]:
        """Messages that share one of these never overlap within a channel: those of one rule for one pair. A rule
        on all pairs would otherwise send a market-wide move one message after another."""
        return frozenset((delivery.rule, alert.pair) for delivery, alert in self.rows)

    @property
    def delivery(self) -> Delivery:
        """The first."""
        return self.rows[0][0]

    @property
    def alert(self) -> Alert:
        """That of the first."""
        return self.rows[0][1]

    @property
    def ids(self) -> list[str]:
        """Of its deliveries."""
        return [delivery.id for delivery, _ in self.rows]


class Lane:
    """Times are monotonic seconds. Holds no time and asks no clock: the notifier tells it."""

    def __init__(self, channel: Channel, policy: ChannelPolicy, *, address: str = "") -> None:
        """address: where it stands; "": at its name"""
        self.channel = channel
        self.policy = policy
        self.address = address or channel.name
        self.waiting: list[Claimed] = []
        self.in_flight: set[tuple[str, str]] = set()  # orders
        self.sending = 0
        self.failures = 0
        self.pauses = 0
        self.resume_at = 0.0
        self.refused = False  # by the last answer
        self.drained = True  # the last claim had room for all that was due
        self.looked_upto = (0, "")  # (due_at, id) before which everything that waits has its stand-in
        self._bucket = Bucket(policy.rate) if policy.rate else None
        self._wordings: dict[Kindness, Wording] = {}
        self._unused: Callable[[], None] | None = None

    def after(self, before: Lane) -> None:
        """It stands where that one stood: what is in flight there is in the way here too, and what has gone out
        counts."""
        self.in_flight = before.in_flight
        if self.policy.rate == before.policy.rate:
            self._bucket = before._bucket

    def retire(self, unused: Callable[[], None]) -> None:
        """Nothing more is given to it. `unused`: called when nothing is in flight any more."""
        self._unused = unused
        if not self.sending:
            unused()

    def wording(self, kindness: Kindness) -> Wording:
        """How messages to somebody who wants it so are written."""
        if kindness not in self._wordings:
            self._wordings[kindness] = self._worded(kindness)
        return self._wordings[kindness]

    def _worded(self, kindness: Kindness) -> Wording:
        try:
            return wording_of(self.policy, kindness)
        except ConfigError:  # the machine has lost its time zones since
            return wording_of(self.policy, msgspec.structs.replace(kindness, time_zone="UTC"))

    @property
    def tripped(self) -> bool:
        return self.failures >= TRIP

    def room(self, now: float) -> int:
        """How many more to claim. Nothing while more than half is still there: claims come in groups."""
        if now < self.resume_at:
            return 0
        held = self._held
        if self.tripped:
            return max(1 - held, 0)
        most = HAND if self._bucket is None else min(HAND, self._bucket.soon(now, LOOK_AHEAD))
        return most - held if held <= most // 2 else 0

    @property
    def hungry(self) -> bool:
        """The store may have more for it, and half of the last group is gone."""
        return not self.drained and self._held <= HAND // 2

    @property
    def _held(self) -> int:
        """Deliveries that wait in hand, and messages in flight."""
        return sum(len(claimed.rows) for claimed in self.waiting) + self.sending

    def opens_at(self, now: float) -> float:
        """From when on it may send; not later than `now` where it may."""
        return max(self.resume_at, now + (self._bucket.wait(now) if self._bucket else 0.0))

    def next(self, now: float) -> Claimed | None:
        """Takes the first that may be sent now: not beside another of the same order, not while pausing, not
        beyond the rate."""
        width = 1 if self.tripped else self.policy.at_once
        if self.opens_at(now) > now or self.sending >= width:
            return None
        for index, claimed in enumerate(self.waiting):
            if self.in_flight.isdisjoint(claimed.orders):
                del self.waiting[index]
                self.in_flight |= claimed.orders
                self.sending += 1
                if self._bucket:
                    self._bucket.take(now)
                return claimed
        return None

    def ended(self, claimed: Claimed) -> None:
        self.in_flight -= claimed.orders
        self.sending -= 1
        if self._unused is not None and not self.sending:
            self._unused()

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

    def take_out(self, ids: Collection[str], told: str) -> list[Delivery]:
        """Those of these that wait to be sent, in messages that tell of nothing else, and that stand in for the
        channel that `told` or have it standing in, so that they are not. Those that the rule asked for stay."""
        out = [
            claimed
            for claimed in self.waiting
            if all(each.id in ids and told in (each.fallback, each.fallback_of) for each, _ in claimed.rows)
        ]
        self.waiting = [claimed for claimed in self.waiting if claimed not in out]
        return [delivery for claimed in out for delivery, _ in claimed.rows]

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
