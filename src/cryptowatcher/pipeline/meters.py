"""What the pipeline counts and times, for Prometheus. Whoever did something says so in a method; how that becomes
names and labels stands only here.

Labels are bounded: names of the configuration (sources, channels), our own stable words (outcomes, reasons, kinds,
jobs); never ids, pairs or what somebody wrote. Methods may be called from any thread and cost a few microseconds.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from cryptowatcher.domain.alerts import AlertKind
from cryptowatcher.domain.channel_names import is_own
from cryptowatcher.ports import Clock

File = Literal["journal", "store"]
TRIMMED = ("records", "changes", "candles", "alerts")

_MICRO = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_DISK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_NETWORK = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LATENCY = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

FEEL_EVERY = 0.1
REMEMBER = 15.0
REMOVED = "removed"
"""Stands for every channel that is not configured any more."""


ADDED = "added"
"""Stands for every channel that people have added: they may be thousands, and the names are their own."""


def label_of(channel: str) -> str:
    """What a channel (by address) is called in metrics."""
    return ADDED if is_own(channel) else channel


class LoopLag:
    """How late an event loop comes to what is due: while something holds it up, everything else waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._worst = [0.0, 0.0]  # of this stretch of REMEMBER seconds, and of the one before
        self._since = clock.monotonic()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = self._clock.monotonic()
            await asyncio.sleep(FEEL_EVERY)
            now = self._clock.monotonic()
            self._turn(now)
            self._worst[0] = max(self._worst[0], now - began - FEEL_EVERY)

    def worst(self) -> float:
        """Seconds, the worst of the last 15 to 30: whoever asks that often sees every hold-up, and asking changes
        nothing. From any thread."""
        return max(self._worst)

    def _turn(self, now: float) -> None:
        stretches = int((now - self._since) // REMEMBER)
        if stretches:
            self._worst = [0.0, self._worst[0] if stretches == 1 else 0.0]
            self._since += stretches * REMEMBER


class Meters:
    """One for a pipeline. What Prometheus' client keeps of its own accord goes to no registry but this one."""

    def __init__(self, *, started_at: int | None = None, loop_lag: Callable[[], float] = lambda: 0.0) -> None:
        """`started_at`: epoch ms at which this pipeline began; `loop_lag`: see LoopLag.worst."""
        # It would write a second family beside every counter, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own annotations end there
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="cryptowatcher_pipeline", registry=self.registry)
        self._make_collecting()
        self._make_files()
        self._make_watching()
        self._make_delivering()
        self._make_program(started_at, loop_lag)

    def exposition(self) -> str:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry).decode()

    # --- collect -----------------------------------------------------------------------------------

    def expect_source(self, source: str) -> None:
        """A source is there: its counts begin at 0, so that the first of them is seen as a rise."""
        self._requests.labels(source, "ok")
        self._request_duration.labels(source)
        self._accepted.labels(source)
        self._tick_lag.labels(source)

    def asked(self, source: str, outcome: str, seconds: float) -> None:
        """A call of a source ended: `ok`, or the stable word for why not."""
        self._requests.labels(source, outcome).inc()
        self._request_duration.labels(source).observe(seconds)

    def accepted(self, source: str, count: int, lag: float) -> None:
        """So many observations of an answer were journaled, `lag` seconds after it had come in."""
        self._accepted.labels(source).inc(count)
        if count:
            self._tick_lag.labels(source).observe(max(lag, 0.0))

    def rejected(self, source: str, reasons: Iterable[str]) -> None:
        """A stable word for each observation that does not count, or that an answer did not have."""
        for reason, count in Tally(reasons).items():
            self._rejected.labels(source, reason).inc(count)

    def expect_history(self, source: str) -> None:
        """A source that has history is there: its counts begin at 0."""
        self._history_requests.labels(source, "ok")
        self._history_points.labels(source)
        self._history_dropped.labels(source)
        self._history_waiting.labels(source)

    def asked_history(self, source: str, outcome: str) -> None:
        """A call for history ended: `ok`, or the stable word for why not."""
        self._history_requests.labels(source, outcome).inc()

    def filled(self, source: str, points: int, dropped: int) -> None:
        """So many points of an answer were journaled, and so many were none or not to be believed."""
        self._history_points.labels(source).inc(points)
        self._history_dropped.labels(source).inc(dropped)

    def history_waits(self, source: str, calls: int) -> None:
        """So many calls for history are still to be made."""
        self._history_waiting.labels(source).set(calls)

    # --- files -------------------------------------------------------------------------------------

    def file(self, name: File) -> FileMeter:
        """Whom the writer of that file is to tell."""
        return FileMeter(
            duration=self._commit_duration.labels(name),
            queue=self._commit_queue.labels(name),
            errors=self._append_errors if name == "journal" else self._store_errors,
        )

    def trimmed(self, what: str, count: int) -> None:
        """So many of TRIMMED were forgotten for good."""
        self._trimmed.labels(what).inc(count)

    # --- watch -------------------------------------------------------------------------------------

    def stepped(self, records: int, seconds: float) -> None:
        """One block of the journal went through the rules."""
        self._records.inc(records)
        self._step_duration.observe(seconds)

    def committed(self, alerts: Mapping[str, int]) -> None:
        """A step was committed, with so many alerts of each kind."""
        self._commits.inc()
        for kind, count in alerts.items():
            self._fired.labels(kind).inc(count)

    # --- notify ------------------------------------------------------------------------------------

    def expect_channel(self, channel: str) -> None:
        """A channel is there: its counts begin at 0."""
        self._attempts.labels(channel, "sent")
        self._delivery_duration.labels(channel)
        self._alert_to_sent.labels(channel)

    def attempted(self, channel: str, outcome: str, seconds: float) -> None:
        """A call of a channel ended: `sent`, or the stable word for why not."""
        self._attempts.labels(channel, outcome).inc()
        self._delivery_duration.labels(channel).observe(seconds)

    def reached(self, channel: str, seconds: float) -> None:
        """The first call for a delivery was a success, so long after its alert stood in the journal."""
        self._alert_to_sent.labels(channel).observe(max(seconds, 0.0))

    def given_up(self, channel: str, reason: str) -> None:
        """Nobody will try that delivery any more."""
        self._given_up.labels(channel, reason).inc()

    def canary_came_round(self, seconds: float, at: int) -> None:
        """The watcher's own alert came to its channel, so long after its observation, at that time (epoch ms)."""
        self._canary_roundtrip.observe(max(seconds, 0.0))
        self._canary_last.set(at / 1000)

    # --- the program -------------------------------------------------------------------------------

    def expect_jobs(self, *jobs: str) -> None:
        """These jobs are there: their counts begin at 0."""
        for job in jobs:
            self._job_restarts.labels(job)

    def job_restarted(self, job: str) -> None:
        """A job that could not go on began anew."""
        self._job_restarts.labels(job).inc()

    def page_restarted(self) -> None:
        """The page's process ended by itself and is started again."""
        self._page_restarts.inc()

    def clock_stepped(self) -> None:
        """The wall clock jumped."""
        self._clock_steps.inc()

    # --- names, once each --------------------------------------------------------------------------

    def _make_collecting(self) -> None:
        self._requests = self._counter(
            "source_requests_total", "Calls of a source that ended", "source", "outcome"
        )
        self._request_duration = self._histogram(
            "source_request_duration_seconds", "Time until a source had answered or failed", _NETWORK, "source"
        )
        self._accepted = self._counter("ticks_accepted_total", "Observations that were journaled", "source")
        self._rejected = self._counter(
            "ticks_rejected_total", "Observations that do not count, or that an answer lacked", "source", "reason"
        )
        self._tick_lag = self._histogram(
            "tick_lag_seconds", "From an answer of a source to its place in the journal", _LATENCY, "source"
        )

        self._history_requests = self._counter(
            "history_requests_total", "Calls of a source for history that ended", "source", "outcome"
        )
        self._history_points = self._counter("history_points_total", "Points of history journaled", "source")
        self._history_dropped = self._counter(
            "history_points_dropped_total", "Points of history that were none or not to be believed", "source"
        )
        self._history_waiting = self._gauge("history_waiting", "Calls for history still to be made", "source")

    def _make_files(self) -> None:
        self._append_errors = self._counter(
            "journal_append_errors_total", "Writes to the journal that failed for now", "reason"
        )
        self._store_errors = self._counter(
            "store_commit_errors_total", "Transactions of the store that failed for now", "reason"
        )
        for errors in (self._append_errors, self._store_errors):
            errors.labels("disk_full")
        self._commit_duration = self._histogram(
            "commit_duration_seconds", "One transaction in the thread that writes a file", _DISK, "file"
        )
        self._commit_queue = self._gauge(
            "commit_queue", "Jobs that wait for the thread that writes a file", "file"
        )
        self._trimmed = self._counter(
            "trimmed_total", "What was forgotten for good, too old or too much of it", "what"
        )
        for what in TRIMMED:
            self._trimmed.labels(what)

    def _make_watching(self) -> None:
        self._records = self._counter("watch_records_total", "Journal records that went through the rules")
        self._step_duration = self._histogram(
            "watch_step_duration_seconds", "Time for one block of journal records", _MICRO
        )
        self._commits = self._counter("watch_commits_total", "Commits of the effects of journal records")
        self._fired = self._counter("alerts_fired_total", "Alerts committed by this process", "kind")
        for kind in get_args(AlertKind):
            self._fired.labels(kind)

    def _make_delivering(self) -> None:
        self._attempts = self._counter(
            "delivery_attempts_total", "Calls of a channel that ended", "channel", "outcome"
        )
        self._delivery_duration = self._histogram(
            "delivery_duration_seconds", "Time until a channel had answered or failed", _NETWORK, "channel"
        )
        self._alert_to_sent = self._histogram(
            "alert_to_sent_seconds",
            "From the journal time of an alert to the receipt, where the first attempt was a success",
            _LATENCY,
            "channel",
        )
        self._given_up = self._counter(
            "deliveries_given_up_total", "Deliveries that nobody will try any more", "channel", "reason"
        )
        self._canary_roundtrip = self._histogram(
            "canary_roundtrip_seconds", "From the canary's observation to its channel", _LATENCY
        )
        self._canary_last = self._gauge(
            "canary_last_success_timestamp_seconds", "Time at which the canary last came round"
        )
        self._canary_last.set(math.nan)

    def _make_program(self, started_at: int | None, loop_lag: Callable[[], float]) -> None:
        self._job_restarts = self._counter("job_restarts_total", "Jobs that began anew", "job")
        self._page_restarts = self._counter(
            "page_restarts_total", "Times that the page's process ended by itself and was started again"
        )
        self._clock_steps = self._counter("clock_steps_total", "Jumps of the wall clock by more than 5 s")
        lag = self._gauge(
            "pipeline_loop_lag_seconds", "Longest hold-up of the pipeline's event loop in the last 15 to 30 s"
        )
        lag.set_function(loop_lag)
        started = self._gauge("pipeline_start_timestamp_seconds", "Time at which this pipeline began")
        started.set(math.nan if started_at is None else started_at / 1000)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"cryptowatcher_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"cryptowatcher_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"cryptowatcher_{name}", meaning, labels, registry=self.registry, buckets=buckets)


class FileMeter:
    """One file's. Whoever runs its transactions tells it what it takes: see adapters/runner.py."""

    def __init__(self, *, duration: Histogram, queue: Gauge, errors: Counter) -> None:
        self._duration = duration
        self._queue = queue
        self._errors = errors

    def committed(self, seconds: float) -> None:
        """A transaction is durable, so long after it began."""
        self._duration.observe(seconds)

    def failed(self, reason: str) -> None:
        """A job was not done for now, for a stable word."""
        self._errors.labels(reason).inc()

    def queue(self, length: Callable[[], int]) -> None:
        """How many wait can be asked here."""
        self._queue.set_function(length)
