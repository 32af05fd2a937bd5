"""When a rule may speak: until it expires, in its active hours, while it is not snoozed. And times that come again
and again. Text → time, no clock.

    expires   2027-01-31 · 2027-01-31T12:00Z        a date alone means where it begins, 00:00 UTC
    active    mon-fri 08:00-22:00 Europe/Berlin ; sat,sun 10:00-18:00 Europe/Berlin
              22:00-06:00                           every day; without a place it is UTC, and in an owner's quiet
                                                    hours the zone that the owner has set

A rule is active when a clock on the wall of that place shows a time inside. So where clocks are put forward, what
they skip is never shown, and where they are put back, what they show twice counts twice. Hours that end before
they begin last into the next day; their days are those on which they begin.

Zones come from the machine's tables (or the package tzdata), which is the only thing looked up here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES: Final = 1_440
_MOST_SPANS: Final = 20
_LONGEST: Final = 500
"""Characters: nobody means more, and a pattern takes long to find that out."""
_WEEK: Final = 7 * 86_400_000
_AGES: Final = 100 * 366 * 86_400_000
_FAR: Final = 16
"""Days from yesterday on in which some span begins, even when clocks skip it one week."""

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?Z)?")
_SPAN = re.compile(
    r"(?:(?P<days>[a-z]{3}(?:[-,][a-z]{3})*)\s+)?(?P<begin>\d{1,2}:\d{2})-(?P<end>\d{1,2}:\d{2})(?:\s+(?P<zone>\S+))?",
    re.IGNORECASE,
)
_TIME_OF_DAY = re.compile(r"(?:daily|weekly\s+(?P<day>[a-z]{3}))\s+(?P<time>\d{1,2}:\d{2})", re.IGNORECASE)
_HINT: Final = "write mon-fri 08:00-22:00 Europe/Berlin, several with ; between"


class Span(msgspec.Struct, frozen=True):
    """days: 0 is Monday; begin, end: minutes of the day, and end <= begin lasts into the next one"""

    days: frozenset[int]
    begin: int
    end: int
    zone: ZoneInfo

    def shows(self, at: int) -> bool:
        """Whether the clock there shows a time inside (epoch ms)."""
        wall = datetime.fromtimestamp(at / 1000, self.zone)
        minute = wall.hour * 60 + wall.minute
        today = wall.weekday() in self.days
        if self.begin < self.end:
            return today and self.begin <= minute < self.end
        yesterday = (wall.weekday() - 1) % 7 in self.days
        return (today and minute >= self.begin) or (yesterday and minute < self.end)

    def turns(self, at: int) -> Iterator[int]:
        """Every moment (epoch ms) in the next days at which it can begin or cease to show a time inside, and some
        others: where the span begins and ends, both times when clocks show that twice, and where clocks are put
        forward or back."""
        first = datetime.fromtimestamp(at / 1000, self.zone).date() - timedelta(days=1)
        walls = [time(minute // 60 % 24, minute % 60) for minute in (self.begin, self.end)]
        for number in range(_FAR):
            day = first + timedelta(days=number)
            yield from {self._ms(day, wall, fold) for wall in walls for fold in (0, 1)}
            midnight, next_midnight = (self._ms(each, time(), 0) for each in (day, day + timedelta(days=1)))
            if _offset(midnight, self.zone) != _offset(next_midnight, self.zone):
                yield _change(midnight, next_midnight, self.zone)

    def _ms(self, day: date, wall: time, fold: int) -> int:
        return _ms(day, wall, self.zone, fold=fold)


class TimeOfDay(msgspec.Struct, frozen=True):
    """A time that comes again and again. days: 0 is Monday; minute: of the day"""

    days: frozenset[int]
    minute: int
    zone: ZoneInfo

    def last(self, at: int) -> int:
        """The newest moment (epoch ms) at or before `at` at which it came."""
        return next(moment for moment in self._from(at, -1) if moment <= at)

    def next(self, at: int) -> int:
        """The first moment after `at` at which it comes."""
        return next(moment for moment in self._from(at, 1) if moment > at)

    def _from(self, at: int, step: int) -> Iterator[int]:
        """Its moments day by day, onwards from yesterday (step 1) or backwards from tomorrow (-1). A later day's
        never comes before an earlier one's."""
        today = datetime.fromtimestamp(at / 1000, self.zone).date()
        days = (today + timedelta(days=step * number) for number in range(-1, _FAR))
        return (self._on(day) for day in days if day.weekday() in self.days)

    def _on(self, day: date) -> int:
        """When the clock there first shows this time of that day, or where it is put forward past it."""
        wall = time(self.minute // 60, self.minute % 60)
        first, second = (_ms(day, wall, self.zone, fold=fold) for fold in (0, 1))
        # Only of a time that is skipped the "second" moment comes first: it is read by the clock as it is after.
        return first if first <= second else _change(second, first, self.zone)


class Hours(msgspec.Struct, frozen=True):
    """Active hours; no spans means always."""

    spans: tuple[Span, ...] = ()

    def active(self, at: int) -> bool:
        """Whether a rule may speak at that time (epoch ms)."""
        return not self.spans or any(span.shows(at) for span in self.spans)

    def next_inactive(self, at: int) -> int:
        """The first moment from `at` on that lies outside, epoch ms; a week later where there is none."""
        if not self.active(at):
            return at
        turns = (turn for span in self.spans for turn in span.turns(at))
        return min((turn for turn in turns if turn > at and not self.active(turn)), default=at + _WEEK)

    def next_active(self, at: int) -> int:
        """The first moment from `at` on at which a rule may speak, epoch ms."""
        if self.active(at):
            return at
        turns = (turn for span in self.spans for turn in span.turns(at))
        return min(turn for turn in turns if turn > at and self.active(turn))


@lru_cache(maxsize=1024)
def parse_hours(text: str, *, where: str = "active", zone: str = "UTC") -> Hours:
    """Active hours as people write them, "" is always. A ConfigError says what to write. `zone`: of stretches
    without a place."""
    if len(text) > _LONGEST:
        raise ConfigError(f"active hours have at most {_LONGEST} characters", where=where, hint=_HINT)
    if not text.strip():
        return Hours()
    parts = [part.strip() for part in text.strip().removesuffix(";").split(";")]
    if len(parts) > _MOST_SPANS:
        raise ConfigError(f"at most {_MOST_SPANS} stretches of active hours", where=where)
    return Hours(tuple(_span(part, where, zone) for part in parts))


def parse_quiet(text: str, *, where: str = "quiet", zone: str = "UTC") -> Hours:
    """Hours in which nothing is told, as people write them, "" is never. They must end: ConfigError."""
    hours = parse_hours(text, where=where, zone=zone)
    if hours.spans and hours.next_inactive(0) == _WEEK:
        raise ConfigError(f"{text!r} never ends", where=where, hint="nothing but urgent alerts would ever be sent")
    return hours


def parse_time_of_day(text: str, *, zone: str, where: str) -> TimeOfDay:
    """`daily 08:00`, `weekly mon 08:00`. A ConfigError says what to write."""
    match = _TIME_OF_DAY.fullmatch(text[:_LONGEST].strip())
    if match is None:
        hint = "write daily 08:00 or weekly mon 08:00"
        raise ConfigError(f"{text[:40]!r} is not a time to come again and again", where=where, hint=hint)
    minute = _minute(match["time"], where)
    if minute == _DAY_MINUTES:
        raise ConfigError(f"{match['time']!r} is the next day", where=where, hint="write 00:00")
    days = frozenset([_day(match["day"].lower(), where)]) if match["day"] else frozenset(range(7))
    return TimeOfDay(days, minute, zone_named(zone, where))


def parse_expires(text: str, *, where: str = "expires") -> int | None:
    """When a rule ends, epoch ms; None for "" (never). A ConfigError says what to write."""
    return parse_moment(text, where=where) if text else None


@lru_cache(maxsize=4096)
def parse_moment(text: str, *, where: str = "") -> int:
    """`2027-01-31` or `2027-01-31T12:00Z` → epoch ms."""
    hint = "write a date, 2027-01-31, or a UTC time, 2027-01-31T12:00Z"
    if not _MOMENT.fullmatch(text[:_LONGEST]):
        raise ConfigError(f"{text[:_LONGEST]!r} is not a time", where=where, hint=hint)
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError as error:  # no such day or hour
        raise ConfigError(f"{text!r} is not a time: {error}", where=where, hint=hint) from None
    return round(moment.timestamp() * 1000)


def parse_until(text: str, *, now: int, where: str = "") -> int:
    """How long to be silent: a duration from now (`1h`) or a time (`2027-01-31T12:00Z`) → epoch ms."""
    if _MOMENT.fullmatch(text[:_LONGEST]):
        until = parse_moment(text, where=where)
    else:
        try:
            until = now + parse_duration(text)
        except ConfigError as error:
            hint = "write how long, 1h or 2d, or until when, 2027-01-31T12:00Z"
            raise ConfigError(f"{text[:40]!r} is neither a duration nor a time", where=where, hint=hint) from error
    if until <= now:
        raise ConfigError(f"{text!r} is over already", where=where, hint="name a time that is to come")
    if until > now + _AGES:
        raise ConfigError(f"{text!r} is too far away", where=where, hint="name a time within a hundred years")
    return until


def expired(spec: RuleSpec, at: int) -> bool:
    """Whether the rule has ended by that time (an observation's, epoch ms). From its end on it has."""
    return spec.expires != "" and at >= parse_moment(spec.expires, where="expires")


def renewed(spec: RuleSpec, *, now: int, lasting: int, where: str = "for") -> RuleSpec:
    """The rule with an end `lasting` ms from now, to the minute; never an earlier one than it had. A rule without
    an end has nothing to renew: ConfigError."""
    end = parse_expires(spec.expires)
    if end is None:
        raise ConfigError(f"the rule {spec.name!r} has no end", hint="only a rule that expires is renewed")
    if lasting <= 0:
        raise ConfigError("must be longer than nothing", where=where, hint="write 30d, for example")
    minute = -(-(now + lasting) // 60_000) * 60_000
    return msgspec.structs.replace(spec, expires=show_moment(max(end, minute)))


def show_moment(at: int) -> str:
    """Epoch ms → `2027-01-31T12:00Z`, as `expires` is written; seconds only where there are some."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if moment.second else "%Y-%m-%dT%H:%MZ")


def _span(text: str, where: str, zone: str) -> Span:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is not active hours", where=where, hint=_HINT)
    begin, end = _minute(match["begin"], where), _minute(match["end"], where)
    if begin == end:
        hint = "the whole day is 00:00-24:00"
        raise ConfigError(f"{text!r} begins where it ends", where=where, hint=hint)
    if begin == _DAY_MINUTES:
        raise ConfigError(f"{text!r} begins at 24:00", where=where, hint="write 00:00 and the day after")
    days = _days(match["days"], where) if match["days"] else frozenset(range(7))
    return Span(days, begin, end, zone_named(match["zone"] or zone, where))


def _ms(day: date, wall: time, zone: ZoneInfo, *, fold: int) -> int:
    return round(datetime.combine(day, wall, zone).replace(fold=fold).timestamp() * 1000)


def _offset(at: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at / 1000, zone).utcoffset()


def _change(before: int, after: int, zone: ZoneInfo) -> int:
    """The first moment with the offset that is there `after`."""
    new = _offset(after, zone)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if _offset(middle, zone) == new else (middle, after)
    return after


def _minute(text: str, where: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > _DAY_MINUTES:
        raise ConfigError(f"{text!r} is not a time of day", where=where, hint="write 00:00 to 24:00")
    return hour * 60 + minute


def _days(text: str, where: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, *last = [_day(name, where) for name in part.split("-")]
        if len(last) > 1:
            raise ConfigError(f"{part!r} are not days", where=where, hint="write mon-fri, or sat,sun")
        length = ((last[0] if last else first) - first) % 7  # fri-mon goes over the weekend
        found.update((first + number) % 7 for number in range(length + 1))
    return frozenset(found)


def _day(name: str, where: str) -> int:
    if name not in DAYS:
        raise ConfigError(f"{name!r} is not a day", where=where, hint=f"days are: {', '.join(DAYS)}")
    return DAYS.index(name)


def zone_named(name: str, where: str) -> ZoneInfo:
    """`Europe/Berlin`, `UTC`. ConfigError names one that was perhaps meant."""
    try:
        return ZoneInfo("UTC" if name.upper() == "UTC" else name)
    except (KeyError, ValueError, OSError):
        pass
    known = available_timezones()
    if not known:
        hint = "install the tables of time zones: the system's package tzdata, or `pip install tzdata`"
        raise ConfigError("this machine knows no time zones", where=where, hint=hint)
    meant = {zone.lower(): zone for zone in known} | {zone.rpartition("/")[2].lower(): zone for zone in known}
    close = difflib.get_close_matches(name.lower(), meant, n=1)
    hint = f"did you mean {meant[close[0]]}?" if close else "write a place like Europe/Berlin, or UTC"
    raise ConfigError(f"there is no time zone {name!r}", where=where, hint=hint)
