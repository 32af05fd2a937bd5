"""What signals were worth afterwards, and whether random moments would have been worth as much.

A move is the relative change of the price from a firing to one horizon after it. Whether a rule found its moments
or had luck is asked twice, and it must pass both times:

- *Shifted in time.* The whole pattern of firings is moved along the stretch, to every place there is, round its
  end to its beginning. `chance` is the share of places where the mean is at least as good: exact, nothing drawn.
  Firings that come in bunches and moves that overlap stay so, and count for no more than they are.
- *By their own spread.* Rules that fire in wild times can have a large mean by a few wild moves, while most other
  places are calm. So the firings whose moves do not overlap must be above the usual move clearly for how much they
  differ among themselves (Student's t). On made-up markets with calm and wild times, where the price knows nothing
  of its past, a rule on sharp falls passes the first question one time in six, and both one time in fifty at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.intervals import MS, show_duration
from cryptowatcher.domain.ticks import Floats, Ints

Bools = NDArray[np.bool_]

HORIZONS = (MS["h"], 24 * MS["h"], 7 * MS["d"])
FEE = 0.001
"""Of what is bought or sold, each time."""
FEWEST = 20
"""Firings that lie a horizon apart. With fewer of them one lucky move decides the mean."""
CHANCE = 0.05 / len(HORIZONS)
"""What luck may explain at one horizon: over all of them it makes one worthless rule in twenty look good."""
SHORTEST = round(1 / CHANCE)
"""Horizons that a stretch must hold: in a shorter one too many of the places overlap the true one."""
_CLEAR = 2.3
"""Student's t that luck exceeds with CHANCE among FEWEST firings; for more of them it is a little strict."""
FEW = 300
"""Firings of which it is quicker to add up what they fall on, one after the other, than to transform."""
_OLDEST = 4
"""The price after a horizon may be old by this part of the horizon at most."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What the firings of a rule were worth after one horizon. Moves are fractions; None is not known.

    firings:         those that can be judged: with a price at the firing and one a horizon later
    apart:           how many of them lie at least a horizon from one another
    hit_rate:        share of firings worth more than nothing after fees; for buy and sell only
    usual_hit_rate:  the same of all moments of the stretch
    mean, median:    the moves after the firings
    holding:         the mean move after all moments of the stretch: what random moments give in the long run
    mean_after_fees: what buying (or selling) at each firing and going back after the horizon gave, in the mean
    chance:          share of places in time where the same pattern of firings would have been worth as much
    clearness:       Student's t of the firings that lie apart against the usual move: 2.3 and more is clear
    beats_random:    both chance and clearness say so; None where there is too little to say
    label:           the verdict in words
    """

    horizon: int
    advice: Advice
    fee: float
    firings: int
    apart: int
    hit_rate: float | None
    usual_hit_rate: float | None
    mean: float | None
    median: float | None
    holding: float | None
    mean_after_fees: float | None
    chance: float | None
    clearness: float | None
    beats_random: bool | None
    label: str


class Track(msgspec.Struct, frozen=True, eq=False):
    """One pair along k moments that all tracks of a rule share.

    moves: k moves after each moment, NaN where not known
    fired: the moments at which the rule fired, as indices, ascending
    exact: the moves after the firings, where they are known better than by `moves`; all of them finite
    """

    moves: Floats
    fired: Ints
    exact: Floats | None = None


