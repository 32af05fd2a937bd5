"""What tidy does inside a transaction."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a long work, so that others come in between.

    gone: rows that were forgotten
    upto: where the next slice goes on
    more: whether there may be a next one
    """

    gone: int
    upto: str
    more: bool


class TidyTx(Protocol):
    """What tidy does inside a transaction, a slice at a time."""

    def trim_candles(self, interval: int, before: int, *, after: str = "", limit: int = 1000) -> Slice:
        """Forget up to `limit` candles of an interval that start before that time (epoch ms), of pairs that come
        after `after`."""
        ...

    def trim_alerts(self, before: int, *, after: str = "", limit: int = 500, owner: str | None = None) -> Slice:
        """Look at up to `limit` alerts with id > `after` whose event came before that time (epoch ms), and forget
        those of this owner (None: of all) that have no unfinished delivery, with their deliveries."""
        ...

    def trim_changes(self, before: int, *, limit: int = 500) -> Slice:
        """Look at up to `limit` changes of rules more that count from a position before that one, and forget of
        each rule the change before, with its take-up. What a rule became last stays. `upto` says nothing: where
        the next slice goes on is written down."""
        ...
