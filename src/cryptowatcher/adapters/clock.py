"""The machine's clock."""

from __future__ import annotations

import time


class SystemClock:
    """ports.Clock on the operating system."""

    def now(self) -> int:
        """Wall time, epoch ms."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()
