from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryptowatcher.adapters.http import Answer, Http
from cryptowatcher.adapters.sources.coingecko import (
    IDS_LENGTH,
    IDS_PER_CALL,
    CoinGecko,
    CoinGeckoConfig,
    chunked,
)
from cryptowatcher.domain.pairs import check_pair
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Deps, Observations
from tests.adapters.loopback import Behaviour, Loopback, Request, answering, raw, serving

RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "coingecko"
NOW = 1_779_092_300_000
AT = "2026-05-18T08:17:38.123Z"
AT_MS = 1_779_092_258_123
KEY = "CG-hunter2"


class Stopped:
    """A clock that stands."""

    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def secret(*, file: str | None, variable: str | None, where: str) -> str | None:
    return f" {KEY}\n" if file or variable else None


DEPS = Deps(clock=Stopped(), secret=secret, random=Random(1))


def coin(asset: str = "bitcoin", **fields: Any) -> dict[str, Any]:
    usual = {"current_price": 76975.5, "total_volume": 2.9e10, "market_cap": 1.54e12, "last_updated": AT}
    return {"id": asset, "symbol": "x", "name": "X", **usual, **fields}


def fetch(behave: Behaviour, *pages: int, **settings: Any) -> list[Observations]:
    """The pages (page 0 unless named) from a real server through the real client."""

    async def main() -> list[Observations]:
        async with serving(behave) as server:
            config = msgspec.convert({"kind": "coingecko", "base_url": server.url, **settings}, CoinGeckoConfig)
            async with config.open(DEPS) as source:
                return [await source.fetch(page) for page in pages or (0,)]

    return asyncio.run(main())


def one(body: object, **settings: Any) -> Observations:
    """A round of one page from an answer with status 200."""
    if isinstance(body, str):
        body = body.encode()
    headers = {"content-type": "application/json"}
    return fetch(answering(200, body, headers), **settings)[0]


def failure(behave: Behaviour, **settings: Any) -> Unavailable | Refused:
    with pytest.raises((Unavailable, Refused)) as caught:
        fetch(behave, **settings)
    assert isinstance(caught.value, Unavailable | Refused)
    assert "hunter2" not in str(caught.value)
    return caught.value


NAMED: dict[str, Any] = {"top": 0, "ids": ["bitcoin", "ethereum"]}


# --- what is asked ---------------------------------------------------------------------------------


def asked(settings: dict[str, Any], answers: Sequence[object], rounds: int = 1) -> list[Request]:
    """The requests of some rounds against a server that gives these answers in turn."""

    async def main() -> list[Request]:
        left = list(answers)

        async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
            await answering(200, left.pop(0))(request, writer)

        async with serving(behave) as server:
            config = msgspec.convert(
                {"kind": "coingecko", "base_url": f"{server.url}/some/prefix/", **settings}, CoinGeckoConfig
            )
            async with config.open(DEPS) as source:
                for _ in range(rounds):
                    for page in range(source.pages):
                        await source.fetch(page)
            return server.requests

    return asyncio.run(main())


def test_the_top_is_asked_in_explicit_pages_with_full_precision_under_the_prefix() -> None:
    first, second = asked({"top": 300}, [[coin()], []])
    assert first.path == second.path == "/some/prefix/coins/markets"
    usual = {
        "vs_currency": "usd",
        "order": "market_cap_desc",
        "per_page": "250",
        "precision": "full",
        "sparkline": "false",
    }
    assert first.query == {**usual, "page": "1"}
    assert second.query == {**usual, "page": "2"}


