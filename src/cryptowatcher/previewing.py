"""Trying a rule on what is stored: which candles are read, how, and what is made of them.

Reading is cut into slices, so that a long one keeps nobody waiting who asks the same store for a little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from cryptowatcher.domain.candles import CandleColumns
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.hindsight import Extremes, History, looks_back, too_coarse
from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.preview import Preview, preview
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec, rule_id
from cryptowatcher.domain.rules.tree import Condition, calls
from cryptowatcher.domain.rules.words import say
from cryptowatcher.domain.scoring import FEE
from cryptowatcher.domain.suggestion import Suggestion, suggest_threshold
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.ports import Store, Tx

SLICE = 2_500
"""Candles read in one transaction: some milliseconds."""
MOST = 200_000
"""Candles of a pair that are looked at: 138 days of minutes, or 694 days of 5 minutes."""
LEAST_VALID = 5 * MS["m"]
"""ms for which a candle's close stays valid at least: so it is while a source is watched, too."""
VALID_INTERVALS = 3
_LOST = 20
"""Finer candles are taken as long as they lack no more of the stretch than this part of it."""

Progress = Callable[[int, int], None]
"""Told how much is done, of how much."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and what it would have done.

    words:      the rule in plain words
    candles:    how long those are that it was run over, ms
    suggestion: a constant for a wished number of alerts a week, where one was wished for
    """

    words: str
    candles: int
    preview: Preview
    suggestion: Suggestion | None = None


def try_rule(
    spec: RuleSpec,
    history: History,
    pair: str,
    *,
    fee: float = FEE,
    a_week: float | None = None,
    progress: Progress | None = None,
) -> Trial:
    """The rule on this pair, whichever it names. It takes a while: a tenth of a second for 90 days of minutes, and
    some seconds where a constant is wished for. ConfigError for a rule that is wrong."""
    check_spec(spec)
    rule = rule_on(spec, pair)
    return Trial(
        words=say(rule.spec),
        candles=history.candles,
        preview=preview(rule, history, pair, fee=fee),
        suggestion=None if a_week is None else suggest_threshold(rule, history, pair, a_week, progress=progress),
    )


def rule_on(spec: RuleSpec, pair: str) -> Rule:
    """The rule on this pair alone, and not paused."""
    spec = msgspec.structs.replace(spec, pairs=(pair,), paused=False)
    return Rule(id=rule_id(LOCAL_OWNER, spec.name), owner=LOCAL_OWNER, version=1, spec=spec)


def pairs_needed(condition: Condition, pair: str) -> tuple[str, ...]:
    """The pair, and those that the condition looks at besides."""
    others = (other for call in calls(condition) for other in catalogue()[call.name].reads(call.args))
    return tuple(dict.fromkeys([pair, *others]))


async def stored_history(
    store: Store, condition: Condition, pair: str, *, since: int, now: int, progress: Progress | None = None
) -> History:
    """What is stored of the pair from `since` ms before `now` on, and from so long before that the condition can
    be known by then. Empty where nothing is stored.

    It is told by the finest candles that reach back as far as any do and are not too coarse for the condition.
    """
    pairs = pairs_needed(condition, pair)
    begin = now - since - looks_back(condition)
    fine_enough = [each for each in INTERVALS.values() if not too_coarse(condition, each)]
    reach = await store.run(lambda tx: _reach(tx, pairs, fine_enough or [*INTERVALS.values()], begin, now))
    if not reach:
        return History(_batch({}, LEAST_VALID))
    # Of its first candle only the end is sure: a long one begins before anything was observed.
    ends = {interval: start + interval for interval, start in reach.items()}
    oldest = min(ends.values())
    interval = next(each for each, end in ends.items() if (end - oldest) * _LOST <= max(0, now - oldest))
    start = reach[interval]
    columns: dict[str, CandleColumns] = {}
    for number, name in enumerate(pairs):

        def told(done: int, of: int, number: int = number) -> None:
            if progress is not None:
                progress(number * of + done, len(pairs) * of)

        columns[name] = await read_candles(store, name, interval, start=start, end=now, progress=told)
    extremes = Extremes(columns[pair].high, columns[pair].low) if len(pairs) == 1 else None
    return History(closes_of(columns, interval), candles=interval, extremes=extremes)


async def read_candles(
    store: Store, pair: str, interval: int, *, start: int, end: int, progress: Progress | None = None
) -> CandleColumns:
    """The stored candles with start <= candle.start < end, a slice at a time."""
    steps = range(start, end, SLICE * interval)
    parts = []
    for step, first in enumerate(steps, 1):
        parts.append(await store.run(_slice(pair, interval, first, min(first + steps.step, end))))
        if progress is not None:
            progress(step, len(steps))
    return _joined(parts)


def closes_of(columns: Mapping[str, CandleColumns], interval: int) -> TickBatch:
    """The closes of these pairs' candles as observations, made at the candles' ends."""
    closed = {name: msgspec.structs.replace(each, start=each.start + interval) for name, each in columns.items()}
    return _batch(closed, max(LEAST_VALID, VALID_INTERVALS * interval))


def _reach(tx: Tx, pairs: Sequence[str], intervals: Sequence[int], begin: int, now: int) -> dict[int, int]:
    """Interval → from when on there are candles of all of these pairs, the finest first."""
    found = {}
    for interval in intervals:
        first = max(begin, now - MOST * interval)
        oldest = [tx.oldest_candle(pair, interval, start=first) for pair in pairs]
        there = [start for start in oldest if start is not None and start < now]
        if len(there) == len(pairs):
            found[interval] = max(there)
    return found


def _slice(pair: str, interval: int, start: int, end: int) -> Callable[[Tx], CandleColumns]:
    return lambda tx: tx.candle_columns(pair, interval, start=start, end=end)


def _joined(parts: Sequence[CandleColumns]) -> CandleColumns:
    if not parts:
        return CandleColumns(np.zeros(0, np.int64), *(np.zeros(0) for _ in range(4)))
    columns = zip(*(msgspec.structs.astuple(part) for part in parts), strict=True)
    return CandleColumns(*map(np.concatenate, columns))


def _batch(ends: Mapping[str, CandleColumns], valid_for: int) -> TickBatch:
    """Closes as observations at the times in `start`, an instant for each time."""
    times = np.concatenate([np.zeros(0, np.int64), *(each.start for each in ends.values())])
    code = np.repeat(np.arange(len(ends)), [len(each) for each in ends.values()])
    order = np.lexsort((code, times)) if len(ends) > 1 else np.arange(len(times))
    at = times[order]
    return TickBatch(
        source="history",
        pairs=tuple(ends),
        pair=code[order],
        price=np.concatenate([np.zeros(0), *(each.close for each in ends.values())])[order],
        volume=np.concatenate([np.zeros(0), *(each.volume_24h for each in ends.values())])[order],
        market_cap=np.full(len(at), np.nan),
        observed_at=at,
        starts=np.flatnonzero(np.diff(at, prepend=at[:1] - 1)),
        received_at=int(at.max(initial=0)),
        valid_for=valid_for,
    )
