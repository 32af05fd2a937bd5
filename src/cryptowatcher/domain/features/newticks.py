"""Newer observations, with what was known of their pairs before: what bars are folded from."""

from __future__ import annotations

from typing import NamedTuple

from cryptowatcher.domain.features.columns import Marks, Where, stretch
from cryptowatcher.domain.ticks import Floats, Ints

Volumes = tuple[Floats, Ints]
"""Of each pair the 24 h volume that was said last, and when."""


class NewTicks(NamedTuple):
    """Newer observations of n distinct pairs, and what was known of these pairs before.

    where:        their columns, as stretch() says
    before, last: time and price of the observation before
    within:       whether that was still valid when this one came
    clock:        the pair's observed time as of the observation before, ms
    was, now:     the 24 h volume that was said last, and when: before this observation, and with it
    """

    cols: Ints
    where: Where
    time: Ints
    price: Floats
    before: Ints
    last: Floats
    within: Marks
    clock: Ints
    was: Volumes
    now: Volumes

    def rows(self, which: Marks) -> NewTicks:
        """Some of them."""
        if which.all():
            return self
        cols = self.cols[which]
        return NewTicks(
            cols=cols,
            where=stretch(cols),
            time=self.time[which],
            price=self.price[which],
            before=self.before[which],
            last=self.last[which],
            within=self.within[which],
            clock=self.clock[which],
            was=(self.was[0][which], self.was[1][which]),
            now=(self.now[0][which], self.now[1][which]),
        )
