"""The statements that carry many rows: tuples in the order of the columns, and structs, whose fields those are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.tables import Conflict, insert_into

S = TypeVar("S", bound=msgspec.Struct)


def insert_structs(
    db: sa.Connection,
    table: sa.Table,
    structs: Sequence[S],
    conflict: Conflict,
    row: Callable[[S], tuple[Any, ...]] = msgspec.structs.astuple,
) -> None:
    """Many at once. A key begins with the first field."""
    ordered = sorted(structs, key=attrgetter(structs[0].__struct_fields__[0])) if structs else ()
    for begin in range(0, len(ordered), _SOME):
        _insert(db, table, [*map(row, ordered[begin : begin + _SOME])], conflict)


_SOME = 4_096
"""Rows that are made at a time: the garbage collector would look at a hundred thousand again and again."""


def tuples(structs: Iterable[msgspec.Struct]) -> Iterable[tuple[Any, ...]]:
    return map(msgspec.structs.astuple, structs)


@lru_cache
def _bulk_insert(table: sa.Table, conflict: Conflict, dialect: sa.Dialect) -> str:
    compiled = conflict(insert_into(table, dialect.name), table).compile(dialect=dialect)
    if compiled.positiontup != [column.name for column in table.columns]:
        raise RuntimeError(f"{table.name}: rows are tuples in the order of the columns")
    return str(compiled)


def insert_rows(db: sa.Connection, table: sa.Table, rows: Iterable[tuple[Any, ...]], conflict: Conflict) -> None:
    """Many rows as tuples in column order: parameters by name would take three times as long."""
    _insert(db, table, sorted(rows, key=itemgetter(0)), conflict)


def _insert(db: sa.Connection, table: sa.Table, rows: list[tuple[Any, ...]], conflict: Conflict) -> None:
    """Keys are in order: each page of the table is touched once."""
    packed = len(rows) // _PACK * _PACK if db.dialect.name == "sqlite" else 0
    if packed:
        packs = [tuple(chain.from_iterable(rows[at : at + _PACK])) for at in range(0, packed, _PACK)]
        db.exec_driver_sql(_packed_insert(table, conflict, db.dialect), packs)
    if packed < len(rows):
        db.exec_driver_sql(_bulk_insert(table, conflict, db.dialect), rows[packed:])


_PACK = 16
"""Rows that one statement inserts: SQLite takes two thirds of the time for them that it takes one by one, and
longer again for many more. (PostgreSQL is sent all in one go anyway, and does not replace a row twice in one
statement.)"""


@lru_cache
def _packed_insert(table: sa.Table, conflict: Conflict, dialect: sa.Dialect) -> str:
    head, values, tail = _bulk_insert(table, conflict, dialect).partition(
        f"({', '.join('?' * len(table.columns))})"
    )
    return head + ", ".join([values] * _PACK) + tail
