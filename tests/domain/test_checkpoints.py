"""Checkpoints: what comes back is what went in, bit for bit, and may be written to."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from cryptowatcher.domain.checkpoints import (
    CHUNK,
    Cut,
    Damaged,
    Part,
    Whole,
    decode,
    decode_head,
    decode_part,
    encode,
    encode_head,
    join,
)
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.domain.watcher import Watcher


class Columns(msgspec.Struct, frozen=True):
    floats: Floats
    ints: Ints
    named: dict[str, list[Ints]]


def test_columns_come_back_bit_for_bit_with_their_shape() -> None:
    floats = np.array([[0.1, -0.0, np.nan], [np.inf, -np.inf, 5e-324]])
    ints = np.array([-(2**63), 2**63 - 1, 0], np.int64)
    back = decode(encode(Columns(floats, ints, {"x": [ints, ints[:0]]})), Columns)
    assert back.floats.shape == (2, 3)
    assert back.floats.tobytes() == floats.tobytes()
    assert back.ints.tobytes() == ints.tobytes()
    assert [column.tolist() for column in back.named["x"]] == [ints.tolist(), []]
    assert (back.floats.dtype.str, back.ints.dtype.str) == ("<f8", "<i8")


@pytest.mark.parametrize("shape", [(0,), (32, 0), (0, 5)])
def test_empty_columns_keep_their_shape(shape: tuple[int, ...]) -> None:
    back = decode(encode(Columns(np.zeros(shape), np.zeros(0, np.int64), {})), Columns)
    assert back.floats.shape == shape


def test_columns_that_came_back_can_be_written_to() -> None:
    back = decode(encode(Columns(np.zeros(3), np.zeros(3, np.int64), {})), Columns)
    back.floats[1] = 5.0
    back.ints[0] = 7
    assert back.floats.tolist() == [0.0, 5.0, 0.0]


def test_a_column_that_does_not_lie_in_one_piece_comes_back_right() -> None:
    grid: NDArray[np.float64] = np.arange(12, dtype=np.float64).reshape(3, 4)
    back = decode(encode(Columns(grid.T, np.zeros(0, np.int64), {})), Columns)
    assert back.floats.tolist() == grid.T.tolist()


def test_what_a_checkpoint_cannot_hold_is_an_error_and_not_lost() -> None:
    with pytest.raises(NotImplementedError):
        encode({"x": object()})


# --- heads and parts -------------------------------------------------------------------------------


class Roll(msgspec.Struct, frozen=True):
    names: list[str]
    starts: Ints


class State(msgspec.Struct, frozen=True):
    small: Ints
    big: Floats
    rolls: tuple[Part[Roll], ...]
    note: str = ""


def a_state(big: Floats | None = None, **more: str) -> State:
    rolls = tuple(Part(Roll([f"r{number}"], np.arange(number))) for number in range(3))
    return State(np.arange(3), np.arange(CHUNK // 2, dtype=np.float64) if big is None else big, rolls, **more)


def stored(cut: Cut) -> tuple[bytes, dict[str, bytes]]:
    """As a store has it."""
    return encode_head(cut.head), {name: cut.part(name) for name in cut.head.names}


def read(head: bytes, parts: dict[str, bytes]) -> State:
    opened = {name: decode_part(name, data) for name, data in parts.items()}
    return join(Whole(decode_head(head), opened), State)


def test_a_state_comes_back_from_its_head_and_parts() -> None:
    state = a_state(note="x" * CHUNK)
    back = read(*stored(Cut(state)))
    assert (back.small.tolist(), back.big.tolist()) == (state.small.tolist(), state.big.tolist())
    assert [(part.value.names, part.value.starts.tolist()) for part in back.rolls] == [
        (["r0"], []), (["r1"], [0]), (["r2"], [0, 1])]  # fmt: skip
    assert back.note == state.note
    back.big[0] = back.small[0] = 9.0  # whoever goes on with it writes to it


def test_a_head_is_small_and_no_part_is_large() -> None:
    head, parts = stored(Cut(a_state(note="x" * 5 * CHUNK)))
    assert len(head) < 1000
    assert max(len(data) for data in parts.values()) < CHUNK + 100


def test_only_the_piece_of_a_column_that_was_written_to_is_another_part() -> None:
    state = a_state()
    before = set(Cut(state).head.names)
    state.big[CHUNK // 8 + 5] = -1.0
    after = set(Cut(state).head.names)
    assert len(before) == len(after)
    assert len(after - before) == 1


def test_what_is_written_to_after_the_cut_is_not_in_the_checkpoint() -> None:
    state = a_state()
    cut = Cut(state)
    state.big[:] = state.small[:] = 5
    assert read(*stored(cut)).big[:3].tolist() == [0, 1, 2]


def test_the_same_part_is_looked_at_once() -> None:
    state = a_state()
    first = Cut(state).head
    for part in state.rolls:
        part.value = object()  # type: ignore[assignment]  # nobody could encode it again
    assert Cut(state).head == first


def test_a_part_that_came_back_is_not_looked_at_again_and_cannot_be_written_to() -> None:
    state = a_state()
    back = read(*stored(Cut(state)))
    assert [part.name for part in back.rolls] == [part.name for part in state.rolls] != [""] * 3
    with pytest.raises(ValueError, match="read-only"):
        back.rolls[2].value.starts[0] = 1


def test_equal_states_are_the_same_bytes_and_others_are_not() -> None:
    assert Cut(a_state()).whole() == Cut(a_state()).whole()
    assert Cut(a_state()).whole() != Cut(a_state(note="y")).whole()


def test_a_flipped_bit_anywhere_is_damage() -> None:
    head, parts = stored(Cut(State(np.arange(3), np.arange(3.0), a_state().rolls)))
    for place in range(len(head)):
        with pytest.raises(Damaged):
            decode_head(flipped(head, place))
    name, data = max(parts.items(), key=lambda item: len(item[1]))
    for place in range(len(data)):
        with pytest.raises(Damaged):
            decode_part(name, flipped(data, place))
    with pytest.raises(Damaged):
        decode_head(b"")


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def test_one_part_in_the_place_of_another_is_damage() -> None:
    cut = Cut(a_state())
    one, other = cut.head.names[:2]
    with pytest.raises(Damaged):
        decode_part(one, cut.part(other))


def test_a_part_that_is_not_there_is_damage() -> None:
    whole = Cut(a_state()).whole()
    for name in whole.head.names:
        with pytest.raises(Damaged):
            join(Whole(whole.head, {key: raw for key, raw in whole.parts.items() if key != name}), State)


def test_a_state_of_another_kind_is_damage() -> None:
    with pytest.raises(Damaged):
        join(Cut(a_state()).whole(), Columns)


def test_a_watcher_that_has_seen_nothing_can_be_saved_and_restored() -> None:
    state, again = Watcher().state(), Watcher()
    again.restore(state)
    assert again.state() == state
