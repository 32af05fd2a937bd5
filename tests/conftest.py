"""What every test finds as if it were the first."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from cryptowatcher import logs
from tests.memory import in_memory, short_lived, sweep

hypothesis.settings.register_profile("machines are noisy", deadline=None)
hypothesis.settings.load_profile("machines are noisy")


SYNCED = {Path(__file__).parent / name for name in ("adapters", "pipeline", "simulation", "web")}
"""Tests that commit in this process, tens of thousands of times. What they prove of a file holds in memory too: to
wait until a disk has written it proves nothing where nobody takes the power away."""


def pytest_sessionstart() -> None:
    sweep()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty folder. Where it is in memory it is gone after the test; elsewhere those of the last runs stay."""
    if in_memory() and not SYNCED.isdisjoint(request.path.parents):
        with short_lived() as folder:
            yield folder
    else:
        factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        yield factory.mktemp(re.sub(r"\W", "_", request.node.name)[:30])


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
