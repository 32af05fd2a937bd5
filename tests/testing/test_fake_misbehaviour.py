from __future__ import annotations

import asyncio
import gzip
import json
import math
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from cryptowatcher.errors import ConfigError
from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.misbehaviour import MISBEHAVIOURS, Misbehaviour, parse_misbehaviour
from tests.testing.talking import MARKETS, NOW, PRICES, Client, raw, talk
from tests.testing.test_fake_charts import ABOUT_CHARTS


class Hands:
    """A clock that is set by hand."""

    now = NOW

    def __call__(self) -> int:
        return self.now


Look = Callable[[httpx.Response], object]
ABOUT_STATUS: dict[str, tuple[int, Look, object]] = {
    "rate_limited": (429, lambda a: ("retry-after" in a.headers, a.json()["status"]["error_code"]), (False, 429)),
    "rate_limited_seconds": (429, lambda a: a.headers["retry-after"], "60"),
    "rate_limited_date": (
        429,
        lambda a: parsedate_to_datetime(a.headers["retry-after"]).timestamp() - NOW // 1000,
        60,
    ),
    "rate_limited_absurd": (429, lambda a: a.headers["retry-after"], "315360000"),
    "rate_limited_garbage": (429, lambda a: a.headers["retry-after"], "soon-ish"),
    "throttled": (429, lambda a: (a.headers["content-type"], a.text), ("text/plain", "Throttled")),
    "banned": (429, lambda a: "text/html" in a.headers["content-type"] and "1015" in a.text, True),
    "firewalled": (403, lambda a: "text/html" in a.headers["content-type"] and "1020" in a.text, True),
    "no_user_agent": (403, lambda a: "User-Agent" in a.text, True),
    "switched_off": (403, lambda a: "temporarily unavailable" in a.text, True),
    "bad_key": (401, lambda a: a.json()["status"]["error_code"], 10002),
    "request_timeout": (408, lambda a: a.json()["status"]["error_code"], 408),
    "unprocessable": (422, lambda a: "error" in a.json(), True),
    "server_error": (500, lambda a: a.headers["content-type"], "text/html"),
    "unavailable": (503, lambda a: ("retry-after" in a.headers, a.headers["content-type"]), (False, "text/html")),
    "html_200": (200, lambda a: a.headers["content-type"], "text/html"),
    "error_200": (200, lambda a: a.json()["status"]["error_code"], 429),
    "empty_body": (200, lambda a: a.content, b""),
    "empty_object": (200, lambda a: a.json(), {}),
    "empty_list": (200, lambda a: a.json(), []),
    "nested": (200, lambda a: a.content, b"[" * 100_000),
    "huge": (200, lambda a: len(a.content), 10_000_002),
}


@pytest.mark.parametrize("kind", ABOUT_STATUS)
def test_it_answers_with_the_wrong_status_or_body(kind: str) -> None:
    status, look, seen = ABOUT_STATUS[kind]

    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind=kind))
        answer = await client.get(MARKETS)
        assert (answer.status_code, look(answer)) == (status, seen)
        fake.behave()
        assert len((await client.get(MARKETS)).json()) == 250

    talk(main)


ABOUT_CONNECTIONS: dict[str, type[Exception]] = {
    "cut_before_headers": httpx.RemoteProtocolError,
    "cut_in_headers": httpx.RemoteProtocolError,
    "cut_in_body": httpx.RemoteProtocolError,
    "garbage": httpx.RemoteProtocolError,
    "reset": httpx.ReadError,
    "redirect_loop": httpx.TooManyRedirects,
}


@pytest.mark.parametrize("kind", ABOUT_CONNECTIONS)
def test_it_breaks_the_conversation(kind: str) -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind=kind))
        with pytest.raises(ABOUT_CONNECTIONS[kind]):
            await client.get(MARKETS, follow_redirects=True)
        fake.behave()
        assert (await client.get(MARKETS)).status_code == 200

    talk(main)


def test_cuts_happen_where_they_say() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        whole = await raw(fake.url, PRICES)
        head, _, _ = whole.partition(b"\r\n\r\n")
        cut = {}
        for kind in ("cut_before_headers", "cut_in_headers", "cut_in_body"):
            fake.misbehave(Misbehaviour(kind=kind, times=1))
            cut[kind] = await raw(fake.url, PRICES)
        assert cut["cut_before_headers"] == b""
        assert head.startswith(cut["cut_in_headers"])
        assert 0 < len(cut["cut_in_headers"]) < len(head)
        assert whole.startswith(cut["cut_in_body"])
        assert len(head) + 4 < len(cut["cut_in_body"]) < len(whole)

    talk(main)


