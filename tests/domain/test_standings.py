"""Where rules stand, beside a plain table of it."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from cryptowatcher.domain.checkpoints import encode
from cryptowatcher.domain.rules.lifecycle import UNARMED, Standing
from cryptowatcher.domain.rules.model import LifecycleState
from cryptowatcher.domain.rules.roll import SEGMENT
from cryptowatcher.domain.rules.standings import SEVERAL, Standings

COLS = 4
ONE = 6
"""So many rules are on one pair; as many after them are on several."""


def anything(random: Random) -> Standing | None:
    since = random.randrange(1, 9)
    pending = Standing("pending", since, clock=random.randrange(9), blind=random.random() < 0.5)
    return random.choice((None, UNARMED, pending, pending, Standing("inside", since), Standing("done", since)))


class Both:
    """Standings, and what they are asked to hold by (slot, column). Some lie in a second segment."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.first = SEGMENT - ONE // 2
        self.standings = Standings()
        self.standings.add(self.first, col=0)
        self.own = {self.first + number: random.randrange(COLS) for number in range(ONE)}
        for col in self.own.values():
            self.standings.add(1, col=col)
        self.standings.add(ONE)
        self.slots = range(self.first, self.first + 2 * ONE)
        self.plain: dict[tuple[int, int], Standing] = {}

    def put(self) -> None:
        slot = self.random.choice(self.slots)
        col, there = self.own.get(slot, self.random.randrange(COLS)), anything(self.random)
        self.standings.put(slot, col, there)
        self.note(slot, col, there)

    def note(self, slot: int, col: int, there: Standing | None) -> None:
        self.plain.pop((slot, col), None)
        if there is not None:
            self.plain[slot, col] = there

    def move(self) -> None:
        state: LifecycleState | None = self.random.choice((None, "inside", "done"))
        free = [
            slot for slot, col in self.own.items()
            if (there := self.plain.get((slot, col))) is None or there.state != "pending"
        ]  # fmt: skip
        some = self.random.sample(free, self.random.randint(0, len(free)))
        times = [self.random.randrange(1, 9) for _ in some]
        self.standings.move(np.array(some, np.int64), state, np.array(times, np.int64))
        for slot, time in zip(some, times, strict=True):
            self.note(slot, self.own[slot], None if state is None else Standing(state, time))

    def agree(self) -> None:
        slots = np.array(self.slots)
        for slot in self.slots:
            mine = {col: there for (at, col), there in self.plain.items() if at == slot}
            assert self.standings.of(slot) == mine
            assert list(self.standings.of(slot)) == sorted(mine)
            assert [self.standings.get(slot, col) for col in range(COLS)] == [mine.get(col) for col in range(COLS)]
        awake = {slot for slot, _ in self.plain}
        assert self.standings.awake(slots).tolist() == [slot in awake for slot in self.slots]
        holding = {place for place, there in self.plain.items() if there.state == "pending"}
        assert {(slot, col) for col, waits in self.standings.pending.items() for slot in waits} == holding
        assert all(self.standings.pending.values()), "nothing is kept of a pair for which none waits"
        alone, others = self.standings.unarmed()
        unarmed = sorted(place for place, there in self.plain.items() if there == UNARMED)
        assert sorted([*alone.tolist(), *[slot for slot, _ in others]]) == [slot for slot, _ in unarmed]
        assert set(others) <= set(unarmed)
        self.one_pair()

    def one_pair(self) -> None:
        """What is asked of rules on one pair only."""
        slots, cols = np.array(list(self.own)), np.array(list(self.own.values()))
        there = [self.plain.get(place) for place in self.own.items()]
        assert list(self.standings.of_many(slots)) == there
        states: tuple[LifecycleState | None, ...] = (None, "unarmed", "inside", "done")
        for state in states:
            wanted = [(None if each is None else each.state) == state for each in there]
            assert self.standings.are(slots, cols, state).tolist() == wanted
            assert not self.standings.are(slots, cols + 1, state).any()

    def restored(self) -> None:
        """Others that are made from what these say, and say the same."""
        parts, fresh = self.standings.state(), Standings()
        fresh.add(self.first, col=0)
        for col in self.own.values():
            fresh.add(1, col=col)
        fresh.add(ONE)
        fresh.restore(parts)
        assert encode(fresh.state()) == encode(parts)
        self.standings = fresh


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_rules_stand_where_a_table_says(seed: int) -> None:
    random = Random(seed)
    both = Both(random)
    for step in range(60):
        random.choice((both.put, both.put, both.put, both.move))()
        both.agree()
        if step % 10 == 9:
            both.restored()
            both.agree()


def test_what_did_not_move_is_written_once() -> None:
    standings = Standings()
    standings.add(2 * SEGMENT, col=1)
    before = standings.state()
    assert len(before) == 3
    standings.put(SEGMENT + 5, 1, Standing("inside", 7))
    after = standings.state()
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, False, True]
    standings.move(np.array([3, 4]), "done", np.array([7, 8]))
    assert [one is other for one, other in zip(after, standings.state(), strict=True)] == [False, True, True]


def test_columns_of_many_pairs_are_as_wide_as_they_must_be() -> None:
    standings = Standings()
    standings.add(3)
    assert standings.col.tolist() == [SEVERAL] * 3
    standings.place(0, 32_767)
    assert standings.col.dtype == np.int16
    standings.place(np.array([1, 2]), np.array([5, 32_768]))
    assert standings.col.tolist() == [32_767, 5, 32_768]
