"""Checkpoints: what comes back is what went in, bit for bit, and may be written to."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from cryptowatcher.domain.checkpoints import decode, encode
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


def test_a_watcher_that_has_seen_nothing_can_be_saved_and_restored() -> None:
    state, again = Watcher().state(), Watcher()
    again.restore(state)
    assert again.state() == state
