"""A state of millions of simple rules, built by columns as a checkpoint would give it: to be restored, not added.

The rules are at rest, each on one pair, on numbers in turn, both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from cryptowatcher.domain.checkpoints import Part
from cryptowatcher.domain.rules.engine import Engine, EngineState
from cryptowatcher.domain.rules.joins import Joined
from cryptowatcher.domain.rules.kinds import Kind
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.rules.roll import SEGMENT, RollState, Segment
from cryptowatcher.domain.rules.rows import Pools
from cryptowatcher.domain.rules.runs import EMPTY, sort
from cryptowatcher.domain.rules.standings import Stood
from cryptowatcher.domain.rules.tables import MOST, TierState
from cryptowatcher.domain.rules.watched import WatchedState
from cryptowatcher.domain.ticks import Floats, Ints


def whens(numbers: Sequence[str]) -> list[str]:
    """One condition of each kind: above and below, of the price or of changes."""
    price = "price >= 1000000000", "price <= 0.1"
    return [
        when
        for number in numbers
        for when in (price if number == "price" else (f"{number} >= 900%", f"{number} <= -90%"))
    ]


def enrol_one_each(engine: Engine, names: tuple[str, ...], numbers: Sequence[str]) -> None:
    """A rule of one kind on each pair, and one of each other kind: so that everything the rules share is there."""
    first, *others = whens(numbers)
    rules = [(first, pair) for pair in names] + [(when, names[0]) for when in others]
    for place, (when, pair) in enumerate(rules):
        rule_id = f"r{1 << 40 | place:012x}"
        spec = RuleSpec(name=f"{when} on {pair}", pairs=(pair,), when=when)
        rule = Rule(id=rule_id, owner="local", version=1, spec=spec)
        change = RuleChange(number=1, rule_id=rule_id, owner="local", head=0, saved_at=0, rule=rule)
        engine.apply_many([(0, change)])


def with_rules(state: EngineState, cols: Ints, numbers: Floats) -> EngineState:
    """The state of an engine that enrol_one_each() was done to, with these rules instead: the pair of each (its
    column, which is also its number in the pool), and its number. Rules that follow one another are of the kinds
    in turn."""
    pools = Pools()
    pools.restore(state.book.roll.pools)
    kinds = [pools.kind(number) for number in range(2 * len(state.watched))]
    segments = tuple(map(Part, _segments(cols, numbers, len(kinds))))
    stood = tuple(Part(_at_rest()) for _ in range(len(cols) // SEGMENT + 1))
    nobody = np.zeros(0, np.int32)
    book = msgspec.structs.replace(
        state.book,
        roll=RollState(len(cols), segments, state.book.roll.pools),
        stood=stood,
        joined=Joined(nobody, nobody, np.zeros(0, np.int64)),
    )
    which = np.arange(len(cols)) % len(kinds) // 2
    watched = [
        _watched(each, kinds[2 * number : 2 * number + 2], np.flatnonzero(which == number), cols, numbers)
        for number, each in enumerate(state.watched)
    ]
    return msgspec.structs.replace(state, book=book, watched=watched)


def held(state: EngineState) -> int:
    """Bytes of the rules of a state: what a restore takes over as it is."""
    parts = [part.value for part in state.book.roll.segments]
    runs = [part.value for watched in state.watched for part in watched.constants.named.tables]
    structs: list[msgspec.Struct] = [*parts, *runs]
    columns = (getattr(each, name) for each in structs for name in each.__struct_fields__)
    return sum(column.nbytes for column in columns if isinstance(column, np.ndarray))


def _segments(cols: Ints, numbers: Floats, kinds: int) -> Iterator[Segment]:
    """Columns as narrow as a checkpoint has them. The last segment is open: there is always one."""
    for first in range(0, len(cols) + 1, SEGMENT):
        mine = np.arange(first, min(first + SEGMENT, len(cols)))
        names = np.char.add(b"rule ", mine.astype("S8")).astype("S13")
        text = np.empty((len(mine), 8 + names.dtype.itemsize), np.uint8)
        text[:, :8] = numbers[mine].astype("<f8").view(np.uint8).reshape(-1, 8)
        text[:, 8:] = names.view(np.uint8).reshape(len(mine), -1)
        there = text.ravel() != 0  # names are not equally long
        there.reshape(text.shape)[:, :8] = True
        yield Segment(
            at=(mine - first).astype(np.uint16),
            code=mine.astype(np.uint64),
            version=np.ones(len(mine), np.uint8),
            start=np.zeros(len(mine), np.uint8),
            owner=np.zeros(len(mine), np.uint8),
            on=cols[mine].astype(np.min_scalar_type(cols[mine].max(initial=0))),
            kind=(mine % kinds).astype(np.uint8),
            ends=np.cumsum(there.reshape(text.shape).sum(axis=1)).astype(np.uint32),
            text=text.ravel()[there],
        )


def _at_rest() -> Stood:
    small, one, col, long = (
        np.zeros(0, np.uint16),
        np.zeros(0, np.int8),
        np.zeros(0, np.int32),
        np.zeros(0, np.int64),
    )
    return Stood(small, one, long, small, col, one, long, long, np.zeros(0, np.bool_))


def _watched(state: WatchedState, kinds: list[Kind], slots: Ints, cols: Ints, numbers: Floats) -> WatchedState:
    """A number that the rules in these slots look at, each second of them one way."""
    entries = []
    for side, kind in enumerate(kinds):
        mine = slots[slots % 2 == side]
        ((_, fire, rearm),) = kind.constants([numbers[mine]], np.nextafter)
        entries += [(cols[mine], fire, mine), (cols[mine], rearm, mine)]
    pairs, constants, owners = (np.concatenate(column) for column in zip(*entries, strict=True))
    run = sort(pairs, constants, owners)
    tables = tuple(map(Part, run.pieces(MOST)))
    return msgspec.structs.replace(
        state,
        rules=len(slots),
        constants=msgspec.structs.replace(state.constants, named=TierState(tables, EMPTY)),
    )
