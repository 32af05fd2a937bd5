"""Requests that are not quite right: whatever is sent, the answer says what is wrong, never that it is a bug."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptowatcher.domain.deliveries import delivery_id
from tests.web.serving import events, serving, until
from tests.web.test_edge import ROUTES, filled
from tests.web.world import World, alert, rule, world

JSON = {"content-type": "application/json"}
ALERT = alert()


def ask(folder: Path, method: str, path: str, **request: Any) -> httpx.Response:
    """One request to a world with an alert of rule `r1`."""

    async def scenario() -> httpx.Response:
        async with world(folder) as here, here.client() as client:
            await here.watched(alerts=[ALERT])
            return await client.request(method, path, **request)

    return asyncio.run(scenario())


def refused(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    """The problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    return body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" * 30_000, "nested too deeply"),
        (b'{"name":' * 8_000, "nested too deeply"),
        (b'{"name": "\xff\xfe"}', "not UTF-8"),
        (b'{"name": "\\ud800xyz_long_enough"}', "surrogate"),
        (b"9" * 6_000, "range"),
        (b"1e999999", "range"),
        (b"", "the body is empty"),
    ],
)
def test_a_body_that_cannot_be_read_says_why(tmp_path: Path, body: bytes, words: str) -> None:
    assert words in refused(ask(tmp_path, "POST", "/api/v1/rules", content=body, headers=JSON))["detail"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ("name", "pairs", "when", "for", "rearm", "cooldown", "repeat", "advice", "channels", "paused", "other")
)
BODIES = (
    st.binary(max_size=200)
    | ANYTHING.map(msgspec.json.encode)
    | st.dictionaries(FIELDS, ANYTHING, max_size=5).map(lambda wrong: msgspec.json.encode({**rule(), **wrong}))
    | st.builds(
        lambda text, n: text.encode() * n, st.text("[{\"':,", min_size=1, max_size=5), st.integers(1, 9_000)
    )
)


@settings(max_examples=10, deadline=None)
@given(st.lists(BODIES, min_size=10, max_size=30))
def test_no_body_is_a_bug(bodies: list[bytes]) -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with world(Path(folder)) as here, here.client() as client:
                for body in bodies:
                    answer = await client.post("/api/v1/rules", content=body, headers=JSON)
                    assert answer.status_code in (201, 400, 409, 422), (body[:300], answer.text)

    asyncio.run(scenario())


QUERIES = [
    "/api/v1/alerts?{}=",
    "/api/v1/alerts?before=",
    "/api/v1/alerts?rule=",
    "/api/v1/alerts?pair=",
    "/api/v1/alerts?limit=",
    "/api/v1/deliveries?state=",
    "/api/v1/deliveries?alert=",
    "/api/v1/candles/bitcoin/usd?from=",
    "/api/v1/candles/bitcoin/usd?interval=",
    "/api/v1/rules/",
]


@settings(max_examples=6, deadline=None)
@given(st.lists(st.text(max_size=30) | st.binary(max_size=20), min_size=3, max_size=5))
def test_no_query_is_a_bug(values: list[str | bytes]) -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with world(Path(folder)) as here, here.client() as client:
                for value in values:
                    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
                    text = "".join(f"%{byte:02x}" for byte in raw)
                    for path in QUERIES:
                        answer = await client.get(path.format(text) + text)
                        assert answer.status_code in (200, 400, 404), (path, value, answer.text)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "name", "hint"),
    [
        ("/api/v1/candles/bitcoin/usd?intervl=1m", "intervl", "did you mean 'interval'?"),
        (
            "/api/v1/deliveries?delivery_state=sent",
            "delivery_state",
            "parameters are: limit, before, state, alert",
        ),
        ("/api/v1/candles/bitcoin/usd?begin=0", "begin", "parameters are: interval, from, to, limit"),
        ("/api/v1/prices?pair=bitcoin/usd", "pair", "nothing can be asked for here"),
        ("/api/v1/stream?pair=bitcoin/usd", "pair", "nothing can be asked for here"),
    ],
)
def test_a_parameter_that_is_not_there_is_not_passed_over(tmp_path: Path, path: str, name: str, hint: str) -> None:
    body = refused(ask(tmp_path, "GET", path))
    assert name in body["detail"]
    assert [(error["path"], error["hint"]) for error in body["errors"]] == [(name, hint)]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/deliveries?state=foo", "state"),
        ("/api/v1/candles/bitcoin/usd?from=" + "x" * 65, "from"),
        ("/api/v1/candles/bitcoin/usd?to=" + "x" * 65, "to"),
        ("/api/v1/alerts?limit=0", "limit"),
        ("/api/v1/alerts?before=yesterday", "before"),
        (f"/api/v1/alerts?before={delivery_id(ALERT.id, 'ops')}", "before"),
        (f"/api/v1/deliveries?before={ALERT.id}", "before"),
        ("/api/v1/deliveries?alert=7", "alert"),
        ("/api/v1/alerts?rule=no such rule", "rule"),
        ("/api/v1/alerts?pair=bitcoin", "pair"),
        ("/api/v1/alerts?pair=bitcoin/USD", "pair"),
    ],
)
def test_a_parameter_that_cannot_be_is_called_what_the_caller_calls_it(
    tmp_path: Path, path: str, name: str
) -> None:
    (error,) = refused(ask(tmp_path, "GET", path))["errors"]
    assert error["path"] == name


