"""A rule said back: in words that somebody understands who never saw its condition."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.tree import Condition, show
from cryptowatcher.domain.rules.words import Words, say
from tests.domain.functions import FUNCTIONS, READER
from tests.domain.trees import conditions


def a_rule(when: str, **fields: object) -> RuleSpec:
    return msgspec.convert({"name": "mine", "pairs": ["bitcoin/usd"], "when": when, **fields}, RuleSpec)


def said(when: str, **fields: object) -> str:
    return say(a_rule(when, **fields), READER)


def event(when: str, pairs: tuple[str, ...] = ("bitcoin/usd",)) -> str:
    return Words(FUNCTIONS).when(READER.parse(when), pairs)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("price crosses above 70000", "When the price of bitcoin/usd crosses above 70000"),
        ("price crosses below 70000", "When the price of bitcoin/usd crosses below 70000"),
        ("price >= 70000", "When the price of bitcoin/usd rises to 70000 or above"),
        ("price > 70000", "When the price of bitcoin/usd rises above 70000"),
        ("price <= 70000", "When the price of bitcoin/usd falls to 70000 or below"),
        ("70000 > price", "When the price of bitcoin/usd falls below 70000"),
        ("change(5m) <= -5%", "When bitcoin/usd falls by 5% or more within 5m"),
        ("change(5m) < -5%", "When bitcoin/usd falls by more than 5% within 5m"),
        ("change(5m) >= 5%", "When bitcoin/usd rises by 5% or more within 5m"),
        ("change(5m) > 5%", "When bitcoin/usd rises by more than 5% within 5m"),
        ("change(5m) <= 5%", "When, for bitcoin/usd, the change within 5m falls to 5% or below"),
        ("change(5m) >= -5%", "When, for bitcoin/usd, the change within 5m rises to -5% or above"),
        ("change(5m) > 0", "When, for bitcoin/usd, the change within 5m rises above 0"),
        ("change(5m) crosses below -5%", "When, for bitcoin/usd, the change within 5m crosses below -5%"),
        ("change_since(60000) >= 10%", "When bitcoin/usd rises by 10% or more since 60000"),
        ("drawdown(7d) > 9%", "When, for bitcoin/usd, the fall from the highest price within 7d rises above 9%"),
        ("price >= high(30d)", "When the price of bitcoin/usd rises to the highest price within 30d or above"),
        ("rank <= 10", "When the rank by market cap of bitcoin/usd falls to 10 or below"),
        ("age > 5m", "When the age of the newest price of bitcoin/usd rises above 5m"),
        ("age > 3 * 5m", "When the age of the newest price of bitcoin/usd rises above 3 times 5m (15m)"),
        ("change(5m) > 2 * 5%", "When, for bitcoin/usd, the change within 5m rises above 2 times 5% (10%)"),
        ("change(5m) < -5% * 2", "When, for bitcoin/usd, the change within 5m falls below -5% times 2 (-10%)"),
        ("price > 105% * 100", "When the price of bitcoin/usd rises above 105% times 100 (105)"),
        ("change(5m) > 5% - 5%", "When, for bitcoin/usd, the change within 5m rises above 5% minus 5% (0)"),
        (
            "abs(change(1h)) > 3 * volatility(1d)",
            "When, for bitcoin/usd, the size of the change within 1h rises above "
            "3 times the usual size of a move of 1h within 1d",
        ),
        ("abs(price - 1) > 0.5%", "When, for bitcoin/usd, the distance between the price and 1 rises above 0.5%"),
        (
            "ema(12, 1h) crosses above ema(26, 1h)",
            "When, for bitcoin/usd, the moving average of 12 closes of 1h crosses above "
            "the moving average of 26 closes of 1h",
        ),
        (
            "volume(1h) > 3 * average(volume(1h), 7d)",
            "When, for bitcoin/usd, the volume traded in 1h rises above "
            "3 times the average over 7d of the volume traded in 1h",
        ),
        (
            "rsi(14, 1h) < 30 and price > sma(200, 1d)",
            "When all this comes true for bitcoin/usd: the RSI of 14 candles of 1h is below 30, "
            "and at the same time the price is above the average of 200 closes of 1d",
        ),
        (
            "change(1h) < -5% or change(1h) >= 5%",
            "When this comes true for bitcoin/usd: it has fallen by more than 5% within 1h, or "
            "it has risen by 5% or more within 1h",
        ),
        (
            "price > 1 and (rank <= 9 or price crosses above 3)",
            "When all this comes true for bitcoin/usd: the price is above 1, and at the same time "
            "(the rank by market cap is 9 or below, or the price crosses above 3)",
        ),
        (
            "not (rank > 10 and price <= 3)",
            "When this comes true for bitcoin/usd: the rank by market cap is 10 or below, or the price is above 3",
        ),
        ("not price > 3", "When the price of bitcoin/usd falls to 3 or below"),
        ("not price >= 3", "When the price of bitcoin/usd falls below 3"),
        ("not price < 3", "When the price of bitcoin/usd rises to 3 or above"),
        ("not price <= 3", "When the price of bitcoin/usd rises above 3"),
        ("not not price > 3", "When the price of bitcoin/usd rises above 3"),
        (
            "not (rank > 9 or rank < 3)",
            "When all this comes true for bitcoin/usd: the rank by market cap is 9 or below, "
            "and at the same time the rank by market cap is 3 or above",
        ),
        ("price(ethereum/usd) > 5", "When, for bitcoin/usd, the price of ethereum/usd rises above 5"),
        ("ratio(ethereum/usd) > 5", "When, for bitcoin/usd, the price in units of ethereum/usd rises above 5"),
        (
            "max(price, 2) / 2 > -min(rank, 3, 4) - 1",
            "When, for bitcoin/usd, (the largest of the price and 2) divided by 2 rises above "
            "(minus (the smallest of the rank by market cap, 3 and 4)) minus 1",
        ),
    ],
)  # fmt: skip
def test_a_condition_is_said_as_what_happens(when: str, words: str) -> None:
    assert event(when) == words


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (("a/usd",), "the price of a/usd rises"),
        (("a/usd", "b/usd"), "the price of a/usd or b/usd rises"),
        (("a/usd", "b/usd", "c/usd"), "the price of a/usd, b/usd or c/usd rises"),
        (("all",), "the price of any pair rises"),
        (("top(100)",), "the price of any of the 100 largest pairs rises"),
    ],
)
def test_it_says_for_which_pairs(pairs: tuple[str, ...], words: str) -> None:
    assert words in event("price > 5", pairs)


@pytest.mark.parametrize(
    ("when", "rearm", "back"),
    [
        ("price >= 70000", "0.1%", "the price was below 69930 (0.1% back)"),
        ("price > 70000", "0.1%", "the price was at or below 69930 (0.1% back)"),
        ("price crosses above 70000", "1%", "the price was below 69300 (1% back)"),
        ("price <= 70000", "0.1%", "the price was above 70070 (0.1% back)"),
        ("price < 70000", "0%", "the price was at or above 70000"),
        ("change(5m) <= -5%", "10%", "the change within 5m was above -4.5% (10% back)"),
        ("change(5m) >= 5%", "0%", "the change within 5m was below 5%"),
        ("age > 10m", "50%", "the age of the newest price was at or below 5m (50% back)"),
        ("price > 2 * 50", "1%", "the price was at or below 99 (1% back)"),
        ("change(5m) > 2 * 5%", "10%", "the change within 5m was at or below 9% (10% back)"),
        ("change(5m) > 5% * 2", "10%", "the change within 5m was at or below 9% (10% back)"),
        ("price > 100 * 5%", "10%", "the price was at or below 4.5 (10% back)"),
        (
            "abs(price - 1) > 1% / 2",
            "10%",
            "the distance between the price and 1 was at or below 0.45% (10% back)",
        ),
        ("age > 2 * 5m", "50%", "the age of the newest price was at or below 5m (50% back)"),
        ("age / 5m > 2", "0%", "the age of the newest price divided by 5m was at or below 2"),
        ("age + 5m > 2 * 5m", "10%", "the age of the newest price plus 5m was at or below 9m (10% back)"),
        ("change(5m) > 0", "5%", "the change within 5m was at or below 0"),
        ("price > high(1d)", "1%", "that was no longer so, with 1% to spare"),
        ("price > 5 and rank < 3", "0%", "that was no longer so"),
    ],
)
def test_it_says_where_it_can_fire_again(when: str, rearm: str, back: str) -> None:
    assert f"It tells you again only after {back}." in said(when, rearm=rearm)


def test_a_whole_rule_is_said_in_sentences() -> None:
    words = said("price >= 70000", **{"for": "2m", "cooldown": "30m", "channels": ["console", "phone"]})
    assert words == (
        "When the price of bitcoin/usd rises to 70000 or above, and stays so for 2m of observed time, it "
        "tells you by console and phone. It tells you again only after the price was below 69930 (0.1% back), "
        "at most once in 30m."
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"repeat": "once"}, "It tells you once."),
        ({"resolved": True}, "it tells you, and once more when that is over."),
        ({"resolved": True, "channels": ["ops"]}, "it tells you by ops, and once more when that is over."),
        ({"repeat": "once", "pairs": ["all"]}, "It tells you once for each pair."),
        ({"cooldown": "1h", "pairs": ["top(9)"]}, "at most once in 1h for each pair."),
        ({"fire_if_already_true": True}, "Also if that is so at the first look."),
        ({"advice": "buy"}, "You take it as advice to buy."),
        ({"remind": "10m"}, "It reminds you every 10m until you acknowledge it, 10 times at most."),
        (
            {"remind": "10m", "escalate": ("phone", "boss")},
            "It reminds you every 10m until you acknowledge it, 10 times at most. "
            "Told then too: phone with reminder 1 and boss with reminder 2.",
        ),
        ({"active": "mon-fri 08:00-22:00"}, "What it has to say outside mon-fri 08:00-22:00 waits until then."),
        ({"expires": "2027-01-31"}, "It ends 2027-01-31."),
        ({"paused": True}, "It is paused."),
    ],
)
def test_what_is_out_of_the_ordinary_is_said(fields: dict[str, object], sentence: str) -> None:
    assert sentence in said("price > 5", **fields)
    assert sentence not in said("price > 5")


def test_it_says_how_long_it_is_silent_at_first() -> None:
    assert "It looks back on 7d" in said("change(5m) < -5% and price > high(7d)")
    assert "looks back" not in said("price > 5")
    assert "is silent for the first 1h; until" in said("change(1h) > 5% or (price > high(7d) and change(5m) > 1%)")
    assert "is silent for the first 1h; until" in said("(rank > 5 or price > high(7d)) and change(1h) > 5%")


@given(conditions(FUNCTIONS))
def test_every_condition_has_words(tree: Condition) -> None:
    words = Words(FUNCTIONS).when(tree, ("bitcoin/usd",))
    assert words.startswith("When")
    assert "{" not in words


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_the_words_of_every_feature_name_its_arguments(name: str) -> None:
    function = catalogue()[name]
    constant = {"fraction": "5%", "time": "5m"}.get(function.unit, "5")
    words = say(a_rule(f"{function.example} > {constant}"))
    assert "{" not in words
    assert "bitcoin/usd" in words
    for parameter in function.parameters:
        assert f"{{{parameter.name}}}" in function.says or parameter.kind == "pair"


def test_words_and_text_of_a_tree_come_from_the_same_catalogue() -> None:
    tree = READER.parse("rsi(14, 1h) < 30")
    assert show(tree, FUNCTIONS) == "rsi < 30"
    assert "14 candles of 1h" in Words(FUNCTIONS).when(tree, ("a/usd",))


BACK = "It tells you again only after the price was at or below 4.995 (0.1% back)"
ANEW = "Whenever it has come true, the change counts from the price at that moment."
SINCE = "since its last alert (at first since 60000)"


@pytest.mark.parametrize(
    ("when", "fields", "words"),
    [
        ("price > 5", {}, f"When the price of bitcoin/usd rises above 5, it tells you. {BACK}."),
        (
            "price > 5",
            {"cooldown": "1h", "pairs": ["all"], "channels": ["a", "b", "c"], "urgent": True},
            f"When the price of any pair rises above 5, it tells you by a, b and c. {BACK}, at most once in 1h "
            "for each pair. It is urgent: it is told in quiet hours too, and by itself.",
        ),
        (
            "price > 5",
            {"cooldown": "1h", "pairs": ["a/usd", "b/usd"], "channels": ["a"]},
            f"When the price of a/usd or b/usd rises above 5, it tells you by a. {BACK}, at most once in 1h for "
            "each pair.",
        ),
        (
            "price > 5",
            {"repeat": "once", "pairs": ["list(mine)"], "cooldown": "1h"},
            "When the price of any pair of the list mine rises above 5, it tells you. It tells you once for each "
            "pair.",
        ),
        (
            "price > 5",
            {"repeat": "once", "pairs": ["a/usd", "b/usd"]},
            "When the price of a/usd or b/usd rises above 5, it tells you. It tells you once for each pair.",
        ),
        (
            "macd < -5",
            {"rearm": "10%"},
            "When, for bitcoin/usd, the MACD of 12 and 26 closes of 1h falls below -5, it tells you. It tells you "
            "again only after the MACD of 12 and 26 closes of 1h was at or above -4.5 (10% back).",
        ),
        (
            "macd > -5",
            {"rearm": "10%"},
            "When, for bitcoin/usd, the MACD of 12 and 26 closes of 1h rises above -5, it tells you. It tells you "
            "again only after the MACD of 12 and 26 closes of 1h was at or below -5.5 (10% back).",
        ),
        (
            "not (price > 5)",
            {"rearm": "10%"},
            "When the price of bitcoin/usd falls to 5 or below, it tells you. It tells you again only after the "
            "price was above 5.5 (10% back).",
        ),
        (
            "price > 5 and not (rank > 3 or rank < 1)",
            {"rearm": "10%"},
            "When all this comes true for bitcoin/usd: the price is above 5, and at the same time (the rank by "
            "market cap is 3 or below, and at the same time the rank by market cap is 1 or above), it tells you. "
            "It tells you again only after that was no longer so, with 10% to spare.",
        ),
        (
            "price > 5 and not (rank > 3 and price < 10)",
            {"rearm": "0%"},
            "When all this comes true for bitcoin/usd: the price is above 5, and at the same time (the rank by "
            "market cap is 3 or below, or the price is 10 or above), it tells you. It tells you again only after "
            "that was no longer so.",
        ),
        (
            "rank > 5 and change(5m) > 1% and price > high(7d)",
            {"rearm": "0%"},
            "When all this comes true for bitcoin/usd: the rank by market cap is above 5, and at the same time it "
            "has risen by more than 1% within 5m, and at the same time the price is above the highest price "
            "within 7d, it tells you. It tells you again only after that was no longer so. It looks back on 7d, "
            "and is silent until that has been watched.",
        ),
        (
            "price > high(1h) or change(5m) > 1%",
            {"rearm": "0%"},
            "When this comes true for bitcoin/usd: the price is above the highest price within 1h, or it has "
            "risen by more than 1% within 5m, it tells you. It tells you again only after that was no longer so. "
            "It looks back on 1h, and is silent for the first 5m; until the whole has been watched, a part may be "
            "enough.",
        ),
        (
            "rank > 5 or price > high(7d)",
            {"rearm": "0%"},
            "When this comes true for bitcoin/usd: the rank by market cap is above 5, or the price is above the "
            "highest price within 7d, it tells you. It tells you again only after that was no longer so. It looks "
            "back on 7d; until that has been watched, a part may be enough.",
        ),
    ],
)  # fmt: skip
def test_a_whole_rule_is_said_word_for_word(when: str, fields: dict[str, object], words: str) -> None:
    assert said(when, **{"cooldown": "0s", "rearm": "0.1%", **fields}) == words


@pytest.mark.parametrize(
    ("when", "event", "again"),
    [
        ("{} >= 10%", "When bitcoin/usd rises by 10% or more {}", ""),
        ("{} <= -10%", "When bitcoin/usd falls by 10% or more {}", ""),
        ("{} crosses above 5%", "When, for bitcoin/usd, the change {} crosses above 5%", ""),
        ("abs({}) >= 10%", "When, for bitcoin/usd, the size of the change {} rises to 10% or above", ""),
        ("{} > 0", "When, for bitcoin/usd, the change {} rises above 0", "the change {} was at or below 0"),
        ("{} < 0", "When, for bitcoin/usd, the change {} falls below 0", "the change {} was at or above 0"),
        (
            "{} <= 10%",
            "When, for bitcoin/usd, the change {} falls to 10% or below",
            "the change {} was above 10.1% (1% back)",
        ),
        (
            "{} >= 10% and price > 5",
            "When all this comes true for bitcoin/usd: it has risen by 10% or more {}, and at the same time the "
            "price is above 5",
            "that was no longer so, with 1% to spare",
        ),
    ],
)
def test_a_rule_that_counts_from_its_last_alert_says_so(when: str, event: str, again: str) -> None:
    def words(cooldown: str) -> str:
        return say(a_rule(when.format("change_since_alert(60000)"), cooldown=cooldown, rearm="1%"))

    first = f"{event.format(SINCE)}, it tells you. {ANEW}"
    if again:
        after = f"It tells you again only after {again.format(SINCE)}"
        assert (words("0s"), words("1h")) == (f"{first} {after}.", f"{first} {after}, at most once in 1h.")
    else:
        assert (words("0s"), words("1h")) == (first, f"{first} It tells you at most once in 1h.")
