"""Writes docs/cli.md from the commands' own help, so that it cannot be out of date."""

from __future__ import annotations

import sys

from typer.testing import CliRunner

from cryptowatcher.cli.root import COMMANDS, HIDDEN, app

INTRODUCTION = """# The command line

`cryptowatcher COMMAND --help` says the same as this page.

Exit codes: 0 ok · 1 not ok: nothing found, not reachable · 2 the command line or the configuration is wrong ·
130 interrupted.
"""

FAMILIES = {
    "rules": ("check", "list", "add", "remove", "pause", "resume", "why", "export", "import"),
    "users": ("list", "link", "invite", "reset-password", "token", "disable"),
    "lists": ("list", "set", "add", "remove", "delete"),
    "alerts": ("ack", "summary"),
    "channels": ("list", "preview", "test", "add", "remove", "preferences"),
}


def main() -> None:
    sys.stdout.write(reference())


def reference() -> str:
    """The whole page."""
    calls: list[tuple[str, ...]] = [()]
    for name in COMMANDS:
        if name not in HIDDEN:
            calls += [(name,), *((name, inner) for inner in FAMILIES.get(name, ()))]
    return "\n".join([INTRODUCTION, *(_page(call) for call in calls)])


def _page(call: tuple[str, ...]) -> str:
    """One command's help as the program prints it on a terminal of 80 columns."""
    result = CliRunner().invoke(app, [*call, "--help"], prog_name="cryptowatcher")
    if result.exception is not None:
        raise result.exception
    title = " ".join(("cryptowatcher", *call))
    return f"{'###' if len(call) > 1 else '##'} `{title}`\n\n```text\n{result.output.rstrip()}\n```\n"


if __name__ == "__main__":
    main()
