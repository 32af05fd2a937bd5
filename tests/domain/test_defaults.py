"""The default rules: what they tell of, and what they keep to themselves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cryptowatcher.domain.defaults import DEFAULT_RULES, DOLLARS
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.pairs import check_pair
from cryptowatcher.domain.records import Record, Ticks
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleChange, rule_id
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import Watcher

BEGIN = 1_704_067_200_000  # 2024-01-01T00:00:00Z
MINUTE, HOUR = MS["m"], MS["h"]
EVERY = 2 * MINUTE
COINS = ("tether/usd", "usd-coin/usd", *(f"coin-{number}/usd" for number in range(38)))
"""By market cap, largest first; only 25 of them are among the largest 25."""


class Watched:
    """A watcher that was started at `BEGIN` and has no rules but the default ones."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.usual = np.ones(len(COINS))
        self._seq = 0
        self._watcher = Watcher(candles=False)
        for number, spec in enumerate(DEFAULT_RULES, start=1):
            rule = Rule(
                id=rule_id(LOCAL_OWNER, spec.name), owner=LOCAL_OWNER, version=1, spec=spec, origin="default"
            )
            change = RuleChange(
                number=number, rule_id=rule.id, owner=LOCAL_OWNER, head=0, saved_at=BEGIN, rule=rule
            )
            self._watcher.take_up(change, 0)

    def until(self, hours: float) -> list[tuple[str, str]]:
        """Watch until so long after the beginning, and then on. Of whom (rule, pair) it told."""
        told = []
        while self.now < BEGIN + hours * HOUR:
            self.now += EVERY
            self._seq += 1
            self._watcher.step(
                Record(seq=self._seq, at=self.now, writer="w", number=self._seq, body=self._ticks())
            )
            told += [(alert.rule_name, alert.pair) for alert in self._watcher.effects().alerts]
        return told

    def move(self, moves: Mapping[str, float]) -> None:
        """From now on these coins are worth so many times what they were."""
        for coin, times in moves.items():
            self.usual[COINS.index(coin)] *= times

    def _ticks(self) -> Ticks:
        prices = self.usual * (1 + breath(self.now))
        caps = (1e12 / np.arange(1.0, len(COINS) + 1)).tolist()
        return Ticks(
            one_instant(dict(zip(COINS, prices.tolist(), strict=True)), observed_at=self.now, market_cap=caps)
        )


def breath(at: int) -> np.ndarray:
    """How far each coin is from where it usually is, on a calm day: half a percent, and dollars a tenth."""
    place = np.arange(len(COINS))
    size = np.where(place < 2, 0.001, 0.005)
    return size * (np.sin(at / (600_000 + 60_000 * place)) * 0.7 + np.sin(at / (90_000 + 7_000 * place)) * 0.3)


def test_each_is_a_rule_with_nothing_wrong_and_names_coins_once() -> None:
    for spec in DEFAULT_RULES:
        check_spec(spec)
    assert len({spec.name for spec in DEFAULT_RULES}) == len(DEFAULT_RULES)
    assert len(set(DOLLARS)) == len(DOLLARS)
    assert all(check_pair(f"{coin}/usd") for coin in DOLLARS)


def test_on_a_calm_day_nothing_is_told() -> None:
    assert Watched().until(24) == []


def test_a_coin_that_jumps_after_a_calm_night_is_told_once() -> None:
    watched = Watched()
    watched.until(9)
    watched.move({"coin-3/usd": 1.06, "coin-30/usd": 1.06})  # the second is not among the largest
    assert watched.until(20) == [("significant move", "coin-3/usd")]


def test_what_is_much_for_one_coin_is_usual_for_another() -> None:
    watched = Watched()
    for hour in range(10):
        watched.move({"coin-5/usd": 1.03 if hour % 2 else 1 / 1.03})
        watched.until(hour + 1)
    watched.move({"coin-3/usd": 1.06, "coin-5/usd": 1.06})
    assert watched.until(11) == [("significant move", "coin-3/usd")]


def test_in_the_first_hours_only_a_move_that_is_large_for_any_coin_is_told() -> None:
    watched = Watched()
    watched.until(2)
    watched.move({"coin-3/usd": 1.06, "coin-4/usd": 0.85})
    assert watched.until(6) == [("significant move", "coin-4/usd")]
    watched.until(16)
    watched.move({"coin-3/usd": 1.06, "coin-4/usd": 1.06})
    told = watched.until(17)
    assert sorted(told) == [("significant move", "coin-3/usd"), ("significant move", "coin-4/usd")]


def test_a_dollar_that_trembles_says_nothing_and_one_that_leaves_is_told_once() -> None:
    watched = Watched()
    watched.until(9)
    watched.move({"usd-coin/usd": 0.985})  # many times what is usual for it, and not news of another kind
    assert watched.until(9 + 4 / 60) == []  # for some minutes anybody may be wrong
    assert watched.until(11) == [("depeg", "usd-coin/usd")]


def test_a_dollar_that_is_off_when_it_is_first_seen_is_told() -> None:
    watched = Watched()
    watched.move({"tether/usd": 0.97})
    assert watched.until(1) == [("depeg", "tether/usd")]


def test_a_crash_of_the_whole_market_is_a_message_for_each_of_the_largest_at_most() -> None:
    watched = Watched()
    told = watched.until(9)
    for hour in range(6):
        watched.move(dict.fromkeys(COINS[2:], 0.9))
        told += watched.until(10 + hour)
    assert len(told) == len({pair for _, pair in told}) == 23  # and the two dollars are still worth one
