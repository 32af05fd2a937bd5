"""What every test finds as if it were the first."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import hypothesis
import pytest
import structlog

from cryptowatcher import logs

hypothesis.settings.register_profile("machines are noisy", deadline=None)
hypothesis.settings.load_profile("machines are noisy")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Commands set up the log of their process; in a test that process goes on."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = [logging.getLogger(name) for name in (*logs.QUIET, "uvicorn.access")]
    libraries = [(library, library.level, library.handlers[:], library.propagate) for library in quiet]
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)
    for library, level, handlers, propagate in libraries:
        library.setLevel(level)
        library.handlers[:] = handlers
        library.propagate = propagate
