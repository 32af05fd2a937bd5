"""How long what is kept: ages in ms, sizes in bytes."""

from __future__ import annotations

from typing import Final

import msgspec

from cryptowatcher.domain.intervals import MS

SHORTEST_JOURNAL: Final = 7 * MS["d"]
"""Promise 3 (same records, same alerts) holds within the journal, and for at least this long."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """
    journal:      age of records that nobody needs any more
    journal_size: bytes that records may take; the oldest go earlier when they take more
    minutes:      age of one-minute candles; coarser ones are kept for ever
    alerts:       age of alerts, with their deliveries
    canary:       age of the watcher's own alerts to itself
    """

    journal: int = SHORTEST_JOURNAL
    journal_size: int = 10 * 10**9
    minutes: int = 90 * MS["d"]
    alerts: int = 730 * MS["d"]
    canary: int = MS["d"]
