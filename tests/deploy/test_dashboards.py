"""Dashboards: the files are what the generator writes, and every query has an answer from the real program."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.market import Market
from cryptowatcher.testing.misbehaviour import Misbehaviour
from cryptowatcher.testing.receiver import WebhookReceiver
from tests.deploy.watching import RULES, RUNBOOKS, tool, unknown_in
from tests.house.source import ROOT
from tests.processes import PATIENCE, stopped
from tests.program.test_run import SECRET, Hook, Program, configuration, free_port, running, shows
from tools.dashboards.boards import FOLDER, texts

GRAFANA = ROOT / "deploy/grafana"
BOARDS: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_text()) for file in FOLDER.glob("*.json")}

ASKED_WITH = {
    "$__rate_interval": "15s",
    "$__range": "1h",
    "$instance": ".+",
    "$pair": ".+",
    "$move": "2s",
}
"""What stands for Grafana's variables; the move is short, because the program has only just started."""

ONLY_IN_TROUBLE = {"Starts of the pipeline": "a mark is drawn only where the pipeline began anew"}
"""Queries without an answer in good times, and why."""


class Query(NamedTuple):
    where: str
    expr: str
    legend: str

    @property
    def asked(self) -> str:
        expr = self.expr
        for name, value in ASKED_WITH.items():
            expr = expr.replace(name, value)
        return expr


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Query]:
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Query(f"{name}: {panel['title']}", target["expr"], target.get("legendFormat", ""))
        for note in board["annotations"]["list"]:
            yield Query(f"{name}: {note['name']}", note["expr"], "")


def test_the_files_are_what_the_generator_writes() -> None:
    files = {file.name: file.read_text() for file in FOLDER.iterdir()}
    assert files == texts(), "run python -m tools.dashboards"


def test_each_dashboard_says_what_it_is_and_lets_one_choose() -> None:
    for name, board in BOARDS.items():
        assert board["uid"] == name
        assert board["title"].startswith("cryptowatcher: ")
        assert board["description"]
        assert {"datasource", "instance"} <= {variable["name"] for variable in board["templating"]["list"]}


def test_each_panel_says_what_it_shows_in_which_unit() -> None:
    for name, board in BOARDS.items():
        for panel in panels(board):
            where = f"{name}: {panel['title']}"
            assert panel["title"], where
            assert panel["description"].endswith("."), where
            assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"], where
            assert panel["targets"], where


def test_no_two_panels_lie_on_each_other_or_outside() -> None:
    for name, board in BOARDS.items():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, f"{name}: {panel['title']}"
            assert at["x"] + at["w"] <= 24
            taken |= cells


def test_no_dashboard_is_tied_to_a_datasource() -> None:
    uids = {uid for board in BOARDS.values() for uid in re.findall(r'"uid": "(.*?)"', json.dumps(board))}
    assert uids == {"${datasource}", *BOARDS}


def test_queries_ask_only_for_what_is_told_or_recorded() -> None:
    assert {query.where: wrong for query in queries() if (wrong := unknown_in(query.expr))} == {}


def test_every_query_asks_only_the_chosen_instances() -> None:
    named = re.compile(r"\bcryptowatcher[_:][\w:]+(?P<selector>\{[^}]*\})?")
    for query in queries():
        for match in named.finditer(query.expr):
            if "month_elapsed" not in match[0]:  # the calendar is the same for all
                assert 'instance=~"$instance"' in (match["selector"] or ""), query


def test_links_lead_to_runbooks_that_exist() -> None:
    linked = set(re.findall(r"docs/runbooks/(\w+\.md)", "\n".join(map(json.dumps, BOARDS.values()))))
    assert linked
    assert {name for name in linked if not (RUNBOOKS / name).exists()} == set()


def test_grafana_finds_the_dashboards_and_prometheus() -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/cryptowatcher.yml").read_text())["providers"]
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == scraped


# --- against the real program --------------------------------------------------------------------------


