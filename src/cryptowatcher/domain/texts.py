"""The default words of an alert. Plain functions: nothing that a user typed is ever executed. See templates.py for
an owner's own words."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, tzinfo
from typing import Final

import msgspec

from cryptowatcher.domain.alerts import SIGHTINGS, Alert, Part, is_condition
from cryptowatcher.domain.deliveries import RetryPolicy

_PRICE_DIGITS: Final = 6
_PERCENT_DIGITS: Final = 3
_CHANGE = re.compile(
    r"\s*(?P<abs>abs\s*\(\s*)?change\s*\([^()]*\)\s*(?(abs)\)\s*)(?:[<>]|crosses\b)", re.IGNORECASE
)
_PRICE_RULE = re.compile(r"price\s*(?:[<>]=?|crosses\s+(?:above|below))\s*[-+.\w]+", re.IGNORECASE)


class AlertText(msgspec.Struct, frozen=True):
    """A title of one line and a body of some, one sentence a line."""

    title: str
    body: str

    def one_line(self) -> str:
        return f"{self.title} | {self.body.replace(chr(10), ' ')}"


def alert_text(
    alert: Alert, *, now: int, late_after: int = RetryPolicy().late_after, zone: tzinfo = UTC, link: str = ""
) -> AlertText:
    """What a person should read when the alert is sent at `now` (epoch ms). It says that it is late when it
    is older than `late_after` (ms).

    zone: of the clocks that its owner looks at
    link: the page's public address; empty: none
    """
    if alert.kind in SIGHTINGS:
        return _sight_text(alert, now, late_after)
    if alert.kind == "summary":
        return _summary_text(alert, now, late_after)
    if alert.kind == "resolved":
        return _over_text(alert, now, late_after, zone)
    if not is_condition(alert.kind):
        return _notice_text(alert, zone)
    advice = "" if alert.advice == "info" else f"{alert.advice.capitalize()}: "
    suppressed = f" (+{alert.suppressed:,} suppressed)" if alert.suppressed else ""
    title = f"{advice}{plain(alert.pair)} {headline(alert)} ({plain(alert.rule_name)}){suppressed}"
    body = [*_what(alert), *_why(alert, zone), *caveats(alert, now, late_after), _origin(alert)]
    body += [alert_link(link, alert)] if link else []
    return AlertText(title, "\n".join(body))


def alert_link(page: str, alert: Alert) -> str:
    """Where it can be looked at; empty where the page's address is not known."""
    return f"{page}/alerts/{alert.id}" if page else ""


def show_price(price: float, digits: int | None = None) -> str:
    """Six significant digits unless others are asked for, and never fewer than stand before the point: `67,123.4`,
    `0.00123457`, `2.02027e-10`, `1,234,568`."""
    return _significant(price, digits or _PRICE_DIGITS)


def show_percent(fraction: float, digits: int | None = None) -> str:
    """A change as a signed percentage with three significant digits: -0.05234 → `-5.23%`."""
    text = _significant(fraction * 100, digits or _PERCENT_DIGITS)
    return f"+{text}%" if fraction > 0 else f"{text}%"


def _moment(ms: int, zone: tzinfo) -> datetime:
    try:
        return datetime.fromtimestamp(ms / 1000, zone)
    except (OverflowError, ValueError):  # the last day of the calendar, in a zone east of it
        return datetime.fromtimestamp(ms / 1000, UTC)


def show_time(ms: int, zone: tzinfo = UTC, *, seconds: bool = True) -> str:
    """Epoch ms → `2024-08-05 06:15:00 UTC`, `2024-08-05 08:15:00 CEST`; or without the seconds."""
    moment = _moment(ms, zone)
    name = moment.tzname() or ""
    # Places without a name of their own for their time have only how far it is away.
    shown = f"UTC{name}" if name.startswith(("+", "-")) else name
    return f"{moment:{'%Y-%m-%d %H:%M:%S' if seconds else '%Y-%m-%d %H:%M'}} {shown}"


