"""The columns that rules are held in: narrow while they can be, wider when they must."""

from __future__ import annotations

import numpy as np
import pytest

from cryptowatcher.domain.checkpoints import decode, encode
from cryptowatcher.domain.rules.compiled import Each, Look, Shape
from cryptowatcher.domain.rules.groups import Group
from cryptowatcher.domain.rules.ids import Ids
from cryptowatcher.domain.rules.judged import Judged
from cryptowatcher.domain.rules.roll import SEGMENT, Roll, Segment, distinct
from cryptowatcher.domain.rules.rows import Row
from cryptowatcher.domain.rules.standings import SEVERAL, Standings
from cryptowatcher.domain.rules.tree import Call
from cryptowatcher.domain.rules.watched import Known, Watched

PRICE = Watched(Call("price"), Known.of_nothing(1))


def group(looks: int) -> Group:
    each = Look(PRICE.number, rises=True, pulse=False)
    return Group(Shape((each,) * looks, Each(tuple(range(looks)))), [PRICE] * looks)


def test_every_rule_keeps_its_constants_however_many_comparisons_it_has_and_in_whatever_order_it_came() -> None:
    judged, groups = Judged(), [group(looks) for looks in (1, 3, 2)]
    judged.widen(7)
    judged.put(6, groups[1], (60.0, 61.0, 62.0), (-60.0, -61.0, -62.0))
    fire = np.array([40.0, 10.0, 11.0, 12.0, 30.0, 31.0, 20.0])
    judged.put_many(np.array([4, 1, 3, 2]), groups, np.array([0, 1, 2, 0]), fire, -fire)
    judged.put(0, groups[2], (0.5, 1.5), (-0.5, -1.5))
    slots = np.array([6, 2, 0, 1, 4, 3])
    atoms = judged.atoms(slots)
    assert atoms.fire.tolist() == [60, 61, 62, 20, 0.5, 1.5, 10, 11, 12, 40, 30, 31]
    assert atoms.rearm.tolist() == (-atoms.fire).tolist()
    assert [judged.group(slot) for slot in (0, 1, 2, 5)] == [groups[2], groups[1], groups[0], None]


def test_every_comparison_keeps_which_way_it_turns_true_and_whether_it_is_a_crossing() -> None:
    ways = [(False, False), (False, True), (True, False), (True, True)]
    looks = tuple(Look(PRICE.number, rises=rises, pulse=pulse) for rises, pulse in ways)
    judged = Judged()
    judged.widen(2)
    judged.put(1, Group(Shape(looks, Each((0, 1, 2, 3))), [PRICE] * 4), (1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0))
    atoms = judged.atoms(np.array([1]))
    assert list(zip(atoms.rises.tolist(), atoms.pulse.tolist(), strict=True)) == ways
    assert (atoms.fire.tolist(), atoms.rearm.tolist()) == ([1, 2, 3, 4], [5, 6, 7, 8])


def test_rules_of_more_shapes_than_sixteen_bits_count_are_judged_each_with_its_own() -> None:
    judged, count = Judged(), 33_000
    groups = [group(1) for _ in range(count)]
    judged.widen(count + 1)
    for slot, each in enumerate(groups):
        judged.put(slot, each, (float(slot),), (0.0,))
    assert [judged.group(slot) for slot in (0, 32_767, 32_768, count - 1)] == [
        groups[slot] for slot in (0, 32_767, 32_768, count - 1)
    ]
    assert judged.group(count) is None
    assert judged.atoms(np.array([32_768, 5])).fire.tolist() == [32_768, 5]


def test_pairs_beyond_those_that_sixteen_bits_count_stay_the_pairs_of_their_rules() -> None:
    standings = Standings()
    standings.add(4)
    standings.place(0, 32_767)
    standings.place(np.array([2, 1]), np.array([32_768, 70_000]))
    assert standings.col.tolist() == [32_767, 70_000, 32_768, SEVERAL]


def test_an_id_is_found_where_its_rule_is_also_among_many_and_after_others_have_come() -> None:
    rng = np.random.default_rng(1)
    codes = rng.permutation(1 << 20)[:60_000].astype(np.uint64) << np.uint64(20)
    alive = np.ones(len(codes), np.bool_)
    ids = Ids(lambda slot: int(codes[slot]), lambda: alive)
    ids.fill([codes[:30_000]], [np.arange(30_000)])
    alive[:30_000:3] = False
    for slot in range(30_000, 60_000):
        ids.put(int(codes[slot]), slot)
    asked = rng.permutation(60_000)[:2_000].tolist()
    assert [ids.find(int(codes[slot])) for slot in asked] == [slot if alive[slot] else None for slot in asked]
    assert ids.find(int(codes[0]) + 1) is None
    assert Ids(lambda _: 0, lambda: alive).find(5) is None


@pytest.mark.parametrize(
    "numbers", [[], [0], [7, 3, 3, 9, 3, 7], [SEGMENT, 0], [SEGMENT + 1, 5, 70_000, 5], [254, 255, 254]]
)
def test_which_numbers_there_are_and_which_each_is(numbers: list[int]) -> None:
    there, which = distinct(np.array(numbers, np.min_scalar_type(max(numbers, default=0))))
    assert there.tolist() == sorted(set(numbers))
    assert there[which].tolist() == numbers


def test_a_full_segment_with_the_same_in_each_row_takes_no_memory_for_that_and_is_written_as_ever() -> None:
    roll, back = Roll(), Roll()
    for slot in range(SEGMENT + 1):
        roll.add(Row(code=slot, version=1, start=3, owner=0, on=slot % 300, kind=0, text=b"name"))
    state = roll.state(np.ones(SEGMENT + 1, np.bool_))
    full = state.segments[0].value
    assert {name for name in Segment.__struct_fields__ if getattr(full, name).strides == (0,)} == {
        "version", "start", "owner", "kind",
    }  # fmt: skip
    back.restore(state)
    assert (back.row(SEGMENT - 1), back.start(7)) == (roll.row(SEGMENT - 1), 3)
    assert encode(back.state(np.ones(SEGMENT + 1, np.bool_))) == encode(state)
    read = decode(encode(full), Segment)
    assert [read.version.dtype, read.version.tolist()] == [np.uint8, [1] * SEGMENT]
