"""The data folder: is it there, may it be used, what is it on, is there room."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryptowatcher.backup.facts import journal_facts, journal_file, size_of, store_file
from cryptowatcher.doctor.findings import Case, Finding, amount, ok, warning, wrong
from cryptowatcher.domain.standing import journal_to_come
from cryptowatcher.errors import ConfigError, Unavailable

MOUNTS = Path("/proc/self/mounts")
NETWORK = ("nfs", "cifs", "smb", "9p", "ceph", "gluster", "lustre", "afs", "sshfs", "davfs", "virtiofs")
"""What stands in the names of file systems whose locks SQLite's write-ahead log cannot rely on."""
PASSING = {
    "tmpfs": "is emptied by a restart",
    "ramfs": "is emptied by a restart",
    "overlay": "goes with its container",
}

NO_ROOM = 50_000_000
LITTLE_ROOM = 500_000_000


def folder(case: Case) -> Iterator[Finding]:
    path = case.folder
    if not path.exists():
        yield warning(
            f"there is no {path} yet", "start `cryptowatcher run`, or name the right one with --data-dir"
        )
        return
    if not path.is_dir():
        yield wrong(f"{path} is not a folder", "name another one with --data-dir")
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield _closed(path)
        return
    if (path / "lock").is_dir():
        yield wrong(f"{path / 'lock'} is a folder", "remove it: the watcher makes a file of that name")
    mine = [path, path / "lock", *_files(case)]
    closed = [each for each in mine if each.exists() and not os.access(each, os.R_OK | os.W_OK)]
    for each in closed:
        yield _closed(each)
    if not closed:
        yield ok(f"{path} may be read and written")


def _closed(path: Path) -> Finding:
    return wrong(
        f"{path} is closed to this user ({os.geteuid()}); it belongs to user {path.stat().st_uid}",
        "run this as the watcher's user; if it is that one, give the folder and all in it to it (chown -R)",
    )


def _files(case: Case) -> list[Path]:
    """All that belong to the two databases."""
    bases = [path for path in (journal_file(case.config), store_file(case.config)) if path is not None]
    return [Path(f"{base}{ending}") for base in bases for ending in ("", "-wal", "-shm")]


def file_system(case: Case) -> Iterator[Finding]:
    found = mounted(case.folder)
    if found is None:
        yield ok("this system does not say what the folder is on")
        return
    kind, place = found
    if any(name in kind for name in NETWORK):
        yield warning(
            f"the folder is on {kind} ({place}): a network share can damage the databases",
            "move it to a local disk; keep backups on the share instead",
        )
    elif kind in PASSING:
        yield warning(f"the folder is on {kind} ({place}), which {PASSING[kind]}", "use a disk or a volume")
    else:
        yield ok(f"{kind}, mounted at {place}")


def mounted(path: Path, mounts: Path = MOUNTS) -> tuple[str, str] | None:
    """The kind and the place of the file system that a path is on; None where the system does not tell."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    real = path.resolve()
    best: tuple[str, str] | None = None
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1])
        # Of two at the same place the later one covers the other.
        if real.is_relative_to(place) and (best is None or len(place) >= len(best[1])):
            best = fields[2], place
    return best


def space(case: Case) -> Iterator[Finding]:
    free = shutil.disk_usage(case.folder).free
    to_come = _journal_to_come(case)
    said = f"{amount(free)} free"
    if to_come:
        said += f"; the journal will take {amount(to_come)} more before its oldest records go"
    if free < NO_ROOM:
        yield wrong(said, "make room: nothing is accepted any more when the disk is full")
    elif free < max(LITTLE_ROOM, to_come):
        yield warning(said, "make room, or keep less: [keep] journal_size")
    else:
        yield ok(said)


def _journal_to_come(case: Case) -> float:
    """Bytes by which the journal grows until it is as long or as large as it may be; 0 where that is not known."""
    path = journal_file(case.config)
    try:
        facts = journal_facts(path)
    except (ConfigError, Unavailable):  # `journal` says why
        return 0.0
    span = facts.head_at - facts.oldest_at if facts.oldest_at else 0
    return journal_to_come(size_of(path), span, case.config.keep.retention())
