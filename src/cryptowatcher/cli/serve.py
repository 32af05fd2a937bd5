"""`cryptowatcher serve`: the page and the API alone, as `run` starts them beside the pipeline."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Annotated

import typer

from cryptowatcher.cli.options import ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.process import ASKED, until_stopped

app = new_app()


@app.command()
def serve(
    beside_pipeline: Annotated[
        bool,
        typer.Option(
            "--beside-pipeline", hidden=True, help="Begin at a word on standard input, stop when it closes."
        ),
    ] = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Only the page and the API, over the data of a watcher."""
    if beside_pipeline:
        # Ctrl-C reaches every process of a terminal; the pipeline says when this one should stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _load()
        if not os.read(sys.stdin.fileno(), 2):  # the pipeline did not come to be, and has said why
            return
    config = settings(config_file, data_dir)

    async def work(stop: asyncio.Event) -> None:
        from cryptowatcher import app as program

        watching = asyncio.create_task(_until_alone()) if beside_pipeline else None
        try:
            await program.serve(config, stop)
        finally:
            if watching:
                watching.cancel()

    until_stopped(work, log=config.log, signals=(signal.SIGTERM,) if beside_pipeline else ASKED)


def _load() -> None:
    """Import what serving takes while the pipeline does the same."""
    from cryptowatcher import app as program  # noqa: F401
    from cryptowatcher.web import api, server  # noqa: F401


async def _until_alone() -> None:
    """End when the process that started this one is gone: it held the other end of standard input. At once, so
    that the port is free for the next; whatever was being written is one transaction or none."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass
    os._exit(0)
