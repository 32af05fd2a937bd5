"""Checkpoints: a state as a small head and parts, each under the hash of its content.

What did not change since the last checkpoint is the same part under the same name, so it is stored once. Big
columns are cut where they always were, so that a row that is written to makes one new part and not a new column.
They are read only by a program that writes the same schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, get_args, get_origin

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

T = TypeVar("T")

CHUNK = 1 << 21
"""Bytes of a column, or of what is left of the state, in one part."""

_INLINE = 1 << 14
"""A column of fewer bytes stays where it is."""

_LEVEL = 1
_SEAL = 16


class Damaged(Exception):
    """These are not the bytes that were kept."""


class Part(Generic[T]):
    """Something in a state that never changes again: a struct of columns, say, of 16 MB at most.

    The same Part at the next checkpoint is neither encoded nor written again. After a restore its columns are
    read-only.
    """

    __slots__ = ("name", "value")

    def __init__(self, value: T, name: str = "") -> None:
        """`name`: where it is known already."""
        self.value = value
        self.name = name


class Head(msgspec.Struct, frozen=True):
    """What a checkpoint is made of.

    names: of its parts in the order of the state; the last `body` of them hold what is no column and no Part
    """

    names: tuple[str, ...]
    body: int


class Whole(msgspec.Struct, frozen=True):
    """A checkpoint with its parts as they were before compression, by name."""

    head: Head
    parts: Mapping[str, bytes]


class Cut:
    """A state on its way into a store.

    Making one copies all columns outside of Parts, so the state may go on at once. `head` and `part()` take long,
    and may be asked in another thread.
    """

    def __init__(self, state: Any) -> None:
        """`state`: a frozen struct."""
        self._pieces: list[bytes | Part[Any]] = []
        rest = msgspec.msgpack.encode(state, enc_hook=self._out)
        _, self._body = self._cut(rest)
        self._at: dict[str, int] = {}
        self._head: Head | None = None

    @property
    def head(self) -> Head:
        """Hashes all that is new."""
        if self._head is None:
            names = tuple(map(self._name, self._pieces))
            self._at = {name: place for place, name in enumerate(names)}
            self._head = Head(names, self._body)
        return self._head

    def part(self, name: str) -> bytes:
        """One part as it is stored."""
        return _sealed(name, self._raw(name))

    def whole(self) -> Whole:
        """Everything at once, for who keeps it in memory."""
        head = self.head
        return Whole(head, {name: self._raw(name) for name in head.names})

    def _raw(self, name: str) -> bytes:
        return _bytes_of(self._pieces[self._at[name]])

    @staticmethod
    def _name(piece: bytes | Part[Any]) -> str:
        if isinstance(piece, bytes):
            return _hash(piece)
        piece.name = piece.name or _hash(_bytes_of(piece))
        return piece.name

    def _out(self, value: Any) -> Any:
        """Instead of a Part, its place; instead of a column, its form and either its bytes or (place, pieces)."""
        if isinstance(value, Part):
            self._pieces.append(value)
            return len(self._pieces) - 1
        if isinstance(value, np.ndarray) and value.nbytes >= _INLINE:
            flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            return value.dtype.str, value.shape, self._cut(flat)
        return _column_out(value)

    def _cut(self, data: bytes | NDArray[np.uint8]) -> tuple[int, int]:
        first = len(self._pieces)
        self._pieces += [bytes(data[start : start + CHUNK]) for start in range(0, len(data), CHUNK)]
        return first, len(self._pieces) - first


def encode_head(head: Head) -> bytes:
    """As it is stored."""
    return _sealed("", msgspec.msgpack.encode(head))


def decode_head(data: bytes) -> Head:
    """Raises Damaged."""
    try:
        return msgspec.msgpack.decode(_opened("", data), type=Head)
    except msgspec.MsgspecError as error:
        raise Damaged(f"the head is of another program: {error}") from error


def decode_part(name: str, data: bytes) -> bytes:
    """A part as it was before compression. Raises Damaged."""
    return _opened(name, data)


def join(whole: Whole, kind: type[T]) -> T:
    """The opposite of Cut. Raises Damaged where the parts are not of this kind of state."""
    names, parts = whole.head.names, whole.parts

    def back(wanted: Any, value: Any) -> Any:
        if get_origin(wanted) is Part:
            (inside,) = get_args(wanted)
            name = names[value]
            return Part(msgspec.msgpack.decode(parts[name], type=inside, dec_hook=_fixed_column_in), name)
        dtype, shape, data = value
        if isinstance(data, bytes):
            return _column_in(wanted, value)
        first, count = data
        return _joined([parts[name] for name in names[first : first + count]]).view(dtype).reshape(shape)

    try:
        rest = b"".join(parts[name] for name in names[len(names) - whole.head.body :])
        return msgspec.msgpack.decode(rest, type=kind, dec_hook=back)
    except (msgspec.MsgspecError, LookupError) as error:
        raise Damaged(f"the checkpoint is of another program: {error}") from error


def encode(value: Any) -> bytes:
    """One value with all its columns, compressed."""
    return zstandard.compress(_packed(value), _LEVEL)


def decode(data: bytes, kind: type[T]) -> T:
    """The opposite of encode()."""
    return msgspec.msgpack.decode(zstandard.decompress(data), type=kind, dec_hook=_column_in)


def _bytes_of(piece: bytes | Part[Any]) -> bytes:
    return piece if isinstance(piece, bytes) else _packed(piece.value)


def _packed(value: Any) -> bytes:
    """msgpack with columns as (dtype, shape, bytes)."""
    return msgspec.msgpack.encode(value, enc_hook=_column_out)


def _column_out(value: Any) -> Any:
    if isinstance(value, Part):
        return value.value
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    raise NotImplementedError(type(value))


def _column_in(kind: Any, value: Any) -> Any:
    if get_origin(kind) is Part:
        (inside,) = get_args(kind)
        return Part(msgspec.convert(value, inside, dec_hook=_column_in))
    return _fixed_column_in(kind, value).copy()


def _fixed_column_in(_kind: Any, value: Any) -> Any:
    """A column that lies where it was read, and cannot be written to."""
    dtype, shape, data = value
    return np.frombuffer(data, dtype).reshape(shape)


def _joined(pieces: list[bytes]) -> NDArray[np.uint8]:
    """One column of its own."""
    return np.concatenate([np.frombuffer(piece, np.uint8) for piece in pieces])


def _sealed(name: str, raw: bytes) -> bytes:
    """Compressed, behind a hash of what is stored: damage is found before anything believes it."""
    data = zstandard.compress(raw, _LEVEL)
    return _seal(name, data) + data


def _opened(name: str, data: bytes) -> bytes:
    if _seal(name, data[_SEAL:]) != data[:_SEAL]:
        raise Damaged(f"part {name} is not what was kept" if name else "the head is not what was kept")
    return zstandard.decompress(data[_SEAL:])


def _seal(name: str, data: bytes) -> bytes:
    return hashlib.sha256(name.encode() + data, usedforsecurity=False).digest()[:_SEAL]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data, usedforsecurity=False).hexdigest()[:32]
