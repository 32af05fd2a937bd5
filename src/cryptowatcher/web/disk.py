"""What the data folder takes of its disk, and when it was backed up: asked of the file system, nothing is opened
but a note of some bytes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from cryptowatcher.web.deps import WebDeps

BACKUP_NOTE = "backup.json"
"""Written by `cryptowatcher backup` in the data folder when one is complete."""


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


class _BackupNote(msgspec.Struct):
    at: int


async def look_at_disk(deps: WebDeps) -> Disk | None:
    """None when there is no folder to look at; nothing is known where the disk does not answer in time."""
    folder = deps.data_dir
    if folder is None:
        return None
    try:
        # A disk that is gone may hold up whoever asks it for ever.
        async with asyncio.timeout(deps.limits.check_seconds):
            return await asyncio.to_thread(_look, folder, deps.store_file)
    except (OSError, TimeoutError):
        return Disk()


def _look(folder: Path, store_file: str | None) -> Disk:
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
        return msgspec.json.decode(note.read_bytes(), type=_BackupNote).at
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
