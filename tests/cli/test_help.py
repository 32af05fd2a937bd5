"""Help answers at once and says how to go on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cryptowatcher.cli.root import COMMANDS, HIDDEN
from tests.cli.terminal import Terminal

ONLY_LIGHT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        heavy = "apsw asyncio httpx litestar msgspec numpy polars rich sqlalchemy structlog uvicorn".split()
        if name.split(".")[0] in heavy:
            raise AssertionError(f"--help imports {name}")

sys.meta_path.insert(0, Refuse())
sys.argv = ["cryptowatcher", *sys.argv[1:]]
from cryptowatcher.cli import main
main()
"""


@pytest.mark.parametrize("args", [["--help"], ["--version"], []])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", ONLY_LIGHT, *args], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if args else 2), done.stderr
    assert "cryptowatcher" in done.stdout + done.stderr


def test_help_lists_every_command_but_the_hidden_ones(terminal: Terminal) -> None:
    listed = terminal.run("--help").stdout
    assert all(f"\n  {name} " in listed for name in COMMANDS if name not in HIDDEN)
    assert not any(f"\n  {name} " in listed for name in HIDDEN)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(terminal: Terminal, name: str) -> None:
    result = terminal.run(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: cryptowatcher {name}")


def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(terminal: Terminal) -> None:
    result = terminal.run("prics")
    assert result.exit_code == 2
    assert "'prices'" in result.stderr
    assert result.stdout == ""
