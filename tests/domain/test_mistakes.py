"""What people write who do not know the language yet: it is named under its column, with what to write instead."""

from __future__ import annotations

import pytest

from cryptowatcher.domain.rules.mistakes import ConditionError
from tests.domain.functions import READER


def refused(text: str) -> ConditionError:
    with pytest.raises(ConditionError) as caught:
        READER.parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("price => 5", 7, "write price >= 5"),
        ("price =< 5", 7, "write price <= 5"),
        ("price ≥ 5", 7, "write price >= 5"),
        ("price == 5", 7, "write price >= 5"),
        ("price = 5", 7, "write price >= 5"),
        ("price equals 5", 7, "write price >= 5"),
        ("price > 5 && rsi < 30", 11, "write price > 5 and rsi < 30"),
        ("price > 5 && rsi < 30 && rank < 9", 11, "write price > 5 and rsi < 30 and rank < 9"),
        ("price > 5 || rsi < 30", 11, "write price > 5 or rsi < 30"),
        ("!(price > 5)", 1, "write not (price > 5)"),
        ("price > 5 but rsi < 30", 11, "write price > 5 and rsi < 30"),
        ("price > 5; rsi < 30", 10, "write price > 5 and rsi < 30"),
        ("price > 70k", 9, "write price > 70000"),
        ("market_cap > 1.5bn", 14, "write market_cap > 1500000000"),
        ("market_cap > 3 million", 14, "write market_cap > 3000000"),
        ("price > 70,000", 9, "write price > 70000"),
        ("price > 1,234,567.8", 9, "write price > 1234567.8"),
        ("price > 0,5", 9, "write price > 0.5"),
        ("price > $5", 9, "write price > 5"),
        ("price > 5 USD", 11, "write price > 5"),
        ("price above 5", 7, "write price > 5"),
        ("price is above 5", 7, "write price > 5"),
        ("price is greater than 5", 7, "write price > 5"),
        ("price goes below 5", 7, "write price < 5"),
        ("price at least 5", 7, "write price >= 5"),
        ("price crosses 5", 7, "write price crosses above 5"),
        ("price crosses over 5", 7, "write price crosses above 5"),
        ("price crossed below 5", 7, "write price crosses below 5"),
        ("if price > 5", 1, "write price > 5"),
        ('"price > 5"', 1, "write price > 5"),
        ("price > −5", 9, "write price > -5"),
        ("price × 2 > 5", 7, "write price * 2 > 5"),
        ("[price + 1] * 2 > 5", 1, "write (price + 1) * 2 > 5"),
        ("change(5m) < -5 percent", 15, "write change(5m) < -5%"),
        ("change(10 minutes) < -5%", 8, "write change(10m) < -5%"),
        ("change(5 m) < -5%", 8, "write change(5m) < -5%"),
        ("sma(200, 1D) > price", 10, "write sma(200, 1d) > price"),
        ("change(4H) < -5%", 8, "write change(4h) < -5%"),
    ],
)
def test_what_is_written_otherwise_is_written_right_in_the_hint(text: str, column: int, hint: str) -> None:
    error = refused(text)
    assert (error.column, error.hint) == (column, hint)
    if hint:
        READER.parse(hint.removeprefix("write "))


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        # something is missing
        ("", 1, "a condition is missing"),
        ("   ", 1, "a condition is missing"),
        ("price", 6, "must be compared with something"),
        ("price >", 8, "a number or a feature is expected"),
        ("price > 5 and ", 14, "a comparison is expected"),
        ("price > 5 rsi < 30", 11, "`and`, `or` or the end is expected here, not 'rsi'"),
        ("price and rsi > 5", 7, "a comparison is expected here, not 'and'"),
        (">= 5", 1, "a comparison is expected here, not '>'"),
        ("price > 5 and < 10", 15, "a comparison is expected here, not '<'"),
        ("price > 3 * ", 12, "a number or a feature is expected"),
        # too much
        ("1 < price < 3", 11, "only two sides can be compared"),
        ("price >> 5", 8, "a number or a feature is expected here, not '>'"),
        ("price > 5 crosses above 3", 11, "only two sides can be compared"),
        ("price > 5 alerts me", 11, "is expected here, not 'alerts'"),
        # brackets
        ("(price > 5", 1, "never closed"),
        ("(price > 5) and (rsi < 30", 17, "never closed"),
        ("change(5m", 7, "never closed"),
        ("price > 5)", 10, "no open bracket"),
        ("(price > 5) and rsi) < 30", 20, "no open bracket"),
        # comparisons that mean nothing
        ("5 > 3", 1, "both sides are constants"),
        ("price > 5 or 2 * 3 < 7", 14, "both sides are constants"),
        ("price != 5", 7, "unequal almost always"),
        ("price <> 5", 7, "unequal almost always"),
        ("price between 1 and 3", 7, "a range is two comparisons"),
        ("price ^ 2 > 3", 7, "no powers"),
        ("price ** 2 > 3", 7, "no powers"),
        ("not (price crosses above 5)", 12, "`not` cannot stand before a crossing"),
        ("not (price > 1 and price crosses below 5)", 26, "`not` cannot stand before a crossing"),
        ("price / 0 > 5", 9, "divides by 0"),
        ("price / (2 - 2) > 5", 10, "divides by 0"),
        ("price / (1 + 2 - 3) > 5", 10, "divides by 0"),
        ("price / (2 * 3 - 6) > 5", 10, "divides by 0"),
        ("price / (6 / 3 - 2) > 5", 10, "divides by 0"),
        ("price / (-(1 + 1) + 2) > 5", 10, "divides by 0"),
        ("price / (abs(-2) - 2) > 5", 10, "divides by 0"),
        ("price / (min(2, 1, 3) - 1) > 5", 10, "divides by 0"),
        ("price / (max(2, 3, 1) - 3) > 5", 10, "divides by 0"),
        ("price > 1e999", 9, "too large"),
        ("price > 1e999%", 9, "too large"),
        ("price > 1e300 * 1e300", 9, "too large"),
        # features and what stands in their brackets
        ("chagne(5m) < -5%", 1, "no feature `chagne`"),
        ("bitcoin > 5", 1, "no feature `bitcoin`"),
        ("average(bitcoin, 7d) > 5", 9, "no feature `bitcoin`"),
        ("change > 5%", 7, "`change` needs a duration such as 5m"),
        ("change() > 5%", 7, "`change` needs a duration such as 5m"),
        ("average(volume) > 5", 15, "`average` needs a duration"),
        ("change(5) < -5%", 8, "5 needs a unit"),
        ("change(0s) < -5%", 8, "longer than 0s"),
        ("change(401d) < -5%", 8, "at most 400d"),
        ("change(25h7m) < -5%", 8, "multiple of 5m"),
        ("change(five) < -5%", 8, "`five` is not a duration"),
        ("change(5m, 3) < -5%", 12, "takes one argument"),
        ("rank(3) < 5", 6, "takes no arguments"),
        ("rsi(14, 1h, 3) < 5", 13, "takes at most 2 arguments"),
        ("rsi(14, 2h) < 30", 9, "`2h` is not an interval: 1m, 5m, 1h, 1d"),
        ("rsi(14, 60) < 30", 9, "60 needs a unit"),
        ("rsi(1h) < 30", 5, "`1h` is not a whole number"),
        ("rsi(1.5) < 30", 5, "`1.5` is not a whole number"),
        ("rsi(0) < 30", 5, "count is from 1 to 1000"),
        ("sma(501) > 5", 5, "count is from 2 to 500"),
        ("bollinger(20, 99) > 5", 15, "width is from 0.1 to 10"),
        ("macd(26, 12) > 0", 1, "the fast period is shorter"),
        ("rsi(-5) < 30", 5, "an argument has no sign"),
        ("rsi(5 + 3) < 30", 7, "a comma or ) is expected here, not '+'"),
        ("ratio(bitcoin) > 3", 7, "`bitcoin` is not a pair"),
        ("ratio(a/USD) > 3", 7, "'a/USD' is not a pair"),
        ("ratio(5m) > 3", 7, "`5m` is not a pair"),
        ("average(5, 7d) > 3", 9, "`5` is not a feature"),
        ("change_since(0) > 3%", 14, "a price is more than 0"),
        ("change_since(1e999) > 3%", 14, "too large"),
        ("abs(price, 3) > 5", 12, "`abs` is of one number"),
        ("max(price) > 5", 1, "`max` is of two numbers or more"),
        # units
        ("price > 5%", 9, "`price` is compared with a number, not with a percentage"),
        ("price > 5m", 9, "`price` is compared with a number, not with a duration"),
        ("5% < price", 1, "`price` is compared with a number"),
        ("market_cap > 5%", 14, "`market_cap` is compared with a number"),
        ("rsi(14) < 30%", 11, "`rsi` is compared with a number"),
        ("change(5m) < -5", 14, "`change(5m)` is compared with a percentage, not with a number"),
        ("abs(change(5m)) > 5", 19, "`abs(change(5m))` is compared with a percentage"),
        ("change(5m) * 2 > 5", 18, "is compared with a percentage"),
        ("change(5m) > 5m", 14, "`change(5m)` is compared with a percentage, not with a duration"),
        ("age > 300", 7, "`age` is compared with a duration, not with a number"),
        ("change(5m) > price", 14, "a share cannot be compared with a price"),
        ("age > price", 7, "a time cannot be compared with a price"),
        ("average(change(1h), 7d) > 5", 27, "is compared with a percentage"),
        ("price > high(1d) + 5%", 20, "a percentage cannot be added to a price"),
        ("price > high(1d) - 5%", 20, "a percentage cannot be added to a price"),
    ],
)
def test_what_is_wrong_is_said_under_its_column(text: str, column: int, says: str) -> None:
    error = refused(text)
    assert says in error.reason
    assert error.column == column


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("chagne(5m) < -5%", "did you mean `change`?"),
        ("volatilty(1d) > 5%", "did you mean `volatility`?"),
        ("minn(price, 2) > 5", "did you mean `min`?"),
        ("change(5m) < -5", "write -5%"),
        ("change(5m) < -0.05", "write -5%"),
        ("rsi(14) < 30%", "write 30"),
        ("change > 5%", "write change(5m)"),
        ("ratio(bitcoin) > 3", "write bitcoin/usd"),
        ("change(25h7m) < -5%", "the nearest is 1d1h5m"),
        ("price > high(1d) - 5%", "write price * 95% for five percent less"),
    ],
)
def test_a_hint_says_what_was_probably_meant(text: str, hint: str) -> None:
    assert refused(text).hint == hint


