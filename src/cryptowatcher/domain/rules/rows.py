"""A rule as a row: what it shares with others as numbers of pools, and a short text of what is its own."""

from __future__ import annotations

import re
import struct
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np

from cryptowatcher.domain.checkpoints import Part
from cryptowatcher.domain.copies import some
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.check import parse_top
from cryptowatcher.domain.rules.compiled import CompiledRule
from cryptowatcher.domain.rules.kinds import HOLE, Kind, Sides, cut, filled, kind_of, show_plainly, whole
from cryptowatcher.domain.rules.model import Rule, RuleOrigin, RuleSpec
from cryptowatcher.domain.rules.watchlists import parse_list
from cryptowatcher.domain.ticks import Ints
from cryptowatcher.errors import ConfigError

POOLED = 16_384

_ID = re.compile(r"r[0-9a-f]{12}")
PLAIN = re.compile(r"0|-?(?:[1-9][0-9]{0,8}|0(?=\.))(?:\.[0-9]{0,5}[1-9])?")
"""Numbers that people are shown as they are written: most are."""
ODD = 1 << 63
"""Beyond this the code of an id says which of those of another form it is."""
_WRITTEN = b"\x01"
_BETWEEN = "\x00"


class On(msgspec.Struct, frozen=True):
    """What a rule is on: as it is written, and the pairs of its list if it is on one."""

    pairs: tuple[str, ...]
    members: tuple[str, ...]


class Common(msgspec.Struct, frozen=True):
    """What a kind is made of."""

    spec: RuleSpec
    origin: RuleOrigin


class _Said(RuleSpec, frozen=True, kw_only=True, omit_defaults=True):
    """A spec as a checkpoint has it: only what it says. So the release before, which refuses fields that it does
    not know, goes on from a checkpoint of this one while no rule uses them."""


def _said(common: Common) -> Common:
    return Common(_Said(**msgspec.structs.asdict(common.spec)), common.origin)


def _whole(common: Common) -> Common:
    """The opposite of _said(), where it was not written and read in between."""
    if type(common.spec) is RuleSpec:
        return common
    return Common(RuleSpec(**msgspec.structs.asdict(common.spec)), common.origin)


class Pooled(msgspec.Struct, frozen=True):
    """POOLED values that rules refer to by number, or fewer at the end."""

    owners: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    on: tuple[On, ...] = ()
    kinds: tuple[Common, ...] = ()


class Where(NamedTuple):
    """What a rule covers: all pairs, or the `top` largest of them (0: not), or named pairs."""

    everywhere: bool
    top: int
    pairs: tuple[str, ...]


class Row(NamedTuple):
    """One rule. `kind`, `on`, `owner`: numbers of pools; `text`: see Segment."""

    code: int
    version: int
    start: int
    owner: int
    on: int
    kind: int
    text: bytes


class Own(NamedTuple):
    """What alerts of rules say that their kind does not, as columns: see Rule and CompiledRule."""

    ids: list[str]
    owners: list[str]
    versions: list[int]
    names: list[str]
    texts: list[str]
    parts: list[tuple[str, ...]]
    constants: list[tuple[float, ...]]

    def of(self, places: Ints) -> Own:
        """The rules at these places, which are different and in order."""
        if len(places) == len(self.ids):
            return self
        columns: Iterable[Any] = (some(column, places.tolist()) for column in self)
        return Own(*columns)


class Terms(NamedTuple):
    """What a rule is judged by: where each of its comparisons fires and re-arms."""

    kind: Kind
    where: Where
    fire: tuple[float, ...]
    rearm: tuple[float, ...]


Apart = tuple[tuple[float, ...], list[str], str]
"""What a row's text says: its numbers, how they are written where that is not plain, and the name."""

V = TypeVar("V", bound=Hashable)


class Pool(Generic[V]):
    """Values that many rules share, numbered in the order in which they came."""

    def __init__(self) -> None:
        self.values: list[V] = []
        self._number: dict[V, int] = {}

    def number(self, value: V) -> int:
        """Of a value; a new one gets the next."""
        number = self._number.get(value)
        if number is None:
            number = self._number[value] = len(self.values)
            self.values.append(value)
        return number

    def find(self, value: V) -> int | None:
        """None for a value that is not in it."""
        return self._number.get(value)


