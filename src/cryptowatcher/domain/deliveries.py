"""The outbox as a state machine: one alert to one channel; the row is the receipt."""

from __future__ import annotations

from typing import Literal

import msgspec

DeliveryState = Literal["queued", "leased", "retrying", "sent", "given_up", "cancelled"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One alert on its way to one channel. Times are epoch ms.

    id:          `alert id ~ channel`: from content, so an alert is queued to a channel once
    due_at:      not before this
    leased_until, holder: who is sending it now; after `leased_until` another may
    attempts:    calls made so far
    last_error:  what the other side said last, in words
    receipt:     what the other side answered when it accepted
    """

    id: str
    alert: str
    owner: str
    rule: str
    channel: str
    state: DeliveryState = "queued"
    created_at: int
    due_at: int
    attempts: int = 0
    leased_until: int = 0
    holder: str = ""
    last_error: str = ""
    receipt: str = ""
    finished_at: int = 0


def delivery_id(alert: str, channel: str) -> str:
    """The same alert to the same channel is the same delivery."""
    return f"{alert}~{channel}"
