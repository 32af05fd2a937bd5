"""/metrics for Prometheus: the watcher's state, read from store and journal at each scrape, this process, and what
the pipeline last said of itself. docs/metrics.md is the table of all of it."""

from __future__ import annotations

import asyncio
import math
import platform
import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import get_args

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from cryptowatcher.domain.deliveries import DeliveryState
from cryptowatcher.domain.status import Price, SourceStatus
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.disk import Disk, Look
from cryptowatcher.web.facts import Facts, Recent, StoreFacts, gather

TEXT_FORMAT = "text/plain; version=0.0.4"  # Litestar adds the charset
SILENT_AFTER = 10.0
"""Seconds without a pulse after which the pipeline counts as gone. Its counts are not told any more then: what
stands still because nobody counts must not look like peace."""
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))


class Meter:
    """Counts requests of this process. Labels are route templates, never what a caller wrote."""

    def __init__(self) -> None:
        # It would write a second family beside every counter, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own annotations end there
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="cryptowatcher_page", registry=self.registry)
        self._requests = Counter(
            "cryptowatcher_http_requests_total",
            "Requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._duration = Histogram(
            "cryptowatcher_http_request_duration_seconds",
            "Time until the answer was complete; live streams are not in it",
            ("method", "route"),
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        )

    def count(self, *, method: str, route: str, status: int, seconds: float | None) -> None:
        """One request. `seconds` None: its duration means nothing."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        if seconds is not None:
            self._duration.labels(known, route).observe(seconds)


Metered = NamedDependency[SkipValidation[Meter]]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """This process: see Hub.clients, WebDeps.version and loop_lag."""

    version: str
    clients: int
    loop_lag: float


@get("/metrics", needs="anyone", media_type=TEXT_FORMAT, summary="Metrics for Prometheus", tags=["health"])
async def metrics(deps: Deps, meter: Metered, recent: Recent, look: Look) -> Response[bytes]:
    facts, disk = await asyncio.gather(gather(deps, recent), look(deps))
    page = Page(version=deps.version, clients=deps.hub.clients, loop_lag=deps.loop_lag())
    return Response(exposition(page, facts, disk, meter), media_type=TEXT_FORMAT)


def exposition(page: Page, facts: Facts, disk: Disk | None, meter: Meter) -> bytes:
    """Everything in Prometheus' text format. `disk` None: there is no data folder to tell of."""
    state = CollectorRegistry()
    state.register(_State(page, facts, disk))
    told = generate_latest(state) + generate_latest(meter.registry)
    if facts.pulse is not None and facts.pulse_age < SILENT_AFTER:
        told += facts.pulse.metrics.encode()
    return told


class _State(Collector):
    """One scrape's facts as metrics."""

    def __init__(self, page: Page, facts: Facts, disk: Disk | None) -> None:
        self.page = page
        self.facts = facts
        self.disk = disk

    def collect(self) -> Iterator[Metric]:
        page, facts, store = self.page, self.facts, self.facts.store
        build = {"version": page.version, "python": platform.python_version()}
        yield InfoMetricFamily("cryptowatcher_build", "What is running", value=build)
        yield _gauge("stream_clients", "Clients on the live stream", page.clients)
        lag = "Longest hold-up of the page's event loop in the last 15 to 30 s"
        yield _gauge("page_loop_lag_seconds", lag, page.loop_lag)
        readable = (("journal", facts.journal is not None), ("store", store is not None))
        yield _by("readable", "1 when it could be read", "part", readable)
        yield from _pipeline(facts)
        yield from _journal(facts)
        if self.disk is not None:
            yield from _disk(self.disk)
        if store is not None:
            yield from _prices(store, facts.now)
            yield _by("rules", "Rules of people", "state", store.counts.rules.items())
            yield from _sources(store.sources)
            yield from _outbox(store, facts.now)


def _journal(facts: Facts) -> Iterator[Metric]:
    journal = facts.journal
    head, newest_at, oldest_at = (None, None, None)
    if journal is not None:
        head, newest_at, oldest_at = journal.head, journal.newest_at, journal.oldest_at
    yield _gauge("journal_head", "Newest position of the journal", head)
    yield _gauge("journal_last_append_timestamp_seconds", "Time of the newest record", _seconds(newest_at))
    yield _gauge("journal_oldest_timestamp_seconds", "Time of the oldest record that is kept", _seconds(oldest_at))
    yield _gauge("watch_lag_records", "Records that watch has not come to", facts.lag_records)
    yield _gauge("watch_lag_seconds", "Journal time that watch is behind", _seconds(facts.lag_ms))