class Pools:
    """What rules share, and by that each rule as a row."""

    def __init__(self) -> None:
        self.owners: Pool[str] = Pool()
        self.ids: Pool[str] = Pool()
        self.on: Pool[On] = Pool()
        self.kinds: Pool[Common] = Pool()
        self._ready: dict[int, Kind] = {}
        self._where: dict[int, Where] = {}
        self._known: dict[tuple[RuleSpec, RuleOrigin], tuple[int, Kind]] = {}
        self._kept: dict[tuple[str, int], Part[Pooled]] = {}

    # --- rules and rows --------------------------------------------------------------------------

    def row(self, rule: Rule, start: int) -> Row:
        """A rule that counts for records after position `start`. ConfigError for a condition that is not
        understood."""
        number, kind, texts = self._kind(rule)
        values = [kind.value(place, text) for place, text in enumerate(texts)]
        name = rule.spec.name.encode("utf-8", "surrogatepass")
        if name.startswith(_WRITTEN) or any(
            not PLAIN.fullmatch(text) and kind.shown(place, value) != text
            for place, (value, text) in enumerate(zip(values, texts, strict=True))
        ):
            name = _WRITTEN + _BETWEEN.join(texts).encode() + _WRITTEN + name
        return Row(
            code=self.code(rule.id),
            version=rule.version,
            start=start,
            owner=self.owners.number(rule.owner),
            on=self.on.number(On(rule.spec.pairs, rule.members)),
            kind=number,
            text=struct.pack(f"<{len(values)}d", *values) + name,
        )

    def _kind(self, rule: Rule) -> tuple[int, Kind, tuple[str, ...]]:
        common, texts = cut(rule.spec)
        known = self._known.get((common, rule.origin))
        if known is None:
            kind = kind_of(common, rule.origin)
            if kind is None:
                common, texts = whole(rule.spec), ()
                kind = kind_of(common, rule.origin)
                assert kind is not None, "a whole text is a kind of its own"
            number = self.kinds.number(Common(common, rule.origin))
            known = self._known[common, rule.origin] = number, kind
            self._ready[number] = kind
        return *known, texts

    def kind(self, number: int) -> Kind:
        """ConfigError for one that is not understood any more."""
        kind = self._ready.get(number)
        if kind is None:
            common = self.kinds.values[number]
            kind = kind_of(common.spec, common.origin)
            if kind is None:  # with its numbers cut out: so that the error says what is not understood
                when = common.spec.when.replace(HOLE, "1")
                kind_of(msgspec.structs.replace(common.spec, when=when), common.origin)
                raise ConfigError("its numbers cannot be told from the rest of its text", where="when")
            self._ready[number] = kind
        return kind

    def where(self, number: int) -> Where:
        """What rules with this number of `on` cover."""
        where = self._where.get(number)
        if where is None:
            on = self.on.values[number]
            top = parse_top(on.pairs[0]) or 0
            pairs = on.members if parse_list(on.pairs[0], where="") is not None else on.pairs
            where = self._where[number] = Where(on.pairs == (ALL,) or bool(top), top, pairs)
        return where

    def rule(self, row: Row) -> Rule:
        """The opposite of row()."""
        common = self.kinds.values[row.kind]
        values, texts, name = _apart(row.text, common.spec.when.count(HOLE))
        pieces = common.spec.when.split(HOLE)
        if values and not texts:
            texts = [
                show_plainly(value, piece.startswith("%")) for value, piece in zip(values, pieces[1:], strict=True)
            ]
        return self._rule(row, common, filled(pieces, texts), name)

    def terms(self, row: Row) -> Terms:
        """What rule() is judged by, without making it."""
        kind = self.kind(row.kind)
        _, fire, rearm = kind.sides(struct.unpack_from(f"<{len(kind.percent)}d", row.text))
        return Terms(kind, self.where(row.on), fire, rearm)

    def compiled(self, row: Row) -> CompiledRule:
        """The same, with everything parsed."""
        kind = self.kind(row.kind)
        apart = _apart(row.text, len(kind.percent))
        return self._compiled(row, kind, apart, kind.sides(apart[0]))

    def own_many(self, rows: Sequence[Row]) -> Own:
        """What is their own of many rules, all of one kind."""
        kind = self.kind(rows[0].kind)
        begin = 8 * len(kind.percent)
        packed = b"".join([row.text[:begin] for row in rows])
        numbers = np.frombuffer(packed, "<f8").reshape(len(rows), len(kind.percent))
        owners = self.owners.values
        return Own(
            self.ids_of([row.code for row in rows]),
            [owners[row.owner] for row in rows],
            [row.version for row in rows],
            [_name(row.text[begin:]) for row in rows],
            *kind.said_many(numbers.T, len(rows)),
        )

    def _compiled(self, row: Row, kind: Kind, apart: Apart, sides: Sides) -> CompiledRule:
        common, where = self.kinds.values[row.kind], self.where(row.on)
        values, texts, name = apart
        plain = [kind.shown(number, value) for number, value in enumerate(values)]
        rule = self._rule(row, common, filled(kind.pieces, texts or plain), name)
        shown = [text + "%" if percent else text for text, percent in zip(plain, kind.percent, strict=True)]
        return kind.made(rule, shown, sides, everywhere=where.everywhere, top=where.top, pairs=where.pairs)

    def _rule(self, row: Row, common: Common, when: str, name: str) -> Rule:
        on = self.on.values[row.on]
        return Rule(
            id=self.id(row.code),
            owner=self.owners.values[row.owner],
            version=row.version,
            spec=msgspec.structs.replace(common.spec, name=name, pairs=on.pairs, when=when),
            origin=common.origin,
            members=on.members,
        )

    # --- ids -------------------------------------------------------------------------------------

    def code(self, rule_id: str) -> int:
        """An id as a number."""
        return int(rule_id[1:], 16) if _ID.fullmatch(rule_id) else ODD | self.ids.number(rule_id)

    def code_if_known(self, rule_id: str) -> int | None:
        """None for an id that no rule had."""
        if _ID.fullmatch(rule_id):
            return int(rule_id[1:], 16)
        number = self.ids.find(rule_id)
        return None if number is None else ODD | number

    def id(self, code: int) -> str:
        """The opposite of code()."""
        return self.ids.values[code ^ ODD] if code & ODD else f"r{code:012x}"

    def ids_of(self, codes: Iterable[int]) -> list[str]:
        """Of many."""
        return [f"r{code:012x}" if code < ODD else self.id(code) for code in codes]

    # --- checkpoints -----------------------------------------------------------------------------

    def state(self) -> tuple[Part[Pooled], ...]:
        """Those that grew since the last time are new parts."""
        parts = []
        for name, pool in self._all():
            for begin in range(0, len(pool.values), POOLED):
                values = tuple(pool.values[begin : begin + POOLED])
                kept = self._kept.get((name, begin))
                if kept is None or len(getattr(kept.value, name)) < len(values):
                    written: tuple[Any, ...] = tuple(map(_said, values)) if pool is self.kinds else values
                    kept = self._kept[name, begin] = Part(Pooled(**{name: written}))
                parts.append(kept)
        return tuple(parts)

    def restore(self, parts: Sequence[Part[Pooled]]) -> None:
        """The opposite of state(), into fresh pools."""
        for part in parts:
            for name, pool in self._all():
                values = getattr(part.value, name)
                if pool is self.kinds and values:
                    values = tuple(map(_whole, values))
                    part = Part(Pooled(kinds=tuple(map(_said, values))))  # as it is written, whoever wrote it
                if values:
                    self._kept[name, len(pool.values)] = part
                for value in values:
                    pool.number(value)

    def _all(self) -> tuple[tuple[str, Pool[Any]], ...]:
        return ("owners", self.owners), ("ids", self.ids), ("on", self.on), ("kinds", self.kinds)


def _apart(text: bytes, numbers: int) -> Apart:
    values = struct.unpack_from(f"<{numbers}d", text)
    name = text[8 * numbers :]
    written: list[str] = []
    if name.startswith(_WRITTEN) and numbers:
        written = name.split(_WRITTEN, 2)[1].decode().split(_BETWEEN)
    return values, written, _name(name)


def _name(text: bytes) -> str:
    """What stands behind the numbers."""
    if text.startswith(_WRITTEN):
        text = text.split(_WRITTEN, 2)[2]
    return text.decode("utf-8", "surrogatepass")
