"""Momentum of closed candles: `rsi(14, 1h)`, `macd(12, 26, 9, 1h)` with its signal, and the stochastic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from cryptowatcher.domain.features import Args, Function, Parameter, SeriesForm, StepForm
from cryptowatcher.domain.features.anchored import MOST, Fed, Recursion, State, anchored, block_of
from cryptowatcher.domain.features.averages import begun_as_mean, exponential
from cryptowatcher.domain.features.bounds import ANYTHING, TO_100
from cryptowatcher.domain.features.windows import Rows, extreme, of_newest, total
from cryptowatcher.domain.ticks import Floats
from cryptowatcher.errors import ConfigError

_INTERVAL = Parameter("interval", "interval")


# --- rsi -----------------------------------------------------------------------------------------------


def smoothed(before: Floats, fed: Fed, value: Floats, n: int) -> Floats:
    """One more value of Wilder's average. `fed`: values before; < 0: not yet one."""

    def then() -> Floats:
        found = before * (n - 1)
        found += value
        found /= n
        return found

    return begun_as_mean(before, fed, value, n, then)


def _feed_rsi(state: State, fed: Fed, bar: State, before: State, args: Args) -> State:
    """Of: the average gain, the average loss."""
    gain, loss = state
    change = bar[0] - before[0]
    gain = smoothed(gain, fed - 1, np.maximum(change, 0.0), args[0])
    return gain, smoothed(loss, fed - 1, np.maximum(-change, 0.0), args[0])


_RSI = Recursion(
    fields=("close",),
    before=("close",),
    size=2,
    feed=_feed_rsi,
    value=lambda state, args: 100 * (state[0] / (state[0] + state[1])),
    least=lambda args: int(args[0]) + 1,
    block=lambda args: block_of(args[0]),
)
_STEP_RSI, _SERIES_RSI = anchored(_RSI)


# --- macd ----------------------------------------------------------------------------------------------


def _feed_macd(state: State, fed: Fed, bar: State, before: State, args: Args) -> State:
    """Of: the fast average, the slow one, the signal. Both averages begin to count at the same bar."""
    fast, slow, signal = state
    short, long, smooth, _ = args
    fast = exponential(fast, fed - (long - short), bar[0], short)
    slow = exponential(slow, fed, bar[0], long)
    return fast, slow, exponential(signal, fed - (long - 1), fast - slow, smooth)


def _macd(value: Any) -> Any:
    """Both forms of one of the three; TA-Lib knows all of them from the same bar on."""
    return anchored(
        Recursion(
            fields=("close",),
            size=3,
            feed=_feed_macd,
            value=value,
            least=lambda args: int(args[1] + args[2]) - 1,
            block=lambda args: block_of(args[1] + args[2]),
        )
    )


_STEP_MACD, _SERIES_MACD = _macd(lambda state, args: state[0] - state[1])
_STEP_SIGNAL, _SERIES_SIGNAL = _macd(lambda state, args: state[2])
_STEP_HISTOGRAM, _SERIES_HISTOGRAM = _macd(lambda state, args: state[0] - state[1] - state[2])
_MACD = (
    Parameter("fast", "count", low=2, high=MOST),
    Parameter("slow", "count", low=3, high=MOST),
    Parameter("signal", "count", low=2, high=MOST),
    _INTERVAL,
)


def _check_macd(args: Args) -> None:
    fast, slow, *_ = args
    if fast >= slow:
        hint = "write the shorter one first: macd(12, 26, 9, 1h)"
        raise ConfigError(f"the fast average ({fast}) is not shorter than the slow one ({slow})", hint=hint)


def _needs_macd(args: Args) -> int:
    _, slow, signal, interval = args
    return int((slow + signal - 1) * interval)


# --- stochastic ----------------------------------------------------------------------------------------


def _stochastic_k(rows: Rows, args: Args) -> Floats:
    """Where the newest close lies between the lowest and the highest price of the n bars up to it, 0 to 100."""
    (found,) = _k(rows, args[0], 1)
    return found


def _stochastic_d(rows: Rows, args: Args) -> Floats:
    """The mean of the newest m values of stochastic_k."""
    n, m, _ = args
    return total((found, ()) for found in _k(rows, n, m)) / float(m)


def _k(rows: Rows, n: int, m: int) -> Iterator[Floats]:
    """The newest m values of stochastic_k."""
    highs, lows = _extremes(rows, "high", n, m), _extremes(rows, "low", n, m)
    for first, (high, low) in enumerate(zip(highs, lows, strict=True)):
        high -= low
        found = rows.at("close", first + n - 1) - low
        found /= high
        found *= 100
        yield found


def _extremes(rows: Rows, field: str, n: int, m: int) -> Iterator[Floats]:
    """The highest highs or lowest lows of n bars that end with each of the newest m."""
    of, start = (np.maximum, 0.0) if field == "high" else (np.minimum, math.inf)
    shared = extreme(of, rows.parts(field, m - 1, n, neutral=True), start) if m <= n else None
    for first in range(m):
        if shared is None:
            yield extreme(of, rows.parts(field, first, first + n, neutral=True), start)
            continue
        older = rows.parts(field, first, m - 1, neutral=True)
        newer = rows.parts(field, n, n + first, neutral=True)
        yield extreme(of, chain([(shared, ())], older, newer), start)


_STEP_K, _SERIES_K = of_newest(_stochastic_k, lambda args: int(args[0]))
_STEP_D, _SERIES_D = of_newest(_stochastic_d, lambda args: int(args[0] + args[1]) - 1)
_K = Parameter("n", "count", low=2, high=500)


def _line_of_macd(name: str, part: str, step: StepForm, series: SeriesForm) -> Function:
    """One of its three lines."""
    return Function(
        name=name,
        parameters=_MACD,
        unit="price",
        says=f"the {part}MACD ({{fast}}, {{slow}}, {{signal}}) of {{interval}} candles",
        example=f"{name}(12, 26, 9, 1h)",
        bounds=ANYTHING,
        step=step,
        series=series,
        check=_check_macd,
        needs=_needs_macd,
    )


FUNCTIONS = (
    Function(
        name="rsi",
        parameters=(Parameter("n", "count", low=2, high=MOST), _INTERVAL),
        unit="number",
        says="the RSI of {n} {interval} candles",
        example="rsi(14, 1h)",
        bounds=TO_100,
        step=_STEP_RSI,
        series=_SERIES_RSI,
        needs=lambda args: int((args[0] + 1) * args[1]),
    ),
    _line_of_macd("macd", "", _STEP_MACD, _SERIES_MACD),
    _line_of_macd("macd_signal", "signal line of the ", _STEP_SIGNAL, _SERIES_SIGNAL),
    _line_of_macd("macd_histogram", "histogram of the ", _STEP_HISTOGRAM, _SERIES_HISTOGRAM),
    Function(
        name="stochastic_k",
        parameters=(_K, _INTERVAL),
        unit="number",
        says="the stochastic %K of {n} {interval} candles",
        example="stochastic_k(14, 1h)",
        bounds=TO_100,
        step=_STEP_K,
        series=_SERIES_K,
        needs=lambda args: int(args[0] * args[1]),
    ),
    Function(
        name="stochastic_d",
        parameters=(_K, Parameter("m", "count", low=2, high=100), _INTERVAL),
        unit="number",
        says="the stochastic %D (the mean of {m} %K) of {n} {interval} candles",
        example="stochastic_d(14, 3, 1h)",
        bounds=TO_100,
        step=_STEP_D,
        series=_SERIES_D,
        needs=lambda args: int((args[0] + args[1] - 1) * args[2]),
    ),
)
