"""GET /api/v1/summary: what would be said now, in words and numbers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from cryptowatcher.domain.alerts import Part
from cryptowatcher.domain.reaching import Setting, Wishes
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.testing.contracts.store_case import sample_candle
from tests.web.world import NOW, alert, delivery, price, world

SETTING = Setting(wishes=Wishes(summary="daily 06:00"))
PLAN = SETTING.wishes.plan()
HOUR = 3_600_000
FIVE = 300_000


def test_it_answers_of_the_stretch_so_far(tmp_path: Path) -> None:
    assert PLAN is not None
    begin = PLAN.times.last(NOW)
    end = NOW // FIVE * FIVE
    fired = [alert(NOW - 10_000 * number, pair="bitcoin/usd") for number in range(1, 4)]
    old = msgspec.structs.replace(alert(begin - 1), at=begin - 1)
    back = msgspec.structs.replace(
        alert(NOW - 5_000), kind="back", value=1.0, gap_ms=HOUR, parts=(Part("x/usd", None, 0.0),)
    )
    lost = msgspec.structs.replace(delivery(fired[0]), state="given_up", finished_at=NOW - 1, last_error="no")

    async def scenario() -> dict[str, Any]:
        async with world(tmp_path) as here, here.client(setting=SETTING) as client:
            spec = RuleSpec(name="r", pairs=("bitcoin/usd",), when="price > 1")
            await here.store.run(lambda tx: tx.save_rule(LOCAL_OWNER, spec, head=0, now=0))
            await here.watched(
                alerts=[*fired, old, back],
                deliveries=[lost],
                prices=[price("bitcoin/usd", 70_000.0)],
                candles=[
                    sample_candle("bitcoin/usd", FIVE, begin - FIVE, 50_000.0),
                    sample_candle("bitcoin/usd", FIVE, end - FIVE, 55_000.0),
                ],
            )
            answer = await client.get("/api/v1/summary")
            assert answer.status_code == 200
            found: dict[str, Any] = answer.json()
            return found

    found = asyncio.run(scenario())
    assert found["title"].startswith("Daily summary: 3 alerts")
    assert found["body"].startswith("From ")
    assert (found["begin_ms"], found["end_ms"], found["alerts"]) == (begin, NOW, 3)
    assert [(each["alerts"], each["pair"]) for each in found["rules"]] == [(3, "bitcoin/usd")]
    assert [(each["pair"], round(each["move"], 9)) for each in found["moves"]] == [("bitcoin/usd", 0.1)]
    assert found["given_up"] == [{"channel": lost.channel, "count": 1, "why": "no"}]
    assert found["unseen"] == [{"pairs": ["x/usd"], "count": 1, "unseen_ms": HOUR, "times": 1, "since_ms": None}]


def test_where_nothing_happened_it_answers_of_today(tmp_path: Path) -> None:
    async def scenario() -> dict[str, Any]:
        async with world(tmp_path) as here, here.client() as client:
            found: dict[str, Any] = (await client.get("/api/v1/summary")).json()
            return found

    found = asyncio.run(scenario())
    assert (found["title"], found["alerts"], found["sent"]) == ("Daily summary: no alerts", 0, 0)
    assert found["begin_ms"] == NOW // 86_400_000 * 86_400_000
