"""What a number is of: to compare a share with a price is a slip of the pen, and is said to be one."""

from __future__ import annotations

import operator
from typing import Final, Literal

from cryptowatcher.domain.features.change import SINCE_ALERT
from cryptowatcher.domain.rules.mistakes import Wrong
from cryptowatcher.domain.rules.tree import (
    Apply,
    Arithmetic,
    Call,
    Expression,
    FunctionOfNumbers,
    Functions,
    Negative,
    Number,
    Operator,
    calls,
    show,
)

_DO: Final = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}

Kind = Literal["price", "money", "fraction", "number", "time", "plain", "percent", "duration", ""]
"""The unit of a feature; what a constant was written as; "" where arithmetic makes it anybody's guess."""

_CONSTANTS: Final = ("plain", "percent", "duration")
_SUITS: Final = {"price": "plain", "money": "plain", "number": "plain", "fraction": "percent", "time": "duration"}
WORDS: Final = {
    "price": "a price",
    "money": "an amount of money",
    "fraction": "a share",
    "time": "a time",
    "number": "a number",
    "plain": "a number",
    "percent": "a percentage",
    "duration": "a duration",
}


def constant(node: object) -> float | None:
    """The value of an expression that looks at no feature."""
    match node:
        case Number():
            return node.value
        case Negative():
            value = constant(node.of)
            return None if value is None else -value
        case Arithmetic():
            left, right = constant(node.left), constant(node.right)
            if left is None or right is None:
                return None
            return float(_DO[node.op](left, right))
        case Apply():
            values = [constant(arg) for arg in node.args]
            known = [value for value in values if value is not None]
            return _applied(node.name, known) if len(known) == len(values) else None
        case _:
            return None


def _applied(name: FunctionOfNumbers, values: list[float]) -> float:
    if name == "abs":
        return abs(values[0])
    return min(values) if name == "min" else max(values)


def kind_of(node: Expression, functions: Functions) -> Kind:
    """What an expression is of."""
    match node:
        case Number():
            if node.value == 0:
                return ""  # nought is nought in any unit
            return "percent" if node.percent else "duration" if node.duration else "plain"
        case Call():
            return _kind_of_call(node, functions)
        case Negative():
            return kind_of(node.of, functions)
        case Apply():
            return _common({kind_of(arg, functions) for arg in node.args})
        case Arithmetic():
            left, right = kind_of(node.left, functions), kind_of(node.right, functions)
            return _scaled(node, left, right, functions) if node.op in "*/" else _common({left, right})


def _kind_of_call(call: Call, functions: Functions) -> Kind:
    """An average is of what it is an average of."""
    inner = [arg for arg in call.args if isinstance(arg, Call)]
    return _kind_of_call(inner[0], functions) if inner else functions[call.name].unit


def _common(kinds: set[Kind]) -> Kind:
    return kinds.pop() if len(kinds) == 1 else ""


def _scaled(node: Arithmetic, left: Kind, right: Kind, functions: Functions) -> Kind:
    """Three times a price, a twentieth of it, or 95 % of it, is a price. A number times a percentage is either:
    2 * 5% is 10 %, and 100 * 5% are 5."""
    factors = [_is_factor(side, functions) for side in (node.left, node.right)]
    if all(factors) and node.op == "*" and left != right:
        return ""
    if factors[1]:
        return left
    return right if node.op == "*" and factors[0] else ""


def _is_factor(node: Expression, functions: Functions) -> bool:
    """A number, a percentage, or a product of both. (What `1 + 5%` is of, or nought, is anybody's guess.)"""
    match node:
        case Negative():
            return _is_factor(node.of, functions)
        case Arithmetic(op="*" | "/"):
            return _is_factor(node.left, functions) and _is_factor(node.right, functions)
        case _:
            return kind_of(node, functions) in ("plain", "percent")


