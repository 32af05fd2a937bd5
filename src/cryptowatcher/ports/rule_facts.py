"""What lists of rules tell of each, read for a whole owner at once."""

from __future__ import annotations

from typing import Protocol

from cryptowatcher.domain.rules.now import Fired, Standings


class RuleFactsTx(Protocol):
    """By the rule's id; rules of which there is nothing to tell are left out."""

    def standings(self, owner: str) -> dict[str, Standings]:
        """Where the owner's rules stand."""
        ...

    def fired(self, owner: str) -> dict[str, Fired]:
        """When and how often they fired."""
        ...

    def alerts_of_rules(self, owner: str, since: int) -> dict[str, int]:
        """How many alerts of each there are whose event was then (epoch ms) or later. Notices are left out."""
        ...
