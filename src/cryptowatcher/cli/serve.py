"""`cryptowatcher serve`: the page and the API alone; `beside` is the same as `run` starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import structlog

from cryptowatcher.cli.options import ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import note
from cryptowatcher.cli.process import ASKED, until_stopped
from cryptowatcher.config import Config
from cryptowatcher.errors import ConfigError
from cryptowatcher.listening import Listening, listening
from cryptowatcher.supervise import Parent

app = new_app()
log = structlog.get_logger()


@app.command()
def serve(config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Only the page and the API, over the data of a watcher."""
    from cryptowatcher.backup.restore import is_restoring

    config = settings(config_file, data_dir)
    if is_restoring(config.data_dir):
        hint = "`cryptowatcher run` ends it, and so does another `cryptowatcher restore`"
        raise ConfigError("a restore was cut short", where=str(config.data_dir), hint=hint)
    with listening(config.web.host, config.web.port, os.environ) as door:
        _serve(config, door)


def serve_beside(config_file: Path | None, data_dir: Path | None) -> None:
    """The same for a pipeline, our parent: begin at its word on standard input, stop when that closes."""
    # Ctrl-C reaches every process of a terminal; the pipeline says when this one should stop. It also begins anew
    # in place, and then starts another page.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    _load()
    told = Parent.when_told()
    if told is not None:
        parent, sockets = told
        _serve(settings(config_file, data_dir), Listening(sockets), parent)


def _serve(config: Config, door: Listening, parent: Parent | None = None) -> None:
    async def work(stop: asyncio.Event) -> None:
        from cryptowatcher import app as program

        await program.serve(config, stop, door, parent, tell_link=_tell_link)

    until_stopped(work, log=config.log, signals=(signal.SIGTERM,) if parent else ASKED)


def _tell_link(link: str) -> None:
    """On the terminal, and in the log where that is somewhere else. It must not be missed: without it nobody gets
    in."""
    if not sys.stderr.isatty():
        log.warning("there is no account yet; this link makes the first one, once, within 24 hours", link=link)
    line = "─" * max(len(link), 60)
    note(
        f"{line}\nNobody has an account yet. Open this to make yours:\n\n{link}\n\n"
        f"It works once, within 24 hours. `cryptowatcher users link` makes another.\n{line}"
    )


def _load() -> None:
    """Import what serving takes while the pipeline does the same."""
    from cryptowatcher import app as program  # noqa: F401
    from cryptowatcher.web import api, server  # noqa: F401
