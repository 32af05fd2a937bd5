"""What a backup says about itself, and how backups lie in a folder.

A backup is a folder `cryptowatcher-20260724-101112345` with store.db, journal.db, cryptowatcher.toml and
manifest.json. It gets this name when it is complete: what has it is a backup.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cryptowatcher.backup.facts import JournalFacts, StoreFacts
from cryptowatcher.errors import ConfigError

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much is."""

MANIFEST = "manifest.json"
FORMAT = 1
_NAME = re.compile(r"cryptowatcher-\d{8}-\d{9}")


class CopiedFile(msgspec.Struct, frozen=True):
    """size: bytes"""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """version: of cryptowatcher
    at:      when it was begun, epoch ms
    of:      the data folder it was taken of
    store:   None where the store is a database elsewhere
    files:   all others in the folder
    secrets: files and variables that the configuration names; they are not in the backup
    """

    format: int = FORMAT
    version: str
    at: int
    of: str
    journal: JournalFacts
    store: StoreFacts | None
    files: tuple[CopiedFile, ...]
    secrets: tuple[str, ...] = ()


class Backup(msgspec.Struct, frozen=True):
    """A complete one."""

    path: Path
    manifest: Manifest

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.size for file in self.manifest.files)


def name_at(at: int) -> str:
    """Epoch ms → what a backup is called; names sort as their times do."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return f"cryptowatcher-{moment:%Y%m%d-%H%M%S}{at % 1000:03d}"


def read_backup(folder: Path) -> Backup:
    """ConfigError when it is none, or of a newer release."""
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        hint = "a backup is a folder with a manifest.json in it"
        found = backups_in(folder)
        if found:
            hint = f"it holds backups; the newest is {found[-1].path}"
        raise ConfigError("this is not a backup", where=str(folder), hint=hint) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"is damaged: {error}", where=str(path), hint="take another backup") from None
    if manifest.format > FORMAT:
        hint = f"restore it with cryptowatcher {manifest.version} or newer"
        raise ConfigError("this backup was taken by a newer release", where=str(folder), hint=hint)
    return Backup(folder, manifest)


def backups_in(folder: Path) -> list[Backup]:
    """The complete and readable ones, oldest first."""
    found = []
    try:
        names = sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))
    except OSError:
        return []
    for name in names:
        if (folder / name / MANIFEST).is_file():
            try:
                found.append(read_backup(folder / name))
            except ConfigError:
                continue
    return found


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """A file, or the names in a folder: on the disk when it returns."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_whole(path: Path, content: bytes) -> None:
    """All of it under this name or nothing, and on the disk when it returns."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    sync(new)
    os.replace(new, path)
    sync(path.parent)
