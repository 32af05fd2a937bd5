"""What a picture of an alert shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cryptowatcher.domain.alerts import Alert, Part
from cryptowatcher.domain.candles import CandleColumns
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.pictures import HEIGHT, WIDTH, Picture, picture, view
from cryptowatcher.domain.texts import show_price
from cryptowatcher.testing.contracts.channel import OBSERVED, sample_alert

MINUTE, HOUR, DAY = MS["m"], MS["h"], MS["d"]


def alert(**changed: object) -> Alert:
    return msgspec.structs.replace(sample_alert(), **changed)


def candles(
    *closes: float, interval: int = 5 * MINUTE, end: int = OBSERVED, without: Sequence[int] = ()
) -> CandleColumns:
    """The last of them ends at `end`, and those `without` are not there; highs and lows are a hundredth off."""
    first = end - len(closes) * interval
    kept = [(first + i * interval, close) for i, close in enumerate(closes) if i not in without]
    start, close = np.array([at for at, _ in kept], np.int64), np.array([close for _, close in kept])
    return CandleColumns(start, close * 1.01, close * 0.99, close, close)


def drawn(alert: Alert, columns: CandleColumns, interval: int = 5 * MINUTE, zone: str = "UTC") -> Picture:
    found = picture(alert, columns, interval, zone=ZoneInfo(zone))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("condition", "shown", "interval"),
    [
        ("change(30s) <= -2%", 3 * HOUR, MINUTE),
        ("change(5m) <= -5%", 3 * HOUR, MINUTE),
        ("change(1h) <= -5%", DAY, 5 * MINUTE),
        ("price < 50000", DAY, 5 * MINUTE),
        ("rsi(14, 1h) < 30", DAY, 5 * MINUTE),
        ("change(1d) <= -5%", 7 * DAY, HOUR),
        ("change(5m) <= -5% and change(1h30m) >= 2%", DAY, 5 * MINUTE),
        ("max(30d) / price > 2 and change(5m) < 0", 90 * DAY, DAY),
    ],
)
def test_the_stretch_fits_how_far_back_the_rule_looks(condition: str, shown: int, interval: int) -> None:
    seen = view(alert(condition=condition))
    assert (seen.end, seen.end - seen.start, seen.intervals[0]) == (OBSERVED, shown, interval)


def test_of_a_gap_it_ends_where_the_gap_ended() -> None:
    assert view(alert(kind="gap", gap_ms=HOUR)).end == OBSERVED + HOUR


def test_it_says_which_pair_at_what_price_and_when_on_the_owner_s_clock() -> None:
    shown = drawn(alert(), candles(52_000, 51_000, 50_500), zone="Europe/Berlin")
    assert shown.title == "bitcoin/usd  50,123.5 usd"
    assert shown.moment == "2024-08-05 08:15:00 CEST"


def test_a_long_name_leaves_room_for_the_moment() -> None:
    assert len(drawn(alert(pair=f"{'a' * 80}/{'b' * 80}"), candles(2, 3)).title) < 70


def test_the_line_ends_at_the_alert_and_higher_prices_stand_higher() -> None:
    shown = drawn(alert(price=50_000), candles(52_000, 51_000))
    ((first, second, last),) = shown.lines
    assert last == shown.mark
    assert first[0] < second[0] <= last[0]
    assert first[1] < second[1] < last[1]  # from the top down


def test_nothing_to_show_is_no_picture() -> None:
    assert picture(alert(), candles(), 5 * MINUTE) is None
    assert picture(alert(), candles(50_000), 5 * MINUTE) is None


def test_where_nothing_was_seen_there_is_no_line() -> None:
    shown = drawn(alert(), candles(*[50_000] * 40, without=[10, 11, 12, 13, 20, 30, 31, 32, 34, 35, 36]))
    assert [len(line) for line in shown.lines] == [10, 15, 1, 4]  # a candle that lacks is no gap yet
    assert len(shown.bands) == 3
    assert shown.lines[-1][-1] == shown.mark


def test_an_alert_long_after_the_last_candle_stands_alone() -> None:
    shown = drawn(alert(), candles(51_000, 50_500, 50_200, end=OBSERVED - HOUR))
    assert shown.mark not in shown.lines[-1]


def test_a_pair_that_is_seldom_observed_has_a_line_all_the_same() -> None:
    without = [index for index in range(60) if index % 10]
    assert len(drawn(alert(), candles(*[50_000] * 60, without=without)).lines) == 1


def test_a_rule_on_the_price_has_its_threshold_as_a_line() -> None:
    below = drawn(alert(condition="price < 50200", constant=50_200.0), candles(50_600, 50_300))
    assert [text for _, text in below.limits] == ["50,200"]
    assert below.limits[0][0] < below.mark[1]  # the price is below it, so further down
    parts = (Part("price < 50200", 50_100.0, 50_200.0), Part("rsi(14, 1h) < 30", 20.0, 30.0))
    both = drawn(alert(condition="price < 50200 and rsi(14, 1h) < 30", parts=parts), candles(50_600, 50_300))
    assert [text for _, text in both.limits] == ["50,200"]


@pytest.mark.parametrize(
    ("condition", "constant"),
    [("change(5m) <= -5%", -0.05), ("price > 1", 1.0), ("high(1h) - price < 50200", 50_200.0)],
)
def test_what_is_no_price_or_far_away_is_no_line(condition: str, constant: float) -> None:
    assert drawn(alert(condition=condition, constant=constant), candles(50_600, 50_300)).limits == ()


@pytest.mark.parametrize(
    ("price", "labels"),
    [
        (50_123.456, ["49,600", "49,800", "50,000", "50,200", "50,400", "50,600"]),
        (0.0000123, ["0.00001220", "0.00001225", "0.00001230", "0.00001235", "0.00001240"]),
        (2.02e-10, ["2.00e-10", "2.01e-10", "2.02e-10", "2.03e-10", "2.04e-10"]),
    ],
)
def test_prices_have_as_many_digits_as_tell_them_apart(price: float, labels: list[str]) -> None:
    flat = candles(price, price, price)
    assert [text for _, text in drawn(alert(price=price), flat).prices] == labels


def test_times_are_round_on_the_owner_s_clock_and_midnight_is_a_day() -> None:
    day = candles(*[50_000.0] * 288)
    assert [text for _, text in drawn(alert(), day, zone="Asia/Kolkata").times] == [
        "12:00", "15:00", "18:00", "21:00", "08-05", "03:00", "06:00", "09:00",
    ]  # fmt: skip
    quarter = drawn(alert(), candles(*[50_000.0] * 90, interval=DAY), DAY, "America/New_York").times
    assert len(quarter) > 3
    assert all("-" in text for _, text in quarter)


PRICES = st.floats(1e-12, 1e12)


@given(PRICES, st.lists(st.floats(0.2, 5.0), min_size=2, max_size=300), st.floats(0.5, 2.0))
def test_everything_is_on_the_sheet_and_the_labels_differ(price: float, moves: list[float], last: float) -> None:
    shown = drawn(alert(price=price * last), candles(*(price * move for move in moves)))
    left, top, right, bottom = shown.frame
    assert 0 < left < WIDTH / 2
    points = [point for line in (*shown.lines, *shown.bands) for point in line]
    assert all(left - 1e-6 <= x < right and top <= y <= bottom for x, y in [*points, shown.mark])
    assert 2 <= len(shown.prices) <= 12
    assert all(top <= y <= bottom for y, _ in shown.prices)
    assert len({text for _, text in shown.prices}) == len(shown.prices)
    assert all(7.5 * len(text) < left for _, text in shown.prices)
    assert all(left <= x <= right for x, _ in shown.times)
    assert 0 < HEIGHT - bottom < top


@given(PRICES, st.floats(0.9, 1.1))
def test_labels_say_where_they_stand(price: float, move: float) -> None:
    shown = drawn(alert(price=price * move), candles(price, price * move))
    told = [(y, float(text.replace(",", ""))) for y, text in shown.prices]
    assume(len(told) >= 2)
    (y0, price0), (y1, price1) = told[0], told[-1]
    at_mark = price0 + (shown.mark[1] - y0) / (y1 - y0) * (price1 - price0)
    assert show_price(at_mark, 3) == show_price(price * move, 3) or abs(at_mark / (price * move) - 1) < 1e-3
    assert all(lower < higher for (_, lower), (_, higher) in pairwise(told))


def test_the_same_alert_and_candles_give_the_same_picture() -> None:
    day = candles(*[50_000.0 + index for index in range(288)])
    assert drawn(alert(), day) == drawn(alert(), day) != drawn(alert(price=49_000.0), day)
