"""A rule held against one pair's past: what of it the rule would have seen, and whether that says anything.

What the data is too coarse or too short for is *unknown*, which is not "would not have fired" (promise 8).
"""

from __future__ import annotations

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.line import Line, line_of
from cryptowatcher.domain.intervals import MS, show_duration
from cryptowatcher.domain.rules.language import language
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.series import OnePair
from cryptowatcher.domain.rules.tree import And, Call, Comparison, Condition, Expression, Not, Number, Or, calls
from cryptowatcher.domain.ticks import Floats, TickBatch

WEEK = 7 * MS["d"]


class Extremes(msgspec.Struct, frozen=True, eq=False):
    """The highest and lowest prices of the candles whose closes a batch holds, n of each."""

    high: Floats
    low: Floats


class History(msgspec.Struct, frozen=True, eq=False):
    """What is looked back on.

    batch:    observations of the pair, and of others that its rule looks at
    candles:  how long the candles are that they are the closes of, ms; 0 for observations as they came
    extremes: of these candles, where known: then a plain price threshold that was touched inside one is found
    traded:   what was traded in each of these candles, where known
    """

    batch: TickBatch
    candles: int = 0
    extremes: Extremes | None = None
    traded: Floats | None = None


class Hindsight:
    """A rule and one pair's past.

    condition: of the rule
    line:      the pair's observations
    begin:     the first row of the line at which it can fire
    weeks:     of observed time from there
    touches:   whether the rule is run over the extremes of candles too
    warm_up:   how much of the past must have been watched before the rule can fire, ms
    unknown:   why nothing can be said; empty when something can
    """

    def __init__(self, rule: Rule, history: History, pair: str) -> None:
        """The rule counts for this pair, whichever it names, and whether it is paused or over. It does not tell
        that something is over. Its spec has passed check_spec."""
        spec = msgspec.structs.replace(rule.spec, pairs=(pair,), paused=False, expires="", resolved=False)
        self.rule = msgspec.structs.replace(rule, spec=spec)
        self.history = history
        self.condition = language().parse(spec.when)
        closes = OnePair(history.batch, pair, traded=history.traded)
        self.line = closes.line or _nothing_of(pair)
        self.warm_up = silent_for(self.condition)
        self.begin = (
            int(np.searchsorted(self.line.time, self.line.time[:1] + self.warm_up)[0]) if len(self.line) else 0
        )
        self.weeks = observed(self.line, self.begin) / WEEK
        self.unknown = self._why_unknown() or too_coarse(self.condition, history.candles)
        self.touches = history.extremes is not None and len(self.line) > 0 and self._is_plain_price()
        self._seen = OnePair(self._with_touches(), pair) if self.touches else closes

    def alerts(self, when: str | None = None) -> list[Alert]:
        """What it would have said; with another condition, if one is given."""
        spec = msgspec.structs.replace(self.rule.spec, when=when or self.rule.spec.when)
        return self._seen.alerts(msgspec.structs.replace(self.rule, spec=spec))

    def number(self, expression: Expression) -> Floats:
        """The values that the rule is run over."""
        return self._seen.number(expression)

    def never_known(self) -> str:
        """Why it is not known that it would have been silent, where it was. Empty where that is known."""
        never = [str(call) for call in dict.fromkeys(calls(self.condition)) if not self.known(call)]
        return f"{' and '.join(never)} {'was' if len(never) == 1 else 'were'} never known here" if never else ""

    def known(self, call: Call) -> float:
        """At which share of what could be judged it was known."""
        judged = self._seen.number(call)[self.begin :]
        return float(np.mean(~np.isnan(judged))) if len(judged) else 0.0

    def threshold(self) -> tuple[Comparison, Number] | None:
        """The one comparison with a number that the condition consists of."""
        return threshold_of(self.condition)

    def _is_plain_price(self) -> bool:
        """Whether it compares the pair's own price with a number."""
        found = self.threshold()
        return found is not None and found[0].left == Call("price")

    def _why_unknown(self) -> str:
        features = [(call, catalogue()[call.name]) for call in calls(self.condition)]
        needed = {other for call, function in features for other in function.reads(call.args)}
        needed -= {*self.history.batch.pairs}
        if not len(self.line) or needed:
            return f"there are no prices of {', '.join(sorted(needed)) or self.line.pair}"
        if len(self.line) < 2:
            return f"there is one price of {self.line.pair}"
        for call, function in features:
            if function.series is None:
                return f"{call} cannot be told from the prices of one pair"
        if len(self.line) - self.begin < 2:
            there = show_duration(stretch(self.line))
            return f"it takes {show_duration(self.warm_up)} before it can be known, and there are {there}"
        return ""

    def _with_touches(self) -> TickBatch:
        """A candle as three observations: its extremes at a third and two thirds of it, then its close. Which
        extreme came first is not known; the one away from where it closed is taken to be the first."""
        batch, extremes, pair = self.history.batch, self.history.extremes, self.line.pair
        rows = np.flatnonzero(batch.pair == batch.pairs.index(pair))
        close, ends, third = batch.price[rows], batch.observed_at[rows], self.history.candles // 3
        high, low = (extremes.high[rows], extremes.low[rows]) if extremes else (close, close)
        rose = close >= np.concatenate([close[:1], close[:-1]])
        prices = np.stack([np.where(rose, low, high), np.where(rose, high, low), close], axis=1).ravel()
        n = len(prices)
        return msgspec.structs.replace(
            batch,
            pairs=(pair,),
            pair=np.zeros(n, np.int64),
            price=prices,
            volume=np.full(n, np.nan),
            market_cap=np.full(n, np.nan),
            observed_at=np.stack([ends - 2 * third, ends - third, ends], axis=1).ravel(),
            starts=np.arange(n),
        )


