"""What is freed at a start is not kept from the rest of the machine."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import os
from cryptowatcher.garbage import keep_for_good

def taken():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

some = [b"x" * 100_000 for _ in range(1_000)]
before, last = taken(), some.pop()  # what lies behind them keeps the others from going back by themselves
some.clear()
kept = taken()
keep_for_good()
print(before - kept, kept - taken())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library")
def test_freed_memory_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    by_itself, then = map(int, done.stdout.split())
    assert by_itself < 50_000_000 < then
