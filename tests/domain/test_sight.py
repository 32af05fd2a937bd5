"""What a source can see, when the clock that measures it is set."""

from __future__ import annotations

import pytest

from cryptowatcher.domain.sight import Sight

MINUTE = 60_000
HOUR = 60 * MINUTE
NOW = 1_795_000_000_000


def seen(now: int) -> Sight:
    """A source that answered well now."""
    sight = Sight("market", valid_for=3 * MINUTE, now=now)
    sight.saw(["a/usd"], [], held=0, now=now)
    sight.round_over(now)
    assert sight.status(now).state == "ok"
    return sight


@pytest.mark.parametrize("step", [HOUR, -HOUR, 9_000 * HOUR, -9_000 * HOUR])
def test_a_source_without_usable_answers_is_blind_however_the_clock_was_set(step: int) -> None:
    sight, now = seen(NOW), NOW + step
    for _ in range(5):
        now += MINUTE
        sight.saw([], [("a/usd", "future")], held=0, now=now)
        sight.round_over(now)
    status = sight.status(now)
    assert (status.state, status.reason, status.pairs) == ("blind", "future", 0)
    assert [pair.pair for pair in status.blind_pairs] == ["a/usd"]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_the_first_good_answer_after_the_clock_was_set_right_ends_it(step: int) -> None:
    sight = seen(NOW)
    sight.status(NOW + step)
    now = NOW + 2 * MINUTE
    sight.saw(["a/usd"], [], held=0, now=now)
    sight.round_over(now)
    assert sight.status(now).state == "ok"