def test_named_coins_are_asked_together_with_their_time() -> None:
    (request,) = asked({**NAMED, "currency": "eur"}, [{}])
    assert request.path == "/some/prefix/simple/price"
    assert request.query == {
        "ids": "bitcoin,ethereum",
        "vs_currencies": "eur",
        "include_market_cap": "true",
        "include_24hr_vol": "true",
        "include_last_updated_at": "true",
        "precision": "full",
    }


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({}, None),
        ({"plan": "demo", "key_file": "k"}, "x-cg-demo-api-key"),
        ({"plan": "paid", "key_variable": "K"}, "x-cg-pro-api-key"),
    ],
)
def test_keys_travel_in_the_header_of_their_plan_and_never_in_the_address(
    settings: dict[str, Any], header: str | None
) -> None:
    (request,) = asked({**NAMED, **settings}, [{}])
    sent = {name: value for name, value in request.headers.items() if name.startswith("x-cg")}
    assert sent == ({header: KEY} if header else {})
    assert "hunter2" not in request.target
    assert request.headers["user-agent"].startswith("cryptowatcher/")


def test_named_coins_among_the_top_are_not_asked_again_in_later_rounds() -> None:
    price = {"bitcoin": {"usd": 1, "last_updated_at": 1779092258}}
    requests = asked(
        {"top": 250, "ids": ["bitcoin", "pepe"]},
        [[coin()], price, [coin()], price, [coin("ethereum")], price, [coin()], price],
        rounds=4,
    )
    named = [request.query["ids"] for request in requests if request.path.endswith("/simple/price")]
    assert named == ["bitcoin,pepe", "pepe", "pepe", "bitcoin,pepe"]


def test_when_the_top_covers_every_named_coin_a_round_is_one_call() -> None:
    requests = asked({"top": 250, "ids": ["bitcoin"]}, [[coin()], {}, [coin()], [coin()]], rounds=3)
    assert len(requests) == 4


def test_ids_are_split_by_number_and_by_length_of_the_address() -> None:
    many = [f"c{i}" for i in range(2 * IDS_PER_CALL + 1)]
    assert [len(chunk) for chunk in chunked(many)] == [IDS_PER_CALL, IDS_PER_CALL, 1]
    long = ["é" * 100 + str(i) for i in range(30)]
    chunks = chunked(long)
    assert [asset for chunk in chunks for asset in chunk] == long
    assert all(len("".join(chunk)) * 6 <= IDS_LENGTH * 1.1 for chunk in chunks)
    assert len(chunks) > 2
    assert chunked([]) == []


# --- what is seen ----------------------------------------------------------------------------------


def test_a_page_of_coins_becomes_observations_with_the_sources_own_time() -> None:
    seen = one([coin(), coin("ethereum", current_price=2, total_volume=0, market_cap=None)])
    assert seen.pairs == ("bitcoin/usd", "ethereum/usd")
    assert seen.price.tolist() == [76975.5, 2.0]
    assert seen.volume.tolist() == [2.9e10, 0.0]
    assert seen.market_cap[0] == 1.54e12
    assert math.isnan(seen.market_cap[1])
    assert seen.observed_at.tolist() == [AT_MS, AT_MS]
    assert seen.observed_at.dtype == np.int64
    assert (seen.received_at, seen.unseen) == (NOW, ())


def test_named_coins_become_observations_and_unknown_ones_are_missing() -> None:
    body = {"bitcoin": {"usd": 76975, "usd_market_cap": 1e12, "usd_24h_vol": 2e10, "last_updated_at": 1779092258}}
    seen = one(body, **NAMED)
    assert (seen.pairs, seen.price.tolist()) == (("bitcoin/usd",), [76975.0])
    assert (seen.volume.tolist(), seen.market_cap.tolist()) == ([2e10], [1e12])
    assert seen.observed_at.tolist() == [1779092258000]
    assert seen.unseen == (("ethereum/usd", "missing"),)
    assert one({}, **NAMED).unseen == (("bitcoin/usd", "missing"), ("ethereum/usd", "missing"))


BAD_PRICES = [
    ("null", "null_price"),
    ("0", "not_positive"),
    ("0.0", "not_positive"),
    ("-0.0", "not_positive"),
    ("-1.5", "not_positive"),
    ("NaN", "not_finite"),
    ("Infinity", "not_finite"),
    ("-Infinity", "not_finite"),
    ("1e400", "not_finite"),
    ("1" + "0" * 400, "not_finite"),
    ("1" * 5000, "not_finite"),
    ('"76975"', "not_a_number"),
    ("true", "not_a_number"),
    ("false", "not_a_number"),
    ("{}", "not_a_number"),
    ("[1]", "not_a_number"),
]


