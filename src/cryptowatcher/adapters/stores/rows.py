"""Between rows and the domain's types. A row's columns are its type's fields, in order."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from cryptowatcher.domain.alerts import Alert

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


def alert_row(alert: Alert) -> tuple[Any, ...]:
    row = msgspec.structs.astuple(alert)
    return (*row[:_CHANNELS], _to_text(row[_CHANNELS]), *row[_CHANNELS + 1 :])


def alert_of(row: Iterable[Any]) -> Alert:
    """From a row's values in order."""
    values = dict(zip(Alert.__struct_fields__, row, strict=True))
    return Alert(**values | {"channels": _from_text(values["channels"])})


@lru_cache(maxsize=1024)
def _to_text(channels: tuple[str, ...]) -> str:
    return msgspec.json.encode(channels).decode()


@lru_cache(maxsize=1024)
def _from_text(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])
