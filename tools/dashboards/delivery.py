"""Delivery: from a rule that came true to the person who wants to know."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards.panels import Ask, Limit, Panel, dashboard, lines, number, too_high


def board() -> Dashboard:
    return dashboard(
        "delivery",
        "delivery",
        "From a rule that came true to the person who wants to know.",
        {"Now": _now(), "Channels": _channels(), "Outbox": _outbox(), "Canary": _canary(), "Objective": _burn()},
    )


def _now() -> list[Panel]:
    return [
        number(
            "Rules watched",
            "Active rules of people; paused ones are not counted.",
            Ask('sum(cryptowatcher_rules{@, state="active"})'),
            span=6,
            runbook="CryptowatcherRulesAllPaused",
        ),
        number(
            "Waiting",
            "Deliveries that are queued, leased or will be tried again.",
            Ask('sum(cryptowatcher_outbox_deliveries{@, state=~"queued|leased|retrying"})'),
            limits=too_high(50, 1000),
            span=6,
        ),
        number(
            "Overdue",
            "How long the earliest due delivery has waited.",
            Ask("max(cryptowatcher_outbox_overdue_seconds{@})"),
            unit="s",
            limits=too_high(30, 120),
            span=6,
            runbook="CryptowatcherOutboxOverdue",
        ),
        number(
            "Given up in the time shown",
            "Deliveries that were refused for good, or not delivered for a day.",
            Ask('clamp_min(sum(delta(cryptowatcher_outbox_deliveries{@, state="given_up"}[$__range])), 0)'),
            limits=too_high(1, 5),
            decimals=0,
            span=6,
            runbook="CryptowatcherDeliveriesGivenUp",
        ),
    ]


def _channels() -> list[Panel]:
    return [
        lines(
            "Attempts by outcome",
            "A minute. `sent` is good, every other word says why not.",
            [
                Ask(
                    "60 * rate(cryptowatcher_delivery_attempts_total{@}[$__rate_interval])",
                    "{{instance}} {{channel}} {{outcome}}",
                )
            ],
            unit="cpm",
            stacked=True,
            runbook="CryptowatcherChannelDown",
        ),
        lines(
            "Share of attempts that failed",
            "In an hour, by channel. No line: no attempts.",
            [
                Ask(
                    "1 - sum by (instance, channel) "
                    '(increase(cryptowatcher_delivery_attempts_total{@, outcome="sent"}[1h])) '
                    "/ sum by (instance, channel) (increase(cryptowatcher_delivery_attempts_total{@}[1h]))",
                    "{{instance}} {{channel}}",
                )
            ],
            unit="percentunit",
            limit=Limit(0.2, "red"),
            runbook="CryptowatcherChannelUnreliable",
        ),
        lines(
            "Time of one attempt, 95th percentile",
            "Until the channel had answered or failed.",
            [
                Ask(
                    "histogram_quantile(0.95, sum by (instance, channel, le) "
                    "(rate(cryptowatcher_delivery_duration_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}} {{channel}}",
                )
            ],
            unit="s",
        ),
        lines(
            "From the price to the channel",
            "From the journal to the receipt, where the first attempt was a success: 99th percentile by channel.",
            [
                Ask(
                    "histogram_quantile(0.99, sum by (instance, channel, le) "
                    "(rate(cryptowatcher_alert_to_sent_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}} {{channel}}",
                )
            ],
            unit="s",
            limit=Limit(5, "red"),
            runbook="CryptowatcherDeliveryFastBurn",
        ),
    ]


def _outbox() -> list[Panel]:
    return [
        lines(
            "Waiting deliveries",
            "By state: queued, in somebody's hands, or waiting to be tried again.",
            [
                Ask(
                    'cryptowatcher_outbox_deliveries{@, state=~"queued|leased|retrying"}',
                    "{{instance}} {{state}}",
                )
            ],
            stacked=True,
            runbook="CryptowatcherOutboxOverdue",
        ),
        lines(
            "Given up, by reason",
            "In an hour, as this run of the pipeline counted.",
            [
                Ask(
                    "sum by (channel, reason) (increase(cryptowatcher_deliveries_given_up_total{@}[1h])) "
                    "or vector(0)",
                    "{{channel}} {{reason}}",
                )
            ],
            runbook="CryptowatcherDeliveriesGivenUp",
        ),
    ]


def _canary() -> list[Panel]:
    return [
        lines(
            "Since the canary came back",
            "It goes round each minute; the alert's limit is drawn.",
            [Ask("time() - cryptowatcher_canary_last_success_timestamp_seconds{@}", "{{instance}}")],
            unit="s",
            limit=Limit(300, "red"),
            runbook="CryptowatcherCanaryMissing",
        ),
        lines(
            "A canary's round",
            "Mean of 15 minutes, from its observation to its channel.",
            [
                Ask(
                    "rate(cryptowatcher_canary_roundtrip_seconds_sum{@}[15m]) "
                    "/ rate(cryptowatcher_canary_roundtrip_seconds_count{@}[15m])",
                    "{{instance}}",
                )
            ],
            unit="s",
            limit=Limit(10, "red"),
            runbook="CryptowatcherCanarySlow",
        ),
    ]


def _burn() -> list[Panel]:
    return [
        lines(
            "Burn rate: live alerts within 5 s",
            "1 uses the error budget of 30 days in 30 days; 14.4 over an hour pages. No line: no alerts.",
            [
                Ask(
                    f"cryptowatcher:delivery_bad:increase{window}{{@}}"
                    f" / cryptowatcher:delivery_all:increase{window}{{@}} / 0.001",
                    f"{{{{instance}}}} {window}",
                )
                for window in ("1h", "6h", "3d")
            ],
            limit=Limit(14.4, "red"),
            runbook="CryptowatcherDeliveryFastBurn",
        ),
        lines(
            "Burn rate: fresh source-minutes",
            "1 uses the error budget of 30 days in 30 days; 14.4 over an hour pages.",
            [
                Ask(
                    f"cryptowatcher:source_dark:ratio{window}{{@}} / 0.0005",
                    f"{{{{instance}}}} {{{{source}}}} {window}",
                )
                for window in ("1h", "6h", "3d")
            ],
            limit=Limit(14.4, "red"),
            runbook="CryptowatcherFreshnessFastBurn",
        ),
    ]
