"""What stands in the journal: one log of records in one order, from which all else is computed."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.ticks import TickBatch


class Ticks(msgspec.Struct, frozen=True, tag="ticks"):
    """Accepted observations."""

    batch: TickBatch


class Held(msgspec.Struct, frozen=True, tag="held"):
    """Observations too strange to count alone; one instant. No rule sees them yet."""

    batch: TickBatch
    reason: str


class Verdict(msgspec.Struct, frozen=True, tag="verdict"):
    """What became of held observations. Accepted ones count as observed at *this* position. `anew`: what was seen
    of these pairs before was one observation that nothing agreed with; it is forgotten, and they begin here."""

    batch: TickBatch
    accepted: bool
    evidence: str
    anew: bool = False


class Fill(msgspec.Struct, frozen=True, tag="fill"):
    """History of pairs, told afterwards by a source. Only what lies in a gap of a pair's own observations counts
    (features/gaps.py); newest observations, standings and firings stay what they are.

    batch:    rows grouped by pair, with ascending times; no instants. `valid_for`: for how long one of its points
              counts as current, twice `interval` where points do not come on the dot
    interval: ms between two points of a pair
    """

    batch: TickBatch
    interval: int


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Time passed and the watcher was awake."""


class ClockStep(msgspec.Struct, frozen=True, tag="clock"):
    """The wall clock jumped by `step` ms; no observed time passed over it."""

    step: int


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """Records are missing before this one, and why (a restored or recreated journal)."""

    reason: str


Body = Ticks | Held | Verdict | Fill | Beat | ClockStep | Gap


class Draft(msgspec.Struct, frozen=True):
    """A record before it has a place. (writer, number) makes a repeated append harmless."""

    writer: str
    number: int
    body: Body


class Record(msgspec.Struct, frozen=True):
    """A record in its place: `seq` in this journal, and the journal's non-decreasing time `at` (epoch ms)."""

    seq: int
    at: int
    writer: str
    number: int
    body: Body


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in a journal: everything up to and including `seq` has been read. seq 0 is before the first."""

    journal: str
    seq: int
