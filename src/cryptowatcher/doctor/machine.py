"""The configuration's secrets and rules, and the machine: versions, descriptors, memory."""

from __future__ import annotations

import platform
import resource
import stat
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import apsw

from cryptowatcher.adapters.sqlite_file import FLOOR, require_sqlite
from cryptowatcher.backup.facts import secrets_named
from cryptowatcher.doctor.findings import Case, Finding, amount, ok, warning, wrong
from cryptowatcher.domain.rules.check import doubt_about
from cryptowatcher.errors import ConfigError

FEW_DESCRIPTORS = 1_024
LITTLE_MEMORY = 256 * 1024 * 1024
"""Bytes. The watcher of 250 coins takes about 150 MB, and an update starts the next beside it."""


def secrets(case: Case) -> Iterator[Finding]:
    """Whether each file and variable that is named can be read."""
    read = case.config.secret_reader(case.environ)
    named = list(secrets_named(case.config))
    unreadable = 0
    for where, kind, name in named:
        try:
            read(file=name if kind == "file" else None, variable=name if kind == "variable" else None, where=where)
        except ConfigError as error:
            unreadable += 1
            yield wrong(f"{where}: {error.message}", "put it there, or change the setting")
            continue
        if kind == "file" and read.path(name).stat().st_mode & stat.S_IROTH:
            yield warning(f"everyone on this machine can read {read.path(name)}", f"chmod 600 {read.path(name)}")
    if not unreadable:
        yield ok(f"{case.config.file or 'the defaults'} can be used; {len(named)} secrets named, all readable")


def rules(case: Case) -> Iterator[Finding]:
    """Those of the configuration: what stands there is judged as it is, and may not be meant so."""
    doubts = [(rule.name, doubt) for rule in case.config.rules if (doubt := doubt_about(rule))]
    for name, doubt in doubts:
        yield warning(f"{name!r}: {doubt}", "change its `when` in the configuration")
    if not doubts:
        yield ok(f"{len(case.config.rules)} in the configuration, and nothing doubtful in them")


def versions(case: Case) -> Iterator[Finding]:
    require_sqlite()
    floor = ".".join(map(str, FLOOR))
    yield ok(
        f"cryptowatcher {version('cryptowatcher')}, Python {platform.python_version()},"
        f" SQLite {apsw.sqlite_lib_version()} (at least {floor})"
    )


def descriptors(case: Case) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        yield ok("as many as are wanted")
    elif hard < FEW_DESCRIPTORS:
        yield warning(
            f"at most {hard}, so few can follow the page live at once",
            "raise the limit: `ulimit -n 8192`, or LimitNOFILE=8192 in the systemd unit",
        )
    else:
        yield ok(f"at most {hard:,}")


def memory(case: Case) -> Iterator[Finding]:
    free = _free_memory()
    if free is None:
        yield ok("this system does not say")
    elif free < LITTLE_MEMORY:
        yield warning(f"{amount(free)} free", "stop something else, or give this machine or container more")
    else:
        yield ok(f"{amount(free)} free")


def _free_memory() -> int | None:
    """Bytes that can be had: of the machine, or of the container where that allows less."""
    found = [_machine_memory(), _container_memory()]
    return min((size for size in found if size is not None), default=None)


def _machine_memory() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _container_memory() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None