@pytest.mark.parametrize(
    "text",
    [
        "change(5m) > 0",
        "abs(price - 1) > 0.5%",
        "price / price(bitcoin/usd) > 5%",
        "2 / price > 5%",
        "price / sma(20, 1d) > 1.05",
        "(price - sma(20, 1d)) / sma(20, 1d) > 5%",
        "price > 105% * sma(20, 1d)",
        "price > sma(20, 1d) * (1 + 2 * volatility(1d))",
        "price < 1 - 0.5%",
        "max(change(1h), 2 * change(5m)) > 5%",
        "average(change(1h), 7d) > 5%",
        "market_cap > volume * 20",
    ],
)
def test_what_can_be_meant_is_not_refused_for_its_units(text: str) -> None:
    READER.parse(text)


def test_only_the_stretch_around_the_mistake_is_shown_of_a_long_condition() -> None:
    text = " and ".join(["price > 1"] * 10 + ["prise > 2"] + ["price > 3"] * 10)
    _, shown, caret = refused(text).message.split("\n")
    assert len(shown) < 110
    assert shown.strip().startswith("…")
    assert shown.endswith("…")
    assert shown[caret.index("^") :].startswith("prise > 2")


def test_what_could_steer_a_terminal_is_not_echoed() -> None:
    error = refused("price > \x1b[31m5")
    assert "\x1b" not in error.message + error.hint