@pytest.mark.parametrize(("text", "reason"), BAD_PRICES)
def test_what_is_not_a_price_is_a_reason_and_spoils_no_other_coin(text: str, reason: str) -> None:
    page = json.dumps([coin("good"), coin("bad", current_price="?"), coin("fine")]).replace('"?"', text)
    seen = one(page)
    assert (seen.pairs, seen.unseen) == (("good/usd", "fine/usd"), (("bad/usd", reason),))
    named = json.dumps({"good": {"usd": 1, "last_updated_at": 5}, "bad": {"usd": "?", "last_updated_at": 5}})
    seen = one(named.replace('"?"', text), top=0, ids=["good", "bad"])
    assert (seen.pairs, seen.unseen) == (("good/usd",), (("bad/usd", reason),))


@pytest.mark.parametrize("entry", [{}, {"last_updated_at": 5}, {"eur": 1, "last_updated_at": 5}, None, [], "x"])
def test_a_coin_without_the_currency_has_no_price(entry: object) -> None:
    seen = one({"bitcoin": entry}, top=0, ids=["bitcoin"])
    assert seen.unseen == (("bitcoin/usd", "no_price"),)
    page = [coin("good"), {"id": "bitcoin", "last_updated": AT}]
    assert one(page).unseen == (("bitcoin/usd", "no_price"),)


@pytest.mark.parametrize(
    ("raw_time", "expected"),
    [
        (AT, AT_MS),
        ("2026-05-18T08:17:38.123+00:00", AT_MS),
        ("2026-05-18T10:17:38.123+02:00", AT_MS),
        ("2026-05-18T08:17:38.123", AT_MS),
        (1779092258, 1779092258000),
        (1779092258.5, 1779092258500),
        (1779092258123, AT_MS),
        (1631266145, 1631266145000),
        ("1999-01-01T00:00:00Z", 915148800000),
        ("2999-01-01T00:00:00Z", 32472144000000),
        (None, "no_time"),
        (0, "no_time"),
        (-5, "bad_time"),
        (1e300, "bad_time"),
        (True, "bad_time"),
        ("yesterday", "bad_time"),
        ("", "bad_time"),
        ("0001-01-01T00:00:00Z", "bad_time"),
        ({}, "bad_time"),
    ],
)
def test_times_are_read_in_every_unit_and_old_ones_are_passed_on(raw_time: object, expected: int | str) -> None:
    seen = one([coin(last_updated=raw_time)])
    named = one({"bitcoin": {"usd": 1, "last_updated_at": raw_time}}, top=0, ids=["bitcoin"])
    for answer in (seen, named):
        if isinstance(expected, str):
            assert answer.unseen == (("bitcoin/usd", expected),)
        else:
            assert answer.observed_at.tolist() == [expected]


def test_a_coin_of_which_everything_is_null_is_only_unseen() -> None:
    empty = dict.fromkeys(coin(), None) | {"id": "pyrrhos-gold-token"}
    seen = one([coin(), empty])
    assert seen.unseen == (("pyrrhos-gold-token/usd", "null_price"),)


def test_tiny_prices_keep_all_their_digits() -> None:
    assert one([coin(current_price=2.02027e-10)]).price.tolist() == [2.02027e-10]
    assert one('{"a": {"usd": 2.02027e-10, "last_updated_at": 5}}', top=0, ids=["a"]).price.tolist() == [
        2.02027e-10
    ]


@pytest.mark.parametrize("raw_amount", [-1, "1", None, [], True])
def test_a_volume_or_capitalisation_that_is_none_is_unknown(raw_amount: object) -> None:
    seen = one([coin(total_volume=raw_amount, market_cap=raw_amount)])
    assert np.isnan([seen.volume, seen.market_cap]).all()
    assert math.isnan(one([coin(market_cap=0)]).market_cap[0])


