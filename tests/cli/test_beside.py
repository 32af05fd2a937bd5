"""The page's process as `run` starts it: what it does without, and how it ends when it cannot begin."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from cryptowatcher.supervise import CONFIG_ERROR_EXIT, GO
from tests.processes import PATIENCE

WITHOUT_A_WORD = """
import sys
from cryptowatcher.cli.beside import NEVER_USED, main

main("", "")
from cryptowatcher.web.api import over

over(lambda: None, version="1", body_bytes=1)
print(*(name for name, module in sys.modules.items() if module and name.split(".")[0] in NEVER_USED))
"""


def test_the_page_loads_nothing_of_the_command_line_and_ends_with_a_parent_that_ends() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        ran = subprocess.run(
            [sys.executable, "-c", WITHOUT_A_WORD],
            stdin=theirs.fileno(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert (ran.returncode, ran.stdout.split()) == (0, []), ran.stderr


def test_a_configuration_that_is_wrong_ends_the_page_with_a_sentence(tmp_path: Path) -> None:
    config = tmp_path / "cryptowatcher.toml"
    config.write_text("[web]\nport = -1\n")
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "cryptowatcher.cli.beside", str(config), ""]
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as door:
        socket.send_fds(ours, [GO], [door.fileno()])
        ran = subprocess.run(command, stdin=theirs.fileno(), capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == CONFIG_ERROR_EXIT
    assert ran.stderr.startswith("Error: ")
    assert "web.port" in ran.stderr
