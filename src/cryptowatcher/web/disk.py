"""What the data folder takes of its disk, and when it was backed up: asked of the file system, nothing is opened
but a note of some bytes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from cryptowatcher.domain.status import BACKUP_NOTE, read_backup_note
from cryptowatcher.web.deps import WebDeps


class FileSizes(msgspec.Struct, frozen=True):
    """Bytes of a database, and of what was written to it and not yet copied into it."""

    file: int
    wal: int


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """`free`: bytes that this process may still write; `size`: of the whole file system; None when that is not
    known. `files`: those that are there. `backup_at`: epoch ms of the newest backup, None for none so far."""

    free: int | None = None
    size: int | None = None
    files: dict[str, FileSizes] = {}
    backup_at: int | None = None


class DiskLook:
    """One look at the disk at a time: a disk that is gone may hold up whoever asks it for ever, and then must not
    take one more thread with each scrape. One for an application."""

    def __init__(self) -> None:
        self._going_on: asyncio.Task[Disk] | None = None
        self._until = 0.0

    async def __call__(self, deps: WebDeps) -> Disk | None:
        """None when there is no folder to look at; nothing is known where the disk does not answer in time. A look
        that goes on is shared; once its time is over nobody waits for it any more."""
        if deps.data_dir is None:
            return None
        if self._going_on is None or self._going_on.done():
            self._going_on = asyncio.create_task(asyncio.to_thread(_look, deps.data_dir, deps.store_file))
            self._until = asyncio.get_running_loop().time() + deps.limits.check_seconds
        try:
            async with asyncio.timeout_at(self._until):
                return await asyncio.shield(self._going_on)
        except TimeoutError:
            return Disk()


Look = NamedDependency[SkipValidation[DiskLook]]
"""How a route handler names it: `look: Look`."""


def _look(folder: Path, store_file: str | None) -> Disk:
    try:
        return _seen(folder, store_file)
    except OSError:
        return Disk()


def _seen(folder: Path, store_file: str | None) -> Disk:
    system = os.statvfs(folder)
    paths = {"journal": folder / "journal.db"}
    if store_file is not None:
        paths["store"] = folder / store_file
    return Disk(
        free=system.f_bavail * system.f_frsize,
        size=system.f_blocks * system.f_frsize,
        files={name: sizes for name, path in paths.items() if (sizes := _sizes(path))},
        backup_at=_backup_at(folder / BACKUP_NOTE),
    )


def _sizes(path: Path) -> FileSizes | None:
    try:
        file = path.stat().st_size
    except FileNotFoundError:
        return None
    try:
        return FileSizes(file, Path(f"{path}-wal").stat().st_size)
    except FileNotFoundError:
        return FileSizes(file, 0)


def _backup_at(note: Path) -> int | None:
    try:
        known = read_backup_note(note.read_bytes())
    except OSError:
        return None
    return known.at if known else None
