"""Columns that are laid out at once and written bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from cryptowatcher.domain.features.pages import laid_out


@pytest.mark.parametrize("rows", [0, 3, 1_100])
def test_columns_of_every_size_are_zeros_that_can_be_written(rows: int) -> None:
    columns = laid_out((rows, 1_000), np.int64)
    assert (columns.shape, columns.dtype.str) == ((rows, 1_000), "<i8")
    assert not columns.any()
    columns[:] = np.arange(1_000)
    assert columns.sum() == rows * 499_500


def test_columns_that_are_large_are_memory_of_their_own() -> None:
    one, other = laid_out((1_100, 1_000)), laid_out((1_100, 1_000))
    one[5, 7] = 1.0
    assert (one.sum(), other.sum()) == (1.0, 0.0)
