"""Folders for what tests write and nobody needs afterwards: in memory, where a disk would only be waited for."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 1 << 30
"""Bytes. Containers have less by default; then files are where they are everywhere."""
PREFIX = "cryptowatcher-"
A_DAY = 86_400.0


def in_memory() -> Path | None:
    """Where there is memory to write into, if there is enough of it."""
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
            return MEMORY
    return None


@contextlib.contextmanager
def short_lived() -> Iterator[Path]:
    """An empty folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=in_memory(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def sweep() -> None:
    """Away with what runs have left that were killed: memory is not emptied by itself."""
    for left in MEMORY.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > A_DAY:
                shutil.rmtree(left, ignore_errors=True)
