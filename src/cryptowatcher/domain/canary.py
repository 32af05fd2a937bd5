"""The canary: a price of the watcher's own, and a rule of its own on it, that go the way of every price and every
rule once a minute. That an alert of this rule comes out at the end says that the whole way is open.

People never see it: the pair belongs to no rule on `all` pairs and has neither a shown price nor candles, and the
rule, its alerts and their deliveries belong to an owner who is nobody.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.rules.model import RuleSpec

SYSTEM_OWNER: Final = "system"
"""Owns what the watcher itself watches; no person is called so."""

NAME: Final = "canary"
"""Of its source, of its rule and of the channel at the end of its way."""

LOW: Final = 1.0
HIGH: Final = 1.2
"""The canary's price goes up and down between these; the guard holds jumps of more than half."""

RULE: Final = RuleSpec(name=NAME, pairs=(CANARY,), when="price crosses above 1.1", channels=(NAME,))
"""Fires each time the price goes up."""


class CanaryRounds(msgspec.Struct, frozen=True):
    """every: ms between two rounds; tells: whether a service outside is told of each"""

    every: int
    tells: bool
