"""gzip for streams that all get the same: each message is packed once, for everybody.

A gzip stream is a head and then blocks. A block that a fresh compressor made and ended with a full flush refers to
nothing before it, so any of them may follow any other: who comes late or misses some can still read the rest, and
the server keeps nothing for a client. There is no trailer, because the stream has no end that a client would wait
for.
"""

from __future__ import annotations

import zlib

GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_LEVEL = 1
"""Higher ones take twice the time for a tenth less."""


def gzip_block(data: bytes) -> bytes:
    """Data as a block that may stand anywhere in a gzip stream, and can be read as soon as it is there."""
    fresh = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return fresh.compress(data) + fresh.flush(zlib.Z_FULL_FLUSH)


def takes_gzip(accepted: str) -> bool:
    """By the request's Accept-Encoding."""
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() == "gzip":
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
