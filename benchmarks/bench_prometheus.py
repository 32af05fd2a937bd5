"""The same thresholds in the rule engine and in a real Prometheus.

    python -m benchmarks.bench_prometheus [rules|data] [COUNT ...]

Prometheus is asked in two manners: `rules`, each threshold an alert rule of one group, and `data`, each threshold
a series that is scraped as prices are, and two alert rules that join the two: what people with many thresholds do.
Both programs look at the same prices of the same pairs. Prometheus says itself how long an evaluation of its group
took; beside it stands the engine's step over one observation of each pair, windows and candles included. Then
prices jump, and both must name the same alerts. One is measured after the other, so that they do not share the
cores.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import numpy as np

from benchmarks.bench_rules import Market, popularity
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.ticks import Floats

PAIRS = 2_000
COUNTS = (1_000, 10_000, 100_000)
UPDATES = 30
JUMP = 0.1
EVALUATIONS = 3
PATIENCE = 150.0  # seconds for one step of a measurement
CONFIG = """\
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - {job_name: market, static_configs: [{targets: ["127.0.0.1:%d"]}]}
  - job_name: thresholds
    metrics_path: /thresholds
    scrape_interval: 5s
    static_configs: [{targets: ["127.0.0.1:%d"]}]
"""
JOINED = """\
      - {alert: above, expr: 'threshold{side=">="} <= on(pair) group_left() price'}
      - {alert: below, expr: 'threshold{side="<="} >= on(pair) group_left() price'}
"""
MANNERS = "rules", "data"


class Threshold(msgspec.Struct, frozen=True):
    """A rule: a pair's column, the side, and the constant as it is written."""

    name: str
    col: int
    side: str
    constant: str


class Ours(msgspec.Struct, frozen=True):
    """The engine: ms for an update, wall and CPU; prices before and after the jump, and who fired by it."""

    wall: float
    cpu: float
    before: Floats
    after: Floats
    fired: set[str]


def thresholds(price: Floats, count: int) -> list[Threshold]:
    """Above and below the prices; the jump reaches some of them."""
    away = np.random.default_rng(7).uniform(0.02, 0.5, count).tolist()
    return [
        Threshold(f"r{number}", col, ">=", f"{price[col] * (1 + far):.9f}")
        if number % 2
        else Threshold(f"r{number}", col, "<=", f"{price[col] * (1 - far):.9f}")
        for number, (col, far) in enumerate(zip(popularity(count, PAIRS).tolist(), away, strict=True))
    ]


def ours(market: Market, rules: list[Threshold]) -> Ours:
    """The engine's updates, and who fires when prices jump."""
    market.tick()
    market.add(
        [
            RuleSpec(name=rule.name, pairs=(market.names[rule.col],), when=f"price {rule.side} {rule.constant}")
            for rule in rules
        ]
    )
    market.tick()
    took = [market.tick() for _ in range(UPDATES)]
    before = market.price.copy()
    market.price *= 1 + np.random.default_rng(8).normal(0, JUMP, PAIRS)
    market.fired.clear()
    market.tick()
    wall, cpu = (statistics.median(column) for column in zip(*took, strict=True))
    return Ours(wall, cpu, before, market.price.copy(), {alert.rule_name for alert in market.fired})


