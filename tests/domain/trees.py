"""Trees of conditions as the parser makes them, of everything the language can say."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from cryptowatcher.domain.features import Function, Parameter
from cryptowatcher.domain.intervals import INTERVALS
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
    Or,
)
from cryptowatcher.domain.rules.units import constant, kind_of
from cryptowatcher.errors import ConfigError

LEVELS = ("<", "<=", ">", ">=")
CROSSINGS = ("crosses above", "crosses below")

_floats = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6).map(float)
_shares = st.floats(-1e300, 1e300) | st.integers(-10_000, 10_000).map(lambda each: each / 10_000)
PLAIN = _floats.map(lambda value: Number(value + 0.0))  # + 0.0: there is no minus nought
PERCENT = _shares.map(lambda value: Number(value + 0.0, percent=True))
DURATION = st.integers(0, 10**12).map(lambda ms: Number(float(ms), duration=True))
SECONDS = st.integers(1, 7200) | st.integers(25, 576).map(lambda each: each * 300)
PAIRS = st.sampled_from(["bitcoin/usd", "1inch/eur", "and/or", "0x/usd", "é-ß.x/btc"])


class Trees:
    """Draws trees over these functions."""

    def __init__(self, draw: st.DrawFn, functions: Functions, *, constants: bool) -> None:
        """`constants`: with percentages and durations too."""
        self._draw = draw
        self._functions = functions
        self._innermost = [
            each for each in functions.values() if all(p.kind != "feature" for p in each.parameters)
        ]
        self._numbers = PLAIN | PERCENT | DURATION if constants else PLAIN

    def condition(self, depth: int, *, crossings: bool = True, forbidden: type | None = None) -> Condition:
        """At most `depth` of and, or, not; no `forbidden` at the top."""
        kinds = [kind for kind in (And, Or, Not) if kind is not forbidden] if depth else []
        kind = self._draw(st.sampled_from([Comparison, *kinds]))
        if kind is Comparison:
            return self.comparison(crossings=crossings)
        if kind is Not:
            return Not(self.condition(depth - 1, crossings=False))
        count = self._draw(st.integers(2, 3))
        make = And if kind is And else Or
        return make(
            tuple(self.condition(depth - 1, crossings=crossings, forbidden=kind) for _ in range(count)),
        )

    def comparison(self, *, crossings: bool = True) -> Comparison:
        """Most of them of what can be compared."""
        left = self.expression(2)
        assume(constant(left) is None)
        suits = {"fraction": PERCENT, "time": DURATION}.get(kind_of(left, self._functions), PLAIN)
        right = self._draw(suits) if self._draw(st.integers(0, 3)) else self.expression(2)
        op: Any = self._draw(st.sampled_from(LEVELS + CROSSINGS if crossings else LEVELS))
        return Comparison(op, left, right)

    def expression(self, depth: int) -> Expression:
        """At most `depth` levels over numbers and features."""
        made = self._expression(depth)
        value = constant(made)
        assume(value is None or math.isfinite(value))
        return made

    def _expression(self, depth: int) -> Expression:
        forms = ["call", "call", "number"] + ["negative", "abs", "min", "max", "+", "-", "*", "/"] * (depth > 0)
        form: Any = self._draw(st.sampled_from(forms))
        if form == "call":
            return self.call(self._draw(st.sampled_from(sorted(self._functions))))
        if form == "number":
            return self._draw(self._numbers)
        first = self.expression(depth - 1)
        if form == "negative":
            return first if isinstance(first, Number) else Negative(first)
        if form == "abs":
            return Apply("abs", (first,))
        second = self.expression(depth - 1)
        if form in ("min", "max"):
            return Apply(form, (first, second))
        assume(form != "/" or constant(second) != 0)
        return Arithmetic(form, first, second)

    def call(self, name: str) -> Call:
        """With arguments that go together."""
        function = self._functions[name]
        args = tuple(self._argument(each, function) for each in function.parameters)
        try:
            function.check(args)
        except ConfigError:
            assume(False)
        return Call(name, args)

    def _argument(self, parameter: Parameter, function: Function) -> Any:
        if parameter.default is not None and self._draw(st.booleans()):
            return parameter.default
        match parameter.kind:
            case "count":
                return self._draw(st.integers(int(parameter.low), int(parameter.high)))
            case "number":
                return self._draw(st.floats(parameter.low, parameter.high))
            case "price":
                return self._draw(st.floats(1e-12, 1e12))
            case "window":
                return self._draw(SECONDS) * 1000
            case "interval":
                return self._draw(st.sampled_from(sorted(INTERVALS.values())))
            case "pair":
                return self._draw(PAIRS)
            case "feature":
                return self.call(self._draw(st.sampled_from(self._innermost)).name)


@st.composite
def conditions(draw: st.DrawFn, functions: Functions, *, constants: bool = True) -> Condition:
    """Whole conditions."""
    return Trees(draw, functions, constants=constants).condition(2)
