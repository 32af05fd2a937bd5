"""Which pairs cannot be seen now, and when the disk will be full."""

from __future__ import annotations

import pytest

from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.retention import Retention
from cryptowatcher.domain.standing import BlindNow, full_in, journal_to_come, sighting
from cryptowatcher.domain.status import BlindPair, Price, SourceState, SourceStatus

NOW = 1_800_000_000_000
HOUR, DAY = MS["h"], MS["d"]
GB = 10**9
KEEP = Retention(journal=7 * DAY, journal_size=10 * GB)


def price(pair: str, *, age: int) -> Price:
    at = NOW - age
    return Price(
        pair=pair,
        price=1.0,
        volume_24h=None,
        market_cap=None,
        observed_at=at,
        received_at=at,
        valid_until=at + 5 * MS["m"],
        source="coingecko",
        seq=1,
    )


def status(state: SourceState = "ok", *blind: BlindPair, reason: str = "") -> SourceStatus:
    return SourceStatus(source="coingecko", state=state, reason=reason, since=NOW, blind_pairs=blind)


def test_a_pair_is_blind_while_its_newest_price_does_not_count() -> None:
    prices = [price("here/usd", age=HOUR // 20), price("b/usd", age=HOUR), price("a/usd", age=2 * HOUR)]
    found = sighting(prices, [status("ok", BlindPair("b/usd", "held", NOW - 1))], NOW)
    assert (found.current, found.left) == (1, 0)
    assert found.blind == [
        BlindNow("a/usd", NOW - 2 * HOUR, "not_listed", "coingecko"),
        BlindNow("b/usd", NOW - HOUR, "held", "coingecko"),
    ]


def test_a_pair_that_never_had_a_price_is_blind_if_its_source_names_it() -> None:
    found = sighting([], [status("ok", BlindPair("new/usd", "missing", NOW - HOUR))], NOW)
    assert found.blind == [BlindNow("new/usd", NOW - HOUR, "missing", "coingecko")]


def test_what_left_the_list_days_ago_is_missed_no_more() -> None:
    prices = [price("gone/usd", age=2 * DAY), price("wanted/usd", age=2 * DAY)]
    found = sighting(prices, [status("ok", BlindPair("wanted/usd", "missing", NOW))], NOW)
    assert ([each.pair for each in found.blind], found.left) == (["wanted/usd"], 1)


def test_of_a_source_that_is_blind_as_a_whole_all_pairs_say_why_it_is() -> None:
    found = sighting([price("a/usd", age=HOUR)], [status("blind", reason="rate_limited")], NOW)
    assert [each.reason for each in found.blind] == ["rate_limited"]


def test_the_journal_grows_to_its_age_or_to_its_size() -> None:
    assert journal_to_come(GB, DAY, KEEP) == 6 * GB
    assert journal_to_come(5 * GB, DAY, KEEP) == 5 * GB
    assert journal_to_come(GB, MS["m"], KEEP) == 0.0, "a minute tells nothing"


@pytest.mark.parametrize(
    ("free", "store_a_day", "days"),
    [
        (3 * GB, 0.0, 3),  # the journal takes a GB a day, for six more days
        (8 * GB, 0.0, None),  # and then no more
        (8 * GB, 1.0 * GB, 4),
        (20 * GB, 1.0 * GB, 14),
        (20 * GB, 0.001 * GB, None),  # not in years
    ],
)
def test_the_disk_is_full_when_journal_and_store_have_taken_it(
    free: int, store_a_day: float, days: int | None
) -> None:
    found = full_in(free, journal=GB, span=DAY, keep=KEEP, store_a_day=store_a_day)
    assert found == (None if days is None else days * DAY)
