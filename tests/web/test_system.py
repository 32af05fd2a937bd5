"""GET /api/v1/system, /coverage and /doctor: what the watcher sees, what it does not, and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cryptowatcher.domain.canary import CanaryRounds
from cryptowatcher.domain.findings import Told
from cryptowatcher.domain.status import BlindPair, Pulse
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.web.past_hour import PastHour
from tests.web.world import MINUTE, NOW, Broken, World, alert, candle, delivery, price, source, world

Act = Callable[[World], Awaitable[None]]
FIVE = 5 * MINUTE


def look(tmp_path: Path, act: Act, path: str = "/api/v1/system", **deps: Any) -> Any:
    """The answer in a healthy world in which something then happens."""

    async def scenario() -> Any:
        async with world(tmp_path) as here, here.client(**deps) as client:
            await here.healthy()
            await act(here)
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            return answer.json()

    return asyncio.run(scenario())


async def nothing(here: World) -> None:
    del here


async def some_blind(here: World) -> None:
    await here.watched(prices=[price("old/usd", 1.0, at=NOW - 20 * MINUTE)])
    await here.seen(source(blind_pairs=(BlindPair("old/usd", "missing", NOW - 9 * MINUTE),)))


async def all_blind(here: World) -> None:
    here.clock.at += 20 * MINUTE
    await here.append()
    await here.watched()
    await here.seen(source(state="blind", reason="connect", detail="refused", since=NOW + 5 * MINUTE))


async def limited(here: World) -> None:
    await here.seen(source(state="limited", reason="rate_limited", detail="too many calls"))


async def unsent(here: World) -> None:
    this = alert()
    waiting = delivery(this, due_at=NOW - 5 * MINUTE)
    await here.watched(alerts=[this], deliveries=[waiting])


async def behind(here: World) -> None:
    await here.append()
    here.clock.at += MINUTE
    await here.append()


@pytest.mark.parametrize(
    ("act", "kind", "since", "said"),
    [
        (nothing, "watched", None, ""),
        (some_blind, "pairs_blind", NOW - 20 * MINUTE, ""),
        (all_blind, "blind", NOW, "coingecko: refused"),
        (limited, "limited", NOW, "coingecko: too many calls"),
        (unsent, "unsent", NOW - 5 * MINUTE, ""),
        (behind, "broken", None, "watch: "),
    ],
)
def test_the_one_thing_to_know(tmp_path: Path, act: Act, kind: str, since: int | None, said: str) -> None:
    found = look(tmp_path, act)
    verdict = found["verdict"]
    assert (verdict["kind"], verdict["since_ms"]) == (kind, since)
    assert verdict["detail"].startswith(said)
    assert bool(verdict["todo"]) == (kind not in ("watched", "pairs_blind"))


def test_a_pipeline_that_says_nothing_comes_before_all_else(tmp_path: Path) -> None:
    found = look(tmp_path, all_blind, pulse=lambda: Pulse(at=NOW), pulse_age=lambda: 7.0)
    assert found["verdict"]["kind"] == "silent"
    assert found["verdict"]["since_ms"] == NOW + 20 * MINUTE - 7_000


def test_everything_red_says_what_to_do(tmp_path: Path) -> None:
    found = look(tmp_path, all_blind)
    red = [check for check in found["checks"] if not check["ok"]]
    assert [check["name"] for check in red] == ["source:coingecko"]
    assert all(check["todo"] for check in red)
    assert "cryptowatcher check --online" in found["sources"][0]["todo"]
    assert {check["todo"] for check in found["checks"] if check["ok"]} == {""}


def test_pairs_that_are_not_seen_are_named_with_the_reason_in_words(tmp_path: Path) -> None:
    found = look(tmp_path, some_blind)
    assert (found["current"], found["blind_count"], found["left"]) == (1, 1, 0)
    (blind,) = found["blind"]
    assert (blind["pair"], blind["since_ms"], blind["reason"]) == ("old/usd", NOW - 20 * MINUTE, "missing")
    assert "misspelt" in blind["why"]


def test_a_store_that_cannot_be_read_is_an_answer_too(tmp_path: Path) -> None:
    broken: Any = Broken(Unavailable("gone", reason="disk_error"))
    found = look(tmp_path, nothing, reads=broken)
    assert found["verdict"]["kind"] == "broken"
    assert found["verdict"]["detail"] == "store: cannot be read: disk_error"
    assert (found["sources"], found["current"]) == ([], 0)


def test_the_last_hour_is_told_of_source_way_and_canary(tmp_path: Path) -> None:
    meters, hour = Meters(started_at=NOW - MINUTE), PastHour()
    hour.take(NOW, meters.exposition())
    meters.asked("coingecko", "ok", 0.1)
    meters.asked("coingecko", "rate_limited", 0.1)
    meters.rejected("coingecko", ["held", "held", "unchanged"])
    meters.accepted("coingecko", 1, 0.003)
    meters.canary_came_round(0.02, NOW)
    meters.attempted("canary", "sent", 0.1)
    hour.take(NOW + 1, meters.exposition())
    found = look(tmp_path, nothing, past_hour=hour, canary=CanaryRounds(MINUTE, True))
    (here,) = found["sources"]
    assert here["asked"] == {"ok": 1, "rate_limited": 1}
    assert here["rejected"] == {"held": 2, "unchanged": 1}
    assert (here["journaled"], here["age_p50_ms"]) == ({"count": 1, "p50": 0.005, "p99": 0.005}, 0)
    assert found["lags"]["whole_way"]["count"] == 1
    assert found["dead_man"] == {
        "every_ms": MINUTE, "tells": True, "last_round_ms": NOW, "ok": True, "ended": {"sent": 1}
    }  # fmt: skip
    assert found["started_at_ms"] == NOW - MINUTE


@pytest.mark.parametrize(("began", "ok"), [(NOW - MINUTE, None), (NOW - 4 * MINUTE, False)])
def test_a_canary_that_never_came_round_is_red_after_three_rounds(
    tmp_path: Path, began: int, ok: bool | None
) -> None:
    hour = PastHour()
    hour.take(NOW, Meters(started_at=began).exposition())
    found = look(tmp_path, nothing, past_hour=hour, canary=CanaryRounds(MINUTE, False))
    assert found["dead_man"]["ok"] is ok


def test_an_answer_is_worked_out_once_a_second(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        async with world(tmp_path) as here, here.client() as client:
            await here.healthy()
            held = []
            for step in (0, 999, 1):
                here.clock.at += step
                await here.seen(source(held=here.clock.at - NOW))
                held.append((await client.get("/api/v1/system")).json()["held"])
            return held

    assert asyncio.run(scenario()) == [0, 0, 1000]


def test_what_the_disk_holds_is_told_and_the_page_of_the_store_once_it_is_known(tmp_path: Path) -> None:
    async def scenario() -> list[Any]:
        async with world(tmp_path) as here, here.client(data_dir=tmp_path) as client:
            await here.healthy()
            first = (await client.get("/api/v1/system")).json()["storage"]
            here.clock.at += 60 * MINUTE
            return [first, (await client.get("/api/v1/system")).json()["storage"]]

    first, later = asyncio.run(scenario())
    assert first["files"].keys() == {"journal", "store"}
    assert first["free"] > 0
    assert (first["store_a_day"], later["store_a_day"] is None) == (None, False)


def test_coverage_tells_what_was_watched_told_and_never_known_the_worst_first(tmp_path: Path) -> None:
    quarter = NOW - 15 * MINUTE  # a whole cell of three candles
    seen = [candle(quarter + at * FIVE, FIVE, pair="well/usd") for at in range(3)]
    told = [candle(quarter + at * FIVE, FIVE, pair="told/usd", observed_ms=0) for at in range(3)]

    async def act(here: World) -> None:
        prices = [price(f"{name}/usd", 1.0, at=NOW - 3_600_000) for name in ("well", "told", "bitcoin")]
        await here.watched(prices=prices, candles=[*seen, *told])

    found = look(tmp_path, act, "/api/v1/coverage?hours=24")
    assert (found["step_ms"], found["from_ms"]) == (15 * MINUTE, NOW - 95 * 15 * MINUTE)
    cells = dict(zip(found["pairs"], found["cells"], strict=True))
    assert {len(each) for each in found["cells"]} == {96}
    assert cells["well/usd"] == "." * 94 + "w."
    assert cells["told/usd"] == "." * 94 + "t."
    assert found["pairs"][-1] == "well/usd"
    assert found["watched"][-1] == pytest.approx(1 / 96, abs=1e-4)


@pytest.mark.parametrize("hours", ["0", "169", "x"])
def test_coverage_says_how_far_back_it_goes(tmp_path: Path, hours: str) -> None:
    async def scenario() -> Any:
        async with world(tmp_path) as here, here.client() as client:
            return await client.get(f"/api/v1/coverage?hours={hours}")

    assert asyncio.run(scenario()).status_code == 400


def test_the_doctor_can_be_asked_where_there_is_one(tmp_path: Path) -> None:
    finding = Told("data", "space", "warning", "little is free", "make room")
    found = look(tmp_path, nothing, "/api/v1/doctor", examine=lambda: [finding])
    assert found["items"] == [
        {"section": "data", "name": "space", "state": "warning", "said": "little is free", "todo": "make room"}
    ]

    async def scenario() -> Any:
        async with world(tmp_path) as here, here.client() as client:
            return await client.get("/api/v1/doctor")

    answer = asyncio.run(scenario())
    assert answer.status_code == 409
    assert "cryptowatcher doctor" in answer.json()["detail"]
