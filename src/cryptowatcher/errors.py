"""Errors that say what to do. Anything else that is raised is a bug and ends the process.

Error
├── ConfigError   a person must act; `where` says in which setting
├── Unavailable   try again, maybe after `retry_after` seconds
└── Refused       do not try again: the other side understood and said no
"""

from __future__ import annotations


class Error(Exception):
    """What cryptowatcher raises on purpose."""


class ConfigError(Error):
    """A setting, rule or command line that a person must change."""

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{place}{self.message}{hint}"


class Unavailable(Error):
    """The other side cannot answer now. `reason` is a stable word (`rate_limited`, `timeout`, …)."""

    def __init__(self, message: str, *, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class Refused(Error):
    """The other side understood and said no; the same call would be refused again."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
