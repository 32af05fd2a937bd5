"""The chart shows what the candles say."""

from __future__ import annotations

import msgspec

from cryptowatcher.cli.chart import draw
from tests.cli.terminal import candle


def lines(*candles: tuple[float, float, float, float], height: int = 4) -> list[str]:
    """Each candle as (open, high, low, close)."""
    drawn = [msgspec.structs.replace(candle(n, o, c), high=h, low=low) for n, (o, h, low, c) in enumerate(candles)]
    return draw(drawn, height=height, label=lambda price: f"{price:g}").plain.split("\n")


def test_a_candle_has_a_body_and_wicks_in_proportion() -> None:
    # Eight half lines from 0 to 7; the body from 2 to 5.
    assert [line[0] for line in lines((2, 7, 0, 5))] == ["│", "┃", "┃", "│"]
    assert [line[0] for line in lines((3, 7, 0, 4))] == ["│", "╽", "╿", "│"]
    assert [line[0] for line in lines((1, 6, 1, 5), (0, 7, 0, 7))] == ["╷", "┃", "┃", "╹"]


def test_prices_stand_at_the_right() -> None:
    assert lines((2, 7, 0, 5))[0] == "│  7"
    assert lines((2, 7, 0, 5))[3].startswith("│  1")


def test_a_market_that_stands_still_is_a_line() -> None:
    drawn = lines((5, 5, 5, 5), (5, 5, 5, 5))
    assert [line[:2].strip() for line in drawn] == ["", "", "", "╻╻"]


def test_falling_and_hardly_observed_candles_look_different() -> None:
    rising, falling = candle(0, 1, 2), candle(1, 2, 1)
    blind = msgspec.structs.replace(candle(2, 1, 2), observed_ms=1)
    styles = {str(span.style) for span in draw([rising, falling, blind], height=4, label=str).spans}
    assert styles == {"green", "red", "dim green"}