def test_truncated_json_is_complete_http() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        whole = (await client.get(PRICES)).text
        fake.misbehave(Misbehaviour(kind="truncated_json"))
        answer = await client.get(PRICES)
        assert answer.status_code == 200
        assert whole.startswith(answer.text)
        with pytest.raises(json.JSONDecodeError):
            answer.json()

    talk(main)


@pytest.mark.parametrize("kind", ["hang", "slow"])
def test_a_hanging_or_slow_answer_has_not_come_when_others_have(kind: str) -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind=kind, value=3600, only="/coins/markets"))
        waiting = asyncio.create_task(client.get(MARKETS, timeout=None))
        await fake.wait_for(1)
        assert (await client.get("/ping")).status_code == 200
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    talk(main)


def test_a_slow_answer_comes_whole_in_the_end() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind="slow", value=0.01))
        assert len((await client.get(MARKETS)).json()) == 250

    talk(main)


def test_a_drip_gives_the_first_byte_alone_and_the_whole_in_the_end() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind="drip", value=3600, times=1))
        parts = urlsplit(fake.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"GET /api/v3/ping HTTP/1.1\r\nUser-Agent: tests\r\n\r\n")
        assert await reader.read(1000) == b"H"
        writer.close()
        await writer.wait_closed()
        fake.misbehave(Misbehaviour(kind="drip", value=0))
        assert (await client.get("/ping")).json() == {"gecko_says": "(V3) To the Moon!"}

    talk(main)


def test_a_gzip_bomb_is_small_on_the_wire_and_large_unpacked() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind="gzip_bomb", value=20))
        _, _, body = (await raw(fake.url, MARKETS)).partition(b"\r\n\r\n")
        assert len(body) < 50_000
        assert len(gzip.decompress(body)) == 20_000_000

    talk(main)


ABOUT_PRICES: dict[str, Callable[[float, str], bool]] = {
    "null_price": lambda honest, text: text == "null",
    "zero_price": lambda honest, text: text == "0",
    "negative_price": lambda honest, text: float(text) == -honest,
    "nan_price": lambda honest, text: text == "NaN",
    "infinite_price": lambda honest, text: text == "Infinity",
    "overflow_price": lambda honest, text: text == "1e400",
    "text_price": lambda honest, text: text == f'"{honest}"',
    "true_price": lambda honest, text: text == "true",
    "object_price": lambda honest, text: text == "{}",
    "spike": lambda honest, text: math.isclose(float(text), honest * 40_000),
    "collapse": lambda honest, text: math.isclose(float(text), honest / 40_000),
    "absurd": lambda honest, text: not 0.02 < float(text) / honest < 50,
}


@pytest.mark.parametrize("kind", ABOUT_PRICES)
@pytest.mark.parametrize(("path", "before"), [(MARKETS, '"current_price":'), (PRICES, '"usd":')])
def test_it_lies_about_the_price_of_the_chosen_coin_on_both_paths(kind: str, path: str, before: str) -> None:
    def texts(answer: httpx.Response) -> list[str]:
        return [part.partition(",")[0] for part in answer.text.split(before)[1:]]

    async def main(fake: FakeCoinGecko, client: Client) -> None:
        honest = texts(await client.get(path))
        fake.misbehave(Misbehaviour(kind=kind, coins=("ethereum",), times=1))
        told = texts(await client.get(path))
        assert ABOUT_PRICES[kind](float(honest[1]), told[1])
        assert told[:1] + told[2:] == honest[:1] + honest[2:]
        fake.misbehave(Misbehaviour(kind=kind))
        everywhere = texts(await client.get(path))
        assert all(ABOUT_PRICES[kind](float(a), b) for a, b in zip(honest, everywhere, strict=True))

    talk(main)


@pytest.mark.parametrize(("kind", "seconds"), [("old", -157_680_000), ("future", 31_536_000)])
def test_it_lies_about_the_time(kind: str, seconds: int) -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind=kind))
        (row, *_) = (await client.get(MARKETS)).json()
        assert datetime.fromisoformat(row["last_updated"]).timestamp() == NOW / 1000 + seconds
        assert (await client.get(PRICES)).json()["bitcoin"]["last_updated_at"] == NOW // 1000 + seconds

    talk(main)


def test_time_stamps_can_be_null_or_in_the_wrong_unit() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind="no_time", times=2))
        assert (await client.get(MARKETS)).json()[0]["last_updated"] is None
        assert (await client.get(PRICES)).json()["bitcoin"]["last_updated_at"] is None
        fake.misbehave(Misbehaviour(kind="millisecond_time"))
        assert (await client.get(PRICES)).json()["bitcoin"]["last_updated_at"] == NOW // 1000 * 1000

    talk(main)


