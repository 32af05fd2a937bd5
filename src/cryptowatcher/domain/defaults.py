"""The rules that everybody has until they change or remove them: what to hear of without having set anything up.

Their conditions and numbers were chosen on recorded data; docs/defaults.md says how, and how noisy they are.
"""

from __future__ import annotations

from cryptowatcher.domain.pairs import pair_of
from cryptowatcher.domain.rules.model import RuleSpec

DOLLARS = (
    "tether", "usd-coin", "usds", "dai", "ethena-usde", "usd1-wlfi", "paypal-usd", "first-digital-usd",
    "ripple-usd", "global-dollar", "true-usd",
)  # fmt: skip
"""Coins (CoinGecko ids) that are meant to be worth a dollar, no more and no less, and are traded a lot: none that
follows another currency, none whose price grows with interest."""

DEFAULT_RULES = (
    RuleSpec(
        name="significant move",
        pairs=("top(25)",),
        when="abs(change(1h)) > 10% or abs(change(1h)) > max(4 * atr(6, 1h) / price, 3%)",
        rearm="20%",
        cooldown="12h",
        # In the first hours what is usual for a coin is unknown, so the rule as a whole is known only once it is
        # true: that is the first observation of it, and must count.
        fire_if_already_true=True,
    ),
    RuleSpec(
        name="depeg",
        pairs=tuple(pair_of(coin, "usd") for coin in DOLLARS),
        when="abs(price - 1) > 0.5%",
        for_="5m",
        rearm="20%",
        cooldown="24h",
        # One that is off already when the watcher first sees it is worth a message too.
        fire_if_already_true=True,
    ),
)