def _pipeline(facts: Facts) -> Iterator[Metric]:
    """Unknown where nobody sends a pulse: the page may be served beside any pipeline, or none."""
    pulse = facts.pulse
    up = None if pulse is None else float(facts.pulse_age < SILENT_AFTER)
    yield _gauge("pipeline_up", "1 while the pipeline's process says that it is there", up)
    trouble = GaugeMetricFamily(
        "cryptowatcher_job_trouble", "1 for each job that cannot go on now, and why", labels=("job", "reason")
    )
    for job, reason in pulse.troubles.items() if pulse else ():
        trouble.add_metric((job, reason), 1.0)
    yield trouble


def _disk(disk: Disk) -> Iterator[Metric]:
    files = disk.files.items()
    yield _by("file_bytes", "Size of a database file", "file", ((name, sizes.file) for name, sizes in files))
    yield _by(
        "wal_bytes", "Size of a database's write-ahead log", "file", ((name, sizes.wal) for name, sizes in files)
    )
    yield _gauge("disk_free_bytes", "Room that is left for us on the data folder's disk", disk.free)
    yield _gauge("disk_size_bytes", "Size of the data folder's disk", disk.size)
    at = _seconds(disk.backup_at)
    yield _gauge("backup_last_success_timestamp_seconds", "Time of the last complete backup", at)


def _prices(store: StoreFacts, now: int) -> Iterator[Metric]:
    yield _gauge("prices_known", "Pairs with a price", len(store.counts.observed_at))
    ages = [(now - at) / 1000 for at in store.counts.observed_at]
    stats = (("min", min(ages)), ("median", statistics.median(ages)), ("max", max(ages))) if ages else ()
    yield _by("price_age_seconds", "Age of the newest prices", "stat", stats)
    yield _gauge("alerts_kept", "Alerts that are kept; falls when old ones are forgotten", store.counts.alerts)
    # A price that does not count any more for rules is no price to draw either.
    valid = [price for price in store.counts.largest if price.valid_until >= now]

    def of_pairs(name: str, meaning: str, value: Callable[[Price], float | None]) -> GaugeMetricFamily:
        return _by(
            name, f"{meaning}, of the largest pairs by market cap", "pair", ((p.pair, value(p)) for p in valid)
        )

    yield of_pairs("price", "Newest price in the pair's currency", lambda price: price.price)
    yield of_pairs("volume_24h", "Volume of 24 hours in the pair's currency", lambda price: price.volume_24h)
    yield of_pairs("market_cap", "Market cap in the pair's currency", lambda price: price.market_cap)


def _sources(sources: list[SourceStatus]) -> Iterator[Metric]:
    def each(name: str, meaning: str, value: Callable[[SourceStatus], float | None]) -> GaugeMetricFamily:
        return _by(name, meaning, "source", ((status.source, value(status)) for status in sources))

    yield each("source_up", "1 while the source can see", lambda each: each.state in ("ok", "limited"))
    yield each("source_last_success_timestamp_seconds", "Last usable answer", lambda each: each.last_ok_at / 1000)
    yield each("source_calls_minute", "Calls of the last minute", lambda each: each.calls_this_minute)
    yield each("source_calls_minute_limit", "Calls a minute at most", lambda each: each.calls_per_minute)
    yield each(
        "source_calls_month", "Counted calls of this calendar month (UTC)", lambda each: each.calls_this_month
    )
    yield each(
        "source_calls_month_limit",
        "Counted calls of a calendar month at most, where that is known",
        lambda each: each.calls_per_month,
    )
    yield each("source_blind_pairs", "Pairs the source cannot see now", lambda each: len(each.blind_pairs))
    yield each("source_held_prices", "Prices too strange to count alone, held now", lambda each: each.held)


def _outbox(store: StoreFacts, now: int) -> Iterator[Metric]:
    states = ((state, store.counts.outbox.get(state, 0)) for state in get_args(DeliveryState))
    yield _by("outbox_deliveries", "Deliveries by state", "state", states)
    overdue = 0.0 if store.next_due is None else max(0, now - store.next_due) / 1000
    yield _gauge("outbox_overdue_seconds", "How long the earliest due delivery waits", overdue)


def _gauge(name: str, meaning: str, value: float | None) -> GaugeMetricFamily:
    """Unknown is NaN: a number that is missing must not look like zero."""
    return GaugeMetricFamily(f"cryptowatcher_{name}", meaning, value=math.nan if value is None else value)


def _by(name: str, meaning: str, label: str, values: Iterable[tuple[str, float | None]]) -> GaugeMetricFamily:
    """One label. What is unknown is absent."""
    family = GaugeMetricFamily(f"cryptowatcher_{name}", meaning, labels=(label,))
    for key, value in values:
        if value is not None:
            family.add_metric((key,), float(value))
    return family


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
