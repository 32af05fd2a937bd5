"""Alerts, deliveries and sources as the API answers them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cryptowatcher.domain.alerts import Part
from cryptowatcher.domain.deliveries import hold
from cryptowatcher.domain.status import BlindPair, SourceStatus
from tests.web.world import NOW, alert, delivery, source, world

ALERTS = [alert(NOW + n, rule=f"r{n % 2}", pair="bitcoin/usd" if n < 3 else "ethereum/usd") for n in range(5)]
NEWEST_FIRST = [a.id for a in sorted(ALERTS, key=lambda a: a.id, reverse=True)]


def ask(tmp_path: Path, *paths: str, sources: Sequence[SourceStatus] = (), **effects: Any) -> list[Any]:
    """The answers' bodies."""

    async def scenario() -> list[Any]:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(**effects)
            await here.seen(*sources)
            return [(await client.get(path)).json() for path in paths]

    return asyncio.run(scenario())


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["id"] for item in answer["items"]]


def test_pages_of_alerts_join_without_gap_or_repeat(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        found: list[str] = []
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(alerts=ALERTS)
            query = {"limit": "2"}
            while True:
                answer = (await client.get("/api/v1/alerts", params=query)).json()
                found += ids(answer)
                if answer["next"] is None:
                    return found
                query["before"] = answer["next"]

    assert asyncio.run(scenario()) == NEWEST_FIRST


def test_alerts_are_picked_by_rule_and_pair(tmp_path: Path) -> None:
    by_rule, by_pair, both = ask(
        tmp_path,
        "/api/v1/alerts?rule=r1",
        "/api/v1/alerts?pair=ethereum/usd",
        "/api/v1/alerts?pair=ethereum%2Fusd&rule=r1",
        alerts=ALERTS,
    )
    assert {item["rule"] for item in by_rule["items"]} == {"r1"}
    assert len(ids(by_rule)) == 2
    assert len(ids(by_pair)) == 2
    assert len(ids(both)) == 1


def test_one_alert_says_what_was_compared(tmp_path: Path) -> None:
    wanted = ALERTS[2]
    (answer,) = ask(tmp_path, f"/api/v1/alerts/{wanted.id}", alerts=ALERTS)
    assert answer["id"] == wanted.id
    assert (answer["previous"], answer["value"], answer["constant"]) == (69_999.0, 70_001.0, 70_000.0)
    assert answer["event_time_ms"] == wanted.event_time


@pytest.mark.parametrize("unknown", ["x", "0" * 11 + "-" + "0" * 20, "f" * 11 + "-" + "f" * 20, "%00"])
def test_an_alert_that_is_not_there_is_a_404(tmp_path: Path, unknown: str) -> None:
    (answer,) = ask(tmp_path, f"/api/v1/alerts/{unknown}", alerts=ALERTS)
    assert answer["status"] == 404


def test_another_owners_alerts_and_deliveries_are_not_there(tmp_path: Path) -> None:
    theirs = alert(owner="somebody")
    listed, one, sent = ask(
        tmp_path,
        "/api/v1/alerts",
        f"/api/v1/alerts/{theirs.id}",
        "/api/v1/deliveries",
        alerts=[theirs],
        deliveries=[delivery(theirs)],
    )
    assert (listed["items"], one["status"], sent["items"]) == ([], 404, [])


def test_deliveries_show_their_receipts_and_are_picked_by_state_and_alert(tmp_path: Path) -> None:
    sent = delivery(ALERTS[0], state="sent", attempts=2, receipt="200 OK", finished_at=NOW + 9)
    waiting = delivery(ALERTS[1], "phone", state="retrying", attempts=1, last_error="503")
    every, by_state, by_alert, wrong = ask(
        tmp_path,
        "/api/v1/deliveries",
        "/api/v1/deliveries?state=sent",
        f"/api/v1/deliveries?alert={ALERTS[1].id}",
        "/api/v1/deliveries?state=lost",
        alerts=ALERTS,
        deliveries=[sent, waiting],
    )
    assert ids(every) == sorted([sent.id, waiting.id], reverse=True)
    assert ids(by_state) == [sent.id]
    assert ids(by_alert) == [waiting.id]
    assert (by_state["items"][0]["receipt"], by_state["items"][0]["finished_at_ms"]) == ("200 OK", NOW + 9)
    assert (by_alert["items"][0]["last_error"], by_alert["items"][0]["finished_at_ms"]) == ("503", None)
    assert wrong["status"] == 400


def test_a_source_says_what_it_cannot_see_and_what_is_left_of_its_budget(tmp_path: Path) -> None:
    blind = source(
        "kraken",
        "blind",
        reason="timeout",
        last_ok_at=0,
        calls_this_month=17,
        calls_per_month=10_000,
        blind_pairs=(BlindPair("bitcoin/usd", "null_price", NOW - 5),),
    )
    (answer,) = ask(tmp_path, "/api/v1/sources", sources=[blind, source("coingecko")])
    first, second = answer["items"]
    assert (first["source"], first["state"]) == ("coingecko", "ok")
    assert (second["state"], second["reason"], second["last_ok_at_ms"]) == ("blind", "timeout", None)
    assert (second["calls_this_month"], second["calls_per_month"]) == (17, 10_000)
    assert second["blind_pairs"] == [{"pair": "bitcoin/usd", "reason": "null_price", "since_ms": NOW - 5}]


def test_an_alert_shows_its_parts_and_what_was_suppressed(tmp_path: Path) -> None:
    composite = alert(parts=(Part("rsi(14, 1h) < 30", 25.5, 30.0), Part("rank <= 10", None, 10.0)), suppressed=12)
    (listed,) = ask(tmp_path, "/api/v1/alerts", alerts=[composite, ALERTS[1]])
    by_id = {item["id"]: item for item in listed["items"]}
    assert by_id[composite.id]["parts"] == [
        {"text": "rsi(14, 1h) < 30", "value": 25.5, "constant": 30.0},
        {"text": "rank <= 10", "value": None, "constant": 10.0},
    ]
    assert by_id[composite.id]["suppressed"] == 12
    assert (by_id[ALERTS[1].id]["parts"], by_id[ALERTS[1].id]["suppressed"]) == ([], 0)


def test_a_held_delivery_says_until_when_and_why(tmp_path: Path) -> None:
    held = hold(delivery(ALERTS[0]), until=NOW + 5, why="active hours 08:00-22:00", now=NOW)
    (listed,) = ask(tmp_path, "/api/v1/deliveries", alerts=ALERTS[:1], deliveries=[held])
    (item,) = listed["items"]
    assert (item["kind"], item["state"], item["due_at_ms"]) == ("alert", "queued", NOW + 5)
    assert (item["held_until_ms"], item["held"]) == (NOW + 5, "active hours 08:00-22:00")


def test_an_alert_is_acknowledged_once_and_says_when(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(alerts=ALERTS)
            path = f"/api/v1/alerts/{ALERTS[0].id}"
            assert (await client.get(path)).json()["acknowledged_at_ms"] is None
            here.clock.at += 5
            first = await client.post(f"{path}/ack")
            assert (first.status_code, first.json()["acknowledged_at_ms"]) == (200, NOW + 5)
            here.clock.at += 5
            assert (await client.post(f"{path}/ack")).json() == first.json()
            assert (await client.get(path)).json()["acknowledged_at_ms"] == NOW + 5
            listed = (await client.get("/api/v1/alerts")).json()["items"]
            assert {each["id"]: each["acknowledged_at_ms"] for each in listed if each["acknowledged_at_ms"]} == {
                ALERTS[0].id: NOW + 5
            }
            for wrong in (alert(NOW + 99).id, "nothing"):
                assert (await client.post(f"/api/v1/alerts/{wrong}/ack")).status_code == 404

    asyncio.run(scenario())


def test_the_alerts_of_somebody_else_are_not_there_to_be_acknowledged(tmp_path: Path) -> None:
    theirs = msgspec.structs.replace(ALERTS[0], owner="another")

    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(alerts=[theirs])
            assert (await client.post(f"/api/v1/alerts/{theirs.id}/ack")).status_code == 404
            assert await here.store.run(lambda tx: tx.acknowledged([theirs.id])) == {}

    asyncio.run(scenario())
