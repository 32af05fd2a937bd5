"""What was seen of a pair, as letters."""

from __future__ import annotations

import numpy as np
import pytest

from cryptowatcher.domain.coverage import cells, grid, share
from cryptowatcher.domain.intervals import MS

NOW = 1_800_000_000_000
MINUTE, HOUR = MS["m"], MS["h"]
FIVE = 5 * MINUTE
AT = NOW + 17 * MINUTE  # two minutes into a candle, which is the first of its cell's second third


def of(*candles: tuple[int, int], now: int = AT, current: bool = False, ago: int = 3 * MINUTE) -> str:
    """The last hour and the cell that goes on, from five-minute candles (start, observed). `ago`: how long ago the
    newest price was observed."""
    on = grid(now, 2, 1)
    starts, observed = np.array(candles, np.int64).reshape(-1, 2).T
    return cells(starts, observed, on, now=now, current=current, priced_at=now - ago)


def test_a_day_is_a_hundred_cells_a_week_is_hours_and_many_pairs_are_hours_too() -> None:
    day, week, many = grid(AT, 24, 250), grid(AT, 168, 250), grid(AT, 24, 5_000)
    assert (day.count, day.step, day.interval) == (96, 15 * MINUTE, FIVE)
    assert (week.count, week.step, week.interval) == (168, HOUR, HOUR)
    assert (many.count, many.step) == (24, HOUR)
    for each in (day, week, many):
        assert each.start + (each.count - 1) * each.step <= AT < each.start + each.count * each.step


def test_nothing_is_known_where_there_is_no_candle() -> None:
    assert of() == "." * 8


@pytest.mark.parametrize(
    ("observed", "letter"),
    [((FIVE, FIVE, FIVE), "w"), ((FIVE, FIVE, 0), "t"), ((0, 0, 0), "t"), ((FIVE, FIVE), "p"), ((0,), "p")],
)
def test_a_cell_says_what_its_candles_hold(observed: tuple[int, ...], letter: str) -> None:
    start = NOW - 15 * MINUTE
    assert of(*((start + at * FIVE, each) for at, each in enumerate(observed)))[5] == letter


def test_the_cell_that_goes_on_is_judged_by_what_is_over_of_it() -> None:
    last = [(NOW + 15 * MINUTE - 15 * MINUTE + at * FIVE, FIVE) for at in range(3)]
    assert of(*last, now=NOW + 21 * MINUTE)[-2:] == "w."
    assert of(*last, (NOW + 15 * MINUTE, FIVE), now=NOW + 21 * MINUTE)[-2:] == "ww"


def test_of_what_is_not_stored_yet_the_newest_price_tells() -> None:
    full = [(NOW + at * FIVE, FIVE) for at in range(2)]  # the third ended a moment ago
    assert of(*full, now=AT)[-2:] == "p."
    assert of(*full, now=AT, current=True)[-2:] == "ww"


def test_what_nobody_saw_before_the_first_price_after_it_is_not_called_watched() -> None:
    """That price would have stored the candle, had there been one."""
    assert of(now=AT, current=True, ago=MINUTE)[-2:] == ".w"
    assert of(now=NOW + 21 * MINUTE, current=True, ago=0)[-2:] == ".."


def test_the_share_counts_half_of_what_was_seen_partly() -> None:
    assert share("ww.t") == 0.5
    assert share("wp") == 0.75
    assert share("") == 0.0
