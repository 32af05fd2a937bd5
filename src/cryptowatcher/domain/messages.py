"""What a channel is asked to say: one alert in words, or several in one message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import Final, Literal

import msgspec

from cryptowatcher.domain.alerts import SIGHTINGS, Alert, is_condition
from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery, RetryPolicy
from cryptowatcher.domain.digests import bundle_text
from cryptowatcher.domain.hours import zone_named
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.domain.reminders import reminding_text
from cryptowatcher.domain.templates import (
    BODY_MOST,
    TITLE_MOST,
    Subject,
    Template,
    fill_body,
    fill_title,
    parse_template,
)
from cryptowatcher.domain.texts import AlertText, alert_link, alert_text, caveats

MessageKind = Literal["alert", "reminder", "bundle", "expiry", "sight", "summary", "resolved", "test"]


_NEVER: Final = 2**62
"""An age (ms) that nothing has."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out in one call.

    delivery: the row that is being sent
    alerts:   what it tells of
    text:     in words, in one line and in some
    at:       when it was written, epoch ms
    zone:     of the clocks that its owner looks at
    link:     where it can be looked at; empty where the page's address is not known
    picture:  of the price up to then, a PNG; empty where there is none. A channel that cannot show it leaves it
              out
    """

    delivery: Delivery
    alerts: tuple[Alert, ...]
    text: AlertText
    at: int
    kind: MessageKind = "alert"
    zone: tzinfo = UTC
    link: str = ""
    picture: bytes = b""

    @property
    def id(self) -> str:
        """The same whenever this is tried again: other sides can drop repeats by it."""
        return self.delivery.bundle or self.delivery.id

    @property
    def alert(self) -> Alert:
        """The first that it tells of."""
        return self.alerts[0]


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel's messages are written.

    late_after: age (ms) from which a message says that it is late
    zone:       of the clocks that its owner looks at
    link:       the page's public address; empty: none
    title, body: the owner's own words for one alert; None: the default ones
    """

    late_after: int = RetryPolicy().late_after
    zone: tzinfo = UTC
    link: str = ""
    title: Template | None = None
    body: Template | None = None


def reworded(wording: Wording, *, title: str | None, body: str | None) -> Wording:
    """With other templates; None: those that it has. ConfigError where they are none."""
    if title is not None:
        wording = msgspec.structs.replace(wording, title=parse_template(title, most=TITLE_MOST, where="title"))
    if body is not None:
        wording = msgspec.structs.replace(wording, body=parse_template(body, most=BODY_MOST, where="body"))
    return wording


def wording_of(policy: ChannelPolicy, kindness: Kindness) -> Wording:
    """What a channel's settings and its owner's mean for its words. ConfigError where they cannot be."""
    zone = zone_named(kindness.time_zone, where="owner.time_zone")
    wording = Wording(late_after=policy.retry.late_after, zone=zone, link=kindness.link)
    return reworded(wording, title=policy.title, body=policy.body)


def write(rows: Sequence[tuple[Delivery, Alert]], *, now: int, wording: Wording | None = None) -> Message:
    """The message that tells of these alerts at `now` (epoch ms), one or several."""
    wording = wording or Wording()
    delivery, alert = rows[0]
    alerts = tuple(alert for _, alert in rows)
    if delivery.kind == "reminder":
        return _reminder(rows, now, wording)
    if len(rows) > 1:
        held = sorted({each.held for each, _ in rows if each.held})
        text = bundle_text(alerts, held=held, now=now, late_after=wording.late_after, zone=wording.zone)
        link = wording.link
        text = AlertText(text.title, f"{text.body}\n{link}") if link else text
        return Message(
            delivery=delivery, alerts=alerts, text=text, at=now, kind="bundle", zone=wording.zone, link=link
        )
    is_alert = is_condition(alert.kind)
    return Message(
        delivery=delivery,
        alerts=alerts,
        text=_words(alert, now, wording),
        at=now,
        kind=_kind(alert),
        zone=wording.zone,
        link=alert_link(wording.link, alert) if is_alert else wording.link,
    )


def _reminder(rows: Sequence[tuple[Delivery, Alert]], now: int, wording: Wording) -> Message:
    """What was told before, once more: it says itself how old it is, and is not late or held."""
    as_told = [(msgspec.structs.replace(delivery, kind="alert", held=""), alert) for delivery, alert in rows]
    told = write(as_told, now=now, wording=msgspec.structs.replace(wording, late_after=_NEVER))
    deliveries = [delivery for delivery, _ in rows]
    text = reminding_text(told.text, deliveries, told.alerts, now=now)
    kind: MessageKind = "reminder" if told.kind == "alert" else told.kind
    return msgspec.structs.replace(told, delivery=deliveries[0], text=text, kind=kind)


def _kind(alert: Alert) -> MessageKind:
    if is_condition(alert.kind):
        return "alert"
    if alert.kind in ("summary", "resolved"):
        return alert.kind
    return "sight" if alert.kind in SIGHTINGS else "expiry"


def _words(alert: Alert, now: int, wording: Wording) -> AlertText:
    """The owner's where there are any, else the default ones: also where a template leaves nothing to read."""
    late_after, zone, link = wording.late_after, wording.zone, wording.link
    text = alert_text(alert, now=now, late_after=late_after, zone=zone, link=link)
    if not is_condition(alert.kind):
        return text
    subject = Subject(alert=alert, text=text, now=now, late_after=late_after, zone=zone, link=link)
    title = fill_title(wording.title, subject) if wording.title else ""
    body = fill_body(wording.body, subject) if wording.body else ""
    # Whatever an owner leaves out: what comes late says so.
    unsaid = [line for line in caveats(alert, now, late_after) if line not in body]
    return AlertText(title or text.title, "\n".join([body, *unsaid]) if body else text.body)
