"""The market as the watcher sees it: prices, moves, and the alerts that came of them."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import CustomVariable, Dashboard
from grafana_foundation_sdk.models.dashboard import VariableOption

from tools.dashboards.panels import Ask, Panel, dashboard, lines, number, rows, values_of

MOVE = '100 * (cryptowatcher_price{@, pair=~"$pair"} / cryptowatcher_price{@, pair=~"$pair"} offset $move - 1)'
MOVES = ("5m", "15m", "1h", "6h", "24h")


def board() -> Dashboard:
    return (
        dashboard(
            "market",
            "market",
            "Prices, moves and alerts of the largest pairs by market cap: `[web] price_metrics` says how many.",
            {"Now": _now(), "Prices": _prices(), "Alerts": _alerts()},
        )
        .with_variable(values_of("pair", "cryptowatcher_price", "pair", "Pair"))
        .with_variable(
            CustomVariable("move")
            .label("Move over")
            .values(",".join(MOVES))
            .current(VariableOption(selected=True, text="1h", value="1h"))
        )
    )


def _now() -> list[Panel]:
    return [
        number(
            "Highest move",
            "Of the chosen pairs, over the chosen time.",
            Ask(f"topk(1, {MOVE})", "{{pair}}"),
            unit="percent",
            decimals=2,
            span=6,
        ),
        number(
            "Lowest move",
            "Of the chosen pairs, over the chosen time.",
            Ask(f"bottomk(1, {MOVE})", "{{pair}}"),
            unit="percent",
            decimals=2,
            span=6,
        ),
        number(
            "Pairs that rise",
            "Share of the chosen pairs that are higher than the chosen time ago.",
            Ask(f"avg(({MOVE}) > bool 0)"),
            unit="percentunit",
            decimals=0,
            span=6,
        ),
        number(
            "Alerts kept",
            "Alerts that the store keeps; old ones are forgotten as `[keep]` says.",
            Ask("sum(cryptowatcher_alerts_kept{@})"),
            span=6,
        ),
        rows(
            "Largest pairs",
            "Each in its own currency; the move is over the chosen time.",
            {
                "Price": ('cryptowatcher_price{@, pair=~"$pair"}', "short"),
                "Move": (MOVE, "percent"),
                "Volume of 24 h": ('cryptowatcher_volume_24h{@, pair=~"$pair"}', "short"),
                "Market cap": ('cryptowatcher_market_cap{@, pair=~"$pair"}', "short"),
            },
            keep=("pair", "instance"),
            sort="Market cap",
            height=12,
        ),
    ]


def _prices() -> list[Panel]:
    return [
        lines(
            "Price, against the lowest of a day",
            "Each price in percent of its lowest in a day, so that all fit on one axis.",
            [
                Ask(
                    '100 * cryptowatcher_price{@, pair=~"$pair"}'
                    ' / min_over_time(cryptowatcher_price{@, pair=~"$pair"}[1d])',
                    "{{pair}}",
                )
            ],
            unit="percent",
            floor=None,
        ),
        lines(
            "Price",
            "In the pair's currency. Choose one pair to read it well.",
            [Ask('cryptowatcher_price{@, pair=~"$pair"}', "{{pair}}")],
            floor=None,
        ),
        lines(
            "Move",
            "Change over the chosen time.",
            [Ask(MOVE, "{{pair}}")],
            unit="percent",
            floor=None,
        ),
        lines(
            "Volume of 24 hours",
            "In the pair's currency.",
            [Ask('cryptowatcher_volume_24h{@, pair=~"$pair"}', "{{pair}}")],
        ),
    ]


def _alerts() -> list[Panel]:
    return [
        lines(
            "Alerts fired",
            "In an hour, by kind.",
            [Ask("increase(cryptowatcher_alerts_fired_total{@}[1h])", "{{instance}} {{kind}}")],
            stacked=True,
        ),
        lines(
            "Rules",
            "Active and paused ones of people.",
            [Ask("cryptowatcher_rules{@}", "{{instance}} {{state}}")],
            runbook="CryptowatcherRulesAllPaused",
        ),
    ]
