"""How much may go out: so many in a stretch of time, as people write it."""

from __future__ import annotations

import re

import msgspec

from cryptowatcher.errors import ConfigError

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000}
_RATE = re.compile(r"([1-9][0-9]{0,5}) ?/ ?(?:([1-9][0-9]{0,3}) ?)?([smh])", re.ASCII)


class Rate(msgspec.Struct, frozen=True):
    """So many messages in `per` ms."""

    count: int
    per: int


def parse_rate(text: str, *, where: str = "") -> Rate:
    """`20/m`, `5/2s` → Rate."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text[:40]!r} is not a rate", where=where, hint="write it like 20/m, 1/s or 5/2s")
    return Rate(int(match[1]), int(match[2] or 1) * _UNITS[match[3]])


class Bucket:
    """Lets through what a rate allows: all of it at once after a rest, then one after the other. Holds no time and
    asks no clock."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left = float(rate.count)
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until one may go, at monotonic time `now`; 0: at once."""
        self._fill(now)
        return 0.0 if self._left >= 1 else (1 - self._left) * self._rate.per / 1000 / self._rate.count

    def soon(self, now: float, ahead: float) -> int:
        """How many may go within so many seconds."""
        self._fill(now)
        return int(self._left + ahead * 1000 * self._rate.count / self._rate.per)

    def take(self, now: float) -> None:
        """One goes."""
        self._fill(now)
        self._left -= 1

    def _fill(self, now: float) -> None:
        gained = max(now - self._at, 0.0) * 1000 * self._rate.count / self._rate.per
        self._left = min(self._left + gained, float(self._rate.count))
        self._at = max(now, self._at)
