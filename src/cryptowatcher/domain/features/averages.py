"""Averages of closes: `sma(n, 1h)`, `ema(n, 1h)`, and the Bollinger bands around the first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cryptowatcher.domain.features import Args, Function, Parameter
from cryptowatcher.domain.features.anchored import MOST as MOST_RECURSIVE
from cryptowatcher.domain.features.anchored import Fed, Recursion, State, anchored, block_of
from cryptowatcher.domain.features.bounds import ANYTHING, POSITIVE
from cryptowatcher.domain.features.finite import finite
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.features.windows import MOST, Rows, deviation, of_newest, of_newest_after, total
from cryptowatcher.domain.ticks import Floats, Ints

INTERVAL = Parameter("interval", "interval")


def _mean(rows: Rows, args: Args) -> Floats:
    n: int = args[0]
    found = total(rows.parts("close", 0, n, neutral=True))
    found /= n
    return found


def _deviation(rows: Rows, args: Args, mean: Floats) -> Floats:
    return deviation(lambda: rows.parts("close", 0, args[0]), mean, args[0])


_STEP_MEAN, _SERIES_MEAN = of_newest(_mean, lambda args: int(args[0]))
_STEP_DEVIATION, _SERIES_DEVIATION = of_newest_after(_mean, _deviation, lambda args: int(args[0]))


def _band(mean: Floats, k: float, apart: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return finite(mean + k * apart)


def _upper(memory: Memory, cols: Ints, args: Args) -> Floats:
    n, k, interval = args
    mean, apart = (step(memory, cols, (n, interval)) for step in (_STEP_MEAN, _STEP_DEVIATION))
    return _band(mean, k, apart)


def _uppers(line: Line, args: Args) -> Floats:
    n, k, interval = args
    mean, apart = (series(line, (n, interval)) for series in (_SERIES_MEAN, _SERIES_DEVIATION))
    return _band(mean, k, apart)


def _lower(memory: Memory, cols: Ints, args: Args) -> Floats:
    n, k, interval = args
    return _upper(memory, cols, (n, -k, interval))


def _lowers(line: Line, args: Args) -> Floats:
    n, k, interval = args
    return _uppers(line, (n, -k, interval))


def exponential(before: Floats, fed: Fed, value: Floats, n: int) -> Floats:
    """One more value of an exponential average. `fed`: values before; < 0: not yet one."""

    def then() -> Floats:
        found = value - before
        found *= 2 / (n + 1)
        found += before
        return found

    return begun_as_mean(before, fed, value, n, then)


def begun_as_mean(before: Floats, fed: Fed, value: Floats, n: int, then: Callable[[], Floats]) -> Floats:
    """One more value of an average that begins as the mean of its first n; `then`: how it goes on."""
    if (fed >= n) if isinstance(fed, int) else bool((fed >= n).all()):
        return then()
    grown = np.where(fed < n, before + value, then())
    grown = np.where(fed == n - 1, grown / n, grown)
    return np.where(fed < 0, before, grown)


def _feed_ema(state: State, fed: Fed, bar: State, before: State, args: Args) -> State:
    return (exponential(state[0], fed, bar[0], args[0]),)


_EMA = Recursion(
    fields=("close",),
    size=1,
    feed=_feed_ema,
    value=lambda state, args: state[0],
    least=lambda args: int(args[0]),
    block=lambda args: block_of(args[0]),
)
_STEP_EMA, _SERIES_EMA = anchored(_EMA)
_BAND = (
    Parameter("n", "count", low=2, high=MOST),
    Parameter("k", "number", low=0, high=100),
    Parameter("interval", "interval"),
)


def _needs(args: Args) -> int:
    return int(args[0] * args[-1])


FUNCTIONS = (
    Function(
        name="sma",
        parameters=(Parameter("n", "count", low=2, high=MOST), INTERVAL),
        unit="price",
        says="the average close of the last {n} {interval} candles",
        example="sma(20, 1h)",
        bounds=POSITIVE,
        step=_STEP_MEAN,
        series=_SERIES_MEAN,
        needs=_needs,
    ),
    Function(
        name="ema",
        parameters=(Parameter("n", "count", low=2, high=MOST_RECURSIVE), INTERVAL),
        unit="price",
        says="the exponential average of {n} {interval} candles",
        example="ema(20, 1h)",
        bounds=POSITIVE,
        step=_STEP_EMA,
        series=_SERIES_EMA,
        needs=_needs,
    ),
    Function(
        name="bollinger_upper",
        parameters=_BAND,
        unit="price",
        says="the upper Bollinger band ({k} deviations above the average of {n} {interval} candles)",
        example="bollinger_upper(20, 2, 1h)",
        bounds=POSITIVE,
        step=_upper,
        series=_uppers,
        needs=_needs,
    ),
    Function(
        name="bollinger_lower",
        parameters=_BAND,
        unit="price",
        says="the lower Bollinger band ({k} deviations below the average of {n} {interval} candles)",
        example="bollinger_lower(20, 2, 1h)",
        bounds=ANYTHING,
        step=_lower,
        series=_lowers,
        needs=_needs,
    ),
)
