"""Judging observations: accept, hold, or reject each with a stable word for the reason.

A price that jumps by more than half against the last accepted one counts only when the next observation
agrees with it; until then it is *held*, and no rule sees it. Where many coins jump in one answer, the source
itself is suspect and ten more answers must agree. The guard looks the same up and down and never anchors on
what it has not accepted. It heals itself: two observations that agree are enough, whatever was held before.
The first price of a pair counts at once, but it is not *settled* until another agrees with it: if the next ones
agree with each other instead, the pair begins anew with them, and no rule compares them with the first.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.pairs import Universe
from cryptowatcher.domain.records import Body, Held, Record, Ticks, Verdict
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch, one_instant

JUMP = math.log(1.5)
AGREES = math.log(1.25)
MARKET_WIDE_SHARE = 0.2
CONFIRMATIONS = {"jump": 1, "market_wide": 10}
DISAGREED = "the next observation disagreed"
SUPERSEDED = "a newer observation is held in its place"
AGREED = "the next observation agreed"
ANEW = "the next observation agreed, and nothing ever agreed with the first price"
FUTURE_MS = 120_000
"""A source's clock may run ahead of ours by this much."""


class Suspect(msgspec.Struct, frozen=True):
    """A held tick: as a batch of one row, why it is held, and how many observations agreed with it."""

    tick: TickBatch
    reason: str
    agreed: int = 0

    @property
    def price(self) -> float:
        return float(self.tick.price[0])


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What to append to the journal, in this order, and what was passed over with its reason."""

    bodies: list[Body]
    accepted: int
    held: int
    rejected: list[tuple[str, str]]


class Judge:
    """What one source's guard knows: the last accepted price and time of each pair, and what is held."""

    def __init__(self) -> None:
        self._universe = Universe()
        self._price: Floats = np.full(0, np.nan)
        self._time: Ints = np.zeros(0, np.int64)
        self._settled: NDArray[np.bool_] = np.zeros(0, np.bool_)  # a second observation has agreed
        self._held: dict[int, Suspect] = {}

    @property
    def held(self) -> int:
        """How many pairs are held now."""
        return len(self._held)

    def last_seen(self, pair: str) -> int:
        """The source's time of the last accepted observation, epoch ms; 0 for none."""
        return int(self._time[self._universe.column(pair)]) if pair in self._universe else 0

    def judge(self, batch: TickBatch) -> Judgement:
        """One instant of a source's answer, as it came."""
        cols = self._columns(batch)
        rejected: list[tuple[str, str]] = []
        fine = np.ones(len(batch), np.bool_)
        for reason, wrong in self._unusable(batch, cols):
            rejected += [(batch.pairs[i], reason) for i in batch.pair[wrong & fine].tolist()]
            fine &= ~wrong
        batch, cols = batch.rows(fine), cols[fine]
        jumped = np.abs(np.log(batch.price) - np.log(self._price[cols])) > JUMP  # unknown anchor: no jump
        suspicious = jumped | np.asarray([col in self._held for col in cols.tolist()], np.bool_)
        verdicts: list[tuple[TickBatch, str]] = []
        keep = ~suspicious
        reason = self._reason(jumped & self._settled[cols], cols)
        for row in np.flatnonzero(suspicious).tolist():
            keep[row] = self._weigh(batch, row, int(cols[row]), bool(jumped[row]), reason, verdicts)
        self._accept(cols[keep], batch.price[keep], batch.observed_at[keep])
        return Judgement(
            bodies=self._bodies(batch, keep, reason, verdicts),
            accepted=int(keep.sum()),
            held=int((~keep).sum()),
            rejected=rejected,
        )

    def recall(self, record: Record) -> None:
        """Learn from the journal what was accepted and what is held: the guard survives a restart."""
        match record.body:
            case Ticks(batch) | Verdict(batch, accepted=True):
                for instant in batch.instants():
                    cols = self._columns(instant)
                    self._accept(cols, instant.price, instant.observed_at)
                    for col in cols.tolist():
                        self._held.pop(col, None)
            case Held(batch, reason):
                for row, col in enumerate(self._columns(batch).tolist()):
                    self._held[col] = Suspect(batch.rows(slice(row, row + 1)), reason)
            case Verdict(batch):
                for col in self._columns(batch).tolist():
                    self._held.pop(col, None)
            case _:
                pass

    def anchor(self, pair: str, price: float, observed_at: int) -> None:
        """What the store last knew of a pair, for one that the journal's last hour does not speak of."""
        self._columns(one_instant({pair: price}, observed_at=observed_at))
        col = self._universe.column(pair)
        self._price[col], self._time[col], self._settled[col] = price, observed_at, True

    def _accept(self, cols: Ints, prices: Floats, times: Ints) -> None:
        """These count. A second price that counts has agreed with the first, or with another that replaced it."""
        self._settled[cols] = ~np.isnan(self._price[cols])
        self._price[cols] = prices
        self._time[cols] = times

    def _columns(self, batch: TickBatch) -> Ints:
        cols = self._universe.columns(batch.pairs)[batch.pair]
        more = len(self._universe) - len(self._price)
        if more:
            self._price = np.concatenate([self._price, np.full(more, np.nan)])
            self._time = np.concatenate([self._time, np.zeros(more, np.int64)])
            self._settled = np.concatenate([self._settled, np.zeros(more, np.bool_)])
        return cols

    def _unusable(self, batch: TickBatch, cols: Ints) -> list[tuple[str, NDArray[np.bool_]]]:
        """Reasons why rows are no observation, the first that fits counts."""
        age = batch.received_at - batch.observed_at
        return [
            ("not_positive", ~(np.isfinite(batch.price) & (batch.price > 0))),
            ("no_time", batch.observed_at <= 0),
            ("future", age < -FUTURE_MS),
            ("stale", age > batch.valid_for),
            ("unchanged", batch.observed_at <= self._newest(cols)),
        ]

    def _newest(self, cols: Ints) -> Ints:
        """The newest time of each pair, held ones included: the same answer again is not a confirmation."""
        newest = self._time[cols]
        if self._held:
            held = [self._held[c].tick.observed_at[0] if c in self._held else 0 for c in cols.tolist()]
            newest = np.maximum(newest, np.asarray(held, np.int64))
        return newest

    def _reason(self, jumped: NDArray[np.bool_], cols: Ints) -> str:
        """Whether it is a coin that jumped or the whole source that is suspect."""
        known = int((~np.isnan(self._price[cols])).sum())
        many = max(1, MARKET_WIDE_SHARE * known)
        return "market_wide" if int(jumped.sum()) > many else "jump"

    def _weigh(
        self,
        batch: TickBatch,
        row: int,
        col: int,
        jumped: bool,
        reason: str,
        verdicts: list[tuple[TickBatch, str]],
    ) -> bool:
        """A row that jumped or whose pair is held: True where it counts now."""
        suspect = self._held.pop(col, None)
        tick = batch.rows(slice(row, row + 1))
        if suspect is None:
            self._held[col] = Suspect(tick, reason)
            return False
        if not jumped:  # back where it was: the held one was wrong
            verdicts.append((suspect.tick, DISAGREED))
            return True
        agrees = abs(math.log(float(batch.price[row]) / suspect.price)) <= AGREES
        if agrees and suspect.agreed + 1 >= CONFIRMATIONS[suspect.reason]:
            verdicts.append((suspect.tick, AGREED if self._settled[col] else ANEW))
            return True
        # Not settled: the newer one is held in its place.
        verdicts.append((suspect.tick, SUPERSEDED if agrees else DISAGREED))
        self._held[col] = Suspect(tick, suspect.reason, suspect.agreed + 1 if agrees else 0)
        return False

    def _bodies(
        self,
        batch: TickBatch,
        keep: NDArray[np.bool_],
        reason: str,
        verdicts: list[tuple[TickBatch, str]],
    ) -> list[Body]:
        """Verdicts on older ticks first, then what is accepted, then what is held."""
        bodies: list[Body] = []
        for evidence in (DISAGREED, SUPERSEDED, AGREED, ANEW):
            ticks = [tick for tick, outcome in verdicts if outcome == evidence]
            if ticks:
                accepted = evidence in (AGREED, ANEW)
                bodies.append(Verdict(join(ticks), accepted, evidence, anew=evidence == ANEW))
        if keep.any():
            bodies.append(Ticks(batch.rows(keep)))
        if not keep.all():
            bodies.append(Held(batch.rows(~keep).compact(), reason))
        return bodies


def join(ticks: list[TickBatch]) -> TickBatch:
    """Ticks of distinct pairs of one source as one instant."""
    if len(ticks) == 1:
        return ticks[0].compact()
    names = [name for tick in ticks for name in tick.names()]
    prices = np.concatenate([tick.price for tick in ticks])
    return one_instant(
        dict(zip(names, prices.tolist(), strict=True)),
        observed_at=np.concatenate([tick.observed_at for tick in ticks]).tolist(),
        source=ticks[0].source,
        received_at=max(tick.received_at for tick in ticks),
        valid_for=ticks[0].valid_for,
        volume=np.concatenate([tick.volume for tick in ticks]).tolist(),
        market_cap=np.concatenate([tick.market_cap for tick in ticks]).tolist(),
    )
