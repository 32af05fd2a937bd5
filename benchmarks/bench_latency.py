"""From a tick that comes in to the webhook request that arrives; beside it Prometheus + Alertmanager.

    python -m benchmarks.bench_latency [--rules 1000000] [--rate 10000] [--seconds 30] [--folder KEPT]

Rules are restored from files on disk; an exchange in another process sends ticks; some cross the rule of their
pair, and at the end one crosses a thousand rules at once. Each alert goes as a signed request to a receiver in a
third process. Times are of the machine's monotonic clock, which its processes share. All of them, the exchange and
the receiver too, share its cores. `--folder` keeps the files, so that another run need not make them anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import latency_ours as ours
from benchmarks import latency_theirs as theirs
from benchmarks.bench_rules import alone
from benchmarks.latency_world import Plan
from cryptowatcher.domain.ticks import Floats

GOAL = 50.0
"""ms, p99 of the steady alerts."""
FACTOR = 20
"""How many times faster than the others it is to be."""
SYNCS = 300
THEIR_RULES = (1_000, 10_000)
"""As many as they can evaluate about once a second. A million take them some minutes: see bench_prometheus."""


def main() -> None:
    given = arguments().parse_args(sys.argv[1:] if sys.argv[0].endswith("bench_latency.py") else [])
    steady = None
    if given.only != "theirs":
        plan = Plan(
            rules=given.rules, rate=given.rate, alerts=given.alerts, burst=given.burst, steady=given.seconds
        )
        steady = measure_ours(plan, given.folder)
    if given.only != "ours":
        measure_theirs(given.seconds, steady)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_latency")
    parser.add_argument("--rules", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=10_000, help="ticks a second")
    parser.add_argument("--alerts", type=float, default=15, help="alerts a second")
    parser.add_argument("--burst", type=int, default=1_000, help="rules that one tick fires at the end")
    parser.add_argument("--seconds", type=float, default=30, help="how long steady alerts go on")
    parser.add_argument("--folder", type=Path, help="keep the files there, and use what is there")
    parser.add_argument("--only", choices=("ours", "theirs"))
    return parser


def measure_ours(plan: Plan, kept: Path | None) -> Floats:
    """ms of the steady alerts, from the exchange to the receiver."""
    with tempfile.TemporaryDirectory() as made:
        folder = (kept or Path(made)) / f"{plan.rules}-{plan.burst}"
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        print(f"{plan.rules:,} rules, {plan.rate:,} ticks a second; load {os.getloadavg()[0]:.1f}", flush=True)
        alone(ours.prepare, folder, plan)
        print(f"prepared in {time.monotonic() - began:.0f} s; measuring {plan.seconds:.0f} s", flush=True)
        result = alone(ours.measure, folder, plan)
        syncs = fdatasyncs(folder)
    print(
        f"restored in {result.restored:.1f} s; {plan.ticks:,} ticks in {result.batches:,} batches; CPU "
        f"{100 * result.cpu:.0f} % of a core; {result.memory:.0f} MB; the loop was held up for "
        f"{1000 * result.lag:.0f} ms at most; load {os.getloadavg()[0]:.1f}"
    )
    wrong = f"; {result.twice} TWICE, {result.unsigned} UNSIGNED" if result.twice or result.unsigned else ""
    print(f"requests that arrived, signed, each once: {len(result.seen):,} of {result.expected:,}{wrong}")
    print(f"{'ms':36}{'p50':>9}{'p99':>9}{'max':>9}")
    for name, burst in (("steady", False), ("of one tick", True)):
        stages(name, [seen for seen in result.seen if seen.burst == burst])
    print(f"{'fdatasync of 4 KB, bare, afterwards':36}{spread(syncs)}")
    return np.asarray([seen.stages[-1] - seen.sent for seen in result.seen if not seen.burst]) / 1e6


def stages(name: str, seen: list[ours.Seen]) -> None:
    if not seen:
        return
    times = np.asarray([[each.sent, *each.stages] for each in seen]) / 1e6
    print(f"{len(seen):,} alerts, {name}")
    for number, stage in enumerate(ours.STAGES, 1):
        print(f"    {stage:32}{spread(times[:, number] - times[:, number - 1])}")
    received = times[:, -1] - times[:, 1]
    verdict = "" if seen[0].burst else f"   (goal: p99 at most {GOAL:.0f})"
    print(f"  {'received → request arrives':34}{spread(received)}{verdict}")
    print(f"  {'sent by the exchange → arrives':34}{spread(times[:, -1] - times[:, 0])}")


def measure_theirs(seconds: float, ours: Floats | None) -> None:
    for program in ("prometheus", "prometheus-alertmanager"):
        if shutil.which(program) is None:
            print(f"Prometheus + Alertmanager: skipped: {program} is not installed (Debian package {program})")
            return
    for count in THEIR_RULES:
        print(
            f"Prometheus + Alertmanager, {count:,} rules: the shortest interval at which they keep up", flush=True
        )
        with tempfile.TemporaryDirectory() as folder:
            result = alone(theirs.measure, Path(folder), count, seconds)
        if result is None:
            print("  none of these")
            continue
        took = np.asarray(result.took) / 1e6
        print(f"{len(took)} of {result.expected} alerts arrived, each {result.every}")
        print(f"  {'value changes → request arrives':34}{spread(took)}")
        if ours is not None:
            ratios = np.quantile(took, (0.5, 0.99)) / np.quantile(ours, (0.5, 0.99))
            print(f"  {'times ours':34}" + "".join(f"{ratio:9.1f}" for ratio in ratios) + f"   (goal: {FACTOR})")


def spread(took: Floats) -> str:
    """p50, p99 and the longest."""
    return "".join(f"{value:9.1f}" for value in (*np.quantile(took, (0.5, 0.99)), took.max()))


def fdatasyncs(folder: Path) -> Floats:
    """What the disk takes for a durable write, ms: an alert waits for two of them."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    (folder / "sync").unlink()
    return np.asarray(took)


if __name__ == "__main__":
    main()
