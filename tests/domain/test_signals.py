"""A rule's score from its signals and the candles that were kept."""

from __future__ import annotations

import numpy as np
import pytest

from cryptowatcher.domain import signals as module
from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.scoring import HORIZONS, score
from cryptowatcher.domain.signals import Signal, rule_score, signal_of
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.testing.contracts.store_case import sample_alert

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BEGIN = 1_722_816_000_000
FIVE = 5 * MINUTE


class Market:
    """Candles of some pairs, and how many of them were asked for."""

    def __init__(self, days: int, *pairs: str, seed: int = 1) -> None:
        self.minutes = {pair: self._walk(np.random.default_rng([seed, n]), days) for n, pair in enumerate(pairs)}
        self.asked = 0

    def _walk(self, chance: np.random.Generator, days: int) -> Floats:
        steps = np.clip(chance.standard_t(4, days * 1440) * 0.0005, -0.1, 0.1)
        return np.cumprod(1 + steps).astype(np.float64)

    def price(self, pair: str, at: int) -> float:
        """The close of the minute that ends then."""
        return self.minutes[pair].item((at - BEGIN) // MINUTE - 1)

    def closes(self, pair: str, interval: int, start: int, end: int) -> tuple[Ints, Floats]:
        ends = np.arange(BEGIN + interval, BEGIN + len(self.minutes[pair]) * MINUTE + 1, interval)
        inside = (ends - interval >= start) & (ends - interval < end)
        self.asked += int(inside.sum())
        return ends[inside], self.minutes[pair][(ends[inside] - BEGIN) // MINUTE - 1]

    def signal(self, pair: str, at: int, horizon: int, advice: Advice = "buy", version: int = 1) -> Signal:
        later, price = self.price(pair, at + horizon), self.price(pair, at)
        move = later / price - 1
        return Signal(
            rule="r1",
            version=version,
            alert=f"{at}",
            horizon=horizon,
            pair=pair,
            advice=advice,
            at=at,
            price=price,
            later=later,
            move=move,
            move_after_fees=move,
            fee=0.001,
            scored_at=0,
        )


def test_a_signal_is_worth_what_came_after_it_was_known() -> None:
    alert = sample_alert(1)
    signal = signal_of(alert, alert.price * 1.1, horizon=HOUR, now=7)
    assert (signal.move, signal.move_after_fees) == pytest.approx((0.1, 0.1 - 0.001 * 2.1))
    assert (signal.at, signal.alert, signal.scored_at) == (alert.event_time, alert.id, 7)


def test_of_one_pair_it_is_the_score_of_a_preview() -> None:
    """Where signals come at the ends of candles both see the same prices, but for the stretch."""
    market = Market(40, "a/usd")
    every = np.arange(BEGIN + HOUR, BEGIN + 31 * DAY, 7 * HOUR)
    scored = rule_score("r1", 1, "buy", [market.signal("a/usd", at, HOUR) for at in every.tolist()], market.closes)
    ends, prices = market.closes("a/usd", FIVE, every.item(0) - FIVE, every.item(-1) + HOUR + FIVE)
    whole = score(ends, prices, every, advice="buy", horizon=HOUR, tolerance=FIVE)
    assert scored.scores[0] == whole
    assert (scored.first, scored.last) == (every.item(0), every.item(-1))
    assert [each.horizon for each in scored.scores] == list(HORIZONS)
    assert [each.firings for each in scored.scores[1:]] == [0, 0]


def test_moves_are_those_that_were_kept_and_not_those_of_candles() -> None:
    market = Market(10, "a/usd")
    signals = [market.signal("a/usd", BEGIN + DAY + n * 67 * MINUTE, HOUR, "sell") for n in range(60)]
    scored = rule_score("r1", 1, "sell", signals, market.closes).scores[0]
    moves = [signal.move for signal in signals]
    assert scored.mean == pytest.approx(sum(moves) / 60)
    assert scored.hit_rate == pytest.approx(sum(-move - 0.001 * (2 + move) > 0 for move in moves) / 60)
    assert scored.beats_random is not None


def test_the_close_before_a_signal_is_never_what_could_be_had_for() -> None:
    """The price jumps right before each signal and then stands: who could buy before would win each time."""
    market = Market(12, "a/usd")
    jumps = [BEGIN + DAY + n * 3 * HOUR + 2 * MINUTE for n in range(60)]
    flat = np.ones(len(market.minutes["a/usd"]))
    flat[[(at - BEGIN) // MINUTE - 1 for at in jumps]] = 1.02
    market.minutes["a/usd"] = np.cumprod(flat).astype(np.float64)
    signals = [market.signal("a/usd", at, HOUR) for at in jumps]
    scored = rule_score("r1", 1, "buy", signals, market.closes).scores[0]
    assert scored.mean == pytest.approx(0.0, abs=1e-12)
    assert scored.beats_random is False


def test_signals_from_before_the_rule_gave_this_advice_do_not_count() -> None:
    market = Market(10, "a/usd")
    signals = [market.signal("a/usd", BEGIN + DAY + n * HOUR, HOUR, ("buy", "sell")[n % 2]) for n in range(10)]
    assert rule_score("r1", 1, "sell", signals, market.closes).scores[0].firings == 5
    assert rule_score("r1", 1, "info", signals, market.closes).first is None


def test_without_signals_nothing_is_read() -> None:
    market = Market(2, "a/usd")
    scored = rule_score("r1", 1, "buy", [], market.closes)
    assert (scored.first, scored.last, market.asked) == (None, None, 0)
    assert [each.label for each in scored.scores] == ["no firings to judge"] * 3


def test_of_very_many_pairs_only_the_newest_signals_are_judged() -> None:
    pairs = [f"c{number}/usd" for number in range(80)]
    market = Market(40, *pairs)
    signals = [market.signal(pair, BEGIN + DAY + 12 * HOUR * n, HOUR) for n in range(60) for pair in pairs]
    scored = rule_score("r1", 1, "buy", signals, market.closes).scores[0]
    assert market.asked <= 1.1 * module.MOST_PRICES
    assert 0 < scored.firings < len(signals)
    assert scored.apart * len(pairs) == scored.firings
