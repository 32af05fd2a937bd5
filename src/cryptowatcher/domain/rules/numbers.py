"""Arithmetic over features, element by element: the same operations on the same floats whatever the axis is.

Unknown is NaN. What is not finite (division by nothing, too large) is unknown too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.finite import finite
from cryptowatcher.domain.features.line import Line
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.rules.tree import Apply, Arithmetic, Call, Expression, Negative, Number
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import ConfigError

_ARITHMETIC = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
_SEVERAL = {"min": np.minimum, "max": np.maximum}


def evaluate(expression: Expression, values_of: Callable[[Call], Floats]) -> Floats:
    """The values of an expression that looks at one feature or more."""
    if isinstance(expression, Call):
        return values_of(expression)
    with np.errstate(all="ignore"):
        return _evaluate(expression, values_of)


def _evaluate(expression: Expression, values_of: Callable[[Call], Floats]) -> Floats:
    match expression:
        case Number():
            return np.float64(expression.value)  # type: ignore[return-value]  # a column where it meets one
        case Call():
            return values_of(expression)
        case Negative():
            return -_evaluate(expression.of, values_of)
        case Apply():
            values = [_evaluate(arg, values_of) for arg in expression.args]
            return np.abs(values[0]) if expression.name == "abs" else reduce(_SEVERAL[expression.name], values)
        case Arithmetic():
            left, right = _evaluate(expression.left, values_of), _evaluate(expression.right, values_of)
            value = _ARITHMETIC[expression.op](left, right)
            return finite(value)


class Values:
    """What the numbers are for some pairs now. Each is computed once."""

    def __init__(self, memory: Memory, cols: Ints) -> None:
        self._memory = memory
        self._cols = cols
        self._known: dict[Expression, Floats] = {}

    def of(self, expression: Expression) -> Floats:
        """Its value for each of the pairs."""
        values = self._known.get(expression)
        if values is None:
            values = self._known[expression] = evaluate(expression, self._of_call)
        return values

    def _of_call(self, call: Call) -> Floats:
        values = self._known.get(call)
        if values is None:
            values = self._known[call] = catalogue()[call.name].step(self._memory, self._cols, call.args)
        return values


def series_of(call: Call, line: Line) -> Floats:
    """A feature along one pair's line. ConfigError for one that a line does not decide."""
    series = catalogue()[call.name].series
    if series is None:
        hint = "such a rule is judged by a running watcher only"
        raise ConfigError(f"recorded prices do not tell `{call}`", where="when", hint=hint)
    return series(line, call.args)


def never_negative(expression: Expression) -> bool:
    """Whether no value of it is below 0."""
    match expression:
        case Number():
            return expression.value >= 0
        case Call():
            return catalogue()[expression.name].never_negative
        case Apply() if expression.name == "abs":
            return True
        case Apply():
            return all(map(never_negative, expression.args))
        case Arithmetic() if expression.op != "-":
            return never_negative(expression.left) and never_negative(expression.right)
        case _:
            return False


def is_fraction(expression: Expression) -> bool:
    """Whether it is a share of something, whose constants people write in percent."""
    match expression:
        case Call():
            return catalogue()[expression.name].unit == "fraction"
        case Negative():
            return is_fraction(expression.of)
        case Apply():
            return any(map(is_fraction, expression.args))
        case Arithmetic() if expression.op in "+-":
            return is_fraction(expression.left) or is_fraction(expression.right)
        case Arithmetic() if expression.op == "*":
            return is_fraction(expression.left) != is_fraction(expression.right)
        case Arithmetic():
            return is_fraction(expression.left) and not is_fraction(expression.right)
        case _:
            return False