def test_a_pair_without_its_currency_is_told_how_one_is_written(tmp_path: Path) -> None:
    (error,) = refused(ask(tmp_path, "GET", "/api/v1/alerts?pair=bitcoin"))["errors"]
    assert "'bitcoin/usd'" in error["hint"]


def test_alerts_are_picked_by_a_rules_name_too_and_by_the_id_of_a_removed_rule(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            known = (await client.post("/api/v1/rules", json=rule())).json()["id"]
            mine = alert(rule=known)
            await here.watched(alerts=[mine, ALERT])
            for asked, wanted in ((known, mine), ("btc drops", mine), (ALERT.rule, ALERT)):
                answer = await client.get("/api/v1/alerts", params={"rule": asked})
                assert [item["id"] for item in answer.json()["items"]] == [wanted.id]
            last = await client.get("/api/v1/alerts", params={"rule": ALERT.rule, "before": ALERT.id})
            assert last.json() == {"items": [], "notices": [], "next": None}

    asyncio.run(scenario())


GETS = sorted(path for (method, _), (path, _) in ROUTES.items() if method == "GET")
VARYING = ("/metrics", "/health/ready")
"""Their numbers differ from one request to the next, so their length may too."""


def test_head_is_answered_like_get_without_the_body(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            known = await filled(here, client)
            for path in (address.replace("{id}", known) for address in GETS):
                get, head = await client.get(path), await client.head(path)
                assert (head.status_code, head.content) == (get.status_code, b""), path
                same = head.headers.keys() if path not in VARYING else head.headers.keys() - {"content-length"}
                assert {key: head.headers[key] for key in same} == {key: get.headers[key] for key in same}, path
                assert head.headers.keys() == get.headers.keys(), path
            assert (await client.head("/nothing")).status_code == 404
            assert (await client.head(f"/api/v1/rules/{known}/pause")).status_code == 405
            assert (await client.delete("/api/v1/prices")).headers["allow"] == "GET, HEAD, OPTIONS"
            allowed = (await client.get(f"/api/v1/rules/{known}/pause")).headers["allow"]
            assert sorted(allowed.split(", ")) == ["OPTIONS", "POST"]
            assert (await client.head("/", headers={"host": "evil.example"})).status_code == 403

    asyncio.run(scenario())


def test_head_of_the_live_stream_ends_and_keeps_no_place(tmp_path: Path) -> None:
    async def scenario(here: World) -> None:
        here.hub.publish([], [], at=1)
        async with serving(here.app(), here.hub) as server, server.client() as client:
            head = await client.head("/api/v1/stream")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"].startswith("text/event-stream")
            await until(lambda: here.hub.clients == 0)
            async with client.stream("GET", "/api/v1/stream") as answer:
                assert (await anext(events(answer))).name == "snapshot"

    async def main() -> None:
        async with world(tmp_path) as here:
            await scenario(here)

    asyncio.run(main())
