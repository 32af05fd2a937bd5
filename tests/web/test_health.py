"""Health and metrics: green when all is well, and red for each thing that is not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cryptowatcher.errors import Unavailable
from cryptowatcher.testing import virtual_time
from cryptowatcher.web.api import Limits
from tests.web.world import NOW, Broken, World, alert, delivery, price, source, world

Act = Callable[[World], Awaitable[None]]


def look(tmp_path: Path, act: Act, path: str, **deps: Any) -> Any:
    """The answer in a healthy world in which something then happens."""

    async def scenario() -> Any:
        async with world(tmp_path) as here, here.client(**deps) as client:
            await here.healthy()
            await act(here)
            return await client.get(path)

    return asyncio.run(scenario())


async def nothing(here: World) -> None:
    del here


def red(answer: Any) -> set[str]:
    """Names of the checks that failed."""
    body = answer.json()
    failed = {check["name"] for check in body["checks"] if not check["ok"]}
    assert (answer.status_code, body["status"]) == ((503, "failing") if failed else (200, "ok"))
    return failed


def test_a_watcher_that_watches_is_ready(tmp_path: Path) -> None:
    answer = look(tmp_path, nothing, "/health/ready")
    assert red(answer) == set()
    names = {check["name"] for check in answer.json()["checks"]}
    assert names == {"store", "journal", "watch", "source:coingecko", "outbox"}


def test_a_watcher_that_has_not_begun_is_not_ready(tmp_path: Path) -> None:
    async def scenario() -> Any:
        async with world(tmp_path) as here, here.client() as client:
            return await client.get("/health/ready"), await client.get("/health/live")

    ready, live = asyncio.run(scenario())
    assert red(ready) == {"journal", "sources"}
    assert (live.status_code, live.json()["version"]) == (200, "1.2.3")


@pytest.mark.parametrize(("state", "failed"), [("blind", True), ("starting", True), ("limited", False)])
def test_a_blind_source_turns_it_red_and_says_why(tmp_path: Path, state: str, failed: bool) -> None:
    async def act(here: World) -> None:
        await here.seen(source("kraken", state, reason="rate_limited", detail="asked to wait"))

    answer = look(tmp_path, act, "/health/ready")
    assert red(answer) == ({"source:kraken"} if failed else set())
    assert any("rate_limited: asked to wait" in check["detail"] for check in answer.json()["checks"])


@pytest.mark.parametrize(("silent_ms", "failed"), [(10_000, False), (10_001, True)])
def test_a_silent_journal_turns_it_red(tmp_path: Path, silent_ms: int, failed: bool) -> None:
    async def act(here: World) -> None:
        here.clock.at += silent_ms

    assert red(look(tmp_path, act, "/health/ready")) == ({"journal"} if failed else set())


@pytest.mark.parametrize(("lag_ms", "failed"), [(10_000, False), (10_001, True)])
def test_a_watch_that_lags_turns_it_red(tmp_path: Path, lag_ms: int, failed: bool) -> None:
    async def act(here: World) -> None:
        here.clock.at += lag_ms
        await here.append()

    assert red(look(tmp_path, act, "/health/ready")) == ({"watch"} if failed else set())


def test_a_cursor_of_another_journal_turns_it_red(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        await here.watched(journal="restored", seq=900)

    assert red(look(tmp_path, act, "/health/ready")) == {"watch"}


@pytest.mark.parametrize("error", [Unavailable("disk", reason="io"), RuntimeError("bug"), TimeoutError()])
def test_a_store_or_journal_that_cannot_be_read_turns_it_red(tmp_path: Path, error: Exception) -> None:
    assert red(look(tmp_path, nothing, "/health/ready", store=Broken(error))) == {"store", "watch"}
    assert red(look(tmp_path, nothing, "/health/ready", journal=Broken(error))) == {"journal", "watch"}


def test_a_store_that_never_answers_turns_it_red_instead_of_hanging(tmp_path: Path) -> None:
    class Hanging:
        async def run(self, fn: object) -> None:
            del fn
            await asyncio.Event().wait()

    answer = look(tmp_path, nothing, "/health/ready", store=Hanging(), limits=Limits(check_seconds=0.01))
    assert red(answer) == {"store", "watch"}


def test_deliveries_that_wait_are_told_but_are_no_reason_to_stop(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        waiting = alert()
        await here.watched(alerts=[waiting], deliveries=[delivery(waiting, due_at=NOW - 90_000)])

    answer = look(tmp_path, act, "/health/ready")
    assert red(answer) == set()
    (outbox,) = (check for check in answer.json()["checks"] if check["name"] == "outbox")
    assert (outbox["value"], outbox["unit"]) == (90.0, "seconds")


def samples(text: str) -> dict[str, float]:
    """`name{label="value"}` → value, through Prometheus' own parser."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found
            found[name] = sample.value
    return found


