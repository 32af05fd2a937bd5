"""The demo is its own world: what is set for a real watcher does not reach it."""

from __future__ import annotations

import pytest

from cryptowatcher.cli.demo import CONFIGURATION, configured
from tests.cli.terminal import Terminal


def test_variables_for_a_real_watcher_do_not_count(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOWATCHER_DATA_DIR", "/srv/real")
    monkeypatch.setenv("CRYPTOWATCHER_WEB__PORT", "9000")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    file = terminal.write("demo.toml", CONFIGURATION.format(port=8123, url="http://127.0.0.1:1"))
    config, env = configured(file)
    assert (config.data_dir, config.web.port) == (terminal.folder, 8123)
    assert [name for name in env if name.startswith("CRYPTOWATCHER_")] == []
    assert env["HTTPS_PROXY"] == "http://proxy"


def test_a_folder_that_cannot_be_is_an_error(terminal: Terminal) -> None:
    terminal.write("file", "")
    result = terminal.run("demo", "--data-dir", "file/below")
    assert result.exit_code == 2
    assert "file/below" in result.stderr
