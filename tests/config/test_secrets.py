"""Secrets are read from where the configuration says, and every failure says which one."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from cryptowatcher.config import SecretReader
from cryptowatcher.errors import ConfigError


def test_one_newline_at_the_end_is_not_part_of_it(tmp_path: Path) -> None:
    read = SecretReader(tmp_path, {"KEY": "from a variable\n"})
    for content, secret in ((b"a b\n", "a b"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a", " a")):
        file = tmp_path / "key"
        file.write_bytes(content)
        file.chmod(0o600)
        assert read(file="key", variable=None, where="x") == secret
    assert read(file=None, variable="KEY", where="x") == "from a variable"


def test_nothing_named_is_no_secret(tmp_path: Path) -> None:
    assert SecretReader(tmp_path, {})(file=None, variable=None, where="x") is None


@pytest.mark.parametrize(
    ("file", "variable"),
    [
        ("missing", None),
        ("empty", None),
        ("bytes", None),
        ("large", None),
        (None, "MISSING"),
        (None, "EMPTY"),
        ("ok", "OK"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_never_quotes_it(
    tmp_path: Path, file: str | None, variable: str | None
) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfes3cret")
    (tmp_path / "large").write_bytes(b"s3cret" * 20_000)
    (tmp_path / "ok").write_bytes(b"s3cret")
    for each in tmp_path.iterdir():
        each.chmod(0o600)
    read = SecretReader(tmp_path, {"EMPTY": "", "OK": "s3cret"})
    with pytest.raises(ConfigError) as caught:
        read(file=file, variable=variable, where="channels.ops")
    assert caught.value.where == "channels.ops"
    assert "s3cret" not in str(caught.value)


def test_a_file_that_everyone_can_read_is_used_with_one_warning(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret")
    (tmp_path / "key").chmod(0o644)
    read = SecretReader(tmp_path, {})
    with structlog.testing.capture_logs() as lines:
        assert read(file="key", variable=None, where="x") == "s3cret"
        assert read(file="key", variable=None, where="x") == "s3cret"
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "s3cret" not in str(lines)
