"""Where alerts go."""

from __future__ import annotations

from typing import Protocol

from cryptowatcher.domain.messages import Message


class Channel(Protocol):
    """Where an owner is reached."""

    @property
    def name(self) -> str: ...

    async def send(self, message: Message) -> str:
        """Deliver; returns the receipt (what the other side said). Unavailable: try again, perhaps after
        `retry_after`. Refused: never. After any exception the message may or may not have arrived."""
        ...
