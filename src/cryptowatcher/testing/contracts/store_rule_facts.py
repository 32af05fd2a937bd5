"""What lists of rules tell of each, and several rules saved at once."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.rules.model import Firing, Lifecycle, LifecycleState, RuleSpec
from cryptowatcher.domain.rules.now import Fired, Standings
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing.contracts.store_case import StoreCase, sample_alert

SPEC = RuleSpec(name="one", pairs=("a/usd",), when="price > 1")
OTHER = msgspec.structs.replace(SPEC, name="two")


class RuleFactsContract(StoreCase):
    """What is told of an owner's rules is of theirs alone."""

    def test_several_rules_saved_at_once_are_as_if_saved_one_by_one(self) -> None:
        def job(tx: Tx) -> None:
            changed = msgspec.structs.replace(SPEC, when="price > 2")
            listed = msgspec.structs.replace(SPEC, name="three", pairs=("list(mine)",))
            for owner, at_once in (("a", True), ("b", False)):
                tx.save_watchlist(owner, "mine", ["x/usd"], head=0, now=0)
                tx.save_rule(owner, SPEC, head=1, now=1)
                tx.save_rule(owner, OTHER, head=1, now=1)
                wanted = [changed, OTHER, listed]
                if at_once:
                    tx.save_rules(owner, [(spec, "owner") for spec in wanted], head=2, now=2)
                else:
                    for spec in wanted:
                        tx.save_rule(owner, spec, head=2, now=2)
            told = {
                owner: [
                    (change.head, change.rule.version, change.rule.spec, change.rule.members)
                    for change in tx.rule_changes(0)
                    if change.rule and change.owner == owner
                ]
                for owner in ("a", "b")
            }
            assert told["a"] == told["b"]
            assert len(told["a"]) == 4
            assert [change.number for change in tx.rule_changes(0)] == list(range(1, 9))
            assert [change.number for change in tx.rule_changes(0, newest=True)] == [2, 3, 4, 6, 7, 8]

        self.in_store(job)

    def test_rules_are_found_by_their_ids_and_their_owner(self) -> None:
        def job(tx: Tx) -> None:
            ids = [tx.save_rule("a", spec, head=0, now=0).id for spec in (SPEC, OTHER)]
            many = [f"none{number}" for number in range(1200)]
            assert [rule.spec.name for rule in tx.rules("a", [ids[1], *many])] == ["two"]
            assert tx.rules("b", ids) == []
            assert tx.rules("a", []) == []

        self.in_store(job)

    def test_several_rules_are_removed_at_once(self) -> None:
        def job(tx: Tx) -> None:
            ids = [tx.save_rule("a", spec, head=0, now=0).id for spec in (SPEC, OTHER)]
            tx.snooze("a", ids[0], 9)
            assert tx.remove_rules("b", ids, head=3, now=3) == []
            assert [rule.spec for rule in tx.remove_rules("a", [*ids, "none"], head=3, now=3)] == [SPEC, OTHER]
            assert (tx.rules("a"), tx.snoozes("a"), tx.removed_by("a", "one")) == ([], {}, "owner")
            assert [(each.number, each.rule) for each in tx.rule_changes(2)] == [(3, None), (4, None)]
            assert tx.save_rule("a", SPEC, head=4, now=4).version == 2

        self.in_store(job)

    def test_where_rules_stand_and_when_they_fired_is_told_of_each(self) -> None:
        def job(tx: Tx) -> None:
            mine, theirs = tx.save_rule("a", SPEC, head=0, now=0).id, tx.save_rule("b", SPEC, head=0, now=0).id
            stands: list[tuple[str, LifecycleState, int]] = [
                ("a/usd", "inside", 5),
                ("b/usd", "inside", 9),
                ("c/usd", "pending", 7),
            ]
            rows = [
                Lifecycle(rule=rule, version=1, pair=pair, state=state, since=since)
                for rule in (mine, theirs)
                for pair, state, since in stands
            ]
            fired = [
                Firing(rule=mine, pair="a/usd", last_fired_at=5, fired=2, suppressed=0),
                Firing(rule=mine, pair="b/usd", last_fired_at=9, fired=1, suppressed=4),
                Firing(rule=theirs, pair="a/usd", last_fired_at=5, fired=0, suppressed=1),
            ]
            self.commit(tx, Step(cursor=Cursor("j1", 1, 1), lifecycle=rows, firings=fired))
            assert tx.standings("a") == {mine: Standings(inside=2, pending=1, since=9)}
            assert tx.fired("a") == {mine: Fired(last_at=9, times=3)}
            assert (tx.fired("b"), tx.standings("c")) == ({}, {})

        self.in_store(job)

    def test_alerts_are_counted_by_rule_from_a_time_on(self) -> None:
        def job(tx: Tx) -> None:
            alerts = [
                made(owner, rule, time)
                for owner, rule, time in (
                    ("a", "r1", 1_000),
                    ("a", "r1", 2_000),
                    ("a", "r1", 3_000),
                    ("a", "r2", 2_000),
                    ("b", "r3", 9_000),
                    ("local", "r4", 9_000),
                )
            ]
            notice = msgspec.structs.replace(made("a", "r1", 4_000), kind="expired", id="0000000fff-notice")
            self.commit(tx, Step(cursor=Cursor("j1", 1, 1), alerts=[*alerts, notice]))
            assert tx.alerts_of_rules("a", 2_000) == {"r1": 2, "r2": 1}
            assert tx.alerts_of_rules("local", -5) == {"r4": 1}

        self.in_store(job)


def made(owner: str, rule: str, time: int) -> Alert:
    id_ = alert_id(rule=rule, version=1, pair="a/usd", kind="edge", event_time=time)
    return msgspec.structs.replace(sample_alert(1), id=id_, owner=owner, rule=rule, event_time=time)
