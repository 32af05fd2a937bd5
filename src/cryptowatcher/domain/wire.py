"""Bodies of journal records as bytes.

    body    = kind (u8) · schema (u8) · CRC-32 of all that follows (u32, little endian) · sealed
    sealed  = kind (u8) · schema (u8) · payload
    payload = MessagePack of the kind's fields; a tick batch inside it is `_Batch`

Kind and schema stand twice: outside, where every release looks for the schema, and under the checksum. So a
flipped bit of theirs is seen, and a release that knows only an older schema still finds the checksum right and
says that the record is newer. Every later schema keeps this much. In schema 1 they stood only outside.

A batch's numbers are one Zstandard block: the five columns as 64-bit words, then the starts. Whole numbers are
stored as differences, and bytes of equal weight lie together, because neighbours then repeat. Everything is
exact, bit for bit, NaN payloads included. The pair names travel in each record, as a block of their own that
is made and read once for the same names.
"""

from __future__ import annotations

import struct
import threading
import zlib
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from cryptowatcher.domain.records import Beat, Body, ClockStep, Fill, Gap, Held, Ticks, Verdict
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.errors import ConfigError

LIMIT = 512 * 1024
"""The longest body, in bytes: one row of a database, one message of a stream."""

_SCHEMA = 2
_UNSEALED = 1
"""The schema whose checksum is of the payload alone."""
_HEADER = struct.Struct("<BBI")
_SEALED = struct.Struct("<BB")
_COLUMNS = 5
_MOST_WORDS = 16 * 1024 * 1024
_MOST_NAMES = 64 * 1024 * 1024


class Damaged(ConfigError):
    """The bytes of record `seq` are not what was written. A person must restore the journal."""

    def __init__(self, seq: int, what: str) -> None:
        hint = "restore the journal from a backup, or move it away to begin a new one"
        super().__init__(f"record {seq} of the journal is damaged: {what}", hint=hint)
        self.seq = seq


class UnknownRecord(ConfigError):
    """Record `seq` is of a kind or schema that this release does not know."""

    def __init__(self, seq: int, what: str) -> None:
        hint = "it was written by a newer release: run that one, or a newer one"
        super().__init__(f"record {seq} of the journal has {what}", hint=hint)
        self.seq = seq


class _Batch(msgspec.Struct, frozen=True, array_like=True):
    source: str
    received_at: int
    valid_for: int
    rows: int
    instants: int
    names: bytes
    numbers: bytes


