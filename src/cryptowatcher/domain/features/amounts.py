"""What was traded, and averages over a window: `volume`, `volume(1h)`, `average(volume, 7d)`."""

from __future__ import annotations

import numpy as np

from cryptowatcher.domain.features import Args, Function, Parameter
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.features.spans import Span, series_mean, step_mean
from cryptowatcher.domain.features.volatility import check_closes, check_span, closes
from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import ConfigError

_DAY = MS["d"]


def _volume(memory: Memory, cols: Ints, args: Args) -> Floats:
    """What the source says of the last 24 h. It does not say what was traded in a candle."""
    return memory.volume[cols] if args[0] == _DAY else np.full(len(cols), np.nan)


def _volumes(line: Line, args: Args) -> Floats:
    """The same; candle files say what was traded."""
    return line.volume if args[0] == _DAY else series_mean(line, Span("traded", args[0], 1))


def _check_volume(args: Args) -> None:
    (window,) = args
    if window != _DAY and window not in INTERVALS.values():
        hint = (
            "write volume for that, or volume(1m), volume(5m) or volume(1h) for what was traded in the last candle"
        )
        raise ConfigError("the volume is known over 24h", hint=hint)


def _span(args: Args) -> Span:
    """What an average looks at."""
    of, window = args
    if of.name == "price":
        return closes(window)
    (length,) = of.args
    if length == _DAY:
        return Span("volume", closes(window).interval, closes(window).length)
    return Span("traded", length, window // length)


def _check_average(args: Args) -> None:
    of, window = args
    if of.name not in ("price", "volume"):
        raise ConfigError(
            f"`{of.name}` has no average",
            hint="write average(price, 24h), average(volume, 7d) or average(volume(1h), 7d)",
        )
    if of.name == "volume":
        _check_volume(of.args)
    if of.name == "volume" and of.args != (_DAY,):
        check_span(window, of.args[0], least=2)
    else:
        check_closes(window)


def _average(memory: Memory, cols: Ints, args: Args) -> Floats:
    return step_mean(memory, cols, _span(args))


def _averages(line: Line, args: Args) -> Floats:
    return series_mean(line, _span(args))


FUNCTIONS = (
    Function(
        name="volume",
        parameters=(Parameter("window", "window", default=_DAY),),
        unit="money",
        says="the volume of {window}",
        example="volume",
        step=_volume,
        series=_volumes,
        check=_check_volume,
        needs=lambda args: 0 if args[0] == _DAY else int(args[0]),
    ),
    Function(
        name="average",
        parameters=(Parameter("feature", "feature"), Parameter("window", "window")),
        unit="number",
        says="the average of {feature} within {window}",
        example="average(volume, 7d)",
        step=_average,
        series=_averages,
        check=_check_average,
        needs=lambda args: int(args[1]),
    ),
)
