"""What stands in a feature's brackets, read as the feature's parameters ask for it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cryptowatcher.domain.features import Function, Parameter
from cryptowatcher.domain.features.history import check_window
from cryptowatcher.domain.intervals import INTERVALS, parse_duration
from cryptowatcher.domain.pairs import check_pair
from cryptowatcher.domain.rules.mistakes import Wrong, did_you_mean, shorten
from cryptowatcher.domain.rules.tree import Argument, Call, Functions, show_argument
from cryptowatcher.errors import ConfigError

if TYPE_CHECKING:
    from lark import Token

_KINDS = {
    "count": "a whole number",
    "number": "a number",
    "price": "a price",
    "window": "a duration such as 5m",
    "interval": f"an interval: {', '.join(INTERVALS)}",
    "pair": "a pair such as bitcoin/usd",
    "feature": "a feature such as price or volume",
}
_OWN = ("abs", "min", "max")


class Said(NamedTuple):
    """A feature as it was written, not understood yet."""

    name: Token
    args: tuple[Token | Said, ...]

    @property
    def start(self) -> int:
        return _start(self.name)

    @property
    def end(self) -> int:
        """Behind its name, or its last argument."""
        last = self.args[-1] if self.args else self.name
        return last.end if isinstance(last, Said) else last.end_pos or 0


def call_of(said: Said, functions: Functions) -> Call:
    """The feature with all its arguments. Wrong where a name or an argument is not one."""
    name = str(said.name).lower()
    function = functions.get(name)
    if function is None:
        raise _no_such(said, [*functions, *_OWN])
    parameters = function.parameters
    if len(said.args) > len(parameters):
        if not parameters and _is_coin(said.args[0]):
            raise Wrong(_place(said.args[0]), f"`{name}` is of the pair that the rule is on", _OTHER)
        raise Wrong(_place(said.args[len(parameters)]), f"`{name}` {_how_many(function)}", usage(function))
    args = [
        _argument(parameter, arg, function, functions)
        for parameter, arg in zip(parameters, said.args, strict=False)
    ]
    for parameter in parameters[len(args) :]:
        if parameter.default is None:
            raise Wrong(said.end, f"`{name}` needs {_KINDS[parameter.kind]} ({parameter.name})", usage(function))
        args.append(parameter.default)
    try:
        function.check(tuple(args))
    except ConfigError as error:
        raise Wrong(said.start, error.message, error.hint or usage(function)) from None
    return Call(name, tuple(args))


def duration_of(token: Token) -> int:
    """`1h30m` → ms."""
    try:
        return parse_duration(str(token))
    except ConfigError as error:
        raise Wrong(_start(token), error.message, error.hint) from None


_OTHER = "the pair stands beside the condition; ratio(bitcoin/usd) compares it with another"


def _is_coin(said: Token | Said) -> bool:
    """A coin or a pair by its name, it seems."""
    return not said.args if isinstance(said, Said) else said.type == "PAIR"


def _no_such(said: Said, known: Sequence[str]) -> Wrong:
    """No such feature. People also begin with the coin: `bitcoin > 70000`."""
    hint = did_you_mean(str(said.name).lower(), known)
    if not said.args and hint.startswith("there are"):
        hint = f"a coin stands beside the condition, not in it: write price; {hint}"
    return Wrong(said.start, f"there is no feature `{shorten(said.name)}`", hint)


def usage(function: Function) -> str:
    """How it is written: `write rsi(14, 1h)`."""
    return f"write {function.example}"


def _how_many(function: Function) -> str:
    most = len(function.parameters)
    if not most:
        return "takes no arguments"
    return f"takes {'one argument' if most == 1 else f'at most {most} arguments'}"


def _argument(parameter: Parameter, said: Token | Said, function: Function, functions: Functions) -> Argument:
    """One argument as its parameter asks for it."""
    if parameter.kind == "feature" and isinstance(said, Said):
        return call_of(said, functions)
    if isinstance(said, Said):
        raise _not_one(parameter, said, function)
    try:
        value = _value(parameter, said)
    except ConfigError as error:
        raise Wrong(_start(said), error.message, error.hint) from None
    if value is None:
        raise _not_one(parameter, said, function)
    if not isinstance(value, str):
        _check_bounds(parameter, value, said, functions)
    return value


def _value(parameter: Parameter, said: Token) -> int | float | str | None:
    """The value of a written argument; None where it is not of this kind."""
    match parameter.kind, said.type:
        case "count", "NUMBER":
            return int(said) if re.fullmatch("[0-9_]{1,12}", said) else None
        case (("number" | "price"), "NUMBER"):
            return float(said)
        case "window", "DURATION":
            ms = parse_duration(str(said))
            check_window(ms)
            return ms
        case "interval", "DURATION":
            ms = parse_duration(str(said))
            return ms if ms in INTERVALS.values() else None
        case "pair", "PAIR":
            return check_pair(str(said))
        case _:
            return None


def _not_one(parameter: Parameter, said: Token | Said, function: Function) -> Wrong:
    written = shorten(said.name if isinstance(said, Said) else said)
    message = f"`{written}` is not {_KINDS[parameter.kind]} ({parameter.name} of `{function.name}`)"
    hint = usage(function)
    if parameter.kind in ("window", "interval") and re.fullmatch("[0-9]+", written):
        message, hint = f"{written} needs a unit", f"{written}m is minutes, {written}h hours, {written}d days"
    if parameter.kind == "pair" and "/" not in written:
        message, hint = f"`{written}` is not a pair", f"write {written}/usd"
    return Wrong(_place(said), message, hint)


def _check_bounds(parameter: Parameter, value: float, said: Token, functions: Functions) -> None:
    if parameter.kind == "price" and (value <= 0 or not math.isfinite(value)):
        raise Wrong(_start(said), "a price is more than 0" if value <= 0 else "this number is too large")
    if parameter.kind in ("count", "number") and not parameter.low <= value <= parameter.high:
        low, high = (show_argument(parameter.kind, bound, functions) for bound in (parameter.low, parameter.high))
        raise Wrong(_start(said), f"{parameter.name} is from {low} to {high}")


def _place(said: Token | Said) -> int:
    return said.start if isinstance(said, Said) else _start(said)


def _start(token: Token) -> int:
    return token.start_pos or 0
