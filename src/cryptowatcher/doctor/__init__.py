"""doctor: what is or will be wrong, each with what to do about it. It changes nothing and never crashes."""

from __future__ import annotations

from collections.abc import Iterator

from cryptowatcher.doctor.files import backup, journal, pair, running, store, unfinished_restore, wal
from cryptowatcher.doctor.findings import Case, Check, Finding, Told, wrong
from cryptowatcher.doctor.folder import file_system, folder, space
from cryptowatcher.doctor.machine import descriptors, memory, rules, secrets, versions
from cryptowatcher.doctor.network import channels, clock, page, sources
from cryptowatcher.doctor.update import recent_backup, room_for_a_copy, schema_steps
from cryptowatcher.errors import ConfigError, Error

CHECKS = (
    Check("settings", "secrets", secrets),
    Check("settings", "rules", rules),
    Check("machine", "versions", versions),
    Check("machine", "descriptors", descriptors),
    Check("machine", "memory", memory),
    Check("machine", "clock", clock, online=True),
    Check("data", "folder", folder),
    Check("data", "file system", file_system, inside=True),
    Check("data", "space", space, inside=True),
    Check("data", "restore", unfinished_restore, inside=True),
    Check("data", "journal", journal, inside=True),
    Check("data", "store", store, inside=True),
    Check("data", "store and journal", pair, inside=True),
    Check("data", "write-ahead logs", wal, inside=True),
    Check("data", "backup", backup, inside=True),
    Check("watcher", "process", running),
    Check("watcher", "page", page),
    Check("outside", "sources", sources, online=True),
    Check("outside", "channels", channels, online=True),
)
PRE_UPDATE = (
    Check("update", "backup", recent_backup, inside=True),
    Check("update", "room", room_for_a_copy, inside=True),
    Check("update", "schema", schema_steps, inside=True),
)
"""What must also hold before the program is replaced by another release."""


def examine(case: Case, *, offline: bool = False, pre_update: bool = False) -> Iterator[Told]:
    """Each finding as soon as it is made. `offline`: without what asks others."""
    for check in (*CHECKS, *(PRE_UPDATE if pre_update else ())):
        if not (offline and check.online) and (case.there or not check.inside):
            for found in _findings(check, case):
                yield Told(check.section, check.name, found.state, found.said, found.todo)


def _findings(check: Check, case: Case) -> Iterator[Finding]:
    """What a check cannot look at is a finding as well."""
    try:
        yield from check.look(case)
    except ConfigError as error:
        yield wrong(": ".join(filter(None, (error.where, error.message))), error.hint or "change it")
    except Error as error:
        yield wrong(str(error), "see what it says; then look again")
    except Exception as error:  # whatever is broken there must not hide the rest
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        yield wrong(f"cannot be looked at: {said}", "look at the folder and its rights; then look again")
