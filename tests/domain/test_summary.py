"""When a summary comes, what it makes of alerts, prices and notices, and how it reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.alerts import Alert, NoticeKind, Part, is_condition
from cryptowatcher.domain.hours import DAYS, parse_moment, parse_time_of_day
from cryptowatcher.domain.messages import write
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.summary import (
    SHOWN,
    Ended,
    Fired,
    GivenUp,
    Move,
    Plan,
    Summary,
    Tally,
    Unseen,
    add_tallies,
    daily,
    is_missed,
    most_fired,
    moved_most,
    plan_of,
    summary_notice,
    summary_text,
    unseen,
)
from cryptowatcher.domain.texts import alert_text
from cryptowatcher.errors import ConfigError
from cryptowatcher.testing.contracts.store_case import sample_delivery
from tests.domain.test_hours import CHANGES, ZONES
from tests.domain.test_texts import DROP

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BERLIN = "Europe/Berlin"


def ms(text: str) -> int:
    return parse_moment(text)


def plan(text: str = "daily 08:00", zone: str = "UTC", channels: tuple[str, ...] = ()) -> Plan:
    found = plan_of(text, zone, channels)
    assert found is not None
    return found


# --- when it comes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "zone", "after", "comes"),
    [
        pytest.param(
            "daily 08:00",
            BERLIN,
            "2026-03-28T00:00Z",
            ["2026-03-28T07:00Z", "2026-03-29T06:00Z", "2026-03-30T06:00Z"],
            id="the day on which clocks are put forward has 23 hours",
        ),
        pytest.param(
            "daily 02:30",
            BERLIN,
            "2026-03-28T00:00Z",
            ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"],
            id="a time that is skipped comes where it is skipped",
        ),
        pytest.param(
            "daily 02:30",
            BERLIN,
            "2026-10-24T12:00Z",
            ["2026-10-25T00:30Z", "2026-10-26T01:30Z"],
            id="a time that is shown twice comes the first time",
        ),
        pytest.param(
            "daily 00:00",
            "America/Sao_Paulo",
            "2018-11-03T12:00Z",
            ["2018-11-04T03:00Z", "2018-11-05T02:00Z"],
            id="a midnight that is skipped",
        ),
        pytest.param(
            "daily 02:15",
            "Australia/Lord_Howe",
            "2026-10-02T18:00Z",
            ["2026-10-03T15:30Z", "2026-10-04T15:15Z"],
            id="clocks that are put forward by half an hour",
        ),
        pytest.param(
            "daily 12:00",
            "Pacific/Apia",
            "2011-12-29T00:00Z",
            ["2011-12-29T22:00Z", "2011-12-30T10:00Z", "2011-12-30T22:00Z"],
            id="a day that is skipped ends where it would have begun",
        ),
        pytest.param(
            "weekly mon 08:00",
            BERLIN,
            "2026-03-23T07:00Z",
            ["2026-03-30T06:00Z", "2026-04-06T06:00Z"],
            id="once a week",
        ),
        pytest.param(
            "weekly sun 02:30", BERLIN, "2026-03-24T00:00Z", ["2026-03-29T01:00Z", "2026-04-05T00:30Z"], id="both"
        ),
    ],
)
def test_it_comes_when_the_clock_there_shows_its_time(text: str, zone: str, after: str, comes: list[str]) -> None:
    times, at = plan(text, zone).times, ms(after)
    for expected in comes:
        at = times.next(at)
        assert datetime.fromtimestamp(at / 1000, UTC) == datetime.fromtimestamp(ms(expected) / 1000, UTC)
        assert times.last(at) == at
        assert times.last(at - 1) < at


moments = st.one_of(
    st.integers(ms("2026-01-01"), ms("2026-12-31")),
    st.builds(lambda text, ahead: ms(text) + ahead, st.sampled_from(CHANGES), st.integers(-30 * HOUR, 30 * HOUR)),
)


@given(
    minute=st.integers(0, 1439),
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(["", *DAYS]),
    at=moments,
)
def test_each_moment_lies_in_one_stretch_and_no_time_is_told_twice(
    minute: int, zone: str, day: str, at: int
) -> None:
    time = f"{minute // 60:02}:{minute % 60:02}"
    found = plan(f"weekly {day} {time}" if day else f"daily {time}", zone)
    end = found.times.next(at)
    begin = found.begin(end)
    assert begin <= at < end
    assert found.times.last(at) == begin
    assert end - begin <= (8 * DAY if day else 49 * HOUR)
    assert [datetime.fromtimestamp(t / 1000, UTC).second for t in (begin, end)] == [0, 0]
    # The clock on the wall shows the time then, or has been put forward past it this minute.
    shown = datetime.fromtimestamp(end / 1000, ZoneInfo(zone))
    before = datetime.fromtimestamp(end / 1000 - 1, ZoneInfo(zone))
    if shown.strftime("%H:%M") != time:
        gap = shown.utcoffset() != before.utcoffset()
        wanted = datetime.combine(before.date(), shown.time().replace(hour=minute // 60, minute=minute % 60))
        naive = [each.replace(tzinfo=None) for each in (before, shown)]
        assert gap
        assert any(naive[0] < wanted + timedelta(days=ahead) < naive[1] for ahead in (0, 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hourly", "write daily 08:00 or weekly mon 08:00"),
        ("daily", "write daily 08:00 or weekly mon 08:00"),
        ("weekly 08:00", "write daily 08:00 or weekly mon 08:00"),
        ("weekly moo 08:00", "days are: mon, tue"),
        ("daily 25:00", "write 00:00 to 24:00"),
        ("daily 08:60", "write 00:00 to 24:00"),
        ("daily 24:00", "write 00:00"),
        ("daily 08:00 Europe/Berlin", "write daily 08:00 or weekly mon 08:00"),
    ],
)
def test_what_is_no_time_is_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of(text, "UTC", where="owner.summary")
    assert caught.value.where == "owner.summary"
    assert words in caught.value.hint


def test_nothing_is_no_plan_and_blanks_and_capitals_do_not_matter() -> None:
    assert plan_of("", "UTC") is None
    assert plan_of("  ", "UTC") is None
    assert plan_of(" Weekly Mon 8:00 ", "UTC") == msgspec.structs.replace(
        plan("weekly mon 08:00"), words="Weekly Mon 8:00 UTC"
    )
    assert parse_time_of_day("daily 00:00", zone=BERLIN, where="x") == daily(BERLIN).times


# --- what is in it ---------------------------------------------------------------------------------


def tally(rule: str, alerts: int, last: str = "1", **said: int) -> Tally:
    return msgspec.structs.replace(Tally(rule=rule, alerts=alerts, buys=0, sells=0, late=0, last=last), **said)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.booleans()), max_size=20), st.integers(0, 20)
)
def test_tallies_of_slices_come_to_the_same_as_of_the_whole(rows: list[tuple[str, int, bool]], cut: int) -> None:
    def counted(*parts: list[tuple[str, int, bool]]) -> dict[str, Tally]:
        known: dict[str, Tally] = {}
        for part in parts:
            add_tallies(known, (tally(rule, 1, str(last), buys=int(buy)) for rule, last, buy in part))
        return known

    assert counted(rows) == counted(rows[:cut], rows[cut:])
    for rule, one in counted(rows).items():
        mine = [row for row in rows if row[0] == rule]
        assert (one.alerts, one.buys) == (len(mine), sum(row[2] for row in mine))
        assert one.last == max(str(row[1]) for row in mine)


def test_those_that_fired_most_come_first_and_not_too_many() -> None:
    known = {name: tally(name, count) for name, count in zip("abcdefg", (1, 9, 3, 3, 3, 3, 2), strict=True)}
    assert [each.rule for each in most_fired(known)] == ["b", "c", "d", "e", "f"]


def test_what_moved_most_is_told_either_way_where_both_ends_are_known() -> None:
    before = {"up": 100.0, "down": 100.0, "still": 1.0, "gone": 5.0}
    after = {"up": 110.0, "down": 80.0, "still": 1.0, "new": 3.0}
    assert [(each.pair, round(each.move, 9), each.price) for each in moved_most(before, after)] == [
        ("down", -0.2, 80.0),
        ("up", 0.1, 110.0),
        ("still", 0.0, 1.0),
    ]
    many = {f"p{number}": 1.0 for number in range(50)}
    assert len(moved_most(many, many)) == SHOWN


END = ms("2024-08-05T06:00Z")
BEGIN = END - DAY


def price(pair: str, seen: int, valid: int = 5 * MINUTE) -> Price:
    return Price(
        pair=pair,
        price=1.0,
        volume_24h=None,
        market_cap=None,
        observed_at=seen,
        received_at=seen,
        valid_until=seen + valid,
        source="s",
        seq=1,
    )


def sight(kind: NoticeKind, at: int, *pairs: str, count: int = 0, gap: int = 0) -> Alert:
    return msgspec.structs.replace(
        DROP,
        kind=kind,
        at=at,
        value=float(count or len(pairs)),
        gap_ms=gap,
        parts=tuple(Part(pair, None, 0.0) for pair in pairs),
    )


def test_who_was_not_seen_is_told_with_how_long_and_how_often() -> None:
    notices = [
        sight("back", BEGIN - 1, "old/usd", gap=HOUR),
        sight("blind", BEGIN + HOUR, "a/usd"),
        sight("back", BEGIN + 3 * HOUR, "a/usd", gap=HOUR),
        sight("back", BEGIN + 5 * HOUR, "x/usd", "y/usd", gap=30 * MINUTE),
        sight("back", BEGIN + 9 * HOUR, "a/usd", gap=2 * HOUR),
        sight("blind", END - HOUR, "b/usd"),
    ]
    missing = [price("b/usd", END - 2 * HOUR), price("never-told/usd", END - 2 * HOUR)]
    assert unseen(notices, missing, begin=BEGIN, end=END) == (
        Unseen(pairs=("a/usd",), count=1, ms=3 * HOUR, times=2),
        Unseen(pairs=("b/usd",), count=1, ms=2 * HOUR, since=END - 2 * HOUR),
        Unseen(pairs=("x/usd", "y/usd"), count=2, ms=30 * MINUTE),
    )


def test_a_pair_behind_the_named_ones_is_not_forgotten() -> None:
    named = tuple(f"p{number}/usd" for number in range(20))
    market = [sight("blind", END - HOUR, *named, count=250)]
    missing = [price("z/usd", END - 2 * HOUR)]
    assert [each.pairs for each in unseen(market, missing, begin=BEGIN, end=END)] == [("z/usd",)]


def test_a_pair_that_came_back_for_too_short_a_while_to_tell_of_is_not_forgotten() -> None:
    missing = [price("z/usd", END - 2 * HOUR)]
    told = [sight("blind", END - 9 * HOUR, "z/usd")]
    assert [each.pairs for each in unseen(told, missing, begin=BEGIN, end=END)] == [("z/usd",)]
    again = sight("back", BEGIN - HOUR, "z/usd", gap=HOUR)
    assert unseen([*told, msgspec.structs.replace(again, at=END - 3 * HOUR)], missing, begin=END, end=END) == ()


@pytest.mark.parametrize(("age", "missed"), [(0, False), (10 * MINUTE, False), (10 * MINUTE + 1, True)])
def test_a_price_is_missed_when_its_owner_would_be_told(age: int, missed: bool) -> None:
    assert is_missed(price("a/usd", END - age), END) == missed


# --- how it reads ----------------------------------------------------------------------------------

NOTHING = Summary(
    begin=BEGIN,
    end=END,
    alerts=0,
    buys=0,
    sells=0,
    late=0,
    rules=(),
    all_rules=0,
    moves=(),
    given_up=(),
    unseen=(),
    ended=Ended(),
)


def rule(
    name: str, alerts: int, pair: str = "bitcoin/usd", price: float = 50_123.456, move: str = "-5.23%"
) -> Fired:
    return Fired(rule=name, name=name, alerts=alerts, pair=pair, price=price, move=move, at=END - 1)


FULL = msgspec.structs.replace(
    NOTHING,
    alerts=1_234,
    buys=3,
    sells=1,
    late=2,
    rules=(rule("drops", 1_200), rule("x\n\x1b[31m" + "y" * 80, 34, "pepe/eur", 0.0000123456, "unknown")),
    all_rules=9,
    moves=(Move(pair="bitcoin/usd", move=-0.05234, price=50_123.456), Move(pair="e/usd", move=0.5, price=2e-10)),
    given_up=(GivenUp(channel="mail", count=1, why="no"), GivenUp(channel="phone", count=2, why="no")),
    unseen=(
        Unseen(pairs=("a/usd",), count=1, ms=3 * HOUR, times=4),
        Unseen(pairs=("b/usd",), count=1, ms=3 * HOUR, since=END - 3 * HOUR),
        Unseen(pairs=("c/usd", "d/usd"), count=250, ms=30 * MINUTE),
    ),
    ended=Ended(sent=99, late=1, reminders=5),
)


def test_a_full_one_reads_like_this() -> None:
    text = summary_text(FULL, "Daily summary", ZoneInfo(BERLIN))
    assert text.title == "Daily summary: 1,234 alerts, 4 signals"
    assert text.body.splitlines() == [
        "From 2024-08-04 08:00 CEST to 2024-08-05 08:00 CEST.",
        "Signals: 3 buy, 1 sell.",
        "Found late, while history was filled in: 2 alerts.",
        "drops: 1,200, last bitcoin/usd 50,123.5 usd, -5.23%",
        "x  [31m" + "y" * 53 + ": 34, last pepe/eur 0.0000123456 eur",
        "… and 7 more rules.",
        "Moved most: bitcoin/usd -5.23% to 50,123.5; e/usd +50% to 2e-10.",
        "Given up: 3 messages (mail 1, phone 2). `cryptowatcher deliveries --state given_up` says why.",
        "Not seen: a/usd for 3 hours in 4 stretches; b/usd since 2024-08-05 05:00 CEST; 250 pairs for 30 minutes.",
        "Also: 5 reminders, 1 message sent late.",
    ]


@pytest.mark.parametrize(
    ("changes", "title", "last"),
    [
        ({}, "Weekly summary: no alerts", "From 2024-08-04 06:00 UTC to 2024-08-05 06:00 UTC."),
        ({"alerts": 1, "buys": 1}, "Weekly summary: 1 alert, 1 signal", "Signals: 1 buy."),
        ({"alerts": 1, "sells": 1}, "Weekly summary: 1 alert, 1 signal", "Signals: 1 sell."),
        ({"all_rules": 1}, "Weekly summary: no alerts", "… and 1 more rule."),
        ({"ended": Ended(sent=9, late=2)}, "Weekly summary: no alerts", "Also: 2 messages sent late."),
        ({"ended": Ended(sent=9, reminders=1)}, "Weekly summary: no alerts", "Also: 1 reminder."),
        (
            {"unseen": tuple(Unseen(pairs=(f"p{n}/usd",), count=1, ms=HOUR) for n in range(7))},
            "Weekly summary: no alerts",
            f"Not seen: {'; '.join(f'p{n}/usd for 60 minutes' for n in range(5))}; and 2 more.",
        ),
    ],
)
def test_what_there_is_nothing_of_is_left_out(changes: dict[str, object], title: str, last: str) -> None:
    text = summary_text(msgspec.structs.replace(NOTHING, **changes), "Weekly summary", UTC)
    assert (text.title, text.body.splitlines()[-1]) == (title, last)
    assert len(text.body.splitlines()) == (2 if changes else 1)


def test_what_is_sent_has_an_id_of_owner_and_end_and_says_when_it_comes_late() -> None:
    here = plan("weekly mon 08:00", BERLIN, ("phone",))
    notice = summary_notice(FULL, here, owner="local", now=END + 5)
    others = [
        summary_notice(FULL, here, owner="bob", now=END + 5),
        summary_notice(msgspec.structs.replace(FULL, end=END + 1), here, owner="local", now=END + 5),
    ]
    assert summary_notice(NOTHING, plan(), owner="local", now=END + 9).id == notice.id
    assert notice.id not in [other.id for other in others]
    assert not is_condition(notice.kind)
    assert notice.channels == ("phone",)
    text = summary_text(FULL, "Weekly summary", ZoneInfo(BERLIN))
    assert alert_text(notice, now=END + MINUTE) == text
    late = alert_text(notice, now=END + 2 * HOUR)
    assert late.title == text.title
    assert late.body == f"{text.body}\nLate: sent 2 hours after its end."
    message = write([(msgspec.structs.replace(sample_delivery(notice), kind="summary"), notice)], now=END)
    assert (message.kind, message.text) == ("summary", text)