# Of schema 1 a verdict whose kind has lost a bit would be these ticks and something more.
class _Ticks(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    batch: _Batch


class _Held(msgspec.Struct, frozen=True, array_like=True):
    batch: _Batch
    reason: str


class _Verdict(msgspec.Struct, frozen=True, array_like=True):
    batch: _Batch
    accepted: bool
    evidence: str
    anew: bool = False


class _Fill(msgspec.Struct, frozen=True, array_like=True):
    batch: _Batch
    interval: int


_PLAIN: tuple[tuple[int, Any], ...] = ((4, Beat), (5, ClockStep), (6, Gap))
_FORMS: dict[int, tuple[Any, Any]] = {
    1: (Ticks, _Ticks),
    2: (Held, _Held),
    3: (Verdict, _Verdict),
    7: (Fill, _Fill),
}
_KINDS: dict[type, int] = {body: kind for kind, (body, _) in _FORMS.items()} | {
    body: kind for kind, body in _PLAIN
}
_PACK = msgspec.msgpack.Encoder()
_UNPACK = {kind: msgspec.msgpack.Decoder(form) for kind, (_, form) in _FORMS.items()} | {
    kind: msgspec.msgpack.Decoder(body) for kind, body in _PLAIN
}
_LEVEL = -1
"""2 % larger than level 1 and half the time: most of a price's bits are noise to any codec."""
_local = threading.local()  # contexts of Zstandard may not be shared by threads


def encode_body(body: Body) -> bytes:
    """A body as at most 512 KB. ValueError when it is longer: split the batch and append its parts."""
    payload = _PACK.encode(_to_wire(body))
    kind = _KINDS[type(body)]
    sealed = _SEALED.pack(kind, _SCHEMA) + payload
    size = _HEADER.size + len(sealed)
    if size > LIMIT:
        raise ValueError(f"a record of {size // 1024} KB is over the limit of {LIMIT // 1024} KB: split the batch")
    return _HEADER.pack(kind, _SCHEMA, zlib.crc32(sealed)) + sealed


def decode_body(data: bytes, seq: int = 0) -> Body:
    """The body of record `seq`. Raises Damaged or UnknownRecord."""
    if len(data) < _HEADER.size:
        raise Damaged(seq, f"only {len(data)} bytes are left of it")
    kind, schema, checksum = _HEADER.unpack_from(data)
    payload = memoryview(data)[_HEADER.size :]
    if zlib.crc32(payload) != checksum:
        raise Damaged(seq, "its checksum is wrong")
    if schema != _UNSEALED:
        if payload[: _SEALED.size] != _SEALED.pack(kind, schema):
            raise Damaged(seq, "its kind or its schema is not what was written")
        payload = payload[_SEALED.size :]
    if schema not in (_UNSEALED, _SCHEMA):
        raise UnknownRecord(seq, f"schema {schema}, this release knows {_SCHEMA}")
    if kind not in _UNPACK:
        raise UnknownRecord(seq, f"the unknown kind {kind}")
    try:
        return _from_wire(kind, _UNPACK[kind].decode(payload))
    except (msgspec.MsgspecError, zstandard.ZstdError, ValueError, TypeError, MemoryError) as error:
        raise Damaged(seq, str(error)) from error


def _to_wire(body: Body) -> Any:
    match body:
        case Ticks(batch):
            return _Ticks(_pack_batch(batch))
        case Held(batch, reason):
            return _Held(_pack_batch(batch), reason)
        case Verdict(batch, accepted, evidence, anew):
            return _Verdict(_pack_batch(batch), accepted, evidence, anew)
        case Fill(batch, interval):
            return _Fill(_pack_batch(batch), interval)
        case _:
            return body


def _from_wire(kind: int, wire: Any) -> Body:
    body: Body = wire
    if kind in _FORMS:
        batch, *rest = msgspec.structs.astuple(wire)
        body = _FORMS[kind][0](_unpack_batch(batch), *rest)
    return body


def _pack_batch(batch: TickBatch) -> _Batch:
    words = np.empty((_COLUMNS, len(batch)), np.int64)
    words[0] = _differences(batch.pair)
    words[1] = _differences(batch.observed_at)
    words[2:] = [np.asarray(column, np.float64).view(np.int64) for column in _floats(batch)]
    starts = _differences(batch.starts)
    return _Batch(
        source=batch.source,
        received_at=batch.received_at,
        valid_for=batch.valid_for,
        rows=len(batch),
        instants=len(starts),
        names=_pack_names(batch.pairs),
        numbers=_compressor().compress(_by_weight(words) + _by_weight(starts[None])),
    )


def _unpack_batch(wire: _Batch) -> TickBatch:
    words_in_columns = _COLUMNS * wire.rows
    count = words_in_columns + wire.instants
    if wire.rows < 0 or wire.instants < 0 or count > _MOST_WORDS:
        raise ValueError(f"{wire.rows} rows in {wire.instants} instants cannot be")
    raw = _decompressor().decompress(wire.numbers, max_output_size=8 * count)
    if len(raw) != 8 * count:
        raise ValueError(f"{len(raw)} bytes of numbers where {8 * count} belong")
    words = _by_word(raw[: 8 * words_in_columns], _COLUMNS, wire.rows)
    starts = _by_word(raw[8 * words_in_columns :], 1, wire.instants)
    return TickBatch(
        source=wire.source,
        pairs=_unpack_names(wire.names),
        pair=np.cumsum(words[0]),
        observed_at=np.cumsum(words[1]),
        price=words[2].view(np.float64),
        volume=words[3].view(np.float64),
        market_cap=words[4].view(np.float64),
        starts=np.cumsum(starts[0]),
        received_at=wire.received_at,
        valid_for=wire.valid_for,
    )


def _floats(batch: TickBatch) -> tuple[NDArray[np.float64], ...]:
    columns = (batch.price, batch.volume, batch.market_cap)
    return tuple(np.ascontiguousarray(column) for column in columns)


def _differences(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first value and the steps between neighbours; overflow wraps, and wraps back when summed."""
    steps = np.array(values, np.int64)
    steps[1:] -= steps[:-1].copy()
    return steps


def _by_weight(words: NDArray[np.int64]) -> bytes:
    """k rows of n words → k × 8 × n bytes: all lowest bytes of a row, then all next ones."""
    rows, length = words.shape
    return words.view(np.uint8).reshape(rows, length, 8).transpose(0, 2, 1).tobytes()


def _by_word(raw: bytes, rows: int, length: int) -> NDArray[np.int64]:
    octets = np.frombuffer(raw, np.uint8).reshape(rows, 8, length)
    words = np.ascontiguousarray(octets.transpose(0, 2, 1)).view(np.int64)
    return words.reshape(rows, length)


@lru_cache(maxsize=256)
def _pack_names(names: tuple[str, ...]) -> bytes:
    return _compressor().compress(_PACK.encode(names))


@lru_cache(maxsize=256)
def _unpack_names(block: bytes) -> tuple[str, ...]:
    raw = _decompressor().decompress(block, max_output_size=_MOST_NAMES)
    return _NAMES.decode(raw)


_NAMES = msgspec.msgpack.Decoder(tuple[str, ...])


def _compressor() -> zstandard.ZstdCompressor:
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    compressor: zstandard.ZstdCompressor = _local.compressor
    return compressor


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    decompressor: zstandard.ZstdDecompressor = _local.decompressor
    return decompressor