def check_sum(op: str, left: Expression, right: Expression, *, at: tuple[int, int], functions: Functions) -> None:
    """Wrong for `price + 5%`: that would be 0.05 more. `at`: where the sides begin."""
    kinds = kind_of(left, functions), kind_of(right, functions)
    if set(kinds) in ({"price", "percent"}, {"money", "percent"}):
        hint = (
            "write price * 105% for five percent more" if op == "+" else "write price * 95% for five percent less"
        )
        raise Wrong(at[kinds.index("percent")], "a percentage cannot be added to a price or an amount", hint)


def check_since_alert(op: Operator, left: Expression, right: Expression, *, at: tuple[int, int]) -> None:
    """Wrong where the change since a rule's own last alert is part of a sum, say. `at`: where the sides begin."""
    for side, other, start in ((left, right, at[0]), (right, left, at[1])):
        if all(call.name != SINCE_ALERT for call in calls(side)):
            continue
        alone = side.args[0] if isinstance(side, Apply) and side.name == "abs" else side
        if not isinstance(alone, Call) or constant(other) is None:
            hint = f"write {SINCE_ALERT}(60000) >= 10%, or abs({SINCE_ALERT}(60000)) >= 10% for both ways"
            raise Wrong(
                start, f"`{SINCE_ALERT}` is compared with a percentage, and stands alone or in abs()", hint
            )
        if alone is not side and op.startswith("crosses"):
            raise Wrong(start, "abs() of it has no crossing: it turns true as it crosses", "write >= or <=")


def factor_of(expression: Expression) -> tuple[float, Expression]:
    """`3 * x` → 3, x."""
    if isinstance(expression, Arithmetic) and expression.op == "*":
        for value, other in ((expression.left, expression.right), (expression.right, expression.left)):
            factor = constant(value)
            if factor is not None:
                return factor, other
    return 1.0, expression


def check_comparison(
    op: Operator, left: Expression, right: Expression, *, at: tuple[int, int], functions: Functions
) -> None:
    """Wrong where the two sides cannot be meant to be compared. `at`: where they begin."""
    values = constant(left), constant(right)
    if None not in values:
        raise Wrong(
            at[0], "both sides are constants: this is always so, or never", "compare a feature, like price"
        )
    kinds = kind_of(left, functions), kind_of(right, functions)
    for one, other in ((0, 1), (1, 0)):
        value = values[other]
        suits = _SUITS.get(kinds[one])
        if suits and value is not None and kinds[other] in _CONSTANTS and kinds[other] != suits:
            feature = show((left, right)[one], functions)
            message = f"`{feature}` is compared with {WORDS[suits]}, not with {WORDS[kinds[other]]}"
            raise Wrong(at[other], message, instead(kinds[one], kinds[other], value))
    if set(kinds) in _NEVER_COMPARED:
        raise Wrong(at[1], f"{WORDS[kinds[0]]} cannot be compared with {WORDS[kinds[1]]}")
    check_since_alert(op, left, right, at=at)


_NEVER_COMPARED: Final = tuple(
    {one, other} for one in ("fraction", "time") for other in _SUITS if one != other and other != "number"
)


def instead(feature: Kind, written: Kind, value: float) -> str:
    """How the constant should have been written."""
    if feature == "fraction" and written == "plain":
        return f"write {Number(rounded(value / 100 if abs(value) >= 1 else value), percent=True)}"
    if feature == "time":
        return "write a duration: 5m, 1h, …"
    if written == "percent" and feature == "number":
        return f"write {Number(rounded(value * 100))}"
    if written == "percent":
        return "for a move by so much, write change(24h) >= 5% or change(24h) <= -5%"
    if feature == "money":
        return "millions are written out; a duration stands in the brackets of a feature: volume(1h)"
    return "a duration stands in the brackets of a feature: change(5m)"


def rounded(value: float) -> float:
    """Without what computing with floats has left at its end."""
    return float(f"{value:.12g}")
