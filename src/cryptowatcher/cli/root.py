"""The command line's table of contents. A command's module is imported when that command runs, not before.

Exit codes: 0 ok · 1 not ok (nothing found, not reachable) · 2 a person must change the command line or the
configuration · 130 interrupted.
"""

from __future__ import annotations

import errno
import functools
import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from cryptowatcher.errors import ConfigError, Error

COMMANDS = {
    "run": ("run", "Watch: collect prices, judge rules, deliver alerts, serve the page."),
    "demo": ("demo", "The same on a simulated market: no internet, no set-up."),
    "check": ("check", "Check the configuration and show every setting and where it came from."),
    "prices": ("prices", "The newest price of each pair."),
    "candles": ("candles", "A pair's candles as a chart or as data."),
    "explain": ("explain", "A pair's move: how far, how unusual, and what else was so in that time."),
    "sources": ("sources", "The sources: what they see, and why not."),
    "rules": ("rules", "List, add, remove, pause and resume rules."),
    "lists": ("lists", "Named lists of pairs, for rules to be on."),
    "alerts": ("alerts", "The newest alerts."),
    "channels": ("channels", "Where alerts go: list them, and send a test message."),
    "deliveries": ("deliveries", "Where alerts were sent, and what became of it."),
    "users": ("users", "Accounts: list them, invite people, make links for a first log-in or a new password."),
    "telegram": ("telegram", "Link a Telegram chat, list and unlink those that are."),
    "replay": ("replay", "Run recorded prices through rules: the alerts you would have got."),
    "export": ("export", "Write candles, prices or alerts to a Parquet or CSV file."),
    "health": ("health", "Ask a running watcher whether it watches: exit code 0 or 1."),
    "doctor": ("doctor", "Look for what is or will be wrong: files, disk, clock, reachability, settings."),
    "backup": ("backup", "A consistent copy of everything, while the watcher runs."),
    "restore": ("restore", "Put a backup in the place of the data folder."),
    "fake-coingecko": ("fake_coingecko", "Serve a simulated market that speaks CoinGecko's API."),
    "serve": ("serve", "Only the page and the API; `run` starts this itself."),
}
"""Name → (module, what it is for)."""

HIDDEN = ("serve",)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class LazyCommands(TyperGroup):
    """Commands by name; listing them imports none of them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if ctx.resilient_parsing:  # shell completion asks for each command's summary
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])
        return _command(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # The group's own "did you mean" looks into `commands`; ours live in COMMANDS.
        self.commands = dict.fromkeys(self.list_commands(ctx), TyperCommand("_"))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except ConfigError as error:
            raise _stop(error, 2) from None
        except Error as error:
            raise _stop(error, 1) from None
        except BrokenPipeError:
            # Whoever read us (`head`) has enough. Python would complain again when it flushes at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise _stop(f"the answer cannot be written: {error.strerror}", 1) from None
        return result


@functools.cache
def _command(name: str) -> Any:
    """Made once: it is asked for twice, and reading the options off its functions takes longer than most."""
    module, _ = COMMANDS[name]
    command = typer.main.get_command(importlib.import_module(f"cryptowatcher.cli.{module}").app)
    command.name = name
    return command


def _stop(error: Error | str, code: int) -> typer.Exit:
    print(f"Error: {error}", file=sys.stderr)
    return typer.Exit(code)


app = typer.Typer(
    cls=LazyCommands,
    name="cryptowatcher",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"cryptowatcher {version('cryptowatcher')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Watches cryptocurrency prices without ever stopping and tells you the moment something moves.

    Begin with `cryptowatcher demo`, which needs nothing, or `cryptowatcher run`, which watches the 250 largest
    coins.
    """
