"""GET /api/v1/push/key: what a browser must be told before it takes messages. What it answers with is a channel of
kind `webpush`."""

from __future__ import annotations

import msgspec
from litestar import get

from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import documented


class PushKeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """key: the watcher's public key (P-256, uncompressed), base64url: `applicationServerKey` of a browser"""

    key: str


@get(
    "/push/key",
    needs="user",
    responses=documented(400),
    summary="The key that browsers subscribe with",
    description="Made once. A browser that subscribed with it can be added as a channel of kind `webpush`, with "
    "the secrets `endpoint`, `p256dh` and `auth` of its subscription.",
    tags=["channels"],
)
async def push_key(deps: Deps) -> PushKeyAnswer:
    return PushKeyAnswer(key=(await deps.push_key()).public)
