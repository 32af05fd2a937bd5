"""A column that rows are added to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Growing:
    """Room is doubled when it is used up; what was not written to yet takes no memory."""

    def __init__(self, kind: type[Any]) -> None:
        self._column: NDArray[Any] = np.zeros(16, kind)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, value: float) -> None:
        """One row more."""
        row = self._rows
        if row == len(self._column):
            self._reserve(row + 1)
        self._column[row] = value
        self._rows = row + 1

    def extend(self, rows: int) -> NDArray[Any]:
        """So many rows more, all zero, to write to."""
        begin, end = self._rows, self._rows + rows
        if end > len(self._column):
            self._reserve(end)
        self._rows = end
        return self._column[begin:end]

    def of(self, kind: type[Any]) -> Growing:
        """The same rows as numbers of this kind."""
        same = Growing(kind)
        same.extend(self._rows)[:] = self.values
        return same

    @property
    def values(self) -> NDArray[Any]:
        """All rows, to read and to write."""
        return self._column[: self._rows]

    def _reserve(self, rows: int) -> None:
        wider = np.zeros(2 * rows, self._column.dtype)
        wider[: self._rows] = self._column[: self._rows]
        self._column = wider
