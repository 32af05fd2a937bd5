"""Where prices come from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.past import Past, Reach


class Observations(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One answer of a source, translated but not judged. A price that the source did not give as a finite
    number > 0 is absent: its pair stands in `unseen` with a stable word for the reason.

    pairs:       n distinct pair names, one instant
    price:       n floats, finite and > 0
    volume:      n floats, NaN unknown
    market_cap:  n floats, NaN unknown
    observed_at: n source times, epoch ms; 0 where the source gave none
    unseen:      (pair, reason) of what was asked for and not given
    received_at: epoch ms
    """

    pairs: tuple[str, ...]
    price: NDArray[np.float64]
    volume: NDArray[np.float64]
    market_cap: NDArray[np.float64]
    observed_at: NDArray[np.int64]
    unseen: tuple[tuple[str, str], ...] = ()
    received_at: int


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a source may be asked.

    every:      seconds between rounds that the owner wishes
    valid_for:  ms for which an observation counts as current
    per_minute: calls a minute at most
    per_month:  counted answers a calendar month (UTC) at most, None for no such limit
    """

    every: float
    valid_for: int
    per_minute: int
    per_month: int | None = None


class Source(Protocol):
    """Somewhere prices come from, asked in rounds of `pages` calls. Never asks by itself: collect paces it."""

    @property
    def name(self) -> str: ...

    @property
    def pace(self) -> Pace: ...

    @property
    def pages(self) -> int:
        """Calls that one round takes. May change between rounds."""
        ...

    async def fetch(self, page: int) -> Observations:
        """One call. Ends within the source's deadline. Raises Unavailable (with retry_after where the other
        side named one) or Refused; nothing else, whatever comes back."""
        ...


@runtime_checkable
class HistorySource(Source, Protocol):
    """A source that also knows what was before. Never asks by itself."""

    @property
    def reaches(self) -> tuple[Reach, ...]:
        """The charts it has: finest first, each reaching further back than the one before."""
        ...

    async def past(self, pair: str, reach: Reach) -> Past:
        """One call: the newest `reach.back` ms of a pair, one of those that `fetch` gives. Ends within the
        source's deadline. Raises Unavailable, or Refused where asking again for this pair is useless for a day;
        nothing else, whatever comes back."""
        ...
