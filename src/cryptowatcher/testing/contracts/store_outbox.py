"""Claiming and settling deliveries."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cryptowatcher.domain.deliveries import after_success
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing.contracts.store_case import StoreCase, sample_alert, sample_delivery


class OutboxContract(StoreCase):
    """Claiming and settling deliveries."""

    def test_due_deliveries_are_claimed_in_order_and_only_once(self) -> None:
        def job(tx: Tx) -> None:
            due = {3: 100, 1: 100, 2: 90, 4: 101}
            alerts = {number: sample_alert(number) for number in due}
            deliveries = [sample_delivery(alerts[number], due_at=at) for number, at in due.items()]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=list(alerts.values()), deliveries=deliveries))
            claimed = tx.claim(now=100, holder="h", lease=10, limit=2)
            assert [alert for _, alert in claimed] == [alerts[2], alerts[1]]
            assert {(d.state, d.holder, d.leased_until, d.attempts) for d, _ in claimed} == {
                ("leased", "h", 110, 0)
            }
            assert claimed[0][0] in tx.deliveries("local", limit=9)
            assert [alert for _, alert in tx.claim(now=100, holder="i", lease=10, limit=9)] == [alerts[3]]
            assert tx.claim(now=100, holder="j", lease=10, limit=9) == []

        self.in_store(job)

    def test_a_lease_that_has_run_out_is_claimed_again(self) -> None:
        def job(tx: Tx) -> None:
            self.queue(tx, 1)
            tx.claim(now=100, holder="dead", lease=10, limit=9)
            assert tx.claim(now=109, holder="h", lease=10, limit=9) == []
            (again,) = tx.claim(now=110, holder="h", lease=10, limit=9)
            assert (again[0].holder, again[0].leased_until) == ("h", 120)

        self.in_store(job)

    def test_a_delivery_whose_alert_is_gone_is_given_up_and_holds_up_nothing(self) -> None:
        def job(tx: Tx) -> None:
            alerts = [sample_alert(number) for number in range(4)]
            rows = [sample_delivery(alert) for alert in alerts]
            bundled = [msgspec.structs.replace(row, bundle="b") for row in rows[2:]]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[alerts[1], alerts[3]]))
            tx.queue([*rows[:2], *bundled])
            claimed = tx.claim(now=100, holder="h", lease=9, limit=9)
            assert [row.id for row, _ in claimed] == [rows[1].id, rows[3].id]
            lost = tx.deliveries("local", limit=9, state="given_up")
            assert [row.id for row in lost] == [rows[2].id, rows[0].id]
            assert {(row.last_error, row.finished_at, row.attempts) for row in lost} == {
                ("its alert is not in the store any more", 100, 0)
            }
            assert tx.next_due() == 109

        self.in_store(job)

    def test_claims_keep_to_the_channels_asked_for(self) -> None:
        def job(tx: Tx) -> None:
            alert = sample_alert(1)
            deliveries = [sample_delivery(alert, name) for name in ("a", "b", "c")]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[alert], deliveries=deliveries))
            assert tx.waiting_channels() == ["a", "b", "c"]
            assert tx.next_due(only=["z"]) is None
            assert tx.next_due(skip=["a", "b", "c"]) is None
            assert tx.next_due(only=["a", "b"], skip=["a"]) == 100

            def channels(**which: Any) -> list[str]:
                return [d.channel for d, _ in tx.claim(now=100, holder="h", lease=9, limit=9, **which)]

            assert channels(only=["z"]) == []
            assert channels(only=["a", "b"], skip=["b"]) == ["a"]
            assert channels(skip=["c"]) == ["b"]
            assert channels() == ["c"]

        self.in_store(job)

    @pytest.mark.parametrize(
        ("how", "why"), [("paused", "the rule is paused"), ("removed", "the rule was removed")]
    )
    def test_deliveries_of_a_stopped_rule_are_cancelled_instead(self, how: str, why: str) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            stopped = tx.save_rule("local", spec, head=0, now=0).id
            alerts = [sample_alert(1, rule=stopped), sample_alert(2, rule="other")]
            deliveries = [sample_delivery(alert) for alert in alerts]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=deliveries))
            if how == "paused":
                tx.save_rule("local", msgspec.structs.replace(spec, paused=True), head=0, now=0)
            else:
                tx.remove_rule("local", "drops", head=0, now=0)
            assert [alert for _, alert in tx.claim(now=100, holder="h", lease=9, limit=1)] == alerts[1:]
            (cancelled,) = tx.deliveries("local", limit=9, alert=alerts[0].id)
            assert (cancelled.state, cancelled.finished_at, cancelled.receipt) == ("cancelled", 100, why)

        self.in_store(job)

    def test_settling_replaces_what_is_still_leased_to_the_holder(self) -> None:
        def job(tx: Tx) -> None:
            self.queue(tx, 2)
            first, second = (delivery for delivery, _ in tx.claim(now=100, holder="h", lease=10, limit=9))
            sent = after_success(first, now=105, receipt="200 OK")
            tx.settle([sent])
            assert sent in tx.deliveries("local", limit=9)
            tx.claim(now=110, holder="other", lease=10, limit=9)
            tx.settle([after_success(second, now=111, receipt="too late")])
            (row,) = tx.deliveries("local", limit=9, alert=second.alert)
            assert (row.state, row.holder, row.receipt) == ("leased", "other", "")
            tx.settle([msgspec.structs.replace(sent, receipt="twice")])
            assert tx.deliveries("local", limit=9, alert=first.alert) == [sent]

        self.in_store(job)

    def test_what_other_sides_say_is_storable(self) -> None:
        def job(tx: Tx) -> None:
            self.queue(tx, 1)
            ((delivery, _),) = tx.claim(now=100, holder="h", lease=10, limit=9)
            tx.settle([after_success(delivery, now=105, receipt="nul \x00 half \ud800 ☂")])
            (stored,) = tx.deliveries("local", limit=9)
            assert stored.receipt.startswith("nul ")
            assert stored.receipt.endswith(" ☂")

        self.in_store(job)

    def test_next_due_is_when_the_earliest_unfinished_one_is_due(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.next_due() is None
            self.queue(tx, 2, due_at=(100, 200))
            assert tx.next_due() == 100
            ((delivery, _),) = tx.claim(now=150, holder="h", lease=70, limit=9)
            assert tx.next_due() == 200
            tx.claim(now=200, holder="h", lease=70, limit=9)
            assert tx.next_due() == 220
            tx.settle([after_success(delivery, now=205, receipt="")])
            assert tx.next_due() == 270

        self.in_store(job)

    def test_the_outbox_is_counted_by_state(self) -> None:
        def job(tx: Tx) -> None:
            self.queue(tx, 3)
            ((delivery, _),) = tx.claim(now=100, holder="h", lease=10, limit=1)
            tx.settle([after_success(delivery, now=105, receipt="")])
            counts = tx.outbox_counts()
            assert {state: n for state, n in counts.items() if n} == {"queued": 2, "sent": 1}

        self.in_store(job)