def show_span(ms: int) -> tuple[int, str]:
    """A stretch of time as a number and the unit that suits it: 2,220,000 → (37, "minute")."""
    for unit, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)):
        if ms >= 2 * size:
            return round(ms / size), unit
    return round(ms / 1000), "second"


def observed_at(alert: Alert) -> int:
    """When the observation that proves it was made, epoch ms: for a gap, where the gap ended; for a notice that is
    no rule's, when it was made out."""
    if not is_condition(alert.kind) and alert.kind != "resolved":
        return alert.at
    return alert.event_time + alert.gap_ms if alert.kind == "gap" else alert.event_time


def show_value(condition: str, value: float, digits: int | None = None) -> str:
    """What a condition compares, in percent where its constant is written so."""
    return show_percent(value, digits) if "%" in condition else show_price(value, digits)


def show_move(alert: Alert, digits: int | None = None) -> str:
    """How far the price moved: what the rule's first change(…) measured, without a sign where the rule takes it
    away; for a rule on the price since the observation before; `unknown` where there is neither."""
    compared = [(part.text, part.value) for part in alert.parts] or [(alert.condition, alert.value)]
    for text, value in compared:
        measured = _CHANGE.match(plain(text))
        if measured and value is not None:
            shown = show_percent(value, digits)
            return shown.lstrip("+") if measured["abs"] else shown
    if is_about_price(alert.condition) and not alert.parts and alert.previous:
        return show_percent(alert.value / alert.previous - 1, digits)
    return "unknown"


