"""Journal and store: are they sound, do they fit each other, does watch keep up; the last backup."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

from cryptowatcher.adapters.journals.sqlite import SCHEMA as JOURNAL_SCHEMA
from cryptowatcher.adapters.sqlite_file import faults, look_into
from cryptowatcher.adapters.stores.migrations import HEAD
from cryptowatcher.backup.facts import (
    JournalFacts,
    StoreFacts,
    journal_facts,
    journal_file,
    missing_records,
    size_of,
    store_facts,
    store_file,
)
from cryptowatcher.backup.restore import STAGED, is_restoring
from cryptowatcher.doctor.findings import Case, Finding, amount, ok, warning, wrong
from cryptowatcher.domain.intervals import MS, show_duration
from cryptowatcher.domain.status import BACKUP_NOTE
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Cursor, Deps
from cryptowatcher.supervise import is_watched

BEHIND_MS = 10_000
"""As /health/ready has it."""
OLD_CHECKPOINT_MS = 10 * MS["m"]
LARGE_WAL = 256 * 1024 * 1024
OLD_BACKUP_MS = 7 * MS["d"]

RESTORE = "stop the watcher and restore a backup: cryptowatcher restore FOLDER"


def unfinished_restore(case: Case) -> Iterator[Finding]:
    """Nothing to say where there is none."""
    if is_restoring(case.folder):
        yield wrong("a restore was interrupted", "start the watcher, or restore again: either completes it")
    elif left := sorted(case.folder.glob(STAGED)):
        yield warning(
            f"a restore ended before it changed anything, and left {', '.join(path.name for path in left)}",
            "remove that, unless one is going on",
        )


def journal(case: Case) -> Iterator[Finding]:
    path = journal_file(case.config)
    unsound = list(_unsound(path))
    yield from unsound
    if unsound or not path.exists():
        return
    facts = journal_facts(path)
    if facts.schema > JOURNAL_SCHEMA:
        yield wrong(f"{path} was written by a newer release", "install that release again, or a newer one")
    elif gone := missing_records(path):
        yield wrong(f"{gone} records are missing in the middle of {path}", RESTORE)
    else:
        yield _sound(path, facts)
    if facts.head_at > case.clock.now() + BEHIND_MS:
        ahead = show_duration((facts.head_at - case.clock.now()) // 1000 * 1000)
        yield warning(
            f"its newest record is {ahead} ahead of this machine's clock",
            "set the clock; was it ahead before, it is only that rules wait until it gets there",
        )


def _sound(path: Path, facts: JournalFacts) -> Finding:
    held = f"records {facts.trimmed + 1} to {facts.head}" if facts.oldest_at else "no records"
    said = f"sound; {held}, {amount(size_of(path))}, id {facts.id}"
    if facts.schema < JOURNAL_SCHEMA:
        said += f"; the next start takes it to schema {JOURNAL_SCHEMA}, which what ran before may not know"
        return warning(said, "take a backup before that start: cryptowatcher backup FOLDER")
    return ok(said)


def store(case: Case) -> Iterator[Finding]:
    path = store_file(case.config)
    if path is None:
        yield from _remote_store(case)
        return
    unsound = list(_unsound(path))
    yield from unsound
    if unsound or not path.exists():
        return
    facts = store_facts(path)
    said = f"sound; schema {facts.schema or 'none'}, {amount(size_of(path))}, {facts.unsent} messages wait"
    if facts.schema > HEAD:
        said = f"{path} has schema {facts.schema}, newer than {HEAD} of this release"
        yield warning(said, "one release back runs on it; if this one is older than that, install the newer again")
    elif facts.schema < HEAD:
        yield ok(f"{said}; the next start takes it to schema {HEAD}")
    else:
        yield ok(said)


def _unsound(path: Path) -> Iterator[Finding]:
    """Nothing when the file is sound, or not there yet."""
    if not path.exists():
        if path.is_symlink():
            yield wrong(f"{path} is a link to nowhere", "mend or remove it")
        return
    if not path.is_file():
        yield wrong(f"{path} is not a file", "move it away, or name another data folder")
        return
    if not path.stat().st_size and not size_of(path):
        yield wrong(f"{path} is empty", f"{RESTORE}; or remove it to begin a new one")
        return
    with closing(look_into(path)) as db:
        for fault in faults(db):
            yield wrong(f"{path} is damaged: {fault}", RESTORE)


def _remote_store(case: Case) -> Iterator[Finding]:
    cursor = asyncio.run(_remote_cursor(case))
    yield ok(f"the database answers; watch stands at {cursor.seq if cursor else 'the beginning'}")


async def _remote_cursor(case: Case) -> Cursor | None:
    secret = case.config.secret_reader(case.environ)
    deps = Deps(clock=case.clock, secret=secret, random=Random(), data_dir=case.folder)
    async with case.config.store.open(deps, readonly=True) as opened:
        cursor: Cursor | None = await opened.run(lambda tx: tx.cursor())
        return cursor


def pair(case: Case) -> Iterator[Finding]:
    """Only what the two say of each other; each by itself has its own check."""
    store_path, journal_path = store_file(case.config), journal_file(case.config)
    if store_path is None or not store_path.exists() or not journal_path.exists():
        return
    try:
        # The store first: what it speaks of stands in the journal by then.
        held, log = store_facts(store_path), journal_facts(journal_path)
    except ConfigError:
        return
    if held.cursor is None:
        yield ok("watch has not begun")
        return
    replaced = "the next start writes down a gap, and rules begin unarmed; if that is not what you expect, restore"
    if held.cursor.journal != log.id:
        yield warning(f"the store belongs to journal {held.cursor.journal}, and this one is {log.id}", replaced)
    elif held.cursor.seq > log.head:
        yield warning(f"the journal ends at {log.head}, before the store's place {held.cursor.seq}", replaced)
    else:
        yield from _progress(held, held.cursor, log, watched=is_watched(case.folder))


def _progress(held: StoreFacts, cursor: Cursor, log: JournalFacts, *, watched: bool) -> Iterator[Finding]:
    behind, lag = log.head - cursor.seq, max(0, log.head_at - cursor.at)
    said = f"watch is {behind} records and {lag / 1000:.1f} s behind the journal"
    if watched and lag > BEHIND_MS:
        yield wrong(said, "right after a start it catches up; else this machine is too busy, or its disk too slow")
    else:
        yield ok(said if watched else f"{behind} records to catch up at the next start")
    if log.trimmed > held.checkpoint:
        yield warning(
            "the journal does not reach back to the store's checkpoint: windows begin anew at the next start",
            "nothing: the next checkpoint, a minute after a start, mends it",
        )
    elif watched and held.checkpoint and log.head_at - held.checkpoint_at > OLD_CHECKPOINT_MS:
        minutes = (log.head_at - held.checkpoint_at) // MS["m"]
        yield warning(
            f"the newest checkpoint is {minutes} minutes old, so a start takes longer",
            "see the log: one is kept each minute",
        )


def wal(case: Case) -> Iterator[Finding]:
    paths = [path for path in (journal_file(case.config), store_file(case.config)) if path is not None]
    logs = {path: log.stat().st_size for path in paths if (log := Path(f"{path}-wal")).exists()}
    for path, size in logs.items():
        if size > LARGE_WAL:
            yield warning(
                f"{amount(size)} wait to be copied into {path}",
                "something reads from it and never ends: a forgotten shell or copy program; end that",
            )
    if all(size <= LARGE_WAL for size in logs.values()):
        yield ok(", ".join(f"{path.name} {amount(size)}" for path, size in logs.items()) or "none")


def backup(case: Case) -> Iterator[Finding]:
    try:
        note = case.last_backup()
    except FileNotFoundError:
        yield warning("there never was one", "take one each day: cryptowatcher backup FOLDER --keep 7")
        return
    if note is None:
        yield warning(f"{case.folder / BACKUP_NOTE} cannot be understood", "take a backup: that writes it anew")
        return
    age = max(0, case.clock.now() - note.at)
    said = f"{show_duration(age // MS['m'] * MS['m'])} old, {note.path}"
    if age > OLD_BACKUP_MS:
        yield warning(said, "take one each day: cryptowatcher backup FOLDER --keep 7")
    elif not Path(note.path).exists():
        yield warning(f"{said}, and it is not there now", "was it moved? if not, take another one")
    else:
        yield ok(said)


def running(case: Case) -> Iterator[Finding]:
    if not case.there or not is_watched(case.folder):
        yield ok("no watcher is running on this folder")
        return
    silent = case.clock.now() - journal_facts(journal_file(case.config)).head_at
    if silent > BEHIND_MS:
        yield wrong(
            f"a watcher runs, and has written nothing for {silent // 1000} s",
            "see its log; start it again: that is recovery",
        )
    else:
        yield ok("a watcher is running on this folder, and writes")
