"""A condition as a tree, and the tree as text: `parse(str(tree)) == tree`.

    condition   comparison · not condition · condition and condition … · condition or condition …
    comparison  expression < <= > >= `crosses above` `crosses below` expression
    expression  number · feature · abs, min, max · -expression · expression + - * / expression

What the parser makes is normal: a constant side stands on the right, `And` holds no `And` and `Or` no `Or`,
`Negative` holds no `Number`. Frozen and hashable: equal trees are one shared feature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from cryptowatcher.domain.features import Function, catalogue
from cryptowatcher.domain.intervals import show_duration

Operator = Literal["<", "<=", ">", ">=", "crosses above", "crosses below"]
ArithmeticSign = Literal["+", "-", "*", "/"]
FunctionOfNumbers = Literal["abs", "min", "max"]


class Number(msgspec.Struct, frozen=True, tag="number", cache_hash=True):
    """A constant. The value of 5% is 0.05 and that of 5m is 300000 (ms); the flags say that it was written so."""

    value: float
    percent: bool = False
    duration: bool = False

    def __str__(self) -> str:
        return show_number(self)


class Call(msgspec.Struct, frozen=True, tag="call", cache_hash=True):
    """A feature with all its arguments, defaults filled in: counts as int, windows and intervals in ms, numbers
    and prices as float, pairs as text, features as Call."""

    name: str
    args: tuple[int | float | str | Call, ...] = ()

    def __str__(self) -> str:
        return show(self)


class Apply(msgspec.Struct, frozen=True, tag="apply", cache_hash=True):
    """abs of one expression; min or max of two or more."""

    name: FunctionOfNumbers
    args: tuple[Expression, ...]

    def __str__(self) -> str:
        return show(self)


class Negative(msgspec.Struct, frozen=True, tag="negative", cache_hash=True):
    """-expression."""

    of: Expression

    def __str__(self) -> str:
        return show(self)


class Arithmetic(msgspec.Struct, frozen=True, tag="arithmetic", cache_hash=True):
    """left + - * / right."""

    op: ArithmeticSign
    left: Expression
    right: Expression

    def __str__(self) -> str:
        return show(self)


class Comparison(msgspec.Struct, frozen=True, tag="comparison"):
    """At least the left side looks at a feature."""

    op: Operator
    left: Expression
    right: Expression

    @property
    def rises(self) -> bool:
        """True where it becomes true by the left side going up."""
        return self.op in (">", ">=", "crosses above")

    def __str__(self) -> str:
        return show(self)


class Not(msgspec.Struct, frozen=True, tag="not"):
    """There is no `crosses` below it."""

    of: Condition

    def __str__(self) -> str:
        return show(self)


class And(msgspec.Struct, frozen=True, tag="and"):
    """Two or more parts, all true."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return show(self)


class Or(msgspec.Struct, frozen=True, tag="or"):
    """Two or more parts, one of them true."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return show(self)


Argument = int | float | str | Call
Expression = Number | Call | Apply | Negative | Arithmetic
Condition = Comparison | Not | And | Or
Node = Expression | Condition
Functions = Mapping[str, Function]

# How tightly each form binds: a part that binds more loosely than its place asks for stands in brackets.
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _UNARY, _ATOM = range(8)
_SIGNS = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """From left to right."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Not):
        yield from comparisons(condition.of)
    else:
        for part in condition.parts:
            yield from comparisons(part)


def calls(node: Node) -> Iterator[Call]:
    """Every feature it looks at, from left to right. A feature inside a feature comes after it."""
    match node:
        case Call():
            yield node
            for arg in node.args:
                if isinstance(arg, Call):
                    yield from calls(arg)
        case Comparison() | Arithmetic():
            yield from calls(node.left)
            yield from calls(node.right)
        case Not() | Negative():
            yield from calls(node.of)
        case Apply():
            for each in node.args:
                yield from calls(each)
        case And() | Or():
            for part in node.parts:
                yield from calls(part)


def show(node: Node, functions: Functions | None = None) -> str:
    """The text of a tree. Arguments at the end that are the defaults are left out. `functions`: the catalogue."""
    return _show(node, _OR, catalogue() if functions is None else functions)


def show_number(number: Number) -> str:
    """The shortest text that reads back as this very float: `70000`, `-5%`, `1e-12`, `1h30m`."""
    if number.duration:
        return "-" * (number.value < 0) + show_duration(abs(round(number.value)))
    if number.percent:
        return f"{_plain(Decimal(repr(number.value)).scaleb(2))}%"
    return _plain(Decimal(repr(number.value)))


def _plain(number: Decimal) -> str:
    if number == 0:
        return "0"
    if 1e-7 < abs(number) < 1e16:
        text = f"{number:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{number.normalize():e}".replace("e+", "e")


def _show(node: Node, place: int, functions: Functions) -> str:
    binds, text = _written(node, lambda part, where: _show(part, where, functions), functions)
    return f"({text})" if binds < place else text


def _written(node: Node, show: Callable[[Node, int], str], functions: Functions) -> tuple[int, str]:
    """How tightly it binds, and its text."""
    match node:
        case Number():
            return _ATOM, show_number(node)
        case Call():
            return _ATOM, _call(node, functions)
        case Apply():
            return _ATOM, f"{node.name}({', '.join(show(arg, _SUM) for arg in node.args)})"
        case Negative():
            return _UNARY, f"-{show(node.of, _ATOM)}"
        case Arithmetic():
            binds = _SIGNS[node.op]
            return binds, f"{show(node.left, binds)} {node.op} {show(node.right, binds + 1)}"
        case Comparison():
            return _COMPARISON, f"{show(node.left, _SUM)} {node.op} {show(node.right, _SUM)}"
        case Not():
            return _NOT, f"not {show(node.of, _ATOM)}"
        case And():
            return _AND, " and ".join(show(part, _NOT) for part in node.parts)
        case Or():
            return _OR, " or ".join(show(part, _AND) for part in node.parts)


def _call(call: Call, functions: Functions) -> str:
    parameters = functions[call.name].parameters
    given = len(call.args)
    while given and call.args[given - 1] == parameters[given - 1].default:
        given -= 1
    shown = [
        show_argument(parameter.kind, arg, functions)
        for parameter, arg in zip(parameters[:given], call.args[:given], strict=True)
    ]
    return f"{call.name}({', '.join(shown)})" if shown else call.name


def show_argument(kind: str, arg: Argument, functions: Functions) -> str:
    """An argument as it is written."""
    if isinstance(arg, Call):
        return _call(arg, functions)
    if isinstance(arg, str):
        return arg
    if kind in ("window", "interval"):
        return show_duration(int(arg))
    return _plain(Decimal(repr(arg)))