def test_frozen_answers_stand_still_and_stuck_prices_only_in_their_price() -> None:
    clock = Hands()

    async def main(fake: FakeCoinGecko, client: Client) -> None:
        seen: dict[str, list[dict[str, Any]]] = {}
        for kind in ("frozen", "stuck_price"):
            fake.misbehave(Misbehaviour(kind=kind))
            seen[kind] = []
            for clock.now in (NOW, NOW + 60_000):
                seen[kind].append((await client.get(PRICES)).json()["bitcoin"])
            fake.behave()
        honest = (await client.get(PRICES)).json()["bitcoin"]
        first, second = seen["frozen"]
        assert first == second != honest
        first, second = seen["stuck_price"]
        assert first["usd"] == second["usd"] != honest["usd"]
        assert second["last_updated_at"] - first["last_updated_at"] == 60

    talk(main, clock=clock)


def test_coins_and_fields_go_missing() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        for kind, on_markets, on_prices in (
            ("missing_ids", None, None),
            ("missing_fields", {"id", "symbol", "name"}, set()),
            ("all_null", {"id", "symbol", "name"}, set()),
        ):
            fake.misbehave(Misbehaviour(kind=kind, coins=("bitcoin",)))
            rows = {row["id"]: row for row in (await client.get(MARKETS)).json()}
            prices = (await client.get(PRICES)).json()
            assert _known(rows.get("bitcoin")) == on_markets
            assert _known(prices.get("bitcoin")) == on_prices
            assert rows["ethereum"]["current_price"] == prices["ethereum"]["usd"] > 0
            fake.behave()

    talk(main)


def _known(row: dict[str, Any] | None) -> set[str] | None:
    return None if row is None else {name for name, value in row.items() if value is not None}


def test_coins_come_twice_or_uninvited() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind="duplicates", coins=("bitcoin",), times=1))
        twice = [row["current_price"] for row in (await client.get(MARKETS)).json() if row["id"] == "bitcoin"]
        assert twice[1] == pytest.approx(twice[0] * 1.01)
        fake.misbehave(Misbehaviour(kind="strangers"))
        assert (await client.get(MARKETS)).json()[-1]["id"] == "unasked-coin"
        assert "unasked-coin" in (await client.get(PRICES)).json()

    talk(main)


def test_every_misbehaviour_has_a_line_and_a_test_here() -> None:
    tested_by_hand = {
        *("truncated_json", "hang", "slow", "drip", "gzip_bomb", "old", "future", "no_time", "millisecond_time"),
        *("frozen", "stuck_price", "missing_ids", "missing_fields", "all_null", "duplicates", "strangers"),
    }
    elsewhere = {*ABOUT_STATUS, *ABOUT_CONNECTIONS, *ABOUT_PRICES, *ABOUT_CHARTS}
    assert MISBEHAVIOURS.keys() == tested_by_hand | elsewhere
    assert all(line.endswith(".") for line in MISBEHAVIOURS.values())


def test_it_misbehaves_so_many_times_and_only_where_told() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind="server_error", times=2, only="/coins/markets"))
        paths = (PRICES, MARKETS, PRICES, MARKETS, MARKETS)
        assert [(await client.get(path)).status_code for path in paths] == [200, 500, 200, 500, 200]

    talk(main)


def test_misbehaviours_add_up_in_the_order_they_were_asked_for() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.misbehave(Misbehaviour(kind="old", coins=("bitcoin",), value=100))
        fake.misbehave(Misbehaviour(kind="null_price", coins=("ethereum",)))
        prices = (await client.get(PRICES)).json()
        assert prices["bitcoin"]["last_updated_at"] == NOW // 1000 - 100
        assert prices["ethereum"]["usd"] is None

    talk(main)


def test_a_misbehaviour_can_be_written_in_one_word_or_with_settings() -> None:
    assert parse_misbehaviour("hang") == Misbehaviour(kind="hang")
    written = parse_misbehaviour("spike:coins=bitcoin+ethereum,times=3,value=10.5,only=/simple")
    assert written == Misbehaviour(
        kind="spike", coins=("bitcoin", "ethereum"), times=3, value=10.5, only="/simple"
    )
    for wrong in ("hung", "hang:time=3", "hang:times=many", "hang:3"):
        with pytest.raises(ConfigError, match=wrong):
            parse_misbehaviour(wrong)
