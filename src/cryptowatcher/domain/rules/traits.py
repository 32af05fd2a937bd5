"""What makes rules simple enough to be dealt with many at once, by columns."""

from __future__ import annotations

from typing import Final

from cryptowatcher.domain.rules.kinds import Kind

QUIET: Final = 1
"""Arming it never fires it, and it does not end."""
SILENT: Final = 2
"""It does not end, and nobody is told when its condition is over."""
AT_ONCE: Final = 4
"""It does not end, its condition need not hold for a while, and its constants stay where they are."""


def traits_of(kind: Kind) -> int:
    """Of all rules of a kind: the sum of those that they have."""
    rule, spec = kind.rule, kind.spec
    if rule.expires:
        return 0
    return (
        (0 if spec.resolved else SILENT)
        | (0 if spec.fire_if_already_true else QUIET)
        | (0 if rule.hold or rule.reanchors else AT_ONCE)
    )
