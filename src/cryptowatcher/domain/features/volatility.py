"""How much a price usually moves: `volatility(7d)`, `zscore(24h)`, `atr(14, 1h)`."""

from __future__ import annotations

import numpy as np

from cryptowatcher.domain.features import Args, Function, Parameter
from cryptowatcher.domain.features.anchored import MOST as MOST_RECURSIVE
from cryptowatcher.domain.features.anchored import Fed, Recursion, State, anchored, block_of
from cryptowatcher.domain.features.bounds import ANYTHING
from cryptowatcher.domain.features.finite import quotient
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.features.momentum import smoothed
from cryptowatcher.domain.features.spans import Span, series_deviation, series_mean, step_deviation, step_mean
from cryptowatcher.domain.features.windows import MOST
from cryptowatcher.domain.intervals import INTERVALS, MS, show_duration
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import ConfigError

_LEAST_MOVES = 5
_LEAST_BARS = 20


# --- spans of time -------------------------------------------------------------------------------------


def interval_for(window: int) -> int:
    """The longest interval (ms) of which a window (ms) has enough bars; the shortest where it has not."""
    fitting = [interval for interval in INTERVALS.values() if window >= _LEAST_BARS * interval]
    return max(fitting, default=min(INTERVALS.values()))


def check_span(window: int, interval: int, *, least: int) -> None:
    """ConfigError unless the window is a number of bars that can be looked at."""
    bars = window / interval
    if bars < least:
        hint = f"write {show_duration(least * interval)} or more"
        message = f"{show_duration(window)} is too short for {show_duration(interval)} candles"
        raise ConfigError(f"{message}: at least {least} are needed", hint=hint)
    if bars > MOST:
        hint = f"write {show_duration(MOST * interval)} or less, or a longer interval"
        raise ConfigError(
            f"{show_duration(window)} is more than {MOST} candles of {show_duration(interval)}", hint=hint
        )
    if window % interval:
        hint = f"write {show_duration(round(bars) * interval)}"
        raise ConfigError(
            f"{show_duration(window)} is not a number of {show_duration(interval)} candles", hint=hint
        )


# --- volatility and zscore -----------------------------------------------------------------------------


def _moves(args: Args) -> Span:
    window, interval = args
    return Span("move", interval, window // interval)


def _check_volatility(args: Args) -> None:
    check_span(*args, least=_LEAST_MOVES)


def closes(window: int) -> Span:
    """The closes in a window (ms), of the interval that suits it."""
    interval = interval_for(window)
    return Span("close", interval, window // interval)


def check_closes(window: int) -> None:
    """ConfigError unless a window (ms) is a number of such bars."""
    check_span(window, interval_for(window), least=_LEAST_BARS)


def _zscore(memory: Memory, cols: Ints, args: Args) -> Floats:
    span = closes(args[0])
    away = memory.history.newest(cols) - step_mean(memory, cols, span)
    return quotient(away, step_deviation(memory, cols, span))


def _zscores(line: Line, args: Args) -> Floats:
    span = closes(args[0])
    return quotient(line.price - series_mean(line, span), series_deviation(line, span))


# --- atr -----------------------------------------------------------------------------------------------


def _feed_atr(state: State, fed: Fed, bar: State, before: State, args: Args) -> State:
    """Of: the average true range, of the bar and from the close before to its ends."""
    (high, low), (close,) = bar, before
    reach = np.maximum(high - low, np.maximum(np.abs(high - close), np.abs(low - close)))
    return (smoothed(state[0], fed - 1, reach, args[0]),)


_STEP_ATR, _SERIES_ATR = anchored(
    Recursion(
        fields=("high", "low"),
        before=("close",),
        size=1,
        feed=_feed_atr,
        value=lambda state, args: state[0],
        least=lambda args: int(args[0]) + 1,
        block=lambda args: block_of(args[0]),
    )
)


FUNCTIONS = (
    Function(
        name="volatility",
        parameters=(Parameter("window", "window"), Parameter("interval", "interval", default=MS["h"])),
        unit="fraction",
        says="the usual size of a {interval} move within {window}",
        example="volatility(7d)",
        step=lambda memory, cols, args: step_deviation(memory, cols, _moves(args)),
        series=lambda line, args: series_deviation(line, _moves(args)),
        check=_check_volatility,
        needs=lambda args: int(args[0] + args[1]),
    ),
    Function(
        name="zscore",
        parameters=(Parameter("window", "window"),),
        unit="number",
        says="how many usual deviations the price is away from its average within {window}",
        example="zscore(24h)",
        bounds=ANYTHING,
        step=_zscore,
        series=_zscores,
        check=lambda args: check_closes(args[0]),
        needs=lambda args: int(args[0]),
    ),
    Function(
        name="atr",
        parameters=(Parameter("n", "count", low=2, high=MOST_RECURSIVE), Parameter("interval", "interval")),
        unit="price",
        says="the average true range of {n} {interval} candles",
        example="atr(14, 1h)",
        step=_STEP_ATR,
        series=_SERIES_ATR,
        needs=lambda args: int((args[0] + 1) * args[1]),
    ),
)
