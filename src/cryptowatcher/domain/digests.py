"""Several alerts in one message: what happened at once, and what came while nobody was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import Final

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import BY_HAND, RetryPolicy
from cryptowatcher.domain.texts import AlertText, headline, observed_at, plain, show_span, show_time

SHOWN: Final = 12
"""Alerts that get a line of their own."""

AT_ONCE: Final = 60_000
"""Milliseconds that alerts lie apart at most of which it is said that they came at once."""


def bundle_text(
    alerts: Sequence[Alert],
    *,
    held: Sequence[str] = (),
    now: int,
    late_after: int = RetryPolicy().late_after,
    zone: tzinfo = UTC,
) -> AlertText:
    """What a person should read of these alerts at `now` (epoch ms).

    held: why they waited; nothing where they were sent as they came
    late_after: age (ms) of the first from which it says that it is late
    zone: of the clocks that its owner looks at
    """
    alerts = sorted(alerts, key=lambda alert: (observed_at(alert), alert.id))
    times = [observed_at(alert) for alert in alerts]
    at_once = not held and max(times) - min(times) <= AT_ONCE
    shown = sorted(alerts, key=_telling, reverse=True)[:SHOWN] if at_once else alerts[:SHOWN]
    lines = [_line(alert, None if at_once else zone) for alert in shown]
    if len(alerts) > len(shown):
        lines.append(f"… and {len(alerts) - len(shown):,} more: `cryptowatcher alerts` shows them.")
    lines += _rules(alerts)
    if at_once:
        lines.append(f"Observed {show_time(min(times), zone)} by {plain(alerts[0].source)}.")
    lines += _waited(held, now - min(times), late_after)
    return AlertText(
        _title(alerts, held=held, since="" if at_once else show_time(min(times), zone)), "\n".join(lines)
    )


def _title(alerts: Sequence[Alert], *, held: Sequence[str], since: str) -> str:
    """since: when the first was observed, of those that did not come at once"""
    over = all(alert.kind == "resolved" for alert in alerts)
    what = f"{len(alerts):,} are over" if over else _counted(len(alerts), "alert")
    if held == [BY_HAND]:
        return f"Sent again: {what}"
    if held:
        return f"While it was quiet: {what}"
    if since:
        return f"{what} since {since}"
    pairs = _counted(len({alert.pair for alert in alerts}), "pair")
    if len({alert.rule for alert in alerts}) == 1:
        condition = f"{'over: ' if over else ''}{plain(alerts[0].condition)}"
        return f"{pairs} at once: {condition} ({plain(alerts[0].rule_name)})"
    return f"{what} at once, on {pairs}"


def _line(alert: Alert, zone: tzinfo | None) -> str:
    """zone: of the time before it; None: none is said"""
    moment = f"{show_time(observed_at(alert), zone)}  " if zone else ""
    advice = "" if alert.advice == "info" else f", {alert.advice}"
    return f"{moment}{plain(alert.pair)} {headline(alert)} ({plain(alert.rule_name)}{advice})"


def _rules(alerts: Sequence[Alert]) -> list[str]:
    """How many of each rule, of the five with the most."""
    rules = Counter(plain(alert.rule_name) for alert in alerts)
    return [f"{name}: {count:,}" for name, count in rules.most_common(5)] if len(rules) > 1 else []


def _waited(held: Sequence[str], age: int, late_after: int) -> list[str]:
    number, unit = show_span(max(age, 0))
    ago = f"the first was observed {_counted(number, unit)} ago."
    if held:
        return [f"Held for {', '.join(held)}; {ago}"] if held != [BY_HAND] else [f"Sent again by hand; {ago}"]
    return [f"Late: {ago}"] if age >= late_after else []


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _telling(alert: Alert) -> float:
    """How much an alert has to say beside others of the same kind."""
    return abs(alert.value - alert.constant) / (abs(alert.constant) or 1.0)
