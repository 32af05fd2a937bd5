"""The log that everything else follows from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cryptowatcher.domain.records import Draft, Record


class Trimmed(Exception):
    """The record after the asked position is gone; `oldest` is the first that still stands."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the journal begins at {oldest}")
        self.oldest = oldest


class Journal(Protocol):
    """One totally ordered, durable, append-only log. Sequence numbers are dense and start at 1.

    A record's time is max(the time of the record before, the clock): it never decreases. Where the clock is hours
    behind the record before, because it was far ahead for a while, time goes on from there with the steady clock.
    """

    @property
    def id(self) -> str:
        """Changes when the log is recreated. Positions of another id mean nothing here."""
        ...

    async def append(self, drafts: Sequence[Draft]) -> int:
        """All or nothing, in order; durable when it returns the new head. A draft whose (writer, number) is
        not above the writer's last is ignored. Concurrent appends are serialised, never interleaved."""
        ...

    async def read(self, after: int, limit: int = 1000) -> Sequence[Record]:
        """Up to `limit` records after `after`, in order; empty at the head. Raises Trimmed."""
        ...

    async def head(self) -> int:
        """The last sequence number, 0 when empty."""
        ...

    async def wait(self, after: int) -> None:
        """Returns once the head is beyond `after`. May return early; never misses an append."""
        ...

    async def seek(self, at: int) -> int:
        """The last position whose record's time is < `at` (epoch ms): reading after it gives all since."""
        ...

    async def last_number(self, writer: str) -> int:
        """The highest draft number this writer has appended, 0 if none."""
        ...

    async def renew(self) -> None:
        """Take a new id: what cursors of the old id mean is not what stands here (a restored older copy)."""
        ...

    async def trim(self, upto: int) -> int:
        """Forget records with seq <= upto; how many they were. The head stays known."""
        ...

    async def fit(self, size: int) -> int:
        """How far to trim for what stands to take `size` bytes at most; 0 when it does. Looks at a bounded stretch
        only: trim, and ask again."""
        ...
