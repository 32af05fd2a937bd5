"""What every test finds as if it were the first."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from cryptowatcher import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Commands set up the log of their process; in a test that process goes on."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {name: (logging.getLogger(name).level, logging.getLogger(name).handlers[:]) for name in logs.QUIET}
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, (level, handlers) in libraries.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).handlers[:] = handlers
