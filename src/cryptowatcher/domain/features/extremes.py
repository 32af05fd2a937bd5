"""`high(w)` and `low(w)`: the highest and the lowest price within the window, the newest observation included;
and how far they lie apart (`range`), how far the price is below the high (`drawdown`) and above the low (`rally`).

Not known where the pair was not watched for nine tenths of the window: see history.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features import Args, Function, Parameter
from cryptowatcher.domain.features.bounds import POSITIVE, Bounds
from cryptowatcher.domain.features.finite import quotient
from cryptowatcher.domain.features.history import covered
from cryptowatcher.domain.features.line import Line, reference_of
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.ticks import Floats, Ints


def _high(memory: Memory, cols: Ints, args: Args) -> Floats:
    return memory.history.high(cols, args[0])


def _low(memory: Memory, cols: Ints, args: Args) -> Floats:
    return memory.history.low(cols, args[0])


def _range(memory: Memory, cols: Ints, args: Args) -> Floats:
    """(high − low) / low."""
    low = memory.history.low(cols, args[0])
    return quotient(memory.history.high(cols, args[0]) - low, low)


def _drawdown(memory: Memory, cols: Ints, args: Args) -> Floats:
    """(high − price) / high."""
    high = memory.history.high(cols, args[0])
    return quotient(high - memory.history.newest(cols), high)


def _rally(memory: Memory, cols: Ints, args: Args) -> Floats:
    """(price − low) / low."""
    low = memory.history.low(cols, args[0])
    return quotient(memory.history.newest(cols) - low, low)


# --- one pair over time ----------------------------------------------------------------------------


def _highs(line: Line, args: Args) -> Floats:
    return _extremes(line, args[0], np.maximum)


def _lows(line: Line, args: Args) -> Floats:
    return _extremes(line, args[0], np.minimum)


def _ranges(line: Line, args: Args) -> Floats:
    low = _lows(line, args)
    return quotient(_highs(line, args) - low, low)


def _drawdowns(line: Line, args: Args) -> Floats:
    high = _highs(line, args)
    return quotient(high - line.price, high)


def _rallies(line: Line, args: Args) -> Floats:
    low = _lows(line, args)
    return quotient(line.price - low, low)


def _extremes(line: Line, window: int, greater: np.ufunc) -> Floats:
    """`greater` of the prices after the reference, up to each observation."""
    reference = reference_of(line, window)
    known = np.flatnonzero(reference.known & covered(line.time - reference.time, line.clock - reference.clock))
    values = np.full(len(line), np.nan)
    values[known] = _over(line.price, reference.row[known] + 1, known, greater)
    return values


def _over(prices: Floats, first: Ints, last: NDArray[np.intp], greater: np.ufunc) -> Floats:
    """`greater` of prices[first] … prices[last]: of the two stretches of the same length, a power of two, that lie
    at both ends."""
    values = np.empty(len(last))
    lengths = last - first + 1
    stretch = 1
    over = prices  # of the `stretch` prices up to each row; the first rows have fewer and are not asked for
    while True:
        fits = np.flatnonzero((lengths >= stretch) & (lengths < 2 * stretch))
        values[fits] = greater(over[last[fits]], over[first[fits] + stretch - 1])
        if not (lengths >= 2 * stretch).any():
            return values
        over = np.concatenate([over[:stretch], greater(over[stretch:], over[:-stretch])])
        stretch *= 2


_WINDOW = (Parameter("window", "window"),)


def _needs(args: Args) -> int:
    return int(args[0])


FUNCTIONS = (
    Function(
        name="high",
        parameters=_WINDOW,
        unit="price",
        says="the highest price within {window}",
        example="high(24h)",
        bounds=POSITIVE,
        step=_high,
        series=_highs,
        needs=_needs,
    ),
    Function(
        name="low",
        parameters=_WINDOW,
        unit="price",
        says="the lowest price within {window}",
        example="low(24h)",
        bounds=POSITIVE,
        step=_low,
        series=_lows,
        needs=_needs,
    ),
    Function(
        name="range",
        parameters=_WINDOW,
        unit="fraction",
        says="how far the highest price within {window} is above the lowest",
        example="range(24h)",
        step=_range,
        series=_ranges,
        needs=_needs,
    ),
    Function(
        name="drawdown",
        parameters=_WINDOW,
        unit="fraction",
        says="how far the price is below the highest within {window}",
        example="drawdown(24h)",
        bounds=Bounds(0.0, 1.0, below=True),
        step=_drawdown,
        series=_drawdowns,
        needs=_needs,
    ),
    Function(
        name="rally",
        parameters=_WINDOW,
        unit="fraction",
        says="how far the price is above the lowest within {window}",
        example="rally(24h)",
        step=_rally,
        series=_rallies,
        needs=_needs,
    ),
)
