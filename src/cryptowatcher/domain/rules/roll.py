"""All rules as rows of columns: some 60 bytes each, and the object is made when someone asks.

Rules lie in *segments* of 65,536 slots. A full segment does not change but when a rule of it goes or is edited;
that is noted, and worked into a new segment at the next checkpoint, so that what nobody touched is stored once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.checkpoints import Part
from cryptowatcher.domain.rules.judged import by_number
from cryptowatcher.domain.rules.rows import Pooled, Pools, Row
from cryptowatcher.domain.rules.runs import AnyInts
from cryptowatcher.domain.ticks import Floats, Ints

SEGMENT = 65_536

_AT = np.arange(SEGMENT, dtype=np.uint16)


class Segment(msgspec.Struct, frozen=True, eq=False):
    """The living rules of SEGMENT slots, rows in the order of their slots.

    at:      slot within the segment (uint16)
    code:    the id (uint64)
    version, start, owner, on, kind: as Row has them, in as few bytes as the largest takes; see _lean()
    ends:    where each row's text ends in `text` (uint32)
    text:    see Row.text, one after the other (uint8)
    """

    at: NDArray[np.uint16]
    code: NDArray[np.uint64]
    version: AnyInts
    start: AnyInts
    owner: AnyInts
    on: AnyInts
    kind: AnyInts
    ends: NDArray[np.uint32]
    text: NDArray[np.uint8]

    def row_of(self, at: int) -> int:
        """Of a slot that is in use, or was when this was made."""
        return at if len(self.at) == SEGMENT else int(self.at.searchsorted(at))

    def row(self, row: int) -> Row:
        """The values of one rule."""
        begin = int(self.ends[row - 1]) if row else 0
        return Row(
            code=int(self.code[row]),
            version=int(self.version[row]),
            start=int(self.start[row]),
            owner=int(self.owner[row]),
            on=int(self.on[row]),
            kind=int(self.kind[row]),
            text=self.text[begin : int(self.ends[row])].tobytes(),
        )

    def numbers(self, rows: Ints, place: Ints) -> Floats:
        """For each of these rules the number at this place of its numbers."""
        begin = np.where(rows > 0, self.ends[np.maximum(rows - 1, 0)], 0) + 8 * place
        if not len(begin):
            return np.zeros(0)
        # Wherever 8 bytes begin, they are read as a number: columns of single bytes take six times as long.
        anywhere: Floats = np.ndarray((len(self.text) - 7,), "<f8", self.text.data, 0, (1,))
        return anywhere[begin]


class RollState(msgspec.Struct, frozen=True):
    """`slots`: how many were given out. A segment for every SEGMENT of them, none or some rules in each."""

    slots: int
    segments: tuple[Part[Segment], ...]
    pools: tuple[Part[Pooled], ...]

    def living(self) -> Iterator[tuple[Ints, NDArray[np.uint64]]]:
        """The slots in use and the ids in them, segment by segment."""
        for number, part in enumerate(self.segments):
            yield part.value.at.astype(np.int64) + number * SEGMENT, part.value.code


class Roll:
    """Slots are numbered for good: a rule that begins anew gets another one."""

    def __init__(self) -> None:
        self.pools = Pools()
        self._full: list[Part[Segment]] = []
        self._open = _Open()
        self._kept: Part[Segment] | None = None  # what is open, if nothing changed since
        self._edited: dict[int, Row] = {}
        self._touched: set[int] = set()  # segments of which rules went or were edited

    def __len__(self) -> int:
        return SEGMENT * len(self._full) + self._open.rows

    def add(self, row: Row) -> int:
        """A rule more; its slot."""
        if self._open.rows == SEGMENT:
            self._touched.add(len(self._full))
            self._full.append(Part(self._open.segment()))
            self._open = _Open()
        slot = len(self)
        self._open.add(row)
        self._kept = None
        return slot

    def replace(self, slot: int, row: Row) -> None:
        """A rule says something else in part."""
        self._edited[slot] = row
        self.touch(slot)

    def touch(self, slot: int) -> None:
        """A rule has gone."""
        segment = slot // SEGMENT
        if segment < len(self._full):
            self._touched.add(segment)
        else:
            self._kept = None

    def forget(self, slot: int) -> None:
        """What was edited of a rule that has gone."""
        self._edited.pop(slot, None)
        self.touch(slot)

    def row(self, slot: int) -> Row:
        """The rule in a slot that is in use."""
        edited = self._edited.get(slot)
        if edited is not None:
            return edited
        segment, at = divmod(slot, SEGMENT)
        if segment == len(self._full):
            return self._open.columns.row(at)
        full = self._full[segment].value
        return full.row(full.row_of(at))

    def code(self, slot: int) -> int:
        """The id of the rule in a slot that is, or was lately, in use."""
        return int(self._one("code", slot))

    def kind(self, slot: int) -> int:
        """Of the rule in a slot that is in use."""
        edited = self._edited.get(slot)
        return int(self._one("kind", slot)) if edited is None else edited.kind

    def kinds(self, slots: Ints, segment: Segment, rows: Ints) -> NDArray[np.int32]:
        """Of rules in use, with what was edited since the segment was made."""
        kinds = segment.kind[rows].astype(np.int32)
        for place in np.flatnonzero(np.isin(slots, [*self._edited])).tolist() if self._edited else ():
            kinds[place] = self._edited[int(slots[place])].kind
        return kinds

    def all_kinds(self) -> list[int]:
        """Of all rules there are, and perhaps of some that are gone; of those that were edited, what they were."""
        open_ = self._open.columns.kind[: self._open.rows]
        used = [distinct(kind)[0] for kind in (*(part.value.kind for part in self._full), open_)]
        every: list[int] = distinct(np.concatenate(used))[0].tolist()
        return every

    def version(self, slot: int) -> int:
        """Of the rule in a slot that is in use."""
        return int(self._one("version", slot))

    def start(self, slot: int) -> int:
        """The position after which the rule counts."""
        return int(self._one("start", slot))

    def _one(self, name: str, slot: int) -> Any:
        segment, at = divmod(slot, SEGMENT)
        if segment == len(self._full):
            return getattr(self._open.columns, name)[at]
        full = self._full[segment].value
        return getattr(full, name)[full.row_of(at)]

    def id(self, slot: int) -> str:
        """Of the rule in a slot that is, or was lately, in use."""
        return self.pools.id(self.code(slot))

    def codes(self, slots: Ints) -> NDArray[np.uint64]:
        """Of many; in order where their ids are, but for ids of another form."""
        return self._many("code", slots, np.uint64)

    def ids(self, slots: Ints) -> list[str]:
        """Of many."""
        return self.pools.ids_of(self.codes(slots).tolist())

    def starts(self, slots: Ints) -> Ints:
        """Of many."""
        return self._many("start", slots, np.int64)

    def versions(self, slots: Ints) -> Ints:
        """Of many that are in use."""
        return self._many("version", slots, np.int64)

    def rows(self, slots: Ints) -> list[Row]:
        """Of many that are in use."""
        found: list[Any] = [None] * len(slots)
        for mine, segment, rows in self._found(slots):
            ends = segment.ends[rows].tolist()
            begins = np.where(rows > 0, segment.ends[np.maximum(rows - 1, 0)], 0).tolist()
            texts = map(bytes, map(segment.text.data.__getitem__, map(slice, begins, ends)))
            names = ("code", "version", "start", "owner", "on", "kind")
            columns = [getattr(segment, name)[rows].tolist() for name in names]
            for place, row in zip(mine.tolist(), map(Row, *columns, texts), strict=True):
                found[place] = row
        for place in np.flatnonzero(np.isin(slots, [*self._edited])).tolist() if self._edited else ():
            found[place] = self._edited[int(slots[place])]
        return found

    def _many(self, name: str, slots: Ints, kind: type[Any]) -> NDArray[Any]:
        column = np.zeros(len(slots), kind)
        for mine, segment, rows in self._found(slots):
            column[mine] = getattr(segment, name)[rows]
        return column

    def _found(self, slots: Ints) -> Iterator[tuple[Ints, Segment, Ints]]:
        """Which of these slots are of one segment, the segment, and their rows in it."""
        for number, mine in by_number(slots // SEGMENT):
            at = slots[mine] - number * SEGMENT
            if number == len(self._full):
                yield mine, self._open.columns, at
                continue
            full = self._full[number].value
            yield mine, full, at if len(full.at) == SEGMENT else np.searchsorted(full.at, at)

    def stretches(self, slots: range) -> Iterator[tuple[Ints, Segment, Ints]]:
        """The rules of these slots, segment by segment: their slots, the segment, and their rows in it. Rules that
        are gone among them; not those that were edited since."""
        for number in range(slots.start // SEGMENT, -(-slots.stop // SEGMENT)):
            first = number * SEGMENT
            if number == len(self._full):
                rows = np.arange(max(slots.start - first, 0), slots.stop - first)
                yield rows + first, self._open.columns, rows
                continue
            full = self._full[number].value
            at = full.at.astype(np.int64)
            rows = np.flatnonzero((at + first >= slots.start) & (at + first < slots.stop))
            yield at[rows] + first, full, rows

    # --- checkpoints -----------------------------------------------------------------------------

    def state(self, alive: NDArray[np.bool_]) -> RollState:
        """`alive`: by slot, whether there still is a rule."""
        for number in sorted(self._touched):
            first = number * SEGMENT
            full = self._full[number].value
            edited = {at - first: row for at, row in self._edited.items() if first <= at < first + SEGMENT}
            self._full[number] = Part(_rewritten(full, alive[first : first + SEGMENT][full.at], edited))
            for at in edited:
                del self._edited[first + at]
        self._touched.clear()
        if self._kept is None:
            first = SEGMENT * len(self._full)
            edited = {slot - first: row for slot, row in self._edited.items()}
            self._kept = Part(_rewritten(self._open.segment(), alive[first:], edited))
        return RollState(len(self), (*self._full, self._kept), self.pools.state())

    def restore(self, state: RollState) -> None:
        """The opposite of state(), into a fresh roll."""
        self.pools.restore(state.pools)
        *full, self._kept = state.segments
        self._full = [Part(_lean(part.value), part.name) for part in full]
        self._open.reopen(self._kept.value, state.slots - SEGMENT * len(self._full))


class _Open:
    """The last segment, which rules are added to. A row here is a slot, also of a rule that is gone."""

    def __init__(self) -> None:
        self.rows = 0
        self.columns = self._empty(1_024)
        self._text = 0  # bytes

    @staticmethod
    def _empty(rows: int) -> Segment:
        number = [np.zeros(rows, np.int32) for _ in range(4)]
        return Segment(
            at=_AT[:rows],
            code=np.zeros(rows, np.uint64),
            version=number[0],
            start=np.zeros(rows, np.int64),
            owner=number[1],
            on=number[2],
            kind=number[3],
            ends=np.zeros(rows, np.uint32),
            text=np.zeros(64 * rows, np.uint8),
        )

    def add(self, row: Row) -> None:
        place, end = self.rows, self._text + len(row.text)
        columns = self.columns
        if place == len(columns.at) or end > len(columns.text):
            columns = self._wider(end)
        columns.code[place] = row.code
        columns.version[place] = row.version
        columns.start[place] = row.start
        columns.owner[place] = row.owner
        columns.on[place] = row.on
        columns.kind[place] = row.kind
        columns.ends[place] = end
        columns.text[self._text : end] = np.frombuffer(row.text, np.uint8)
        self.rows, self._text = place + 1, end

    def _wider(self, text: int) -> Segment:
        before = self.columns
        rows = min(SEGMENT, 2 * len(before.at)) if self.rows == len(before.at) else len(before.at)
        size = max(text, 2 * len(before.text)) if text > len(before.text) else len(before.text)
        self.columns = msgspec.structs.replace(
            self._empty(rows) if rows > len(before.at) else before, text=np.zeros(size, np.uint8)
        )
        for name in Segment.__struct_fields__:
            old, new = getattr(before, name), getattr(self.columns, name)
            if new is not old and name != "at":
                new[: len(old)] = old
        return self.columns

    def segment(self) -> Segment:
        """A copy of all rows."""
        columns = {name: getattr(self.columns, name)[: self.rows].copy() for name in Segment.__struct_fields__}
        columns["text"] = self.columns.text[: self._text].copy()
        return _narrow(columns)

    def reopen(self, segment: Segment, slots: int) -> None:
        """As it was when so many slots were given out."""
        rows = min(SEGMENT, max(1_024, 1 << slots.bit_length()))
        self.columns = msgspec.structs.replace(self._empty(rows), text=segment.text.copy())
        for name in Segment.__struct_fields__[1:-1]:
            getattr(self.columns, name)[segment.at] = getattr(segment, name)
        np.maximum.accumulate(self.columns.ends[:slots], out=self.columns.ends[:slots])
        self.rows, self._text = slots, len(segment.text)


def distinct(numbers: AnyInts) -> tuple[Ints, Ints]:
    """Which numbers there are, none of them negative, and for each which of those it is."""
    if not len(numbers) or int(numbers.max()) > SEGMENT:
        found, which = np.unique(numbers, return_inverse=True)
        return found.astype(np.int64), which
    found = np.flatnonzero(np.bincount(numbers))  # np.unique() takes ten times as long
    place = np.zeros(int(found[-1]) + 1, np.int64)
    place[found] = np.arange(len(found))
    return found, place[numbers]


def _rewritten(segment: Segment, alive: NDArray[np.bool_], edited: Mapping[int, Row]) -> Segment:
    """Without rules that are gone, and with what was edited. `alive`: by row; `edited`: by slot within it."""
    if edited:
        segment = _with(segment, edited)
    if alive.all():
        return segment
    begin = np.concatenate([[0], segment.ends[:-1]]).astype(np.int64)
    length = segment.ends - begin
    kept = np.repeat(alive, length)
    columns = {name: getattr(segment, name)[alive] for name in Segment.__struct_fields__[:-2]}
    columns |= {"ends": np.cumsum(length[alive]).astype(np.uint32), "text": segment.text[kept]}
    return _narrow(columns)


def _with(segment: Segment, edited: Mapping[int, Row]) -> Segment:
    columns: dict[str, NDArray[Any]] = {name: getattr(segment, name) for name in ("at", "code")}
    columns |= {name: getattr(segment, name).astype(np.int64) for name in _NUMBERS}
    texts = [segment.row(row).text for row in range(len(segment.at))]
    for at, changed in edited.items():
        row = int(np.searchsorted(segment.at, at))
        texts[row] = changed.text
        for name in _NUMBERS:
            columns[name][row] = getattr(changed, name)
    columns["ends"] = np.cumsum([len(text) for text in texts]).astype(np.uint32)
    columns["text"] = np.frombuffer(b"".join(texts), np.uint8)
    return _narrow(columns)


_NUMBERS = ("version", "start", "owner", "on", "kind")


def _narrow(columns: dict[str, NDArray[Any]]) -> Segment:
    """A segment of these columns, by name: nearly all numbers are small."""
    small = {}
    for name in _NUMBERS:
        ends = columns[name].min(initial=0), columns[name].max(initial=0)
        small[name] = columns[name].astype(np.result_type(*map(np.min_scalar_type, ends)))
    return _lean(Segment(**columns | small))


def _lean(segment: Segment) -> Segment:
    """The same: a column that is one value all through takes no memory, nor do the slots where all are in use."""
    columns = {name: getattr(segment, name) for name in _NUMBERS}
    shared = {
        name: np.broadcast_to(column[:1].copy(), column.shape)
        for name, column in columns.items()
        if (column == column[:1]).all()
    }
    if len(segment.at) == SEGMENT:
        shared["at"] = _AT
    return msgspec.structs.replace(segment, **shared)
