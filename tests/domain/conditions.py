"""Random conditions over prices that really occur, so that exact equalities and the edges of bands do too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.rules.tree import Number

# Distances of exactly 1 % and 5 %, values on, within and beyond re-arm bands, and the constants themselves.
PRICES = (
    *(95.0, 98.0, 99.0, 99.5, 99.9, 99.95, 100.0, 100.05, 100.1, 101.0, 105.0),
    math.nextafter(100.0, 0.0),
    math.nextafter(100.0, 200.0),
)
OPERATORS = ("<", "<=", ">", ">=", "crosses above", "crosses below")
LEVELS = OPERATORS[:4]
WINDOWS = ("1m", "1m", "5m", "5m", "20m", "1h", "3h", "3d", "40d")
CAP = 1_000
"""Coins of every pair."""


@dataclass(frozen=True)
class Setting:
    """What conditions are about.

    scale:  of all prices
    bars:   whether they look at candles, too
    ages:   whether at how long a pair was silent, which time alone changes
    places: among others at which one is looked, which one pair's past does not tell; without any it is not
    """

    scale: float = 1.0
    bars: bool = False
    ages: bool = True
    places: tuple[int, ...] = ()


def condition(random: Random, setting: Setting) -> str:
    """A condition of up to four comparisons."""
    if setting.ages and random.random() < 0.1:
        return _timed(random, setting.scale)
    return _joined(random, setting, random.choice((1, 1, 1, 2, 2, 3, 4)))


def _joined(random: Random, setting: Setting, comparisons: int) -> str:
    if comparisons == 1:
        text = _comparison(random, setting)
    else:
        left = random.randint(1, comparisons - 1)
        parts = [_joined(random, setting, left), _joined(random, setting, comparisons - left)]
        text = random.choice((" and ", " or ")).join(f"({part})" for part in parts)
    return text if "crosses" in text or random.random() > 0.15 else f"not ({text})"


def _comparison(random: Random, setting: Setting) -> str:
    scale = setting.scale
    one, other = (random.choice(PRICES) * scale for _ in range(2))
    share = Number(random.choice(((one - other) / other, 0.05, 0.01, 0.0)), percent=True)
    fall = Number(random.choice((abs(one - other) / max(one, other), 0.01)), percent=True)
    window, another = random.choice(WINDOWS), random.choice(WINDOWS)
    op, level = random.choice(OPERATORS), random.choice(LEVELS)
    pair = random.choice(("a/usd", "b/usd", "c/bitcoin", "z/usd"))
    texts = (
        *[f"price {op} {one!r}"] * 6,
        *[f"change({window}) {op} {share}"] * 4,
        f"-change({window}) {op} {share}",
        f"abs(change({window})) {op} {fall}",
        f"change({window}) {op} change({another})",
        f"change({window}) / range({another}) {op} 0.5",
        f"change_since({other!r}) {op} {share}",
        *[f"change_since_alert({other!r}) {op} {share}"] * 3,
        *[f"abs(change_since_alert({other!r})) {level} {fall}"] * 2,
        f"high({window}) {op} {one!r}",
        f"low({window}) {op} {one!r}",
        f"drawdown({window}) {op} {fall}",
        f"rally({window}) {op} {fall}",
        f"range({window}) {op} {fall}",
        f"price >= high({window})",
        f"price <= low({window})",
        f"price {op} 0.99 * high({window})",
        f"price {op} low({window}) * 1.01",
        f"high({window}) - low({window}) {op} {abs(one - other)!r}",
        f"price - {other!r} {level} {one - other!r}",
        f"price + {other!r} {level} {one + other!r}",
        f"change({window}) {op} -1 * range({another})",
        f"abs(price - {other!r}) {op} {abs(one - other)!r}",
        f"min(price, high({window})) {op} {one!r}",
        f"max(low({window}), price / 2) {op} {one!r}",
        *[f"ratio({pair}) {op} {one / other!r}"] * 2,
        *[f"market_cap {op} {one * CAP!r}"] * 2,
        f"market_cap / {CAP} {op} price",
    )
    texts += (f"rank {op} {random.choice(setting.places)}",) * 3 if setting.places else ()
    return random.choice(texts + (_of_bars(op) if setting.bars else ()))


def _of_bars(op: str) -> tuple[str, ...]:
    """Of what is computed over candles, where it is known."""
    texts = {
        "sma": f"price {op} sma(3, 1m)",
        "ema": f"ema(2, 1m) {op} ema(5, 1m)",
        "rsi": f"rsi(3, 1m) {op} 50",
        "volatility": f"change(1m) {op} 2 * volatility(10m, 1m)",
    }
    return tuple(text for name, text in texts.items() if name in catalogue())


def _timed(random: Random, scale: float) -> str:
    """A condition on how long a pair was silent, perhaps with another on its price."""
    text = f"age {random.choice(OPERATORS)} {random.choice(('1m', '5m', '0m', '2h'))}"
    price = f"price {random.choice(OPERATORS)} {random.choice(PRICES) * scale!r}"
    return random.choice((text, f"{text} and {price}", f"({price}) or {text}"))