def plain(text: str) -> str:
    """In one line, and nothing in it that could steer a terminal or turn the direction of writing."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def _significant(number: float, digits: int) -> str:
    if not math.isfinite(number):
        return "unknown"
    size = abs(number)
    if size == 0:
        return "0"
    if not 1e-6 <= size < 1e15:
        return f"{number:.{digits}g}".replace("e-0", "e-").replace("e+", "e")
    decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _value(alert: Alert, value: float) -> str:
    """As its condition compares it; a price with its currency."""
    currency = f" {_currency(alert)}" if is_about_price(alert.condition) else ""
    return f"{show_value(alert.condition, value)}{currency}"


def headline(alert: Alert) -> str:
    """What says most in one number: what was compared, or the price where there were several comparisons."""
    return f"{show_price(alert.price)} {_currency(alert)}" if alert.parts else _value(alert, alert.value)


def is_about_price(condition: str) -> bool:
    """Whether it compares the price itself, and nothing else."""
    return _PRICE_RULE.fullmatch(plain(condition).strip()) is not None


def _currency(alert: Alert) -> str:
    return plain(alert.pair.rpartition("/")[2])


def _what(alert: Alert) -> list[str]:
    lines = explained(alert)
    if not is_about_price(alert.condition):
        lines.append(_price(alert))
    if alert.advice != "info":
        lines.append(f"Advice: {alert.advice}.")
    if alert.suppressed:
        crossings = _counted(alert.suppressed, "crossing")
        lines.append(f"It held back {crossings} since the alert before.")
    return lines


def explained(alert: Alert) -> list[str]:
    """What was compared with which value, a sentence each."""
    return [f"{plain(alert.condition)}.", *map(_part, alert.parts)] if alert.parts else [_compared(alert)]


def _compared(alert: Alert) -> str:
    before = "" if alert.previous is None else f", before {_value(alert, alert.previous)}"
    moved = f" ({show_move(alert)})" if alert.previous and is_about_price(alert.condition) else ""
    return f"{plain(alert.condition)}: now {_value(alert, alert.value)}{before}{moved}."


def _part(part: Part) -> str:
    return f"{plain(part.text)}: now {'unknown' if part.value is None else show_value(part.text, part.value)}."


def _price(alert: Alert) -> str:
    return f"Price {show_price(alert.price)} {_currency(alert)}."


def _observed(alert: Alert, zone: tzinfo) -> str:
    return f"Observed {show_time(observed_at(alert), zone)} by {plain(alert.source)}."


def _why(alert: Alert, zone: tzinfo) -> list[str]:
    lines = [_observed(alert, zone)]
    number, unit = show_span(alert.gap_ms)
    if alert.kind == "gap":
        lines.append(f"Crossed some time in a {number}-{unit} gap that began {show_time(alert.event_time, zone)}.")
    elif alert.gap_ms:
        lines.append(f"Before that the pair was not observed for {_counted(number, unit)}.")
    if alert.kind == "already":
        lines.append("It was already true when it could first be judged.")
    return lines


def caveats(alert: Alert, now: int, late_after: int) -> list[str]:
    """That it comes late, a sentence each: found late, or sent late."""
    lines = ["Late: found while history was filled in."] if alert.late and is_condition(alert.kind) else []
    age = now - observed_at(alert)
    if age >= late_after:
        lines.append(f"Late: sent {_counted(*show_span(age))} after it was observed.")
    return lines


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _origin(alert: Alert) -> str:
    # The short id lets a reader recognise a message that a crash made come twice.
    return f'Rule "{plain(alert.rule_name)}", alert {short_id(alert)}.'


def short_id(alert: Alert) -> str:
    """Enough of its id to recognise it by."""
    return alert.id.rpartition("-")[2][:8]


def _notice_text(notice: Alert, zone: tzinfo) -> AlertText:
    ends = show_time(notice.event_time, zone)
    name = plain(notice.rule_name)
    if notice.kind == "expired":
        title, what = f'Rule "{name}" has ended', f"It ended {ends} and does not fire any more."
    else:
        title, what = f'Rule "{name}" ends soon', f"It ends {ends} and does not fire from then on."
    # By its id: a name may hold anything, and people copy commands.
    renew = f"Renew it: cryptowatcher rules renew {notice.rule} --for 30d"
    return AlertText(title, f"{what}\nIts condition: {plain(notice.condition)}.\n{renew}")


def _over_text(notice: Alert, now: int, late_after: int, zone: tzinfo) -> AlertText:
    """What a rule has told is over. `now` as in alert_text."""
    span = _counted(*show_span(notice.gap_ms))
    unseen = f"It had been so for up to {span}, and ended some time while that was not known."
    said = [unseen if notice.late else f"It had been so for {span}.", *explained(notice)]
    if not notice.parts:
        said.append(f"It counts as over once it is back at {_value(notice, notice.constant)}.")
    if not is_about_price(notice.condition):
        said.append(_price(notice))
    said += [_observed(notice, zone), *caveats(notice, now, late_after), _origin(notice)]
    title = f"Over: {plain(notice.pair)} {headline(notice)} ({plain(notice.rule_name)})"
    return AlertText(title, "\n".join(said))


def _summary_text(notice: Alert, now: int, late_after: int) -> AlertText:
    """Its words were made when it was."""
    title, _, body = notice.condition.partition("\n")
    age = now - notice.event_time
    late = f"\nLate: sent {_counted(*show_span(age))} after its end." if age >= late_after else ""
    return AlertText(title, f"{body}{late}")


def _sight_text(notice: Alert, now: int, late_after: int) -> AlertText:
    """Which pairs nobody sees, or are seen again. `now` as in alert_text."""
    count, of = int(notice.value), int(notice.constant)
    named = [plain(part.text) for part in notice.parts]
    which = named[0] if count == 1 else f"{count:,} of {of:,} pairs" if of else f"{count:,} pairs"
    are = "is" if count == 1 else "are"
    span = _counted(*show_span(notice.gap_ms))
    if notice.kind == "blind":
        title, what = (
            f"{which} {are} not seen",
            f"No usable price for {span}: rules cannot judge what is not seen.",
        )
        what += "\n`cryptowatcher sources` says why. You will be told when this is over."
    else:
        title = f"{which} {are} seen again"
        what = f"Not seen for up to {span}. What happened meanwhile is looked at as far as history is given."
    pairs = (
        ""
        if count == 1
        else f"\nPairs: {', '.join(named)}{f' and {count - len(named):,} more' * (count > len(named))}."
    )
    age = now - notice.at
    late = f"\nLate: sent {_counted(*show_span(age))} after it was made out." if age >= late_after else ""
    return AlertText(title, f"{what}{pairs}{late}")
