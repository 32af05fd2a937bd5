"""Columns that are laid out at once and written bit by bit.

The system gives memory when it is first written to. NumPy asks for it in huge pages, and where a machine has to
fetch these first, a few of them take longer than a whole update. Small ones cost each update a little, and none
much.
"""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_HUGE = 1 << 22  # bytes from which NumPy asks for huge pages


def laid_out(shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Zeros of this shape, which take no memory before they are written to."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < _HUGE:
        return np.zeros(shape, dtype)
    pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # a system may also give them unasked
        with suppress(OSError):  # a kernel that knows no huge pages refuses the advice: it gives none anyway
            pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, dtype).reshape(shape)
