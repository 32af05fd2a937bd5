"""The summary of a day or a week: when it comes, what is in it, and how it says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Final

import msgspec

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.hours import TimeOfDay, parse_time_of_day
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.texts import AlertText, plain, show_move, show_percent, show_price, show_span, show_time

SHOWN: Final = 5
"""Rules, pairs and the like that get a line or a place of their own."""

TOO_OLD: Final = 86_400_000
"""Age in ms from which a summary is not sent any more: the next one is there, or nobody waits for it."""

_NAME: Final = 60
"""Characters of a rule's name that are shown."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """When an owner's summary comes and where to.

    words:    as it was written, with the zone: another plan has others
    channels: none: where alerts go whose rule names none
    """

    words: str
    times: TimeOfDay
    channels: tuple[str, ...] = ()

    @property
    def zone(self) -> tzinfo:
        """Of the clock that it goes by."""
        return self.times.zone

    @property
    def name(self) -> str:
        """What its summaries are called."""
        return "Daily summary" if len(self.times.days) == 7 else "Weekly summary"

    def begin(self, end: int) -> int:
        """Where the stretch begins that ends then, epoch ms."""
        return self.times.last(end - 1)


def plan_of(text: str, zone: str, channels: tuple[str, ...] = (), *, where: str = "summary") -> Plan | None:
    """`daily 08:00`, `weekly mon 08:00`; None for "" (never). A ConfigError says what to write."""
    if not text.strip():
        return None
    times = parse_time_of_day(text, zone=zone, where=where)
    return Plan(words=f"{text.strip()} {zone}", times=times, channels=channels)


def daily(zone: str = "UTC") -> Plan:
    """Each day as a stretch."""
    words = "daily 00:00"
    return Plan(words=f"{words} {zone}", times=parse_time_of_day(words, zone=zone, where="time_zone"))


class Mark(msgspec.Struct, frozen=True):
    """Up to when (epoch ms) an owner was told of everything, by that plan."""

    plan: str
    upto: int


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts of one rule.

    buys, sells: how many of them say so
    late:        how many were found while history was filled in
    last:        the id of the newest
    """

    rule: str
    alerts: int
    buys: int
    sells: int
    late: int
    last: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries that ended. late: of those that were sent, how many took longer than a message may before it says
    that it is late; reminders: how many of them said it again"""

    sent: int = 0
    late: int = 0
    reminders: int = 0


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries to one channel that were given up; why: in words, of the newest"""

    channel: str
    count: int
    why: str


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that fired, and its newest alert. move: as messages show it, `unknown` where it is not known"""

    rule: str
    name: str
    alerts: int
    pair: str
    price: float
    move: str
    at: int


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """How a pair moved over the stretch, as a fraction, and its price at the end."""

    pair: str
    move: float
    price: float


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs that were not seen, together.

    pairs: the first of them by name; `count`: how many they are
    ms:    for how long altogether; `times`: how often
    since: when they were seen last, where they are not seen yet (epoch ms); 0: they are again
    """

    pairs: tuple[str, ...]
    count: int
    ms: int
    times: int = 1
    since: int = 0


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a stretch of time brought (epoch ms, without its end).

    rules:    those that fired most; `all_rules`: how many fired
    moves:    what moved most, the largest first
    given_up: by channel; `unseen`: the longest first
    """

    begin: int
    end: int
    alerts: int
    buys: int
    sells: int
    late: int
    rules: tuple[Fired, ...]
    all_rules: int
    moves: tuple[Move, ...]
    given_up: tuple[GivenUp, ...]
    unseen: tuple[Unseen, ...]
    ended: Ended

    @property
    def signals(self) -> int:
        """Alerts that say buy or sell."""
        return self.buys + self.sells


def add_tallies(known: dict[str, Tally], more: Iterable[Tally]) -> None:
    """Of other alerts of perhaps the same rules."""
    for each in more:
        before = known.get(each.rule)
        known[each.rule] = each if before is None else Tally(
            rule=each.rule,
            alerts=before.alerts + each.alerts,
            buys=before.buys + each.buys,
            sells=before.sells + each.sells,
            late=before.late + each.late,
            last=max(before.last, each.last),
        )  # fmt: skip


def most_fired(tallies: Mapping[str, Tally]) -> list[Tally]:
    """The rules that fired most, SHOWN at most."""
    return sorted(tallies.values(), key=lambda each: (-each.alerts, each.rule))[:SHOWN]


def fired(tally: Tally, last: Alert) -> Fired:
    """A rule with its newest alert."""
    return Fired(
        rule=tally.rule,
        name=last.rule_name,
        alerts=tally.alerts,
        pair=last.pair,
        price=last.price,
        move=show_move(last),
        at=last.event_time,
    )


def moved_most(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[Move, ...]:
    """Of pairs whose price was known at both ends, those that moved most."""
    moves = [
        Move(pair=pair, move=after[pair] / price - 1, price=after[pair])
        for pair, price in before.items()
        if pair in after
    ]
    return tuple(sorted(moves, key=lambda each: (-abs(each.move), each.pair))[:SHOWN])


def is_missed(price: Price, end: int) -> bool:
    """Whether by then it was older than what its owner is told of."""
    valid = price.valid_until - price.observed_at
    return end - price.observed_at > 2 * valid


def told_since(price: Price) -> int:
    """The earliest event (epoch ms) of a notice that this pair is not seen: it tells of those, too, that were seen
    last as long before as an observation is valid."""
    return 2 * price.observed_at - price.valid_until


def unseen(notices: Sequence[Alert], missing: Sequence[Price], *, begin: int, end: int) -> tuple[Unseen, ...]:
    """Who was not seen, the longest first.

    notices: of pairs that are not seen and are again, told before `end`
    missing: prices that are too old at `end`. Only of those the owner was told that are not seen: a watcher that
             was away has not missed anything else
    """
    found: dict[tuple[str, ...], Unseen] = {}
    for notice in notices:
        if notice.kind == "back" and notice.at >= begin:
            named = tuple(part.text for part in notice.parts)
            before = found.get(named)
            found[named] = Unseen(
                pairs=named,
                count=int(notice.value),
                ms=notice.gap_ms + (before.ms if before else 0),
                times=before.times + 1 if before else 1,
            )
    still = [
        Unseen(pairs=(price.pair,), count=1, ms=end - price.observed_at, since=price.observed_at)
        for price in missing
        if _is_told(notices, price)
    ]
    return tuple(sorted([*still, *found.values()], key=lambda each: (-each.ms, each.pairs)))


def _is_told(notices: Sequence[Alert], price: Price) -> bool:
    """Whether its owner was told that this pair is not seen, and not since then that it is again. It may have been
    seen for a while that was too short to tell of."""
    of_it = [notice for notice in notices if _names(notice, price.pair)]
    newest = max(of_it, key=lambda notice: notice.at, default=None)
    if newest is not None and newest.kind == "blind":
        return True
    return any(notice.kind == "blind" and notice.at > price.observed_at for notice in of_it)


def _names(notice: Alert, pair: str) -> bool:
    """Or may: one of many pairs names only the first."""
    named = {part.text for part in notice.parts}
    return pair in named or notice.value > len(named)


def summary_notice(summary: Summary, plan: Plan, *, owner: str, now: int) -> Alert:
    """What is sent. Its id depends on the owner and the end of the stretch alone; its words are made once."""
    text = summary_text(summary, plan.name, plan.zone)
    return Alert(
        id=alert_id(rule=f"owner {owner}", version=0, pair="", kind="summary", event_time=summary.end),
        owner=owner,
        rule="",
        rule_name="",
        version=0,
        pair="",
        kind="summary",
        event_time=summary.end,
        at=now,
        seq=0,
        condition=f"{text.title}\n{text.body}",
        value=float(summary.alerts),
        constant=float(summary.signals),
        previous=None,
        price=0.0,
        source="",
        received_at=now,
        gap_ms=0,
        advice="info",
        channels=plan.channels,
    )


def summary_text(summary: Summary, name: str, zone: tzinfo) -> AlertText:
    """What a person should read, by the clocks of that zone. name: what it is called"""
    signals = f", {_counted(summary.signals, 'signal')}" if summary.signals else ""
    title = f"{name}: {_counted(summary.alerts, 'alert') if summary.alerts else 'no alerts'}{signals}"
    begin, end = (show_time(time, zone, seconds=False) for time in (summary.begin, summary.end))
    lines = [f"From {begin} to {end}.", *_signals(summary), *_rules(summary), *_moves(summary)]
    lines += [*_given_up(summary), *_unseen(summary, zone), *_ended(summary.ended)]
    return AlertText(title, "\n".join(lines))


def _signals(summary: Summary) -> list[str]:
    said = []
    if summary.signals:
        words = [f"{count:,} {word}" for word, count in (("buy", summary.buys), ("sell", summary.sells)) if count]
        said.append(f"Signals: {', '.join(words)}.")
    if summary.late:
        said.append(f"Found late, while history was filled in: {_counted(summary.late, 'alert')}.")
    return said


def _rules(summary: Summary) -> list[str]:
    lines = []
    for each in summary.rules:
        currency = each.pair.rpartition("/")[2]
        move = "" if each.move == "unknown" else f", {each.move}"
        last = f"last {plain(each.pair)} {show_price(each.price)} {plain(currency)}{move}"
        lines.append(f"{plain(each.name)[:_NAME]}: {each.alerts:,}, {last}")
    more = summary.all_rules - len(summary.rules)
    return [*lines, f"… and {_counted(more, 'more rule')}."] if more else lines


def _moves(summary: Summary) -> list[str]:
    shown = [f"{plain(each.pair)} {show_percent(each.move)} to {show_price(each.price)}" for each in summary.moves]
    return [f"Moved most: {'; '.join(shown)}."] if shown else []


def _given_up(summary: Summary) -> list[str]:
    if not summary.given_up:
        return []
    count = sum(each.count for each in summary.given_up)
    by_channel = ", ".join(f"{plain(each.channel)} {each.count:,}" for each in summary.given_up)
    one_by_one = "`cryptowatcher deliveries --state given_up` says why."
    return [f"Given up: {_counted(count, 'message')} ({by_channel}). {one_by_one}"]


def _unseen(summary: Summary, zone: tzinfo) -> list[str]:
    if not summary.unseen:
        return []
    shown = "; ".join(_one_unseen(each, zone) for each in summary.unseen[:SHOWN])
    more = len(summary.unseen) - SHOWN
    return [f"Not seen: {shown}{f'; and {more:,} more' if more > 0 else ''}."]


def _one_unseen(each: Unseen, zone: tzinfo) -> str:
    which = plain(each.pairs[0]) if each.count == 1 and each.pairs else _counted(each.count, "pair")
    if each.since:
        return f"{which} since {show_time(each.since, zone, seconds=False)}"
    often = f" in {each.times:,} stretches" if each.times > 1 else ""
    return f"{which} for {_counted(*show_span(each.ms))}{often}"


def _ended(ended: Ended) -> list[str]:
    said = []
    if ended.reminders:
        said.append(_counted(ended.reminders, "reminder"))
    if ended.late:
        said.append(f"{_counted(ended.late, 'message')} sent late")
    return [f"Also: {', '.join(said)}."] if said else []


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
