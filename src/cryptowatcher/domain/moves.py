"""A move of one pair between two moments, held against its own past and against the market. It says what else was
so in that stretch of time; it never says why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.candles import Candle, CandleColumns
from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.scoring import moves_after
from cryptowatcher.domain.ticks import Floats

HALF = 0.5
FEWEST = 20
"""Stretches of the past that do not overlap. Among fewer, rare and usual cannot be told apart."""
FEWEST_PAIRS = 5
"""Pairs of which the moves are known. Fewer are no market."""
_OLD = 3 * MS["m"]
_PART = 20
"""A price at an end of a stretch may be older than that end by one part of so many; or by _OLD."""
_PASTS = (
    (MS["m"], 14 * MS["d"]),
    (5 * MS["m"], 90 * MS["d"]),
    (MS["h"], 365 * MS["d"]),
    (MS["d"], 3_650 * MS["d"]),
)
_MOST_OF = 300
"""Candles that a stretch of the past is made of, at most: more would say the same."""
_INSIDE = 1_500
"""Candles that a stretch is looked at by, about."""


class Fastest(msgspec.Struct, frozen=True, kw_only=True):
    """The shortest part of the stretch that has half of the move in it."""

    from_ms: int
    to_ms: int
    change: float


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """What candles say of the stretch.

    candles_ms:  how long they are
    high, low:   the extremes, and when the candles of these begin
    ticks:       observations
    watched, told: shares of the stretch that were observed, and that were only told by a source afterwards; of the
                 rest nothing is known
    volume:      the 24 h volume at its end
    """

    candles_ms: int
    high: float | None
    high_at_ms: int | None
    low: float | None
    low_at_ms: int | None
    ticks: int
    watched: float
    told: float
    volume: float | None
    fastest: Fastest | None


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """How unusual a move is for its pair. Sizes have no sign.

    smaller: share of the stretches of this length before, in which it moved less far
    median:  the move that half of them exceed
    apart:   how many of them there are that do not overlap
    past_ms: from how far back on
    unknown: why nothing can be said; then the rest is null
    """

    smaller: float | None
    median: float | None
    apart: int
    past_ms: int
    unknown: str


class Breadth(msgspec.Struct, frozen=True, kw_only=True):
    """All watched pairs of the same currency in the same stretch, those whose moves are known.

    further: share of them that moved at least as far in the same direction, itself not counted
    """

    pairs: int
    up: int
    down: int
    median: float | None
    further: float | None


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """The 24 h volume at the end, against its mean over the `past_ms` before the stretch."""

    at_end: float | None
    mean: float | None
    times: float | None
    past_ms: int


class Witnesses(msgspec.Struct, frozen=True, kw_only=True):
    """Who saw it, by the journal.

    from_ms:  from when on the journal has anything, where it has nothing of the beginning; else null
    seen:     source → observations of the pair that counted
    held:     observations that were too strange to count alone
    believed, dismissed: what became of held ones
    unknown:  why it is not told; then the rest says nothing
    """

    from_ms: int | None
    seen: dict[str, int]
    held: int
    believed: int
    dismissed: int
    unknown: str


class AlertThen(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of whoever asks, that fired for the pair in the stretch."""

    id: str
    rule_name: str
    condition: str
    advice: Advice
    event_time_ms: int
    price: float


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """`about`: a stable word for what it tells of."""

    about: Literal["move", "speed", "usual", "bitcoin", "market", "volume", "seen", "sources", "alerts"]
    says: str


class PairMove(msgspec.Struct, frozen=True, kw_only=True):
    """What was so of a pair from `from_ms` to `to_ms`. Changes are fractions; null: not known.

    begin, end: the price at the two moments
    bitcoin:    how far bitcoin moved in the same time and currency; null for bitcoin itself too
    alerts:     the newest hundred, newest first
    says:       the same in words. None of them says why it moved
    """

    pair: str
    from_ms: int
    to_ms: int
    begin: float | None
    end: float | None
    change: float | None
    inside: Inside
    usual: Usual
    bitcoin: float | None
    market: Breadth
    volume: Volume
    witnesses: Witnesses
    alerts: list[AlertThen]
    says: list[Sentence]


def finest(length: int) -> int:
    """How long the candles are by which a stretch is looked at, ms."""
    return next((each for each in INTERVALS.values() if length <= _INSIDE * each), MS["d"])


