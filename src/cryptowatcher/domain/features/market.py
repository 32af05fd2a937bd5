"""A pair beside others: `rank` by market capitalisation, and `ratio` of two prices."""

from __future__ import annotations

import numpy as np

from cryptowatcher.domain.features import Args, Function, Parameter
from cryptowatcher.domain.features.bounds import POSITIVE, Bounds
from cryptowatcher.domain.features.finite import quotient
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.ticks import Floats, Ints

_MISSED_FOR = 24 * MS["h"]


def _rank(memory: Memory, cols: Ints, args: Args) -> Floats:
    """1 + how many pairs of the same currency have a larger capitalisation, as of the record that is stepped.
    Time counts while the watcher is awake, so that a long sleep or a jump of the clock makes nobody absent.

    Not known while one of those is not current: it may have fallen behind, or stand there still. After a day
    without it, it does not count any more.
    """
    silent = memory.awake - memory.cap_at
    current = silent <= memory.cap_valid_for
    missed = ~current & (silent <= _MISSED_FOR)
    own = memory.market_cap[cols]
    ranks = np.full(len(cols), np.nan)
    for currency in np.unique(memory.currency[cols]).tolist():
        if currency < 0:
            continue  # not a pair for people
        alike = memory.currency == currency
        mine = np.flatnonzero(memory.currency[cols] == currency)
        ascending = np.sort(memory.cap[alike & current])
        larger = len(ascending) - np.searchsorted(ascending, own[mine], side="right")
        known = own[mine] >= memory.cap[alike & missed].max(initial=-np.inf)
        ranks[mine] = np.where(known, larger + 1, np.nan)
    return ranks


def _ratio(memory: Memory, cols: Ints, args: Args) -> Floats:
    """The price / the newest price of the other pair, if that is current at the pair's own newest observation."""
    (other,) = args
    if other not in memory.universe:
        return np.full(len(cols), np.nan)
    history, col = memory.history, memory.universe.column(other)
    current = history.time[cols] - history.time[col] <= history.valid_for[col]
    return quotient(history.price[cols], np.where(current, history.price[col], np.nan))


def _ratios(line: Line, args: Args) -> Floats:
    """The same for one pair after each of its observations. What came with the same instant counts."""
    other = line.other(args[0])
    if other is None or not len(other):
        return np.full(len(line), np.nan)
    row = np.searchsorted(other.seq, line.seq, side="right") - 1
    current = (row >= 0) & (line.time - other.time[row] <= other.valid_for)
    return quotient(line.price, np.where(current, other.price[row], np.nan))


FUNCTIONS = (
    Function(
        name="rank",
        unit="number",
        says="the rank by market capitalisation",
        example="rank",
        bounds=Bounds(1.0),
        step=_rank,
        series=None,
    ),
    Function(
        name="ratio",
        parameters=(Parameter("other", "pair"),),
        unit="number",
        says="the price divided by that of {other}",
        example="ratio(bitcoin/usd)",
        bounds=POSITIVE,
        step=_ratio,
        series=_ratios,
        reads=lambda args: (str(args[0]),),
    ),
)