def test_the_same_coin_twice_on_a_page_is_seen_once() -> None:
    page = [coin(current_price=None), coin(current_price=1.0), coin(current_price=2.0)]
    seen = one(page)
    assert (seen.pairs, seen.price.tolist(), seen.unseen) == (("bitcoin/usd",), [1.0], ())


def test_a_coin_whose_rank_moved_between_two_pages_is_seen_once_in_a_round() -> None:
    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        other = "ethereum" if request.query["page"] == "1" else "solana"
        await answering(200, [coin(), coin(other)])(request, writer)

    first, second, again = fetch(behave, 0, 1, 0, top=500)
    assert first.pairs == again.pairs == ("bitcoin/usd", "ethereum/usd")
    assert second.pairs == ("solana/usd",)


def test_no_more_coins_are_taken_than_the_owner_wanted() -> None:
    page = [coin(f"c{i}") for i in range(250)]
    first, second = fetch(answering(200, page), 0, 1, top=252)
    assert (len(first.pairs), len(second.pairs)) == (250, 0)
    assert len(one(page, top=7).pairs) == 7


def test_what_cannot_be_the_name_of_a_coin_is_left_out() -> None:
    page = [coin("a/b"), coin(""), coin("a b"), coin("x" * 300), coin("\ud800"), coin("fine"), {"id": 7}, None, 3]
    assert one(page).pairs == ("fine/usd",)


def test_a_coin_may_be_called_status_or_error() -> None:
    body = {name: {"usd": 1, "last_updated_at": 5} for name in ("status", "error")}
    assert one(body, top=0, ids=["status", "error"]).pairs == ("status/usd", "error/usd")


def test_a_page_beyond_the_end_of_the_list_is_empty_and_fine() -> None:
    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        await answering(200, [coin()] if request.query["page"] == "1" else [])(request, writer)

    assert len(fetch(behave, 0, 1, top=500)[1].pairs) == 0


# --- ways of failing -------------------------------------------------------------------------------


def envelope(code: object, message: str = "no") -> list[object]:
    inner = {"error_code": code, "error_message": message}
    return [{"status": inner}, {"error": {"status": inner}}, {"error": inner}, inner]


CLOUDFLARE = b"<!DOCTYPE html><html><title>Access denied</title><h1>Error <span>1015</span></h1>You are banned"
STATUSES: list[tuple[int, object, type[Exception], str]] = [
    (204, b"", Unavailable, "unexpected_status"),
    (301, b"", Unavailable, "redirected"),
    (400, {"error": "bad"}, Refused, "bad_request"),
    (401, b"", Refused, "bad_key"),
    (402, b"", Refused, "plan"),
    (403, b"", Unavailable, "forbidden"),
    (
        403,
        {"status": {"error_code": 403, "error_message": "add a descriptive User-Agent"}},
        Unavailable,
        "user_agent",
    ),
    (403, {"error": "temporarily unavailable due to ongoing issues"}, Unavailable, "forbidden"),
    (403, b"error code: 1015", Unavailable, "banned"),
    (403, b"error code: 1020", Unavailable, "forbidden"),
    (404, {"error": "coin not found"}, Refused, "not_found"),
    (408, b"", Unavailable, "timeout"),
    (418, b"", Unavailable, "banned"),
    (422, {"error": "Missing parameter vs_currency"}, Refused, "bad_request"),
    (429, {"status": {"error_code": 429, "error_message": "exceeded"}}, Unavailable, "rate_limited"),
    (429, b"Throttled", Unavailable, "rate_limited"),
    (429, b"", Unavailable, "rate_limited"),
    (429, b"error code: 1015", Unavailable, "banned"),
    (429, CLOUDFLARE, Unavailable, "banned"),
    (451, b"", Refused, "geo_blocked"),
    (499, b"", Unavailable, "unexpected_status"),
    (500, b"<html>oops</html>", Unavailable, "server_error"),
    (500, {"status": 500, "error": "Internal Server Error"}, Unavailable, "server_error"),
    (502, b"[" * 50_000, Unavailable, "server_error"),
    (503, b"\xff\xfe", Unavailable, "server_error"),
    (530, b"error code: 1016", Unavailable, "server_error"),
    *((401, body, Refused, "bad_key") for body in envelope(10002)),
    *((403, body, Refused, "plan") for body in envelope(10005)),
    *((400, body, Refused, "wrong_host") for body in envelope(10010)),
    *((400, body, Refused, "wrong_host") for body in envelope("10011")),
    *((401, body, Refused, "plan") for body in envelope(10012)),
    *((503, body, Unavailable, "rate_limited") for body in envelope(429)),
]


