"""What the pipeline's own counts grew by within about an hour: durations as quantiles, outcomes as numbers."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

SNAPSHOT_MS: Final = 5 * 60_000
SNAPSHOTS: Final = 13
"""So many stretches of SNAPSHOT_MS are looked back over, the oldest a little more than an hour ago."""

_PREFIX: Final = "cryptowatcher_"
DURATIONS: Final = (
    "tick_lag_seconds",
    "watch_step_duration_seconds",
    "commit_duration_seconds",
    "alert_to_sent_seconds",
    "canary_roundtrip_seconds",
)
COUNTS: Final = (
    "source_requests_total",
    "ticks_rejected_total",
    "job_restarts_total",
    "delivery_attempts_total",
)
LATEST: Final = ("pipeline_start_timestamp_seconds", "canary_last_success_timestamp_seconds")
_FAMILIES: Final = "|".join((*(f"{name}_bucket" for name in DURATIONS), *COUNTS, *LATEST))
_LINE: Final = re.compile(rf"^{_PREFIX}({_FAMILIES})(?:\{{(.*)\}})? (\S+)$", re.MULTILINE)
_STARTED: Final = re.compile(rf"^{_PREFIX}{LATEST[0]} (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = tuple[tuple[str, str], ...]
Values = dict[str, dict[Labels, float]]
"""By metric and labels."""


class Duration(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and within how many seconds half and 99 of 100 were: upper edges of a histogram's buckets. None:
    longer than the last of them."""

    count: int
    p50: float | None
    p99: float | None


class PastHour:
    """Give it every exposition of the pipeline's metrics; ask what the last hour brought."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Values]] = deque(maxlen=SNAPSHOTS)
        self._newest: Values = {}
        self._text = ""
        self._started = ""

    def take(self, at: int, metrics: str) -> None:
        """`at`: epoch ms. Read in full only every SNAPSHOT_MS, and when somebody asks."""
        self._text = metrics
        started = _STARTED.search(metrics)
        if self._kept and started and started[1] != self._started:
            self._kept.clear()  # another pipeline counts from 0
        self._started = started[1] if started else self._started
        if not self._kept or not 0 <= at - self._kept[-1][0] < SNAPSHOT_MS:
            self._kept.append((at, read(metrics)))

    def latest(self, name: str) -> float | None:
        """A number that only says how it is now; None when it is not known."""
        value = self._values().get(name, {}).get(())
        return None if value is None or math.isnan(value) else value

    def grown(self, name: str, **of: str) -> dict[str, int]:
        """Of COUNTS: the value of the label that was not given → how much was added, largest first, without 0."""
        found = {
            next((value for label, value in labels if label not in of), ""): round(grown)
            for labels, grown in self._grown(name, of)
        }
        return dict(sorted(((key, grown) for key, grown in found.items() if grown), key=lambda each: -each[1]))

    def duration(self, name: str, **of: str) -> Duration | None:
        """Of DURATIONS, of all labels that are not given together; None where there was none."""
        buckets: dict[float, float] = {}
        for labels, grown in self._grown(f"{name}_bucket", of):
            edge = float(dict(labels)["le"])
            buckets[edge] = buckets.get(edge, 0.0) + grown
        count = round(buckets.get(math.inf, 0.0))
        if not count:
            return None
        return Duration(count=count, p50=_quantile(buckets, 0.5), p99=_quantile(buckets, 0.99))

    def _values(self) -> Values:
        if self._text:
            self._newest, self._text = read(self._text), ""
        return self._newest

    def _grown(self, name: str, of: Mapping[str, str]) -> Iterator[tuple[Labels, float]]:
        values = self._values().get(name, {})
        before = self._kept[0][1].get(name, {}) if self._kept else values
        for labels, value in values.items():
            if not of or of.items() <= set(labels):
                yield labels, value - before.get(labels, 0.0)


def read(metrics: str) -> Values:
    """What is looked at here of an exposition in Prometheus' text format."""
    values: Values = {}
    for found in _LINE.finditer(metrics):
        values.setdefault(found[1], {})[tuple(_LABEL.findall(found[2] or ""))] = float(found[3])
    return values


def _quantile(buckets: Mapping[float, float], share: float) -> float | None:
    wanted = share * buckets[math.inf]
    edge = next(edge for edge in sorted(buckets) if buckets[edge] >= wanted)
    return None if math.isinf(edge) else edge
