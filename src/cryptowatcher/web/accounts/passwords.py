"""Passwords as argon2id hashes: beside the event loop, a few at a time, as costly for names that nobody has."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import TypeVar

import argon2
import msgspec

from cryptowatcher.domain.accounts import normal
from cryptowatcher.web.problems import Problem

AT_ONCE = 2
"""Hashes that are computed at the same time: each takes memory and a core."""
PATIENCE = 5.0
"""Seconds that a request waits for its turn."""
_HASH_BYTES, _SALT_BYTES = 32, 16

T = TypeVar("T")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a hash takes: KiB of memory, passes over it, lanes. As OWASP advises for argon2id."""

    memory: int = 19_456
    passes: int = 2
    lanes: int = 1


class Passwords:
    """One for an application. A stored hash says what it cost, so the cost may change."""

    def __init__(self, cost: Cost | None = None, *, at_once: int = AT_ONCE, patience: float = PATIENCE) -> None:
        cost = cost or Cost()
        self._hasher = argon2.PasswordHasher(
            time_cost=cost.passes,
            memory_cost=cost.memory,
            parallelism=cost.lanes,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        kind = f"$argon2id$v=19$m={cost.memory},t={cost.passes},p={cost.lanes}"
        self._nobodys = f"{kind}${_zeros(_SALT_BYTES)}${_zeros(_HASH_BYTES)}"
        self._free = asyncio.Semaphore(at_once)
        self._patience = patience

    async def hashed(self, password: str) -> str:
        """Problem (503) when its turn does not come, as for the others."""
        return await self._in_turn(lambda: self._hasher.hash(normal(password)))

    async def match(self, password: str, stored: str | None) -> bool:
        """Whether it is the one that was hashed. None takes as long, and no password matches it."""
        return await self._in_turn(lambda: self._verified(stored or self._nobodys, normal(password)))

    def is_outdated(self, stored: str) -> bool:
        """Whether it was hashed at another cost than now."""
        return self._hasher.check_needs_rehash(stored)

    def _verified(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False

    async def _in_turn(self, work: Callable[[], T]) -> T:
        """A thread cannot be stopped: it holds its place until it is done, even if its caller goes away."""
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise Problem(503, "many log in at once; try again", retry_after=2) from None
        task = asyncio.ensure_future(asyncio.to_thread(work))
        task.add_done_callback(lambda done: self._free.release())
        return await asyncio.shield(task)


def _zeros(count: int) -> str:
    """As argon2 writes bytes."""
    return base64.b64encode(bytes(count)).decode().rstrip("=")
