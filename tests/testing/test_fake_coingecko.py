from __future__ import annotations

import asyncio
import math
from datetime import datetime

import httpx
import numpy as np
import pytest

from cryptowatcher.testing.fake_coingecko import DEMO_KEY, PRO_KEY, FakeCoinGecko
from cryptowatcher.testing.market import Market, Snapshot
from cryptowatcher.testing.misbehaviour import MISBEHAVIOURS, Misbehaviour
from cryptowatcher.testing.serve_fake import serve
from tests.testing.talking import AGENT, MARKET, MARKETS, NOW, PRICES, Client, talk


class Hands:
    """A clock that is set by hand."""

    now = NOW

    def __call__(self) -> int:
        return self.now


# --- honest answers ----------------------------------------------------------------------------------

MARKET_FIELDS = [
    "id", "symbol", "name", "image", "current_price", "market_cap", "market_cap_rank",
    "fully_diluted_valuation", "total_volume", "high_24h", "low_24h", "price_change_24h",
    "price_change_percentage_24h", "market_cap_change_24h", "market_cap_change_percentage_24h",
    "circulating_supply", "total_supply", "max_supply", "ath", "ath_change_percentage", "ath_date", "atl",
    "atl_change_percentage", "atl_date", "roi", "last_updated",
]  # fmt: skip


def test_a_page_of_markets_has_every_documented_field_and_the_tapes_prices() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        answer = await client.get(MARKETS)
        rows = answer.json()
        assert (len(rows), answer.headers["total"], answer.headers["per-page"]) == (250, "300", "250")
        assert list(rows[0]) == MARKET_FIELDS
        tape = {coin.id: price for coin, price in zip(MARKET.coins, MARKET.at(NOW).price.tolist(), strict=True)}
        assert all(row["current_price"] == tape[row["id"]] for row in rows)
        assert [row["market_cap_rank"] for row in rows] == list(range(1, 251))
        caps = [row["market_cap"] for row in rows]
        assert caps == sorted(caps, reverse=True)
        assert datetime.fromisoformat(rows[0]["last_updated"]).timestamp() * 1000 == NOW
        assert any(row["max_supply"] is None for row in rows)

    talk(main)


def test_pages_follow_one_another_and_a_page_is_100_unless_said_and_250_at_most() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        first, second = (await client.get(MARKETS)).json(), (await client.get(MARKETS + "&page=2")).json()
        assert (len(first), len(second)) == (250, 50)
        assert not {row["id"] for row in first} & {row["id"] for row in second}
        assert len((await client.get("/coins/markets?vs_currency=usd")).json()) == 100
        assert len((await client.get("/coins/markets?vs_currency=usd&per_page=9999")).json()) == 250
        assert (await client.get(MARKETS + "&page=99")).json() == []

    talk(main)


def test_markets_can_be_asked_for_ids_in_another_order_and_currency() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        ids = "ids=bitcoin,ethereum,no-such-coin&precision=full"
        rows = (await client.get(f"/coins/markets?vs_currency=btc&{ids}&order=id_desc")).json()
        assert [row["id"] for row in rows] == ["ethereum", "bitcoin"]
        assert rows[1]["current_price"] == pytest.approx(1.0)
        assert (await client.get(f"/coins/markets?vs_currency=gold&{ids}")).status_code == 422
        missing = await client.get(f"/coins/markets?{ids}")
        assert (missing.status_code, missing.json()) == (422, {"error": "Missing parameter vs_currency"})

    talk(main)


