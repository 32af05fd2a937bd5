"""Owners' lists of pairs, and the rules on them."""

from __future__ import annotations

import msgspec
import pytest

from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.watchlists import Watchlist
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.testing.contracts.store_case import StoreCase

A, B, C = "a/usd", "b/usd", "c/bitcoin"
ON_MINE = RuleSpec(name="moves", pairs=("list(mine)",), when="price > 1")


class WatchlistContract(StoreCase):
    """Owners' lists of pairs, and the rules on them."""

    def test_lists_come_in_order_of_name_and_are_their_owners(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.watchlists("local") == []
            mine = tx.save_watchlist("local", "mine", (B, A), head=0, now=0)
            first = tx.save_watchlist("local", "first", (), head=0, now=0, origin="config")
            theirs = tx.save_watchlist("another", "mine", (C,), head=0, now=0)
            assert mine == Watchlist(name="mine", owner="local", pairs=(B, A))
            assert tx.watchlists("local") == [first, mine]
            assert tx.watchlists("another") == [theirs]
            assert (first.origin, first.pairs) == ("config", ())
            assert tx.rule_changes(0) == []

        self.in_store(job)

    def test_a_rule_has_the_pairs_of_its_list(self) -> None:
        def job(tx: Tx) -> None:
            tx.save_watchlist("local", "mine", (B, A), head=0, now=0)
            tx.save_watchlist("another", "mine", (C,), head=0, now=0)
            rule = tx.save_rule("local", ON_MINE, head=0, now=0)
            theirs = tx.save_rule("another", ON_MINE, head=0, now=0)
            plain = tx.save_rule("local", msgspec.structs.replace(ON_MINE, name="one", pairs=(A,)), head=0, now=0)
            assert (rule.members, theirs.members, plain.members) == ((B, A), (C,), ())
            assert tx.rules("local") == [rule, plain]
            assert tx.rules() == [theirs, rule, plain]
            assert tx.rule("local", rule.id) == tx.rule("local", "moves") == rule
            assert tx.save_rule("local", ON_MINE, head=0, now=0) == rule
            assert [change.rule for change in tx.rule_changes(0)] == [rule, theirs, plain]
            assert (tx.rules_on("local", "mine"), tx.rules_on("another", "mine")) == ([rule], [theirs])

        self.in_store(job)

    def test_other_pairs_on_a_list_change_each_rule_on_it_and_no_version(self) -> None:
        def job(tx: Tx) -> None:
            tx.save_watchlist("local", "mine", (A,), head=0, now=0)
            tx.save_watchlist("local", "other", (A,), head=0, now=0)
            specs = [msgspec.structs.replace(ON_MINE, name=name, paused=name == "b") for name in "abc"]
            specs[2] = msgspec.structs.replace(specs[2], pairs=("list(other)",))
            a, b, _ = [tx.save_rule("local", spec, head=1, now=1) for spec in specs]
            last = tx.rule_changes(0)[-1].number
            tx.save_watchlist("local", "mine", (A, C), head=7, now=8)
            changes = tx.rule_changes(last)
            changed = [msgspec.structs.replace(rule, members=(A, C)) for rule in (a, b)]
            assert [change.rule for change in changes] == changed
            assert [(change.number, change.head, change.saved_at) for change in changes] == [
                (last + 1, 7, 8),
                (last + 2, 7, 8),
            ]
            assert tx.rules_on("local", "mine") == changed

        self.in_store(job)

    def test_the_same_list_again_changes_nothing(self) -> None:
        def job(tx: Tx) -> None:
            tx.save_watchlist("local", "mine", (A, B), head=0, now=0)
            tx.save_rule("local", ON_MINE, head=0, now=0)
            tx.save_watchlist("local", "mine", (A, B), head=1, now=1)
            tx.save_watchlist("local", "mine", (A, B), head=1, now=1, origin="config")
            assert len(tx.rule_changes(0)) == 1
            assert [each.origin for each in tx.watchlists("local")] == ["config"]

        self.in_store(job)

    def test_a_list_may_be_empty_and_its_rules_wait(self) -> None:
        def job(tx: Tx) -> None:
            tx.save_watchlist("local", "mine", (), head=0, now=0)
            assert tx.save_rule("local", ON_MINE, head=0, now=0).members == ()
            tx.save_watchlist("local", "mine", (A,), head=0, now=0)
            tx.save_watchlist("local", "mine", (), head=0, now=0)
            assert [change.rule and change.rule.members for change in tx.rule_changes(0)] == [(), (A,), ()]

        self.in_store(job)

    def test_a_rule_on_a_list_that_is_not_there_is_refused_with_those_that_are(self) -> None:
        def job(tx: Tx) -> None:
            with pytest.raises(ConfigError, match="no list 'mine'") as none:
                tx.save_rule("local", ON_MINE, head=0, now=0)
            tx.save_watchlist("another", "mine", (), head=0, now=0)
            for name in ("main", "coins"):
                tx.save_watchlist("local", name, (), head=0, now=0)
            with pytest.raises(ConfigError, match="no list 'mine'") as refused:
                tx.save_rule("local", ON_MINE, head=0, now=0)
            assert (none.value.where, refused.value.hint) == ("pairs[0]", "there are: coins, main")
            assert tx.rules("local") == []
            assert tx.rule_changes(0) == []

        self.in_store(job)

    def test_a_list_that_rules_are_on_stays_until_they_are_gone(self) -> None:
        def job(tx: Tx) -> None:
            tx.save_watchlist("local", "mine", (A,), head=0, now=0)
            assert not tx.remove_watchlist("local", "other")
            assert not tx.remove_watchlist("another", "mine")
            tx.save_rule("local", msgspec.structs.replace(ON_MINE, paused=True), head=0, now=0)
            with pytest.raises(ConfigError, match="moves"):
                tx.remove_watchlist("local", "mine")
            tx.save_rule("local", msgspec.structs.replace(ON_MINE, pairs=(A,)), head=0, now=0)
            assert tx.remove_watchlist("local", "mine")
            assert tx.watchlists("local") == []

        self.in_store(job)

    def test_a_rule_that_was_removed_is_not_on_its_list_any_more(self) -> None:
        def job(tx: Tx) -> None:
            tx.save_watchlist("local", "mine", (A,), head=0, now=0)
            tx.save_rule("local", ON_MINE, head=0, now=0)
            tx.remove_rule("local", "moves", head=0, now=0)
            tx.save_watchlist("local", "mine", (B,), head=0, now=0)
            assert len(tx.rule_changes(0)) == 2
            again = tx.save_rule("local", ON_MINE, head=0, now=0)
            assert (again.version, again.members) == (2, (B,))

        self.in_store(job)
