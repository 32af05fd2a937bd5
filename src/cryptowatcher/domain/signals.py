"""Signals, alerts with the advice to buy or sell: what each was worth, as kept rows, and the score of a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Advice, Alert
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.scoring import FEE, HORIZONS, Score, Track, after_fees, judge, moves_after
from cryptowatcher.domain.texts import observed_at
from cryptowatcher.domain.ticks import Floats, Ints

TOLERANCE = 15 * MS["m"]
"""A price older than this is not the price after a horizon."""
MOST_PRICES = 600_000
"""Prices that one score looks back on. Of rules on very many pairs only the newest signals are judged."""

Closes = Callable[[str, int, int, int], tuple[Ints, Floats]]
"""(pair, interval, start, end) → ends and closes of its candles that begin from start to before end, ascending."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What a signal was worth one horizon after it. Times in epoch ms; moves are fractions.

    at, price:       the observation that showed it
    later:           the price a horizon later
    move_after_fees: what following the advice gave
    fee:             of what is bought or sold, each time
    """

    rule: str
    version: int
    alert: str
    horizon: int
    pair: str
    advice: Advice
    at: int
    price: float
    later: float
    move: float
    move_after_fees: float
    fee: float
    scored_at: int


class RuleScore(msgspec.Struct, frozen=True, kw_only=True):
    """What the signals of a rule, as it stands since its last change, were worth.

    first, last: the first and the newest scored signal, epoch ms; None where there is none
    scores:      one for each horizon
    """

    rule: str
    version: int
    advice: Advice
    first: int | None
    last: int | None
    scores: tuple[Score, ...]


def signal_of(alert: Alert, later: float, *, horizon: int, now: int, fee: float = FEE) -> Signal:
    """Its worth, by the price one horizon later. What happened in a gap counts from the gap's end: nobody knew of
    it before."""
    move = later / alert.price - 1
    return Signal(
        rule=alert.rule,
        version=alert.version,
        alert=alert.id,
        horizon=horizon,
        pair=alert.pair,
        advice=alert.advice,
        at=observed_at(alert),
        price=alert.price,
        later=later,
        move=move,
        move_after_fees=after_fees(np.array([move]), alert.advice, fee).item(),
        fee=fee,
        scored_at=now,
    )


def rule_score(
    rule: str, version: int, advice: Advice, signals: Sequence[Signal], closes: Closes, *, fee: float = FEE
) -> RuleScore:
    """The score of one version of a rule by its signals; those from before it gave this advice do not count.
    Random moments are the ends of candles from the first signal to a horizon after the last."""
    mine = [signal for signal in signals if signal.advice == advice]
    scores = [
        _score(advice, [signal for signal in mine if signal.horizon == horizon], closes, horizon, fee)
        for horizon in HORIZONS
    ]
    times = [signal.at for signal in mine]
    return RuleScore(
        rule=rule,
        version=version,
        advice=advice,
        first=min(times, default=None),
        last=max(times, default=None),
        scores=tuple(scores),
    )


def _score(advice: Advice, signals: Sequence[Signal], closes: Closes, horizon: int, fee: float) -> Score:
    if not signals:
        return judge(np.zeros(0, np.int64), [], advice=advice, horizon=horizon, fee=fee)
    interval = MS["h"] if horizon > 12 * MS["h"] else 5 * MS["m"]
    pairs = sorted({signal.pair for signal in signals})
    end = max(signal.at for signal in signals)
    start = max(min(signal.at for signal in signals), end - MOST_PRICES // len(pairs) * interval)
    start -= start % interval
    signals = sorted((each for each in signals if each.at >= start), key=lambda each: each.at)
    lines = {pair: closes(pair, interval, start - interval, end + horizon + interval) for pair in pairs}
    moments = np.unique(np.concatenate([np.array([end], np.int64), *(ends for ends, _ in lines.values())]))
    tracks = []
    for pair, (ends, prices) in lines.items():
        mine = [signal for signal in signals if signal.pair == pair]
        moves = moves_after(ends, prices, moments, horizon=horizon, tolerance=interval)
        # Nobody could buy at the close before the signal: the first moment at or after it counts.
        fired = np.searchsorted(moments, np.array([signal.at for signal in mine], np.int64))
        tracks.append(Track(moves, fired, np.array([signal.move for signal in mine])))
    return judge(moments, tracks, advice=advice, horizon=horizon, fee=fee)
