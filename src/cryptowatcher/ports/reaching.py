"""Channels that people add, and what they prefer: what is kept of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from cryptowatcher.domain.reaching import ChannelFacts, Heard, Preferences, Reach, Setting, StoredChannel


class ReachingTx(Protocol):
    """Who is reached where. Each change of a stored channel, of preferences and of an account's role has a number,
    and they become visible in the order of their numbers."""

    def reach_number(self) -> int:
        """That of the last change; 0: there was none."""
        ...

    def reach(self, setting: Setting, *, owner: str | None = None) -> Reach:
        """All that is known, of this owner alone or (None) of all. `setting`: what the configuration says."""
        ...

    def save_channel(self, channel: StoredChannel) -> StoredChannel:
        """Add it, or change the owner's channel of that name; with the version it has now."""
        ...

    def remove_channel(self, owner: str, name: str) -> bool:
        """False when there was none. What waits for it is notify's to give up."""
        ...

    def save_preferences(self, owner: str, wanted: Preferences) -> None: ...

    def note_heard(self, heard: Sequence[Heard]) -> None:
        """What channels made of the last message that each was given."""
        ...

    def channel_facts(
        self, owner: str, channels: Collection[str], *, since: int, most: int
    ) -> dict[str, ChannelFacts]:
        """By address. Messages are those of the owner; given up since that time (epoch ms); `most` are counted."""
        ...
