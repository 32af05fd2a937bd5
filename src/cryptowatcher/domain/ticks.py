"""Ticks as columns: the unit that travels from a source through the journal to the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class TickBatch(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """n observations by one source, cut into *instants*: rows that count as simultaneous.

    Within an instant each pair occurs at most once. Instants are in order of arrival, so where a batch
    was cut from a stream changes nothing. A CoinGecko page is one instant.

    pairs:       m distinct pair names that `pair` refers to
    pair:        n indices into `pairs` (int64)
    price:       n prices in the pair's currency, finite and > 0
    volume:      n 24 h volumes in the pair's currency, NaN where the source did not say
    market_cap:  n market capitalisations, NaN where the source did not say
    observed_at: n times of the source, epoch ms
    starts:      k first rows of the k instants, ascending, starts[0] == 0
    received_at: when the answer came in, epoch ms
    valid_for:   for how long such an observation counts as current, ms (a statement of the source)
    """

    source: str
    pairs: tuple[str, ...]
    pair: Ints
    price: Floats
    volume: Floats
    market_cap: Floats
    observed_at: Ints
    starts: Ints
    received_at: int
    valid_for: int

    def __len__(self) -> int:
        return len(self.price)

    def instants(self) -> Iterator[TickBatch]:
        """The batch, one instant at a time."""
        if len(self.starts) <= 1:
            yield self
            return
        for first, end in zip(self.starts, [*self.starts[1:], len(self)], strict=True):
            yield self.rows(slice(int(first), int(end)))

    def rows(self, which: slice | NDArray[np.intp] | NDArray[np.bool_]) -> TickBatch:
        """Some rows of a single instant, as a batch of one instant."""
        return msgspec.structs.replace(
            self,
            pair=self.pair[which],
            price=self.price[which],
            volume=self.volume[which],
            market_cap=self.market_cap[which],
            observed_at=self.observed_at[which],
            starts=np.zeros(1, np.int64),
        )

    def compact(self) -> TickBatch:
        """The same without names that no row uses."""
        used, pair = np.unique(self.pair, return_inverse=True)
        if len(used) == len(self.pairs):
            return self
        return msgspec.structs.replace(
            self, pairs=tuple(self.pairs[i] for i in used.tolist()), pair=pair.astype(np.int64)
        )

    def names(self) -> list[str]:
        """The pair of each row."""
        return [self.pairs[i] for i in self.pair.tolist()]


def one_instant(
    prices: Mapping[str, float],
    *,
    observed_at: int | Sequence[int],
    source: str = "test",
    received_at: int | None = None,
    valid_for: int = 300_000,
    volume: Sequence[float] | None = None,
    market_cap: Sequence[float] | None = None,
) -> TickBatch:
    """A batch of one instant from a mapping pair → price: the plain way to make one."""
    n = len(prices)
    times = (
        np.full(n, observed_at, np.int64) if isinstance(observed_at, int) else np.asarray(observed_at, np.int64)
    )
    unknown = np.full(n, np.nan)
    return TickBatch(
        source=source,
        pairs=tuple(prices),
        pair=np.arange(n, dtype=np.int64),
        price=np.asarray(list(prices.values()), np.float64),
        volume=unknown if volume is None else np.asarray(volume, np.float64),
        market_cap=unknown if market_cap is None else np.asarray(market_cap, np.float64),
        observed_at=times,
        starts=np.zeros(1, np.int64),
        received_at=int(times.max(initial=0)) if received_at is None else received_at,
        valid_for=valid_for,
    )
