"""Which values a number can have at all: an interval, and what arithmetic makes of intervals.

In real numbers: that a float underflows to 0, or that a sum forgets a small addend, is not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple


class Bounds(NamedTuple):
    """From `low` to `high`; `above`: never at the low end itself, `below`: never at the high end."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    @property
    def empty(self) -> bool:
        """No value lies inside."""
        return self.low > self.high or (self.low == self.high and (self.above or self.below))

    def within(self, other: Bounds) -> Bounds:
        """What lies inside both."""
        low, above = max((self.low, self.above), (other.low, other.above))
        high, inside = min((self.high, not self.below), (other.high, not other.below))
        return Bounds(low, high, above, not inside)


ANYTHING = Bounds()
NOT_NEGATIVE = Bounds(0.0)
POSITIVE = Bounds(0.0, above=True)
MOVE = Bounds(-1.0, above=True)
"""Of a price that stays above 0, as a share of what it was."""
TO_100 = Bounds(0.0, 100.0)


def exactly(value: float) -> Bounds:
    """This one value."""
    return Bounds(value, value)


def negated(of: Bounds) -> Bounds:
    """-x."""
    return Bounds(-of.high, -of.low, of.below, of.above)


def total(left: Bounds, right: Bounds) -> Bounds:
    """x + y, each any value of its own."""
    return Bounds(
        left.low + right.low, left.high + right.high, left.above or right.above, left.below or right.below
    )


def times(left: Bounds, right: Bounds) -> Bounds:
    """x * y: the extremes lie where both are at an end."""
    corners = [_corner(one, other) for one, other in product(_ends(left), _ends(right))]
    low, above = min(corners)
    high = max(value for value, _ in corners)
    below = all(open_ for value, open_ in corners if value == high)
    return Bounds(low, high, above, below)


def inverse(of: Bounds) -> Bounds:
    """1 / x, which is unknown where x is 0."""
    if of.low < 0 < of.high or of.low == of.high == 0:
        return ANYTHING
    if of.low < 0:
        return negated(inverse(negated(of)))
    high = 1 / of.low if of.low else math.inf
    return Bounds(1 / of.high, high, of.below or math.isinf(of.high), of.above)


def size(of: Bounds) -> Bounds:
    """|x|."""
    if of.low >= 0:
        return of
    if of.high <= 0:
        return negated(of)
    far = max((-of.low, not of.above), (of.high, not of.below))
    return Bounds(0.0, far[0], False, not far[1])


def smallest(of: Sequence[Bounds]) -> Bounds:
    """min(x, y, …)."""
    low, above = min((each.low, each.above) for each in of)
    high, inside = min((each.high, not each.below) for each in of)
    return Bounds(low, high, above, not inside)


def largest(of: Sequence[Bounds]) -> Bounds:
    """max(x, y, …)."""
    return negated(smallest([negated(each) for each in of]))


def _ends(of: Bounds) -> tuple[tuple[float, bool], tuple[float, bool]]:
    """Both ends, and whether each is never reached."""
    return (of.low, of.above), (of.high, of.below)


def _corner(one: tuple[float, bool], other: tuple[float, bool]) -> tuple[float, bool]:
    """The product of two ends. A factor that reaches 0 makes it 0, whatever the other is."""
    if one[0] == 0 or other[0] == 0:
        return 0.0, all(open_ for value, open_ in (one, other) if value == 0)
    return one[0] * other[0], one[1] or other[1]
