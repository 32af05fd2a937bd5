"""Four simple strategies to begin with. Each is a few rules that say buy or sell, and why somebody believes in it;
whether it was worth anything is said by its score (docs/signals.md), good or bad."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.rules.model import RuleSpec


class Strategy(msgspec.Struct, frozen=True):
    """Conditions with the advice that each gives, and why somebody would believe in them."""

    name: str
    why: str
    signals: tuple[tuple[str, Advice], ...]

    def rules(self, pairs: Sequence[str], *, cooldown: str = "24h") -> list[RuleSpec]:
        """One rule for each condition, on these pairs."""
        return [
            RuleSpec(
                name=f"{self.name}: {advice}", pairs=tuple(pairs), when=when, advice=advice, cooldown=cooldown
            )
            for when, advice in self.signals
        ]


STRATEGIES = (
    Strategy(
        "sharp drop",
        "Falls that are too fast are often forced: positions are closed by the exchange, whatever the price. Once "
        "that is over, those who waited buy.",
        (("change(1h) <= -5%", "buy"),),
    ),
    Strategy(
        "mean reversion",
        "Prices that have gone unusually far from where they were all week tend to come back.",
        (("zscore(7d) < -2.5", "buy"), ("zscore(7d) > 2.5", "sell")),
    ),
    Strategy(
        "moving-average cross",
        "When the mean of the last half day passes that of the last day, a trend may have begun, and trends last.",
        (("ema(12, 1h) crosses above ema(26, 1h)", "buy"), ("ema(12, 1h) crosses below ema(26, 1h)", "sell")),
    ),
    Strategy(
        "breakout",
        "At the highest price of a month nobody who bought within it is at a loss and waits to get out.",
        (("price >= high(30d)", "buy"),),
    ),
)
