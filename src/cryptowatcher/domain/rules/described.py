"""The functions of conditions, described for people: in the reference, and where one types."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.features import Function, Kind, Parameter, Unit
from cryptowatcher.domain.rules.tree import Functions, show_argument

WRITTEN_AS: dict[Unit, str] = {
    "price": "a price",
    "money": "an amount",
    "fraction": "%",
    "number": "a number",
    "time": "a duration",
}
"""How what it is compared with is written."""
_KINDS: dict[Kind, str] = {
    "price": "a price",
    "pair": "a pair",
    "feature": "a function",
    "window": "a window",
    "interval": "an interval",
}


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """`what`: "2 to 250", "a window". `default`: as it is written, empty for the pair itself; None: it must be
    given."""

    name: str
    kind: Kind
    what: str
    default: str | None


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A function as its reader meets it.

    signature: `rsi(n, interval)`
    help:      what it is called in a sentence, with the names of its arguments: "the RSI of n interval candles"
    written:   how what it is compared with is written: "%", "a price"
    """

    name: str
    signature: str
    help: str
    example: str
    unit: Unit
    written: str
    arguments: tuple[Argument, ...]


def described(functions: Functions) -> list[Described]:
    """All of them, by name."""
    return [_described(each, functions) for each in sorted(functions.values(), key=lambda each: each.name)]


def meaning(function: Function, mark: str = "") -> str:
    """What it is called in a sentence. `mark` stands on both sides of the names of its arguments."""
    return function.says.format_map({each.name: f"{mark}{each.name}{mark}" for each in function.parameters})


def argument(parameter: Parameter, functions: Functions) -> Argument:
    what = _KINDS.get(parameter.kind)
    if what is None:
        what = " to ".join(
            show_argument(parameter.kind, bound, functions) for bound in (parameter.low, parameter.high)
        )
    default = None
    if parameter.default is not None:
        default = show_argument(parameter.kind, parameter.default, functions)
    return Argument(name=parameter.name, kind=parameter.kind, what=what, default=default)


def _described(function: Function, functions: Functions) -> Described:
    names = ", ".join(each.name for each in function.parameters)
    return Described(
        name=function.name,
        signature=f"{function.name}({names})" if names else function.name,
        help=meaning(function),
        example=function.example,
        unit=function.unit,
        written=WRITTEN_AS[function.unit],
        arguments=tuple(argument(each, functions) for each in function.parameters),
    )
