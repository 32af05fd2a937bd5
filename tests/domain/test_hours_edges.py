"""When a rule may speak: mistakes word for word, limits, and weeks in which clocks skip a stretch."""

from __future__ import annotations

import sys
import zoneinfo
from collections.abc import Callable, Iterator

import pytest

from cryptowatcher.domain.hours import (
    expired,
    parse_expires,
    parse_hours,
    parse_moment,
    parse_until,
    renewed,
    show_moment,
)
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError

WRITE = "write mon-fri 08:00-22:00 Europe/Berlin, several with ; between"
WHEN = "write a date, 2027-01-31, or a UTC time, 2027-01-31T12:00Z"
HOW_LONG = "write how long, 1h or 2d, or until when, 2027-01-31T12:00Z"
NOW = parse_moment("2026-11-22")


def spec(expires: str = "") -> RuleSpec:
    return RuleSpec(name="mine", pairs=("all",), when="price > 1", expires=expires)


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
