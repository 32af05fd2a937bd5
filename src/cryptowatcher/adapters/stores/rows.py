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


_NO_PARTS = "[]"


def alert_row(alert: Alert) -> tuple[Any, ...]:
    parts = msgspec.json.encode(alert.parts).decode() if alert.parts else _NO_PARTS
    # Texts in their places, of types that the struct does not have: to put a tuple together takes twice as long.
    return msgspec.structs.astuple(msgspec.structs.replace(alert, channels=_to_text(alert.channels), parts=parts))


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
