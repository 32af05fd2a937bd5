"""What surrounds a rule's firing: silence, active hours, the end of a rule, and what its alerts carry."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert, Part
from cryptowatcher.domain.deliveries import hold
from cryptowatcher.domain.expiry import NOTICE_BEFORE, expiry_notice, notice_deliveries
from cryptowatcher.domain.hours import parse_moment
from cryptowatcher.domain.quiet import Quiet
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing.contracts.store_case import HOUR, StoreCase, sample_alert, sample_delivery, sample_price

SPEC = RuleSpec(name="drops", pairs=("all",), when="price > 1", expires="2027-01-31", active="08:00-22:00")
REMINDING: dict[str, Any] = {"remind": "10m", "escalate": ("phone", "boss"), "channels": ("ops",)}
END = parse_moment("2027-01-31")
LONG_BEFORE = END - 90 * 24 * HOUR
FOR_EVER = 2**60


class LifeContract(StoreCase):
    """What surrounds a rule's firing."""

    def test_a_rule_is_silent_until_it_is_woken_or_removed(self) -> None:
        def job(tx: Tx) -> None:
            rule, other = (tx.save_rule("local", _spec(name=name), head=0, now=0).id for name in ("a", "b"))
            assert tx.snoozes("local") == {}
            tx.snooze("local", rule, 100)
            tx.snooze("local", rule, 200)
            tx.snooze("local", other, 300)
            assert tx.snoozes("local") == {rule: 200, other: 300}
            assert tx.snoozes("another") == {}
            assert not tx.wake("another", rule)
            assert tx.wake("local", rule)
            assert not tx.wake("local", rule)
            tx.remove_rule("local", "b", head=0, now=0)
            assert tx.snoozes("local") == {}

        self.in_store(job)

    def test_when_rules_may_speak_is_told_of_those_that_are_there(self) -> None:
        def job(tx: Tx) -> None:
            plain = tx.save_rule(
                "local", RuleSpec(name="plain", pairs=("all",), when="price > 1"), head=0, now=0
            ).id
            rule = tx.save_rule("local", SPEC, head=0, now=0).id
            nagging = tx.save_rule("local", _spec(name="nagging", **REMINDING), head=0, now=0)
            assert tx.rule("local", "nagging") == nagging
            gone = tx.save_rule("local", _spec(name="gone"), head=0, now=0).id
            tx.remove_rule("local", "gone", head=0, now=0)
            tx.snooze("local", rule, 7)
            assert tx.quiet([plain, rule, nagging.id, gone, "never"]) == {
                plain: Quiet(),
                nagging.id: Quiet(active="08:00-22:00", expires="2027-01-31", **REMINDING),
                rule: Quiet(active="08:00-22:00", expires="2027-01-31", snoozed_until=7),
            }
            assert tx.quiet([]) == {}

        self.in_store(job)

    def test_the_end_of_a_rule_is_told_a_day_before_and_when_it_comes(self) -> None:
        def job(tx: Tx) -> None:
            rule = tx.save_rule("local", SPEC, head=0, now=LONG_BEFORE)
            assert tx.ending(END - NOTICE_BEFORE - 1, 9) == []
            assert tx.ending(END - NOTICE_BEFORE, 9) == [rule]
            assert tx.ending(END - NOTICE_BEFORE, 0) == []
            _tell(tx, rule, END - NOTICE_BEFORE, next_at=END)
            assert tx.ending(END - 1, 9) == []
            assert tx.ending(END, 9) == [rule]
            _tell(tx, rule, END, next_at=0)
            assert tx.ending(FOR_EVER, 9) == []
            told = tx.deliveries("local", limit=9)
            assert [(each.kind, each.state, each.rule) for each in told] == [("expiry", "queued", rule.id)] * 2

        self.in_store(job)

    @pytest.mark.parametrize("left", [NOTICE_BEFORE, 1])
    def test_with_a_day_left_or_less_only_the_end_is_told(self, left: int) -> None:
        def job(tx: Tx) -> None:
            rule = tx.save_rule("local", SPEC, head=0, now=END - left)
            assert tx.ending(END - 1, 9) == []
            assert tx.ending(END, 9) == [rule]

        self.in_store(job)

    def test_who_sets_an_end_that_has_passed_is_told_nothing(self) -> None:
        def job(tx: Tx) -> None:
            tx.save_rule("local", SPEC, head=0, now=END)
            assert tx.ending(FOR_EVER, 9) == []

        self.in_store(job)

    def test_another_end_is_told_again_and_other_changes_are_not(self) -> None:
        def job(tx: Tx) -> None:
            rule = tx.save_rule("local", SPEC, head=0, now=LONG_BEFORE)
            _tell(tx, rule, END, next_at=0)
            changed = msgspec.structs.replace(SPEC, cooldown="5m")
            tx.save_rule("local", changed, head=0, now=LONG_BEFORE)
            assert tx.ending(FOR_EVER, 9) == []
            later = msgspec.structs.replace(changed, expires="2027-03-01")
            renewed = tx.save_rule("local", later, head=0, now=END)
            assert (renewed.version, tx.ending(FOR_EVER, 9)) == (rule.version, [renewed])
            never = msgspec.structs.replace(changed, expires="")
            tx.save_rule("local", never, head=0, now=END)
            assert tx.ending(FOR_EVER, 9) == []

        self.in_store(job)

    def test_the_end_of_a_paused_or_removed_rule_is_not_told(self) -> None:
        def job(tx: Tx) -> None:
            tx.save_rule("local", SPEC, head=0, now=LONG_BEFORE)
            tx.save_rule("local", msgspec.structs.replace(SPEC, paused=True), head=0, now=LONG_BEFORE)
            assert tx.ending(FOR_EVER, 9) == []
            resumed = tx.save_rule("local", SPEC, head=0, now=LONG_BEFORE)
            assert tx.ending(FOR_EVER, 9) == [resumed]
            tx.remove_rule("local", "drops", head=0, now=LONG_BEFORE)
            assert tx.ending(FOR_EVER, 9) == []

        self.in_store(job)

    def test_a_notice_goes_the_way_of_an_alert_and_is_none(self) -> None:
        def job(tx: Tx) -> None:
            rule = tx.save_rule("local", SPEC, head=0, now=LONG_BEFORE)
            notice = _tell(tx, rule, END, next_at=0)
            assert [alert for _, alert in tx.claim(now=END, holder="h", lease=9, limit=9)] == [notice]
            assert tx.alerts("local", limit=9) == []
            assert tx.alert_count() == 0
            assert _tell(tx, rule, END, next_at=0) == notice
            assert len(tx.deliveries("local", limit=9, alert=notice.id)) == 1
            assert tx.claim(now=END, holder="h", lease=9, limit=9) == []

        self.in_store(job)

    def test_other_active_hours_count_for_what_is_held(self) -> None:
        def job(tx: Tx) -> None:
            rule = tx.save_rule("local", SPEC, head=0, now=LONG_BEFORE).id
            alerts = [sample_alert(number, rule=rule) for number in range(2)]
            deliveries = [sample_delivery(alert) for alert in alerts]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=deliveries))
            (first, _), (second, _) = tx.claim(now=100, holder="h", lease=10, limit=9)
            held = hold(first, until=5_000, why="active hours", now=100)
            retrying = msgspec.structs.replace(second, state="retrying", attempts=1, due_at=7_000)
            tx.settle([held, retrying])
            assert tx.deliveries("local", limit=9) == [retrying, held]
            assert (held.is_held, retrying.is_held, tx.next_due()) == (True, False, 5_000)
            tx.save_rule("local", msgspec.structs.replace(SPEC, cooldown="1h"), head=0, now=200)
            assert tx.next_due() == 5_000
            tx.save_rule("local", msgspec.structs.replace(SPEC, active=""), head=0, now=300)
            assert sorted(each.due_at for each in tx.deliveries("local", limit=9)) == [300, 7_000]

        self.in_store(job)

    def test_an_alert_keeps_its_parts_and_what_was_suppressed(self) -> None:
        def job(tx: Tx) -> None:
            parts = (Part("rsi(14, 1h) < 30", 25.5, 30.0), Part('price > "☂"', None, -1e-9))
            composite = msgspec.structs.replace(sample_alert(1), parts=parts, suppressed=12)
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=[composite, sample_alert(2)]))
            assert tx.alerts("local", limit=9) == [sample_alert(2), composite]

        self.in_store(job)

    def test_the_newest_observation_is_that_of_all_prices(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.newest_observation() == 0
            prices = [
                msgspec.structs.replace(sample_price(pair, None), observed_at=at)
                for pair, at in (("a/usd", 5), ("b/usd", 7), ("c/usd", 6))
            ]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), prices=prices))
            assert tx.newest_observation() == 7

        self.in_store(job)


def _spec(name: str, **said: Any) -> RuleSpec:
    return msgspec.structs.replace(SPEC, name=name, **said)


def _tell(tx: Tx, rule: Rule, at: int, *, next_at: int) -> Alert:
    notice = expiry_notice(rule, now=at)
    tx.announce(notice, notice_deliveries(notice, ("ops",), now=at), next_at=next_at)
    return notice