def test_every_query_has_an_answer_from_the_real_program(tmp_path: Path) -> None:
    binary = tool("prometheus", "prometheus")

    async def main() -> None:
        async with FakeCoinGecko(Market(3, 30)) as fake, Hook(SECRET) as hook:
            fake.set_price("bitcoin", 60_000.0)
            config, port = watched(tmp_path, fake, hook)
            async with running(config, port) as program:
                await program.until("/api/v1/prices/bitcoin/usd", shows(60_000.0))
                async with prometheus(binary, tmp_path, port) as ask, visited(program):
                    await until_answered(ask, Query("", "count_over_time(cryptowatcher_pipeline_up[1m]) > 1", ""))
                    await something_happens(program, fake, hook)
                    wanted = (each for each in queries() if each.where.partition(": ")[2] not in ONLY_IN_TROUBLE)
                    await asyncio.gather(*(until_answered(ask, query) for query in wanted))

    asyncio.run(main())


def watched(folder: Path, fake: FakeCoinGecko, hook: WebhookReceiver) -> tuple[Path, int]:
    """A program with a budget, a canary and a backup, so that every number is known."""
    port = free_port()
    config = configuration(folder, fake, hook, port)
    text = config.read_text().replace('every = "1s"', 'every = "1s"\nper_month = 900_000_000')
    config.write_text(text + '[canary]\nevery = "1s"\n')
    (folder / "data").mkdir()
    (folder / "data/backup.json").write_text(json.dumps({"at": round(time.time() * 1000), "path": "backup"}))
    return config, port


async def something_happens(program: Program, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
    """An alert that is delivered, once its counters have been scraped at 0; and a coin whose price is missing."""
    fake.misbehave(Misbehaviour(kind="null_price", coins=("ethereum",)))
    fake.set_price("bitcoin", 65_000.0)
    await hook.wait_for(1)
    await program.until("/api/v1/deliveries?state=sent", lambda answer: len(answer.json()["items"]) == 1)


@contextlib.asynccontextmanager
async def visited(program: Program) -> AsyncIterator[None]:
    """Somebody asks the API again and again meanwhile."""

    async def visit() -> None:
        while True:
            await program.until("/api/v1/prices/bitcoin/usd", lambda answer: answer.status_code == 200)
            await asyncio.sleep(0.3)

    visitor = asyncio.create_task(visit())
    try:
        yield
    finally:
        visitor.cancel()


class Prometheus:
    """A running server with our rules."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def series(self, expr: str) -> list[dict[str, str]]:
        """The labels of each series that has a number now."""
        answer = (await self._client.get("/api/v1/query", params={"query": expr})).json()
        assert answer["status"] == "success", answer
        return [each["metric"] for each in answer["data"]["result"] if each["value"][1] != "NaN"]


@contextlib.asynccontextmanager
async def prometheus(binary: str, folder: Path, watcher: int) -> AsyncIterator[Prometheus]:
    """Scrapes the program each second, and evaluates our rules as often."""
    port = free_port()
    command = (
        binary,
        f"--config.file={quick(folder, watcher)}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            async with asyncio.timeout(PATIENCE):
                while not await is_ready(client):  # noqa: ASYNC110  it is another process that is waited for
                    await asyncio.sleep(0.1)
            yield Prometheus(client)
    finally:
        await stopped(process)


async def is_ready(client: httpx.AsyncClient) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await client.get("/-/ready")).status_code == 200
    return False


def quick(folder: Path, watcher: int) -> Path:
    """Our configuration and rules, with a second in the place of every interval, and of the minute at which
    something is counted."""
    (folder / "rules").mkdir()
    for file in RULES:
        rules = yaml.safe_load(re.sub(r"\[\w+:1m\]", "[1m:1s]", file.read_text()))
        for group in rules["groups"]:
            group["interval"] = "1s"
        (folder / "rules" / file.name).write_text(yaml.safe_dump(rules))
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(folder / "rules/*.yml")]
    del config["alerting"]
    job = config["scrape_configs"][0]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{watcher}"]}]
    config["scrape_configs"] = [job]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    return file


async def until_answered(ask: Prometheus, query: Query) -> None:
    """Waits for a number, and for the labels that the legend names."""
    found: list[dict[str, str]] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while not found:
                found = await ask.series(query.asked)
                await asyncio.sleep(0 if found else 0.5)
    except TimeoutError:
        pytest.fail(f"{query.where} has no answer: {query.asked}")
    named = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
    if "vector(0)" not in query.expr:
        assert all(named <= set(labels) for labels in found), f"{query.where}: {found[0]} has not all of {named}"