@pytest.mark.parametrize(("status", "body", "kind", "reason"), STATUSES)
def test_every_status_is_an_error_that_says_what_to_do(
    status: int, body: object, kind: type[Exception], reason: str
) -> None:
    error = failure(answering(status, body))
    assert (type(error), error.reason) == (kind, reason)


OKAY_AND_YET: list[tuple[bytes | str | object, type[Exception], str]] = [
    ("", Unavailable, "empty"),
    (" \n", Unavailable, "empty"),
    ("<html>maintenance</html>", Unavailable, "not_json"),
    ("Throttled", Unavailable, "rate_limited"),
    ("error code: 1015", Unavailable, "banned"),
    ('[{"id": "bitcoin", "current_pr', Unavailable, "truncated"),
    ('{"bitcoin": {"usd": 1', Unavailable, "truncated"),
    ("[" * 100_000, Unavailable, "truncated"),
    ("[" * 100_000 + "]" * 100_000, Unavailable, "not_json"),
    ("[}", Unavailable, "not_json"),
    (b"\xff\xfe\x00", Unavailable, "not_json"),
    ("null", Unavailable, "wrong_shape"),
    ("17", Unavailable, "wrong_shape"),
    ('"prices"', Unavailable, "wrong_shape"),
    *((body, Unavailable, "error_in_200") for body in envelope(500)),
    *((body, Unavailable, "rate_limited") for body in envelope(429)),
    *((body, Refused, "bad_key") for body in envelope(10002)),
    ({"error": "something"}, Unavailable, "error_in_200"),
    ({"status": {"error_code": 1}}, Unavailable, "error_in_200"),
]


@pytest.mark.parametrize(("body", "kind", "reason"), OKAY_AND_YET)
@pytest.mark.parametrize("settings", [{}, NAMED], ids=["top", "named"])
def test_status_200_proves_nothing(
    body: object, kind: type[Exception], reason: str, settings: dict[str, Any]
) -> None:
    sent = body.encode() if isinstance(body, str) else body
    error = failure(answering(200, sent, {"content-type": "application/json"}), **settings)
    assert (type(error), error.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("body", "settings"), [([], {}), ({}, {}), ({"a": 1}, {}), ([1, 2], {}), ([{"x": 1}], {}), ([], NAMED)]
)
def test_json_of_another_shape_is_no_market(body: object, settings: dict[str, Any]) -> None:
    assert failure(answering(200, body), **settings).reason in ("wrong_shape", "empty")


def test_a_page_for_people_is_not_read_as_prices() -> None:
    page = json.dumps([coin()]).encode()
    assert failure(answering(200, page, {"content-type": "text/html"})).reason == "not_json"


@pytest.mark.parametrize(
    ("header", "expected"), [({}, None), ({"retry-after": "60"}, 60.0), ({"retry-after": "junk"}, None)]
)
@pytest.mark.parametrize("status", [403, 418, 429, 503])
def test_what_the_other_side_asks_us_to_wait_is_passed_on(
    status: int, header: dict[str, str], expected: float | None
) -> None:
    error = failure(answering(status, b"", header))
    assert isinstance(error, Unavailable)
    assert error.retry_after == expected


