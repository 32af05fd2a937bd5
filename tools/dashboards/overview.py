"""The overview: does it watch, does it see, do alerts arrive; and what of the others to open next."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards.panels import Ask, Limit, Panel, dashboard, lines, number, rows, too_high, too_low

YES_NO = {"0": ("no", "red"), "1": ("yes", "green")}


def board() -> Dashboard:
    return dashboard(
        "overview",
        "overview",
        "Whether the watcher watches, sees prices and reaches people. Begin here.",
        {"Now": _now(), "Objectives": _objectives(), "Work": _work(), "Alerts about the watcher": _alerts()},
    )


def _now() -> list[Panel]:
    return [
        number(
            "Watching",
            "The pipeline sends a pulse each second; without one for 10 s it counts as down.",
            Ask("min(cryptowatcher_pipeline_up{@})"),
            limits=too_low(1, 1),
            words=YES_NO,
            runbook="CryptowatcherPipelineDown",
        ),
        number(
            "Sources that see",
            "The share of sources with a usable answer that is still valid.",
            Ask("avg(cryptowatcher_source_up{@})"),
            unit="percentunit",
            limits=too_low(0.5, 1),
            runbook="CryptowatcherSourceBlind",
        ),
        number(
            "Age of prices",
            "Half of all known prices are older than this.",
            Ask('max(cryptowatcher_price_age_seconds{@, stat="median"})'),
            unit="s",
            limits=too_high(600, 1200),
            runbook="CryptowatcherPricesStale",
        ),
        number(
            "Watch behind",
            "How far the rules are behind the newest record of the journal.",
            Ask("max(cryptowatcher_watch_lag_seconds{@})"),
            unit="s",
            limits=too_high(5, 30),
            runbook="CryptowatcherWatchLagging",
        ),
        number(
            "Outbox overdue",
            "How long the earliest due delivery has waited.",
            Ask("max(cryptowatcher_outbox_overdue_seconds{@})"),
            unit="s",
            limits=too_high(30, 120),
            runbook="CryptowatcherOutboxOverdue",
        ),
        number(
            "Alerts about the watcher",
            "Alerts of our Prometheus rules that are firing now. The table below names them.",
            Ask('count(ALERTS{alertname=~"Cryptowatcher.+", alertstate="firing", severity!="none"}) or vector(0)'),
            limits=too_high(1, 2),
        ),
    ]


def _objectives() -> list[Panel]:
    return [
        number(
            "Live alerts within 5 s",
            "Of three days; the objective is 99.9 %. `none` without alerts.",
            Ask(
                "1 - sum(cryptowatcher:delivery_bad:increase3d{@}) / sum(cryptowatcher:delivery_all:increase3d{@})"
            ),
            unit="percentunit",
            decimals=2,
            limits=too_low(0.99, 0.999),
            span=6,
            runbook="CryptowatcherDeliverySlowBurn",
        ),
        number(
            "Source-minutes fresh",
            "The worst source of three days; the objective is 99.95 %.",
            Ask("1 - max(cryptowatcher:source_dark:ratio3d{@})"),
            unit="percentunit",
            decimals=2,
            limits=too_low(0.99, 0.9995),
            span=6,
            runbook="CryptowatcherFreshnessSlowBurn",
        ),
        number(
            "Requests without a fault",
            "Of three days; the objective is 99.9 %. Health and metrics are not counted.",
            Ask("1 - sum(cryptowatcher:api_bad:increase3d{@}) / sum(cryptowatcher:api_all:increase3d{@})"),
            unit="percentunit",
            decimals=2,
            limits=too_low(0.99, 0.999),
            span=6,
            runbook="CryptowatcherApiSlowBurn",
        ),
        number(
            "Canary came back",
            "Seconds since the newest canary went all the way from a source to a channel.",
            Ask("max(time() - cryptowatcher_canary_last_success_timestamp_seconds{@})"),
            unit="s",
            limits=too_high(120, 300),
            span=6,
            runbook="CryptowatcherCanaryMissing",
        ),
    ]


def _work() -> list[Panel]:
    return [
        lines(
            "Prices accepted",
            "Observations that were journaled, a second. Steps are the rounds of the source.",
            [Ask("rate(cryptowatcher_ticks_accepted_total{@}[$__rate_interval])", "{{instance}} {{source}}")],
            unit="cps",
        ),
        lines(
            "Alerts fired",
            "Alerts committed, a minute, by kind.",
            [Ask("60 * rate(cryptowatcher_alerts_fired_total{@}[$__rate_interval])", "{{instance}} {{kind}}")],
            unit="cpm",
        ),
        lines(
            "Attempts to deliver",
            "A minute, by channel and outcome. `sent` is good, every other word says why not.",
            [
                Ask(
                    "60 * rate(cryptowatcher_delivery_attempts_total{@}[$__rate_interval])",
                    "{{instance}} {{channel}} {{outcome}}",
                )
            ],
            unit="cpm",
            runbook="CryptowatcherChannelDown",
        ),
        lines(
            "From the price to the channel, 99th percentile",
            "How long an alert took from the journal to its channel. The objective is drawn.",
            [
                Ask(
                    "histogram_quantile(0.99, sum by (instance, le) "
                    "(rate(cryptowatcher_alert_to_sent_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}}",
                )
            ],
            unit="s",
            limit=Limit(5, "red"),
            runbook="CryptowatcherDeliveryFastBurn",
        ),
    ]


def _alerts() -> list[Panel]:
    return [
        rows(
            "Firing and pending",
            "From Prometheus's own series ALERTS. The watchdog always fires.",
            {"Active": ('ALERTS{alertname=~"Cryptowatcher.+"}', "short")},
            keep=("alertname", "severity", "alertstate", "instance", "source", "channel"),
            sort="alertstate",
            span=16,
        ),
        rows(
            "What runs",
            "Version of each instance and its Python.",
            {"Up": ("cryptowatcher_build_info{@}", "short")},
            keep=("instance", "version", "python"),
            sort="instance",
            descending=False,
            span=8,
        ),
    ]
