"""Putting a backup in the place of the data folder's files.

The copies are made and verified beside the files. Then a plan is written, and with it the restore has happened:
whoever comes next completes it (`finish_restore`), so a kill leaves either the old files or the new ones, never
one of each. What stood there before is moved aside, not deleted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from cryptowatcher.adapters.journals.sqlite import SCHEMA as JOURNAL_SCHEMA
from cryptowatcher.adapters.sqlite_file import faults, fold_wal, look_into
from cryptowatcher.adapters.stores.migrations import HEAD as STORE_SCHEMA
from cryptowatcher.backup.facts import (
    BESIDE,
    JOURNAL,
    STORE,
    journal_facts,
    journal_file,
    store_facts,
    store_file,
)
from cryptowatcher.backup.manifest import Backup, CopiedFile, Progress, sync, write_whole
from cryptowatcher.config import Config
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.ports import Clock
from cryptowatcher.supervise import only_instance

PLAN = "restoring.json"
STAGED = ".*.restoring"
"""What copies are called before they are put in place."""
_CHUNK: Final = 4 * 1024 * 1024


class Plan(msgspec.Struct, frozen=True):
    """aside: name of the folder, beside each file, to which what stands there goes
    files: what is put in place; relative to the data folder unless absolute
    """

    aside: str
    files: tuple[str, ...]


def restore(
    config: Config, backup: Backup, *, clock: Clock, progress: Progress = lambda what, done, of: None
) -> list[Path]:
    """Returns the files that were moved aside, where they are now.

    ConfigError when the backup is damaged or of a newer release, when it does not fit the configuration, when a
    watcher or another program uses the folder, and when there is no room.
    """
    folder = config.data_dir
    _check_owner(folder)
    with only_instance(folder), _explained(folder):
        finish_restore(folder)
        targets = _targets(config, backup)
        _check_schemas(backup)
        try:
            for name, target in targets.items():
                _let_go(target)
                _stage(backup.path, _file(backup, name), target, progress)
            for target in targets.values():  # copying takes a while, and what is decided will be done
                _let_go(target)
        except BaseException:
            for target in targets.values():
                _staged(target).unlink(missing_ok=True)
            raise
        plan = Plan(_aside_name(folder, clock.now()), tuple(_within(folder, path) for path in targets.values()))
        write_whole(folder / PLAN, msgspec.json.encode(plan))
        progress("put in place", 0, 1)
        finish_restore(folder, progress)
    return [
        aside for path in targets.values() for aside in sorted((path.parent / plan.aside).glob(f"{path.name}*"))
    ]


def is_restoring(data_dir: Path) -> bool:
    """Whether a restore was interrupted after it had been decided."""
    return (data_dir / PLAN).exists()


def finish_restore(data_dir: Path, progress: Progress = lambda what, done, of: None) -> bool:
    """Complete a restore that was interrupted; False when there is none. For whoever holds the data folder, before
    anything in it is opened. May itself be interrupted anywhere."""
    try:
        plan = msgspec.json.decode((data_dir / PLAN).read_bytes(), type=Plan)
    except FileNotFoundError:
        return False
    except msgspec.MsgspecError as error:
        hint = "restore again after removing it"
        raise ConfigError(f"is damaged: {error}", where=str(data_dir / PLAN), hint=hint) from None
    waiting = [target for name in plan.files if _staged(target := data_dir / name).exists()]
    for target in waiting:
        _let_go(target)
    for number, target in enumerate(waiting, 1):
        _move_aside(target, target.parent / plan.aside)
        progress("put in place", 2 * number - 1, 2 * len(waiting))
        os.rename(_staged(target), target)
        sync(target.parent)
        progress("put in place", 2 * number, 2 * len(waiting))
    (data_dir / PLAN).unlink()
    sync(data_dir)
    return True


def _check_owner(folder: Path) -> None:
    with suppress(FileNotFoundError):
        if os.geteuid() == 0 and folder.stat().st_uid != 0:
            hint = "run it as the user that runs the watcher; root's files could not be opened by it"
            raise ConfigError(f"this folder belongs to user {folder.stat().st_uid}", where=str(folder), hint=hint)


@contextmanager
def _explained(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or where
        raise ConfigError(f"cannot be restored: {error.strerror or error}", where=str(place)) from error


def _targets(config: Config, backup: Backup) -> dict[str, Path]:
    """Name in the backup → where it goes."""
    store, held = store_file(config), backup.manifest.store
    if (store is None) != (held is None):
        there = "a file" if held else "a database elsewhere"
        hint = "take the configuration of the backup, cryptowatcher.toml in its folder"
        raise ConfigError(f"the store of this backup was {there}; now it is not", where="store", hint=hint)
    return {JOURNAL: journal_file(config)} | ({STORE: store} if store else {})


def _file(backup: Backup, name: str) -> CopiedFile:
    for file in backup.manifest.files:
        if file.name == name:
            return file
    raise ConfigError(f"there is no {name} in this backup", where=str(backup.path))


def _check_schemas(backup: Backup) -> None:
    newer = journal_facts(backup.path / JOURNAL, still=True).schema > JOURNAL_SCHEMA
    if backup.manifest.store is not None:
        newer = newer or store_facts(backup.path / STORE, still=True).schema > STORE_SCHEMA
    if newer:
        hint = f"restore it with cryptowatcher {backup.manifest.version}, which took it, or newer"
        raise ConfigError("this backup has a newer schema than this release knows", hint=hint)


def _let_go(path: Path) -> None:
    """ConfigError when some process still has the file open: SQLite there goes by the names of files, and would
    ruin the new ones. Also folds in what is written beside it, so that what is moved aside is whole."""
    if not path.exists():
        return
    try:
        free = fold_wal(path)
    except ConfigError:  # damaged: that is why it is replaced
        return
    except Unavailable as error:
        free = error.reason != "busy"
    if not free:
        hint = "stop it first: `cryptowatcher serve`, a shell, …"
        raise ConfigError(f"another program has {path} open", hint=hint)


def _stage(folder: Path, file: CopiedFile, target: Path, progress: Progress) -> None:
    """The verified copy, on the disk beside where it goes."""
    staged = _staged(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if file.size > free:
        message = f"there is no room: {file.size / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB free"
        raise ConfigError(message, where=str(target.parent))
    digest = _copied(folder / file.name, staged, lambda done: progress(f"copy {file.name}", done, file.size))
    if digest != file.sha256:
        hint = "take another backup: this one is damaged"
        raise ConfigError("is not what it was when the backup was taken", where=str(folder / file.name), hint=hint)
    progress(f"verify {file.name}", 0, 1)
    with closing(look_into(staged, still=True)) as db:
        found = faults(db)
    if found:
        raise ConfigError(f"is damaged: {found[0]}", where=str(folder / file.name), hint="take another backup")
    sync(staged.parent)
    progress(f"verify {file.name}", 1, 1)


def _copied(source: Path, target: Path, progress: Callable[[int], None]) -> str:
    """The SHA-256 of what was copied, in hexadecimal."""
    digest = hashlib.sha256()
    target.unlink(missing_ok=True)
    opened = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as reading, os.fdopen(opened, "wb") as writing:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            writing.write(chunk)
            progress(writing.tell())
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest()


def _staged(target: Path) -> Path:
    return target.with_name(f".{target.name}.restoring")


def _within(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _aside_name(folder: Path, at: int) -> str:
    """One that is not there yet."""
    name = f"before-restore-{datetime.fromtimestamp(at / 1000, UTC):%Y%m%d-%H%M%S}"
    taken = sum(1 for each in folder.glob(f"{name}*"))
    return f"{name}-{taken + 1}" if taken else name


def _move_aside(target: Path, aside: Path) -> None:
    """What stands in a file's place, with all that belongs to it."""
    found = [ending for ending in ("", *BESIDE) if Path(f"{target}{ending}").exists()]
    if not found:
        return
    aside.mkdir(mode=0o700, exist_ok=True)
    sync(aside.parent)
    for ending in found:
        to = aside / f"{target.name}{ending}"
        # After an interruption somebody may have made a new one meanwhile: it goes aside as well.
        os.rename(f"{target}{ending}", to if not to.exists() else f"{to}.later")
    sync(aside)
