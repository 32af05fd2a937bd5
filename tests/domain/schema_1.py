"""A record of each kind as it was written while the checksum covered the payload alone."""

from __future__ import annotations

from cryptowatcher.domain.records import Beat, Body, ClockStep, Gap, Held, Ticks, Verdict
from cryptowatcher.domain.ticks import one_instant

_BATCH = one_instant(
    {"bitcoin/usd": 64000.5, "pax-gold/usd": 2400.25}, observed_at=1_790_000_000_000, volume=[1e9, 2e7]
)
_BATCH_THEN = (
    "97a474657374cf000001a0c4506c00ce000493e00201c42328b52ffd201ad1000092ab626974636f696e2f757364ac7061782d676f6c64"
    "2f757364c43f28b52ffd2058b50100b4020001006c005000c400a0000100108040c0efa240400065d0cd12cd73414100f8f87f7f000000"
    "0000000000041000e6648743dd10"
)
WRITTEN: list[tuple[Body, bytes]] = [
    (Ticks(_BATCH), bytes.fromhex(f"01011530448391{_BATCH_THEN}")),
    (Held(_BATCH, "jump"), bytes.fromhex(f"020162e9a0b092{_BATCH_THEN}a46a756d70")),
    (Verdict(_BATCH, True, "agreed", True), bytes.fromhex(f"0301f4791a1e94{_BATCH_THEN}c3a6616772656564c3")),
    (Beat(), bytes.fromhex("04016e4740a681a474797065a462656174")),
    (ClockStep(1024), bytes.fromhex("05010117d74582a474797065a5636c6f636ba473746570cd0400")),
    (Gap("restored"), bytes.fromhex("060161c17f7682a474797065a3676170a6726561736f6ea8726573746f726564")),
]
