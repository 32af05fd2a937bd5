"""Between rows and the domain's types. A row's columns are its type's fields, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from cryptowatcher.domain.alerts import Alert, Part
from cryptowatcher.domain.copies import Copies

S = TypeVar("S", bound=msgspec.Struct)


class Concern:
    """Some of the queries of a transaction."""

    def __init__(self, db: sa.Connection) -> None:
        self._db = db

    def _all(self, kind: type[S], statement: sa.Select[Any]) -> list[S]:
        """All rows as that type."""
        fields = kind.__struct_fields__
        return [kind(**dict(zip(fields, row, strict=True))) for row in self._db.execute(statement)]


_NO_PARTS = "[]"


def alert_row(alert: Alert) -> tuple[Any, ...]:
    parts = msgspec.json.encode(alert.parts).decode() if alert.parts else _NO_PARTS
    # Texts in their places, of types that the struct does not have: to put a tuple together takes twice as long.
    return msgspec.structs.astuple(msgspec.structs.replace(alert, channels=_to_text(alert.channels), parts=parts))


def columns_of(copies: Sequence[Copies[Any]]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """By column what all rows of them have in common, and what is each one's own: all are of one type."""
    firsts = [_row_of(each.first) for each in copies]
    maybe = {name for each in copies for name in each.own}
    maybe |= {name for name in firsts[0] if len({repr(first[name]) for first in firsts}) > 1}
    columns = {name: _column(name, copies, firsts) for name in firsts[0] if name in maybe}
    own = {
        name: column
        for name, column in columns.items()
        if len(column) == 1 or column.count(column[0]) < len(column)
    }
    return {name: columns.get(name, [value])[0] for name, value in firsts[0].items() if name not in own}, own


def _row_of(struct: msgspec.Struct) -> dict[str, Any]:
    row = alert_row(struct) if isinstance(struct, Alert) else msgspec.structs.astuple(struct)
    return dict(zip(struct.__struct_fields__, row, strict=True))


def _column(name: str, copies: Sequence[Copies[Any]], firsts: Sequence[dict[str, Any]]) -> list[Any]:
    column: list[Any] = []
    for each, first in zip(copies, firsts, strict=True):
        column += each.own.get(name) or [first[name]] * len(each)
    if name == "parts":
        return [each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in column]
    return column


def alert_of(row: Iterable[Any]) -> Alert:
    """From a row's values in order."""
    values = dict(zip(Alert.__struct_fields__, row, strict=True))
    parts = values["parts"]
    values["channels"] = _from_text(values["channels"])
    values["parts"] = () if parts == _NO_PARTS else msgspec.json.decode(parts, type=tuple[Part, ...])
    return Alert(**values)


@lru_cache(maxsize=1024)
def _to_text(channels: tuple[str, ...]) -> str:
    return msgspec.json.encode(channels).decode()


@lru_cache(maxsize=1024)
def _from_text(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])
