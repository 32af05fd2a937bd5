"""What signals were worth, against plain loops; and no verdict where there is none."""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.scoring import (
    CHANCE,
    FEW,
    FEWEST,
    HORIZONS,
    SHORTEST,
    Score,
    Track,
    after_fees,
    judge,
    moves_after,
    score,
)
from cryptowatcher.domain.ticks import Floats, Ints
from tests.domain.journals import examples

HOUR = 3_600_000
MINUTE = 60_000
ADVICE: tuple[Advice, ...] = ("buy", "sell", "info")


def plain_price(times: list[int], prices: list[float], at: int, oldest: int) -> float | None:
    """The last price at or before, if it is not too old."""
    place = bisect_right(times, at) - 1
    return prices[place] if place >= 0 and at - times[place] <= oldest else None


def plain_move(times: list[int], prices: list[float], at: int, horizon: int, tolerance: int) -> float | None:
    if not times or at + horizon > times[-1]:
        return None
    before = plain_price(times, prices, at, tolerance)
    later = plain_price(times, prices, at + horizon, min(tolerance, horizon // 4))
    return None if before is None or later is None else later / before - 1


def plain_worth(move: float, advice: Advice, fee: float) -> float:
    """One unit of money bought (or sold) and, after the move, sold (or bought back), a fee each time."""
    match advice:
        case "buy":
            return (1 + move) * (1 - fee) - (1 + fee)
        case "sell":
            return (1 - fee) - (1 + move) * (1 + fee)
        case _:
            return move


def known(moves: Floats) -> list[float | None]:
    return [None if math.isnan(move) else move for move in moves.tolist()]


@st.composite
def lines(draw: st.DrawFn) -> tuple[Ints, Floats]:
    """Irregular observations of a pair, with gaps now and then."""
    gaps = draw(st.lists(st.sampled_from([1, 30, 60, 61, 300, 900, 3_600, 90_000]), max_size=40))
    prices = draw(st.lists(st.floats(0.5, 2.0), min_size=len(gaps), max_size=len(gaps)))
    return np.cumsum(gaps).astype(np.int64) * 1_000, np.asarray(prices, np.float64)


HORIZON = st.sampled_from([MINUTE, 10 * MINUTE, HOUR, 24 * HOUR])
TOLERANCE = st.sampled_from([0, MINUTE, 5 * MINUTE, 3 * HOUR])


# --- moves -----------------------------------------------------------------------------------------


@examples(300)
@given(lines(), st.lists(st.integers(-MINUTE, 100 * HOUR), max_size=10), HORIZON, TOLERANCE)
def test_moves_are_those_of_a_plain_search(
    line: tuple[Ints, Floats], at: list[int], horizon: int, tolerance: int
) -> None:
    times, prices = line
    moments = [*at, *times.tolist()]
    found = moves_after(times, prices, np.asarray(moments, np.int64), horizon=horizon, tolerance=tolerance)
    plain = [plain_move(times.tolist(), prices.tolist(), moment, horizon, tolerance) for moment in moments]
    assert known(found) == plain


@examples(100)
@given(lines(), HORIZON, TOLERANCE, st.integers(0, 39))
def test_what_comes_after_the_horizon_changes_no_move(
    line: tuple[Ints, Floats], horizon: int, tolerance: int, cut: int
) -> None:
    """Neither other prices nor none at all, as long as the data reaches so far."""
    times, prices = line
    kept = slice(0, cut + 1)
    whole = moves_after(times, prices, times, horizon=horizon, tolerance=tolerance)
    other = np.where(np.arange(len(times)) > cut, 99.0, prices)
    changed = moves_after(times, other, times, horizon=horizon, tolerance=tolerance)
    ended = moves_after(times[kept], prices[kept], times[kept], horizon=horizon, tolerance=tolerance)
    settled = times + horizon <= times[kept][-1] if len(times) else np.zeros(0, bool)
    np.testing.assert_array_equal(changed[settled], whole[settled])
    np.testing.assert_array_equal(ended[settled[kept]], whole[settled])
    assert np.isnan(ended[~settled[kept]]).all()


def test_the_price_after_the_horizon_is_the_last_one_before_it_and_not_older_than_allowed() -> None:
    times = np.array([0, 50, 61, 200]) * MINUTE
    prices = np.array([1.0, 2.0, 3.0, 4.0])

    def move(tolerance: int, at: int = 0) -> list[float | None]:
        return known(moves_after(times, prices, np.array([at]), horizon=HOUR, tolerance=tolerance))

    assert move(10 * MINUTE) == [1.0]
    assert move(9 * MINUTE) == [None]
    assert move(HOUR, at=20 * MINUTE) == [None], "a price 19 minutes old is none after an hour"


def test_a_horizon_beyond_the_data_is_not_known_although_the_newest_price_is_fresh() -> None:
    times, prices = np.array([0, 50]) * MINUTE, np.array([1.0, 2.0])
    at = np.array([0, -10 * MINUTE])
    early = moves_after(times, prices, np.array([0]), horizon=50 * MINUTE, tolerance=10 * MINUTE)
    assert known(early) == [1.0]
    assert known(moves_after(times, prices, at, horizon=HOUR, tolerance=10 * MINUTE)) == [None, None]


@given(st.floats(-0.99, 10), st.sampled_from(ADVICE), st.sampled_from([0.0, 0.001, 0.02]))
def test_fees_are_paid_on_both_sides(move: float, advice: Advice, fee: float) -> None:
    found = after_fees(np.array([move]), advice, fee)
    assert found.tolist() == [pytest.approx(plain_worth(move, advice, fee), abs=1e-12)]


# --- scores ----------------------------------------------------------------------------------------


def plain_chance(worth: list[float | None], fired: list[int]) -> float:
    """Every place of the pattern in turn."""
    inside = [place for place, value in enumerate(worth) if value is not None]
    worth, fired = worth[inside[0] : inside[-1] + 1], [place - inside[0] for place in fired]
    means = []
    for shift in range(len(worth)):
        there = [value for place in fired if (value := worth[(place + shift) % len(worth)]) is not None]
        if 2 * len(there) >= len(fired):
            means.append(math.fsum(there) / len(there))
    return sum(mean >= means[0] - 1e-9 for mean in means) / len(means)


def plain_apart(at: list[int], horizon: int) -> int:
    count, free = 0, -math.inf
    for time in sorted(at):
        if time >= free:
            count, free = count + 1, time + horizon
    return count


def walk(seed: int, hours: int, *, gaps: bool = False) -> tuple[Ints, Floats]:
    """A price that knows nothing of its past, hour by hour, in calm and wild times."""
    chance = np.random.default_rng(seed)
    mood = np.zeros(hours)
    for hour in range(1, hours):
        mood[hour] = 0.99 * mood[hour - 1] + 0.14 * chance.standard_normal()
    steps = np.clip(chance.standard_t(4, hours) * 0.003 * np.exp(mood), -0.5, 0.5)
    times = np.arange(hours, dtype=np.int64) * HOUR
    seen = chance.random(hours) > 0.2 if gaps else np.full(hours, True)
    return times[seen], np.cumprod(1 + steps)[seen].astype(np.float64)


@pytest.mark.parametrize("advice", ADVICE)
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [90, FEW + 50])
def test_a_score_is_what_plain_loops_give(seed: int, gaps: bool, advice: Advice, count: int) -> None:
    times, prices = walk(seed, 700, gaps=gaps)
    fired = np.sort(np.random.default_rng(seed).choice(times, count, replace=False))
    scored = score(times, prices, fired, advice=advice, horizon=4 * HOUR, tolerance=0, fee=0.002)
    after = {at: plain_move(times.tolist(), prices.tolist(), at, 4 * HOUR, 0) for at in times.tolist()}
    worth = {at: None if move is None else plain_worth(move, advice, 0.002) for at, move in after.items()}
    judged = [at for at in fired.tolist() if after[at] is not None]
    moves = [move for at in judged if (move := after[at]) is not None]
    gains = [gain for at in judged if (gain := worth[at]) is not None]
    every = [move for move in after.values() if move is not None]
    usual = [gain for gain in worth.values() if gain is not None]
    advised = advice != "info"
    assert (scored.firings, scored.apart) == (len(judged), plain_apart(judged, 4 * HOUR))
    assert scored.mean == pytest.approx(sum(moves) / len(moves))
    assert scored.median == pytest.approx(sorted(moves)[len(moves) // 2], abs=0.01)
    assert scored.holding == pytest.approx(sum(every) / len(every))
    if not advised:
        assert (scored.hit_rate, scored.mean_after_fees, scored.chance, scored.beats_random) == (None,) * 4
        return
    assert scored.mean_after_fees == pytest.approx(sum(gains) / len(gains))
    assert scored.hit_rate == pytest.approx(sum(gain > 0 for gain in gains) / len(gains))
    assert scored.usual_hit_rate == pytest.approx(sum(gain > 0 for gain in usual) / len(usual))
    rows = [times.tolist().index(at) for at in judged]
    assert scored.chance == pytest.approx(plain_chance([*worth.values()], rows), abs=1e-12)


def test_pairs_are_shifted_together_and_count_as_often_as_they_fired() -> None:
    moments = np.arange(60 * SHORTEST, dtype=np.int64) * HOUR
    chance = np.random.default_rng(5)
    moves = [chance.normal(drift, 0.01, len(moments)) for drift in (0.0, 0.02)]
    moves[1][:100] = np.nan
    fired = [np.arange(200, 2_000, 50), np.arange(210, 300, 10)]
    tracks = [Track(*each) for each in zip(moves, fired, strict=True)]
    scored = judge(moments, tracks, advice="buy", horizon=HOUR, fee=0.0)
    assert scored.firings == 36 + 9
    means = [float(np.nanmean(each)) for each in moves]
    assert scored.holding == pytest.approx((36 * means[0] + 9 * means[1]) / 45)
    sums = []
    for shift in range(len(moments)):
        there = [each[(rows + shift) % len(moments)] for each, rows in zip(moves, fired, strict=True)]
        sums.append(float(np.nanmean(np.concatenate(there))))
    assert scored.chance == pytest.approx(np.mean(np.array(sums) >= sums[0] - 1e-9))


def test_a_hundred_coins_that_fire_at_once_are_one_signal() -> None:
    moments = np.arange(5_000, dtype=np.int64) * HOUR
    moves = np.random.default_rng(1).normal(0.05, 0.01, len(moments))
    tracks = [Track(moves, np.array([100, 900, 2_000])) for _ in range(100)]
    scored = judge(moments, tracks, advice="buy", horizon=HOUR)
    assert (scored.firings, scored.apart) == (300, 3)
    assert scored.beats_random is None


def test_coins_that_do_the_same_at_the_same_time_make_a_verdict_no_clearer() -> None:
    moments = np.arange(5_000, dtype=np.int64) * HOUR
    moves = np.random.default_rng(1).normal(0.0, 0.01, len(moments))
    fired = np.arange(5, 4_000, 50)
    one = judge(moments, [Track(moves, fired)], advice="buy", horizon=HOUR)
    tracks = [Track(moves, fired), *(Track(moves, fired[::2]) for _ in range(99))]
    many = judge(moments, tracks, advice="buy", horizon=HOUR)
    assert one.clearness is not None
    assert many.clearness == pytest.approx(one.clearness)


def test_places_where_most_of_the_pattern_was_not_observed_are_no_comparison() -> None:
    moments = np.arange(3_000, dtype=np.int64) * HOUR
    moves = np.random.default_rng(8).normal(0.0, 0.01, len(moments))
    moves[500:1_700] = np.nan
    fired = np.arange(2_000, 2_400, 10)
    scored = judge(moments, [Track(moves, fired)], advice="buy", horizon=HOUR, fee=0.0)
    assert scored.chance == pytest.approx(plain_chance(known(moves), fired.tolist()), abs=1e-12)


def test_a_change_after_a_firing_and_its_horizon_leaves_its_worth_alone() -> None:
    times, prices = walk(3, 2_000)
    fired = times[100:1_000:20]
    later = prices.copy()
    later[times > fired[-1] + 24 * HOUR] *= 3
    first, second = (
        score(times, each, fired, advice="buy", horizon=24 * HOUR, tolerance=0) for each in (prices, later)
    )
    assert (first.mean, first.median, first.hit_rate, first.mean_after_fees) == (
        second.mean,
        second.median,
        second.hit_rate,
        second.mean_after_fees,
    )
    assert first.holding != second.holding


# --- verdicts --------------------------------------------------------------------------------------


def planted(advice: Advice, size: float, *, hours: int = 3_000) -> Score:
    """A market in which the hours after each of 60 firings go up by `size`."""
    times, prices = walk(11, hours)
    rows = np.arange(40, hours - 10, hours // 60)
    steps = np.diff(np.log(prices), prepend=0.0)
    for row in rows:
        steps[row + 1] += size
    return score(times, np.exp(np.cumsum(steps)), times[rows], advice=advice, horizon=HOUR, tolerance=0)


def test_a_rule_that_knows_what_comes_is_found_out() -> None:
    scored = planted("buy", 0.02)
    assert scored.beats_random is True
    assert scored.label == "beat random moments on this stretch"
    assert scored.chance is not None
    assert scored.chance <= CHANCE


def test_one_good_stretch_among_many_is_no_skill() -> None:
    """The rule fires for ten days of a rise. There were five rises, and anybody in one of them did as well."""
    hours = np.arange(24 * 300)
    rising = hours // (24 * 30) % 2 == 0
    noise = np.random.default_rng(4).normal(0.0, 0.0005, len(hours))
    prices = np.cumprod(1 + np.where(rising, 0.004, -0.004) + noise).astype(np.float64)
    times = hours.astype(np.int64) * HOUR
    fired = times[24 * 130 : 24 * 140]
    scored = score(times, prices, fired, advice="buy", horizon=HOUR, tolerance=0)
    assert scored.clearness is not None
    assert scored.clearness > 20
    assert scored.beats_random is False


def test_the_same_rule_the_wrong_way_round_does_not_beat_random_moments() -> None:
    scored = planted("sell", 0.02)
    assert scored.beats_random is False
    assert scored.label == "does not beat random moments"


def test_better_than_random_and_still_a_loss_is_said() -> None:
    times, prices = walk(11, 3_000)
    rows = np.arange(40, 2_990, 50)
    steps = np.diff(np.log(prices), prepend=0.0)
    steps[rows + 1] = 0.001
    steps[:] = np.where(np.isin(np.arange(3_000), rows + 1), steps, np.minimum(steps, 0.0005) - 0.0005)
    prices = np.exp(np.cumsum(steps))
    scored = score(times, prices, times[rows], advice="buy", horizon=HOUR, tolerance=0)
    assert scored.beats_random is True
    assert scored.label == "beat random moments on this stretch, but lost after fees"


def test_few_firings_are_too_few_to_say_however_well_they_went() -> None:
    times, prices = walk(2, 3_000)
    best = np.sort(np.argsort(prices[1:] / prices[:-1])[-(FEWEST - 1) :])
    scored = score(times, prices, times[best], advice="buy", horizon=HOUR, tolerance=0)
    assert scored.mean is not None
    assert scored.mean > 0
    assert (scored.beats_random, scored.chance) == (None, None)
    assert scored.label == "19 firings, too few to say"


def test_firings_that_overlap_do_not_make_many_of_few() -> None:
    times, prices = walk(2, 3_000)
    fired = np.concatenate([times[first : first + 10] for first in range(0, 2_850, 150)])
    scored = score(times, prices, fired, advice="buy", horizon=24 * HOUR, tolerance=0)
    assert (scored.firings, scored.apart, scored.beats_random) == (190, 19, None)


def test_a_short_stretch_is_said_to_be_short() -> None:
    times, prices = walk(2, SHORTEST * 24 - 30)
    scored = score(times, prices, times[::40], advice="buy", horizon=24 * HOUR, tolerance=0)
    assert scored.apart >= FEWEST
    assert scored.beats_random is None
    assert scored.label.endswith("on a stretch too short to say: it takes 60d")


@pytest.mark.parametrize("advice", ADVICE)
def test_without_firings_or_data_there_is_no_verdict(advice: Advice) -> None:
    nothing = np.zeros(0, np.int64)
    times, prices = walk(2, 300)
    for scored in (
        score(nothing, np.zeros(0), times[:3], advice=advice, horizon=HOUR, tolerance=0),
        score(times, prices, nothing, advice=advice, horizon=HOUR, tolerance=0),
        score(times, prices, times[-1:], advice=advice, horizon=HOUR, tolerance=0),
        judge(nothing, [], advice=advice, horizon=HOUR),
    ):
        assert (scored.firings, scored.mean, scored.hit_rate, scored.beats_random) == (0, None, None, None)
        assert scored.label == "no firings to judge"


def test_a_price_that_never_moves_proves_nothing() -> None:
    times = np.arange(5_000, dtype=np.int64) * HOUR
    scored = score(times, np.full(5_000, 2.0), times[::50], advice="buy", horizon=HOUR, tolerance=0, fee=0.0)
    assert (scored.chance, scored.beats_random) == (1.0, False)


def test_worthless_rules_look_good_as_rarely_as_is_said() -> None:
    """Rules that fire after sharp falls, where the price knows nothing of its past: the hard case, because they
    fire in wild times."""
    said = good = by_chance = 0
    for seed in range(120):
        times, prices = walk(seed, 24 * 100)
        fell = np.zeros(len(times), bool)
        fell[6:] = prices[6:] / prices[:-6] < 0.97
        fired = times[1:][fell[1:] & ~fell[:-1]]
        for horizon in (HOUR, 24 * HOUR):
            scored = score(times, prices, fired, advice="buy", horizon=horizon, tolerance=0)
            if scored.chance is not None:
                said += 1
                good += scored.beats_random is True
                by_chance += scored.chance <= CHANCE
    assert said >= 150
    assert good / said <= 2 * CHANCE
    assert by_chance > 2 * good, "the second question would have no use"


def test_the_levels_are_what_the_words_promise() -> None:
    assert CHANCE * len(HORIZONS) == pytest.approx(0.05)
    assert round(1 / CHANCE) == SHORTEST
