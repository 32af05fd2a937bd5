"""The words of an alert: readable numbers, and nothing left unsaid."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.alerts import Alert, Part
from cryptowatcher.domain.expiry import expiry_notice
from cryptowatcher.domain.hours import parse_moment
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.domain.texts import alert_text, observed_at, plain, show_percent, show_price, show_time

OBSERVED = 1_722_838_500_000  # 2024-08-05 06:15:00 UTC
DROP = Alert(
    id="191206c3a20-00112233445566778899",
    owner="local",
    rule="r1",
    rule_name="btc drops",
    version=1,
    pair="bitcoin/usd",
    kind="edge",
    event_time=OBSERVED,
    at=OBSERVED + 700,
    seq=12,
    condition="change(5m) <= -5%",
    value=-0.05234,
    constant=-0.05,
    previous=-0.041,
    price=50_123.456,
    source="coingecko",
    received_at=OBSERVED + 500,
    gap_ms=0,
    advice="buy",
    channels=("ops",),
)


def words(alert: Alert, *, after: int = 1_000) -> str:
    text = alert_text(alert, now=observed_at(alert) + after)
    return f"{text.title}\n{text.body}"


def test_a_drop_reads_like_this() -> None:
    text = alert_text(DROP, now=OBSERVED + 1_000)
    assert text.title == "Buy: bitcoin/usd -5.23% (btc drops)"
    assert text.body.splitlines() == [
        "change(5m) <= -5%: now -5.23%, before -4.1%.",
        "Price 50,123.5 usd.",
        "Advice: buy.",
        "Observed 2024-08-05 06:15:00 UTC by coingecko.",
        'Rule "btc drops", alert 00112233.',
    ]


def test_a_price_rule_shows_prices_with_their_currency() -> None:
    alert = msgspec.structs.replace(
        DROP, condition="price >= 70000", value=70_000.5, previous=None, price=70_000.5, advice="info"
    )
    text = alert_text(alert, now=OBSERVED)
    assert text.title == "bitcoin/usd 70,000.5 usd (btc drops)"
    assert text.body.splitlines()[:2] == [
        "price >= 70000: now 70,000.5 usd.",
        "Observed 2024-08-05 06:15:00 UTC by coingecko.",
    ]


def test_a_price_rule_shows_how_far_it_moved() -> None:
    alert = msgspec.structs.replace(DROP, condition="price < 50200", value=50_123.456, previous=50_400.0)
    assert "price < 50200: now 50,123.5 usd, before 50,400 usd (-0.549%)." in words(alert)


def test_a_crossing_in_a_gap_says_that_nobody_saw_it() -> None:
    alert = msgspec.structs.replace(DROP, kind="gap", gap_ms=37 * 60_000)
    said = words(alert)
    assert "Crossed some time in a 37-minute gap that began 2024-08-05 06:15:00 UTC." in said
    assert "Observed 2024-08-05 06:52:00 UTC" in said


def test_a_gap_before_an_edge_is_said() -> None:
    assert "not observed for 3 hours" in words(msgspec.structs.replace(DROP, gap_ms=3 * 3_600_000))
    assert "not observed" not in words(DROP)


def test_what_was_already_true_says_so() -> None:
    assert "already true" in words(msgspec.structs.replace(DROP, kind="already"))


def test_back_filled_and_late_sent_alerts_say_that_they_are_late() -> None:
    assert "Late" not in words(DROP, after=15 * 60_000 - 1)
    assert "Late: sent 15 minutes after it was observed." in words(DROP, after=15 * 60_000)
    assert "Late: sent 2 days after it was observed." in words(DROP, after=2 * 86_400_000)
    assert "history was filled in" in words(msgspec.structs.replace(DROP, late=True))


def test_what_users_and_sources_write_stays_in_its_line_and_steers_nothing() -> None:
    alert = msgspec.structs.replace(
        DROP, rule_name="x\n\x1b[31mred\u202e", source="a\rb", pair="bit\x07coin/usd", condition="price\x00 >= 1"
    )
    text = alert_text(alert, now=OBSERVED)
    assert all(char.isprintable() for char in text.title)
    assert all(line.isprintable() for line in text.body.split("\n"))
    assert len(text.body.split("\n")) == len(alert_text(DROP, now=OBSERVED).body.split("\n")) - 1
    assert text.one_line().isprintable()


def test_braces_and_percent_signs_in_a_name_are_only_text() -> None:
    name = "{0.__class__} %s ${x} {{7*7}}"
    assert name in alert_text(msgspec.structs.replace(DROP, rule_name=name), now=OBSERVED).title


@pytest.mark.parametrize(
    ("price", "shown"),
    [
        (67_123.4, "67,123.4"),
        (1_234_567.89, "1,234,568"),
        (70_000.0, "70,000"),
        (0.00123457, "0.00123457"),
        (2.02027e-10, "2.02027e-10"),
        (9.9999999e-7, "1e-6"),
        (0.000001, "0.000001"),
        (9.999999, "10"),
        (0.1 + 0.2, "0.3"),
        (1e15, "1e15"),
        (0.0, "0"),
        (-0.0, "0"),
        (math.nan, "unknown"),
        (math.inf, "unknown"),
    ],
)
def test_prices_are_shown_with_six_significant_digits(price: float, shown: str) -> None:
    assert show_price(price) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (-0.05234, "-5.23%"),
        (-0.05, "-5%"),
        (0.05, "+5%"),
        (0.0, "0%"),
        (12.34567, "+1,235%"),
        (0.000001234, "+0.000123%"),
    ],
)
def test_changes_are_shown_in_percent_with_their_sign(fraction: float, shown: str) -> None:
    assert show_percent(fraction) == shown


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_shown_price_reads_back_to_five_parts_in_a_million(price: float) -> None:
    shown = show_price(price)
    assert float(shown.replace(",", "")) == pytest.approx(price, rel=5.001e-6)
    assert len(shown) <= 19


@given(st.text())
def test_plain_text_is_printable_and_as_long_as_before(text: str) -> None:
    assert plain(text).isprintable()
    assert len(plain(text)) == len(text)


def test_times_are_utc() -> None:
    assert show_time(OBSERVED + 999) == "2024-08-05 06:15:00 UTC"


def test_a_composite_rule_shows_its_parts_a_line_each_and_the_price() -> None:
    parts = (
        Part("change(5m) <= -5%", -0.05234, -0.05),
        Part("rsi(14, 1h) < 30", 25.123456, 30.0),
        Part("volume(1h) > 3 * average(volume(1h), 7d)", None, 3.0),
    )
    condition = " and ".join(part.text for part in parts)
    text = alert_text(
        msgspec.structs.replace(DROP, condition=condition, parts=parts, advice="info"), now=OBSERVED + 1_000
    )
    assert text.title == "bitcoin/usd 50,123.5 usd (btc drops)"
    assert text.body.splitlines()[:5] == [
        f"{condition}.",
        "change(5m) <= -5%: now -5.23%.",
        "rsi(14, 1h) < 30: now 25.1235.",
        "volume(1h) > 3 * average(volume(1h), 7d): now unknown.",
        "Price 50,123.5 usd.",
    ]


def test_a_number_that_is_neither_price_nor_percent_has_no_unit() -> None:
    text = alert_text(
        msgspec.structs.replace(DROP, condition="rsi(14, 1h) < 30", value=25.5, previous=31.0), now=OBSERVED
    )
    assert text.title == "Buy: bitcoin/usd 25.5 (btc drops)"
    assert text.body.splitlines()[:2] == ["rsi(14, 1h) < 30: now 25.5, before 31.", "Price 50,123.5 usd."]


@pytest.mark.parametrize(
    ("suppressed", "title", "sentence"), [(12, "+12", "12 crossings"), (1, "+1", "1 crossing ")]
)
def test_what_cooldown_held_back_is_said(suppressed: int, title: str, sentence: str) -> None:
    text = alert_text(msgspec.structs.replace(DROP, suppressed=suppressed), now=OBSERVED)
    assert text.title == f"Buy: bitcoin/usd -5.23% (btc drops) ({title} suppressed)"
    assert f"held back {sentence}" in text.body


@pytest.mark.parametrize(
    ("ago", "title", "sentence"),
    [
        (
            24 * 3_600_000,
            'Rule "btc drops" ends soon',
            "It ends 2027-01-31 12:00:00 UTC and does not fire from then on.",
        ),
        (0, 'Rule "btc drops" has ended', "It ended 2027-01-31 12:00:00 UTC and does not fire any more."),
    ],
)
def test_the_end_of_a_rule_is_told_with_a_way_to_renew_it(ago: int, title: str, sentence: str) -> None:
    spec = RuleSpec(name="btc drops", pairs=("all",), when="price > 1", expires="2027-01-31T12:00Z")
    rule = Rule(id="r0123456789ab", owner="local", version=1, spec=spec)
    at = parse_moment("2027-01-31T12:00Z") - ago
    notice = expiry_notice(rule, now=at)
    text = alert_text(notice, now=at + 7 * 3_600_000)
    assert text.title == title
    assert text.body.splitlines() == [
        sentence,
        "Its condition: price > 1.",
        "Renew it: cryptowatcher rules renew r0123456789ab --for 30d",
    ]
    assert observed_at(notice) == at
