"""Which deliveries go out in one message, and that they stay together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from cryptowatcher.domain.deliveries import (
    BUNDLE_MOST,
    UNKNOWN,
    Delivery,
    RetryPolicy,
    after_failure,
    after_success,
    hold,
    put_back,
)
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing.contracts.store_case import StoreCase, sample_alert, sample_delivery


class BundleContract(StoreCase):
    """Which deliveries go out in one message, and that they stay together."""

    _made = 0

    def put(self, tx: Tx, count: int, *, channel: str = "ops", owner: str = "local", **said: Any) -> None:
        """New deliveries, due at 100 and made at 50 unless something else is said."""
        first = BundleContract._made
        BundleContract._made += count
        alerts = [sample_alert(number, owner=owner) for number in range(first, first + count)]
        deliveries = [msgspec.structs.replace(sample_delivery(alert, channel), **said) for alert in alerts]
        before = tx.cursor()
        self.commit(
            tx, Step(cursor=Cursor("j1", before.seq + 1 if before else 1, 2), alerts=alerts, deliveries=deliveries)
        )

    def form(self, tx: Tx, *, channel: str = "ops", now: int = 100, least: int = 5, late: int = 0) -> None:
        tx.form_bundles(channel, now=now, least=least, late=late)

    def claimed(self, tx: Tx, *, now: int = 100, limit: int = 5_000, holder: str = "h") -> list[Delivery]:
        return [delivery for delivery, _ in tx.claim(now=now, holder=holder, lease=10, limit=limit)]

    def sizes(self, deliveries: Sequence[Delivery]) -> list[int]:
        """Of the bundles, and after them how many go out alone."""
        by_name = Counter(delivery.bundle for delivery in deliveries)
        alone = by_name.pop("", 0)
        return [*sorted(by_name.values()), alone]

    def test_what_came_at_once_is_one_message_from_so_many_on(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 37)
            self.put(tx, 4, created_at=51)
            self.put(tx, 5, created_at=52)
            self.form(tx)
            found = self.claimed(tx)
            assert self.sizes(found) == [5, 37, 4]
            assert {each.bundle for each in tx.deliveries("local", limit=99)} == {each.bundle for each in found}

        self.in_store(job)

    def test_only_those_of_one_owner_and_channel_and_never_urgent_ones_or_notices_or_what_is_not_due(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 4)
            self.put(tx, 4, owner="other")
            self.put(tx, 4, channel="mail")
            self.put(tx, 9, urgent=True)
            self.put(tx, 9, kind="expiry")
            self.put(tx, 9, due_at=101)
            self.form(tx)
            assert self.sizes(self.claimed(tx, now=200)) == [39]

        self.in_store(job)

    def test_alerts_reminders_and_what_is_over_are_messages_of_their_own(self) -> None:
        def job(tx: Tx) -> None:
            for kind in ("alert", "reminder", "resolved"):
                self.put(tx, 5, kind=kind)
                self.put(tx, 2, kind=kind, held_until=90, due_at=90)
                self.put(tx, 3, kind=kind, created_at=10)
            self.form(tx, late=10)
            found = self.claimed(tx)
            assert self.sizes(found) == [2, 2, 2, 3, 3, 3, 5, 5, 5, 0]
            assert len({(each.bundle, each.kind) for each in found}) == 9

        self.in_store(job)

    def test_held_ones_that_are_due_are_one_message_whatever_time_they_were_held_until(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 1, held_until=90, due_at=90, created_at=1)
            self.put(tx, 1, held_until=100, created_at=2)
            self.put(tx, 1, held_until=110, due_at=110, created_at=3)
            self.put(tx, 1)
            self.form(tx)
            assert self.sizes(self.claimed(tx, now=200)) == [2, 2]

        self.in_store(job)

    def test_late_ones_are_one_message_where_that_is_asked_for(self) -> None:
        def job(tx: Tx) -> None:
            for created_at in (10, 20, 30, 40):
                self.put(tx, 1, created_at=created_at)
            self.form(tx)
            assert self.sizes(self.claimed(tx, limit=0)) == [0]
            self.form(tx, late=30)
            assert self.sizes(self.claimed(tx)) == [3, 1]

        self.in_store(job)

    def test_more_than_go_into_one_message_are_several(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 2 * BUNDLE_MOST + 4)
            found: list[Delivery] = []
            for _ in range(3):
                self.form(tx)
                found += self.claimed(tx, limit=64)
            assert self.sizes(found) == [BUNDLE_MOST, BUNDLE_MOST, 4]

        self.in_store(job)

    def test_what_comes_while_a_large_one_is_on_its_way_goes_together_too(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, BUNDLE_MOST)
            self.form(tx)
            self.claimed(tx, limit=1)
            self.put(tx, 6, created_at=60)
            self.form(tx)
            assert self.sizes(self.claimed(tx, limit=64)) == [6, 0]

        self.in_store(job)

    def test_a_bundle_is_claimed_whole_and_stays_what_it_is(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 7)
            self.form(tx)
            first = self.claimed(tx, limit=1)
            assert self.sizes(first) == [7, 0]
            tx.settle([put_back(each) for each in first])
            self.put(tx, 6)
            self.form(tx)
            both = self.claimed(tx, limit=9)
            assert self.sizes(both) == [6, 7, 0]
            assert {each.id for each in both if each.bundle == first[0].bundle} == {each.id for each in first}

        self.in_store(job)

    def test_a_bundle_whose_holder_has_ended_is_claimed_whole_again(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 7)
            self.form(tx)
            first = self.claimed(tx)
            assert self.claimed(tx, now=109) == []
            again = self.claimed(tx, now=110, limit=2, holder="i")
            assert [(each.id, each.bundle) for each in again] == [(each.id, each.bundle) for each in first]
            assert {each.last_error for each in first} == {""}
            assert {each.last_error for each in again} == {UNKNOWN}
            assert {each.last_error for each in tx.deliveries("local", limit=9)} == {UNKNOWN}

        self.in_store(job)

    def test_one_that_may_have_arrived_alone_joins_no_others(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 5)
            self.claimed(tx)  # and its holder ends
            lost = self.claimed(tx, now=110, holder="i")
            tx.settle([hold(each, until=120, why="night", now=110) for each in lost])
            self.put(tx, 5, held_until=115, due_at=115)
            self.form(tx, now=120)
            assert self.sizes(self.claimed(tx, now=120)) == [5, 5]

        self.in_store(job)

    def test_one_that_was_tried_joins_no_others(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 5)
            policy = RetryPolicy(first=1, cap=1)
            for each in self.claimed(tx):
                tx.settle([after_failure(each, "no", now=100, retry_after=None, jitter=0.0, policy=policy)])
            self.put(tx, 5)
            self.form(tx, now=110)
            assert self.sizes(self.claimed(tx, now=110)) == [5, 5]

        self.in_store(job)

    def test_what_is_finished_leaves_the_rest_of_its_bundle_claimable(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 7)
            self.form(tx)
            first, *others = self.claimed(tx)
            tx.settle([after_success(first, now=101, receipt=""), *(put_back(each) for each in others)])
            assert self.sizes(self.claimed(tx)) == [6, 0]

        self.in_store(job)

    def test_a_bundle_of_which_another_holds_a_part_waits_for_it(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 7)
            self.form(tx)
            tx.settle([put_back(each) for each in self.claimed(tx)[1:]])
            assert self.claimed(tx) == []
            assert self.sizes(self.claimed(tx, now=110)) == [7, 0]

        self.in_store(job)

    def test_bundles_that_wait_too_long_are_found_whole(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 7)
            self.form(tx)
            self.put(tx, 3, created_at=49)
            found = tx.overdue("ops", since=50, now=100, after=(0, ""), limit=2)
            assert self.sizes(found) == [7, 0]
            tx.note_fallback([each.id for each in found], "mail")
            assert self.sizes(tx.overdue("ops", since=50, now=100, after=(0, ""), limit=9)) == [3]

        self.in_store(job)

    def test_what_is_sent_again_by_hand_leaves_its_bundle(self) -> None:
        def job(tx: Tx) -> None:
            self.put(tx, 7)
            self.form(tx)
            tx.settle(
                [msgspec.structs.replace(each, state="given_up", finished_at=101) for each in self.claimed(tx)]
            )
            one = tx.deliveries("local", limit=1)[0].id
            assert tx.send_again("local", ids=[one], now=200, limit=9) == 1
            self.form(tx, now=200)
            assert [(each.id, each.bundle, each.last_error) for each in self.claimed(tx, now=200)] == [
                (one, "", "")
            ]

        self.in_store(job)
