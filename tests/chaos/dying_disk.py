"""A disk that fails below SQLite, at the word of a test.

    python -m tests.chaos.dying_disk PLAN cryptowatcher run …

runs a module with every database on such a disk. PLAN is a file with a `Plan` as JSON, read anew whenever it is
replaced; while there is none, the disk is sound. What failed is noted in PLAN.log, a line each.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import apsw
import msgspec

CODES = {"read": apsw.SQLITE_IOERR_READ, "write": apsw.SQLITE_IOERR_WRITE, "sync": apsw.SQLITE_IOERR_FSYNC}


class Plan(msgspec.Struct, frozen=True):
    """What fails.

    calls: which of `read`, `write`, `sync`
    files: ends of the names of files, such as `journal.db-wal`; "" is every file
    skip:  so many of these calls go well first
    times: so many fail then, in whatever processes; None: all that follow
    how:   `error`: the call fails; `full`: for want of room; `kill`: the process dies instead
    """

    calls: tuple[str, ...] = ("write",)
    files: tuple[str, ...] = ("",)
    skip: int = 0
    times: int | None = 1
    how: Literal["error", "full", "kill"] = "error"


_decoder = msgspec.json.Decoder(Plan)  # now: once another module is `__main__`, its names are not found


class Disk:
    """Follows the plan."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._plan: Plan | None = None
        self._read = (0, 0)
        self._calls = 0

    def call(self, what: str, file: str) -> None:
        """Raises, or kills, when it is this call's turn."""
        plan = self._current()
        if plan is None or what not in plan.calls or not file.endswith(plan.files):
            return
        self._calls += 1
        if self._calls <= plan.skip or (plan.times is not None and len(failed(self._path)) >= plan.times):
            return
        with open(f"{self._path}.log", "a") as log:
            log.write(f"{what} {Path(file).name}\n")
        if plan.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise apsw.exception_for(apsw.SQLITE_FULL if plan.how == "full" else CODES[what])

    def _current(self) -> Plan | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._read, self._plan = (0, 0), None
            return None
        if (stat.st_mtime_ns, stat.st_ino) != self._read:
            self._read, self._calls = (stat.st_mtime_ns, stat.st_ino), 0
            self._plan = _decoder.decode(self._path.read_bytes())
        return self._plan


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = str(name.filename() if isinstance(name, apsw.URIFilename) else name or "")
        super().__init__("unix", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802  as SQLite calls it
        self._disk.call("read", self._name)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.call("write", self._name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.call("sync", self._name)
        super().xSync(flags)


class DyingDisk(apsw.VFS):
    """The default for every connection that is opened from now on in this process."""

    def __init__(self, plan: Path) -> None:
        self._disk = Disk(plan)
        super().__init__("dying", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802
        return _File(self._disk, name, flags)


def put(path: Path, plan: Plan) -> None:
    """From now on the disk fails like this. The log of what failed begins anew."""
    Path(f"{path}.log").unlink(missing_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(plan))
    new.replace(path)


def failed(path: Path) -> list[str]:
    """What failed since the plan was put."""
    try:
        return Path(f"{path}.log").read_text().splitlines()
    except FileNotFoundError:
        return []


def main(arguments: Sequence[str]) -> None:
    plan, module, *rest = arguments
    disk = DyingDisk(Path(plan))
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    del disk  # not before


if __name__ == "__main__":
    main(sys.argv[1:])
