"""Data quality: what the sources say, what of it is believed, and what asking costs."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards.panels import Ask, Limit, Panel, dashboard, lines, number, too_high, too_low

# The share of the budget that is left against the share of the month that is left: 1 is an even pace.
PACE = (
    "min((1 - cryptowatcher_source_calls_month{@} / cryptowatcher_source_calls_month_limit{@})"
    " / (1 - scalar(cryptowatcher:month_elapsed:ratio)))"
)


def board() -> Dashboard:
    return dashboard(
        "quality",
        "data quality",
        "What the sources say, what of it is believed, and what asking costs.",
        {"Now": _now(), "Prices": _prices(), "Answers": _answers(), "Budget": _budget()},
    )


def _now() -> list[Panel]:
    return [
        number(
            "Pairs with a price",
            "Pairs that have ever had an accepted price.",
            Ask("sum(cryptowatcher_prices_known{@})"),
        ),
        number(
            "Pairs that are blind",
            "Pairs without a current price, over all sources.",
            Ask("sum(cryptowatcher_source_blind_pairs{@})"),
            limits=too_high(1, 13),
            runbook="CryptowatcherPairsBlind",
        ),
        number(
            "Prices held",
            "Prices that jumped too far to be believed alone.",
            Ask("sum(cryptowatcher_source_held_prices{@})"),
            limits=too_high(1, 25),
            runbook="CryptowatcherHeldMany",
        ),
        number(
            "Oldest price",
            "Age of the oldest price that is known. A coin that left the list stays here.",
            Ask('max(cryptowatcher_price_age_seconds{@, stat="max"})'),
            unit="s",
        ),
        number(
            "Budget left, against an even pace",
            "Share of the month's calls that is left, divided by the share of the month that is left.",
            Ask(PACE),
            unit="percentunit",
            limits=too_low(0.75, 0.9),
            runbook="CryptowatcherBudgetWillRunOut",
        ),
        number(
            "Jumps of the clock",
            "Steps of the wall clock by more than 5 s in a day.",
            Ask("sum(increase(cryptowatcher_clock_steps_total{@}[1d]))"),
            limits=too_high(1, 3),
            decimals=0,
            runbook="CryptowatcherClockSteps",
        ),
    ]


def _prices() -> list[Panel]:
    return [
        lines(
            "Sources that see",
            "1 while a source has given a usable answer that is still valid.",
            [Ask("cryptowatcher_source_up{@}", "{{instance}} {{source}}")],
            runbook="CryptowatcherSourceBlind",
        ),
        lines(
            "Age of prices",
            "Youngest, median and oldest of all known prices, by the source's own time.",
            [Ask("cryptowatcher_price_age_seconds{@}", "{{instance}} {{stat}}")],
            unit="s",
            limit=Limit(1200, "red"),
            runbook="CryptowatcherPricesStale",
        ),
        lines(
            "Prices accepted",
            "Observations that were journaled, a second.",
            [Ask("rate(cryptowatcher_ticks_accepted_total{@}[$__rate_interval])", "{{instance}} {{source}}")],
            unit="cps",
            stacked=True,
        ),
        lines(
            "Observations that do not count",
            "A second, by reason. `unchanged` is a price that is known already and is normal.",
            [
                Ask(
                    "sum by (instance, source, reason) "
                    "(rate(cryptowatcher_ticks_rejected_total{@}[$__rate_interval]))",
                    "{{instance}} {{source}} {{reason}}",
                )
            ],
            unit="cps",
            stacked=True,
        ),
        lines(
            "Held and blind",
            "Prices that are held back, and pairs without a current price.",
            [
                Ask("cryptowatcher_source_held_prices{@}", "{{instance}} {{source}} held"),
                Ask("cryptowatcher_source_blind_pairs{@}", "{{instance}} {{source}} blind"),
            ],
            runbook="CryptowatcherPairsBlind",
        ),
        lines(
            "From the answer to the journal",
            "Median and 99th percentile.",
            [
                Ask(
                    "histogram_quantile(0.5, sum by (instance, le) "
                    "(rate(cryptowatcher_tick_lag_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}} median",
                ),
                Ask(
                    "histogram_quantile(0.99, sum by (instance, le) "
                    "(rate(cryptowatcher_tick_lag_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}} 99 %",
                ),
            ],
            unit="s",
        ),
    ]


def _answers() -> list[Panel]:
    return [
        lines(
            "Calls by outcome",
            "A minute. `ok` is good, every other word says why not.",
            [
                Ask(
                    "60 * rate(cryptowatcher_source_requests_total{@}[$__rate_interval])",
                    "{{instance}} {{source}} {{outcome}}",
                )
            ],
            unit="cpm",
            stacked=True,
            runbook="CryptowatcherSourceUnreliable",
        ),
        lines(
            "Time to answer",
            "Median and 95th percentile, failures included.",
            [
                Ask(
                    "histogram_quantile(0.5, sum by (instance, source, le) "
                    "(rate(cryptowatcher_source_request_duration_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}} {{source}} median",
                ),
                Ask(
                    "histogram_quantile(0.95, sum by (instance, source, le) "
                    "(rate(cryptowatcher_source_request_duration_seconds_bucket{@}[$__rate_interval])))",
                    "{{instance}} {{source}} 95 %",
                ),
            ],
            unit="s",
        ),
        lines(
            "Since the last usable answer",
            "Grows between two rounds and falls back with each.",
            [
                Ask(
                    "time() - (cryptowatcher_source_last_success_timestamp_seconds{@} > 0)",
                    "{{instance}} {{source}}",
                )
            ],
            unit="s",
            runbook="CryptowatcherSourceBlind",
        ),
        lines(
            "Turned away",
            "Answers that said `too many calls`, or a ban, in an hour.",
            [
                Ask(
                    'sum(increase(cryptowatcher_source_requests_total{@, outcome=~"rate_limited|banned"}[1h])) '
                    "or vector(0)",
                    "all sources",
                )
            ],
            runbook="CryptowatcherSourceRateLimited",
        ),
    ]


def _budget() -> list[Panel]:
    return [
        lines(
            "Calls of this month",
            "Counted calls since the month began (UTC), and the plan's limit where one is known.",
            [
                Ask("cryptowatcher_source_calls_month{@}", "{{instance}} {{source}}"),
                Ask("cryptowatcher_source_calls_month_limit{@}", "{{instance}} {{source}} limit"),
            ],
            runbook="CryptowatcherBudgetWillRunOut",
        ),
        lines(
            "Calls of the last minute",
            "And how many there may be.",
            [
                Ask("cryptowatcher_source_calls_minute{@}", "{{instance}} {{source}}"),
                Ask("cryptowatcher_source_calls_minute_limit{@}", "{{instance}} {{source}} limit"),
            ],
        ),
    ]
