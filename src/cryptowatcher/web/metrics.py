"""/metrics for Prometheus: the watcher's state, read from store and journal at each scrape, and this process."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterator
from typing import get_args

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from cryptowatcher.domain.deliveries import DeliveryState
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.facts import Facts, Recent, StoreFacts, gather

TEXT_FORMAT = "text/plain; version=0.0.4"  # Litestar adds the charset
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))
_UNKNOWN = float("nan")


class Meter:
    """Counts requests of this process. Labels are route templates, never what a caller wrote."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
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


@get("/metrics", media_type=TEXT_FORMAT, summary="Metrics for Prometheus", tags=["health"])
async def metrics(deps: Deps, meter: Metered, recent: Recent) -> Response[bytes]:
    state = CollectorRegistry()
    state.register(_State(deps, await gather(deps, recent)))
    body = generate_latest(state) + generate_latest(meter.registry)
    return Response(body, media_type=TEXT_FORMAT)


class _State(Collector):
    """One scrape's facts as metrics."""

    def __init__(self, deps: WebDeps, facts: Facts) -> None:
        self.deps = deps
        self.facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self.facts
        build = {"version": self.deps.version, "python": platform.python_version()}
        yield InfoMetricFamily("cryptowatcher_build", "What is running", value=build)
        yield _gauge("cryptowatcher_stream_clients", "Clients on the live stream", self.deps.hub.clients)
        readable = GaugeMetricFamily("cryptowatcher_readable", "1 when it could be read", labels=("part",))
        readable.add_metric(("journal",), float(facts.journal is not None))
        readable.add_metric(("store",), float(facts.store is not None))
        yield readable
        yield from self._lag()
        if facts.store is not None:
            yield from self._prices(facts.store)
            yield from _sources(facts.store)
            yield from _outbox(facts.store, facts.now)

    def _lag(self) -> Iterator[Metric]:
        journal, lag_ms = self.facts.journal, self.facts.lag_ms
        yield _gauge(
            "cryptowatcher_journal_head", "Newest position of the journal", journal.head if journal else None
        )
        yield _gauge(
            "cryptowatcher_journal_last_append_timestamp_seconds",
            "Time of the newest record",
            None if journal is None or journal.newest_at is None else journal.newest_at / 1000,
        )
        yield _gauge(
            "cryptowatcher_watch_lag_records", "Records that watch has not come to", self.facts.lag_records
        )
        yield _gauge(
            "cryptowatcher_watch_lag_seconds",
            "Journal time that watch is behind",
            None if lag_ms is None else lag_ms / 1000,
        )

    def _prices(self, store: StoreFacts) -> Iterator[Metric]:
        yield _gauge("cryptowatcher_prices_known", "Pairs with a price", len(store.counts.observed_at))
        age = GaugeMetricFamily("cryptowatcher_price_age_seconds", "Age of the newest prices", labels=("stat",))
        ages = [(self.facts.now - at) / 1000 for at in store.counts.observed_at]
        if ages:
            age.add_metric(("min",), min(ages))
            age.add_metric(("median",), statistics.median(ages))
            age.add_metric(("max",), max(ages))
        yield age
        alerts = CounterMetricFamily("cryptowatcher_alerts", "Alerts recorded since the store exists")
        alerts.add_metric((), store.counts.alerts)
        yield alerts


def _sources(store: StoreFacts) -> Iterator[Metric]:
    up = GaugeMetricFamily("cryptowatcher_source_up", "1 while the source can see", labels=("source",))
    success = GaugeMetricFamily(
        "cryptowatcher_source_last_success_timestamp_seconds", "Last usable answer", labels=("source",)
    )
    calls = GaugeMetricFamily(
        "cryptowatcher_source_calls_month", "Counted calls of this calendar month (UTC)", labels=("source",)
    )
    blind = GaugeMetricFamily(
        "cryptowatcher_source_blind_pairs", "Pairs the source cannot see now", labels=("source",)
    )
    for status in store.sources:
        up.add_metric((status.source,), float(status.state in ("ok", "limited")))
        success.add_metric((status.source,), status.last_ok_at / 1000)
        calls.add_metric((status.source,), status.calls_this_month)
        blind.add_metric((status.source,), len(status.blind_pairs))
    yield from (up, success, calls, blind)


def _outbox(store: StoreFacts, now: int) -> Iterator[Metric]:
    outbox = GaugeMetricFamily("cryptowatcher_outbox_deliveries", "Deliveries by state", labels=("state",))
    for state in get_args(DeliveryState):
        outbox.add_metric((state,), store.counts.outbox.get(state, 0))
    yield outbox
    overdue = 0.0 if store.next_due is None else max(0, now - store.next_due) / 1000
    yield _gauge("cryptowatcher_outbox_overdue_seconds", "How long the earliest due delivery waits", overdue)


def _gauge(name: str, help_: str, value: float | None) -> GaugeMetricFamily:
    """Unknown is NaN: a number that is missing must not look like zero."""
    return GaugeMetricFamily(name, help_, value=_UNKNOWN if value is None else value)
