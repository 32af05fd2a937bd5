"""What the price did after an alert: an hour, a day and a week later."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.scoring import FEE, HORIZONS, after_fees, price_at
from cryptowatcher.domain.signals import TOLERANCE, Closes
from cryptowatcher.domain.texts import observed_at

OutcomeState = Literal["known", "waiting", "unknown"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The price one horizon after an alert.

    after: the horizon, ms · at: when it ends, epoch ms
    state: `waiting`: that time has not come · `unknown`: the pair was not observed then, or that is forgotten
    price, move: at that time, and since the alert as a fraction; None unless known
    worth: of following its advice, after fees; None where it gave none
    """

    after: int
    at: int
    state: OutcomeState
    price: float | None = None
    move: float | None = None
    worth: float | None = None


def price_by(closes: Closes, pair: str, end: int) -> float | None:
    """The last price at or before a time (epoch ms), by minute candles; None where it was not observed then."""
    ends, prices = closes(pair, MS["m"], end - TOLERANCE - MS["m"], end - MS["m"] + 1)
    price = price_at(ends, prices, np.array([end]), TOLERANCE).item()
    return None if math.isnan(price) else price


def outcomes(alert: Alert, closes: Closes, *, seen: int, now: int) -> list[Outcome]:
    """One for each horizon.

    seen: when its pair was observed last, epoch ms: the last candle before a horizon's end is whole only then
    """
    return [_outcome(alert, closes, horizon, seen=seen, now=now) for horizon in HORIZONS]


def outcomes_of(
    alerts: Iterable[Alert], closes: Closes, *, seen: dict[str, int], now: int
) -> dict[str, list[Outcome]]:
    """Those of several alerts by their ids. `seen`: by pair, as in `outcomes`."""
    return {each.id: outcomes(each, closes, seen=seen.get(each.pair, 0), now=now) for each in alerts}


def _outcome(alert: Alert, closes: Closes, horizon: int, *, seen: int, now: int) -> Outcome:
    end = observed_at(alert) + horizon
    if now < end or (seen < end and now < end + TOLERANCE):
        return Outcome(after=horizon, at=end, state="waiting")
    price = price_by(closes, alert.pair, end) if seen >= end else None
    if price is None:
        return Outcome(after=horizon, at=end, state="unknown")
    move = price / alert.price - 1
    advised = alert.advice != "info"
    worth = after_fees(np.array([move]), alert.advice, FEE).item() if advised else None
    return Outcome(after=horizon, at=end, state="known", price=price, move=move, worth=worth)
