"""Disks that are full, limited, read-only or failing, under the real program.

Health turns red with a reason, nothing is acknowledged that is not stored, and when the disk is well again so is
the watcher. DISK_STRIDE: of the writes and syncs at which the disk fails, every how many (5).
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.dying_disk import Plan, failed, put
from tests.chaos.watched import Scene, say, scene, small_disk

STRIDE = int(os.environ.get("DISK_STRIDE", "5"))
UNKNOWN_OUTCOME = os.EX_IOERR

pytestmark = pytest.mark.chaos


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """The folder `data` is a disk of 24 MB."""
    try:
        with small_disk(tmp_path / "data", "24m"):
            yield tmp_path
    except (RuntimeError, FileNotFoundError) as error:
        pytest.skip(f"mounting a tmpfs needs root: {error}")


def fill(disk: Path) -> Path:
    """To the last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    assert shutil.disk_usage(disk).free == 0
    return ballast


def report(what: str, here: Scene, red: float, green: float) -> None:
    reasons = Counter(name for look in here.program.looks for name in look.failing)
    say(f"{what}: red after {red:.1f} s, green after {green:.1f} s, {dict(reasons)}, exits {here.program.exits}")


def test_a_full_disk_is_waited_out(tmpfs: Path) -> None:
    with scene(tmpfs) as here:
        for _ in range(2):
            ballast = fill(tmpfs / "data")
            red = here.program.until_red()
            reasons = here.program.last.failing
            ballast.unlink()
            green = here.program.until_green()
            report("full disk", here, red, green)
            assert reasons
            assert red < 20
            assert green < 20
        assert here.program.exits == [], "a full disk is no reason to end"
        here.settle()


def test_killed_on_a_full_disk_it_starts_again_and_waits_for_room(tmpfs: Path) -> None:
    with scene(tmpfs) as here:
        ballast = fill(tmpfs / "data")
        assert here.program.process is not None
        os.killpg(here.program.process.pid, signal.SIGKILL)
        here.program.until(lambda: bool(here.program.exits), "the end")
        red = here.program.until_red()
        here.program.until(lambda: here.program.last.failing != ("no answer",), "a page that says why")
        ballast.unlink()
        green = here.program.until_green()
        report("killed on a full disk", here, red, green)
        assert here.program.exits == [-signal.SIGKILL]
        here.settle()


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        assert here.program.process is not None
        watcher = psutil.Process(here.program.process.pid)
        _, hard = watcher.rlimit(resource.RLIMIT_FSIZE)
        largest = max(file.stat().st_size for file in (tmp_path / "data").glob("*.db*"))
        watcher.rlimit(resource.RLIMIT_FSIZE, (largest // 2, hard))
        red = here.program.until_red()
        watcher.rlimit(resource.RLIMIT_FSIZE, (hard, hard))
        green = here.program.until_green()
        report("RLIMIT_FSIZE", here, red, green)
        assert here.program.exits == []
        here.settle()


def test_a_start_on_a_read_only_disk_is_refused_with_a_sentence(tmpfs: Path) -> None:
    with scene(tmpfs) as here:
        here.settle()
        mount(tmpfs / "data", "ro")
        command = [sys.executable, "-m", "cryptowatcher", "run", "--config", str(tmpfs / "cryptowatcher.toml")]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        mount(tmpfs / "data", "rw")
        assert refused.returncode == 1  # whoever started it should go on trying
        assert "Read-only file system" in refused.stderr
        assert "Traceback" not in refused.stderr


def mount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def test_a_disk_that_takes_no_writes_ends_the_process_and_a_restart_recovers(tmp_path: Path) -> None:
    """As one that the kernel made read-only under the running program."""
    plan = tmp_path / "plan"
    with scene(tmp_path, before=("tests.chaos.dying_disk", str(plan), "cryptowatcher")) as here:
        put(plan, Plan(calls=("write", "sync"), times=None))
        red = here.program.until_red()
        here.program.until(lambda: len(here.program.exits) >= 3, "restarts")
        plan.unlink()
        green = here.program.until_green()
        report("no writes", here, red, green)
        assert here.program.exits[0] == UNKNOWN_OUTCOME
        here.settle()


@pytest.mark.parametrize("file", ["journal.db-wal", "store.db-wal", "journal.db", "store.db"])
@pytest.mark.parametrize("call", ["write", "sync"])
def test_one_error_at_any_write_or_sync_loses_nothing(tmp_path: Path, call: str, file: str) -> None:
    """EIO at the n-th: of the WAL's, which every commit makes, and of the file's, which checkpoints make."""
    plan = tmp_path / "plan"
    stride = STRIDE if file.endswith("-wal") or call == "write" else 1
    ends: Counter[int] = Counter()
    with scene(tmp_path, before=("tests.chaos.dying_disk", str(plan), "cryptowatcher")) as here:
        for skip in range(0, 8 * stride, stride):
            before = len(here.program.exits)
            put(plan, Plan(calls=(call,), files=(f"/{file}",), skip=skip))
            here.program.until(lambda: bool(failed(plan)), f"{call} {skip} of {file}")
            here.program.until_green()
            plan.unlink()
            ends.update(here.program.exits[before:])
        say(f"EIO at {call} of {file}: 8 times, ended {dict(ends)}")
        assert set(ends) <= {UNKNOWN_OUTCOME}
        if not file.endswith("-wal"):
            assert not ends, "the file behind the WAL: no commit depends on it"
        here.settle()


@pytest.mark.parametrize("file", ["journal.db", "store.db"])
def test_a_disk_that_cannot_be_read_is_no_reason_to_end(tmp_path: Path, file: str) -> None:
    plan = tmp_path / "plan"
    with scene(tmp_path, before=("tests.chaos.dying_disk", str(plan), "cryptowatcher")) as here:
        put(plan, Plan(calls=("read",), files=(f"/{file}", f"/{file}-wal"), times=3))
        here.program.until_green()
        say(f"reads of {file}: {failed(plan)}, exits {here.program.exits}")
        here.settle()
