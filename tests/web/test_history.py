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
from cryptowatcher.web.alerts import AT_ONCE
from tests.web.world import MINUTE, NOW, alert, candle, delivery, price, rule, source, world

HOUR = 60 * MINUTE

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


def test_alerts_are_picked_by_advice_time_and_whether_they_were_acknowledged(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            buy = alert(NOW + 9, advice="buy")
            await here.watched(alerts=[*ALERTS, buy])
            await client.post(f"/api/v1/alerts/{ALERTS[2].id}/ack")

            async def asked(query: str) -> list[str]:
                return ids((await client.get(f"/api/v1/alerts?{query}")).json())

            assert await asked("advice=buy") == await asked("advice=signal") == [buy.id]
            assert await asked("advice=sell") == []
            assert await asked("acknowledged=true") == [ALERTS[2].id]
            assert await asked("acknowledged=false&kind=all") == [
                buy.id, *(id_ for id_ in NEWEST_FIRST if id_ != ALERTS[2].id)
            ]  # fmt: skip
            assert await asked(f"from={NOW + 1}&to={NOW + 3}") == [ALERTS[2].id, ALERTS[1].id]
            assert await asked(f"to={NOW + 3}&before={ALERTS[1].id}") == [ALERTS[0].id]
            for wrong in ("advice=hold", "from=soon", "acknowledged=perhaps", "kind=edge"):
                assert (await client.get(f"/api/v1/alerts?{wrong}")).status_code == 400, wrong

    asyncio.run(scenario())


def test_notices_stand_beside_alerts_where_they_are_asked_for(tmp_path: Path) -> None:
    blind = alert(NOW + 7, kind="blind", rule="", pair="", parts=(Part("bitcoin/usd", None, 0.0),), value=1.0)
    expired = alert(NOW + 8, kind="expired", rule_name="old one")
    over = alert(NOW + 6, kind="resolved")
    every, alerts, sights, first, ended = ask(
        tmp_path,
        "/api/v1/alerts?kind=all",
        "/api/v1/alerts",
        "/api/v1/alerts?kind=sight",
        "/api/v1/alerts?kind=all&limit=1",
        "/api/v1/alerts?kind=resolved",
        alerts=[*ALERTS, over, blind, expired],
    )
    assert ids(every) == ids(alerts) == NEWEST_FIRST
    assert [(each["id"], each["kind"]) for each in every["notices"]] == [
        (expired.id, "expired"), (blind.id, "blind"), (over.id, "resolved")
    ]  # fmt: skip
    assert (ended["items"], [each["id"] for each in ended["notices"]]) == ([], [over.id])
    assert (alerts["notices"], sights["items"]) == ([], [])
    assert sights["notices"][0]["title"] == "bitcoin/usd is not seen"
    assert (first["next"], first["items"], len(first["notices"])) == (expired.id, [], 1)


def test_what_the_price_did_after_an_alert_is_told_when_it_is_known(tmp_path: Path) -> None:
    earlier, this = alert(NOW), alert(NOW + 2 * HOUR)

    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            after = candle(NOW + HOUR - MINUTE, ohlc=(1, 80_000, 1, 77_001.1))
            seen = price("bitcoin/usd", 1.0, at=NOW + 2 * HOUR)
            await here.watched(alerts=[earlier, this], candles=[after], prices=[seen])
            here.clock.at = NOW + 2 * HOUR
            full = (await client.get(f"/api/v1/alerts/{this.id}")).json()
            assert [each["state"] for each in full["outcomes"]] == ["waiting"] * 3
            assert full["outcomes"][0]["at_ms"] == NOW + 3 * HOUR
            hour = full["earlier"][0]["outcomes"][0]
            assert (hour["state"], hour["price"], round(hour["move"], 6)) == ("known", 77_001.1, 0.1)
            listed = (await client.get("/api/v1/alerts?outcomes=true")).json()["items"]
            assert listed[1]["outcomes"] == full["earlier"][0]["outcomes"]
            assert (await client.get("/api/v1/alerts")).json()["items"][1]["outcomes"] == []

    asyncio.run(scenario())


def test_one_alert_says_how_well_its_pair_was_observed_and_what_became_of_its_rule(tmp_path: Path) -> None:
    minutes = [candle(NOW - n * MINUTE) for n in range(1, 31)]

    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            made = (await client.post("/api/v1/rules", json=rule(when="price >= 70000"))).json()
            this = alert(NOW, rule=made["id"])
            await here.watched(alerts=[this, ALERTS[1]], candles=minutes)
            full = (await client.get(f"/api/v1/alerts/{this.id}")).json()
            assert [(each["of_ms"], each["observed_ms"]) for each in full["observed"]] == [
                (HOUR, HOUR // 2), (24 * HOUR, 0)
            ]  # fmt: skip
            assert full["words"] == "When the price of bitcoin/usd rises to 70000 or above."
            numbers = {"value": 70_001.0, "previous": 69_999.0, "constant": 70_000.0}
            assert full["compared"] == [{"text": "price >= 70000", "unit": "price", **numbers}]
            assert (full["rule_now"]["version"], full["rule_now"]["snoozed_until_ms"]) == (1, None)
            await client.post(f"/api/v1/rules/{made['id']}/snooze", json={"for": "1h"})
            full = (await client.get(f"/api/v1/alerts/{this.id}")).json()
            assert full["rule_now"]["snoozed_until_ms"] == NOW + HOUR
            assert (await client.get(f"/api/v1/alerts/{ALERTS[1].id}")).json()["rule_now"] is None

    asyncio.run(scenario())


def test_a_condition_that_nobody_can_read_any_more_has_no_words(tmp_path: Path) -> None:
    old = alert(NOW, condition="moon_phase(1d) > 3")
    (answer,) = ask(tmp_path, f"/api/v1/alerts/{old.id}", alerts=[old])
    assert (answer["words"], answer["compared"][0]["unit"]) == ("", "number")


def test_several_alerts_are_acknowledged_at_once_and_others_stay(tmp_path: Path) -> None:
    theirs = alert(NOW, owner="another", rule="theirs")

    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(alerts=[*ALERTS, theirs])

            async def ack(**body: Any) -> int:
                return int((await client.post("/api/v1/alerts/ack", json=body)).json()["acknowledged"])

            assert await ack(alerts=[ALERTS[4].id, theirs.id, "nothing"]) == 1
            assert await ack(alerts=[ALERTS[4].id]) == 0
            assert await ack(upto=ALERTS[2].id) == 3
            assert await ack(upto=ALERTS[4].id) == 1
            assert await here.store.run(lambda tx: tx.acknowledged([theirs.id])) == {}
            wrong = await client.post("/api/v1/alerts/ack", json={"upto": "all"})
            assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (400, "upto")

    asyncio.run(scenario())


def test_more_alerts_than_one_transaction_takes_are_acknowledged_too(tmp_path: Path) -> None:
    many = [alert(NOW + n) for n in range(2 * AT_ONCE + 1)]

    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(alerts=many)
            answer = await client.post("/api/v1/alerts/ack", json={"upto": many[-2].id})
            assert answer.json() == {"acknowledged": 2 * AT_ONCE}
            assert ids((await client.get("/api/v1/alerts?acknowledged=false")).json()) == [many[-1].id]

    asyncio.run(scenario())


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


def test_what_is_forgotten_of_an_alerts_past_is_not_called_unobserved(tmp_path: Path) -> None:
    """Minutes are kept for a while; longer candles are kept for ever."""

    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            this = alert(NOW)
            await here.watched(alerts=[this], candles=[candle(NOW - 5 * MINUTE, 5 * MINUTE)])
            for later, kept in ((0, [HOUR, 24 * HOUR]), (91 * 24 * HOUR, [24 * HOUR])):
                here.clock.at = NOW + later
                full = (await client.get(f"/api/v1/alerts/{this.id}")).json()
                assert [each["of_ms"] for each in full["observed"]] == kept
                assert full["observed"][-1]["observed_ms"] == 5 * MINUTE

    asyncio.run(scenario())


def test_what_came_after_many_alerts_is_looked_up_a_few_at_a_time(tmp_path: Path) -> None:
    class Counting:
        def __init__(self, store: Any) -> None:
            self.store, self.asked = store, 0

        async def run(self, work: Any) -> Any:
            self.asked += 1
            return await self.store.run(work)

    async def scenario() -> None:
        async with world(tmp_path) as here:
            counting: Any = Counting(here.store)
            await here.watched(alerts=[alert(NOW - n * MINUTE) for n in range(120)])
            async with here.client(reads=counting) as client:
                plain = (await client.get("/api/v1/alerts?limit=110")).json()["items"]
                alone, counting.asked = counting.asked, 0
                told = (await client.get("/api/v1/alerts?limit=110&outcomes=true")).json()["items"]
            assert [each["id"] for each in told] == [each["id"] for each in plain]
            assert [len(each["outcomes"]) for each in told] == [3] * 110
            assert counting.asked - alone == 3

    asyncio.run(scenario())
