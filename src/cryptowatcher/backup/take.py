"""Taking a backup beside a running watcher.

The store is copied first and the journal second, so that every place the store's copy speaks of stands in the
journal's: what came in between is caught up after a restore, with the same ids. Only trimming could spoil that.
Where the journal was trimmed meanwhile beyond what a start from the store's copy reads, both are copied anew.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import msgspec

from cryptowatcher.adapters.sqlite_file import copy_file, faults, look_into
from cryptowatcher.backup.facts import (
    JOURNAL,
    STORE,
    JournalFacts,
    StoreFacts,
    journal_facts,
    journal_file,
    missing_records,
    secrets_named,
    size_of,
    store_facts,
    store_file,
)
from cryptowatcher.backup.manifest import (
    MANIFEST,
    Backup,
    CopiedFile,
    Manifest,
    Progress,
    backups_in,
    name_at,
    sha256_of,
    sync,
    write_whole,
)
from cryptowatcher.backup.restore import is_restoring
from cryptowatcher.config import FILE_NAME, Config
from cryptowatcher.domain.status import BACKUP_NOTE, BackupNote
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.ports import Clock

ATTEMPTS = 5
_UNFINISHED = ".unfinished-"


def default_target(config: Config) -> Path:
    """Beside the data folder: in it, one lost disk or one `rm` would take both."""
    return config.data_dir.with_name(f"{config.data_dir.name}-backups")


def take(
    config: Config, to: Path, *, clock: Clock, progress: Progress = lambda what, done, of: None, keep: int = 0
) -> Backup:
    """A new backup in the folder `to`, complete when this returns; then all but the newest `keep` of the same data
    folder are removed (0: none is).

    ConfigError when it cannot be taken there, or when what is to be copied is damaged; Unavailable when there is
    nothing to copy yet.
    """
    to = to.resolve()
    _check(config, to)
    with _explained(to):
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_room(config, to)
        with _unfinished(to) as folder:
            made = _fill(config, folder, clock.now(), progress)
            backup = Backup(to / name_at(made.at), made)
            folder.rename(backup.path)
        sync(to)
    _note(config, BackupNote(clock.now(), str(backup.path)))
    if keep:
        with _explained(to):
            _remove_older(to, made.of, keep)
    return backup


def _note(config: Config, note: BackupNote) -> None:
    try:
        write_whole(config.data_dir / BACKUP_NOTE, msgspec.json.encode(note))
    except OSError as error:
        message = f"the backup {note.path} is complete, but {BACKUP_NOTE} cannot be written: {error.strerror}"
        hint = "metrics and `doctor` do not know of this backup; take it as the user that runs the watcher"
        raise ConfigError(message, where=str(config.data_dir), hint=hint) from error


def _check(config: Config, to: Path) -> None:
    data_dir = config.data_dir.resolve()
    if to == data_dir or data_dir in to.parents:
        hint = "name a folder outside of it, at best on another disk"
        raise ConfigError("a backup in the data folder itself would be lost with it", where=str(to), hint=hint)
    if is_restoring(data_dir):
        hint = "start the watcher or run the restore again: either completes it"
        raise ConfigError("a restore was interrupted here", where=str(data_dir), hint=hint)
    for path in (journal_file(config), store_file(config)):
        if path is not None and not path.exists():
            message = f"there is no {path}: nothing has been stored yet, or it is the wrong folder"
            raise Unavailable(message, reason="not_ready")


def _check_room(config: Config, to: Path) -> None:
    store = store_file(config)
    needed = size_of(journal_file(config)) + (size_of(store) if store else 0)
    free = shutil.disk_usage(to).free
    if needed > free:
        message = f"there is no room: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB free"
        raise ConfigError(message, where=str(to), hint="make room, keep fewer backups, or name another folder")


@contextmanager
def _explained(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", where=str(where)) from error


@contextmanager
def _unfinished(to: Path) -> Iterator[Path]:
    """A folder under a name that no backup has, removed when this fails. What was left by a kill goes first; a
    folder that is still being filled is locked."""
    for left in to.glob(f"{_UNFINISHED}*"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=to))
    with _locked(folder):
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """BlockingIOError when another process has."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)


