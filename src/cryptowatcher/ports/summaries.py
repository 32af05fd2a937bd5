"""What a summary is made of, and that it is told once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.summary import Ended, GivenUp, Mark, Tally


class SummaryTx(Protocol):
    """What summing up does inside a transaction. Stretches have no end: begin <= time < end, epoch ms. Notices do
    not count as alerts."""

    def summary_mark(self, owner: str) -> Mark | None:
        """Up to when the owner was told; None: nothing is known yet."""
        ...

    def mark_summary(self, owner: str, mark: Mark) -> None: ...

    def tell_summary(self, notice: Alert, deliveries: Sequence[Delivery]) -> None:
        """Queue it. Nothing where that notice is there already, whatever became of it."""
        ...

    def tally(self, owner: str, *, ids: tuple[str, str], begin: int, end: int) -> list[Tally]:
        """The alerts made out in that stretch (`at`), by rule; only first id <= id < second id."""
        ...

    def ended(self, owner: str, *, ids: tuple[str, str], begin: int, end: int, late_after: int) -> Ended:
        """The deliveries sent in that stretch, those late that took so long (ms); only first id <= id < second
        id."""
        ...

    def given_up(self, owner: str, begin: int, end: int) -> list[GivenUp]:
        """In that stretch, by channel, in order of name."""
        ...

    def sightings(self, owner: str, since: int, end: int) -> list[Alert]:
        """Notices that pairs are not seen, or are again, with an event since then and told before `end`, in order
        of id; the newest 1,000."""
        ...

    def alerts_named(self, ids: Collection[str]) -> dict[str, Alert]:
        """Those that are there, by id."""
        ...

    def looked_at(self, owner: str, most: int) -> tuple[list[str], bool]:
        """The pairs that the owner's active rules and their lists name, in order, and whether there are rules on
        the market as a whole; of the first `most` rules."""
        ...

    def largest(self, limit: int) -> list[Price]:
        """The newest prices of those with the largest market cap, the largest first."""
        ...

    def closes_by(self, pairs: Collection[str], at: int, *, interval: int, within: int) -> dict[str, float]:
        """The close of each pair's newest stored candle that ended at or before that time, no more than `within`
        (ms) before."""
        ...
