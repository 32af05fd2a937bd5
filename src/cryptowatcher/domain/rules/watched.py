"""A number that some rule looks at: its last known values, and the constants it is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.history import History
from cryptowatcher.domain.rules.constants import Constants, ConstantsState
from cryptowatcher.domain.rules.rows import Terms
from cryptowatcher.domain.rules.runs import AnyInts
from cryptowatcher.domain.rules.tables import SMALL, Crossed, Rows
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


def rows_of(cols: Ints, pairs: int) -> Rows:
    """The same columns as NumPy reads and writes them soonest: every one of so many pairs in order is a slice."""
    return slice(None) if len(cols) == pairs and bool((cols == np.arange(pairs)).all()) else cols


class WatchedState(msgspec.Struct, frozen=True):
    """A number between two steps: see Watched."""

    number: Expression
    known: Known
    rules: int
    everywhere: int
    gone: int
    constants: ConstantsState


class Watched:
    """One number over all pairs. Of the rules that look at it only how many there are, and their constants."""

    def __init__(self, number: Expression, known: Known) -> None:
        self.number = number
        self.known = known
        self.rules = 0  # that look at it
        self._everywhere = 0  # of them, on all pairs or on the largest
        self._gone = 0  # that did, and may have left constants behind
        self.constants = Constants(len(known.value))
        looked_at = [(catalogue()[call.name], call.args) for call in calls(number)]
        self.timed = any(function.timed for function, _ in looked_at)  # changes as time passes
        self.reads = frozenset(pair for function, args in looked_at for pair in function.reads(args))

    @classmethod
    def of(cls, state: WatchedState) -> Watched:
        """The opposite of state(); sorts nothing."""
        watched = cls(state.number, state.known)
        watched.rules, watched._everywhere, watched._gone = state.rules, state.everywhere, state.gone
        watched.constants.restore(state.constants, state.known.value)
        return watched

    def state(self) -> WatchedState:
        """To be kept. Constants that did not change are the same Parts as in the state before."""
        return WatchedState(
            self.number, self.known, self.rules, self._everywhere, self._gone, self.constants.state()
        )

    # --- pairs -----------------------------------------------------------------------------------

    def widen(self, pairs: int) -> None:
        """Room for this many pairs."""
        fresh = Known.of_nothing(pairs - len(self.known.value))
        both = zip(self.known.columns(), fresh.columns(), strict=True)
        self.known = Known(*(np.concatenate(pair) for pair in both))
        self.constants.widen(pairs, self.known.value)

    def forget(self, cols: Ints) -> None:
        """No value of these pairs was ever known."""
        for column, nothing in zip(self.known.columns(), Known.of_nothing(1).columns(), strict=True):
            column[cols] = nothing
        self.constants.locate(cols, self.known.value)

    # --- rules -----------------------------------------------------------------------------------

    def add(self, slot: int, terms: Terms, cols: Iterable[int]) -> None:
        """A rule looks at this number from now on, for these pairs if it is not on all."""
        self.rules += 1
        self._everywhere += terms.where.everywhere
        for look, fire, rearm in zip(terms.kind.rule.shape.looks, terms.fire, terms.rearm, strict=True):
            if look.number != self.number:
                continue
            for constant in dict.fromkeys((fire, rearm)):
                if terms.where.everywhere:
                    self.constants.add_everywhere(constant, slot)
                else:
                    for col in cols:
                        self.constants.add(col, constant, slot)

    def add_many(self, cols: AnyInts, constants: Floats, slots: AnyInts, rules: int) -> None:
        """So many rules more look at this number from now on, for pairs that they name. Columns of an entry each,
        in any order: the pair, the constant, the rule."""
        self.rules += rules
        self.constants.add_many(cols, constants, slots)

    def remove(self, slot: int, *, everywhere: bool = False) -> None:
        """A rule does not look at it any more. Its slot must not become another's while this number is watched."""
        self.rules -= 1
        self._everywhere -= everywhere
        self._gone += 1

    @property
    def on_all(self) -> bool:
        """Whether a rule on all pairs, or on the largest, looks at it."""
        return self._everywhere > 0

    def named_pairs(self) -> Ints:
        """The columns of pairs that rules look at it for by name; those of rules that are gone among them."""
        return self.constants.named()

    def slots_of(self, cols: Ints, names: frozenset[str]) -> Ints:
        """The rules that look at it for these pairs, or at these pairs beside others: `names` are theirs. Each
        once, in order, gone ones among them."""
        return self.constants.slots() if self.reads & names else self.constants.slots_at(cols)

    # --- stepping --------------------------------------------------------------------------------

    def move(self, cols: Ints, values: Floats, alive: NDArray[np.bool_], at: Rows | None = None) -> list[Crossed]:
        """What these values crossed. `alive`, `at`: see Constants."""
        self.constants.settle(self.known.value, alive)
        if self._gone > max(SMALL, self.rules):
            self.constants.sweep(self.known.value, alive)
            self._gone = 0
        return self.constants.move(cols, values, at)

    def known_again(self, cols: Ints, values: Floats, at: Rows | None = None) -> Iterator[Crossed]:
        """All rules that look at a row that is known now and was not at the observation before. After move()."""
        before = self.known.now[cols if at is None else at]
        if before.all():
            return
        again = np.flatnonzero(~(np.isnan(values) | before))
        if len(again):
            for rows, slots in self.constants.all_of(cols[again]):
                yield Crossed(again[rows], slots)

    def remember(self, cols: Ints, values: Floats, history: History, seq: int, at: Rows | None = None) -> None:
        """These are the newest values, by the newest observations of these pairs."""
        at = cols if at is None else at
        now = ~np.isnan(values)
        self.known.now[at] = now
        if not now.all():
            at = cols[now]
            values = values[now]
        self.known.value[at] = values
        self.known.at[at] = history.time[at]
        self.known.valid_for[at] = history.valid_for[at]
        self.known.seq[at] = seq