def _fill(config: Config, folder: Path, at: int, progress: Progress) -> Manifest:
    store, journal = _copy_pair(config, folder, progress)
    progress("verify", 0, 1)
    _verify(folder, store, journal)
    progress("verify", 1, 1)
    if config.file is not None:
        shutil.copyfile(config.file, folder / FILE_NAME)
    for path in folder.iterdir():
        path.chmod(0o600)
        sync(path)
    manifest = Manifest(
        version=version("cryptowatcher"),
        at=at,
        of=str(config.data_dir.resolve()),
        journal=journal,
        store=store,
        files=tuple(
            CopiedFile(path.name, path.stat().st_size, sha256_of(path)) for path in sorted(folder.iterdir())
        ),
        secrets=tuple(f"{kind} {name}" for _, kind, name in secrets_named(config)),
    )
    write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    (folder / MANIFEST).chmod(0o600)
    return manifest


def _copy_pair(config: Config, folder: Path, progress: Progress) -> tuple[StoreFacts | None, JournalFacts]:
    """Both, such that a start from the one finds all it needs in the other."""
    live_journal, live_store = journal_file(config), store_file(config)
    for _ in range(ATTEMPTS):
        before = journal_facts(live_journal)
        store = None
        if live_store is not None:
            _copy(live_store, folder / STORE, progress)
            store = store_facts(folder / STORE, still=True)
        _copy(live_journal, folder / JOURNAL, progress)
        journal = journal_facts(folder / JOURNAL, still=True)
        if belong_together(before, store, journal):
            return store, journal
    message = f"the journal was trimmed or replaced during each of {ATTEMPTS} attempts to copy it"
    raise Unavailable(message, reason="busy")


def _copy(path: Path, target: Path, progress: Progress) -> None:
    target.unlink(missing_ok=True)  # of an attempt before
    copy_file(path, target, lambda done, of: progress(f"copy {target.name}", done, of))


def belong_together(before: JournalFacts, store: StoreFacts | None, journal: JournalFacts) -> bool:
    """Whether nothing went meanwhile that a start from the store's copy would read.

    before:  the journal before the store was copied
    journal: its copy, made after the store's

    What was trimmed before all this does not count: a start from the files themselves would miss it as well.
    """
    needed_from = store.checkpoint if store else 0
    return journal.id == before.id and journal.trimmed <= max(before.trimmed, needed_from)


def _verify(folder: Path, store: StoreFacts | None, journal: JournalFacts) -> None:
    """ConfigError when the copies are not sound, which is to say: when what they are copies of is not."""
    hint = "restore an older backup; `cryptowatcher doctor` says more"
    for name in (STORE, JOURNAL):
        if (folder / name).exists():
            with closing(look_into(folder / name, still=True)) as db:
                found = faults(db, thorough=True)
            if found:
                raise ConfigError(f"{name} is damaged: {found[0]}", hint=hint)
    if gone := missing_records(folder / JOURNAL, still=True):
        raise ConfigError(f"{gone} records are missing in the middle of {JOURNAL}", hint=hint)
    cursor = store.cursor if store else None
    if cursor is not None and cursor.journal == journal.id and cursor.seq > journal.head:
        message = (
            f"the store has come to {cursor.seq}, and the journal ends at {journal.head}: it is an older copy"
        )
        raise ConfigError(message, hint="start the watcher once: it notices, and makes them fit")


def _remove_older(to: Path, of: str, keep: int) -> None:
    """Those of the same data folder only: several watchers may share a place."""
    mine = [backup for backup in backups_in(to) if backup.manifest.of == of]
    for old in mine[:-keep]:
        gone = to / f"{_UNFINISHED}{old.path.name}"  # so that half of one is never taken for a whole
        old.path.rename(gone)
        shutil.rmtree(gone)
