"""What everything that is opened gets of the world: time, secrets, chance, a place for files."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Protocol

import msgspec


class Clock(Protocol):
    """Time. Sleeping and time-outs are asyncio's; wall time comes only from here."""

    def now(self) -> int:
        """Wall time, epoch ms, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, from an arbitrary start."""
        ...


class Secret(Protocol):
    """Reads a secret that configuration names but never contains."""

    def __call__(self, *, file: str | None, variable: str | None, where: str) -> str | None:
        """The text of the file (relative to the configuration's folder) or the environment variable; None when
        neither is named. ConfigError when what is named cannot be read."""
        ...


class Deps(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter's settings get to open it with."""

    clock: Clock
    secret: Secret
    random: Random
    data_dir: Path = Path("data")
