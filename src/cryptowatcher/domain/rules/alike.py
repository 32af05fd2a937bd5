"""Rules of one kind as columns: how many are dealt with at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.pairs import Universe
from cryptowatcher.domain.rules.kinds import Kind
from cryptowatcher.domain.rules.roll import Segment
from cryptowatcher.domain.rules.rows import Pools
from cryptowatcher.domain.rules.singles import Singles
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import ConfigError

Living = tuple[Ints, Segment, Ints]
"""Slots of rules that are there, their segment, and their rows in it."""


class Alike(NamedTuple):
    """Rules of one kind: their slots, the columns of the only pair that each is on (SEVERAL: it is not on one;
    None: they are paused), and columns of their numbers."""

    kind: Kind
    slots: Ints
    cols: Ints | None
    values: list[Floats]

    def constants(self, rows: NDArray[np.bool_]) -> tuple[list[Floats], list[Floats]]:
        """For each comparison, where these of the rules fire, and where they re-arm."""
        columns = self.kind.columns([values[rows] for values in self.values], int(rows.sum()))
        return [fire for fire, _ in columns], [rearm for _, rearm in columns]


def alike(pools: Pools, singles: Singles, living: Iterable[Living], universe: Universe) -> Iterator[Alike]:
    """Rules by segment and kind. Their kinds are understood: see misread()."""
    for mine, segment, rows in living:
        order = np.argsort(segment.kind[rows], kind="stable")
        kinds = segment.kind[rows[order]]
        for each in np.split(order, np.flatnonzero(np.diff(kinds)) + 1) if len(order) else ():
            kind = pools.kind(int(segment.kind[rows[each[0]]]))
            values = segment.numbers(rows[each], len(kind.percent))
            cols = None if kind.spec.paused else singles.cols(segment.on[rows[each]], universe)
            yield Alike(kind, mine[each], cols, values)


def misread(pools: Pools, living: Sequence[Living]) -> dict[int, str]:
    """By slot, the rules that are not understood any more, and why."""
    kinds = {kind for _, segment, rows in living for kind in np.unique(segment.kind[rows]).tolist()}
    wrong: dict[int, str] = {}
    for kind in sorted(kinds):
        try:
            pools.kind(kind)
        except ConfigError as error:
            wrong[kind] = error.message
    found: dict[int, str] = {}
    for slots, segment, rows in living if wrong else ():
        theirs = np.isin(segment.kind[rows], [*wrong])
        for slot, row in zip(slots[theirs].tolist(), rows[theirs].tolist(), strict=True):
            found[slot] = wrong[int(segment.kind[row])]
    return found
