"""What rules look at: numbers for each pair, computed from its observations.

A family is one module here that names its FUNCTIONS. Each function has two forms of one definition that agree to
the bit: `step`, the value for each of some pairs after their newest observation, and `series`, the value of one
pair after each of its observations. NaN where it is not known. A value is a pure function of a stated, finite set
of observations: who asked first, a restart, or what others ask never changes it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from cryptowatcher.domain.features.bounds import NOT_NEGATIVE, Bounds
from cryptowatcher.domain.ticks import Floats, Ints

if TYPE_CHECKING:
    from cryptowatcher.domain.features.line import Line
    from cryptowatcher.domain.features.memory import Memory

Args = tuple[Any, ...]
"""In order of the parameters, defaults filled in: count int, window and interval int (ms), number and price float,
pair str, feature a Call."""
StepForm = Callable[["Memory", Ints, Args], Floats]
SeriesForm = Callable[["Line", Args], Floats]
Kind = Literal["count", "window", "interval", "number", "price", "pair", "feature"]
Unit = Literal["price", "money", "fraction", "number", "time"]


class Parameter(msgspec.Struct, frozen=True):
    """An argument of a function. `low` and `high` bound counts and numbers; without a default it must be given."""

    name: str
    kind: Kind
    default: int | float | str | None = None
    low: float = 1
    high: float = 1000


def _anything(args: Args) -> None:
    """No arguments are wrong together."""


def _nothing(args: Args) -> int:
    return 0


def _no_pairs(args: Args) -> tuple[str, ...]:
    return ()


class Function(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A feature as people write it, and how it is computed.

    unit:           price (of the pair), money (volume, cap), fraction (written in percent), number, time (ms)
    says:           in plain words, with {name} where an argument is said: "the change within {window}"
    example:        how it is written: "change(5m)"
    bounds:         between which values all of its own lie
    step, series:   see above; series is None where one pair's own observations do not tell (age)
    check:          ConfigError when the arguments do not go together
    needs:          how much of the past (ms) must have been watched before it can be known
    reads:          which other pairs it looks at
    timed:          whether it changes as time passes, without an observation
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    unit: Unit
    says: str
    example: str
    bounds: Bounds = NOT_NEGATIVE
    step: StepForm
    series: SeriesForm | None
    check: Callable[[Args], None] = _anything
    needs: Callable[[Args], int] = _nothing
    reads: Callable[[Args], tuple[str, ...]] = _no_pairs
    timed: bool = False

    @property
    def never_negative(self) -> bool:
        """Whether no value is below 0."""
        return self.bounds.low >= 0


@cache
def catalogue() -> Mapping[str, Function]:
    """All functions of all families, by name."""
    found: dict[str, Function] = {}
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        for function in getattr(importlib.import_module(f"{__name__}.{module}"), "FUNCTIONS", ()):
            assert function.name not in found, f"two functions are called {function.name}"
            found[function.name] = function
    return MappingProxyType(found)
