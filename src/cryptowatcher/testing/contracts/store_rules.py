"""Rules and their changes."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.rules.model import RuleSpec, rule_id
from cryptowatcher.ports import Tx
from cryptowatcher.testing.contracts.store_case import StoreCase


class RulesContract(StoreCase):
    """Rules and their changes."""

    def test_a_saved_rule_is_found_by_id_and_by_name(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("bitcoin/usd",), when="price < 3", for_="5m", channels=("ops",))
            rule = tx.save_rule("local", spec, head=7, now=8, origin="config")
            assert (rule.id, rule.owner, rule.version, rule.spec, rule.origin) == (
                rule_id("local", "drops"), "local", 1, spec, "config")  # fmt: skip
            assert tx.rule("local", "drops") == tx.rule("local", rule.id) == rule
            assert tx.rule("someone else", "drops") is None
            assert tx.rule("someone else", rule.id) is None
            (change,) = tx.rule_changes(0)
            assert (change.number, change.rule_id, change.owner) == (1, rule.id, "local")
            assert (change.head, change.saved_at, change.rule) == (7, 8, rule)

        self.in_store(job)

    def test_rules_come_in_order_of_name_and_by_owner(self) -> None:
        def job(tx: Tx) -> None:
            for owner, name in (("a", "zeta"), ("a", "Beta"), ("b", "äther"), ("a", "alpha")):
                tx.save_rule(owner, RuleSpec(name=name, pairs=("all",), when="price > 1"), head=0, now=0)
            assert [rule.spec.name for rule in tx.rules()] == ["Beta", "alpha", "zeta", "äther"]
            assert [rule.spec.name for rule in tx.rules("a")] == ["Beta", "alpha", "zeta"]
            assert tx.rules("c") == []

        self.in_store(job)

    def test_the_same_spec_again_changes_nothing(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            assert tx.save_rule("a", spec, head=0, now=0) == tx.save_rule("a", spec, head=5, now=5)
            assert len(tx.rule_changes(0)) == 1
            tx.save_rule("a", spec, head=6, now=6, origin="config")
            assert [change.rule.origin for change in tx.rule_changes(0) if change.rule] == ["owner", "config"]

        self.in_store(job)

    def test_who_removed_a_rule_is_remembered_until_it_is_there_again(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            assert tx.removed_by("a", "drops") is None
            tx.save_rule("a", spec, head=0, now=0, origin="default")
            assert tx.removed_by("a", "drops") is None
            tx.remove_rule("a", "drops", head=0, now=0, origin="default")
            assert tx.removed_by("a", "drops") == "default"
            tx.save_rule("a", spec, head=0, now=0, origin="default")
            tx.remove_rule("a", "drops", head=0, now=0)
            assert tx.removed_by("a", "drops") == "owner"
            assert tx.removed_by("b", "drops") is None
            tx.save_rule("a", spec, head=0, now=0)
            assert tx.removed_by("a", "drops") is None

        self.in_store(job)

    def test_the_origin_of_a_default_is_kept_but_not_told_in_its_changes(self) -> None:
        """The release before could not read them."""

        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            tx.save_rule("a", spec, head=0, now=0, origin="default")
            assert [rule.origin for rule in tx.rules("a")] == ["default"]
            assert [change.rule.origin for change in tx.rule_changes(0) if change.rule] == ["owner"]

        self.in_store(job)

    def test_only_what_makes_a_new_condition_makes_a_new_version(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            versions = [
                tx.save_rule("a", changed, head=0, now=0).version
                for changed in (
                    spec,
                    msgspec.structs.replace(spec, cooldown="5m"),
                    msgspec.structs.replace(spec, when="price > 2"),
                )
            ]
            assert versions == [1, 1, 2]
            assert [change.number for change in tx.rule_changes(0)] == [1, 2, 3]
            assert [change.number for change in tx.rule_changes(2)] == [3]

        self.in_store(job)

    def test_a_removed_rule_is_gone_and_its_removal_is_a_change(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            rule = tx.save_rule("a", spec, head=0, now=0)
            assert not tx.remove_rule("b", "drops", head=1, now=1)
            assert tx.remove_rule("a", rule.id, head=2, now=3)
            assert not tx.remove_rule("a", "drops", head=4, now=4)
            assert tx.rules() == []
            assert tx.rule("a", "drops") is None
            gone = tx.rule_changes(1)
            assert [(change.number, change.rule_id, change.rule, change.head) for change in gone] == [
                (2, rule.id, None, 2)
            ]

        self.in_store(job)

    def test_a_rule_that_comes_again_is_a_new_version(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            first = tx.save_rule("a", spec, head=0, now=0)
            tx.remove_rule("a", "drops", head=0, now=0)
            assert tx.save_rule("a", spec, head=0, now=0).version > first.version

        self.in_store(job)

    def test_rules_of_people_are_counted_by_state(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.rule_counts() == {"active": 0, "paused": 0}
            spec = RuleSpec(name="drops", pairs=("all",), when="price > 1")
            for owner in ("a", "b", SYSTEM_OWNER):
                tx.save_rule(owner, spec, head=0, now=0)
            tx.save_rule("a", msgspec.structs.replace(spec, name="sleeps", paused=True), head=0, now=0)
            tx.save_rule("a", msgspec.structs.replace(spec, name="gone"), head=0, now=0)
            tx.remove_rule("a", "gone", head=0, now=0)
            assert tx.rule_counts() == {"active": 2, "paused": 1}

        self.in_store(job)
