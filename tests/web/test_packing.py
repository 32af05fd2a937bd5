"""A stream that is packed once for everybody: whoever begins anywhere and misses what they like can read it."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.web.live import Hub
from cryptowatcher.web.packing import GZIP_HEAD, gzip_block, takes_gzip
from tests.processes import PATIENCE
from tests.web.serving import events, serving
from tests.web.world import NOW, price, world


@given(st.lists(st.binary(max_size=300), max_size=6), st.data())
def test_blocks_can_be_read_in_any_order_as_soon_as_they_are_there(
    messages: list[bytes], data: st.DataObject
) -> None:
    blocks = {message: gzip_block(message) for message in messages}
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert reader.decompress(GZIP_HEAD) == b""
    for _ in range(4 if messages else 0):
        message = data.draw(st.sampled_from(messages))
        assert reader.decompress(blocks[message]) == message


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("identity", False),
        ("x-gzip", False),
        ("", False),
    ],
)
def test_gzip_is_sent_to_who_takes_it(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) is takes


def test_what_is_packed_is_packed_once_for_all() -> None:
    hub = Hub("h")
    hub.publish([price("a/usd", 1.0)], at=NOW)
    first, other = hub.after(-1, "one"), hub.after(-1, "other")
    assert first is not None
    assert other is not None
    assert hub.packed(first) is hub.packed(other)


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_a_client_that_takes_gzip_and_one_that_does_not_are_told_the_same(tmp_path: Path, accepted: str) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            here.hub.follow(LOCAL_OWNER, [])
            here.hub.publish([price("a/usd", 1.0)], at=NOW)
            headers = {"accept-encoding": accepted}
            async with serving(here.app(), here.hub) as server, server.client() as client:
                asking = client.stream("GET", "/api/v1/stream", headers=headers)
                async with asking as answer, aclosing(events(answer)) as live:
                    assert answer.headers.get("content-encoding", "identity") == accepted
                    assert answer.headers["vary"] == "accept-encoding"
                    assert (await anext(live)).name == "snapshot"
                    for number in range(3):
                        here.hub.publish([price("a/usd", 2.0 + number)], at=NOW + number)
                        told = await anext(live)
                        assert (told.name, told.data["prices"][0]["price"]) == ("prices", 2.0 + number)

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))
