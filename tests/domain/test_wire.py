"""Bodies as bytes: exact both ways, or a typed error."""

from __future__ import annotations

import struct
import typing
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryptowatcher.domain.records import Beat, Body, ClockStep, Fill, Gap, Held, Ticks, Verdict
from cryptowatcher.domain.ticks import TickBatch, one_instant
from cryptowatcher.domain.wire import LIMIT, Damaged, UnknownRecord, decode_body, encode_body
from tests.domain.schema_1 import WRITTEN as WRITTEN_IN_SCHEMA_1

INT64 = st.integers(-(2**63), 2**63 - 1)
BITS = st.integers(0, 2**64 - 1)
WRITTEN_BY_THIS_RELEASE = bytes.fromhex("0502d1cb664d050282a474797065a5636c6f636ba473746570cd0400")
ONE_OF_EACH = [body for body, _ in WRITTEN_IN_SCHEMA_1] + [
    Fill(one_instant({"bitcoin/usd": 64000.5}, observed_at=1_790_000_000_000), 300_000)
]


@st.composite
def batches(draw: st.DrawFn) -> TickBatch:
    """Any numbers at all, NaNs with payloads too: a codec has no opinion."""
    names = draw(st.lists(st.text(max_size=8), min_size=1, max_size=5, unique=True))
    rows = draw(st.integers(0, 40))
    floats = [draw(arrays(np.uint64, rows, elements=BITS)).view(np.float64) for _ in range(3)]
    starts = draw(st.lists(st.integers(0, rows), max_size=6, unique=True))
    return TickBatch(
        source=draw(st.text(max_size=8)),
        pairs=tuple(names),
        pair=draw(arrays(np.int64, rows, elements=st.integers(0, len(names) - 1))),
        price=floats[0],
        volume=floats[1],
        market_cap=floats[2],
        observed_at=draw(arrays(np.int64, rows, elements=INT64)),
        starts=np.array(sorted(starts), np.int64),
        received_at=draw(st.integers(-(2**62), 2**62)),
        valid_for=draw(st.integers(0, 2**62)),
    )


def bodies() -> st.SearchStrategy[Body]:
    text = st.text(max_size=20)
    return st.one_of(
        st.builds(Ticks, batches()),
        st.builds(Held, batches(), text),
        st.builds(Verdict, batches(), st.booleans(), text),
        st.builds(Fill, batches(), st.integers(0, 2**62)),
        st.just(Beat()),
        st.builds(ClockStep, st.integers(-(2**62), 2**62)),
        st.builds(Gap, text),
    )


