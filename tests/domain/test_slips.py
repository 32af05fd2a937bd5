"""What can be computed but is hardly meant is refused where a rule is saved, and read where one is stored."""

from __future__ import annotations

import pytest

from cryptowatcher.domain.rules.mistakes import ConditionError
from cryptowatcher.domain.rules.tree import Comparison
from cryptowatcher.domain.rules.units import constant
from tests.domain.functions import READER

SUM = "a percentage cannot be added to a number"
SHARE = "a share cannot be added to a price or an amount"
TIMES = "a duration can only be multiplied with a number, or divided by one"


@pytest.mark.parametrize(
    ("text", "column", "says", "hint"),
    [
        # numbers and percentages
        ("price > 100 + 5%", 15, SUM, "write 105"),
        ("price > 100 - 5%", 15, SUM, "write 95"),
        ("price > 5% + 100", 9, SUM, "write 105"),
        ("price > 5% - 100", 9, SUM, ""),
        ("price > 0.4 + 5%", 15, SUM, "write 0.42"),
        ("price > 2.1 + 10%", 15, SUM, "write 2.31"),
        ("change(5m) > change(1h) + 2", 27, "a number cannot be added to a share", "write 2%"),
        ("2 - change(1h) > 5%", 1, "a number cannot be added to a share", "write 2%"),
        ("change(5m) > 1 + 5%", 14, "is compared with a percentage, not with a number", "write 105%"),
        ("change(5m) > (1 + 5%) * 2", 15, "is compared with a percentage, not with a number", "write 210%"),
        ("change(5m) > -(1 + 5%)", 14, "is compared with a percentage, not with a number", "write -105%"),
        ("change(5m) > (1 + 5%) / 2", 15, "`change(5m)` is compared with a percentage", "write 52.5%"),
        ("change(5m) > max(5%, 2)", 14, "is compared with a percentage, not with a number", "write 200%"),
        ("max(5%, 2) < change(5m)", 1, "is compared with a percentage, not with a number", "write 200%"),
        ("change(5m) > max(1 + 5%, 2)", 14, "is compared with a percentage, not with a number", "write 200%"),
        # shares of prices
        ("price > sma(20) + volatility(1d)", 19, SHARE, "write sma(20) * (1 + volatility(1d))"),
        ("price > sma(20) - 2 * volatility(1d)", 19, SHARE, "write sma(20) * (1 - 2 * volatility(1d))"),
        ("price > volatility(1d) + sma(20)", 9, SHARE, "write sma(20) * (1 + volatility(1d))"),
        ("price > volatility(1d) - sma(20)", 9, SHARE, ""),
        ("price > 9 + 19 * change(1h)", 9, "a number cannot be added to a share", "write 9%"),
        ("market_cap > volume + change(1h)", 23, SHARE, "write volume * (1 + change(1h))"),
        (
            "price - 60000 > 5%",
            17,
            "`price - 60000` is compared with",
            "write price / 60000 - 1 > 5%",
        ),
        ("60000 - price > 5%", 17, "is compared with a number", "write 1 - price / 60000 > 5%"),
        ("abs(price - 60000) <= 5%", 23, "is compared with a number", "write abs(price / 60000 - 1) <= 5%"),
        ("5% < abs(price - 60000)", 1, "is compared with a number", "write abs(price / 60000 - 1) < 5%"),
        ("abs(price - 0.49) > 5%", 21, "is compared with a number", "write abs(price / 0.49 - 1) > 5%"),
        ("abs(price - 2.01) > 5%", 21, "is compared with a number", "write abs(price / 2.01 - 1) > 5%"),
        # times
        ("age > 5m + 1", 12, "a number cannot be added to a duration", "write a duration: 5m, 1h, …"),
        ("age + 5 > 1h", 7, "a number cannot be added to a time", "write a duration: 5m, 1h, …"),
        ("age > 5m + 10%", 12, "a percentage cannot be added to a duration", ""),
        ("rank < 10 + 5m", 8, "a number cannot be added to a duration", "write a duration: 5m, 1h, …"),
        ("rank + 5m < 10", 1, "a number cannot be added to a duration", ""),
        ("price + 5m > 5", 1, "a price cannot be added to a duration", ""),
        ("price + age > 5", 1, "a price cannot be added to a time", ""),
        ("price * 5m > 5", 1, TIMES, ""),
        ("5m / price > 5", 1, TIMES, ""),
        ("age > 5m * 5m", 7, TIMES, ""),
        ("2 / 5m > age", 1, TIMES, ""),
        ("age > 2 * 5%", 7, "`age` is compared with a duration", "write a duration: 5m, 1h, …"),
        ("age > 1h / 5m", 7, "`age` is compared with a duration", "write a duration: 5m, 1h, …"),
        ("abs(price - 1) > 5m", 18, "`abs(price - 1)` is compared with a number, not with a duration", ""),
        # wherever it stands, and before that it is never so
        ("rank < 3 or not (price + 5m > 5)", 18, "a price cannot be added to a duration", ""),
        ("price > max(sma(20), 100 + 5%)", 28, SUM, "write 105"),
        ("abs(100 + 5%) < -price", 11, SUM, "write 105"),
    ],
)
def test_it_is_refused_where_a_rule_is_saved_and_read_where_it_is_stored(
    text: str, column: int, says: str, hint: str
) -> None:
    with pytest.raises(ConditionError) as caught:
        READER.check(text)
    assert (caught.value.column, caught.value.hint) == (column, hint)
    assert says in caught.value.reason
    assert READER.check(hint.removeprefix("write ")) if " > " in hint else True
    READER.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "price < 1 - 0.5%",
        "price > 60000 + volatility(1d) * 60000",
        "price > sma(20) + 60000 * volatility(1d)",
        "price > 9 + 20 * change(1h)",
        "100 - 100 * drawdown(1d) < 95",
        "price < 0.5 - 1%",
        "price < 2 + 1%",
        "price > 100 * (1 + 5%)",
        "price > 5% * (1 + 5%) * 100",
        "abs(price - 1) > 0.5%",
        "abs(price - 1.08) > 0.5%",
        "abs(price - 0.5) > 0.5%",
        "abs(price - 2) > 0.5%",
        "abs(price / 60000 - 1) > 5%",
        "price - sma(20) > 5",
        "(price - sma(20)) / sma(20) > 5%",
        "price / sma(20) - 1 > 5%",
        "price > sma(20) * (1 + 2 * volatility(1d))",
        "(1 + change(5m)) * (1 + change(1h)) > 1.1",
        "change(1h) - 1 > 5%",
        "change(5m) > change(1h) + 5%",
        "change(5m) - 5% > 0",
        "change(5m) > max(5%, 3%)",
        "change(5m) > 5% * 5%",
        "change(5m) > 5% / 2",
        "age > 5m + 30s",
        "age - 5m > 1m",
        "age / 5m > 2",
        "5m / age > 2",
        "age > 50% * 10m",
        "age > 10m * 2",
        "age > 10m / 2",
        "age + 2 * (age - 5m) > 1h",
        "(age - 5m) / 5m > 2",
        "age > 5m * (price / sma(20))",
        "change(5m) > (1 + 5%) * change(1h)",
        "market_cap > volume * 20",
        "rank + 1 < 5",
    ],
)
def test_what_can_be_meant_is_kept(text: str) -> None:
    READER.check(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("change(5m) > 2 * 5%", "change(5m) > 5% * 2"),
        ("price > 100 * 105%", "price > 105% * 100"),
        ("change(5m) > 3 * (2 * 5%)", "change(5m) > (5% * 2) * 3"),
        ("price > 3 * (2 * 5%)", "price > (5% * 2) * 3"),
        ("age > 2 * 5m", "age > 5m * 2"),
        ("change(5m) < -(2 * 5%)", "change(5m) < -(5% * 2)"),
        ("price > sma(20) * (2 * 50%)", "price > (50% * 2) * sma(20)"),
        ("change(5m) > volatility(1d) * (2 * 50%)", "change(5m) > (50% * 2) * volatility(1d)"),
    ],
)
def test_a_product_means_the_same_from_both_sides(one: str, other: str) -> None:
    read = [READER.check(text) for text in (one, other)]
    values = [constant(each.right) for each in read if isinstance(each, Comparison)]
    assert values[0] == values[1]


@pytest.mark.parametrize("text", ["{} > 5%", "{} > 5m", "5% + {} > 3"])
@pytest.mark.parametrize(
    "price",
    [
        *("price * (2 * 5%)", "(5% * 2) * price", "price / 3", "price / 50%", "3 * price"),
        *("price * -(2 * 5%)", "price * (2 * 5% / 3)"),
    ],
)
def test_a_part_of_a_price_is_a_price(text: str, price: str) -> None:
    with pytest.raises(ConditionError):
        READER.parse(text.format(price))


@pytest.mark.parametrize(
    "text",
    [
        *("price * (1 + 5%) > 5%", "(1 + 5%) * volatility(1d) <= 0.5", "price * 0 < 5%", "age * (50% + 2) > 3"),
        "price * (2 * (1 + 5%)) > 5%",
    ],
)
def test_what_was_read_before_there_were_slips_is_read_where_it_is_stored(text: str) -> None:
    READER.parse(text)
