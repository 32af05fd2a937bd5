"""What a rate lets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.rates import Bucket, Rate, parse_rate
from cryptowatcher.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/m", Rate(20, 60_000)),
        ("1/s", Rate(1, 1_000)),
        ("5/2s", Rate(5, 2_000)),
        (" 3 / 2 h", Rate(3, 7_200_000)),
    ],
)
def test_people_write_rates_like_this(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "20", "0/m", "20/d", "-1/s", "1.5/s", "1/0s", "9" * 9 + "/s", "٣/m"])
def test_what_is_no_rate_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a rate") as caught:
        parse_rate(text, where="channels.ops.rate")
    assert caught.value.where == "channels.ops.rate"


@given(
    st.builds(Rate, st.integers(1, 50), st.integers(100, 60_000)),
    st.lists(st.floats(0, 30), min_size=1, max_size=200),
)
def test_no_more_go_than_the_rate_and_one_rest_allow(rate: Rate, steps: list[float]) -> None:
    bucket, now, gone = Bucket(rate), 1_000.0, []
    for step in steps:
        now += step
        if bucket.wait(now) == 0:
            bucket.take(now)
            gone.append(now)
    for first, begin in enumerate(gone):
        for number, end in enumerate(gone[first:], start=1):
            allowed = rate.count + (end - begin) * 1_000 * rate.count / rate.per
            assert number <= allowed + 1e-6


@given(st.builds(Rate, st.integers(1, 50), st.integers(100, 60_000)), st.integers(1, 100))
def test_whoever_waits_as_long_as_it_says_may_go(rate: Rate, many: int) -> None:
    bucket, now = Bucket(rate), 5.0
    for _ in range(many):
        now += bucket.wait(now) * (1 + 1e-9) + 1e-9
        assert bucket.wait(now) == 0
        bucket.take(now)
