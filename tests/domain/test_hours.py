"""When a rule may speak: against a clock on a wall that is read minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryptowatcher.domain.hours import (
    DAYS,
    Hours,
    expired,
    parse_expires,
    parse_hours,
    parse_moment,
    parse_quiet,
    parse_until,
    renewed,
    show_moment,
)
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError

MINUTE = 60_000
HOUR = 60 * MINUTE
BERLIN = "Europe/Berlin"
# Clocks are put forward and back by an hour, at midnight, by half an hour, never; and a whole day was skipped.
ZONES = (BERLIN, "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC")
CHANGES = (  # UTC days with a change in some of the zones above
    "2026-03-28T20:00Z",
    "2026-10-24T20:00Z",
    "2018-11-03T22:00Z",
    "2018-02-17T22:00Z",
    "2026-04-04T10:00Z",
    "2026-10-03T10:00Z",
    "2011-12-29T06:00Z",
)


def ms(text: str) -> int:
    return parse_moment(text)


def spec(expires: str = "", active: str = "") -> RuleSpec:
    return RuleSpec(name="n", pairs=("all",), when="price > 1", expires=expires, active=active)


times = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
days = st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True)


@st.composite
def stretches(draw: st.DrawFn) -> tuple[str, set[str], str, str, str]:
    """A stretch as text, and what it says."""
    begin, end = draw(times), draw(times.map(lambda text: "24:00" if text == "00:00" else text))
    if begin == end:
        end = "24:00"
    named = draw(days)
    zone = draw(st.sampled_from(ZONES))
    return f"{','.join(named)} {begin}-{end} {zone}", set(named), begin, end, zone


moments = st.one_of(
    st.integers(ms("2026-01-01"), ms("2026-12-31")),
    st.builds(lambda text, ahead: ms(text) + ahead, st.sampled_from(CHANGES), st.integers(0, 30 * HOUR)),
)


def wall_says(stretch: tuple[str, set[str], str, str, str], at: int) -> bool:
    """Read off the wall: text against text."""
    _, named, begin, end, zone = stretch
    wall = datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
    shown, today = wall.strftime("%H:%M"), DAYS[wall.weekday()]
    yesterday = DAYS[(wall.weekday() + 6) % 7]
    if begin < end:
        return today in named and begin <= shown < end
    return (today in named and shown >= begin) or (yesterday in named and shown < end)


@given(stretch=stretches(), at=moments)
def test_active_is_what_the_clock_on_the_wall_says(stretch: tuple[str, set[str], str, str, str], at: int) -> None:
    assert parse_hours(stretch[0]).active(at) == wall_says(stretch, at)


@given(parts=st.lists(stretches(), min_size=1, max_size=3), at=moments)
@example(parts=[("sun 02:15-02:45 Europe/Berlin", {"sun"}, "02:15", "02:45", BERLIN)], at=ms("2026-03-28T20:00Z"))
@example(parts=[("sun 02:15-04:45 Europe/Berlin", {"sun"}, "02:15", "04:45", BERLIN)], at=ms("2026-03-28T20:00Z"))
@example(parts=[("sun 02:15-02:45 Europe/Berlin", {"sun"}, "02:15", "02:45", BERLIN)], at=ms("2026-10-25T00:50Z"))
def test_the_next_active_moment_is_the_first_minute_that_the_wall_calls_active(
    parts: list[tuple[str, set[str], str, str, str]], at: int
) -> None:
    found = parse_hours(" ; ".join(part[0] for part in parts)).next_active(at)
    assert any(wall_says(part, found) for part in parts)
    # All clocks change and all stretches begin at whole minutes: nothing in between needs looking at.
    first_minute = at - at % MINUTE + MINUTE
    assert found == at or (found % MINUTE == 0 and not any(wall_says(part, at) for part in parts))
    for minute in range(first_minute, min(found, at + 8 * 24 * HOUR), 17 * MINUTE):
        assert not any(wall_says(part, minute) for part in parts)
    for minute in range(max(first_minute, found - 3 * HOUR), found, MINUTE):
        assert not any(wall_says(part, minute) for part in parts)


@given(parts=st.lists(stretches(), min_size=1, max_size=3), at=moments)
@example(parts=[("sun 22:00-02:30 Europe/Berlin", {"sun"}, "22:00", "02:30", BERLIN)], at=ms("2026-03-28T23:00Z"))
@example(parts=[("sat 22:00-02:30 Europe/Berlin", {"sat"}, "22:00", "02:30", BERLIN)], at=ms("2026-03-28T23:00Z"))
@example(parts=[("sat 22:00-02:30 Europe/Berlin", {"sat"}, "22:00", "02:30", BERLIN)], at=ms("2026-10-24T23:00Z"))
@example(parts=[("sat 22:00-02:30 Europe/Berlin", {"sat"}, "22:00", "02:30", BERLIN)], at=ms("2026-10-25T01:10Z"))
def test_the_next_inactive_moment_is_the_first_minute_that_no_wall_calls_active(
    parts: list[tuple[str, set[str], str, str, str]], at: int
) -> None:
    found = parse_hours(" ; ".join(part[0] for part in parts)).next_inactive(at)
    if found == at + 7 * 24 * HOUR:
        assert all(any(wall_says(part, minute) for part in parts) for minute in range(at, found, 17 * MINUTE))
        return
    assert not any(wall_says(part, found) for part in parts)
    first_minute = at - at % MINUTE + MINUTE
    assert found == at or (found % MINUTE == 0 and any(wall_says(part, at) for part in parts))
    for minute in range(first_minute, found, 17 * MINUTE):
        assert any(wall_says(part, minute) for part in parts)
    for minute in range(max(first_minute, found - 3 * HOUR), found, MINUTE):
        assert any(wall_says(part, minute) for part in parts)


@pytest.mark.parametrize(
    ("quiet", "at", "wanted"),
    [
        ("22:00-07:00", "2026-11-22T23:10Z", "2026-11-23T07:00Z"),
        ("22:00-07:00", "2026-11-23T07:00Z", "2026-11-23T07:00Z"),
        ("22:00-07:00 Europe/Berlin", "2026-06-19T23:10Z", "2026-06-20T05:00Z"),
        ("22:00-07:00; sat,sun 07:00-10:00", "2026-11-20T23:00Z", "2026-11-21T10:00Z"),
        # Put forward at 01:00 UTC: 02:30 is never shown, and what ends then ends where clocks jump beyond it.
        ("22:00-02:30 Europe/Berlin", "2026-03-28T23:00Z", "2026-03-29T01:00Z"),
        # Put back at 01:00 UTC: what is shown twice is quiet twice.
        ("22:00-02:30 Europe/Berlin", "2026-10-24T23:00Z", "2026-10-25T00:30Z"),
        ("22:00-02:30 Europe/Berlin", "2026-10-25T01:00Z", "2026-10-25T01:30Z"),
        ("00:00-24:00", "2026-11-22T12:34Z", "2026-11-29T12:34Z"),
        ("", "2026-11-22T12:34Z", "2026-11-29T12:34Z"),
    ],
)
def test_quiet_hours_end_where_a_calendar_has_it(quiet: str, at: str, wanted: str) -> None:
    assert show_moment(parse_hours(quiet).next_inactive(ms(at))) == wanted


@pytest.mark.parametrize(
    ("active", "at", "wanted"),
    [
        ("08:00-22:00", "2026-11-22T23:10Z", "2026-11-23T08:00Z"),
        ("mon-fri 08:00-22:00", "2026-11-20T22:00Z", "2026-11-23T08:00Z"),
        ("mon-fri 08:00-22:00 Europe/Berlin", "2026-11-20T21:00Z", "2026-11-23T07:00Z"),
        ("mon-fri 08:00-22:00 Europe/Berlin", "2026-06-19T20:00Z", "2026-06-22T06:00Z"),
        ("fri 22:00-06:00", "2026-11-21T05:59Z", "2026-11-21T05:59Z"),
        ("fri 22:00-06:00", "2026-11-21T06:00Z", "2026-11-27T22:00Z"),
        ("fri-mon 10:00-11:00", "2026-11-24T00:00Z", "2026-11-27T10:00Z"),
        ("sat,sun 10:00-18:00; mon-fri 19:00-21:00", "2026-11-22T18:00Z", "2026-11-23T19:00Z"),
        # Put forward at 01:00 UTC: 02:00 to 03:00 is never shown, and a stretch around it begins where it resumes.
        ("sun 02:30-05:00 Europe/Berlin", "2026-03-29T00:00Z", "2026-03-29T01:00Z"),
        ("sun 02:15-02:45 Europe/Berlin", "2026-03-29T00:00Z", "2026-04-05T00:15Z"),
        # Put back at 01:00 UTC: 02:00 to 03:00 is shown twice.
        ("sun 02:15-02:45 Europe/Berlin", "2026-10-25T00:00Z", "2026-10-25T00:15Z"),
        ("sun 02:15-02:45 Europe/Berlin", "2026-10-25T00:45Z", "2026-10-25T01:15Z"),
        ("00:00-24:00", "2026-11-22T12:34Z", "2026-11-22T12:34Z"),
        ("", "2026-11-22T12:34Z", "2026-11-22T12:34Z"),
    ],
)
def test_the_next_active_moment_is_where_a_calendar_has_it(active: str, at: str, wanted: str) -> None:
    assert show_moment(parse_hours(active).next_active(ms(at))) == wanted


@pytest.mark.parametrize(
    ("active", "words"),
    [
        ("8-22", "mon-fri 08:00-22:00 Europe/Berlin"),
        ("mon-fri 08:00-22:00 berlin", "did you mean Europe/Berlin?"),
        ("mon-fri 08:00-22:00 Europe", "there is no time zone 'Europe'"),
        ("mon-fri 08:00-22:00 ../../etc/passwd", "there is no time zone"),
        ("mon-fri 08:00-22:00 CET CEST", "is not active hours"),
        ("mon-frx 08:00-22:00", "'frx' is not a day"),
        ("mon-wed-fri 08:00-22:00", "are not days"),
        ("08:00-24:01", "'24:01' is not a time of day"),
        ("08:60-09:00", "'08:60' is not a time of day"),
        ("08:00-08:00", "the whole day is 00:00-24:00"),
        ("24:00-08:00", "write 00:00 and the day after"),
        ("08:00-09:00;;10:00-11:00", "'' is not active hours"),
        (";".join(["08:00-09:00"] * 21), "at most 20"),
        ("x" * 10_000, "at most 500 characters"),
    ],
)
def test_wrong_active_hours_say_what_to_write(active: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_hours(active)
    assert caught.value.where == "active"
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "quiet", ["00:00-24:00", "12:00-11:59; 11:00-13:00", "mon-fri 00:00-24:00; sat,sun 00:00-24:00"]
)
def test_quiet_hours_must_end(quiet: str) -> None:
    with pytest.raises(ConfigError, match="never ends") as caught:
        parse_quiet(quiet, where="owner.quiet")
    assert caught.value.where == "owner.quiet"
    assert parse_quiet("mon-fri 00:00-24:00 Europe/Berlin").active(ms("2026-11-23T12:00Z"))
    assert parse_quiet("") == Hours()


def test_active_hours_may_be_written_in_capitals_and_with_a_semicolon_at_the_end() -> None:
    assert parse_hours("Mon-Fri 8:00-22:00 utc;") == parse_hours("mon-fri 08:00-22:00")
    assert parse_hours(" ") == Hours()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:00Z", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31 12:00:05Z", datetime(2027, 1, 31, 12, 0, 5, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_utc_time_and_a_date_means_where_it_begins(text: str, wanted: datetime) -> None:
    assert parse_expires(text) == wanted.timestamp() * 1000


@pytest.mark.parametrize(
    "text", ["2027-02-30", "2027-01-31T12:00", "31.1.2027", "tomorrow", "2027-01-31T25:00Z", "3d"]
)
def test_what_is_no_time_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_expires(text)
    assert caught.value.where == "expires"
    assert "2027-01-31T12:00Z" in caught.value.hint


def test_a_rule_has_ended_from_its_end_on() -> None:
    end = ms("2027-01-31T12:00Z")
    assert not expired(spec("2027-01-31T12:00Z"), end - 1)
    assert expired(spec("2027-01-31T12:00Z"), end)
    assert not expired(spec(), 2**60)


def test_a_silence_is_a_duration_from_now_or_a_time_to_come() -> None:
    now = ms("2026-11-22T12:00Z")
    assert parse_until("1h30m", now=now) == now + 90 * MINUTE
    assert parse_until("2026-11-23", now=now) == ms("2026-11-23")
    for text, words in [("2026-11-22T12:00Z", "is over already"), ("0s", "is over already"), ("soon", "neither")]:
        with pytest.raises(ConfigError, match=words):
            parse_until(text, now=now)


def test_a_renewal_moves_the_end_and_nothing_else_and_never_back() -> None:
    now = ms("2026-11-22T12:00Z") + 1
    month = 30 * 24 * HOUR
    for before in ("2026-11-01", "2026-11-23"):
        again = renewed(spec(before, "08:00-22:00"), now=now, lasting=month)
        assert again == spec("2026-12-22T12:01Z", "08:00-22:00")
    assert renewed(spec("2028-01-01"), now=now, lasting=month) == spec("2028-01-01T00:00Z")
    with pytest.raises(ConfigError, match="has no end"):
        renewed(spec(), now=now, lasting=month)
    with pytest.raises(ConfigError, match="longer than nothing"):
        renewed(spec("2027-01-01"), now=now, lasting=0)


@given(at=st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)))  # noqa: DTZ001  hypothesis wants them so
def test_a_moment_that_is_shown_is_read_back(at: datetime) -> None:
    moment = round(at.replace(microsecond=0, tzinfo=UTC).timestamp()) * 1000
    assert parse_moment(show_moment(moment)) == moment
