"""Watching, as a deterministic function of (journal, rules): records in, effects out.

Live, catching up after a crash, replay and the test of a rule on history are this one class on different
stretches of the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert, NoticeKind, Raised
from cryptowatcher.domain.blindness import Blindness, BlindnessState, Sighted
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.checkpoints import Cut, Whole, join
from cryptowatcher.domain.copies import Copies
from cryptowatcher.domain.folding import CandleFold, FoldState, candles_of
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.records import ClockStep, Fill, Record, Ticks, Verdict
from cryptowatcher.domain.rules.engine import Engine, EngineState
from cryptowatcher.domain.rules.model import Firing, Lifecycle, RuleChange, TakeUp
from cryptowatcher.domain.sightings import absences, notices
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.ticks import Ints, TickBatch


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What the records since the last call of `effects()` changed outside the engine. `…_together`: of many rules
    that did the same, where it was asked for by itself."""

    alerts: Sequence[Alert]
    candles: Sequence[Candle]
    prices: Sequence[Price]
    lifecycle: Sequence[Lifecycle]
    at_rest: Sequence[tuple[str, str]]
    firings: Sequence[Firing]
    take_ups: Sequence[TakeUp]
    notices: Sequence[Alert]
    alerts_together: Sequence[Copies[Alert]] = ()
    lifecycle_together: Sequence[Copies[Lifecycle]] = ()
    firings_together: Sequence[Copies[Firing]] = ()


class WatcherState(msgspec.Struct, frozen=True):
    """What a checkpoint holds. `applied`: number of the last rule change that is in it."""

    engine: EngineState
    candles: FoldState | None
    applied: int
    blindness: BlindnessState | None = None


CHECKPOINT_SCHEMA = 3
"""A checkpoint of another schema is passed over, and the journal is read from its beginning instead."""


