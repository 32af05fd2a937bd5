"""Conditions that can never turn true, because they never are true or always are: `rsi(14, 1h) > 100`,
`price - price > 0`, `price > 5 and price < 3`.

Told by the values that each function can have at all. It is said where a rule is saved; rules that are stored
already are not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Literal

from cryptowatcher.domain.features.bounds import (
    ANYTHING,
    NOT_NEGATIVE,
    Bounds,
    exactly,
    inverse,
    largest,
    negated,
    size,
    smallest,
    times,
    total,
)
from cryptowatcher.domain.rules.tree import (
    And,
    Apply,
    Arithmetic,
    Call,
    Comparison,
    Condition,
    Expression,
    Functions,
    Negative,
    Not,
    Number,
    Operator,
    Or,
    show,
    show_number,
)
from cryptowatcher.domain.rules.units import constant, factor_of, kind_of

Verdict = Literal["never", "always"]

_BESIDE: dict[Operator, Operator] = {"<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED: dict[Operator, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_LEVEL: dict[Operator, Operator] = {"crosses above": ">=", "crosses below": "<="}


def bounds_of(node: Expression, functions: Functions) -> Bounds:
    """Between which values an expression lies wherever it is known."""
    match node:
        case Number():
            return exactly(node.value)
        case Call():
            return functions[node.name].bounds
        case Negative():
            return negated(bounds_of(node.of, functions))
        case Apply():
            of = [bounds_of(arg, functions) for arg in node.args]
            return size(of[0]) if node.name == "abs" else (smallest if node.name == "min" else largest)(of)
        case Arithmetic():
            return _of_two(node, functions)


def _of_two(node: Arithmetic, functions: Functions) -> Bounds:
    left, right = bounds_of(node.left, functions), bounds_of(node.right, functions)
    order = _order(node.left, node.right)
    match node.op:
        case "+":
            return total(left, right)
        case "-":
            apart = total(left, negated(right))
            return apart.within(_BY_ORDER[order]) if order is not None else apart
        case "*":
            return times(left, right)
        case "/":
            share = times(left, inverse(right))
            # Ordered are prices, and those are above 0.
            return share.within(total(_BY_ORDER[order], exactly(1.0))) if order is not None else share


def _order(left: Expression, right: Expression) -> int | None:
    """1: the left one is never the smaller one, -1: never the larger one, 0: they are the same; None: who knows.

    The newest price is one of those in a window.
    """
    if left == right:
        return 0
    if not isinstance(left, Call) or not isinstance(right, Call):
        return None
    ranks = [_RANKS.get(call.name) for call in (left, right)]
    one, other = ranks
    windows = {call.args for call in (left, right) if call.args}
    if one is None or other is None or one == other or len(windows) > 1:
        return None
    return 1 if one > other else -1


_RANKS = {"low": 0, "price": 1, "high": 2}
_BY_ORDER = {1: NOT_NEGATIVE, -1: negated(NOT_NEGATIVE), 0: exactly(0.0)}


def verdict_on(comparison: Comparison, functions: Functions) -> Verdict | None:
    """Whether it is never so, or always. A crossing that is always on its side never happens."""
    found = _verdict(comparison, functions)
    return "never" if found and comparison.op in _LEVEL else found


def _verdict(comparison: Comparison, functions: Functions) -> Verdict | None:
    op, left, right = _LEVEL.get(comparison.op, comparison.op), comparison.left, comparison.right
    against = constant(right)
    if against is not None:
        return _judged(op, bounds_of(left, functions), against)
    apart = _judged(op, bounds_of(Arithmetic("-", left, right), functions), 0.0)
    if apart or bounds_of(right, functions).low < 0:
        return apart
    factor, rest = factor_of(right)
    if factor <= 0:
        return None
    return _judged(op, bounds_of(Arithmetic("/", left, rest), functions), factor)


def _judged(op: Operator, of: Bounds, against: float) -> Verdict | None:
    if of.within(_side(op, against)).empty:
        return "never"
    return "always" if of.within(_side(_BESIDE[op], against)).empty else None


def _side(op: Operator, against: float) -> Bounds:
    """The values for which a comparison with a constant holds."""
    if op in (">", ">="):
        return Bounds(low=against, above=op == ">")
    return Bounds(high=against, below=op == "<")


def why_idle(comparison: Comparison, verdict: Verdict, functions: Functions) -> tuple[str, str]:
    """That a comparison is never so or always, in words, and a hint."""
    this = "this never happens" if comparison.op in _LEVEL else f"this is {verdict} so"
    left, right = (show(side, functions) for side in (comparison.left, comparison.right))
    if constant(comparison.right) is None:
        order = _order(comparison.left, factor_of(comparison.right)[1])
        if order:
            most = "above" if order < 0 else "below"
            window, at = (right, ">=") if order < 0 else (right, "<=")
            hint = f"write {left} {at} {window}" if isinstance(comparison.right, Call) and left == "price" else ""
            return f"{this}: `{left}` is never {most} `{show(factor_of(comparison.right)[1], functions)}`", hint
        return f"{this}: both sides are the same" if order == 0 else this, ""
    of = bounds_of(comparison.left, functions)
    hint = _instead(comparison, of, functions) if verdict == "never" else ""
    return f"{this}: `{left}` {_lies(of, comparison, functions)}", hint


def _lies(of: Bounds, comparison: Comparison, functions: Functions) -> str:
    percent = kind_of(comparison.left, functions) == "fraction" or (
        isinstance(comparison.right, Number) and comparison.right.percent
    )
    duration = isinstance(comparison.right, Number) and comparison.right.duration

    def number(value: float) -> str:
        return show_number(Number(value, percent=percent, duration=duration))

    if of.low == of.high:
        return f"is {number(of.low)}"
    low = f"{'above' if of.above else 'at least'} {number(of.low)}" if of.low > ANYTHING.low else ""
    high = f"{'below' if of.below else 'at most'} {number(of.high)}" if of.high < ANYTHING.high else ""
    return f"is always {low}{' and ' if low and high else ''}{high}"


def _instead(comparison: Comparison, of: Bounds, functions: Functions) -> str:
    """`drawdown(1h) < -5%` means a fall, which a drawdown says without a sign."""
    right = comparison.right
    if not isinstance(right, Number) or right.value >= 0 or of.low < 0 or of.high <= -right.value:
        return ""
    op = _MIRRORED.get(comparison.op)
    if op is None:
        return ""
    positive = Number(-right.value, percent=right.percent, duration=right.duration)
    return f"write {show(Comparison(op, comparison.left, positive), functions)}"


# --- several comparisons of one number ---------------------------------------------------------------


def contradiction(node: And | Or, functions: Functions) -> str:
    """Why its own comparisons are never true together (`and`), or one of them always is (`or`); "" if they may be
    otherwise. What stands deeper is not looked at."""
    together = isinstance(node, And)
    left: dict[Expression, list[Comparison]] = {}
    for part in node.parts:
        comparison = _plain(part)
        if comparison is not None and (together or comparison.op not in _LEVEL):
            left.setdefault(comparison.left, []).append(comparison)
    for number, said in left.items():
        sides = [_side_of(each, opposite=not together) for each in said]
        if len(said) > 1 and reduce(Bounds.within, sides, bounds_of(number, functions)).empty:
            texts = _list([show(each, functions) for each in said], "and" if together else "or")
            return f"these are never so together: {texts}" if together else f"one of these is always so: {texts}"
    return ""


def _plain(part: Condition) -> Comparison | None:
    """A comparison with a constant; one that is denied as its opposite."""
    if isinstance(part, Not) and isinstance(part.of, Comparison):
        part = Comparison(_BESIDE[part.of.op], part.of.left, part.of.right)
    return part if isinstance(part, Comparison) and constant(part.right) is not None else None


def _side_of(comparison: Comparison, *, opposite: bool) -> Bounds:
    op = _LEVEL.get(comparison.op, comparison.op)
    return _side(_BESIDE[op] if opposite else op, constant(comparison.right) or 0.0)


def _list(texts: Sequence[str], last: str) -> str:
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}"
