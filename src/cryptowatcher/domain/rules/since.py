"""`change_since_alert(60000) >= 10%`: the change since the price of a rule's last alert for a pair; at first since
60000.

After an alert the rule is the same rule with the price of that alert in the place of the number. What it compares
is the price, with a constant of its own for each pair that it fired for.
"""

from __future__ import annotations

import math
import struct

from cryptowatcher.domain.features.change import SINCE_ALERT
from cryptowatcher.domain.rules.tree import (
    And,
    Apply,
    Call,
    Comparison,
    Condition,
    Expression,
    Not,
    Number,
    Operator,
    Or,
)
from cryptowatcher.domain.rules.units import constant

PRICE = Call("price")


def is_since_alert(node: Expression) -> bool:
    """Whether it is the change since the last alert."""
    return isinstance(node, Call) and node.name == SINCE_ALERT


def counts_from(node: Expression) -> float:
    """The price of its last alert, or what was written for that; 0.0 for other numbers."""
    if not isinstance(node, Call) or not is_since_alert(node):
        return 0.0
    (price,) = node.args
    assert isinstance(price, float), "its parameter is a price"
    return price


def counted_from(condition: Condition, price: float) -> Condition:
    """The condition after an alert at this price."""
    match condition:
        case Not():
            return Not(counted_from(condition.of, price))
        case And() | Or():
            parts = tuple(counted_from(part, price) for part in condition.parts)
            return And(parts) if isinstance(condition, And) else Or(parts)
        case _:
            return Comparison(condition.op, _from(condition.left, price), condition.right)


def _from(node: Expression, price: float) -> Expression:
    if isinstance(node, Apply):
        return Apply(node.name, tuple(_from(arg, price) for arg in node.args))
    return Call(SINCE_ALERT, (price,)) if is_since_alert(node) else node


def both_ways(comparison: Comparison) -> Condition:
    """`abs(change_since_alert(5)) >= 10%` as two comparisons of the price; others as they are."""
    left = comparison.left
    if not isinstance(left, Apply) or not is_since_alert(left.args[0]):
        return comparison
    change, against = left.args[0], constant(comparison.right)
    assert against is not None, "it stands before a constant"
    down = Comparison(_DOWN[comparison.op], change, Number(0.0 - against, percent=True))
    parts = (Comparison(comparison.op, change, comparison.right), down)
    return Or(parts) if comparison.rises else And(parts)


_DOWN: dict[Operator, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def least_price(since: float, change: float) -> float:
    """The lowest price that is this change away from another, or more: 0 where all are, infinity where none is. It
    decides as `change_since` does, to the last bit. Floats above 0 are in the order of their bits."""

    def beyond(bits: int) -> bool:
        return (_float(bits) - since) / since >= change

    near = _bits(min(max(since + since * change, 0.0), math.inf))
    low, high = max(near - _NEAR, 0), min(near + _NEAR, _bits(math.inf))
    if beyond(low) or not beyond(high):
        low, high = 0, _bits(math.inf)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if beyond(middle) else (middle + 1, high)
    return _float(low)


_NEAR = 64
"""Floats from where it must lie, but for changes of nearly -100 %."""


def _bits(number: float) -> int:
    return int.from_bytes(struct.pack(">d", number))


def _float(bits: int) -> float:
    number: float = struct.unpack(">d", bits.to_bytes(8))[0]
    return number
