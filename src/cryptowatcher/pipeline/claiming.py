"""What notify claims in one transaction: for each lane what is due and may go out now, and what nobody sends."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.channel_names import owner_in
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.reaching import Reach
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.pipeline.courtesy import keep_back, only_once, only_theirs
from cryptowatcher.pipeline.lanes import Lane
from cryptowatcher.pipeline.reminding import only_unseen
from cryptowatcher.ports import Clock, Tx

LEASE_MARGIN: Final = 30.0
"""Seconds that a lease is longer than the channel's deadline: for waiting in the lane and being settled."""

ORPHANS_AT_ONCE: Final = 256

Rows = list[tuple[Delivery, Alert]]


def lease_ms(lane: Lane) -> int:
    return round((lane.policy.deadline + LEASE_MARGIN) * 1000)


class Round:
    """What one transaction did: rows claimed for each lane, those lanes for which there may be more, orphans, how
    many rules were told to end, and when the next will be due."""

    def __init__(self) -> None:
        self.claimed: dict[str, Rows] = {}
        self.full: set[str] = set()
        self.orphans: Rows = []
        self.endings = 0
        self.next_due: int | None = None
        self.looked_upto: dict[str, tuple[int, str]] = {}
        self.more_stand_ins = False


class Claims:
    """Of one notifier."""

    def __init__(self, clock: Clock, holder: str) -> None:
        self._clock = clock
        self._holder = holder

    def due(self, tx: Tx, rooms: Mapping[Lane, int], reach: Reach, *, in_hand: Collection[str], now: int) -> Round:
        """rooms: how much each lane takes; in_hand: ids whose send may be in flight; now: the outbox's time"""
        done = Round()
        dues: list[int] = []
        # There may be thousands, and nothing waits for most.
        waiting = set(tx.waiting_channels())
        for lane, room in rooms.items():
            name = lane.address
            if name not in waiting:
                continue
            due = tx.next_due(only=(name,))
            if due is not None and due <= now:
                claimed, rows = self._for_lane(tx, lane, room, reach, in_hand=in_hand, now=now)
                done.claimed[name] = rows
                if claimed < room:
                    due = tx.next_due(only=(name,))
                else:
                    done.full.add(name)
                    due = now if len(rows) < room else None  # more may be due, and there is room again
            if due is not None:
                dues.append(due)
        done.next_due = min(dues, default=None)
        return done

    def _for_lane(
        self, tx: Tx, lane: Lane, room: int, reach: Reach, *, in_hand: Collection[str], now: int
    ) -> tuple[int, Rows]:
        """How many were claimed, and those that may go out."""
        policy, only = lane.policy, (lane.address,)
        if policy.bundle:
            late = now - policy.retry.late_after if policy.digest_late else 0
            least = reach.wishes(owner_in(lane.address) or LOCAL_OWNER).group_from
            tx.form_bundles(lane.address, now=now, least=least, late=late)
        claimed = tx.claim(now=now, holder=self._holder, lease=lease_ms(lane), limit=room, only=only)
        rows = only_theirs(tx, claimed, reach=reach, in_hand=in_hand, now=now)
        rows = only_unseen(tx, rows, in_hand=in_hand, now=now)
        rows = only_once(tx, rows, in_hand=in_hand, reach=reach, now=now)
        wall = self._clock.now()
        return len(claimed), keep_back(
            tx, rows, hours=policy.quiet, reach=reach, in_hand=in_hand, wall=wall, now=now
        )

    def orphans(self, tx: Tx, lanes: Collection[str], reach: Reach, *, now: int) -> Rows:
        """What waits for channels that are not there (any more). One that is only about to be opened is."""
        lease = round(LEASE_MARGIN * 1000)
        skip = {*lanes, *(each.address for each in reach.stored if reach.may_have(each))}
        return tx.claim(now=now, holder=self._holder, lease=lease, limit=ORPHANS_AT_ONCE, skip=skip)
