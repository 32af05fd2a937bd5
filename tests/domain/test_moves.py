"""A move against its own past and against the market: numbers, and the words for them."""

from __future__ import annotations

import re

import msgspec
import numpy as np
import pytest

from cryptowatcher.domain.candles import Candle, CandleColumns
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.move_words import say_move
from cryptowatcher.domain.moves import (
    FEWEST,
    PairMove,
    Witnesses,
    breadth,
    finest,
    inside,
    ladder,
    pasts_of,
    usual,
    volume_against,
)

MINUTE, HOUR, DAY = MS["m"], MS["h"], MS["d"]
START = 20_000 * DAY


def minutes(closes: list[float], *, observed: int = MINUTE, volume: float | None = None) -> list[Candle]:
    return [
        Candle(
            pair="a/usd",
            interval=MINUTE,
            start=START + n * MINUTE,
            open=close,
            high=close + 1,
            low=close - 1,
            close=close,
            volume_24h=volume,
            ticks=2,
            observed_ms=observed,
        )
        for n, close in enumerate(closes)
    ]


def columns(closes: list[float], interval: int = HOUR, volume: float = 100.0) -> CandleColumns:
    """The last of them ends at START."""
    start = START - interval * np.arange(len(closes), 0, -1, dtype=np.int64)
    close = np.array(closes, float)
    return CandleColumns(start, close, close, close, np.full(len(closes), volume))


def move(**changes: object) -> PairMove:
    """100 → 110 in an hour, all of it watched."""
    steady = columns([100.0, 101.0] * 60)
    given = PairMove(
        pair="a/usd",
        from_ms=START,
        to_ms=START + HOUR,
        begin=100.0,
        end=110.0,
        change=0.1,
        inside=inside(minutes([100.0] * 30 + [110.0] * 30), start=START, end=START + HOUR, begin=100.0),
        usual=usual(steady, 0.1, length=HOUR, interval=HOUR),
        bitcoin=0.04,
        market=breadth(np.array([0.01, 0.02, -0.01, 0.2, 0.0]), 0.1),
        volume=volume_against(steady, 250.0),
        witnesses=Witnesses(from_ms=None, seen={"coingecko": 60}, held=0, believed=0, dismissed=0, unknown=""),
        alerts=[],
        says=[],
    )
    return msgspec.structs.replace(given, **changes)


def said(of: PairMove, about: str) -> str:
    return " ".join(each.says for each in say_move(of) if each.about == about)


def test_the_quickest_part_is_the_shortest_that_has_half_of_the_move() -> None:
    closes = [100.0] * 20 + [101.0, 103.0, 106.0, 108.0] + [109.0] * 10 + [110.0]
    found = inside(minutes(closes), start=START, end=START + 35 * MINUTE, begin=100.0).fastest
    assert found is not None
    assert (found.from_ms - START, found.to_ms - found.from_ms) == (21 * MINUTE, 2 * MINUTE)
    assert found.change == pytest.approx(106 / 101 - 1)


def test_a_fall_has_a_quickest_part_too_and_what_ends_where_it_began_has_none() -> None:
    falls = inside(minutes([100.0, 90.0, 89.0]), start=START, end=START + 3 * MINUTE, begin=100.0).fastest
    assert falls is not None
    assert falls.change == pytest.approx(-0.1)
    assert inside(minutes([90.0, 100.0]), start=START, end=START + 2 * MINUTE, begin=100.0).fastest is None
    assert inside(minutes([90.0, 100.0]), start=START, end=START + 2 * MINUTE, begin=None).fastest is None


def test_extremes_and_what_was_watched_told_and_not_known_are_told_apart() -> None:
    half = [*minutes([5.0, 9.0, 3.0])[:2], *minutes([5.0, 9.0, 3.0], observed=0)[2:]]
    found = inside(half, start=START, end=START + 6 * MINUTE, begin=5.0)
    assert (found.high, found.high_at_ms, found.low, found.low_at_ms) == (
        10,
        START + MINUTE,
        2,
        START + 2 * MINUTE,
    )
    assert [found.watched, found.told] == pytest.approx([2 / 6, 1 / 6])
    assert found.ticks == 6
    nothing = inside([], start=START, end=START + HOUR, begin=None)
    assert (nothing.high, nothing.watched, nothing.told) == (None, 0, 0)


def test_how_unusual_a_move_is_is_its_place_among_moves_as_long() -> None:
    past = columns([100.0 * (1 + 0.001 * n) ** (n % 2) for n in range(101)])
    rare, common = (usual(past, change, length=HOUR, interval=HOUR) for change in (0.5, -0.05))
    assert rare.smaller == 1.0
    assert common.smaller == pytest.approx(0.5, abs=0.03)
    assert common.median == pytest.approx(0.05, abs=0.004)
    assert (rare.apart, rare.past_ms) == (100, 100 * HOUR)


def test_with_too_little_past_it_is_not_said_how_unusual_a_move_is() -> None:
    known = usual(columns([1.0] * (FEWEST + 1)), 0.1, length=HOUR, interval=HOUR)
    short = usual(columns([1.0] * FEWEST), 0.1, length=HOUR, interval=HOUR)
    assert (known.smaller, known.unknown) == (1.0, "")
    assert short.smaller is None
    assert "19 such stretches" in short.unknown
    assert usual(columns([1.0] * 99), None, length=HOUR, interval=HOUR).smaller is None


