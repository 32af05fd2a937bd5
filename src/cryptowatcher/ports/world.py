"""What everything that is opened gets of the world: time, secrets, chance, a place for files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Protocol

import msgspec

from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports.keys import PushKey


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


Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name, as text. OSError when it has none."""


async def nobody(channel: str) -> Sequence[int]:
    """No chat is linked to it."""
    return ()


async def keyless() -> PushKey:
    """Without a store nothing is kept."""
    raise ConfigError("there is no store that keeps the key of web push")


class Deps(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter's settings get to open it with.

    outbound: which addresses messages may be sent to
    resolve:  who knows the addresses of names; None: this machine
    linked:   the chats that are linked to a channel (its name) now
    push_key: what push services know this installation by
    """

    clock: Clock
    secret: Secret
    random: Random
    data_dir: Path = Path("data")
    outbound: Outbound = Outbound()
    resolve: Resolve | None = None
    linked: Callable[[str], Awaitable[Sequence[int]]] = nobody
    push_key: Callable[[], Awaitable[PushKey]] = keyless
