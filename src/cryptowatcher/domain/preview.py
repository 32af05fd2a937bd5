"""Where a rule would have fired: the replay's own evaluator over one pair's history, before the rule is saved.

A preview says no more than its data can: hindsight.py says what is unknown, `warnings` what is doubtful.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.hindsight import Hindsight, History, observed, stretch
from cryptowatcher.domain.intervals import show_duration
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.tree import calls
from cryptowatcher.domain.scoring import FEE, HORIZONS, Score, moves_after, score
from cryptowatcher.domain.texts import observed_at

MOSTLY = 0.95
"""A smaller share of the time observed is worth a warning."""


class Fired(msgspec.Struct, frozen=True):
    """One firing.

    time:  of the observation that showed it, epoch ms · price: of the pair then
    value: what was compared
    after: the move of the price after each horizon, a fraction; None where it is not known (yet)
    """

    time: int
    price: float
    value: float
    after: tuple[float | None, ...]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule would have done on one pair.

    when:            the condition, as the program writes it
    unknown:         why nothing can be said; then `firings` is empty and the numbers are None
    a_week:          firings for each week of observed time
    longest_silence: ms between two firings, or to an end of the data
    horizons:        ms; `after` of a firing and `scores` have one entry for each
    start, end:      first and last observation, epoch ms; 0 where there is none
    warm_up:         ms at the beginning in which it could not fire; no week of `a_week`
    observed:        share of the time between them that was observed
    observations:    how many there are
    """

    rule: str
    pair: str
    when: str
    unknown: str
    firings: tuple[Fired, ...]
    a_week: float | None
    longest_silence: int | None
    horizons: tuple[int, ...]
    scores: tuple[Score, ...]
    start: int
    end: int
    warm_up: int
    observed: float
    observations: int
    warnings: tuple[str, ...]


def preview(
    rule: Rule, history: History, pair: str, *, horizons: Sequence[int] = HORIZONS, fee: float = FEE
) -> Preview:
    """The rule on this pair, whichever pairs it names and whether it is paused. Its spec has passed check_spec."""
    past = Hindsight(rule, history, pair)
    times, prices, tolerance = past.line.time, past.line.price, past.line.valid_for
    alerts = [] if past.unknown else past.alerts()
    unknown = past.unknown or ("" if alerts else past.never_known())
    shown = np.array([observed_at(alert) for alert in alerts], np.int64)
    # A touch inside a candle is judged from the candle's end: what the price was just then is not known.
    at = times[np.searchsorted(times, shown)]
    after = [moves_after(times, prices, at, horizon=horizon, tolerance=tolerance).tolist() for horizon in horizons]
    scores = (
        score(times, prices, at, advice=rule.spec.advice, horizon=horizon, tolerance=tolerance, fee=fee)
        for horizon in horizons
    )
    silent = [] if unknown else np.diff([times[past.begin], *shown, times[-1]]).tolist()
    return Preview(
        rule=rule.spec.name,
        pair=pair,
        when=str(past.condition),
        unknown=unknown,
        firings=tuple(map(_fired, alerts, shown.tolist(), zip(*after, strict=True) if alerts else ())),
        a_week=len(alerts) / past.weeks if past.weeks and not unknown else None,
        longest_silence=max(silent, default=None),
        horizons=tuple(horizons),
        scores=() if unknown else tuple(scores),
        start=int(times[0]) if len(times) else 0,
        end=int(times[-1]) if len(times) else 0,
        warm_up=past.warm_up,
        observed=_share(past),
        observations=len(times),
        warnings=tuple(_warnings(past, alerts, unknown)),
    )


def _fired(alert: Alert, time: int, after: Sequence[float]) -> Fired:
    moves = tuple(None if math.isnan(move) else move for move in after)
    return Fired(time=time, price=alert.price, value=alert.value, after=moves)


def _share(past: Hindsight) -> float:
    whole = stretch(past.line)
    return observed(past.line) / whole if whole else 0.0


def _warnings(past: Hindsight, alerts: Sequence[Alert], unknown: str) -> Iterator[str]:
    """What a person should know before they believe the numbers."""
    candles = past.history.candles
    if candles and past.touches:
        yield f"seen as candles of {show_duration(candles)}: touches inside count, and which came first is guessed"
    elif candles:
        yield f"seen as candles of {show_duration(candles)}: only their closes count, not what was between"
    if unknown:
        return
    if past.warm_up:
        yield f"it could not fire in the first {show_duration(past.warm_up)}: so much past must be known"
    for call in dict.fromkeys(calls(past.condition)):
        if past.known(call) < MOSTLY:
            yield f"{call} was known at {past.known(call):.0%} of the observations only"
    if _share(past) < MOSTLY:
        yield f"{_share(past):.0%} of the time was observed: what happened in the rest is not known"
    if past.weeks < 1:
        yield "less than a week could be judged: how often a week is a guess"
    late = sum(alert.kind == "gap" for alert in alerts)
    if late:
        yield f"{late} of the firings lie somewhere in a gap, and count from its end"
