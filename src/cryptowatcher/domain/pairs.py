"""Assets and pairs: what is watched, and how it is written.

A pair is written `asset/currency` everywhere (configuration, rules, API paths, tables): `bitcoin/usd`.
The asset is a CoinGecko id, never a symbol, because symbols are ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.errors import ConfigError

ALL = "all"
"""In a rule's list of pairs: every pair that is watched, now and later."""

CANARY = "cryptowatcher/canary"
"""The watcher's own pair (domain/canary.py). It is not among `all`, and people cannot name it."""

_TABLES = 64
_PAIR = re.compile(r"[^\s/\x00-\x1f]{1,128}/[a-z0-9-]{1,32}")


def check_pair(text: str, *, where: str = "") -> str:
    """The pair as it is written, or a ConfigError that says how one is written."""
    if text == CANARY:
        raise ConfigError(f"{text} is not for rules: it is the watcher's own", where=where)
    if _PAIR.fullmatch(text):
        return text
    hint = "write asset/currency with a CoinGecko id, for example bitcoin/usd"
    raise ConfigError(f"{text!r} is not a pair", where=where, hint=hint)


def pair_of(asset: str, currency: str) -> str:
    """`bitcoin`, `usd` → `bitcoin/usd`."""
    return f"{asset}/{currency}"


class Universe:
    """The pairs seen so far, each with a column number that never changes while the process lives."""

    def __init__(self, pairs: Iterable[str] = ()) -> None:
        self.names: list[str] = []
        self._column: dict[str, int] = {}
        self._tables: dict[tuple[str, ...], NDArray[np.int64]] = {}
        for pair in pairs:
            self.column(pair)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, pair: str) -> bool:
        return pair in self._column

    def column(self, pair: str) -> int:
        """The column of a pair; a new pair gets the next one."""
        column = self._column.get(pair)
        if column is None:
            column = self._column[pair] = len(self.names)
            self.names.append(pair)
        return column

    def everyones(self, first: int = 0) -> list[int]:
        """The columns from `first` on that rules on `all` pairs cover."""
        return [col for col in range(first, len(self.names)) if self.names[col] != CANARY]

    def columns(self, pairs: tuple[str, ...]) -> NDArray[np.int64]:
        """The columns of a table of names. The same tables come again and again, so the newest are kept."""
        columns = self._tables.get(pairs)
        if columns is None:
            if len(self._tables) >= _TABLES:
                self._tables.clear()
            columns = np.asarray([self.column(pair) for pair in pairs], np.int64)
            self._tables[pairs] = columns
        return columns
