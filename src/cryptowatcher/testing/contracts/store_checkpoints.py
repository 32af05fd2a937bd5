"""Checkpoints with their parts, and what a start reads behind them."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.rules.model import Firing, Lifecycle, LifecycleState, RuleSpec, TakeUp
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing.contracts.store_case import StoreCase


class CheckpointContract(StoreCase):
    """Checkpoints with their parts, and what a start reads behind them."""

    def test_the_newest_checkpoint_at_or_before_a_position_is_found(self) -> None:
        def job(tx: Tx) -> None:
            for seq in (10, 20):
                assert tx.save_checkpoint(Cursor("j1", seq, seq * 10), 1, b"state %d" % seq)
            assert tx.checkpoint("j1", 1, 9) is None
            assert tx.checkpoint("j1", 1, 19) == (Cursor("j1", 10, 100), b"state 10")
            assert tx.checkpoint("j1", 1, 20) == (Cursor("j1", 20, 200), b"state 20")
            assert tx.checkpoint("j2", 1, 99) is None
            assert tx.checkpoint("j1", 2, 99) is None

        self.in_store(job)

    def test_the_newest_two_checkpoints_of_each_schema_are_kept(self) -> None:
        def job(tx: Tx) -> None:
            tx.save_checkpoint(Cursor("j1", 5, 0), 2, b"of the release before")
            for seq in (10, 20, 30):
                tx.save_checkpoint(Cursor("j1", seq, 0), 1, b"")
            tx.save_checkpoint(Cursor("j1", 30, 0), 1, b"again")
            assert tx.checkpoint("j1", 1, 19) is None
            assert tx.checkpoint("j1", 1, 29) == (Cursor("j1", 20, 0), b"")
            assert tx.checkpoint("j1", 1, 99) == (Cursor("j1", 30, 0), b"again")
            assert tx.checkpoint("j1", 2, 99) == (Cursor("j1", 5, 0), b"of the release before")

        self.in_store(job)

    def test_checkpoints_of_a_journal_that_was_replaced_go(self) -> None:
        def job(tx: Tx) -> None:
            tx.put_parts({"a": b"A"})
            tx.save_checkpoint(Cursor("j1", 10, 0), 1, b"", ["a"])
            tx.save_checkpoint(Cursor("j2", 3, 0), 1, b"")
            assert tx.checkpoint("j1", 1, 99) is None
            assert tx.missing_parts(["a"]) == {"a"}

        self.in_store(job)

    def test_parts_are_shared_and_stay_as_long_as_a_checkpoint_names_them(self) -> None:
        def save(tx: Tx, seq: int, *names: str) -> None:
            tx.put_parts({name: name.encode() * 3 for name in tx.missing_parts(names)})
            assert tx.save_checkpoint(Cursor("j1", seq, 0), 1, b"", names)

        def job(tx: Tx) -> None:
            everything = ["a", "b", "c", "d", "e"]
            assert tx.missing_parts(everything) == set(everything)
            save(tx, 1, "a", "b", "c")
            save(tx, 2, "b", "c", "d")
            assert tx.missing_parts(everything) == {"e"}
            save(tx, 3, "c", "d", "e")
            assert tx.missing_parts(everything) == {"a"}
            save(tx, 3, "c")
            assert tx.parts(everything) == {"b": b"bbb", "c": b"ccc", "d": b"ddd"}
            assert tx.parts([]) == {}

        self.in_store(job)

    def test_a_checkpoint_is_not_kept_without_all_its_parts(self) -> None:
        def job(tx: Tx) -> None:
            tx.put_parts({"a": b"A"})
            tx.save_checkpoint(Cursor("j1", 1, 0), 1, b"whole", ["a"])
            tx.put_parts({"b": b"B"})
            assert not tx.save_checkpoint(Cursor("j1", 2, 0), 1, b"half", ["b", "c"])
            assert tx.checkpoint("j1", 1, 99) == (Cursor("j1", 1, 0), b"whole")
            assert tx.parts(["a", "b"]) == {"a": b"A", "b": b"B"}

        self.in_store(job)

    def test_parts_that_were_put_and_never_named_go_with_the_next_checkpoint(self) -> None:
        def job(tx: Tx) -> None:
            tx.put_parts({"a": b"A", "b": b"B"})
            tx.save_checkpoint(Cursor("j1", 1, 0), 1, b"", ["a"])
            assert tx.parts(["a", "b"]) == {"a": b"A"}

        self.in_store(job)

    def test_a_part_that_is_put_again_is_mended(self) -> None:
        def job(tx: Tx) -> None:
            tx.put_parts({"a": b"damaged"})
            tx.put_parts({"a": bytes(range(256))})
            assert tx.parts(["a"]) == {"a": bytes(range(256))}

        self.in_store(job)

    # --- what a start reads behind it

    def test_changes_are_read_in_pages_and_those_taken_up_with_their_places(self) -> None:
        def job(tx: Tx) -> None:
            for number in range(1, 6):
                spec = RuleSpec(name=f"{number}", pairs=("all",), when="price > 1")
                tx.save_rule("local", spec, head=number, now=1)
            assert tx.last_take_up() == 0
            taken = [TakeUp(number, number * 10) for number in range(1, 5)]
            self.commit(tx, Step(cursor=Cursor("j1", 50, 50), take_ups=taken))
            assert tx.last_take_up() == 4
            assert [change.number for change in tx.rule_changes(1, 3)] == [2, 3, 4]
            changes = tx.rule_changes(0)
            assert tx.taken_changes(0, 99, 99, settled=99) == list(zip(changes, taken, strict=False))
            assert tx.taken_changes(1, 3, 99, settled=99) == [(changes[1], taken[1]), (changes[2], taken[2])]
            assert tx.taken_changes(1, 3, 1, settled=99) == [(changes[1], taken[1])]
            assert tx.taken_changes(4, 99, 99, settled=99) == []

        self.in_store(job)

    def test_in_another_journal_nothing_was_taken_up_yet(self) -> None:
        def job(tx: Tx) -> None:
            self.commit(tx, Step(cursor=Cursor("j1", 50, 50), take_ups=[TakeUp(1, 9), TakeUp(2, 10)]))
            self.commit(tx, Step(cursor=Cursor("j1", 51, 51), take_ups=[TakeUp(3, 50)]))
            assert [taken.number for taken in tx.take_ups()] == [1, 2, 3]
            self.commit(tx, Step(cursor=Cursor("j2", 4, 52), take_ups=[TakeUp(3, 4)]))
            assert tx.take_ups() == [TakeUp(3, 4)]

        self.in_store(job)

    def test_a_change_that_has_a_later_one_behind_it_may_be_left_out(self) -> None:
        def job(tx: Tx) -> None:
            spec = RuleSpec(name="one", pairs=("all",), when="price > 1")
            rule = tx.save_rule("local", spec, head=0, now=1)
            tx.save_rule("local", msgspec.structs.replace(spec, name="two"), head=0, now=1)
            tx.save_rule("local", msgspec.structs.replace(spec, cooldown="1h"), head=0, now=1)
            tx.remove_rule("local", rule.id, head=0, now=1)
            tx.save_watchlist("local", "mine", ["a/usd"], head=0, now=1)
            tx.save_rule("local", msgspec.structs.replace(spec, name="on", pairs=("list(mine)",)), head=0, now=1)
            tx.save_watchlist("local", "mine", ["b/usd"], head=0, now=1)
            assert [change.number for change in tx.rule_changes(0)] == [1, 2, 3, 4, 5, 6]
            assert [change.number for change in tx.rule_changes(0, newest=True)] == [2, 4, 6]
            assert [change.number for change in tx.rule_changes(0, 1, newest=True)] == [2]
            places = [TakeUp(1, 10), TakeUp(2, 10), TakeUp(3, 20), TakeUp(4, 30), TakeUp(5, 40), TakeUp(6, 50)]
            self.commit(tx, Step(cursor=Cursor("j1", 60, 60), take_ups=places))
            numbers = {
                settled: [taken.number for _, taken in tx.taken_changes(0, 6, 9, settled=settled)]
                for settled in (0, 29, 30, 50)
            }
            everything = [1, 2, 3, 4, 5, 6]
            assert numbers == {0: everything, 29: everything, 30: [2, 4, 5, 6], 50: [2, 4, 6]}

        self.in_store(job)

    def test_standings_and_firings_are_read_in_pages(self) -> None:
        places = [(rule, pair) for rule in ("r1", "r2", "ä") for pair in ("a/usd", "b/usd")]
        states: list[LifecycleState] = ["done", "inside"]

        def job(tx: Tx) -> None:
            rows = [
                Lifecycle(rule=rule, version=1, pair=pair, state=states[number % 2], since=1)
                for number, (rule, pair) in enumerate(places)
            ]
            fired = [Firing(rule=rule, pair=pair, last_fired_at=1, fired=1, suppressed=0) for rule, pair in places]
            self.commit(tx, Step(cursor=Cursor("j1", 2, 2), lifecycle=rows, firings=fired))
            assert tx.firings(limit=4) == fired[:4]
            assert tx.firings(after=places[3], limit=4) == fired[4:]
            assert tx.firings(after=("r1", "zzz"), limit=2) == fired[2:4]
            assert tx.firings(after=places[-1]) == []
            assert tx.lifecycle(after=places[0], limit=2) == rows[1:3]
            assert tx.lifecycle(state="done") == rows[::2]
            assert tx.lifecycle(state="done", after=places[0], limit=1) == [rows[2]]
            assert tx.lifecycle("r2", state="inside") == [rows[3]]

        self.in_store(job)
