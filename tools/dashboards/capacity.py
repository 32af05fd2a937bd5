"""Capacity: what watching costs, and what will be used up first."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards.panels import Ask, Limit, Panel, dashboard, lines, number, too_high, too_low


def board() -> Dashboard:
    return dashboard(
        "capacity",
        "capacity",
        "What watching costs, and what will be used up first.",
        {"Now": _now(), "Watch": _watch(), "Processes": _processes(), "Disk": _disk(), "Page and API": _page()},
    )


def _now() -> list[Panel]:
    return [
        number(
            "Disk free",
            "Of the disk that holds the data folder.",
            Ask("min(cryptowatcher_disk_free_bytes{@} / cryptowatcher_disk_size_bytes{@})"),
            unit="percentunit",
            limits=too_low(0.05, 0.2),
            runbook="CryptowatcherDiskNearlyFull",
        ),
        number(
            "Memory",
            "Resident memory of the larger process.",
            Ask("max(cryptowatcher:process_resident_memory_bytes{@})"),
            unit="bytes",
            limits=too_high(400 * 2**20, 600 * 2**20),
            runbook="CryptowatcherMemoryHigh",
        ),
        number(
            "Descriptors in use",
            "Of the limit, in the process that is nearer to it.",
            Ask("max(cryptowatcher:process_open_fds:ratio{@})"),
            unit="percentunit",
            limits=too_high(0.5, 0.8),
            runbook="CryptowatcherDescriptorsNearLimit",
        ),
        number(
            "Journal reaches back",
            "Age of the oldest record that is kept; 7 days are wanted.",
            Ask("min(time() - cryptowatcher_journal_oldest_timestamp_seconds{@})"),
            unit="s",
            runbook="CryptowatcherRetentionShort",
        ),
        number(
            "Last backup",
            "Age of the last complete backup; `none` when there never was one.",
            Ask("max(time() - cryptowatcher_backup_last_success_timestamp_seconds{@})"),
            unit="s",
            limits=too_high(26 * 3600, 48 * 3600),
            runbook="CryptowatcherBackupOld",
        ),
        number(
            "Running since",
            "How long the youngest pipeline has been running.",
            Ask("min(time() - cryptowatcher_pipeline_start_timestamp_seconds{@})"),
            unit="s",
            runbook="CryptowatcherCrashLoop",
        ),
    ]


def _watch() -> list[Panel]:
    return [
        lines(
            "Watch behind the journal",
            "In the journal's time. The alert's limit is drawn.",
            [Ask("cryptowatcher_watch_lag_seconds{@}", "{{instance}}")],
            unit="s",
            limit=Limit(30, "red"),
            runbook="CryptowatcherWatchLagging",
        ),
        lines(
            "Records and commits",
            "Journal records that went through the rules, and commits of what came of them, a second.",
            [
                Ask("rate(cryptowatcher_watch_records_total{@}[$__rate_interval])", "{{instance}} records"),
                Ask("rate(cryptowatcher_watch_commits_total{@}[$__rate_interval])", "{{instance}} commits"),
            ],
            unit="cps",
        ),
        lines(
            "One block of records through the rules",
            "Median and 99th percentile.",
            [
                Ask(
                    "histogram_quantile(0.5, sum by (instance, le) "
                    "(rate(cryptowatcher_watch_step_duration_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}} median",
                ),
                Ask(
                    "histogram_quantile(0.99, sum by (instance, le) "
                    "(rate(cryptowatcher_watch_step_duration_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}} 99 %",
                ),
            ],
            unit="s",
        ),
        lines(
            "Jobs that began anew",
            "In an hour, and deaths of the page's process.",
            [
                Ask("increase(cryptowatcher_job_restarts_total{@}[1h])", "{{instance}} {{exported_job}}"),
                Ask("increase(cryptowatcher_page_restarts_total{@}[1h])", "{{instance}} page"),
            ],
            runbook="CryptowatcherJobRestarts",
        ),
    ]


def _processes() -> list[Panel]:
    return [
        lines(
            "Processor",
            "Cores in use, by process.",
            [
                Ask(f"rate(cryptowatcher_{process}_process_cpu_seconds_total{{@}}[$__rate_interval])", legend)
                for process, legend in (("pipeline", "{{instance}} pipeline"), ("page", "{{instance}} page"))
            ],
        ),
        lines(
            "Memory",
            "Resident memory, by process.",
            [Ask("cryptowatcher:process_resident_memory_bytes{@}", "{{instance}} {{process}}")],
            unit="bytes",
            runbook="CryptowatcherMemoryGrowing",
        ),
        lines(
            "Hold-ups of the event loop",
            "The longest of the last 15 to 30 seconds. The alert's limit is for the mean of 10 minutes.",
            [Ask("cryptowatcher:process_loop_lag_seconds{@}", "{{instance}} {{process}}")],
            unit="s",
            limit=Limit(0.5, "red"),
            runbook="CryptowatcherLoopLag",
        ),
        lines(
            "Descriptors in use",
            "Of the limit, by process.",
            [Ask("cryptowatcher:process_open_fds:ratio{@}", "{{instance}} {{process}}")],
            unit="percentunit",
            limit=Limit(0.8, "red"),
            runbook="CryptowatcherDescriptorsNearLimit",
        ),
    ]


def _disk() -> list[Panel]:
    return [
        lines(
            "Room on the disk",
            "Free now, and what is left in three days if it goes on as in the last 6 hours.",
            [
                Ask("cryptowatcher_disk_free_bytes{@}", "{{instance}} free"),
                Ask("predict_linear(cryptowatcher_disk_free_bytes{@}[6h], 3 * 86400)", "{{instance}} in 3 days"),
            ],
            unit="bytes",
            runbook="CryptowatcherDiskWillBeFull",
        ),
        lines(
            "Files",
            "Size of the databases and of their write-ahead logs.",
            [
                Ask("cryptowatcher_file_bytes{@}", "{{instance}} {{file}}.db"),
                Ask("cryptowatcher_wal_bytes{@}", "{{instance}} {{file}}.db-wal"),
            ],
            unit="bytes",
            runbook="CryptowatcherWalLarge",
        ),
        lines(
            "One transaction",
            "Mean and 99th percentile, by file.",
            [
                Ask(
                    "rate(cryptowatcher_commit_duration_seconds_sum{@}[$__rate_interval]) "
                    "/ rate(cryptowatcher_commit_duration_seconds_count{@}[$__rate_interval])",
                    "{{instance}} {{file}} mean",
                ),
                Ask(
                    "histogram_quantile(0.99, sum by (instance, file, le) "
                    "(rate(cryptowatcher_commit_duration_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}} {{file}} 99 %",
                ),
            ],
            unit="s",
            limit=Limit(0.25, "red"),
            runbook="CryptowatcherCommitSlow",
        ),
        lines(
            "Jobs that wait for the writer",
            "By file.",
            [Ask("cryptowatcher_commit_queue{@}", "{{instance}} {{file}}")],
            limit=Limit(50, "red"),
            runbook="CryptowatcherQueueLong",
        ),
        lines(
            "Writes that failed",
            "Appends to the journal and transactions of the store, in 5 minutes, by reason.",
            [
                Ask(
                    "increase(cryptowatcher_journal_append_errors_total{@}[5m])", "{{instance}} journal {{reason}}"
                ),
                Ask("increase(cryptowatcher_store_commit_errors_total{@}[5m])", "{{instance}} store {{reason}}"),
            ],
            runbook="CryptowatcherAppendErrors",
        ),
        lines(
            "Forgotten because of age or size",
            "An hour, by what it was.",
            [Ask("increase(cryptowatcher_trimmed_total{@}[1h])", "{{instance}} {{what}}")],
            runbook="CryptowatcherRetentionShort",
        ),
    ]


def _page() -> list[Panel]:
    return [
        lines(
            "Requests",
            "A second, by status.",
            [
                Ask(
                    "sum by (instance, status) (rate(cryptowatcher_http_requests_total{@}[$__rate_interval]))",
                    "{{instance}} {{status}}",
                )
            ],
            unit="reqps",
            stacked=True,
            runbook="CryptowatcherApiFastBurn",
        ),
        lines(
            "Time to answer, 95th percentile",
            "By route; live streams are not in it.",
            [
                Ask(
                    "histogram_quantile(0.95, sum by (route, le) "
                    "(rate(cryptowatcher_http_request_duration_seconds_bucket{@}[$__rate_interval])))",
                    "{{route}}",
                )
            ],
            unit="s",
        ),
        lines(
            "Live streams",
            "Clients that follow the prices now.",
            [Ask("cryptowatcher_stream_clients{@}", "{{instance}}")],
        ),
        lines(
            "Burn rate: requests without a fault",
            "1 uses the error budget of 30 days in 30 days; 14.4 over an hour pages.",
            [
                Ask(
                    f"cryptowatcher:api_bad:increase{window}{{@}}"
                    f" / cryptowatcher:api_all:increase{window}{{@}} / 0.001",
                    f"{{{{instance}}}} {window}",
                )
                for window in ("1h", "6h", "3d")
            ],
            limit=Limit(14.4, "red"),
            runbook="CryptowatcherApiFastBurn",
        ),
    ]
