"""Several alerts in one message: what a person reads of them."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import BY_HAND, Delivery, delivery_id
from cryptowatcher.domain.digests import SHOWN, bundle_text
from cryptowatcher.domain.messages import write
from tests.domain.test_texts import DROP, OBSERVED

MINUTE = 60_000


def alerts(count: int, *, apart: int = 0, rules: int = 1) -> list[Alert]:
    return [
        msgspec.structs.replace(
            DROP,
            id=f"{number:x}-{number:020x}",
            pair=f"coin-{number}/usd",
            rule=f"r{number % rules}",
            rule_name=f"rule {number % rules}",
            event_time=OBSERVED + number * apart,
            value=-0.05 - number / 1000,
            advice="info",
        )
        for number in range(count)
    ]


def test_a_move_of_the_whole_market_names_the_condition_and_shows_the_greatest_first() -> None:
    text = bundle_text(alerts(37), now=OBSERVED + 1_000)
    lines = text.body.splitlines()
    assert text.title == "37 pairs at once: change(5m) <= -5% (rule 0)"
    assert lines[0] == "coin-36/usd -8.6% (rule 0)"
    assert lines[SHOWN - 1] == "coin-25/usd -7.5% (rule 0)"
    assert lines[SHOWN:] == [
        "… and 25 more: `cryptowatcher alerts` shows them.",
        "Observed 2024-08-05 06:15:00 UTC by coingecko.",
    ]


def test_several_rules_are_counted() -> None:
    text = bundle_text(alerts(5, rules=2), now=OBSERVED + 1_000)
    assert text.title == "5 alerts at once, on 5 pairs"
    assert text.body.splitlines()[5:7] == ["rule 0: 3", "rule 1: 2"]


def test_what_was_held_is_told_in_the_order_in_which_it_came_with_its_times() -> None:
    text = bundle_text(
        alerts(3, apart=10 * MINUTE)[::-1], held=["quiet hours 22:00-07:00"], now=OBSERVED + 40 * MINUTE
    )
    assert text.title == "While it was quiet: 3 alerts"
    assert text.body.splitlines() == [
        "2024-08-05 06:15:00 UTC  coin-0/usd -5% (rule 0)",
        "2024-08-05 06:25:00 UTC  coin-1/usd -5.1% (rule 0)",
        "2024-08-05 06:35:00 UTC  coin-2/usd -5.2% (rule 0)",
        "Held for quiet hours 22:00-07:00; the first was observed 40 minutes ago.",
    ]


def test_late_ones_say_since_when_and_that_they_are_late() -> None:
    text = bundle_text(alerts(3, apart=10 * MINUTE), now=OBSERVED + 40 * MINUTE, late_after=15 * MINUTE)
    assert text.title == "3 alerts since 2024-08-05 06:15:00 UTC"
    assert text.body.endswith("Late: the first was observed 40 minutes ago.")
    assert "Late" not in bundle_text(alerts(3), now=OBSERVED + 14 * MINUTE, late_after=15 * MINUTE).body


def test_what_was_sent_again_says_so() -> None:
    text = bundle_text(alerts(2), held=[BY_HAND], now=OBSERVED + 40 * MINUTE)
    assert text.title == "Sent again: 2 alerts"
    assert text.body.endswith("Sent again by hand; the first was observed 40 minutes ago.")


def test_names_from_elsewhere_stay_in_their_line() -> None:
    odd = [msgspec.structs.replace(alert, rule_name="a\nb\x1b[31m", pair="x\n/usd") for alert in alerts(2)]
    text = bundle_text(odd, now=OBSERVED)
    assert "\x1b" not in text.title + text.body
    assert len(text.title.splitlines()) == 1
    assert len(text.body.splitlines()) == 3


def test_a_message_names_every_reason_for_which_its_alerts_were_held() -> None:
    rows = [
        (
            Delivery(
                id=delivery_id(alert.id, "ops"),
                alert=alert.id,
                owner="local",
                rule=alert.rule,
                channel="ops",
                created_at=1,
                due_at=1,
                held=held,
                bundle="b+2",
            ),
            alert,
        )
        for alert, held in zip(alerts(2), ("quiet hours 22:00-07:00", "active hours 08:00-20:00"), strict=True)
    ]
    message = write(rows, now=OBSERVED)
    assert (message.id, message.kind, len(message.alerts)) == ("b+2", "bundle", 2)
    assert "Held for active hours 08:00-20:00, quiet hours 22:00-07:00;" in message.text.body