def test_metrics_say_what_the_watcher_knows(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        told = alert()
        await here.watched(
            alerts=[told],
            deliveries=[delivery(told, state="sent"), delivery(told, "phone", due_at=NOW - 4_000)],
            prices=[price("ethereum/usd", 1.0, at=NOW - 60_000)],
        )
        await here.seen(source("coingecko", calls_this_month=42), source("kraken", "blind", last_ok_at=0))
        here.clock.at += 2_000
        await here.append()
        await here.append()

    answer = look(tmp_path, act, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.text)
    expected = {
        "cryptowatcher_journal_head": 3,
        "cryptowatcher_journal_last_append_timestamp_seconds": NOW / 1000 + 2,
        "cryptowatcher_watch_lag_records": 2,
        "cryptowatcher_watch_lag_seconds": 2,
        "cryptowatcher_prices_known": 2,
        'cryptowatcher_price_age_seconds{stat="min"}': 2,
        'cryptowatcher_price_age_seconds{stat="max"}': 62,
        "cryptowatcher_alerts_total": 1,
        'cryptowatcher_source_up{source="coingecko"}': 1,
        'cryptowatcher_source_up{source="kraken"}': 0,
        'cryptowatcher_source_calls_month{source="coingecko"}': 42,
        'cryptowatcher_source_last_success_timestamp_seconds{source="coingecko"}': NOW / 1000,
        'cryptowatcher_outbox_deliveries{state="sent"}': 1,
        'cryptowatcher_outbox_deliveries{state="queued"}': 1,
        'cryptowatcher_outbox_deliveries{state="given_up"}': 0,
        "cryptowatcher_outbox_overdue_seconds": 6,
        "cryptowatcher_stream_clients": 0,
        'cryptowatcher_readable{part="store"}': 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "process_cpu_seconds_total" in found
    assert any(name.startswith('cryptowatcher_build_info{python="3.') for name in found)


def test_metrics_of_what_cannot_be_read_are_unknown_not_zero(tmp_path: Path) -> None:
    error = Unavailable("disk", reason="io")
    found = samples(look(tmp_path, nothing, "/metrics", store=Broken(error)).text)
    assert math.isnan(found["cryptowatcher_watch_lag_seconds"])
    assert found['cryptowatcher_readable{part="store"}'] == 0
    assert found["cryptowatcher_journal_head"] == 1
    assert "cryptowatcher_prices_known" not in found


def test_requests_are_counted_by_route_never_by_what_a_caller_wrote(tmp_path: Path) -> None:
    async def scenario() -> str:
        async with world(tmp_path) as here, here.client() as client:
            await here.healthy()
            for path in ("/api/v1/prices/bitcoin/usd", "/api/v1/prices/secret-token/usd", "/secret-token"):
                await client.get(path)
            await client.request("SECRET", "/api/v1/prices")
            await client.get("/", headers={"host": "secret.example"})
            return (await client.get("/metrics")).text

    text = asyncio.run(scenario())
    found = samples(text)
    pair = 'route="/api/v1/prices/{asset}/{currency}"'
    assert found[f'cryptowatcher_http_requests_total{{method="GET",{pair},status="200"}}'] == 1
    assert found[f'cryptowatcher_http_requests_total{{method="GET",{pair},status="404"}}'] == 1
    assert found['cryptowatcher_http_requests_total{method="GET",route="unmatched",status="404"}'] == 1
    assert found['cryptowatcher_http_requests_total{method="other",route="unmatched",status="405"}'] == 1
    assert found['cryptowatcher_http_requests_total{method="GET",route="refused",status="403"}'] == 1
    assert "secret" not in text.lower()


class _Counted:
    """A store that knows how often it went through its tables."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.scans = 0

    async def run(self, fn: Callable[[Any], Any]) -> Any:
        return await self.store.run(lambda tx: fn(_CountedTx(tx, self)))


class _CountedTx:
    def __init__(self, tx: Any, counted: _Counted) -> None:
        self._tx = tx
        self._counted = counted

    def outbox_counts(self) -> Any:
        self._counted.scans += 1
        return self._tx.outbox_counts()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)


def test_a_probe_each_second_goes_through_whole_tables_every_few_seconds_only(tmp_path: Path) -> None:
    async def scenario() -> tuple[int, list[str]]:
        async with world(tmp_path) as here:
            counted = _Counted(here.store)
            async with here.client(store=counted) as client:
                await here.healthy()
                told = [await outbox(client)]
                waiting = alert()
                await here.watched(alerts=[waiting], deliveries=[delivery(waiting)])
                for _ in range(10):
                    await asyncio.sleep(1)
                    await client.get("/metrics")
                    told.append(await outbox(client))
            return counted.scans, told

    scans, told = virtual_time.run(scenario)
    assert scans == 3
    assert told == ["0 deliveries wait"] * 5 + ["1 deliveries wait"] * 6


async def outbox(client: Any) -> str:
    checks = (await client.get("/health/ready")).json()["checks"]
    return next(str(check["detail"]) for check in checks if check["name"] == "outbox")
