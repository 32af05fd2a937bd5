"""`cryptowatcher run`: the pipeline here, the page in a process beside it."""

from __future__ import annotations

import asyncio

from cryptowatcher.cli.options import ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import note
from cryptowatcher.cli.process import page_beside, until_stopped
from cryptowatcher.config import Config

app = new_app()


@app.command()
def run(config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Watch: collect prices, judge rules, deliver alerts, serve the page.

    Without a configuration it watches the 250 largest coins by CoinGecko and writes alerts to the terminal. Ctrl-C
    stops in order; a second one stops at once, which is safe too: starting again is recovery.
    """
    page = page_beside(config_file, data_dir)
    page.start()
    config = settings(config_file, data_dir)
    note(greeting(config))

    async def work(stop: asyncio.Event) -> None:
        from cryptowatcher import app as program

        await program.run(config, stop, page)

    until_stopped(work, log=config.log)


def greeting(config: Config) -> str:
    """Where the page is and where the data go."""
    host = f"[{config.web.host}]" if ":" in config.web.host else config.web.host
    page = f"http://{host}:{config.web.port}" if config.web.port else "on a free port (see the log)"
    return f"The page: {page}\nThe data: {config.data_dir}\nCtrl-C stops."
