"""`cryptowatcher run`: the pipeline here, the page in a process beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path

import structlog

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.cli.options import ConfigFile, DataDir, new_app, settings
from cryptowatcher.cli.output import note
from cryptowatcher.cli.process import ASKED, HANG_UP, page_beside, program_with, until_stopped
from cryptowatcher.config import Config
from cryptowatcher.listening import Listening, listening
from cryptowatcher.service import Service
from cryptowatcher.supervise import only_instance

CHECK_WITHIN = 60.0

app = new_app()
log = structlog.get_logger()


@app.command()
def run(config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Watch: collect prices, judge rules, deliver alerts, serve the page.

    Without a configuration it watches the 250 largest coins by CoinGecko and writes alerts to the terminal. Ctrl-C
    stops in order; a second one stops at once, which is safe too: starting again is recovery. SIGHUP begins anew
    in place, with the program and the configuration as they are then, without closing the page's port; on a
    terminal it stops, because that is what closing the terminal sends.
    """
    # One that comes before we listen for it must wait, not end us.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANG_UP)
    page = page_beside(config_file, data_dir)
    page.start()
    config = settings(config_file, data_dir)
    service = Service(os.environ)
    from cryptowatcher.backup.restore import finish_restore  # by now the page loads its own code

    with only_instance(config.data_dir), listening(config.web.host, config.web.port, os.environ) as door:
        finish_restore(config.data_dir)
        note(greeting(config, door.port))

        async def work(stop: asyncio.Event) -> None:
            from cryptowatcher import app as program

            await program.run(config, stop, page, door, service)

        if sys.stdin is not None and sys.stdin.isatty():
            until_stopped(work, log=config.log, signals=(*ASKED, signal.SIGHUP))
            return
        renew = partial(_would_start, config_file, data_dir, service, door)
        if until_stopped(work, log=config.log, renew=renew):
            _begin_anew(door)


def greeting(config: Config, port: int) -> str:
    """Where the page is and where the data go."""
    host = f"[{config.web.host}]" if ":" in config.web.host else config.web.host
    return f"The page: http://{host}:{port}\nThe data: {config.data_dir}\nCtrl-C stops."


async def _would_start(config_file: Path | None, data_dir: Path | None, service: Service, door: Listening) -> bool:
    """Whether the program as it is installed now would start with the configuration as it is now. One that would
    not must not take the place of one that runs."""
    service.reloading(SystemClock().monotonic())
    said = "the check could not be run"
    try:
        ok, said = await _checked(program_with("check", config_file, data_dir, "--beside-port", str(door.port)))
        if ok:
            return True
    finally:
        if service.is_reloading and said:
            log.error("not begun anew; what runs goes on", why=said)
            service.ready("goes on as it was: the new configuration or program is not accepted, see the log")
    return False


async def _checked(command: list[str]) -> tuple[bool, str]:
    """Whether a command ends well, and what it says if not."""
    check = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(CHECK_WITHIN):
            _, said = await check.communicate()
    except TimeoutError:
        return False, "the check took too long"
    finally:
        if check.returncode is None:
            check.kill()
    return check.returncode == 0, "" if check.returncode == 0 else said.decode(errors="replace").strip() or "?"


def _begin_anew(door: Listening) -> None:
    """Become what would be started now, under the same process number. The folder's lock goes with this program,
    the page's port does not."""
    door.hand_over(os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  our own program
