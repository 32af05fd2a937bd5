"""When a rule may speak: mistakes word for word, limits, and weeks in which clocks skip a stretch."""

from __future__ import annotations

import sys
import zoneinfo
from collections.abc import Callable, Iterator

import pytest

from cryptowatcher.domain.hours import (
    TimeOfDay,
    expired,
    parse_expires,
    parse_hours,
    parse_moment,
    parse_quiet,
    parse_time_of_day,
    parse_until,
    renewed,
    show_moment,
)
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError

WRITE = "write mon-fri 08:00-22:00 Europe/Berlin, several with ; between"
WHEN = "write a date, 2027-01-31, or a UTC time, 2027-01-31T12:00Z"
HOW_LONG = "write how long, 1h or 2d, or until when, 2027-01-31T12:00Z"
NEVER = "nothing but urgent alerts would ever be sent"
AGAIN = "write daily 08:00 or weekly mon 08:00"
NOW = parse_moment("2026-11-22")


def spec(expires: str = "") -> RuleSpec:
    return RuleSpec(name="mine", pairs=("all",), when="price > 1", expires=expires)


def time_of_day(text: str, zone: str = "UTC") -> TimeOfDay:
    return parse_time_of_day(text, zone=zone, where="summary")


@pytest.mark.parametrize(
    ("read", "message", "where", "hint"),
    [
        (lambda: parse_hours("x" * 501), "active hours have at most 500 characters", "active", WRITE),
        (
            lambda: parse_hours(";".join(["08:00-09:00"] * 21), where="hours"),
            "at most 20 stretches of active hours",
            "hours",
            "",
        ),
        (lambda: parse_hours("8-22"), "'8-22' is not active hours", "active", WRITE),
        (
            lambda: parse_hours("08:00-08:00"),
            "'08:00-08:00' begins where it ends",
            "active",
            "the whole day is 00:00-24:00",
        ),
        (
            lambda: parse_hours("24:00-08:00"),
            "'24:00-08:00' begins at 24:00",
            "active",
            "write 00:00 and the day after",
        ),
        (lambda: parse_hours("08:00-24:01"), "'24:01' is not a time of day", "active", "write 00:00 to 24:00"),
        (
            lambda: parse_hours("sat,mon-wed-fri 08:00-09:00"),
            "'mon-wed-fri' are not days",
            "active",
            "write mon-fri, or sat,sun",
        ),
        (
            lambda: parse_hours("mox 08:00-09:00"),
            "'mox' is not a day",
            "active",
            "days are: mon, tue, wed, thu, fri, sat, sun",
        ),
        (
            lambda: parse_hours("08:00-09:00 berlin"),
            "there is no time zone 'berlin'",
            "active",
            "did you mean Europe/Berlin?",
        ),
        (
            lambda: parse_hours("08:00-09:00 Qqqqqqqq"),
            "there is no time zone 'Qqqqqqqq'",
            "active",
            "write a place like Europe/Berlin, or UTC",
        ),
        (lambda: parse_moment("soon"), "'soon' is not a time", "", WHEN),
        (lambda: parse_moment("2027-13-01"), "'2027-13-01' is not a time: month must be in 1..12", "", WHEN),
        (lambda: parse_expires("soon"), "'soon' is not a time", "expires", WHEN),
        (lambda: parse_until("soon", now=NOW), "'soon' is neither a duration nor a time", "", HOW_LONG),
        (
            lambda: parse_until("y" * 50, now=NOW, where="snooze"),
            f"{'y' * 40!r} is neither a duration nor a time",
            "snooze",
            HOW_LONG,
        ),
        (
            lambda: parse_until("2026-11-22", now=NOW),
            "'2026-11-22' is over already",
            "",
            "name a time that is to come",
        ),
        (
            lambda: renewed(spec(), now=NOW, lasting=1),
            "the rule 'mine' has no end",
            "",
            "only a rule that expires is renewed",
        ),
        (
            lambda: renewed(spec("2027-01-31"), now=NOW, lasting=0),
            "must be longer than nothing",
            "for",
            "write 30d, for example",
        ),
        (lambda: expired(spec("soon"), NOW), "'soon' is not a time", "expires", WHEN),
        (
            lambda: parse_until("2026-11-22T00:00Z", now=NOW, where="snooze"),
            "'2026-11-22T00:00Z' is over already",
            "snooze",
            "name a time that is to come",
        ),
        (
            lambda: parse_until("9999-12-31", now=NOW, where="snooze"),
            "'9999-12-31' is too far away",
            "snooze",
            "name a time within a hundred years",
        ),
        (lambda: parse_moment("2" * 600), f"{'2' * 500!r} is not a time", "", WHEN),
        (
            lambda: renewed(spec("2027-01-31"), now=NOW, lasting=-1, where="lasting"),
            "must be longer than nothing",
            "lasting",
            "write 30d, for example",
        ),
        (lambda: parse_quiet("00:00-24:00"), "'00:00-24:00' never ends", "quiet", NEVER),
        (lambda: parse_quiet("8-22", where="owner.quiet"), "'8-22' is not active hours", "owner.quiet", WRITE),
        (lambda: time_of_day("hourly"), "'hourly' is not a time to come again and again", "summary", AGAIN),
        (lambda: time_of_day("h" * 600), f"{'h' * 40!r} is not a time to come again and again", "summary", AGAIN),
        (lambda: time_of_day("daily 24:00"), "'24:00' is the next day", "summary", "write 00:00"),
        (lambda: time_of_day("daily 08:60"), "'08:60' is not a time of day", "summary", "write 00:00 to 24:00"),
        (
            lambda: time_of_day("weekly moo 08:00"),
            "'moo' is not a day",
            "summary",
            "days are: mon, tue, wed, thu, fri, sat, sun",
        ),
        (
            lambda: time_of_day("daily 08:00", "berlin"),
            "there is no time zone 'berlin'",
            "summary",
            "did you mean Europe/Berlin?",
        ),
    ],
)
def test_every_mistake_is_said_with_its_place_and_what_to_write(
    read: Callable[[], object], message: str, where: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read()
    assert (caught.value.message, caught.value.where, caught.value.hint) == (message, where, hint)


@pytest.fixture
def no_zones(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without tables of time zones."""
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=())
    yield
    zoneinfo.reset_tzpath()


@pytest.mark.usefixtures("no_zones")
def test_a_machine_without_tables_of_time_zones_is_told_what_to_install() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_hours("08:00-09:00 Nowhere/Ever")
    assert (caught.value.message, caught.value.where, caught.value.hint) == (
        "this machine knows no time zones",
        "active",
        "install the tables of time zones: the system's package tzdata, or `pip install tzdata`",
    )


def test_what_is_as_long_as_allowed_is_read() -> None:
    assert parse_hours("08:00-09:00".ljust(500)) == parse_hours("08:00-09:00")
    assert len(parse_hours(";".join(["08:00-09:00"] * 20)).spans) == 20


def test_days_may_go_over_the_weekend_and_none_means_all() -> None:
    assert parse_hours("fri-mon 08:00-09:00") == parse_hours("fri,sat,sun,mon 08:00-09:00")
    assert parse_hours("08:00-09:00") == parse_hours("mon-sun 08:00-09:00")


def test_the_night_of_a_sunday_ends_on_monday() -> None:
    nights = parse_hours("sun 22:00-06:00")
    monday = parse_moment("2026-11-23T05:59Z")
    assert nights.active(monday)
    assert not nights.active(monday + 60_000)


@pytest.mark.parametrize(
    ("active", "at", "wanted"),
    [
        # The next one is skipped by the clocks, so it is two weeks from the last.
        ("sun 02:15-02:45 Europe/Berlin", "2026-03-22T02:00Z", "2026-04-05T00:15Z"),
        ("fri 08:00-10:00 Pacific/Apia", "2011-12-23T23:00Z", "2012-01-05T18:00Z"),
    ],
)
def test_a_stretch_that_the_clocks_skip_comes_a_week_later(active: str, at: str, wanted: str) -> None:
    assert show_moment(parse_hours(active).next_active(parse_moment(at))) == wanted


def test_a_renewal_by_a_moment_is_one_to_the_next_minute() -> None:
    assert renewed(spec("2026-11-01"), now=NOW, lasting=1).expires == "2026-11-22T00:01Z"


def test_nobody_is_silent_for_ages() -> None:
    with pytest.raises(ConfigError, match="too far away"):
        parse_until("9999-12-31T23:59Z", now=1_722_816_000_000)


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "zone", "at", "last", "following"),
    [
        ("daily 08:00", "UTC", "2026-11-22T07:59Z", "2026-11-21T08:00Z", "2026-11-22T08:00Z"),
        ("daily 08:00", "UTC", "2026-11-22T08:00Z", "2026-11-22T08:00Z", "2026-11-23T08:00Z"),
        ("Daily 8:05", "UTC", "2026-11-22T23:59Z", "2026-11-22T08:05Z", "2026-11-23T08:05Z"),
        ("daily 08:00", BERLIN, "2026-11-22T06:59Z", "2026-11-21T07:00Z", "2026-11-22T07:00Z"),
        ("daily 00:00", "Asia/Tokyo", "2026-11-22T15:00Z", "2026-11-22T15:00Z", "2026-11-23T15:00Z"),
        ("daily 23:30", "America/New_York", "2026-11-22T04:29Z", "2026-11-21T04:30Z", "2026-11-22T04:30Z"),
        ("weekly mon 08:00", "UTC", "2026-11-22T12:00Z", "2026-11-16T08:00Z", "2026-11-23T08:00Z"),
        ("weekly MON 08:00", "UTC", "2026-11-23T08:00Z", "2026-11-23T08:00Z", "2026-11-30T08:00Z"),
        # Put forward at 01:00 UTC past 02:30, which is read as the moment of that change.
        ("daily 02:30", BERLIN, "2026-03-29T00:30Z", "2026-03-28T01:30Z", "2026-03-29T01:00Z"),
        ("weekly sun 02:30", BERLIN, "2026-03-30T00:00Z", "2026-03-29T01:00Z", "2026-04-05T00:30Z"),
        # Put back at 01:00 UTC: of the two the first counts.
        ("daily 02:30", BERLIN, "2026-10-25T00:29Z", "2026-10-24T00:30Z", "2026-10-25T00:30Z"),
        ("daily 02:30", BERLIN, "2026-10-25T01:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"),
        # There was no such Friday.
        ("weekly fri 08:00", "Pacific/Apia", "2011-12-23T18:00Z", "2011-12-23T18:00Z", "2011-12-30T10:00Z"),
    ],
)
def test_a_time_comes_again_where_a_calendar_has_it(
    text: str, zone: str, at: str, last: str, following: str
) -> None:
    times, moment = time_of_day(text, zone), parse_moment(at)
    assert (show_moment(times.last(moment)), show_moment(times.next(moment))) == (last, following)


def test_quiet_hours_without_a_place_are_those_of_the_zone_that_is_given() -> None:
    assert parse_quiet("22:00-06:00", zone=BERLIN) == parse_hours(f"22:00-06:00 {BERLIN}")
    assert parse_quiet("22:00-06:00") == parse_hours("22:00-06:00 UTC")
    assert parse_quiet("22:00-06:00 UTC", zone=BERLIN) == parse_hours("22:00-06:00")


def test_a_silence_may_last_a_hundred_years_and_not_more() -> None:
    century = NOW + 100 * 366 * 86_400_000
    assert parse_until(show_moment(century), now=NOW) == century
    with pytest.raises(ConfigError, match="too far away"):
        parse_until(show_moment(century + 60_000), now=NOW)