def test_a_stretch_of_the_past_with_a_hole_at_its_end_is_no_move() -> None:
    whole = columns([1.0] * 30 + [2.0] + [1.0] * 30)
    keep = np.ones(61, bool)
    keep[31:40] = False
    holed = CandleColumns(*(getattr(whole, name)[keep] for name in CandleColumns.__struct_fields__))
    before, after = (usual(each, 0.1, length=4 * HOUR, interval=HOUR) for each in (whole, holed))
    assert (before.apart, after.apart) == (14, 11)


def test_the_market_is_its_median_and_how_many_went_along() -> None:
    found = breadth(np.array([0.01, -0.02, 0.3, np.nan, 0.0]), 0.1)
    assert (found.pairs, found.up, found.down, found.median, found.further) == (5, 3, 1, 0.01, 0.25)
    down = breadth(np.array([0.01, -0.02, -0.3, 0.0]), -0.02)
    assert down.further == 0.5
    assert breadth(np.array([0.01, 0.02, 0.03]), 0.1).median is None


def test_volume_is_held_against_its_mean_where_both_are_known() -> None:
    assert volume_against(columns([1.0] * 9), 250.0).times == 2.5
    assert volume_against(columns([1.0] * 9), None).times is None
    assert volume_against(columns([1.0] * 9, volume=np.nan), 250.0).times is None
    assert volume_against(columns([]), 250.0).mean is None


@pytest.mark.parametrize("length", [MINUTE, 9 * MINUTE, HOUR, DAY, 40 * DAY, 180 * DAY])
def test_candles_suit_the_length_of_the_stretch(length: int) -> None:
    pasts = pasts_of(length)
    assert all(length >= interval and back // interval <= 30_000 for interval, back in pasts)
    assert max(back for _, back in pasts) >= FEWEST * length
    assert length // finest(length) <= 1_500
    steps = ladder(length)
    assert steps == sorted(steps)
    assert all(interval <= length and old <= max(3 * MINUTE, length / 20) for interval, old in steps)


def test_a_move_is_told_in_numbers() -> None:
    rose = move()
    assert said(rose, "move") == "a/usd rose 10% in 60 minutes, from 100 to 110 USD."
    assert "The quickest part: +10% within 60 seconds, 30 minutes after the beginning." in said(rose, "speed")
    assert said(rose, "usual").startswith(
        "That is further than in all of the stretches of 60 minutes in the 5 days"
    )
    assert said(rose, "bitcoin") == "Bitcoin rose 4% in the same time: 6 percentage points less than this."
    assert said(rose, "market").startswith("Of 6 watched pairs in USD, 4 rose and 1 fell; the median rose 1.5%.")
    assert said(rose, "market").endswith("20% of the others rose at least as far.")
    assert said(rose, "volume").startswith(
        "The 24 h volume at the end was 2.5 times its mean of the 5 days before"
    )
    assert said(rose, "seen") == "All of this time was watched."
    assert said(rose, "sources") == "Observed by coingecko (60). No price was held back as too strange."
    assert said(rose, "alerts") == "No alert of yours fired for it."


def test_what_is_not_known_is_said_to_be_so() -> None:
    nothing = move(
        begin=None,
        change=None,
        bitcoin=None,
        inside=inside([], start=START, end=START + HOUR, begin=None),
        usual=usual(columns([]), None, length=HOUR, interval=HOUR),
        market=breadth(np.array([np.nan]), None),
        volume=volume_against(columns([]), None),
        witnesses=Witnesses(from_ms=None, seen={}, held=0, believed=0, dismissed=0, unknown="it is too long"),
    )
    assert "is not known: there is no price near the beginning" in said(nothing, "move")
    assert "cannot be said" in said(nothing, "usual")
    assert said(nothing, "bitcoin") + said(nothing, "volume") + said(nothing, "speed") == ""
    assert "of 0 pairs in USD the moves are known" in said(nothing, "market")
    assert said(nothing, "seen") == "Nothing of this time was observed."
    assert said(nothing, "sources") == "Which sources saw it is not told: it is too long."


def test_what_was_held_back_is_told() -> None:
    held = move(witnesses=Witnesses(from_ms=None, seen={}, held=1, believed=1, dismissed=0, unknown=""))
    assert "1 price held back as too strange, 1 believed and 0 dismissed" in said(held, "sources")


def test_it_is_told_of_how_much_nothing_was_written_down() -> None:
    later = Witnesses(from_ms=START + HOUR // 2, seen={"kraken": 3}, held=0, believed=0, dismissed=0, unknown="")
    words = said(move(witnesses=later), "sources")
    assert words.startswith("Nothing was written down of the first 30 minutes. Observed by kraken (3).")


def test_no_word_says_why() -> None:
    words = " ".join(each.says for each in say_move(move()))
    assert not re.search(r"\b(because|caused?|due to|driven|led to|thanks to|reason)\b", words)