def ladder(length: int) -> list[tuple[int, int]]:
    """Candles whose closes tell the price at an end of a stretch, the finest first: how long they are, and how old
    such a close may be by then, ms."""
    fits = [each for each in INTERVALS.values() if each <= length]
    return [(each, max(_OLD, min(3 * each, length // _PART))) for each in fits[-3:]]


def inside(candles: Sequence[Candle], *, start: int, end: int, begin: float | None) -> Inside:
    """Candles of one pair and interval that begin in [start, end), oldest first. `begin`: the price before."""
    interval = candles[0].interval if candles else MS["m"]
    highest = max(candles, key=lambda each: each.high, default=None)
    lowest = min(candles, key=lambda each: each.low, default=None)
    length = max(1, end - start)
    covered = sum(min(end, each.start + interval) - each.start for each in candles) / length
    watched = min(1.0, sum(each.observed_ms for each in candles) / length)
    volumes = [each.volume_24h for each in candles if each.volume_24h is not None]
    return Inside(
        candles_ms=interval,
        high=highest.high if highest else None,
        high_at_ms=highest.start if highest else None,
        low=lowest.low if lowest else None,
        low_at_ms=lowest.start if lowest else None,
        ticks=sum(each.ticks for each in candles),
        watched=watched,
        told=max(0.0, min(1.0, covered) - watched),
        volume=volumes[-1] if volumes else None,
        fastest=_fastest(candles, interval, start, end, begin),
    )


def _fastest(
    candles: Sequence[Candle], interval: int, start: int, end: int, begin: float | None
) -> Fastest | None:
    """By closes, so that it is never said to be faster than it can have been seen."""
    if begin is None or not candles:
        return None
    times = np.array([start, *(min(each.start + interval, end) for each in candles)], np.int64)
    logs = np.log([begin, *(each.close for each in candles)])
    whole = logs[-1] - logs[0]
    if whole == 0:
        return None
    for width in range(1, len(logs)):
        part = (logs[width:] - logs[:-width]) * np.sign(whole)
        best = int(np.argmax(part))
        if part[best] >= HALF * abs(whole):
            change = float(np.exp(logs[best + width] - logs[best]) - 1)
            return Fastest(from_ms=int(times[best]), to_ms=int(times[best + width]), change=change)
    return None


def pasts_of(length: int) -> list[tuple[int, int]]:
    """(interval, how far back) of candles that tell how far the pair moves in such a time, ms: the best first, and
    others for when there is too little of them."""
    fits = [(interval, back) for interval, back in _PASTS if interval <= length]
    return [each for each in fits if length <= _MOST_OF * each[0]] or fits[-1:]


def usual(past: CandleColumns, change: float | None, *, length: int, interval: int) -> Usual:
    """`past`: candles of `interval` ms, all of them from before the stretch. A stretch of this `length` (ms)
    begins at every one of them."""
    ends = past.start + interval
    moves = np.abs(moves_after(ends, past.close, ends, horizon=length, tolerance=2 * interval))
    moves = moves[~np.isnan(moves)]
    apart = len(moves) * interval // max(length, interval)
    reach = int(ends[-1] - ends[0]) if len(ends) else 0
    unknown = ""
    if change is None:
        unknown = "how far it moved is not known"
    elif apart < FEWEST:
        unknown = f"of its past {apart} such stretches are known, too few to compare with"
    if change is None or unknown:
        return Usual(smaller=None, median=None, apart=apart, past_ms=reach, unknown=unknown)
    smaller = float(np.mean(moves < abs(change)))
    return Usual(smaller=smaller, median=float(np.median(moves)), apart=apart, past_ms=reach, unknown="")


def breadth(changes: Floats, own: float | None) -> Breadth:
    """`changes`: of all pairs but this one, NaN unknown; `own`: of this one."""
    others = changes[~np.isnan(changes)]
    known = others if own is None else np.append(others, own)
    if len(known) < FEWEST_PAIRS:
        return Breadth(pairs=len(known), up=0, down=0, median=None, further=None)
    further = None
    if own:
        further = float(np.mean(others >= own if own > 0 else others <= own))
    return Breadth(
        pairs=len(known),
        up=int((known > 0).sum()),
        down=int((known < 0).sum()),
        median=float(np.median(known)),
        further=further,
    )


def volume_against(past: CandleColumns, at_end: float | None) -> Volume:
    """`past`: candles from before the stretch."""
    said = past.volume_24h[~np.isnan(past.volume_24h)]
    mean = float(said.mean()) if len(said) else None
    reach = int(past.start[-1] - past.start[0]) if len(past) else 0
    times = at_end / mean if at_end is not None and mean else None
    return Volume(at_end=at_end, mean=mean, times=times, past_ms=reach)
