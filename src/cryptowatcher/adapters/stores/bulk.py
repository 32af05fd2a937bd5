"""The statements that carry many rows: tuples in the order of the columns, and structs, whose fields those are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, islice
from operator import attrgetter, gt, itemgetter
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


def insert_columns(
    db: sa.Connection,
    table: sa.Table,
    same: Mapping[str, Any],
    own: Mapping[str, Sequence[Any]],
    conflict: Conflict,
) -> None:
    """Many rows that have most in common: only what is their own is handed over for each. A key begins with one
    of those columns."""
    names = tuple(column.name for column in table.columns if column.name in own)
    columns = [[*own[name]] for name in names]
    if any(map(gt, columns[0], islice(columns[0], 1, None))):
        order = sorted(range(len(columns[0])), key=columns[0].__getitem__)
        columns = [[*map(column.__getitem__, order)] for column in columns]
    if db.dialect.name == "sqlite":
        _insert_alike(db, table, conflict, same, dict(zip(names, columns, strict=True)))
        return
    for begin in range(0, len(columns[0]), _SOME):
        arrays = [column[begin : begin + _SOME] for column in columns]
        sql = _from_arrays(table, conflict, db.dialect, tuple(same), names)
        db.exec_driver_sql(sql, (*same.values(), *arrays))


def _insert_alike(
    db: sa.Connection, table: sa.Table, conflict: Conflict, same: Mapping[str, Any], own: Mapping[str, list[Any]]
) -> None:
    shared, columns = tuple(same.values()), [*own.values()]
    rows = len(columns[0])
    packed = rows // _ALIKE * _ALIKE
    for many, begin, end in ((_ALIKE, 0, packed), (1, packed, rows)):
        # Without a tuple for each row: the garbage collector would look at them again and again.
        packs = [
            (*shared, *chain.from_iterable(zip(*(column[at : at + many] for column in columns), strict=True)))
            for at in range(begin, end, many)
        ]
        if packs:
            db.exec_driver_sql(_from_packs(table, conflict, db.dialect, tuple(same), tuple(own), many), packs)


@contextmanager
def room_for(db: sa.Connection, rows: int) -> Iterator[None]:
    """So many rows are about to be inserted: SQLite then keeps pages in memory until they are committed, and
    writes each of them once."""
    if db.dialect.name != "sqlite" or rows < _SOME:
        yield
        return
    usual = db.exec_driver_sql("PRAGMA cache_size").scalar_one()
    db.exec_driver_sql(f"PRAGMA cache_size = {-_ROOM_KB}")
    try:
        yield
    finally:
        db.exec_driver_sql(f"PRAGMA cache_size = {usual}")


_ROOM_KB = 65_536


_ALIKE = 64
"""Rows alike that one statement of SQLite inserts."""


def _around(table: sa.Table, conflict: Conflict, dialect: sa.Dialect) -> tuple[str, str]:
    """What stands before and behind the values."""
    head, _, rest = _bulk_insert(table, conflict, dialect).partition("VALUES ")
    return head, rest[rest.index(" ON CONFLICT") :]


@lru_cache
def _from_packs(
    table: sa.Table,
    conflict: Conflict,
    dialect: sa.Dialect,
    same: tuple[str, ...],
    own: tuple[str, ...],
    many: int,
) -> str:
    """For so many rows. Its parameters: what is the same, then of each row its own."""
    place = {name: number for number, name in enumerate(same + own, start=1)}
    rows = [
        ", ".join(f"?{place[column.name] + (column.name in own) * row * len(own)}" for column in table.columns)
        for row in range(many)
    ]
    head, tail = _around(table, conflict, dialect)
    return f"{head}VALUES {', '.join(f'({row})' for row in rows)}{tail}"


@lru_cache
def _from_arrays(
    table: sa.Table, conflict: Conflict, dialect: sa.Dialect, same: tuple[str, ...], own: tuple[str, ...]
) -> str:
    """Of PostgreSQL, for any number of rows. Its parameters: what is the same, then an array for each column of
    what is not."""
    kinds = {column.name: column.type.compile(dialect).partition(" COLLATE")[0] for column in table.columns}
    arrays = ", ".join(f"%s::{kinds[name]}[]" for name in own)
    given = [f'own."{column.name}"' if column.name in own else f'same."{column.name}"' for column in table.columns]
    once = ", ".join(f'%s::{kinds[name]} AS "{name}"' for name in same)
    named = ", ".join(f'"{name}"' for name in own)
    head, tail = _around(table, conflict, dialect)
    rows = f"(SELECT {once}) AS same, unnest({arrays}) AS own({named})"
    return f"{head}SELECT {', '.join(given)} FROM {rows}{tail}"  # noqa: S608  (names of columns)


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
