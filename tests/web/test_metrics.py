"""Metrics: what both processes tell Prometheus, the table of it, and that nothing in it grows without bound."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cryptowatcher.cli import metrics_reference
from cryptowatcher.cli.metrics_reference import Row, page_specimen, pipeline_specimen, rows
from cryptowatcher.domain.records import Beat
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.domain.status import Pulse
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.web.api import Limits
from cryptowatcher.web.pulses import Pulses
from tests.house.source import ROOT
from tests.web.world import NOW, Broken, SetClock, World, alert, delivery, price, source, world

PAGE = ROOT / "docs/metrics.md"
LABELS = {
    *("channel", "file", "job", "kind", "method", "outcome", "pair", "part", "python", "reason", "route"),
    *("source", "stat", "state", "status", "version", "what"),
}
"""Names of the configuration and words of the program; `pair` is looked at below."""
LINE = re.compile(r"^\| `(\w+)` \| (\w+) \| [^|]+ \| ([^|]*) \|", re.MULTILINE)
"""Name, type and labels of a line of the table."""


async def nothing(here: World) -> None:
    del here


def scrape(tmp_path: Path, act: Callable[[World], Awaitable[None]] = nothing, **deps: Any) -> str:
    """What /metrics tells in a healthy world in which something then happens."""

    tmp_path.mkdir(exist_ok=True)

    async def scenario() -> str:
        async with world(tmp_path) as here, here.client(**deps) as client:
            await here.healthy()
            await act(here)
            answer = await client.get("/metrics")
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            return str(answer.text)

    return asyncio.run(scenario())


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


def alive(metrics: str = "", *, age: float = 0.5, **troubles: str) -> dict[str, Any]:
    """A pipeline that was heard of so many seconds ago."""
    told = Pulse(at=NOW, metrics=metrics, troubles=troubles)
    return {"pulse": lambda: told, "pulse_age": lambda: age}


def test_metrics_say_what_the_watcher_knows(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        told = alert()
        await here.watched(
            alerts=[told],
            deliveries=[delivery(told, state="sent"), delivery(told, "phone", due_at=NOW - 4_000)],
            prices=[price("ethereum/usd", 1.0, at=NOW - 60_000)],
        )
        await here.seen(
            source("coingecko", calls_this_month=42, calls_per_month=10_000, held=2, calls_per_minute=5),
            source("kraken", "blind", last_ok_at=0),
        )
        spec = RuleSpec(name="drops", pairs=("all",), when="price > 1", paused=True)
        await here.store.run(lambda tx: tx.save_rule(LOCAL_OWNER, spec, head=0, now=0))
        here.clock.at += 2_000
        await here.append()
        await here.append()

    found = samples(scrape(tmp_path, act, loop_lag=lambda: 0.125))
    expected = {
        "cryptowatcher_journal_head": 3,
        "cryptowatcher_journal_last_append_timestamp_seconds": NOW / 1000 + 2,
        "cryptowatcher_journal_oldest_timestamp_seconds": NOW / 1000,
        "cryptowatcher_watch_lag_records": 2,
        "cryptowatcher_watch_lag_seconds": 2,
        "cryptowatcher_prices_known": 2,
        'cryptowatcher_price_age_seconds{stat="min"}': 2,
        'cryptowatcher_price_age_seconds{stat="max"}': 62,
        "cryptowatcher_alerts_kept": 1,
        'cryptowatcher_rules{state="active"}': 0,
        'cryptowatcher_rules{state="paused"}': 1,
        'cryptowatcher_source_up{source="coingecko"}': 1,
        'cryptowatcher_source_up{source="kraken"}': 0,
        'cryptowatcher_source_held_prices{source="coingecko"}': 2,
        'cryptowatcher_source_calls_minute_limit{source="coingecko"}': 5,
        'cryptowatcher_source_calls_month{source="coingecko"}': 42,
        'cryptowatcher_source_calls_month_limit{source="coingecko"}': 10_000,
        'cryptowatcher_source_last_success_timestamp_seconds{source="coingecko"}': NOW / 1000,
        'cryptowatcher_outbox_deliveries{state="sent"}': 1,
        'cryptowatcher_outbox_deliveries{state="queued"}': 1,
        'cryptowatcher_outbox_deliveries{state="given_up"}': 0,
        "cryptowatcher_outbox_overdue_seconds": 6,
        "cryptowatcher_stream_clients": 0,
        "cryptowatcher_page_loop_lag_seconds": 0.125,
        'cryptowatcher_readable{part="store"}': 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert 'cryptowatcher_source_calls_month_limit{source="kraken"}' not in found
    assert any(name.startswith('cryptowatcher_build_info{python="3.') for name in found)


def test_metrics_of_what_cannot_be_read_are_unknown_not_zero(tmp_path: Path) -> None:
    error = Unavailable("disk", reason="io")
    found = samples(scrape(tmp_path, store=Broken(error)))
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


# --- the pipeline's part ---------------------------------------------------------------------------


def test_what_the_pipeline_counts_is_told_while_it_is_heard_of_and_no_longer(tmp_path: Path) -> None:
    meters = Meters()
    meters.page_restarted()
    beside = samples(scrape(tmp_path, **alive(meters.exposition(), age=9.9, beat="disk_full")))
    assert beside["cryptowatcher_pipeline_up"] == 1
    assert beside["cryptowatcher_page_restarts_total"] == 1
    assert beside['cryptowatcher_job_trouble{job="beat",reason="disk_full"}'] == 1
    silent = samples(scrape(tmp_path / "silent", **alive(meters.exposition(), age=10.0)))
    assert silent["cryptowatcher_pipeline_up"] == 0
    assert "cryptowatcher_page_restarts_total" not in silent
    alone = samples(scrape(tmp_path / "alone"))
    assert math.isnan(alone["cryptowatcher_pipeline_up"])


def test_the_newest_pulse_is_kept_and_grows_old_by_the_steady_clock() -> None:
    clock = SetClock()
    pulses = Pulses(clock)
    assert pulses.newest() is None
    clock.at += 60_000
    pulses.take(b'{"at":1,"metrics":"a 1\\n","troubles":{"beat":"disk_full"}}\n')
    clock.at += 1_500
    assert (pulses.newest(), pulses.age()) == (Pulse(at=1, metrics="a 1\n", troubles={"beat": "disk_full"}), 1.5)
    for nonsense in (b"", b"ready\n", b'{"at":"now"}', b"\xff"):
        pulses.take(nonsense)
    assert (pulses.newest() or Pulse(at=0)).at == 1
    assert pulses.age() == 1.5
    pulses.take(b'{"at":2}\n')  # metrics come more seldom
    assert pulses.newest() == Pulse(at=2, metrics="a 1\n")


# --- files, disk, back-up --------------------------------------------------------------------------


def test_the_disk_and_the_files_on_it_are_told(tmp_path: Path) -> None:
    (tmp_path / "backup.json").write_text(json.dumps({"at": 90_000, "path": "elsewhere"}))
    (tmp_path / "journal.db-wal").write_bytes(b"")
    found = samples(scrape(tmp_path, data_dir=tmp_path))
    assert found['cryptowatcher_file_bytes{file="journal"}'] == (tmp_path / "journal.db").stat().st_size > 0
    assert found['cryptowatcher_file_bytes{file="store"}'] == (tmp_path / "store.db").stat().st_size > 0
    assert 'cryptowatcher_wal_bytes{file="store"}' in found
    disk = shutil.disk_usage(tmp_path)
    assert found["cryptowatcher_disk_size_bytes"] == disk.total
    assert found["cryptowatcher_disk_free_bytes"] == pytest.approx(disk.free, rel=0.2)
    assert found["cryptowatcher_backup_last_success_timestamp_seconds"] == 90


@pytest.mark.parametrize("note", [None, b"", b"{}", b'{"at": "yesterday"}', b"\x00", b'{"at": 1, "path": "\xff"}'])
def test_a_back_up_that_never_was_is_unknown(tmp_path: Path, note: bytes | None) -> None:
    if note is not None:
        (tmp_path / "backup.json").write_bytes(note)
    found = samples(scrape(tmp_path, data_dir=tmp_path))
    assert math.isnan(found["cryptowatcher_backup_last_success_timestamp_seconds"])


def test_a_store_that_is_no_file_has_no_size(tmp_path: Path) -> None:
    found = samples(scrape(tmp_path, data_dir=tmp_path, store_file=None))
    assert 'cryptowatcher_file_bytes{file="journal"}' in found
    assert 'cryptowatcher_file_bytes{file="store"}' not in found


def test_a_disk_that_is_gone_is_unknown_and_the_rest_is_told(tmp_path: Path) -> None:
    found = samples(scrape(tmp_path, data_dir=tmp_path / "nowhere"))
    assert math.isnan(found["cryptowatcher_disk_free_bytes"])
    assert found["cryptowatcher_journal_head"] == 1


def test_a_disk_that_does_not_answer_holds_up_one_thread_however_often_it_is_asked_about(tmp_path: Path) -> None:
    note = tmp_path / "backup.json"
    os.mkfifo(note)  # who reads it waits for somebody who writes

    def mend() -> None:
        writer = os.open(note, os.O_RDWR)
        note.unlink()
        note.write_text(json.dumps({"at": 90_000, "path": "elsewhere"}))
        os.close(writer)

    async def scenario() -> None:
        limits = Limits(check_seconds=0.1)
        async with world(tmp_path) as here, here.client(data_dir=tmp_path, limits=limits) as client:

            async def told() -> dict[str, float]:
                return samples((await client.get("/metrics")).text)

            try:
                found = [*await asyncio.gather(told(), told(), told()), await told(), await told()]
                held_up = [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]
            finally:
                mend()
            assert all(math.isnan(each["cryptowatcher_disk_free_bytes"]) for each in found)
            assert len(held_up) == 1
            while math.isnan((again := await told())["cryptowatcher_disk_free_bytes"]):
                pass  # it has just begun to answer
            assert again["cryptowatcher_backup_last_success_timestamp_seconds"] == 90

    asyncio.run(scenario())


# --- prices ----------------------------------------------------------------------------------------


def test_only_the_largest_pairs_have_a_price_of_their_own(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        many = [price(f"coin-{n}/usd", float(n), market_cap=1e9 + n) for n in range(50)]
        await here.watched(prices=[*many, price("unknown/usd", 1.0)])

    def pairs(**deps: Any) -> set[str]:
        text = scrape(tmp_path / str(len(deps)), act, **deps)
        return set(re.findall(r'pair="([^"]+)"', text))

    assert pairs() == {f"coin-{n}/usd" for n in range(30, 50)}
    assert pairs(limits=Limits(price_metrics=0)) == set()


def test_a_price_that_is_too_old_for_rules_is_not_drawn_either(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        await here.watched(
            prices=[
                price("new/usd", 2.0, market_cap=1e9),
                price("old/usd", 1.0, market_cap=1e9, at=NOW - 3_600_000),
            ]
        )

    found = samples(scrape(tmp_path, act))
    assert found['cryptowatcher_price{pair="new/usd"}'] == 2
    assert found['cryptowatcher_market_cap{pair="new/usd"}'] == 1e9
    assert 'cryptowatcher_price{pair="old/usd"}' not in found
    assert 'cryptowatcher_volume_24h{pair="new/usd"}' not in found  # not known


# --- the table -------------------------------------------------------------------------------------


def everything() -> list[Row]:
    return rows(page_specimen()) + rows(pipeline_specimen())


def on_this_system(page: str) -> str:
    """Without what only Linux tells of a process."""
    if Path("/proc/self/stat").exists():
        return page
    return "\n".join(line for line in page.split("\n") if not re.match(r"\| `\w+_process_", line))


def test_the_page_of_the_docs_is_current() -> None:
    assert on_this_system(PAGE.read_text()) == metrics_reference.reference(), "run `make docs`"


def test_the_table_is_what_a_scrape_of_both_processes_tells(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        await here.watched(prices=[price("coin/usd", 1.0, market_cap=1e9)])

    meters = Meters(started_at=NOW)
    meters.expect_source("coingecko")
    meters.expect_channel("phone")
    text = scrape(tmp_path, act, data_dir=tmp_path, **alive(meters.exposition()))
    live = {row.name: row for row in rows(text)}
    table = LINE.findall(on_this_system(PAGE.read_text()))
    assert sorted(live) == sorted(name for name, _, _ in table)
    for name, kind, labels in table:
        assert live[name].type == kind, name
        # What has not happened has no sample, and so no label to see.
        assert set(live[name].labels) in (set(), set(re.findall(r"`(\w+)`", labels))), name
    assert text.endswith("\n")


def test_no_metric_is_told_by_both_processes() -> None:
    names = [row.name for row in everything()]
    assert len(names) == len(set(names))


NOT_BASE_UNITS = re.compile(r"_(ms|millis|milliseconds|micros|minutes|hours|days|kb|mb|percent)(_|$)")


def test_names_follow_the_conventions() -> None:
    for row in everything():
        assert re.fullmatch(r"cryptowatcher_[a-z][a-z0-9_]*[a-z0-9]", row.name)
        assert row.name.endswith("_total") == (row.type == "counter"), row.name
        assert not NOT_BASE_UNITS.search(row.name), row.name
        if {"time", "timestamp", "duration", "age", "lag"} & set(row.name.split("_")):
            assert re.search(r"_(seconds|records)(_total)?$", row.name), row.name
        assert row.type != "histogram" or row.name.endswith("_seconds"), row.name
        assert row.meaning.strip()
        assert "|" not in row.meaning, row.name


def test_labels_are_bounded() -> None:
    assert {label for row in everything() for label in row.labels} == LABELS
    with_pairs = {row.name for row in everything() if "pair" in row.labels}
    assert with_pairs == {"cryptowatcher_price", "cryptowatcher_volume_24h", "cryptowatcher_market_cap"}


def test_promtool_finds_nothing_to_say(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool of the Debian package prometheus is not installed")
    text = scrape(tmp_path, data_dir=tmp_path, **alive(pipeline_specimen(), beat="disk_full"))
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_beat_moves_the_head_and_not_the_oldest_record(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        for _ in range(3):
            here.clock.at += 1_000
            await here.append(Beat())
        await here.journal.trim(2)

    found = samples(scrape(tmp_path, act))
    assert found["cryptowatcher_journal_head"] == 4
    assert found["cryptowatcher_journal_oldest_timestamp_seconds"] == NOW / 1000 + 2