def test_simple_price_gives_what_was_asked_for_and_leaves_unknown_ids_out() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        flags = "include_market_cap=true&include_24hr_vol=true&include_24hr_change=true"
        url = f"/simple/price?ids=bitcoin,no-such-coin, ethereum&vs_currencies=usd,eur,gold&{flags}"
        document = (await client.get(url)).json()
        assert list(document) == ["bitcoin"]  # blanks are part of an id, as in reality
        names = {"usd", "eur"} | {
            f"{c}_{n}" for c in ("usd", "eur") for n in ("market_cap", "24h_vol", "24h_change")
        }
        assert document["bitcoin"].keys() == names
        assert (await client.get("/simple/price?ids=nothing&vs_currencies=usd")).json() == {}
        stamped = (await client.get(PRICES)).json()["ethereum"]
        assert stamped == {"usd": float(MARKET.at(NOW).price[1]), "last_updated_at": NOW // 1000}

    talk(main)


def test_without_full_precision_prices_are_rounded() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.set_price("bitcoin", 76_975.4321)
        for precision, price in (("", 76_975), ("&precision=full", 76_975.4321), ("&precision=2", 76_975.43)):
            answer = await client.get(f"/simple/price?ids=bitcoin&vs_currencies=usd{precision}")
            assert answer.json() == {"bitcoin": {"usd": price}}

    talk(main)


def test_ping_list_and_unknown_paths_answer_as_in_reality() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        assert (await client.get("/ping")).json() == {"gecko_says": "(V3) To the Moon!"}
        listed = (await client.get("/coins/list")).json()
        assert listed[0] == {"id": "bitcoin", "symbol": "btc", "name": "Bitcoin"}
        assert len(listed) == 300
        assert (await client.get("/no/such/path")).status_code == 404
        gone = await client.get("/coins/no-such-coin/market_chart?vs_currency=usd&days=1")
        assert (gone.status_code, gone.json()) == (404, {"error": "coin not found"})

    talk(main)


def test_charts_end_now_and_lie_on_the_documented_grid() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        for days, step in ((1, 300_000), (30, 3_600_000), (180, 86_400_000)):
            chart = (await client.get(f"/coins/bitcoin/market_chart?vs_currency=usd&days={days}")).json()
            assert chart.keys() == {"prices", "market_caps", "total_volumes"}
            times = [ms for ms, _ in chart["prices"]]
            assert times[-1] == NOW
            assert all(ms % step == 0 for ms in times[:-1])
            assert len(times) == days * 86_400_000 // step + 1
        assert chart["prices"][-1][1] == float(MARKET.at(NOW).price[0])
        old = await client.get("/coins/bitcoin/market_chart?vs_currency=usd&days=366")
        assert (old.status_code, old.json()["error"]["status"]["error_code"]) == (401, 10012)

    talk(main)


def test_ohlc_encloses_its_open_and_close() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        rows = (await client.get("/coins/ethereum/ohlc?vs_currency=usd&days=7")).json()
        assert len(rows) == 42
        assert all(
            low <= min(opened, closed) <= max(opened, closed) <= high for _, opened, high, low, closed in rows
        )
        assert (await client.get("/coins/ethereum/ohlc?vs_currency=usd&days=4")).status_code == 400

    talk(main)


def test_changes_and_sparklines_come_when_asked_for() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        wanted = "&ids=bitcoin&sparkline=true&price_change_percentage=1h,7d"
        (row,) = (await client.get("/coins/markets?vs_currency=usd" + wanted)).json()
        assert len(row["sparkline_in_7d"]["price"]) == 168
        assert row["price_change_percentage_1h_in_currency"] is not None
        assert row["price_change_percentage_7d_in_currency"] is not None

    talk(main)


def test_what_the_tape_does_not_know_is_null() -> None:
    class Gappy(Market):
        def at(self, ms: int) -> Snapshot:
            nothing = np.full(len(self.coins), math.nan)
            return Snapshot(at=ms, price=nothing, volume=nothing, day_ago=nothing, high=nothing, low=nothing)

    async def main() -> None:
        async with (
            FakeCoinGecko(Gappy(seed=1, coins=3)) as fake,
            Client(headers=AGENT, verify=False, timeout=60) as client,
        ):
            (row, *_) = (await client.get(fake.url + MARKETS)).json()
            assert (row["current_price"], row["market_cap"], row["market_cap_rank"]) == (None, None, None)
            assert (await client.get(fake.url + PRICES)).json()["bitcoin"]["usd"] is None

    asyncio.run(main())


def test_time_stamps_move_with_the_clock_or_once_a_cache_period() -> None:
    clock = Hands()

    async def main(fake: FakeCoinGecko, client: Client) -> None:
        stamps = []
        for clock.now in (NOW, NOW + 1000, NOW + 60_000):
            stamps.append((await client.get(PRICES)).json()["bitcoin"]["last_updated_at"] - NOW // 1000)
        fake.cache = 60
        cached = set()
        for clock.now in range(NOW - NOW % 60_000, NOW - NOW % 60_000 + 60_000, 10_000):
            cached.add((await client.get(PRICES)).text)
        assert stamps == [0, 1, 60]
        assert len(cached) == 1

    talk(main, clock=clock)


def test_a_price_that_was_set_stays_until_it_is_given_back() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        fake.set_price("bitcoin", 1.5)
        (row,) = (await client.get("/coins/markets?vs_currency=usd&ids=bitcoin&precision=full")).json()
        assert (row["current_price"], row["low_24h"]) == (1.5, 1.5)
        fake.clear_price("bitcoin")
        assert (await client.get(PRICES)).json()["bitcoin"]["usd"] == float(MARKET.at(NOW).price[0])
        with pytest.raises(ValueError, match="bitcone"):
            fake.set_price("bitcone", 1.0)

    talk(main)


# --- refusals that need no misbehaviour --------------------------------------------------------------


@pytest.mark.parametrize("agent", ["", "python-httpx/0.28.1", "python-requests/2.32"])
def test_who_does_not_say_who_he_is_gets_403(agent: str) -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        answer = await client.get("/ping", headers={"User-Agent": agent})
        assert answer.status_code == 403
        assert "User-Agent" in answer.json()["status"]["error_message"]

    talk(main)


@pytest.mark.parametrize(
    ("plan", "headers", "code"),
    [
        ("any", {}, None),
        ("any", {"x-cg-demo-api-key": DEMO_KEY}, None),
        ("any", {"x-cg-pro-api-key": PRO_KEY}, None),
        ("any", {"x-cg-demo-api-key": "wrong"}, 10002),
        ("public", {"x-cg-demo-api-key": DEMO_KEY}, None),
        ("public", {"x-cg-pro-api-key": PRO_KEY}, 10010),
        ("pro", {"x-cg-pro-api-key": PRO_KEY}, None),
        ("pro", {"x-cg-demo-api-key": DEMO_KEY}, 10011),
        ("pro", {}, 10002),
    ],
)
def test_keys_are_taken_where_they_belong(plan: str, headers: dict[str, str], code: int | None) -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        answer = await client.get("/ping", headers=headers)
        if code is None:
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.json()["status"]["error_code"]) == (401, code)

    talk(main, plan=plan)


def test_above_the_limit_it_says_when_to_come_back_and_refused_calls_count_too() -> None:
    clock = Hands()

    async def main(fake: FakeCoinGecko, client: Client) -> None:
        statuses = [(await client.get("/ping")).status_code for _ in range(4)]
        clock.now = NOW + 20_000
        late = await client.get("/ping")
        clock.now = NOW + 60_001
        assert [*statuses, (await client.get("/ping")).status_code] == [200, 200, 429, 429, 200]
        assert (late.status_code, late.headers["retry-after"]) == (429, "40")

    talk(main, clock=clock, per_minute=2)


def test_it_remembers_every_request_but_not_the_control_calls() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        await client.get("/ping", headers={"x-cg-demo-api-key": DEMO_KEY})
        await client.get(fake.control)
        await client.get(PRICES)
        ping, prices = fake.requests
        assert (ping.method, ping.path, ping.at) == ("GET", "/api/v3/ping", NOW)
        assert ping.headers["x-cg-demo-api-key"] == DEMO_KEY
        assert prices.query["ids"] == "bitcoin,ethereum"

    talk(main)


def test_it_can_be_controlled_from_outside() -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        wish = {"kind": "unavailable", "value": 5, "times": 2}
        state = (await client.post(fake.control + "/misbehave", json=wish)).json()
        assert state["misbehaving"][0]["kind"] == "unavailable"
        assert (await client.get(PRICES)).headers["retry-after"] == "5"
        assert (await client.get(fake.control)).json()["misbehaving"][0]["times"] == 1
        await client.post(fake.control + "/behave")
        await client.post(fake.control + "/price", json={"coin": "bitcoin", "price": 7.5})
        assert (await client.get(PRICES)).json()["bitcoin"]["usd"] == 7.5
        await client.post(fake.control + "/price", json={"coin": "bitcoin", "price": None})
        assert (await client.get(PRICES)).json()["bitcoin"]["usd"] == float(MARKET.at(NOW).price[0])
        wrong = await client.post(fake.control + "/misbehave", json={"kind": "spik"})
        assert (wrong.status_code, "did you mean 'spike'" in wrong.json()["error"]) == (422, True)
        assert (await client.get(fake.control)).json()["kinds"] == dict(MISBEHAVIOURS)

    talk(main)


def test_it_serves_until_it_is_cancelled_and_says_when_it_is_ready() -> None:
    async def main() -> None:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        throttled = Misbehaviour(kind="throttled", times=1)
        serving = asyncio.create_task(
            serve("127.0.0.1", 0, MARKET, misbehaviours=[throttled], ready=lambda fake: ready.set_result(fake.url))
        )
        url = await ready
        async with Client(headers=AGENT, verify=False, timeout=60) as client:
            assert [(await client.get(url + "/ping")).status_code for _ in range(2)] == [429, 200]
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            with pytest.raises(httpx.TransportError):
                await client.get(url + "/ping")

    asyncio.run(main())
