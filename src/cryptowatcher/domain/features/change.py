"""`change(w)`: the relative change against the price one window before the newest observation.
`change_since(p)`: the relative change against a price that somebody named. `change_since_alert(p)` begins as that,
and goes on from the price of each alert: rules/anchors.py puts that in the place of p."""

from __future__ import annotations

from cryptowatcher.domain.features import Args, Function, Parameter
from cryptowatcher.domain.features.bounds import MOVE
from cryptowatcher.domain.features.finite import quotient
from cryptowatcher.domain.features.line import Line, reference_of
from cryptowatcher.domain.features.memory import Memory
from cryptowatcher.domain.ticks import Floats, Ints

SINCE_ALERT = "change_since_alert"
"""The one function that looks at a rule's own past beside the pair's."""


def _change(memory: Memory, cols: Ints, args: Args) -> Floats:
    """(price − reference) / reference for each of these pairs; NaN where the reference is not known."""
    (window,) = args
    reference = memory.history.reference(cols, window)
    return quotient(memory.history.newest(cols) - reference, reference)


def _changes(line: Line, args: Args) -> Floats:
    """The same for one pair after each of its observations."""
    (window,) = args
    reference = reference_of(line, window).price
    return quotient(line.price - reference, reference)


def _change_since(memory: Memory, cols: Ints, args: Args) -> Floats:
    """(price − p) / p, as the newest observation has it."""
    (since,) = args
    return quotient(memory.history.newest(cols) - since, since)


def _changes_since(line: Line, args: Args) -> Floats:
    (since,) = args
    return quotient(line.price - since, since)


FUNCTIONS = (
    Function(
        name="change",
        parameters=(Parameter("window", "window"),),
        unit="fraction",
        says="the change within {window}",
        example="change(5m)",
        bounds=MOVE,
        step=_change,
        series=_changes,
        needs=lambda args: int(args[0]),
    ),
    Function(
        name="change_since",
        parameters=(Parameter("price", "price"),),
        unit="fraction",
        says="the change since a price of {price}",
        example="change_since(60000)",
        bounds=MOVE,
        step=_change_since,
        series=_changes_since,
    ),
    Function(
        name=SINCE_ALERT,
        parameters=(Parameter("price", "price"),),
        unit="fraction",
        says="the change since its last alert (at first since {price})",
        example="change_since_alert(60000)",
        bounds=MOVE,
        step=_change_since,
        series=_changes_since,
    ),
)
