"""`[keep]`: how long what is kept, as people write it."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from cryptowatcher.domain.intervals import MS, parse_duration, show_duration
from cryptowatcher.domain.retention import SHORTEST_JOURNAL, Retention
from cryptowatcher.errors import ConfigError

_UNITS: Final = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?(MB|GB|TB|MiB|GiB|TiB)", re.ASCII)
_SMALLEST: Final = 16 * 10**6
_SHORTEST: Final = 2 * MS["d"]


class Keep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what is kept. Ages count from the newest price that was seen.

    journal:      what was observed: at least 7d
    journal_size: what they may take on disk: at least 16MB; the oldest go earlier when they take more
    minutes:      candles of one minute; those of 5 minutes, an hour and a day are kept for ever
    alerts:       alerts, with their deliveries and receipts
    """

    journal: str = "7d"
    journal_size: str = "10GB"
    minutes: str = "90d"
    alerts: str = "730d"

    def __post_init__(self) -> None:
        self.retention()

    def retention(self) -> Retention:
        """In ms and bytes. ConfigError for what is no duration or size, or too little."""
        return Retention(
            journal=_age(self.journal, "keep.journal", least=SHORTEST_JOURNAL),
            journal_size=parse_size(self.journal_size, where="keep.journal_size"),
            minutes=_age(self.minutes, "keep.minutes", least=_SHORTEST),
            alerts=_age(self.alerts, "keep.alerts", least=_SHORTEST),
        )


def parse_size(text: str, *, where: str = "") -> int:
    """`500MB`, `10GB`, `1.5 TiB` → bytes."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text[:40]!r} is not a size", where=where, hint="write it like 500MB, 10GB or 1.5TB")
    size = round(float(match[1]) * _UNITS[match[2]])
    if size < _SMALLEST:
        raise ConfigError("must be at least 16MB", where=where)
    return size


def _age(text: str, where: str, *, least: int) -> int:
    age = parse_duration(text, where=where)
    if age < least:
        raise ConfigError(f"must be at least {show_duration(least)}", where=where)
    return age
