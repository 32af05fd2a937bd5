"""What must hold before the program is replaced by another release, so that there is a way back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryptowatcher.adapters.stores import migrations
from cryptowatcher.backup.facts import size_of, store_facts, store_file
from cryptowatcher.doctor.findings import Case, Finding, amount, ok, wrong
from cryptowatcher.domain.intervals import MS

RECENT_MS = 24 * MS["h"]
SPARE = 100_000_000
STEPS = migrations.FOLDER / "versions"
_CONTRACTS = re.compile(r"^contract = True\b", re.MULTILINE)


def recent_backup(case: Case) -> Iterator[Finding]:
    todo = "take one now: cryptowatcher backup FOLDER"
    try:
        note = case.last_backup()
    except OSError:
        note = None
    if note is None:
        yield wrong("no backup is known", todo)
        return
    hours = (case.clock.now() - note.at) // MS["h"]
    if case.clock.now() - note.at > RECENT_MS:
        yield wrong(f"the newest backup is {hours} hours old", todo)
    else:
        yield ok(f"the newest backup is {hours} hours old")


def room_for_a_copy(case: Case) -> Iterator[Finding]:
    """A step of the schema may write the whole store anew."""
    path = store_file(case.config)
    if path is None:
        return
    needed = 2 * size_of(path) + SPARE  # the new one, and its way through the write-ahead log
    free = shutil.disk_usage(path.parent).free
    said = f"{amount(free)} free, {amount(needed)} needed at most"
    yield ok(said) if free >= needed else wrong(said, "make room first")


def schema_steps(case: Case, steps: Path = STEPS) -> Iterator[Finding]:
    """What a start of this program would do to the store. Ask the new release, before it is started."""
    path = store_file(case.config)
    if path is None or not path.exists():
        return
    at = store_facts(path).schema
    pending = [step for step in sorted(steps.glob("[0-9]*.py")) if step.name[:4] > at]
    takes_away = [step for step in pending if _CONTRACTS.search(step.read_text())]
    if takes_away:
        names = ", ".join(step.stem for step in takes_away)
        yield wrong(
            f"{names} takes away what the release before needs: after this the only way back is a backup",
            "let no program update this by itself; take a backup, and start the new release by hand",
        )
    elif pending:
        yield ok(f"{len(pending)} steps, from {at} to {pending[-1].name[:4]}; the release before runs on them too")
    else:
        yield ok(f"at {at}: nothing to do")