def plain(value: object) -> object:
    """Comparable to the last bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, (Ticks, Held, Verdict, Fill, TickBatch)):
        return type(value), [plain(getattr(value, name)) for name in value.__struct_fields__]
    return value


@given(bodies())
@settings(deadline=None)
def test_what_is_decoded_is_what_was_encoded_bit_for_bit(body: Body) -> None:
    assert plain(decode_body(encode_body(body))) == plain(body)


@given(bodies(), st.data())
@settings(deadline=None)
def test_a_flipped_bit_is_never_taken_for_data(body: Body, data: st.DataObject) -> None:
    encoded = encode_body(body)
    bit = data.draw(st.integers(0, 8 * len(encoded) - 1))
    with pytest.raises(Damaged) as caught:
        decode_body(flipped(encoded, bit), 42)
    assert caught.value.seq == 42


@pytest.mark.parametrize("body", ONE_OF_EACH, ids=lambda body: type(body).__name__)
def test_no_bit_of_a_record_can_flip_unseen(body: Body) -> None:
    """Not one of them sends a person to a newer release either."""
    encoded = encode_body(body)
    for bit in range(8 * len(encoded)):
        with pytest.raises(Damaged):
            decode_body(flipped(encoded, bit))


@pytest.mark.parametrize("encoded", [encoded for _, encoded in WRITTEN_IN_SCHEMA_1], ids=lambda it: it[0])
def test_no_bit_of_a_record_of_schema_1_can_flip_unseen(encoded: bytes) -> None:
    for bit in range(8 * len(encoded)):
        with pytest.raises((Damaged, UnknownRecord)):
            decode_body(flipped(encoded, bit))


def test_there_is_one_of_each_kind() -> None:
    assert {type(body) for body in ONE_OF_EACH} == set(typing.get_args(Body))


def flipped(encoded: bytes, bit: int) -> bytes:
    damaged = bytearray(encoded)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


@given(st.binary(max_size=60))
def test_bytes_that_nobody_wrote_are_damage(data: bytes) -> None:
    with pytest.raises((Damaged, UnknownRecord)):
        decode_body(data, 1)


@pytest.mark.parametrize("kept", [0, 1, 5, 6, 7, 8, -1])
def test_a_body_cut_short_is_damage(kept: int) -> None:
    whole = encode_body(Ticks(one_instant({"bitcoin/usd": 1.0}, observed_at=1)))
    with pytest.raises(Damaged):
        decode_body(whole[:kept], 1)


def test_a_newer_schema_is_named() -> None:
    with pytest.raises(UnknownRecord, match="schema 99"):
        decode_body(sealed(4, 99), 7)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UnknownRecord, match="kind 200"):
        decode_body(sealed(200, 2), 7)


def sealed(kind: int, schema: int) -> bytes:
    """A record as a later release will write it."""
    inside = bytes((kind, schema)) + b"whatever it may say"
    return struct.pack("<BBI", kind, schema, zlib.crc32(inside)) + inside


def test_a_body_over_the_limit_is_refused() -> None:
    noise = np.random.default_rng(1).random((3, 30_000))
    prices = {f"coin-{n}/usd": price for n, price in enumerate(noise[0].tolist())}
    batch = one_instant(prices, observed_at=1, volume=noise[1].tolist(), market_cap=noise[2].tolist())
    with pytest.raises(ValueError, match="over the limit of 512 KB: split"):
        encode_body(Ticks(batch))
    half = TickBatch(
        source="x",
        pairs=batch.pairs[:10_000],
        pair=batch.pair[:10_000],
        price=batch.price[:10_000],
        volume=batch.volume[:10_000],
        market_cap=batch.market_cap[:10_000],
        observed_at=batch.observed_at[:10_000],
        starts=batch.starts,
        received_at=1,
        valid_for=1,
    )
    assert len(encode_body(Ticks(half))) <= LIMIT


def test_the_same_names_are_one_tuple() -> None:
    first = encode_body(Ticks(one_instant({"a/usd": 1.0, "b/usd": 2.0}, observed_at=1)))
    second = encode_body(Ticks(one_instant({"a/usd": 3.0, "b/usd": 4.0}, observed_at=2)))
    one, two = decode_body(first), decode_body(second)
    assert isinstance(one, Ticks)
    assert isinstance(two, Ticks)
    assert one.batch.pairs is two.batch.pairs


def test_a_slice_of_a_batch_can_be_encoded() -> None:
    batch = one_instant({f"{n}/usd": n + 0.5 for n in range(10)}, observed_at=1).rows(slice(None, None, 3))
    decoded = decode_body(encode_body(Ticks(batch)))
    assert isinstance(decoded, Ticks)
    assert decoded.batch.price.tolist() == [0.5, 3.5, 6.5, 9.5]


def test_what_this_release_wrote_stays_readable() -> None:
    assert decode_body(WRITTEN_BY_THIS_RELEASE) == ClockStep(1024)


def test_records_are_written_in_the_newest_schema() -> None:
    assert encode_body(ClockStep(1024)) == WRITTEN_BY_THIS_RELEASE


@pytest.mark.parametrize(("body", "encoded"), WRITTEN_IN_SCHEMA_1, ids=lambda it: type(it).__name__)
def test_what_was_written_in_schema_1_is_read_as_before(body: Body, encoded: bytes) -> None:
    assert plain(decode_body(encoded)) == plain(body)


@pytest.mark.parametrize("body", ONE_OF_EACH, ids=lambda body: type(body).__name__)
def test_a_release_that_knows_only_schema_1_finds_a_newer_record_and_no_damage(body: Body) -> None:
    """It looks at the checksum of all that follows it first, and then at the schema in the second byte."""
    encoded = encode_body(body)
    _, schema, checksum = struct.unpack_from("<BBI", encoded)
    assert zlib.crc32(encoded[6:]) == checksum
    assert schema > 1
