"""Candles drawn with characters: one column a candle, two steps of height a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from rich.text import Text

from cryptowatcher.domain.candles import Candle

Part = Literal["none", "wick", "body"]

GLYPHS: dict[tuple[Part, Part], str] = {
    ("none", "none"): " ",
    ("none", "wick"): "╷",
    ("none", "body"): "╻",
    ("wick", "none"): "╵",
    ("wick", "wick"): "│",
    ("wick", "body"): "╽",
    ("body", "none"): "╹",
    ("body", "wick"): "╿",
    ("body", "body"): "┃",
}
"""(upper half, lower half) of a cell → the character."""


def draw(candles: Sequence[Candle], *, height: int, label: Callable[[float], str]) -> Text:
    """The chart: `height` lines, some with the price of their upper edge at the right. Rising candles are green,
    falling ones red; a candle that was observed for less than half of its time is dim."""
    high = max(candle.high for candle in candles)
    low = min(candle.low for candle in candles)
    steps = height * 2
    scale = (steps - 1) / (high - low) if high > low else 0.0
    columns = [_column(candle, low, scale, steps) for candle in candles]
    chart = Text(no_wrap=True)
    for line in range(height):
        upper = steps - 1 - 2 * line
        for candle, column in zip(candles, columns, strict=True):
            chart.append(GLYPHS[column[upper], column[upper - 1]], style=_style(candle))
        price = low + upper / scale if scale else high
        chart.append(f"  {label(price)}\n" if line % 3 == 0 or line == height - 1 else "\n")
    chart.right_crop(1)
    return chart


def _column(candle: Candle, low: float, scale: float, steps: int) -> list[Part]:
    """The candle's parts from the lowest step up. One without observations has none."""

    def step(price: float) -> int:
        return min(steps - 1, max(0, round((price - low) * scale)))

    column: list[Part] = ["none"] * steps
    if not candle.ticks:
        return column
    column[step(candle.low) : step(candle.high) + 1] = ["wick"] * (step(candle.high) - step(candle.low) + 1)
    bottom, top = sorted((step(candle.open), step(candle.close)))
    column[bottom : top + 1] = ["body"] * (top - bottom + 1)
    return column


def _style(candle: Candle) -> str:
    colour = "green" if candle.close >= candle.open else "red"
    return colour if candle.observed_ms * 2 >= candle.interval else f"dim {colour}"