def test_a_server_that_hangs_or_cuts_is_unavailable() -> None:
    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def cut(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(raw(200, json.dumps([coin()]).encode(), {"content-type": "application/json"})[:-20])
        raise ConnectionError

    assert failure(hang, timeout="50ms").reason == "timeout"
    assert failure(cut).reason == "cut"


def test_after_any_failure_the_next_answer_counts_again() -> None:
    async def main(server: Loopback, source: Any) -> None:
        with pytest.raises(Unavailable):
            await source.fetch(0)
        assert (await source.fetch(0)).pairs == ("bitcoin/usd",)

    async def run() -> None:
        answers = iter([answering(500, b""), answering(200, [coin()])])

        async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
            await next(answers)(request, writer)

        async with serving(behave) as server, CoinGeckoConfig(base_url=server.url).open(DEPS) as source:
            await main(server, source)

    asyncio.run(run())


class Canned(Http):
    """Answers without a network."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        deadline: float,
        max_bytes: int,
    ) -> Answer:
        return self.answer


WELL_FORMED = [
    json.dumps([coin(), coin("ethereum", current_price=None), coin("pepe", current_price=1e-9)]).encode(),
    json.dumps({"bitcoin": {"usd": 1.5, "last_updated_at": 1779092258}, "ethereum": {}}).encode(),
    json.dumps({"status": {"error_code": 429, "error_message": "é"}}).encode(),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real body, some of it cut out, replaced by junk, or written twice."""
    body = draw(st.sampled_from(WELL_FORMED))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(start + 20, len(body))))
        tokens = [b"NaN", b"1e999", b"null", b"[", b"}", b'"', b"-", b"\\ud800", b"\xff", b"true", b"0" * 400]
        junk = draw(st.binary(max_size=4) | st.sampled_from(tokens) | st.just(body[start:end] * 2))
        body = body[:start] + junk + body[end:]
    return body[: draw(st.integers(0, len(body)))] if draw(st.booleans()) else body


async def outcome(source: CoinGecko) -> Observations | Unavailable | Refused:
    try:
        return await source.fetch(0)
    except (Unavailable, Refused) as error:
        return error


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "current_price", "last_updated", "bitcoin", "usd", "status", "error", "error_code"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    body=mutated() | st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
    status=st.sampled_from([200, 200, 200, 200, 403, 429, 500]),
    top=st.sampled_from([0, 1, 250]),
)
@example(body=b'[{"id":"a","current_price":1,"last_updated":"9999-12-31T23:59:59.9+00:00"}]', status=200, top=1)
def test_whatever_comes_back_is_observations_or_one_of_our_errors(body: bytes, status: int, top: int) -> None:
    config = CoinGeckoConfig(top=top, ids=() if top else ("bitcoin", "ethereum"))
    http = Canned(Answer(status, {"content-type": "application/json"}, body))
    seen = asyncio.run(outcome(CoinGecko(config, http, Stopped(), "")))
    if not isinstance(seen, Observations):
        assert seen.reason
        assert str(seen).isprintable()
        return
    assert np.isfinite(seen.price).all()
    assert (seen.price > 0).all()
    assert not (seen.volume < 0).any()
    assert (seen.observed_at > 0).all()
    assert len(set(seen.pairs)) == len(seen.pairs) == len(seen.price) == len(seen.observed_at)
    assert not set(seen.pairs) & {pair for pair, _ in seen.unseen}
    for pair in (*seen.pairs, *(pair for pair, _ in seen.unseen)):
        assert check_pair(pair).encode()


# --- recorded by others in May 2021 ----------------------------------------------------------------


def recorded(name: str) -> list[dict[str, Any]]:
    if not RECORDED.exists():
        pytest.skip("no recorded data")
    exchanges: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text())
    return exchanges


def replaying(exchange: dict[str, Any]) -> Behaviour:
    """Status, body and the headers that do not belong to the connection, as they were."""
    unsuited = {"transfer-encoding", "connection", "content-length", "content-encoding"}
    headers = {k: v[0] for k, v in exchange["headers"].items() if k.lower() not in unsuited}
    return answering(exchange["status"]["code"], json.dumps(exchange["body"]).encode(), headers)


