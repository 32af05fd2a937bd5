"""What a check finds, and what it is given to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from cryptowatcher.config import Config
from cryptowatcher.domain.findings import State, Told
from cryptowatcher.domain.status import BACKUP_NOTE, BackupNote, read_backup_note
from cryptowatcher.ports import Clock

__all__ = ["Case", "Check", "Finding", "Look", "State", "Told", "amount", "ok", "warning", "wrong"]


class Finding(msgspec.Struct, frozen=True):
    """state: `warning` may become a trouble, `wrong` is one
    todo:  what a person can do about it
    """

    state: State
    said: str
    todo: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at.

    environ: where variables are looked up that the configuration names
    """

    config: Config
    clock: Clock
    environ: Mapping[str, str]

    @property
    def folder(self) -> Path:
        return self.config.data_dir

    @property
    def there(self) -> bool:
        """Whether there is a data folder that can be looked into."""
        return self.folder.is_dir() and os.access(self.folder, os.R_OK | os.X_OK)

    def last_backup(self) -> BackupNote | None:
        """What was noted of it; None when that cannot be understood. OSError when it cannot be read."""
        return read_backup_note((self.folder / BACKUP_NOTE).read_bytes())


Look = Callable[[Case], Iterable[Finding]]


class Check(msgspec.Struct, frozen=True):
    """inside: whether it looks into the data folder, and has nothing to say where that cannot be done
    online: whether it asks others over the network
    """

    section: str
    name: str
    look: Look
    inside: bool = False
    online: bool = False


def ok(said: str) -> Finding:
    return Finding("ok", said)


def warning(said: str, todo: str) -> Finding:
    return Finding("warning", said, todo)


def wrong(said: str, todo: str) -> Finding:
    return Finding("wrong", said, todo)


def amount(size: float) -> str:
    """Bytes → `16 kB`, `3.4 MB`, `1.2 GB`."""
    for unit, letters in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:,.1f} {letters}"
    return f"{size / 1e3:.0f} kB"
