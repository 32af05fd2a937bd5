"""What is known at this moment: of sources, of the pipeline, of prices, of backups."""

from __future__ import annotations

from typing import Literal

import msgspec

SourceState = Literal["starting", "ok", "limited", "blind"]

BACKUP_NOTE = "backup.json"
"""In the data folder: a BackupNote that `cryptowatcher backup` writes; /metrics and `doctor` read it."""


class BlindPair(msgspec.Struct, frozen=True):
    """A pair that a source cannot see now: the reason is a stable word, `since` is epoch ms."""

    pair: str
    reason: str
    since: int


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row per source.

    state:  starting (never answered yet) · ok · limited (told to wait; still within `valid_for`) ·
            blind (no usable answer for longer than observations stay valid)
    reason: stable word for state, "" when ok; `detail` is the sentence for people
    pairs:  how many pairs were seen in the last good round; `blind_pairs` the ones that are not
    history: what of the past is still to be asked for, as a sentence for people; "" when nothing is
    """

    source: str
    state: SourceState
    reason: str = ""
    detail: str = ""
    since: int
    last_ok_at: int = 0
    next_call_at: int = 0
    pairs: int = 0
    held: int = 0
    calls_this_minute: int = 0
    calls_per_minute: int = 0
    calls_this_month: int = 0
    calls_per_month: int | None = None
    blind_pairs: tuple[BlindPair, ...] = ()
    history: str = ""


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """What the pipeline tells the page's process about itself, once a second.

    at:       epoch ms
    metrics:  its own metrics in Prometheus' text format; as they were told before when empty
    troubles: job → stable word for why it cannot go on now
    """

    at: int
    metrics: str = ""
    troubles: dict[str, str] = {}


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """The newest accepted observation of a pair. Unknown volume or market cap is None. Times are epoch ms."""

    pair: str
    price: float
    volume_24h: float | None
    market_cap: float | None
    observed_at: int
    received_at: int
    valid_until: int
    source: str
    seq: int


class BackupNote(msgspec.Struct, frozen=True):
    """When the newest backup was complete (epoch ms), and where it lies."""

    at: int
    path: str


def read_backup_note(content: bytes) -> BackupNote | None:
    """None when it cannot be understood."""
    try:
        return msgspec.json.decode(content, type=BackupNote)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
