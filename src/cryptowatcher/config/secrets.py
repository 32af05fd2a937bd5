"""Secrets stand in files or environment variables; the configuration only says which."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import structlog

from cryptowatcher.errors import ConfigError

LONGEST = 64 * 1024
"""Bytes; a larger file is not a secret but a mistake."""


class SecretReader:
    """Keeps ports.Secret. Files are relative to the folder of the configuration."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._warned: set[Path] = set()

    def __call__(self, *, file: str | None, variable: str | None, where: str) -> str | None:
        if file and variable:
            raise ConfigError(
                "a file and a variable are named for one secret", where=where, hint="name one of them"
            )
        if file:
            return self._from_file(self.path(file), where)
        if variable:
            return self._from_variable(variable, where)
        return None

    def path(self, file: str) -> Path:
        """Where a named file is looked for."""
        return self._folder / Path(file).expanduser()

    def _from_file(self, path: Path, where: str) -> str:
        try:
            mode = path.stat().st_mode
            data = path.read_bytes()[: LONGEST + 1]
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}", where=where) from None
        if len(data) > LONGEST:
            raise ConfigError(f"{path} is too large for a secret", where=where)
        if mode & stat.S_IROTH and path not in self._warned:
            self._warned.add(path)
            log = structlog.get_logger()
            log.warning("everyone on this machine can read a secret", file=str(path), hint=f"chmod 600 {path}")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not UTF-8 text", where=where) from None
        return _one_line_less(text, str(path), where)

    def _from_variable(self, variable: str, where: str) -> str:
        if variable not in self._environ:
            raise ConfigError(f"the environment variable {variable} is not set", where=where)
        return _one_line_less(self._environ[variable], variable, where)


def _one_line_less(text: str, what: str, where: str) -> str:
    """Editors end a file with a newline that nobody means."""
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ConfigError(f"{what} is empty", where=where)
    return text
