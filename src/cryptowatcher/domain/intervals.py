"""Durations as people write them, and the candle intervals that are kept."""

from __future__ import annotations

import re

from cryptowatcher.errors import ConfigError

MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
INTERVALS = {"1m": MS["m"], "5m": 5 * MS["m"], "1h": MS["h"], "1d": MS["d"]}

LONGEST_MS = 36_500 * MS["d"]
_LONGEST = 40  # characters: nobody means more, and a pattern takes long to find that out
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def parse_duration(text: str, *, where: str = "") -> int:
    """`90s`, `5m`, `1h30m`, `7d` → milliseconds; a ConfigError says how one is written."""
    parts = _PART.findall(text[:_LONGEST])
    if not parts or "".join(number + unit for number, unit in parts) != text:
        hint = "write a number and a unit: 30s, 5m, 1h30m, 24h, 7d"
        raise ConfigError(f"{text[:_LONGEST]!r} is not a duration", where=where, hint=hint)
    ms = sum(float(number) * MS[unit] for number, unit in parts)
    if ms > LONGEST_MS:
        raise ConfigError(f"a duration is at most {show_duration(LONGEST_MS)}", where=where)
    return round(ms)


def show_duration(ms: int) -> str:
    """Milliseconds → the shortest exact text: 90000 → `1m30s`."""
    if ms == 0:
        return "0s"
    text = ""
    for unit in ("d", "h", "m", "s", "ms"):
        whole, ms = divmod(ms, MS[unit])
        if whole:
            text += f"{whole}{unit}"
    return text