def test_recorded_market_pages_become_observations() -> None:
    (dollars,) = fetch(replaying(recorded("market_data_for_a_coin")[0]))
    assert (dollars.pairs, dollars.price.tolist(), dollars.unseen) == (("bitcoin/usd",), [49053.0], ())
    assert (dollars.volume.tolist(), dollars.market_cap.tolist()) == ([61679663434.0], [917825524991.0])
    assert 0 <= 1_621_094_463_000 - int(dollars.observed_at[0]) < 600_000  # answered at 16:01:03 GMT
    (ether,) = fetch(replaying(recorded("market_data_for_multiple_coins_in_eth")[0]), currency="eth")
    assert ether.price[0] == 12.666344
    assert ether.pairs[0] == "bitcoin/eth"


@pytest.mark.parametrize("name", ["simple_price_for_one_coin", "price_for_multiple_coins", "price_for_one_coin"])
def test_recorded_simple_prices_that_were_asked_without_a_time_are_not_current(name: str) -> None:
    (seen,) = fetch(replaying(recorded(name)[0]), **NAMED)
    assert seen.unseen == (("bitcoin/usd", "no_time"), ("ethereum/usd", "missing"))


def test_every_recorded_exchange_is_observations_or_one_of_our_errors() -> None:
    if not RECORDED.exists():
        pytest.skip("no recorded data")
    outcomes = set()
    for file in sorted(RECORDED.glob("*.json")):
        for exchange in recorded(file.stem):
            for settings in ({}, NAMED):
                try:
                    fetch(replaying(exchange), **settings)
                    outcomes.add("seen")
                except (Unavailable, Refused) as error:
                    outcomes.add(error.reason)
    assert outcomes == {"seen", "bad_request", "server_error", "wrong_shape"}


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "api.coingecko.com"}, "base_url"),
        ({"base_url": "https://"}, "base_url"),
        ({"base_url": "https://u:p@x/"}, "base_url"),
        ({"base_url": "https://x/?a=b"}, "base_url"),
        ({"base_url": "https://x:99999"}, "base_url"),
        ({"base_url": "https://x y"}, "base_url"),
        ({"currency": "US D"}, "currency"),
        ({"every": "often"}, "every"),
        ({"every": "0s"}, "every"),
        ({"timeout": "0s"}, "timeout"),
        ({"ids": ["a,b"]}, "ids"),
        ({"ids": [""]}, "ids"),
        ({"top": 0}, "top"),
        ({"plan": "demo"}, "plan"),
        ({"plan": "keyless", "key_file": "k"}, "plan"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        msgspec.convert({"kind": "coingecko", **settings}, CoinGeckoConfig)
    assert caught.value.where == f"sources.coingecko.{where}"


def test_a_key_that_cannot_be_one_is_not_sent() -> None:
    def smuggler(*, file: str | None, variable: str | None, where: str) -> str | None:
        return "a\r\nx-evil: 1"

    async def main() -> None:
        async with CoinGeckoConfig(plan="demo", key_file="k").open(msgspec.structs.replace(DEPS, secret=smuggler)):
            pass

    with pytest.raises(ConfigError) as caught:
        asyncio.run(main())
    assert caught.value.where == "sources.coingecko.key_file"
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "per_minute", "per_month", "valid_for"),
    [
        ({}, 5, None, 300),
        ({"every": "5m"}, 5, None, 900),
        ({"top": 2500}, 5, None, 360),
        ({"plan": "demo", "key_file": "k"}, 30, 10_000, 804),
        ({"plan": "demo", "key_file": "k", "per_month": 500_000, "per_minute": 100}, 100, 500_000, 300),
        ({"plan": "paid", "key_file": "k"}, 250, None, 300),
    ],
)
def test_the_pace_is_the_plans_unless_set_and_prices_stay_valid_for_three_rounds(
    settings: dict[str, Any], per_minute: int, per_month: int | None, valid_for: int
) -> None:
    config = CoinGeckoConfig(**settings)
    pace = CoinGecko(config, Canned(Answer(200, {}, b"")), Stopped(), "").pace
    assert (pace.per_minute, pace.per_month, round(pace.valid_for / 1000)) == (per_minute, per_month, valid_for)
