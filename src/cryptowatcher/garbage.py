"""When Python's garbage collector looks at what: each full look through a large process makes everybody wait. And
what becomes of memory that was freed."""

from __future__ import annotations

import ctypes
import gc


def keep_for_good() -> None:
    """What is in memory now is there to stay, so the garbage collector need not look through it again: with a
    million rules that takes 50 ms, and everybody waits."""
    gc.collect()
    gc.freeze()
    _give_back()


def look_rarely() -> None:
    """For the page's process. Each frame of the live stream makes short-lived objects for each client, and by the
    usual thresholds every second or third frame made the collector look through all of them: with 5,000 clients
    a quarter of a second."""
    keep_for_good()
    gc.set_threshold(20_000, 20, 100)


def _give_back() -> None:
    """What was freed between what is there to stay goes back to the system. By itself the C library keeps it:
    after a start with millions of rules 13 bytes a rule."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, others do not
    if trim is not None:
        trim(0)
