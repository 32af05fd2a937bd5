"""The monitoring files as their tests read them: rules, the metrics there are, runbooks."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.house.source import ROOT
from tests.processes import ran

PROMETHEUS = ROOT / "deploy/prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
RUNBOOKS = ROOT / "docs/runbooks"

METRIC = re.compile(r"\bcryptowatcher_[a-z0-9_]+")
RECORDED = re.compile(r"\bcryptowatcher:[A-Za-z0-9_:]+")
SELECTOR = re.compile(r"\b(cryptowatcher_[a-z0-9_]+)(?:\{([^}]*)\})?")
ROW = re.compile(r"^\| `(cryptowatcher_[a-z0-9_]+)` \| (\w+) \|[^|]*\|([^|]*)\|", re.MULTILINE)
BY_TARGET = {"job", "instance"}
"""Labels that Prometheus adds. One of the watcher's own of that name becomes `exported_job`."""


class Metric(NamedTuple):
    """As docs/metrics.md has it."""

    type: str
    labels: frozenset[str]


def tool(name: str, package: str) -> str:
    """Where it is; skips the test where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not there: install the Debian package {package}")
    return found


def passes(*command: str | Path) -> str:
    """Runs it and gives its words; fails with them when it fails."""
    done = ran(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def groups() -> list[dict[str, Any]]:
    return [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]


def rules() -> list[dict[str, Any]]:
    """Every rule, alerting and recording."""
    return [rule for group in groups() for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert by its name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@cache
def recorded() -> set[str]:
    """Names of the series that the rules record."""
    return {rule["record"] for rule in rules() if "record" in rule}


@cache
def told() -> dict[str, Metric]:
    """Every name that a scrape may have, parts of histograms too, with its labels as Prometheus stores them."""
    found: dict[str, Metric] = {}
    for name, kind, listed in ROW.findall((ROOT / "docs/metrics.md").read_text()):
        own = {f"exported_{label}" if label in BY_TARGET else label for label in re.findall(r"`(\w+)`", listed)}
        metric = Metric(kind, frozenset(own | BY_TARGET))
        if kind == "histogram":
            found |= dict.fromkeys((f"{name}_sum", f"{name}_count"), metric)
            found[f"{name}_bucket"] = Metric(kind, metric.labels | {"le"})
        else:
            found[name] = metric
    assert found, "docs/metrics.md names no metric"
    return found


def unknown_in(expr: str) -> list[str]:
    """What an expression asks for that nothing tells or records: names, and labels of selectors."""
    known, wrong = told(), []
    for name, inside in SELECTOR.findall(expr):
        if name not in known:
            wrong.append(name)
            continue
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', inside)))
        wrong += [f"{name}{{{label}}}" for label in sorted(asked - known[name].labels)]
    return wrong + [name for name in RECORDED.findall(expr) if name not in recorded()]
