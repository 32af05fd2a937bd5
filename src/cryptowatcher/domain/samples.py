"""Alerts that never were: to look at how messages are written, and to see whether they arrive."""

from __future__ import annotations

import math
from datetime import UTC, tzinfo

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.candles import CandleColumns
from cryptowatcher.domain.deliveries import Delivery, delivery_id
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.messages import Message, Wording, write
from cryptowatcher.domain.pictures import Picture, picture, view
from cryptowatcher.domain.texts import AlertText


def sample_alert(*, owner: str, now: int) -> Alert:
    """As a drop of a well-known coin would be, observed three seconds ago."""
    observed = now - 3_000
    return Alert(
        id=alert_id(rule="sample", version=1, pair="bitcoin/usd", kind="edge", event_time=observed),
        owner=owner,
        rule="sample",
        rule_name="btc drops",
        version=1,
        pair="bitcoin/usd",
        kind="edge",
        event_time=observed,
        at=now - 1_000,
        seq=1,
        condition="change(5m) <= -5%",
        value=-0.05234,
        constant=-0.05,
        previous=-0.041,
        price=50_123.456,
        source="sample",
        received_at=now - 2_000,
        gap_ms=0,
        advice="buy",
        channels=(),
    )


def sample_picture(alert: Alert, *, zone: tzinfo = UTC) -> Picture | None:
    """As if its pair had gone up and down around the alert's price, minute by minute."""
    seen, interval = view(alert), MS["m"]
    start = np.arange(seen.start // interval + 1, seen.end // interval, dtype=np.int64) * interval
    waves = [math.sin(minute / 7) + 2 * math.sin(minute / 31) for minute in range(len(start))]
    close = alert.price * (1.04 + 0.01 * np.array(waves))
    candles = CandleColumns(start, close * 1.002, close * 0.998, close, np.full(len(start), np.nan))
    return picture(alert, candles, interval, zone=zone)


def as_if_sent(alert: Alert, channel: str, *, now: int, wording: Wording) -> Message:
    """The message that a channel would be given of it, were it sent now."""
    delivery = Delivery(
        id=delivery_id(alert.id, channel),
        alert=alert.id,
        owner=alert.owner,
        rule=alert.rule,
        channel=channel,
        created_at=now,
        due_at=now,
    )
    return write([(delivery, alert)], now=now, wording=wording)


def test_message(channel: str, *, owner: str, now: int) -> Message:
    """What is sent where somebody wants to see whether a channel works. It looks like an alert and says that it is
    none."""
    alert = msgspec.structs.replace(
        sample_alert(owner=owner, now=now),
        id=alert_id(rule="test", version=1, pair="bitcoin/usd", kind="edge", event_time=now),
        rule="test",
        rule_name="test",
        event_time=now,
        at=now,
        received_at=now,
        condition="price > 0",
        value=1.0,
        constant=0.0,
        previous=None,
        price=1.0,
        source="test",
        advice="info",
        channels=(channel,),
    )
    body = f"Alerts reach you here, through the channel {channel!r}. Nothing has happened."
    message = as_if_sent(alert, channel, now=now, wording=Wording())
    return msgspec.structs.replace(message, text=AlertText("A test of cryptowatcher", body), kind="test")