class Watcher:
    """Feed it rule changes with the position they count from, then records in order."""

    def __init__(self, *, candles: bool = True) -> None:
        """A replay asks for no candles."""
        self.engine = Engine()
        self._candles = CandleFold() if candles else None
        self.applied = 0
        self._changes: deque[tuple[int, RuleChange]] = deque()
        self._told: list[Raised] = []
        self._closed: list[Candle] = []
        self._newest: dict[int, Price] = {}
        self._taken: list[TakeUp] = []
        self._blindness = Blindness()
        self._notices: list[Alert] = []

    @property
    def urgent(self) -> bool:
        """Whether there are effects that must be committed at once: alerts, standings, firings, take-ups."""
        return bool(self._told or self._notices or self._taken or self.engine.changed)

    def take_up(self, change: RuleChange, seq: int) -> None:
        """This change counts for records after `seq`. Changes come in order of their numbers."""
        floor = self._changes[-1][0] if self._changes else 0
        self._changes.append((max(seq, floor), change))

    def step(self, record: Record) -> None:
        """One record: rule changes that are due, then its instants."""
        self.apply_changes(before=record.seq)
        passed = record.at - self.engine.memory.now
        self._look(record)
        body = record.body
        if isinstance(body, Verdict) and body.anew:
            self._begin_anew(body.batch.names())
        if isinstance(body, Ticks) or (isinstance(body, Verdict) and body.accepted):
            for instant in body.batch.instants():
                self._step(instant, seq=record.seq, at=record.at)
        elif isinstance(body, Fill):
            self._fill(body, seq=record.seq, at=record.at)
        elif isinstance(body, ClockStep):
            self.engine.clock_step(body.step, passed=passed)
        self._tell_of(self.engine.pass_time(seq=record.seq, at=record.at))

    def _begin_anew(self, pairs: Sequence[str]) -> None:
        self.engine.begin_anew(pairs)
        if self._candles is not None:
            names = self.engine.universe
            known = [col for pair in pairs if (col := names.column(pair)) < self._candles.pairs]
            self._candles.forget(np.asarray(known, np.int64))

    def apply_changes(self, *, before: int) -> None:
        """Apply the changes that count for a record with this sequence number."""
        due: list[tuple[int, RuleChange]] = []
        while self._changes and self._changes[0][0] < before:
            due.append(self._changes.popleft())
        if not due:
            return
        self.engine.apply_many(due)
        self.applied = due[-1][1].number
        self._taken += [TakeUp(change.number, seq) for seq, change in due]

    def _step(self, instant: TickBatch, *, seq: int, at: int) -> None:
        told, counted, cols = self.engine.step(instant, seq=seq, at=at)
        self._tell_of(told)
        if not len(cols) or counted.pairs == (CANARY,):
            return
        self._blindness.saw(cols, valid_for=instant.valid_for, awake=self.engine.memory.awake)
        if self._candles is None:
            return
        self._closed += self._candles.fold(cols, counted, self.engine.universe.names)
        self._note_prices(counted, cols, seq)

    def _look(self, record: Record) -> None:
        """Who is to be told that pairs are not seen any more, or are again: as its time has come, and before what
        it brings, so that it makes no difference how instants of one time were cut into records."""
        memory = self.engine.memory
        memory.pass_to(record.at)
        gone, back = self._blindness.look(memory.seen_at, awake=memory.awake)
        self._tell("blind", gone, record)
        self._tell("back", back, record)

    def _tell(self, kind: NoticeKind, sighted: Sighted | None, record: Record) -> None:
        if sighted is None:
            return
        missed = absences(sighted, self.engine.universe.names)
        concerns = self.engine.concerned(frozenset(missed), everywhere=sighted.market)
        self._notices += notices(kind, sighted, missed, concerns, seq=record.seq, at=record.at)

    def _fill(self, fill: Fill, *, seq: int, at: int) -> None:
        """What was told of gaps: windows and indicators see it from now on, and so do people."""
        alerts, told = self.engine.fill(fill.batch, seq=seq, at=at)
        self._tell_of(Raised(alerts))
        for filled, _ in told:
            if self._candles is not None:
                self._closed += candles_of(filled, self.engine.universe.names[filled.col], finest=fill.interval)

    def _note_prices(self, instant: TickBatch, cols: Ints, seq: int) -> None:
        names = self.engine.universe.names
        rows = zip(
            cols.tolist(),
            instant.price.tolist(),
            instant.volume.tolist(),
            instant.market_cap.tolist(),
            instant.observed_at.tolist(),
            strict=True,
        )
        for col, price, volume, cap, observed_at in rows:
            self._newest[col] = Price(
                pair=names[col],
                price=price,
                volume_24h=None if volume != volume else volume,
                market_cap=None if cap != cap else cap,
                observed_at=observed_at,
                received_at=instant.received_at,
                valid_until=observed_at + instant.valid_for,
                source=instant.source,
                seq=seq,
            )

    def _tell_of(self, told: Raised) -> None:
        if told:
            self._told.append(told)

    def effects(self, *, together: bool = False) -> Effects:
        """What happened since the last call; forgets it. `together`: what many rules did alike by itself, which is
        otherwise among the rest, in order."""
        changes = self.engine.changes(together=together)
        alike = [copies for told in self._told for copies in told.together] if together else ()
        effects = Effects(
            alerts=[alert for told in self._told for alert in (told.alerts if together else told.each())],
            candles=self._closed,
            prices=[self._newest[col] for col in sorted(self._newest)],
            lifecycle=changes.lifecycle,
            at_rest=changes.at_rest,
            firings=changes.firings,
            take_ups=self._taken,
            notices=self._notices,
            alerts_together=alike,
            lifecycle_together=changes.moved_together,
            firings_together=changes.fired_together,
        )
        self.forget_effects()
        return effects

    def forget_effects(self) -> None:
        """What happened since the last call was committed before."""
        self.engine.forget_changes()
        self._told, self._closed, self._newest, self._taken, self._notices = [], [], {}, [], []

    def cut(self) -> Cut:
        """A checkpoint: all that later steps depend on. Take it right after effects() was committed."""
        candles = self._candles.state() if self._candles else None
        return Cut(WatcherState(self.engine.state(), candles, self.applied, self._blindness.state()))

    def state(self) -> Whole:
        """The same in memory, equal where the watchers are."""
        return self.cut().whole()

    def restore(self, state: Whole) -> None:
        """Into a fresh watcher. Raises checkpoints.Damaged, with nothing done."""
        kept = join(state, WatcherState)
        self.applied = kept.applied
        self.engine.restore(kept.engine)
        if kept.blindness is not None:
            self._blindness.restore(kept.blindness)
        if self._candles is not None and kept.candles is not None:
            self._candles.restore(kept.candles)