def moves_after(times: Ints, prices: Floats, at: Ints, *, horizon: int, tolerance: int) -> Floats:
    """The move from each time in `at` to one horizon (ms) later; NaN where that lies beyond the data.

    times, prices: n observations of one pair, epoch ms ascending
    tolerance: the price at a time is the last one at or before it, if that is at most so old (ms); after a horizon
               it may not be older than a quarter of the horizon either
    """
    before = prices if at is times else price_at(times, prices, at, tolerance)
    later = price_at(times, prices, at + horizon, min(tolerance, horizon // _OLDEST))
    known = at + horizon <= (times[-1] if len(times) else -1)
    moves: Floats = np.where(known, later / before - 1, np.nan)
    return moves


def price_at(times: Ints, prices: Floats, at: Ints, tolerance: int) -> Floats:
    """The last price at or before each time; NaN where there is none, or only an older one than the tolerance."""
    if not len(times):
        return np.full(len(at), np.nan)
    found = _last_at(times, at)
    current = (found >= 0) & (at - times[found] <= tolerance)
    return np.where(current, prices[found], np.nan)


def _last_at(times: Ints, at: Ints) -> Ints:
    """The last of the times at or before each of `at`, ascending; -1 where there is none.

    Where observations come at regular times (candles) and all of them are asked for, it lies always as many places
    on. So that is tried first, and what does not fit is searched for.
    """
    n = len(times)
    ahead = int(np.searchsorted(times, at[0], side="right")) - 1 if len(at) == n else n
    if not 0 <= ahead < n:
        return np.searchsorted(times, at, side="right") - 1
    fits = np.empty(n, np.bool_)
    inside = n - 1 - ahead  # of those before have a time after the one that is tried
    fits[:inside] = (times[ahead:-1] <= at[:inside]) & (at[:inside] < times[ahead + 1 :])
    fits[inside:] = at[inside:] >= times[-1]
    found = np.arange(ahead, n + ahead)
    found[inside:] = n - 1
    others = np.flatnonzero(~fits)
    found[others] = np.searchsorted(times, at[others], side="right") - 1
    return found


def after_fees(moves: Floats, advice: Advice, fee: float) -> Floats:
    """What following the advice with one unit of money gave: bought and sold again after the move, or sold and
    bought back. The fee (a fraction) is paid on both. `info` advises nothing: its moves stay as they are."""
    if advice == "info":
        return moves
    return (moves if advice == "buy" else -moves) - fee * (2 + moves)


def score(
    times: Ints, prices: Floats, fired: Ints, *, advice: Advice, horizon: int, tolerance: int, fee: float = FEE
) -> Score:
    """The score of the firings (epoch ms) of a rule on one pair. See `moves_after` for the rest."""
    moves = moves_after(times, prices, times, horizon=horizon, tolerance=tolerance)
    rows = np.searchsorted(times, np.sort(fired), side="right") - 1
    current = (rows >= 0) & (np.sort(fired) - times[rows] <= tolerance) if len(times) else rows >= 0
    return judge(times, [Track(moves, rows[current])], advice=advice, horizon=horizon, fee=fee)


def judge(moments: Ints, tracks: Sequence[Track], *, advice: Advice, horizon: int, fee: float = FEE) -> Score:
    """The score of a rule on any number of pairs. All patterns are shifted together, because coins move together:
    a hundred that fall in one hour are not a hundred independent signals.

    moments: k times, epoch ms ascending
    """
    seen = [_Seen(moments, track, advice, fee) for track in tracks]
    moves, gains, at = (_together([getattr(each, name) for each in seen]) for name in ("moves", "gains", "at"))
    apart = _apart(at, _together([each.above for each in seen]), horizon)
    advised = advice != "info"
    enough = advised and len(apart) >= FEWEST and _span(moments, tracks) >= SHORTEST * horizon
    chance = _chance(seen, float(gains.mean())) if enough else None
    clearness = _clearness(apart) if enough else None
    beats = None if chance is None or clearness is None else chance <= CHANCE and clearness >= _CLEAR
    scored = Score(
        horizon=horizon,
        advice=advice,
        fee=fee,
        firings=len(moves),
        apart=len(apart),
        hit_rate=_mean(gains > 0) if advised else None,
        usual_hit_rate=_usual(seen, [each.worth > 0 for each in seen]) if advised else None,
        mean=_mean(moves),
        median=float(np.median(moves)) if len(moves) else None,
        holding=_usual(seen, [track.moves for track in tracks]),
        mean_after_fees=_mean(gains) if advised else None,
        chance=chance,
        clearness=clearness,
        beats_random=beats,
        label="",
    )
    return msgspec.structs.replace(scored, label=_label(scored))


class _Seen:
    """A track, and what of it can be judged.

    worth: k moves after fees · known: which of them are known · rows: of the firings with a known move
    moves, gains: before and after fees, of these firings · at: when they were · above: gains over the usual one
    """

    def __init__(self, moments: Ints, track: Track, advice: Advice, fee: float) -> None:
        self.worth = after_fees(track.moves, advice, fee)
        self.known = ~np.isnan(track.moves)
        exact = track.moves[track.fired] if track.exact is None else track.exact
        judged = ~np.isnan(exact)
        self.rows, self.moves = track.fired[judged], exact[judged]
        self.gains = after_fees(self.moves, advice, fee)
        self.at = moments[self.rows]
        self.above = self.gains - (self.worth[self.known].mean() if self.known.any() else 0.0)


def _label(scored: Score) -> str:
    """The verdict in words."""
    count = f"{scored.firings} firing{'s' if scored.firings != 1 else ''}"
    if not scored.firings:
        return "no firings to judge"
    if scored.advice == "info":
        return f"{count}, without advice to judge"
    if scored.beats_random is None and scored.apart < FEWEST:
        return f"{count}, too few to say"
    if scored.beats_random is None:
        needed = show_duration(SHORTEST * scored.horizon)
        return f"{count}, on a stretch too short to say: it takes {needed}"
    if not scored.beats_random:
        return "does not beat random moments"
    lost = scored.mean_after_fees is not None and scored.mean_after_fees <= 0
    return f"beat random moments on this stretch{', but lost after fees' if lost else ''}"


def _span(moments: Ints, tracks: Sequence[Track]) -> int:
    """From the first moment with a known move to the last, ms."""
    known = _any_known([~np.isnan(track.moves) for track in tracks])
    return int(moments[known[-1]] - moments[known[0]]) if len(known) else 0


def _any_known(known: Sequence[Bools]) -> Ints:
    """The moments at which any track knows its move."""
    return np.flatnonzero(np.logical_or.reduce(known)) if known else np.zeros(0, np.int64)


def _usual(seen: Sequence[_Seen], columns: Sequence[Floats | Bools]) -> float | None:
    """The mean of a column over all moments with a known move. A pair counts as often as the rule fired for it, as
    it does wherever the pattern is shifted to."""
    known = [(float(column[each.known].mean()), len(each.rows), int(each.known.sum()))
             for each, column in zip(seen, columns, strict=True) if each.known.any()]  # fmt: skip
    fired = any(firings for _, firings, _ in known)
    weighed = [(mean, firings if fired else moments) for mean, firings, moments in known]
    total = sum(weight for _, weight in weighed)
    return math.fsum(mean * weight for mean, weight in weighed) / total if total else None


def _apart(at: Ints, above: Floats, horizon: int) -> Floats:
    """What firings were worth above the usual, of those that lie a horizon apart: the first, the first that is at
    least a horizon later, and so on. Those at the same moment, of different pairs, count as one: their mean."""
    moments, place = np.unique(at, return_inverse=True)
    means = np.bincount(place, above) / np.bincount(place) if len(at) else above
    chosen, free = [], -math.inf
    for number, time in enumerate(moments.tolist()):
        if time >= free:
            chosen.append(number)
            free = time + horizon
    return means[chosen]


def _clearness(above: Floats) -> float:
    """Student's t: the mean in units of its own error. 0 where nothing differs."""
    error = float(above.std(ddof=1)) / math.sqrt(len(above))
    return float(above.mean()) / error if error else 0.0


def _chance(seen: Sequence[_Seen], found: float) -> float:
    """The share of all shifts of the pattern, none included, whose mean is at least what was found."""
    used = _any_known([each.known for each in seen])
    stretch = slice(int(used[0]), int(used[-1]) + 1)
    k = stretch.stop - stretch.start
    whole = all(each.known[stretch].all() for each in seen if len(each.rows))
    firings = sum(len(each.rows) for each in seen)
    shifted = _added if firings <= FEW else _correlated
    patterns = [
        each.rows[(stretch.start <= each.rows) & (each.rows < stretch.stop)] - stretch.start for each in seen
    ]
    sums = shifted(patterns, [np.where(each.known, each.worth, 0.0)[stretch] for each in seen])
    there = np.full(k, float(firings))
    if not whole:
        there = np.round(shifted(patterns, [each.known[stretch].astype(np.float64) for each in seen]))
    # Where most of the pattern falls on moments without a known move there is nothing to compare with.
    compared = 2 * there >= firings
    means = sums[compared] / there[compared]
    slack = 1e-9 * max(float(np.abs(each.worth[each.known]).max(initial=0)) for each in seen)
    return max(float(np.mean(means >= found - slack)), 1 / k)


def _added(patterns: Sequence[Ints], columns: Sequence[Floats]) -> Floats:
    """For each of the k shifts of all patterns together: the sum of what they fall on, each in its own column of
    k, round its end to its beginning. One addition of columns for each firing."""
    sums = np.zeros(len(columns[0]))
    for pattern, column in zip(patterns, columns, strict=True):
        for row in pattern.tolist():
            sums[: len(sums) - row] += column[row:]
            sums[len(sums) - row :] += column[:row]
    return sums


def _correlated(patterns: Sequence[Ints], columns: Sequence[Floats]) -> Floats:
    """The same for many firings: the sums of all shifts are one circular correlation, which the Fourier transform
    gives at once."""
    k = len(columns[0])
    size = _fast_size(2 * k)
    sums = np.zeros(size // 2 + 1, np.complex128)
    for pattern, column in zip(patterns, columns, strict=True):
        if len(pattern):
            turned = np.conj(np.fft.rfft(np.bincount(pattern, minlength=k).astype(np.float64), size))
            sums += turned * _twice(column, size)
    return np.fft.irfft(sums, size)[:k]


def _twice(column: Floats, size: int) -> NDArray[np.complex128]:
    """The transform of a column that begins anew after its end."""
    return np.fft.rfft(np.concatenate([column, column]), size)


def _fast_size(least: int) -> int:
    """The smallest length from `least` on that transforms quickly."""
    return min(factor << max(0, math.ceil(math.log2(least / factor))) for factor in (1, 3, 5))


def _together(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(columns) if columns else np.zeros(0)


def _mean(column: Floats | Bools) -> float | None:
    return float(column.mean()) if len(column) else None
