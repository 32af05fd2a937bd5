"""Many structs that are alike, without making each of them: one, and columns of what is each one's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
V = TypeVar("V")

FEW: Final = 16
"""So many that are alike are better made."""


class Copies(msgspec.Struct, Generic[S], frozen=True):
    """All are as `first` is, which is one of them, but for the fields of `own`: by name, a value for each."""

    first: S
    own: dict[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.own.values())))

    def __iter__(self) -> Iterator[S]:
        names = [*self.own]
        for values in zip(*self.own.values(), strict=True):
            yield msgspec.structs.replace(self.first, **dict(zip(names, values, strict=True)))


def each_of(together: Iterable[Copies[S]]) -> Iterator[S]:
    """All of them, made."""
    return (each for copies in together for each in copies)


def some(column: Sequence[V], places: Iterable[int]) -> list[V]:
    """What stands at these places."""
    return [*map(column.__getitem__, places)]
