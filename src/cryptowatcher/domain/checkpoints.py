"""Frozen types with NumPy columns, to bytes and back: checkpoints, read only by the program that wrote them."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np
import zstandard

T = TypeVar("T")


def encode(value: Any) -> bytes:
    """msgpack with columns as (dtype, shape, bytes), compressed."""
    return zstandard.compress(msgspec.msgpack.encode(value, enc_hook=_column_out), 1)


def decode(data: bytes, kind: type[T]) -> T:
    """The opposite of encode()."""
    return msgspec.msgpack.decode(zstandard.decompress(data), type=kind, dec_hook=_column_in)


def _column_out(value: Any) -> tuple[str, tuple[int, ...], bytes]:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    raise NotImplementedError(type(value))


def _column_in(kind: type, value: Any) -> Any:
    dtype, shape, data = value
    return np.frombuffer(data, dtype).reshape(shape).copy()
