"""A number that some rule looks at: its last known values, and the constants it is compared with."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.history import History
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.constants import Constants, Crossed
from cryptowatcher.domain.rules.tree import Expression, calls
from cryptowatcher.domain.ticks import Floats, Ints


class Known(msgspec.Struct, frozen=True):
    """A number's columns over all pairs.

    value:     last known value, NaN for none yet
    at:        the source's time of it, epoch ms
    valid_for: for how long it stayed current, ms
    seq:       position of the record that brought it, 0 for none
    now:       whether it was known at the pair's newest observation
    """

    value: Floats
    at: Ints
    valid_for: Ints
    seq: Ints
    now: NDArray[np.bool_]

    @classmethod
    def of_nothing(cls, pairs: int) -> Known:
        """Nothing was ever known of these pairs."""
        return cls(
            np.full(pairs, np.nan),
            np.zeros(pairs, np.int64),
            np.zeros(pairs, np.int64),
            np.zeros(pairs, np.int64),
            np.zeros(pairs, np.bool_),
        )

    def columns(self) -> tuple[NDArray[np.generic], ...]:
        return self.value, self.at, self.valid_for, self.seq, self.now


class Watched:
    """One number over all pairs."""

    def __init__(self, number: Expression, known: Known) -> None:
        self.number = number
        self.known = known
        self.slots: set[int] = set()
        self._everywhere: set[int] = set()
        self.named = Constants(shared=False)
        self.shared = Constants(shared=True)
        looked_at = [(catalogue()[call.name], call.args) for call in calls(number)]
        self.timed = any(function.timed for function, _ in looked_at)  # changes as time passes
        self.reads = frozenset(pair for function, args in looked_at for pair in function.reads(args))
        self._moved_on = False

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        fresh = Known.of_nothing(pairs - len(self.known.value))
        both = zip(self.known.columns(), fresh.columns(), strict=True)
        self.known = Known(*(np.concatenate(pair) for pair in both))
        self._moved_on = True

    def forget(self, cols: Ints) -> None:
        """No value of these pairs was ever known."""
        for column, nothing in zip(self.known.columns(), Known.of_nothing(1).columns(), strict=True):
            column[cols] = nothing
        self._moved_on = True

    def add(self, slot: int, rule: CompiledRule, cols: list[int]) -> None:
        """A rule looks at this number from now on, for these pairs if it is not on all."""
        self.slots.add(slot)
        if rule.everywhere:
            self._everywhere.add(slot)
        for look, fire, rearm in zip(rule.shape.looks, rule.fire, rule.rearm, strict=True):
            if look.number != self.number:
                continue
            for constant in {fire, rearm}:
                if rule.everywhere:
                    self.shared.add(0, constant, slot)
                else:
                    for col in cols:
                        self.named.add(col, constant, slot)

    def remove(self, slot: int) -> None:
        """A rule does not look at it any more."""
        self.slots.discard(slot)
        self._everywhere.discard(slot)

    def slots_of(self, cols: Ints, names: frozenset[str]) -> set[int]:
        """The rules that look at it for these pairs, or at these pairs beside others: `names` are theirs."""
        return set(self.slots) if self.reads & names else self.named.slots_at(cols) | self._everywhere

    def move(self, cols: Ints, values: Floats, alive: NDArray[np.bool_]) -> tuple[Crossed, Crossed]:
        """What these values crossed of rules on named pairs, and of rules on all. `alive`: see Constants."""
        for constants in (self.named, self.shared):
            if self._moved_on:
                constants.locate(self.known.value)
            constants.settle(self.known.value, alive)
        self._moved_on = False
        return self.named.move(cols, values), self.shared.move(cols, values)

    def known_again(self, cols: Ints, values: Floats) -> Iterator[Crossed]:
        """All rules that look at a row that is known now and was not at the observation before. After move()."""
        again = np.flatnonzero(~np.isnan(values) & ~self.known.now[cols])
        if len(again):
            for constants in (self.named, self.shared):
                rows, slots = constants.all_of(cols[again])
                yield Crossed(again[rows], slots)

    def remember(self, cols: Ints, values: Floats, history: History, seq: int) -> None:
        """These are the newest values, by the newest observations of these pairs."""
        now = ~np.isnan(values)
        self.known.now[cols] = now
        cols = cols[now]
        self.known.value[cols] = values[now]
        self.known.at[cols] = history.time[cols]
        self.known.valid_for[cols] = history.valid_for[cols]
        self.known.seq[cols] = seq
