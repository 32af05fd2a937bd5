"""What is kept of signals' worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.signals import Signal
from cryptowatcher.domain.ticks import Floats, Ints


class Scored(msgspec.Struct, frozen=True):
    """What is known of one version of a rule: how many rows, and when the newest was written (epoch ms). What was
    worked out of them holds until that changes."""

    rows: int
    newest: int


class ScoreTx(Protocol):
    """What scoring does inside a transaction, and what is read of it."""

    def unscored(self, horizon: int, *, after: str, upto: int, limit: int) -> list[Alert]:
        """Up to `limit` alerts that say buy or sell, with id > `after`, in order of id, whose horizon (ms) ended
        by `upto` (epoch ms) and that have no row for it."""
        ...

    def save_signals(self, signals: Sequence[Signal]) -> None:
        """What is there already for a (rule, version, alert, horizon) stays as it is."""
        ...

    def signals(self, rule: str, version: int) -> list[Signal]:
        """What is known of one version of a rule, in order of (alert, horizon)."""
        ...

    def scored(self, owner: str) -> dict[str, Scored]:
        """How much is known of the owner's rules as they stand, by their ids; nothing of those without signals."""
        ...

    def closes(self, pair: str, interval: int, start: int, end: int) -> tuple[Ints, Floats]:
        """Ends (epoch ms, ascending) and closes of the stored candles with start <= candle.start < end."""
        ...
