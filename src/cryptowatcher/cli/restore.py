"""`cryptowatcher restore`: put a backup in the place of the data folder's files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.backup.facts import journal_file
from cryptowatcher.backup.manifest import Backup, read_backup
from cryptowatcher.backup.restore import restore as put_back
from cryptowatcher.cli.backup import progress_bar
from cryptowatcher.cli.options import ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import age, counted, moment, note, now
from cryptowatcher.config import FILE_NAME, Config
from cryptowatcher.errors import ConfigError

app = new_app()


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(metavar="FROM", help="A backup: a folder with a manifest.json.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Put a backup in the place of store and journal. The watcher must be stopped.

    The backup is verified first. What stands in the data folder is moved aside, never overwritten. When this is
    interrupted, the next start of the watcher or of this command completes it, or nothing has changed.
    """
    config = settings(config_file, data_dir)
    found = read_backup(backup)
    note(f"the backup:  {moment(found.manifest.at)} UTC, {found.size / 1e6:,.1f} MB, of {found.manifest.of}")
    note(f"restored to: {config.data_dir}")
    if journal_file(config).exists():
        note("what stands there is moved aside")
    if not yes:
        _ask()
    with progress_bar() as progress:
        aside = put_back(config, found, clock=SystemClock(), progress=progress)
    for path in aside:
        note(f"moved aside: {path}")
    print(f"restored {found.path} to {config.data_dir}")
    note(outlook(found, config))


def _ask() -> None:
    if not sys.stdin.isatty():
        raise ConfigError("nobody is there to be asked", where="restore", hint="say --yes")
    typer.confirm("Restore?", abort=True, err=True)


def outlook(backup: Backup, config: Config) -> str:
    """What the watcher will do next."""
    manifest = backup.manifest
    last = manifest.journal.head_at
    lines = [
        f"Started, the watcher goes on from {moment(last)} UTC. The {age(now() - last)} since then are a gap: no"
        " prices, no alerts, and rules on windows that reach into it wait until they know enough."
        if last
        else "Started, the watcher begins from nothing: the backup held no records."
    ]
    if manifest.store is None:
        lines.append("The store is in PostgreSQL: restore the dump that belongs to this backup before you start.")
    else:
        waited = manifest.store.unsent
        lines.append(
            (f"{counted(waited, 'message')} waited in it and will be sent, or sent again. " if waited else "")
            + "Messages about the seconds in which it was taken may come a second time, with the same ids."
        )
    if manifest.secrets:
        lines.append(f"Not in the backup, and needed: {', '.join(manifest.secrets)}.")
    if config.file is None and (backup.path / FILE_NAME).exists():
        lines.append(f"No configuration is in use here; the one of then is {backup.path / FILE_NAME}.")
    return "\n".join(lines)
