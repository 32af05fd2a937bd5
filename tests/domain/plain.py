"""What a condition says, as plain as it can be said: every value is found by scanning all that was ever observed.

Unknown is None. A truth is True, False or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.rules.tree import (
    And,
    Apply,
    Arithmetic,
    Call,
    Comparison,
    Condition,
    Expression,
    Negative,
    Not,
    Number,
    Operator,
    Or,
    calls,
)

HOUR = 3_600_000
DAY = 24 * HOUR
SLACK = 1e-12


@dataclass(frozen=True)
class Seen:
    """One accepted observation of a pair. `at`: when it was written down, by journal time without clock steps;
    `awake`: for how long the watcher had been awake then, ms."""

    time: int
    price: float
    volume: float
    market_cap: float
    valid_for: int
    at: int
    instant: int
    source: str
    received_at: int
    awake: int


@dataclass
class World:
    """All that was observed of each pair, in order; the time, and for how long the watcher was awake, ms."""

    seen: dict[str, list[Seen]] = field(default_factory=dict)
    now: int = 0
    awake: int = 0


# --- features --------------------------------------------------------------------------------------


def value_of(node: Expression, pair: str, world: World) -> float | None:
    """An expression for a pair, after all that was observed. What is not finite is unknown."""
    match node:
        case Number():
            return node.value
        case Call():
            return _known(feature(node, pair, world))
        case Negative():
            value = value_of(node.of, pair, world)
            return None if value is None else -value
        case Apply():
            values = [value_of(arg, pair, world) for arg in node.args]
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                return None
            return abs(known[0]) if node.name == "abs" else min(known) if node.name == "min" else max(known)
        case Arithmetic():
            left, right = value_of(node.left, pair, world), value_of(node.right, pair, world)
            return None if left is None or right is None else _known(_calculated(node.op, left, right))


def _calculated(op: str, left: float, right: float) -> float:
    if op == "+":
        return left + right
    if op == "-":
        return left - right
    if op == "*":
        return left * right
    return left / right if right else math.nan


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def feature(call: Call, pair: str, world: World) -> float | None:
    """A feature after the last observation of a pair."""
    past = world.seen[pair]
    newest = past[-1]
    match call.name, call.args:
        case "price", _:
            return newest.price
        case "market_cap", _:
            return newest.market_cap
        case "age", _:
            return float(world.now - newest.at)
        case "change_since" | "change_since_alert", (float(since),):
            return (newest.price - since) / since
        case "ratio", (str(other),):
            return _ratio(newest, world.seen.get(other, []))
        case "rank", _:
            return rank_of(pair, world)
        case "change", (int(window),):
            reference = reference_of(past, window)
            return None if reference is None else (newest.price - reference.price) / reference.price
        case (("high" | "low" | "range" | "drawdown" | "rally"), (int(window),)):
            return _of_extremes(call.name, past, window)
        case _:
            return _by_series(call, pair, world)


def reference_of(past: list[Seen], window: int) -> Seen | None:
    """The last observation at or before E = g·floor(t/g) − w, if it was current at E."""
    newest = past[-1]
    end = newest.time // grid(window) * grid(window) - window
    earlier = [seen for seen in past if seen.time <= end]
    if not earlier or end - earlier[-1].time > newest.valid_for:
        return None
    return earlier[-1]


def grid(window: int) -> int:
    """1 s up to 2 h, 5 min up to 48 h, 1 h up to 30 d, 1 d beyond."""
    if window <= 2 * HOUR:
        return 1_000
    if window <= 48 * HOUR:
        return 300_000
    if window <= 30 * DAY:
        return HOUR
    return DAY


def _of_extremes(name: str, past: list[Seen], window: int) -> float | None:
    """Known where nine tenths of the time since the reference were observed."""
    reference = reference_of(past, window)
    if reference is None:
        return None
    after = past[past.index(reference) + 1 :]
    if 10 * observed_time([reference, *after]) < 9 * (past[-1].time - reference.time):
        return None
    price = past[-1].price
    high, low = max(seen.price for seen in after), min(seen.price for seen in after)
    return {
        "high": high,
        "low": low,
        "range": (high - low) / low,
        "drawdown": (high - price) / high,
        "rally": (price - low) / low,
    }[name]


def observed_time(past: list[Seen]) -> int:
    """How long it was really observed: between observations that followed while the last was valid."""
    gaps = [(later.time - seen.time, seen.valid_for) for seen, later in pairwise(past)]
    return sum(gap for gap, valid_for in gaps if gap <= valid_for)


def _ratio(newest: Seen, others: list[Seen]) -> float | None:
    """By the newest price of the other pair, if that is current at the time of this one."""
    if not others or newest.time - others[-1].time > others[-1].valid_for:
        return None
    return newest.price / others[-1].price


def rank_of(pair: str, world: World) -> int | None:
    """1 + how many pairs of its currency are larger, by what was last said of each. Of one that is not current
    nobody knows where it stands now; after a day that the watcher was awake it does not count any more."""
    own = world.seen[pair][-1].market_cap
    if math.isnan(own):
        return None
    larger = 0
    for other, past in world.seen.items():
        said = next((seen for seen in reversed(past) if not math.isnan(seen.market_cap)), None)
        if said is None or said.market_cap <= own or other.split("/")[1] != pair.split("/")[1]:
            continue
        silent = world.awake - said.awake
        if silent <= said.valid_for:
            larger += 1
        elif silent <= DAY:
            return None
    return 1 + larger


def _by_series(call: Call, pair: str, world: World) -> float | None:
    """What has tests of its own: the last value of the series over all that was observed."""
    series = catalogue()[call.name].series
    assert series is not None, f"{call} is said nowhere"
    return float(series(line_of(pair, world), call.args)[-1])


def line_of(pair: str, world: World) -> Line:
    """All observations of a pair as columns."""
    past = world.seen[pair]
    times = np.array([seen.time for seen in past], np.int64)
    return Line(
        pair=pair,
        seq=np.array([seen.instant for seen in past], np.int64),
        time=times,
        price=np.array([seen.price for seen in past]),
        volume=np.array([seen.volume for seen in past]),
        market_cap=np.array([seen.market_cap for seen in past]),
        clock=np.array([observed_time(past[: end + 1]) for end in range(len(past))], np.int64),
        valid_for=past[-1].valid_for,
        traded=np.full(len(past), np.nan),
    )


# --- comparisons -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Looked:
    """A comparison as it is judged: a number against a constant. `text`: with each `not` before it carried out.
    `since`: the price from which the number, which is the price then, is said as a change."""

    text: str
    op: Operator
    number: Expression
    constant: float
    slack: float
    since: float | None = None

    def said(self, value: float) -> float:
        """The number as the comparison means it."""
        return value if self.since is None else (value - self.since) / self.since

    @property
    def rises(self) -> bool:
        """Whether it becomes true by the number going up."""
        return self.op in (">", ">=", "crosses above")

    def true(self, value: float | None, *, band: float = 0.0) -> bool | None:
        """Whether it holds; with a band, whether it still holds when its constant is so much further back."""
        if value is None:
            return None
        value = self.said(value)
        back = abs(self.constant) * band
        constant = self.constant - back if self.rises else self.constant + back
        if self.op in (">=", "crosses above"):
            return value >= constant - self.slack
        if self.op in ("<=", "crosses below"):
            return value <= constant + self.slack
        if self.op == ">":
            return value > constant + self.slack
        return value < constant - self.slack


@cache
def looked(comparison: Comparison) -> Looked:
    """The number and the constant of a comparison."""
    number, constant = _sides(comparison)
    percent = isinstance(comparison.right, Number) and comparison.right.percent
    slack = SLACK if percent or is_share(number) else 0.0
    if isinstance(number, Call) and number.name == "change_since_alert":
        (since,) = number.args
        assert isinstance(since, float)
        return Looked(str(comparison), comparison.op, Call("price"), constant, slack, since)
    return Looked(str(comparison), comparison.op, number, constant, slack)


def _sides(comparison: Comparison) -> tuple[Expression, float]:
    left, right = comparison.left, comparison.right
    if constant_of(right) is not None:
        return _without_addends(left, constant_of(right) or 0.0)
    factor = 1.0
    if isinstance(right, Arithmetic) and right.op == "*":
        for one, other in ((right.left, right.right), (right.right, right.left)):
            if constant_of(one) is not None:
                factor, right = constant_of(one) or 0.0, other
                break
    if factor > 0 and not can_be_negative(right):
        return Arithmetic("/", left, right), factor
    return Arithmetic("-", left, comparison.right), 0.0


def _without_addends(left: Expression, constant: float) -> tuple[Expression, float]:
    """`x + 5 > 7` is `x > 2`."""
    if isinstance(left, Arithmetic) and left.op in "+-":
        addend = constant_of(left.right)
        if addend is not None:
            return _without_addends(left.left, constant - addend if left.op == "+" else constant + addend)
    return left, constant


def constant_of(node: Expression) -> float | None:
    """The value of an expression without features."""
    return None if [*calls(node)] else value_of(node, "", World())


def can_be_negative(node: Expression) -> bool:
    """Of a number, whether it can be below 0."""
    match node:
        case Number():
            return node.value < 0
        case Call():
            return not catalogue()[node.name].never_negative
        case Apply():
            return node.name != "abs" and any(map(can_be_negative, node.args))
        case Arithmetic():
            return node.op == "-" or can_be_negative(node.left) or can_be_negative(node.right)
        case _:
            return True


def is_share(node: Expression) -> bool:
    """Whether a number is a share of something: what people write in percent."""
    match node:
        case Call():
            return catalogue()[node.name].unit == "fraction"
        case Negative():
            return is_share(node.of)
        case Apply():
            return any(map(is_share, node.args))
        case Arithmetic(op="+" | "-"):
            return is_share(node.left) or is_share(node.right)
        case Arithmetic(op="*"):
            return is_share(node.left) != is_share(node.right)
        case Arithmetic():
            return is_share(node.left) and not is_share(node.right)
        case _:
            return False


# --- conditions ------------------------------------------------------------------------------------

OPPOSITE: dict[Operator, Operator] = {"<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def after_alert(condition: Condition, price: float) -> Condition:
    """The condition of a rule that told at this price: what counts from the last alert counts from there."""
    match condition:
        case Not():
            return Not(after_alert(condition.of, price))
        case And():
            return And(tuple(after_alert(part, price) for part in condition.parts))
        case Or():
            return Or(tuple(after_alert(part, price) for part in condition.parts))
        case _:
            return Comparison(condition.op, _moved(condition.left, price), condition.right)


def _moved(node: Expression, price: float) -> Expression:
    match node:
        case Call(name="change_since_alert"):
            return Call(node.name, (price,))
        case Apply(name="abs", args=(one,)):
            return Apply("abs", (_moved(one, price),))
        case _:
            return node


def spread(condition: Condition) -> Condition:
    """A change since the last alert that is as large in one way or the other, as two comparisons."""
    match condition:
        case Not():
            return Not(spread(condition.of))
        case And():
            return And(tuple(spread(part) for part in condition.parts))
        case Or():
            return Or(tuple(spread(part) for part in condition.parts))
        case Comparison(op, Apply("abs", (Call(name="change_since_alert") as change,)), right):
            down = Number(0.0 - (constant_of(right) or 0.0), percent=True)
            ways = (Comparison(op, change, right), Comparison(_MIRRORED[op], change, down))
            return Or(ways) if op in (">", ">=") else And(ways)
        case _:
            return condition


_MIRRORED: dict[Operator, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def leaves(condition: Condition, *, denied: bool = False) -> Iterator[Looked]:
    """The comparisons from left to right; those that are denied as what they come to."""
    match condition:
        case Comparison() if denied:
            yield looked(Comparison(OPPOSITE[condition.op], condition.left, condition.right))
        case Comparison():
            yield looked(condition)
        case Not():
            yield from leaves(condition.of, denied=not denied)
        case _:
            for part in condition.parts:
                yield from leaves(part, denied=denied)


def truth(
    condition: Condition, of: Callable[[Comparison, bool], bool | None], *, denied: bool = False
) -> bool | None:
    """`of` says whether a comparison holds as it is written, and is told whether the condition denies it."""
    match condition:
        case Comparison():
            return of(condition, denied)
        case Not():
            answer = truth(condition.of, of, denied=not denied)
            return None if answer is None else not answer
        case _:
            answers = [truth(part, of, denied=denied) for part in condition.parts]
            decides = isinstance(condition, Or)  # one that is true makes `or` true, one that is false `and` false
            if decides in answers:
                return decides
            return None if None in answers else not decides


def holds(condition: Condition, pair: str, world: World) -> bool | None:
    """Whether a condition holds now; a crossing does while its number is on that side."""
    return truth(condition, lambda each, denied: _holds(each, pair, world))


def still_holds(condition: Condition, band: float, pair: str, world: World) -> bool | None:
    """The same with every constant a band further back: on the side where the whole is easier to meet."""
    return truth(condition, lambda each, denied: _holds(each, pair, world, band=-band if denied else band))


def _holds(comparison: Comparison, pair: str, world: World, *, band: float = 0.0) -> bool | None:
    it = looked(comparison)
    return it.true(value_of(it.number, pair, world), band=band)
