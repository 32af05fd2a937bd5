"""Between rows and the domain's types. A row's columns are its type's fields, in order."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from cryptowatcher.domain.alerts import Alert, Part

S = TypeVar("S", bound=msgspec.Struct)


class Concern:
    """Some of the queries of a transaction."""

    def __init__(self, db: sa.Connection) -> None:
        self._db = db

    def _all(self, kind: type[S], statement: sa.Select[Any]) -> list[S]:
        """All rows as that type."""
        fields = kind.__struct_fields__
        return [kind(**dict(zip(fields, row, strict=True))) for row in self._db.execute(statement)]


def tuples(structs: Iterable[msgspec.Struct]) -> Iterable[tuple[Any, ...]]:
    return map(msgspec.structs.astuple, structs)


_CHANNELS = Alert.__struct_fields__.index("channels")
_PARTS = Alert.__struct_fields__.index("parts")
_NO_PARTS = "[]"


def alert_row(alert: Alert) -> tuple[Any, ...]:
    row = msgspec.structs.astuple(alert)
    parts = msgspec.json.encode(alert.parts).decode() if alert.parts else _NO_PARTS
    return *row[:_CHANNELS], _to_text(alert.channels), *row[_CHANNELS + 1 : _PARTS], parts, *row[_PARTS + 1 :]


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
