"""Keys of the installation itself: made once, and kept."""

from __future__ import annotations

from typing import Protocol

import msgspec


class PushKey(msgspec.Struct, frozen=True):
    """What push services know this installation by (P-256), base64url without padding.

    private: its 32 bytes; a secret
    public:  the point, uncompressed, 65 bytes: browsers are given it when they subscribe
    """

    private: str
    public: str


class KeyTx(Protocol):
    """Making another would silence every browser that subscribed with the one before."""

    def push_key(self) -> PushKey | None: ...

    def keep_push_key(self, key: PushKey) -> PushKey:
        """Keeps it unless there is one already; returns the one that stands."""
        ...
