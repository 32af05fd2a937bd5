"""Which slot a rule is in, by the number of its id: 6 bytes a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.rules.rows import ODD
from cryptowatcher.domain.ticks import Ints

_SMALL = 4_096
_SHARE = 50
"""What is new is sorted in when there is more of it than both _SMALL and this fraction of the rest."""


class Ids:
    """The newest in a dict; the others sorted by half of a hash of their number, which tells nearly all apart. The
    upper part of that half is told by where they lie."""

    def __init__(self, code_of: Callable[[int], int], alive: Callable[[], NDArray[np.bool_]]) -> None:
        """`code_of`: of the rule in a slot; `alive`: by slot, whether there still is a rule."""
        self._code_of = code_of
        self._alive = alive
        self._young: dict[int, int] = {}
        self._odd: dict[int, int] = {}
        self._first: NDArray[np.int32] = np.zeros(0, np.int32)  # of those with the same upper 16 bits
        self._lower: NDArray[np.uint16] = np.zeros(0, np.uint16)
        self._slot: NDArray[np.int32] = np.zeros(0, np.int32)

    def find(self, code: int) -> int | None:
        """The slot of the newest rule with this id, None when it is gone."""
        slot = (self._odd if code & ODD else self._young).get(code)
        if slot is not None:
            return slot if self._alive()[slot] else None
        if code & ODD:
            return None
        if not len(self._slot):
            return None
        upper, lower = divmod((code * _FACTOR & _WHOLE) >> 32, 1 << 16)
        begin, end = self._first[upper : upper + 2].tolist()
        among = self._lower[begin:end]
        for place in range(begin + int(among.searchsorted(np.uint16(lower))), end):
            if self._lower[place] != lower:
                break
            slot = int(self._slot[place])
            if self._alive()[slot] and self._code_of(slot) == code:
                return slot
        return None

    def put(self, code: int, slot: int) -> None:
        """A rule has come, perhaps in the place of another."""
        if code & ODD:
            self._odd[code] = slot
            return
        self._young[code] = slot
        if len(self._young) > max(_SMALL, len(self._slot) // _SHARE):
            self._settle()

    def drop(self, code: int, slot: int) -> None:
        """A rule has gone from this slot."""
        newest = self._odd if code & ODD else self._young
        if newest.get(code) == slot:
            del newest[code]

    def fill(self, codes: Iterable[NDArray[np.uint64]], slots: Iterable[Ints]) -> None:
        """All there are, into a fresh one."""
        keys = [_NONE]
        for code, slot in zip(codes, slots, strict=True):
            odd = code >= np.uint64(ODD)
            if odd.any():
                self._odd.update(zip(code[odd].tolist(), slot[odd].tolist(), strict=True))
                code, slot = code[~odd], slot[~odd]
            keys.append(_upper_half(code) | slot.view(np.uint64))
        key = np.concatenate(keys)
        del keys
        key.sort()  # one number for both is sorted in a fraction of the time that an order takes
        self._keep((key >> np.uint64(32)).astype(np.uint32), key.astype(np.int32))

    def _settle(self) -> None:
        """Rules that are gone are left out, and those in whose place another has come."""
        half = _half(np.fromiter(self._young, np.uint64, len(self._young)))
        slots = np.fromiter(self._young.values(), np.int32, len(self._young))
        order = np.argsort(half, kind="stable")
        kept = self._alive()[self._slot]
        before = self._halves()[kept]
        place = np.searchsorted(before, half[order])
        self._keep(np.insert(before, place, half[order]), np.insert(self._slot[kept], place, slots[order]))
        self._young = {}

    def _keep(self, half: NDArray[np.uint32], slot: NDArray[np.int32]) -> None:
        """Sorted: the upper 16 bits are told by where they begin."""
        self._first = np.append(np.searchsorted(half, _UPPER), len(half)).astype(np.int32)
        self._lower, self._slot = half.astype(np.uint16), slot

    def _halves(self) -> NDArray[np.uint32]:
        """All of those in _keep()."""
        upper = np.repeat(_UPPER, np.diff(self._first)) if len(self._slot) else _UPPER[:0]
        return upper | self._lower


def _half(codes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The upper half of a multiplicative hash: ids that somebody counted up are spread as well."""
    return (_upper_half(codes) >> np.uint64(32)).astype(np.uint32)


def _upper_half(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The same where it stands, with nothing in the lower."""
    return (codes * np.uint64(_FACTOR)) & ~np.uint64(0xFFFF_FFFF)


_FACTOR, _WHOLE = 0x9E37_79B9_7F4A_7C15, (1 << 64) - 1
_UPPER = np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)
_NONE = np.zeros(0, np.uint64)
