"""Prometheus and Alertmanager under bench_latency: values on a page that is scraped, the same receiver.

They are asked for what they can do: some alert rules in groups that are evaluated side by side, a value that stays
changed until it is surely seen, every alert a group of its own that waits for nobody. The intervals are the
shortest of INTERVALS at which neither scrapes nor evaluations are left out.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.bench_prometheus import Exposed, free_port
from benchmarks.latency_world import NAMES, PAIRS, TRIP, heard, receiver, usual

GROUPS = 20
"""Of rules: they are evaluated side by side."""
INTERVALS = ("20ms", "50ms", "100ms", "200ms", "500ms", "1s", "2s")
"""Of scrapes and evaluations."""
MOVED = 1_000
"""Pairs whose rules are to fire."""
ALERTS = 3.0
"""A second."""
STAYS = 10.0
"""Seconds for which a value stays changed."""
LOOK = 5.0
"""Seconds in which it must show that it keeps up."""
UP = 60.0
"""Seconds to start in."""
PROMETHEUS = """\
global: {{scrape_interval: {every}, scrape_timeout: {every}, evaluation_interval: {every}}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{manager}"]}}]}}]}}
scrape_configs:
  - {{job_name: market, static_configs: [{{targets: ["127.0.0.1:{market}"]}}]}}
"""
ALERTMANAGER = """\
route: {{receiver: hook, group_by: ["..."], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - {{name: hook, webhook_configs: [{{url: "{url}", send_resolved: false}}]}}
"""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`took`: from the change of a value to its request, ns."""

    every: str
    took: list[int]
    expected: int


class Market(Exposed):
    """Prices that wander, some of which are raised for a while."""

    def __init__(self) -> None:
        self._usual = np.asarray([usual(pair) for pair in range(len(NAMES))])
        self._raised: dict[int, float] = {}
        self._rng = np.random.default_rng(13)
        super().__init__(NAMES, self._usual)

    def move(self, raised: int | None = None) -> None:
        """Each price moves a little, one of them beyond the constant of its rule."""
        now = time.monotonic()
        self._raised = {pair: since for pair, since in self._raised.items() if now - since < STAYS}
        if raised is not None:
            self._raised[raised] = now
        prices = self._usual * (1 + self._rng.normal(0, 0.0002, len(NAMES)))
        prices[list(self._raised)] *= 1.03
        self.say(prices)


def measure(folder: Path, count: int, seconds: float) -> Result | None:
    """With so many rules, at the first interval at which it keeps up; None where it does at none."""
    market = Market()
    with receiver() as (url, told), market.served() as target:
        for every in INTERVALS:
            (folder / every).mkdir()
            with running(folder / every, every, count, url, target) as port:
                if keeps_up(port, market, every):
                    changed = provoke(market, seconds)
                    return Result(every=every, expected=len(changed), took=arrivals(told, changed))
    return None


@contextlib.contextmanager
def running(folder: Path, every: str, count: int, url: str, target: int) -> Iterator[int]:
    """Both, with these intervals: the port of Prometheus."""
    port, manager = free_port(), free_port()
    (folder / "prometheus.yml").write_text(PROMETHEUS.format(every=every, manager=manager, market=target))
    (folder / "alertmanager.yml").write_text(ALERTMANAGER.format(url=url))
    (folder / "rules.yml").write_text(rules(count))
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w"))
        for command in (
            ["prometheus-alertmanager", f"--config.file={folder / 'alertmanager.yml'}",
             f"--storage.path={folder / 'manager'}", f"--web.listen-address=127.0.0.1:{manager}",
             "--cluster.listen-address="],
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"],
        ):  # fmt: skip
            program = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(program.wait)
            stack.callback(program.terminate)
        yield port


def rules(count: int) -> str:
    """The own rule of each pair, and then such that nothing reaches."""
    lines = ["groups:\n"]
    for group in range(GROUPS):
        lines.append(f"  - name: g{group}\n    rules:\n")
        for number in range(group, count, GROUPS):
            pair, far = number % PAIRS, TRIP + number // PAIRS
            expression = f'price{{pair="{NAMES[pair]}"}} >= {far * usual(pair):.6f}'
            lines.append(f"      - {{alert: trip{number}, expr: '{expression}'}}\n")
    return "".join(lines)


def keeps_up(port: int, market: Market, every: str) -> bool:
    """Whether it scrapes and evaluates as often as it was told to."""
    seconds = float(every.removesuffix("ms")) / 1000 if every.endswith("ms") else float(every.removesuffix("s"))
    until = time.monotonic() + UP
    while not (total(port, "iterations_total") and market.asked) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(LOOK)  # the start is the start
    began, asked, done = time.monotonic(), market.asked, total(port, "iterations_total")
    missed = total(port, "iterations_missed_total")
    time.sleep(LOOK)
    due = (time.monotonic() - began) / seconds
    scrapes = (market.asked - asked) / due
    groups = (total(port, "iterations_total") - done) / due / GROUPS
    missed = total(port, "iterations_missed_total") - missed
    share = f"{100 * scrapes:.0f} % of the scrapes, {100 * groups:.0f} % of the evaluations"
    print(f"  each {every}: {share}; it left out {missed:.0f}", flush=True)
    return missed == 0 and min(scrapes, groups) > 0.9


def total(port: int, name: str) -> float:
    """Of a counter, over all groups."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:  # it is starting
        return 0.0
    begin = f"prometheus_rule_group_{name}{{"
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(begin))


def provoke(market: Market, seconds: float) -> dict[str, int]:
    """By rule, when the value changed that it looks at; each once, at times nobody knows."""
    rng, changed = np.random.default_rng(14), {}
    for pair in rng.permutation(MOVED)[: round(ALERTS * seconds)].tolist():
        time.sleep(rng.exponential(1 / ALERTS))
        market.move(pair)
        changed[f"trip{pair}"] = time.monotonic_ns()
    time.sleep(STAYS)
    return changed


def arrivals(told: Connection, changed: dict[str, int]) -> list[int]:
    """How long each took that arrived."""
    return [
        message.at - changed.pop(alert["labels"]["alertname"])
        for message in heard(told)
        for alert in json.loads(message.body)["alerts"]
    ]
