"""What the step forms look back on: columns over all pairs, kept for every pair whether or not a rule asks."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.features.bars import Bars, BarsState
from cryptowatcher.domain.features.columns import stretch
from cryptowatcher.domain.features.filling import Told, fill_gap
from cryptowatcher.domain.features.gaps import Gaps, GapsState
from cryptowatcher.domain.features.history import History, HistoryState
from cryptowatcher.domain.pairs import CANARY, Universe
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch

_NEVER = -(1 << 61)
_LONGEST_BREATH = 60_000


class MemoryState(msgspec.Struct, frozen=True, kw_only=True):
    """A memory's columns."""

    pairs: list[str]
    history: HistoryState
    bars: BarsState
    gaps: GapsState
    volume: Floats
    market_cap: Floats
    cap: Floats
    cap_at: Ints
    cap_valid_for: Ints
    settled: Floats
    now: int
    awake: int
    seen_at: Ints
    seq: Ints
    received_at: Ints
    source: Ints
    sources: list[str]


class Memory:
    """Columns over all pairs, in the order of the universe.

    history:            newest observation of each pair, and windows of earlier ones
    bars:               closed candles of each pair
    gaps:               where pairs were not observed
    volume, market_cap: as of the newest observation, NaN where the source did not say
    cap:                the last market capitalisation that was said, NaN where none ever was
    cap_at:             when that was, by `awake`, ms
    cap_valid_for:      for how long it counts as current from then, ms
    settled:            the rank by capitalisation that lists go by (tops.py), NaN where none was ever known
    currency:           a number for each currency; -1 for what is not people's
    seen_at:            journal time of the record that brought the newest observation, epoch ms
    seq:                position of that record
    received_at:        when the newest observation came in, epoch ms
    now:                journal time of the record that is being stepped, epoch ms
    awake:              how long the watcher was awake, ms: no more than a minute between two records counts
    """

    def __init__(self) -> None:
        self.universe = Universe()
        self.history = History()
        self.bars = Bars()
        self.gaps = Gaps()
        self.volume: Floats = np.zeros(0)
        self.market_cap: Floats = np.zeros(0)
        self.cap: Floats = np.zeros(0)
        self.cap_at: Ints = np.zeros(0, np.int64)
        self.cap_valid_for: Ints = np.zeros(0, np.int64)
        self.settled: Floats = np.zeros(0)
        self.currency: Ints = np.zeros(0, np.int64)
        self.seen_at: Ints = np.zeros(0, np.int64)
        self.seq: Ints = np.zeros(0, np.int64)
        self.received_at: Ints = np.zeros(0, np.int64)
        self.now = 0
        self.awake = 0
        self._source: Ints = np.zeros(0, np.int64)
        self._sources: list[str] = []
        self._currencies: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.seen_at)

    @property
    def clock(self) -> Ints:
        """Observed time of each pair, ms: see History."""
        return self.history.clock

    def widen(self) -> None:
        """Room for all pairs of the universe."""
        more = len(self.universe) - len(self)
        if more <= 0:
            return
        self.history.widen(len(self.universe))
        self.bars.widen(len(self.universe))
        self.gaps.widen(len(self.universe))
        self.volume = np.concatenate([self.volume, np.full(more, np.nan)])
        self.market_cap = np.concatenate([self.market_cap, np.full(more, np.nan)])
        self.cap = np.concatenate([self.cap, np.full(more, np.nan)])
        self.cap_at = np.concatenate([self.cap_at, np.full(more, _NEVER)])
        self.cap_valid_for = np.concatenate([self.cap_valid_for, np.zeros(more, np.int64)])
        self.settled = np.concatenate([self.settled, np.full(more, np.nan)])
        self._name_currencies()
        self.seen_at = np.concatenate([self.seen_at, np.zeros(more, np.int64)])
        self.seq = np.concatenate([self.seq, np.zeros(more, np.int64)])
        self.received_at = np.concatenate([self.received_at, np.zeros(more, np.int64)])
        self._source = np.concatenate([self._source, np.zeros(more, np.int64)])

    def newer(self, cols: Ints, times: Ints) -> NDArray[np.bool_]:
        """Which of these observations are newer than what is known of their pair."""
        return self.history.newer(cols, times)

    def add(self, cols: Ints, instant: TickBatch, *, at: int, seq: int = 0) -> None:
        """One newer observation for each of these distinct pairs, by a record of this journal time and place."""
        self.pass_to(at)
        where = stretch(cols)
        self.gaps.note(cols, where, instant.observed_at, instant.price, self.history, self.seq)
        self.bars.add(cols, where, instant, self.history)
        self.history.add(cols, instant.observed_at, instant.price, instant.valid_for)
        self.volume[where] = instant.volume
        self.market_cap[where] = instant.market_cap
        said = ~np.isnan(instant.market_cap)
        self.cap[cols[said]] = instant.market_cap[said]
        self.cap_at[cols[said]] = self.awake
        self.cap_valid_for[cols[said]] = instant.valid_for
        self.seen_at[where] = at
        self.seq[where] = seq
        self.received_at[where] = instant.received_at
        if instant.source not in self._sources:
            self._sources.append(instant.source)
        self._source[where] = self._sources.index(instant.source)

    def fill(self, cols: Ints, batch: TickBatch) -> list[Told]:
        """History of pairs, by the column of each row: what of it lies in gaps, the newest of a pair first."""
        told: list[Told] = []
        order = np.lexsort((batch.observed_at, cols))
        for rows in np.split(order, np.flatnonzero(np.diff(cols[order])) + 1):
            if len(rows):
                told += self._fill(int(cols[rows[0]]), batch.rows(rows))
        return told

    def _fill(self, col: int, points: TickBatch) -> list[Told]:
        """Of one pair. Of points of the same time the last one counts."""
        told: list[Told] = []
        last = np.diff(points.observed_at, append=np.iinfo(np.int64).max) > 0
        for gap in self.gaps.of(col):
            inside = last & (points.observed_at > gap.start) & (points.observed_at < gap.end)
            if not inside.any():
                continue
            some = points.rows(inside)
            filled = fill_gap(
                col, gap, time=some.observed_at, price=some.price, volume=some.volume, valid_for=some.valid_for
            )
            self.gaps.close(filled)
            told.append(self.history.fill(filled))
            self.bars.fill(filled, int(self.history.time[col]))
        return told

    def pass_to(self, at: int) -> None:
        """A record of this journal time is stepped."""
        if self.now:
            self.awake += min(max(at - self.now, 0), _LONGEST_BREATH)
        self.now = at

    def source_of(self, col: int) -> str:
        """Where the newest observation of a pair came from."""
        return self._sources[int(self._source[col])]

    def forget(self, cols: Ints) -> None:
        """Nothing was ever seen of these pairs. Their observed time goes on: see History."""
        self.history.forget(cols)
        self.bars.forget(cols)
        self.gaps.forget(cols)
        self.volume[cols] = np.nan
        self.market_cap[cols] = self.cap[cols] = self.settled[cols] = np.nan
        self.cap_at[cols] = _NEVER
        self.cap_valid_for[cols] = self.seen_at[cols] = self.received_at[cols] = self._source[cols] = 0

    def _name_currencies(self) -> None:
        """Of the pairs that are new."""
        numbers = [
            -1 if pair == CANARY else self._currencies.setdefault(pair.rpartition("/")[2], len(self._currencies))
            for pair in self.universe.names[len(self.currency) :]
        ]
        self.currency = np.concatenate([self.currency, np.asarray(numbers, np.int64)])

    def state(self) -> MemoryState:
        """Everything, for a checkpoint."""
        return MemoryState(
            pairs=self.universe.names,
            history=self.history.state(),
            bars=self.bars.state(),
            gaps=self.gaps.state(),
            volume=self.volume,
            market_cap=self.market_cap,
            cap=self.cap,
            cap_at=self.cap_at,
            cap_valid_for=self.cap_valid_for,
            settled=self.settled,
            now=self.now,
            awake=self.awake,
            seen_at=self.seen_at,
            seq=self.seq,
            received_at=self.received_at,
            source=self._source,
            sources=self._sources,
        )

    def restore(self, state: MemoryState) -> None:
        """The opposite of state(), into a fresh memory."""
        self.universe = Universe(state.pairs)
        self.history.restore(state.history)
        self.bars.restore(state.bars)
        self.gaps.restore(state.gaps)
        self.volume, self.market_cap = state.volume, state.market_cap
        self.cap, self.cap_at, self.cap_valid_for = state.cap, state.cap_at, state.cap_valid_for
        self.settled, self.now, self.awake = state.settled, state.now, state.awake
        self._name_currencies()
        self.seen_at, self.seq = state.seen_at, state.seq
        self.received_at, self._source, self._sources = state.received_at, state.source, state.sources
