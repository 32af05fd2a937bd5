"""A simulated market: prices are a pure function of (seed, time), whoever asks, whenever, in whatever order.

A path is drawn from coarse to fine: days, hours, five minutes, seconds. Each stretch has a move X and a
variance A; its parts share A by random weights and X by a bridge in that variance, so the parts always add
up to the whole and any second is reached by four draws instead of by walking from the start. Uneven weights
are what makes markets look as they do: calm, normal and wild hours (a Markov chain), quiet minutes, jumps.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.testing.coins import Coin, list_coins

Floats = NDArray[np.float64]

DAY_MS = 86_400_000
_CALM_NORMAL_WILD = np.array([0.25, 1.0, 6.0])  # how much variance an hour has
_NEXT_REGIME = np.cumsum([[0.90, 0.09, 0.01], [0.06, 0.88, 0.06], [0.02, 0.28, 0.70]], axis=1)
_MARKET_VOLATILITY = 0.018  # of the factor that all coins share, a day
_MEMORY = 0.97  # how much of a day's level is left a day later: prices wander, but not away for ever
_DAYS = 96  # how many days a level remembers; 0.97^96 = 5 %


class Snapshot(msgspec.Struct, frozen=True, eq=False):
    """All coins at one time. n floats each, in USD; NaN where the tape has nothing."""

    at: int
    price: Floats
    volume: Floats
    day_ago: Floats
    high: Floats
    low: Floats


class Tape(Protocol):
    """Something a fake exchange can play: the simulated market or recorded candles."""

    @property
    def coins(self) -> tuple[Coin, ...]: ...

    @property
    def speed(self) -> float:
        """Market seconds in a second of the wall clock."""
        ...

    def at(self, ms: int) -> Snapshot:
        """The market at a wall time, epoch ms."""
        ...

    def chart(self, coin: int, times: NDArray[np.int64]) -> Floats:
        """Prices of one coin (its place in `coins`) at ascending wall times, exact to five market minutes."""
        ...


class _Level(msgspec.Struct, frozen=True):
    """How a stretch is cut: `parts` of `seconds`; a lower `shape` makes the parts more uneven; in a share
    `jumps` of stretches one part takes `size` times what all others have together."""

    seconds: int
    parts: int
    shape: float
    jumps: float
    size: float


_HOURS = _Level(seconds=3600, parts=24, shape=6.0, jumps=0.05, size=1.0)
_FIVE_MINUTES = _Level(seconds=300, parts=12, shape=2.0, jumps=0.05, size=2.0)
_SECONDS = _Level(seconds=1, parts=300, shape=0.7, jumps=0.05, size=4.0)


class _Path(msgspec.Struct, frozen=True):
    """A stretch in parts: `level` (parts + 1, rows) at the edges, `variance` (parts, rows) between them."""

    level: Floats
    variance: Floats


class Market:
    """`coins` coins of one market factor and their own; `speed` market seconds pass in a second of the clock."""

    def __init__(self, seed: int, coins: int = 300, *, speed: float = 1.0) -> None:
        self.coins = list_coins(seed, coins)
        self.speed = speed
        self._seed = seed
        self._base = np.log([coin.price for coin in self.coins])
        self._beta = np.array([coin.beta for coin in self.coins])
        self._turnover = np.array([coin.volume for coin in self.coins])
        total = np.array([coin.volatility for coin in self.coins])
        own = np.sqrt(np.maximum(total**2 - (self._beta * _MARKET_VOLATILITY) ** 2, (0.3 * total) ** 2))
        self._volatility = np.concatenate([[_MARKET_VOLATILITY], own])  # row 0 is the factor
        self._shock = lru_cache(512)(self._draw_shock)
        self._day_level = lru_cache(64)(self._sum_day_level)
        self._hours = lru_cache(64)(self._draw_hours)
        self._minutes = lru_cache(64)(self._draw_minutes)
        self._seconds = lru_cache(6)(self._draw_seconds)

    def at(self, ms: int) -> Snapshot:
        second = int(ms * self.speed / 1000)
        price = self._prices(self._seconds(second // 300).level[second % 300])
        last_day = self._prices(self._day_of_hours(second))
        return Snapshot(
            at=ms,
            price=price,
            volume=self._volume(second),
            day_ago=last_day[0],
            high=np.maximum(last_day.max(axis=0), price),
            low=np.minimum(last_day.min(axis=0), price),
        )

    def chart(self, coin: int, times: NDArray[np.int64]) -> Floats:
        marks = (times * self.speed / 300_000).astype(np.int64)
        rows = np.array([self._minutes(mark // 12).level[mark % 12][[0, coin + 1]] for mark in marks.tolist()])
        moves: Floats = self._base[coin] + self._beta[coin] * rows[:, 0] + rows[:, 1]
        return np.exp(moves)

    def _prices(self, rows: Floats) -> Floats:
        """(…, 1 + n) levels of the factor and of the coins → (…, n) prices."""
        moves: Floats = self._base + self._beta * rows[..., :1] + rows[..., 1:]
        return np.exp(moves)

    def _day_of_hours(self, second: int) -> Floats:
        """Levels at the 25 full hours up to `second`: enough for a day's open, high and low."""
        last = second // 3600
        return np.array([self._hours(hour // 24).level[hour % 24] for hour in range(last - 24, last + 1)])

    def _volume(self, second: int) -> Floats:
        day, rest = divmod(second, 86_400)
        part = rest / 86_400
        mood = (1 - part) * self._shock(day)[1:] + part * self._shock(day + 1)[1:]
        volume: Floats = self._turnover * np.exp(0.35 * np.abs(mood) - 0.2)
        return volume

    def _random(self, *place: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *place])

    def _draw_shock(self, day: int) -> Floats:
        return self._random(0, day + _DAYS).standard_normal(len(self._volatility))

    def _sum_day_level(self, day: int) -> Floats:
        past = np.array([self._shock(day - k) for k in range(_DAYS)])
        level: Floats = self._volatility * (_MEMORY ** np.arange(_DAYS) @ past)
        return level

    def _draw_hours(self, day: int) -> _Path:
        random = self._random(1, day)
        wildness = _CALM_NORMAL_WILD[self._regimes(random)]
        start, end = self._day_level(day), self._day_level(day + 1)
        return _split(random, _HOURS, start, end, self._volatility**2, wildness)

    def _regimes(self, random: np.random.Generator) -> NDArray[np.int64]:
        """(24, rows): each row's chain of calm (0), normal (1) and wild (2) hours, begun at normal."""
        draws = random.random((24, len(self._volatility), 1))
        regime = np.ones(len(self._volatility), dtype=np.int64)
        chain = np.empty((24, len(regime)), dtype=np.int64)
        for hour in range(24):
            regime = (draws[hour] > _NEXT_REGIME[regime]).sum(axis=1)
            chain[hour] = regime
        return chain

    def _draw_minutes(self, hour: int) -> _Path:
        return self._inside(self._hours(hour // 24), hour % 24, _FIVE_MINUTES, self._random(2, hour))

    def _draw_seconds(self, mark: int) -> _Path:
        return self._inside(self._minutes(mark // 12), mark % 12, _SECONDS, self._random(3, mark))

    def _inside(self, path: _Path, part: int, level: _Level, random: np.random.Generator) -> _Path:
        return _split(random, level, path.level[part], path.level[part + 1], path.variance[part], 1.0)


def _split(
    random: np.random.Generator, level: _Level, start: Floats, end: Floats, variance: Floats, wildness: Any
) -> _Path:
    rows = len(start)
    weights = random.standard_gamma(level.shape, (level.parts, rows)) * wildness + 1e-9
    jumping = np.flatnonzero(random.random(rows) < level.jumps)
    where = random.integers(0, level.parts, len(jumping))
    weights[where, jumping] += level.size * weights[:, jumping].sum(axis=0)
    weights /= weights.sum(axis=0)
    noise = np.sqrt(weights * variance) * random.standard_normal((level.parts, rows))
    moves = noise + weights * (end - start - noise.sum(axis=0))
    edges = np.empty((level.parts + 1, rows))
    edges[0], edges[1:] = start, start + np.cumsum(moves, axis=0)
    edges[-1] = end  # exactly, so that neighbours meet
    return _Path(edges, weights * variance)