class Prometheus:
    """A running one, and the market that it scrapes."""

    def __init__(self, port: int) -> None:
        self._port = port

    def evaluations(self, count: int) -> list[float]:
        """How long the next evaluations of the group take, seconds."""
        took: list[float] = []
        seen = self._metric("last_evaluation_timestamp_seconds")
        until = time.monotonic() + PATIENCE
        while len(took) < count and time.monotonic() < until:
            time.sleep(0.1)
            newest = self._metric("last_evaluation_timestamp_seconds")
            if newest != seen and newest > 0:
                took.append(self._metric("last_duration_seconds"))
                seen = newest
        return took

    def has(self, name: str, count: int) -> bool:
        """Whether it comes to know so many series of this name."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(OSError):  # it is starting
                found = self._asked(f"query?query=count({name})")["result"]
                if found and int(found[0]["value"][1]) == count:
                    return True
            time.sleep(0.5)
        return False

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        labels = [alert["labels"] for alert in self._asked("alerts")["alerts"] if alert["state"] == "firing"]
        return {each.get("rule", each["alertname"]) for each in labels}

    def _asked(self, what: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{what}", timeout=60) as answer:
            return json.load(answer)["data"]

    def _metric(self, name: str) -> float:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=60) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:  # it is starting
            return 0.0
        begin = f"prometheus_rule_group_{name}{{"
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(begin)), 0.0)


class Exposed:
    """Prices of the market, and thresholds, as pages that Prometheus scrapes. `asked`: how often it was."""

    def __init__(self, names: tuple[str, ...], prices: Floats, rules: Sequence[Threshold] = ()) -> None:
        self._names = names
        self._thresholds = "".join(
            f'threshold{{rule="{rule.name}",pair="{names[rule.col]}",side="{rule.side}"}} {rule.constant}\n'
            for rule in rules
        ).encode()
        self.asked = 0
        self.say(prices)

    def say(self, prices: Floats) -> None:
        """These are the prices from now on."""
        lines = (
            f'price{{pair="{name}"}} {price!r}\n' for name, price in zip(self._names, prices.tolist(), strict=True)
        )
        self.page = "".join(lines).encode()

    @contextlib.contextmanager
    def served(self) -> Iterator[int]:
        """Its port."""
        exposed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                exposed.asked += 1
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # it did not wait
                    self.wfile.write(exposed._thresholds if self.path == "/thresholds" else exposed.page)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def running(folder: Path, alerts: str, target: int) -> Iterator[Prometheus]:
    """A Prometheus with these alert rules."""
    (folder / "prometheus.yml").write_text(CONFIG % (target, target))
    (folder / "rules.yml").write_text("groups:\n  - name: thresholds\n    rules:\n" + alerts)
    port = free_port()
    with (folder / "log").open("w") as log:
        program = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=log,
            stdout=log,
        )
    try:
        yield Prometheus(port)
    finally:
        program.terminate()
        program.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def agree(prometheus: Prometheus, expected: set[str]) -> bool:
    """Whether it comes to name the same alerts."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if prometheus.firing() == expected:
            return True
        time.sleep(1)
    return False


def alert_rules(manner: str, names: tuple[str, ...], rules: list[Threshold]) -> str:
    """As lines of a group: one for each threshold, or the two that join them with the prices."""
    if manner == "data":
        return JOINED
    shown = [(rule.name, f'price{{pair="{names[rule.col]}"}} {rule.side} {rule.constant}') for rule in rules]
    return "".join(f"      - {{alert: {name}, expr: '{expression}'}}\n" for name, expression in shown)


def measure(manner: str, count: int) -> str:
    market = Market(PAIRS)
    rules = thresholds(market.price, count)
    engine = ours(market, rules)
    exposed = Exposed(market.names, engine.before, rules if manner == "data" else ())
    with (
        tempfile.TemporaryDirectory() as folder,
        exposed.served() as target,
        running(Path(folder), alert_rules(manner, market.names, rules), target) as prometheus,
    ):
        known = prometheus.has("price", PAIRS) and (manner == "rules" or prometheus.has("threshold", count))
        if not known:
            return f"{manner:>6}{count:10,}   not read within {PATIENCE:.0f} s"
        took = prometheus.evaluations(EVALUATIONS + 1)[1:]  # the first may have begun before it knew all
        if not took:
            return f"{manner:>6}{count:10,}   not evaluated twice within {PATIENCE:.0f} s"
        exposed.say(engine.after)
        same = agree(prometheus, engine.fired)
    theirs = statistics.median(took)
    verdict = f"the same {len(engine.fired):,} alerts" if same else "NOT THE SAME ALERTS"
    ratio = f"{1_000 * theirs / engine.wall:8,.0f} x"
    return f"{manner:>6}{count:10,}{theirs:12.3f} s{engine.wall:10.2f} ms{engine.cpu:10.2f} ms{ratio}   {verdict}"


def main() -> None:
    if shutil.which("prometheus") is None:
        print("not measured: there is no `prometheus` here (Debian package prometheus)")
        return
    given = sys.argv[1:] if sys.argv[0].endswith("bench_prometheus.py") else []
    print(f"{PAIRS:,} pairs; Prometheus: one evaluation of the group; the engine: one observation of each pair")
    print(
        f"{'as':>6}{'count':>10}{'Prometheus':>14}{'engine':>13}{'its CPU':>13}{'ratio':>10}   one jump of prices"
    )
    counts = [int(word.replace(",", "")) for word in given if word[0].isdigit()] or COUNTS
    for manner in [word for word in given if word in MANNERS] or MANNERS:
        for count in counts:
            print(measure(manner, count), flush=True)


if __name__ == "__main__":
    main()