def _nothing_of(pair: str) -> Line:
    return line_of(pair, time=np.zeros(0, np.int64), price=np.zeros(0), valid_for=0)


def threshold_of(condition: Condition) -> tuple[Comparison, Number] | None:
    """The one comparison with a number that a condition consists of."""
    if isinstance(condition, Comparison) and isinstance(condition.right, Number):
        return condition, condition.right
    return None


def looks_back(condition: Condition) -> int:
    """How much of the past it may look at, ms."""
    return max((catalogue()[call.name].needs(call.args) for call in calls(condition)), default=0)


def silent_for(condition: Condition, *, negated: bool = False) -> int:
    """How much of the past must have been watched before it can fire, ms: of several parts of which one is enough,
    the first that is known may do it."""
    match condition:
        case Not():
            return silent_for(condition.of, negated=not negated)
        case And() | Or():
            enough = min if isinstance(condition, Or) != negated else max
            return enough(silent_for(part, negated=negated) for part in condition.parts)
        case _:
            return looks_back(condition)


def stretch(line: Line) -> int:
    """From the first observation to the last, ms."""
    return int(line.time[-1] - line.time[0]) if len(line) else 0


def observed(line: Line, begin: int = 0) -> int:
    """How much of the time from a row on lies between observations no further apart than they stay valid, ms."""
    return int(line.clock[-1] - line.clock[begin]) if begin < len(line) else 0


def too_coarse(condition: Condition, candle: int) -> str:
    """Why candles of this length (ms) say nothing about it. Empty when they do, or when there are none."""
    for call in calls(condition):
        function = catalogue()[call.name]
        for parameter, arg in zip(function.parameters, call.args, strict=True):
            if not isinstance(arg, int) or parameter.kind not in ("window", "interval"):
                continue
            # What was traded within a window is told by one candle; a move is not.
            if (parameter.kind == "interval" or function.unit == "money") and arg < candle:
                return f"{call} cannot be judged on candles of {show_duration(candle)}: it takes finer ones"
            if parameter.kind == "window" and function.unit != "money" and arg < 2 * candle:
                return f"{call} cannot be judged on candles of {show_duration(candle)}: its window must hold two"
    return ""
