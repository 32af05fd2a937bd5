"""Health: green when all is well, and red for each thing that is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cryptowatcher.domain.status import Pulse
from cryptowatcher.errors import Unavailable
from cryptowatcher.testing import virtual_time
from cryptowatcher.web.api import Limits
from tests.web.world import NOW, Broken, World, alert, delivery, source, world

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


def pulse(troubles: Mapping[str, str], age: float = 0.5) -> dict[str, Any]:
    """A pipeline that was heard of so many seconds ago, as the page's application is told of it."""
    told = Pulse(at=NOW, troubles=dict(troubles))
    return {"pulse": lambda: told, "pulse_age": lambda: age}


@pytest.mark.parametrize(("age", "failed"), [(0.5, False), (5.0, False), (5.1, True)])
def test_a_pipeline_that_falls_silent_turns_it_red(tmp_path: Path, age: float, failed: bool) -> None:
    answer = look(tmp_path, nothing, "/health/ready", **pulse({}, age))
    assert red(answer) == ({"pipeline"} if failed else set())
    (check,) = (check for check in answer.json()["checks"] if check["name"] == "pipeline")
    assert (check["value"], check["limit"], check["unit"]) == (age, 5.0, "seconds")


@pytest.mark.parametrize("job", ["beat", "watch", "coingecko"])
def test_a_journal_that_cannot_be_written_turns_it_red_and_says_what_to_do(tmp_path: Path, job: str) -> None:
    answer = look(tmp_path, nothing, "/health/ready", **pulse({job: "disk_full"}))
    assert red(answer) == {"pipeline"}
    assert f"{job}: the disk is full: free some space; nothing is lost" in answer.text


def test_a_reason_without_words_of_its_own_is_told_as_it_is(tmp_path: Path) -> None:
    assert "beat: on_fire" in look(tmp_path, nothing, "/health/ready", **pulse({"beat": "on_fire"})).text


@pytest.mark.parametrize("job", ["notify", "tidy", "canary"])
def test_trouble_of_a_job_that_watches_nothing_is_no_reason_to_stop(tmp_path: Path, job: str) -> None:
    assert red(look(tmp_path, nothing, "/health/ready", **pulse({job: "timeout"}))) == set()


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


@pytest.mark.parametrize(("age", "status"), [(0.5, 200), (59.0, 200), (61.0, 503)])
def test_a_pipeline_that_hangs_is_what_a_start_over_helps_against(tmp_path: Path, age: float, status: int) -> None:
    assert look(tmp_path, nothing, "/health/live", **pulse({"beat": "disk_full"}, age)).status_code == status
